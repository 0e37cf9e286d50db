/*
** decode_transfer.c
** Values that were taken apart are rebuilt. Mirrors encode_transfer.c.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "decoder.h"


/* Of an action, in entries of the table. */
#define ACTION_SIZE	4


void add_action (lua_State *L, Decoder *d, int what) {
  int actions = decoder_table(L, d, SLOT_ACTIONS);
  lua_Integer at = d->actions++ * ACTION_SIZE;
  lua_rawseti(L, actions, at + 4);
  lua_rawseti(L, actions, at + 3);
  lua_rawseti(L, actions, at + 2);
  lua_pushinteger(L, what);
  lua_rawseti(L, actions, at + 1);
}


int isnode (lua_State *L, Decoder *d, int idx) {
  int is;
  if (lua_isnil(L, d->slots + SLOT_NODES)) return 0;
  lua_pushvalue(L, idx);
  is = lua_rawget(L, d->slots + SLOT_NODES) != LUA_TNIL;
  lua_pop(L, 1);
  return is;
}


void read_transfer (lua_State *L, Decoder *d, lua_Integer kept) {
  uint32_t n = get_count(L, d);
  int nodes = decoder_table(L, d, SLOT_NODES);
  Build *f;
  if (n == 0) damaged(L);  /* the first is called */
  lua_createtable(L, (int)n, 1);
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, "n");
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, nodes);
  if (kept >= 0) decoder_keep(L, d, kept);
  f = build_open(L, d, T_TRANSFER, BUILD_RESULT);
  f->array = n;
}


void end_transfer (lua_State *L, Decoder *d) {
  lua_pushvalue(L, -1);
  lua_pushnil(L);
  lua_pushnil(L);
  add_action(L, d, ACTION_REBUILD);
  d->node = 1;
}


int decoder_note_hook (lua_State *L) {
  lua_Debug ar;  /* the function that was hooked has called us, as it were */
  if (lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) &&
      strcmp(ar.namewhat, "hook") == 0)
    state_find(L)->hooked = 1;
  return 1;
}


/* Calls what rebuilds the node at the top, and keeps its result there. */
static void rebuild (lua_State *L, Decoder *d) {
  int node = lua_gettop(L), i, n, status;
  lua_getfield(L, node, "n");
  n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n + LUA_MINSTACK, "too many results of __transfer");
  lua_pushcfunction(L, decoder_note_hook);
  for (i = 1; i <= n; i++) lua_rawgeti(L, node, i);
  d->S->rebuilding++;
  status = lua_pcall(L, n - 1, 1, node + 1);  /* it may receive messages itself */
  d->S->rebuilding--;
  if (status != LUA_OK) lua_error(L);
  lua_setfield(L, node, "value");
  lua_pop(L, 1);
  lua_pushboolean(L, 1);
  lua_setfield(L, node, "done");
}


/* If the value at 'idx' is a node, replaces it by what it was rebuilt to.
** False if that is still to come. */
static int resolve (lua_State *L, Decoder *d, int idx) {
  int done;
  if (!isnode(L, d, idx)) return 1;
  lua_getfield(L, idx, "done");
  done = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (done) {
    lua_getfield(L, idx, "value");
    lua_replace(L, idx);
  }
  return done;
}


/* Does what is noted at the top: what, a, b, c. An action on a node that is
** not yet rebuilt (it is made of itself) is put off. */
static void act (lua_State *L, Decoder *d) {
  int a = lua_gettop(L) - 2, b = a + 1, c = a + 2;
  int what = (int)lua_tointeger(L, a - 1);
  if (what == ACTION_REBUILD) {
    lua_settop(L, a);
    rebuild(L, d);
    return;
  }
  if (!resolve(L, d, b) || !resolve(L, d, c)) {
    add_action(L, d, what);
    return;
  }
  switch (what) {
    case ACTION_FIELD:
      if (lua_isnil(L, b)) luaL_error(L, "a key was rebuilt as nil");
      lua_rawset(L, a);
      break;
    case ACTION_UPVALUE:
      if (lua_setupvalue(L, a, (int)lua_tointeger(L, b)) == NULL) damaged(L);
      break;
    case ACTION_METATABLE:
      lua_settop(L, b);
      if (lua_istable(L, b)) lua_setmetatable(L, a);
      break;
    case ACTION_ROOT:
      lua_settop(L, b);
      lua_replace(L, (int)lua_tointeger(L, a));
      break;
  }
}


int stage_actions (lua_State *L, Decoder *d) {
  int top = lua_gettop(L), i;
  while (d->action < d->actions) {
    if (out_of_time(d)) return 0;
    for (i = 1; i <= ACTION_SIZE; i++)
      lua_rawgeti(L, d->slots + SLOT_ACTIONS, d->action * ACTION_SIZE + i);
    d->action++;
    act(L, d);
    lua_settop(L, top);
  }
  return 1;
}
