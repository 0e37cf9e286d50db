/*
** heap.c
** An isolate's allocator: its limit, its account, and the register of its
** coroutines.
**
** Lua asks for a coroutine with osize == LUA_TTHREAD (its manual promises
** that); the lua_State lies behind the extra space. At that moment it holds
** garbage, and at the next call of the allocator it is in order: so it is
** registered then. It leaves when its block is freed.
*/

#include <stdint.h>
#include <string.h>

#include "lua.h"

#include "hidden.h"
#include "heap.h"
#include "platform.h"


#define MIXED_SLABS	12	/* as much as an isolate needs that does little */

#define state_of_block(b)	((lua_State *)(void *)((char *)(b) + LUA_EXTRASPACE))


void heap_init (Heap *h, void (*on_alarm) (void)) {
  memset(h, 0, sizeof(*h));
  h->on_alarm = on_alarm;
}


int heap_open (Heap *h) {
  h->blocks = blocks_new(MIXED_SLABS);
  return h->blocks != NULL;
}


void heap_free (Heap *h) {
  if (h->size > 0) block_free(h->blocks, h->threads, h->size * sizeof(lua_State *));
  h->threads = NULL;
  h->size = h->count = 0;
  blocks_free(h->blocks);
  h->blocks = NULL;
}


void heap_move (Heap *h, Heap *from) {
  __atomic_store_n(&h->used, from->used, __ATOMIC_RELAXED);
  h->threads = from->threads;
  h->size = from->size;
  h->count = from->count;
  h->block = from->block;
  h->newborn = from->newborn;
  h->blocks = from->blocks;
}


size_t heap_used (const Heap *h) {
  return __atomic_load_n(&h->used, __ATOMIC_RELAXED);
}


/* {======================================================
** Register
** ======================================================= */

static size_t slot (const Heap *h, const lua_State *L) {
  return (size_t)(((uint64_t)(uintptr_t)L * 0x9E3779B97F4A7C15u) >> 32)
         & (h->size - 1);
}


static void insert (Heap *h, lua_State *L) {
  size_t i = slot(h, L);
  while (h->threads[i] != NULL) i = (i + 1) & (h->size - 1);
  h->threads[i] = L;
  h->count++;
}


/* While the register changes, the signal's handler, which may come between any
** two instructions of this thread, keeps off. The compiler may not move the
** changes out of that time. */
static void begin_change (Heap *h) {
  h->busy = 1;
  signal_fence();
}


static void end_change (Heap *h) {
  signal_fence();
  h->busy = 0;
}


/* Makes room for one more; false without memory. */
static int reserve (Heap *h) {
  lua_State **before = h->threads, **threads;
  size_t i, n = h->size, size = n ? n * 2 : 16;
  if ((h->count + 2) * 2 <= n) return 1;
  threads = (lua_State **)block_new(h->blocks, size * sizeof(lua_State *));
  if (threads == NULL) return 0;
  memset(threads, 0, size * sizeof(lua_State *));
  begin_change(h);
  h->threads = threads;
  h->size = size;
  h->count = 0;
  for (i = 0; i < n; i++)
    if (before[i] != NULL) insert(h, before[i]);
  end_change(h);
  if (n > 0) block_free(h->blocks, before, n * sizeof(lua_State *));
  return 1;
}


/* The coroutine that was asked for last is in order now. */
static void publish (Heap *h) {
  begin_change(h);
  insert(h, state_of_block(h->newborn));
  h->newborn = NULL;
  end_change(h);
}


/* Its block is freed. Closes the gap, so that a search may end at a hole. */
static void forget (Heap *h, void *block) {
  lua_State *L = state_of_block(block);
  size_t i = slot(h, L), j;
  if (h->size == 0) return;
  while (h->threads[i] != L) {
    if (h->threads[i] == NULL) return;  /* no coroutine: some other block */
    i = (i + 1) & (h->size - 1);
  }
  begin_change(h);
  h->threads[i] = NULL;
  h->count--;
  for (j = (i + 1) & (h->size - 1); h->threads[j] != NULL;
       j = (j + 1) & (h->size - 1)) {
    lua_State *moved = h->threads[j];
    h->threads[j] = NULL;
    h->count--;
    insert(h, moved);
  }
  end_change(h);
}


int heap_sethook (Heap *h, lua_Hook hook, int mask, int count) {
  size_t i;
  if (h->busy) return 0;
  for (i = 0; i < h->size; i++)
    if (h->threads[i] != NULL) lua_sethook(h->threads[i], hook, mask, count);
  return 1;
}

/* }====================================================== */


static void account (Heap *h, size_t used) {
  __atomic_store_n(&h->used, used, __ATOMIC_RELAXED);
}


void *heap_alloc (void *ud, void *ptr, size_t osize, size_t nsize) {
  Heap *h = (Heap *)ud;
  size_t before = (ptr != NULL) ? osize : 0;
  void *block;
  if (h->newborn != NULL) publish(h);
  if (nsize == 0) {
    if (ptr == NULL) return NULL;
    if (osize == h->block) forget(h, ptr);
    account(h, h->used - osize);
    block_free(h->blocks, ptr, osize);
    return NULL;
  }
  if (__atomic_load_n(&h->alarm, __ATOMIC_RELAXED)) {
    atomic_set(&h->alarm, 0);
    h->on_alarm();
  }
  if (nsize > before && h->limit > 0 && h->used + (nsize - before) > h->limit)
    return NULL;
  if (ptr == NULL && osize == LUA_TTHREAD && !reserve(h)) return NULL;
  block = ptr ? block_resize(h->blocks, ptr, osize, nsize)
              : block_new(h->blocks, nsize);
  if (block == NULL) return NULL;
  account(h, h->used + nsize - before);
  if (ptr == NULL && osize == LUA_TTHREAD) {
    h->newborn = block;
    h->block = nsize;
  }
  return block;
}
