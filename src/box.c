/*
** box.c
** A counted thing in a userdata: whatever raises, the collector lets it go.
*/

#include <stddef.h>

#include "lua.h"
#include "lauxlib.h"

#include "box.h"
#include "platform.h"


#define BOX	"isolate.Box"


int box_gc (lua_State *L) {
  Shared **box = (Shared **)lua_touserdata(L, 1);
  Shared *it = *box;
  *box = NULL;
  if (!process_forked()) shared_release(it);
  return 0;
}


Shared **box_new (lua_State *L) {
  Shared **box = (Shared **)lua_newuserdatauv(L, sizeof(*box), 0);
  *box = NULL;
  if (luaL_newmetatable(L, BOX)) {
    lua_pushcfunction(L, box_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return box;
}
