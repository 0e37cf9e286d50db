/*
** decode_name.c
** What goes by name is looked up in the modules. Mirrors encode_name.c.
*/

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "decoder.h"


void stage_modules (lua_State *L, Decoder *d) {
  uint64_t offset = get_u64(L, d);
  const unsigned char *values;
  d->values = get_u32(L, d);
  values = d->p;
  if (offset != 0) {
    int modules = decoder_table(L, d, SLOT_MODULES);
    uint32_t i;
    if (offset < HEADER_SIZE || offset > d->m->size) damaged(L);
    d->p = d->m->bytes + offset;
    d->modules = get_count(L, d);
    for (i = 0; i < d->modules; i++) {
      int standard = get_byte(L, d);
      read_string(L, d);
      if (standard) {
        lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_insert(L, -2);
        lua_rawget(L, -2);
        lua_remove(L, -2);
      }
      else {
        lua_pushvalue(L, -1);
        lua_rawseti(L, modules, -1 - (lua_Integer)i);
        if (lua_getglobal(L, "require") != LUA_TFUNCTION)
          luaL_error(L, "no `require` for '%s' here", lua_tostring(L, -2));
        lua_insert(L, -2);
        lua_call(L, 1, 1);  /* the user's code, which may receive, too */
      }
      lua_rawseti(L, modules, (lua_Integer)i);
    }
    d->end = d->m->bytes + offset;
  }
  d->p = values;
}


lua_Integer read_module (lua_State *L, Decoder *d) {
  uint32_t i = get_u32(L, d);
  if (i >= d->modules) damaged(L);
  lua_rawgeti(L, d->slots + SLOT_MODULES, (lua_Integer)i);
  return (lua_Integer)i;
}


void read_field (lua_State *L, Decoder *d) {
  lua_Integer i = read_module(L, d);
  read_string(L, d);
  if (!lua_istable(L, -2)) {
    lua_pop(L, 2);
    lua_pushnil(L);
    return;
  }
  lua_pushvalue(L, -1);
  if (lua_gettable(L, -3) == LUA_TNIL) {
    lua_rawgeti(L, d->slots + SLOT_MODULES, -1 - i);
    if (lua_isstring(L, -1))  /* not a library of Lua: its name is kept */
      luaL_error(L, "module '%s' has no '%s' in this isolate",
                 lua_tostring(L, -1), lua_tostring(L, -3));
    lua_pop(L, 1);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}
