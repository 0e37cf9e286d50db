/*
** standby.h
** Threads and states that are ready for the next isolate.
*/

#ifndef standby_h
#define standby_h

#include <stddef.h>

#include "lua.h"

#include "heap.h"

/* The stack of a thread that may wait here. */
#define STANDBY_STACK	((size_t)1024 * 1024)

/* Gives a job to a thread that waits. False if none is free for it. */
int standby_give (void *job);

/* The calling thread has little more to do than to wait for a job: who gives one
** in that moment need not wake another thread. */
void standby_soon (void);

/* The calling thread, which has said so, waits for a job, if it is 'usable'. NULL
** if it is to end. */
void *standby_wait (int usable);

/* A state that is ready for an isolate (see boot.h), in 'heap' from now on; or
** NULL without memory. */
lua_State *standby_state (Heap *heap);

#endif
