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
#include "platform.h"


#define BOX	"isolate.Shared"

/* Registry: what is shared -> its box; weak. */
static const char BOXES_KEY = 0;


Shared **box_new (lua_State *L) {
  Shared **box = (Shared **)lua_newuserdatauv(L, sizeof(*box), 0);
  *box = NULL;
  luaL_setmetatable(L, BOX);
  return box;
}


/* What comes again and again, as the function of a pool's jobs, has one box. */
void box_push (lua_State *L, Shared *it) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &BOXES_KEY);
  if (lua_rawgetp(L, -1, it) == LUA_TNIL) {
    lua_pop(L, 1);
    *box_new(L) = (Shared *)shared_retain(it);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, it);
  }
  lua_remove(L, -2);
}


void *box_check (lua_State *L, int arg, void (*destroy) (Shared *),
                 const char *name) {
  Shared **box = (Shared **)luaL_testudata(L, arg, BOX);
  if (box == NULL || *box == NULL || (*box)->destroy != destroy)
    luaL_typeerror(L, arg, name);
  return *box;
}


static int box_gc (lua_State *L) {
  Shared **box = (Shared **)lua_touserdata(L, 1);
  Shared *it = *box;
  *box = NULL;
  if (!process_forked()) shared_release(it);
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
