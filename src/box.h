/*
** box.h
** A counted thing in a userdata: the collector lets it go, whatever raises; and
** it can be sent, for what is in the box is shared.
*/

#ifndef box_h
#define box_h

#include "lua.h"

#include "message.h"
#include "state.h"


/* Pushes an empty box; what is put into it belongs to it. */
Shared **box_new (lua_State *L, State *S);

/* Pushes a box with 'it' (counts a reference). */
void box_push (lua_State *L, State *S, Shared *it);

/* What is in the box at 'idx'; NULL if the collector has let it go. */
Shared *box_get (lua_State *L, int idx);

/* What is in the box at 'arg', of the kind that 'destroy' destroys; or an
** argument error that calls it 'name'. For a function that Lua calls. */
void *box_check (lua_State *L, int arg, void (*destroy) (Shared *),
                 const char *name);

/* Makes the metatable. */
void box_open (lua_State *L, State *S);

#endif
