/*
** late.c
** Methods of ports, streams and subscriptions that few use: they are in Lua modules,
** which are loaded when one of them is first asked for.
*/

#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "late.h"
#include "library.h"


void late_require (lua_State *L, const char *module) {
  library_require(L, "isolate.loop");
  library_require(L, module);
  lua_remove(L, -2);
}


/* Where they are, in the order of their names. */
static const struct Late {
  const char *method, *module;
  int alone;			/* needs no loop */
} late[] = {
  {"add", "isolate.buffer", 0},
  {"as_broadcast", "isolate.stream", 0},
  {"cancel", "isolate.subscription", 0},
  {"changed", "isolate.buffer_methods", 0},
  {"deliver", "isolate.port", 0},
  {"first", "isolate.stream", 0},
  {"from_raw", "isolate.raw_port", 1},  /* ReceivePort.from_raw */
  {"give", "isolate.subscription", 0},
  {"listen", "isolate.listen", 1},
  {"map", "isolate.stream", 0},
  {"pause", "isolate.subscription", 0},
  {"reader", "isolate.stream", 0},
  {"register", "isolate.buffer_methods", 0},
  {"resume", "isolate.subscription", 0},
  {"take", "isolate.stream", 0},
  {"tell_done", "isolate.subscription", 0},
  {"try", "isolate.buffer_methods", 0},
  {"where", "isolate.stream", 0},
};


static int by_method (const void *name, const void *of) {
  return strcmp((const char *)name, ((const struct Late *)of)->method);
}


int late_index (lua_State *L) {
  const struct Late *l;
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  l = (const struct Late *)bsearch(lua_tostring(L, 2), late,
                                   sizeof(late) / sizeof(late[0]), sizeof(late[0]),
                                   by_method);
  if (l == NULL) return 0;
  lua_settop(L, 2);
  if (l->alone) library_require(L, l->module);
  else late_require(L, l->module);
  lua_getfield(L, -1, l->method);
  lua_pushvalue(L, -1);
  lua_replace(L, 3);
  lua_pushvalue(L, 2);
  lua_insert(L, -2);
  lua_rawset(L, 1);
  return 1;
}


void late_class (lua_State *L) {
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_createtable(L, 0, 4);
  lua_pushcfunction(L, late_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}


int late_new (lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  late_class(L);
  return 1;
}
