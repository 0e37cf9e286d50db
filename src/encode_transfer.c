/*
** encode_transfer.c
** Values whose metatable says how they are sent. Mirrored by decode_transfer.c.
*/

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "encoder.h"


int metafield (lua_State *L, const char *name) {
  lua_pushstring(L, name);
  if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  return 0;
}


/* Calls the user's code, which may send messages itself. */
static void call_user (Encoder *E, int nargs, int nresults) {
  E->called = 1;
  E->harmless = NULL;
  if (lua_pcall(E->L, nargs, nresults, 0) == LUA_OK) return;
  writer_reset(&E->w);  /* all that was written is not kept until a collection */
  lua_error(E->L);
}


/* Can the value at the top be called? */
static int iscallable (lua_State *L) {
  if (lua_isfunction(L, -1)) return 1;
  if (luaL_getmetafield(L, -1, "__call") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  return 1;
}


/* Calls '__transfer', which is at the top with its value under it, and opens
** a frame for the results. */
static void open_transfer (Encoder *E) {
  lua_State *L = E->L;
  int before, n, i;
  Frame *f;
  uint32_t count;
  before = lua_gettop(L) - 1;
  lua_pushvalue(L, -2);
  call_user(E, 1, LUA_MULTRET);
  n = lua_gettop(L) - before;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (n == 0 || !lua_isfunction(L, before + 1)) {
    lua_settop(L, before);
    refuse(E, "its __transfer returned no function to rebuild it");
  }
  lua_createtable(L, n, 0);
  lua_insert(L, before + 1);
  for (i = n; i >= 1; i--) lua_rawseti(L, before + 1, i);
  encoder_anchor(E);
  f = frame_open(E, FRAME_TRANSFER);
  f->n = n;
  count = (uint32_t)n;
  put_tagged(E, T_TRANSFER, &count, sizeof(count));
}


int by_metatable (Encoder *E) {
  lua_State *L = E->L;
  const void *class = lua_topointer(L, -1);
  if (class == E->harmless) return 0;  /* many objects, few classes */
  if (metafield(L, "__transfer")) {
    if (!lua_toboolean(L, -1)) {
      lua_pop(L, 2);
      refuse_kind(E);
    }
    if (!iscallable(L)) {
      lua_pop(L, 2);
      refuse(E, "its __transfer is not a function");
    }
    lua_remove(L, -2);
    if (!encoder_must_anchor(E)) open_transfer(E);
    return 1;
  }
  if (lua_istable(L, -2) && (metafield(L, "__gc") || metafield(L, "__close"))) {
    lua_pop(L, 2);
    refuse_kind(E);
  }
  E->harmless = class;
  return 0;
}


void step_transfer (Encoder *E, Frame *f) {
  lua_State *L = E->L;
  while (f->i < f->n) {
    lua_rawgeti(L, -1, ++f->i);
    if (!put_value(E, 0)) return;
  }
  lua_pop(L, 2);
  frame_close(E);
}
