/*
** heap.h
** An isolate's allocator: its limit, its account, and the register of its
** coroutines. Touched by the isolate's thread only, but for 'heap_used' and
** 'alarm'.
*/

#ifndef heap_h
#define heap_h

#include <signal.h>
#include <stddef.h>

#include "lua.h"

#include "blocks.h"


typedef struct Heap {
  size_t used;			/* bytes; written here, read by any thread */
  size_t limit;			/* bytes, 0 = none */
  lua_State **threads;		/* open addressing; NULL = free */
  size_t size, count;
  size_t block;			/* size of a coroutine's block */
  void *newborn;		/* block of a coroutine that is being made */
  Blocks *blocks;
  volatile sig_atomic_t busy;	/* the register changes: signals, keep off */
  int alarm;			/* atomic, set by any thread: … */
  void (*on_alarm) (void);	/* … call this at the next allocation */
} Heap;

void heap_init (Heap *h, void (*on_alarm) (void));
int heap_open (Heap *h);	/* gets ready for a state; false without memory */
void heap_free (Heap *h);	/* the state is closed */

/* 'h', a new one, goes on with what 'from' has. The limit is its own. */
void heap_move (Heap *h, Heap *from);

/* The lua_Alloc; 'ud' is the Heap. Over the limit it has no memory. */
void *heap_alloc (void *ud, void *ptr, size_t osize, size_t nsize);

size_t heap_used (const Heap *h);

/* Sets a hook on every coroutine. On the isolate's own thread, also from a
** signal handler there; false when that came at a bad moment. */
int heap_sethook (Heap *h, lua_Hook hook, int mask, int count);

#endif
