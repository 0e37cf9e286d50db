/*
** box.h
** A counted thing in a userdata: whatever raises, the collector lets it go.
*/

#ifndef box_h
#define box_h

#include "lua.h"

#include "message.h"

/* Pushes an empty box; what is put into it belongs to it. */
Shared **box_new (lua_State *L);

/* The finalizer, for userdata of other classes that begin with a Shared *. */
int box_gc (lua_State *L);

#endif
