/*
** box.c
** A counted thing in a userdata: the collector lets it go, whatever raises; and
** it can be sent, for what is in the box is shared.
*/

#include <stddef.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "box.h"
#include "hold.h"
#include "platform.h"


#define BOX	"isolate.Shared"

typedef struct Box {
  Shared *it;			/* counted; or NULL */
  Hold *hold;			/* has it in its place; or NULL */
} Box;


/* Registry: what is shared -> its box; weak. */
static const char BOXES_KEY = 0;


/* A finalizer may run because the state is being closed: for what is made in it then,
** Lua calls none. (The collector does not run in one.) */
static int in_finalizer (lua_State *L) { return lua_gc(L, LUA_GCISRUNNING) != 1; }


Shared **box_new (lua_State *L, State *S) {
  Box *box = (Box *)lua_newuserdatauv(L, sizeof(*box), 0);
  box->it = NULL;
  box->hold = NULL;
  luaL_setmetatable(L, BOX);
  if (!in_finalizer(L)) return &box->it;
  box->hold = hold_new(S);
  if (box->hold == NULL) luaL_error(L, "not enough memory");
  return &box->hold->it;
}


/* What comes again and again, as the function of a pool's jobs, has one box. */
void box_push (lua_State *L, State *S, Shared *it) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &BOXES_KEY);
  if (lua_rawgetp(L, -1, it) == LUA_TNIL) {
    lua_pop(L, 1);
    *box_new(L, S) = (Shared *)shared_retain(it);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, it);
  }
  lua_remove(L, -2);
}


Shared *box_get (lua_State *L, int idx) {
  const Box *box = (Box *)lua_touserdata(L, idx);
  return box->hold ? box->hold->it : box->it;
}


void *box_check (lua_State *L, int arg, void (*destroy) (Shared *),
                 const char *name) {
  Shared *it = NULL;
  state_of(L);  /* at its end it has let go of what is in its boxes */
  if (luaL_testudata(L, arg, BOX) != NULL) it = box_get(L, arg);
  if (it == NULL || it->destroy != destroy) luaL_typeerror(L, arg, name);
  return it;
}


static int box_gc (lua_State *L) {
  Box *box = (Box *)lua_touserdata(L, 1);
  Box was = *box;
  box->it = NULL;
  box->hold = NULL;
  if (was.hold != NULL) hold_free(was.hold);
  if (!process_forked()) shared_release(was.it);
  return 0;
}


void box_open (lua_State *L, State *S) {
  luaL_newmetatable(L, BOX);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  S->box_class = lua_topointer(L, -1);
  lua_pop(L, 1);
  push_weak_table(L, "v");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &BOXES_KEY);
}
