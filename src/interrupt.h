/*
** interrupt.h
** Stopping running Lua code from its own thread.
*/

#ifndef interrupt_h
#define interrupt_h

#include "lua.h"

#include "isolate.h"

/* Registry: a list of the coroutines that a stop has gone through. */
extern const char TORN_KEY;

/* Any thread: makes the isolate's thread notice that it is to stop. Goes on
** until it has ended. */
void interrupt_request (Isolate *iso);

/* The isolate's thread, in its allocator: somebody has made that request. */
void interrupt_alarm (void);

/* The isolate's thread: raises if it is to stop, unless a handler runs that has
** the grace. */
void interrupt_check (lua_State *L, Isolate *iso);

/* The isolate's thread: stops now, for the reason given. Returns (0) only to a handler
** that has the grace. */
int interrupt_self (lua_State *L, Isolate *iso, int reason);

#endif
