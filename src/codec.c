/*
** codec.c
** The window on a stack that is deeper than Lua allows.
*/

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "codec.h"


/* Moves the lower half of the window into a table of its own. */
static void spill (lua_State *L, Spine *s) {
  int n = (lua_gettop(L) - s->base + 1) / 2;
  int i;
  if (lua_isnil(L, s->slot)) {
    lua_newtable(L);
    lua_replace(L, s->slot);
  }
  lua_createtable(L, n, 0);
  for (i = 0; i < n; i++) {
    lua_pushvalue(L, s->base + i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushinteger(L, n);  /* a slot may be nil, so its length says nothing */
  lua_rawseti(L, -2, 0);
  lua_rawseti(L, s->slot, ++s->chunks);
  lua_rotate(L, s->base, -n);
  lua_pop(L, n);
}


/* The opposite: the newest chunk comes back under the window. */
static void unspill (lua_State *L, Spine *s) {
  int i, n;
  lua_rawgeti(L, s->slot, s->chunks);
  lua_rawgeti(L, -1, 0);
  n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n + LUA_MINSTACK, NULL);
  for (i = 1; i <= n; i++)
    lua_rawgeti(L, -i, i);  /* chunk, 1, 2, … */
  lua_rotate(L, s->base, n);  /* under the slots that stayed, and the chunk */
  lua_pop(L, 1);  /* the chunk */
  lua_pushnil(L);
  lua_rawseti(L, s->slot, s->chunks--);
}


void spine_push (lua_State *L, Spine *s) {
  if (lua_gettop(L) - s->base > SPINE_WINDOW) spill(L, s);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
}


void spine_pop (lua_State *L, Spine *s) {
  if (s->chunks > 0 && lua_gettop(L) - s->base + 1 < SPINE_MARGIN)
    unspill(L, s);
}
