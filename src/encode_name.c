/*
** encode_name.c
** What modules hold goes by name. Mirrored by decode_name.c.
*/

#include <string.h>

#include "lua.h"

#include "hidden.h"
#include "encoder.h"


int encoder_stale (Encoder *E) {
  if (E->fresh) return 0;
  E->fresh = 1;
  if (!names_refresh(E->L, &E->S->names, 0) || E->called) return 0;
  E->again = 1;
  E->depth = 0;
  return 1;
}


/* Writes the number of the module named at the top among those of this
** message; pops the name. */
static void put_module (Encoder *E, int tag) {
  lua_State *L = E->L;
  int modules = encoder_table(E, SLOT_MODULES);
  uint32_t i;
  E->plain = 0;
  lua_pushvalue(L, -1);
  if (lua_rawget(L, modules) == LUA_TNIL) {
    i = (uint32_t)E->modules++;
    lua_pushvalue(L, -2);
    lua_pushinteger(L, (lua_Integer)i);
    lua_rawset(L, modules);
    lua_pushvalue(L, -2);
    lua_rawseti(L, modules, (lua_Integer)i);
  }
  else i = (uint32_t)lua_tointeger(L, -1);
  lua_pop(L, 2);
  put_tagged(E, tag, &i, sizeof(i));
}


/* Does the module (under its name and nil, at the top) hold C functions that
** are its own? */
static int is_c_library (lua_State *L, const Names *names) {
  int top = lua_gettop(L), is = 0;
  if (!lua_istable(L, top - 2)) return 0;
  lua_pushnil(L);
  while (!is && lua_next(L, top - 2)) {
    if (lua_iscfunction(L, -1) && names_find(L, names, -1) == NAMED_FUNCTION)
      is = lua_rawequal(L, -2, top - 1);
    lua_settop(L, top + 1);
  }
  lua_settop(L, top);
  return is;
}


int put_name (Encoder *E, int asclass) {
  lua_State *L = E->L;
  enum Named kind = names_find(L, &E->S->names, -1);
  if (kind == NAMED_NOTHING) return 0;
  if (kind == NAMED_TABLE && !asclass) {
    lua_pop(L, 2);
    return 0;
  }
  if (!names_findable(L, -2)) {  /* set by hand: a copy will do, if it can */
    if (lua_iscfunction(L, -3) ||
        (kind == NAMED_MODULE && is_c_library(L, &E->S->names))) {
      lua_pushfstring(L, "`require` cannot find '%s'", lua_tostring(L, -2));
      lua_replace(L, -3);
      lua_pop(L, 1);
      return refuse(E, NULL);
    }
    lua_pop(L, 2);
    return 0;
  }
  if (E->explaining) note_name(E, kind);
  if (kind == NAMED_MODULE) {
    lua_pop(L, 1);
    put_module(E, T_MODULE);
  }
  else {
    lua_insert(L, -2);  /* value, field, module */
    put_module(E, T_FIELD);
    put_plain(E, -1);
    lua_pop(L, 1);
  }
  return 1;
}


void put_modules (Encoder *E) {
  lua_State *L = E->L;
  uint64_t offset = here(E);
  int i;
  if (E->modules == 0) return;
  patch(E, 0, &offset, sizeof(offset));
  put_u32(E, (uint32_t)E->modules);
  for (i = 0; i < E->modules; i++) {
    lua_rawgeti(L, E->slots + SLOT_MODULES, i);
    put_byte(E, names_standard(lua_tostring(L, -1)));
    put_plain(E, -1);
    lua_pop(L, 1);
  }
}
