/*
** decode_function.c
** Functions: their code, upvalues, and the globals that they read. Mirrors
** encode_function.c.
*/

#include "lua.h"

#include "hidden.h"
#include "decoder.h"


/* Marks the place of a carried global that is a node. */
static const char LATER = 0;


typedef struct Code { const char *p; size_t size; } Code;

static const char *code_reader (lua_State *L, void *ud, size_t *size) {
  Code *code = (Code *)ud;
  (void)L;
  *size = code->size;
  code->size = 0;
  return *size > 0 ? code->p : NULL;
}


void read_function (lua_State *L, Decoder *d, lua_Integer kept) {
  Code code;
  Build *f;
  uint64_t size = get_u64(L, d);
  code.p = (const char *)get_bytes(L, d, size);
  code.size = (size_t)size;
  if (lua_load(L, code_reader, &code, "=message", "b") != LUA_OK) lua_error(L);
  if (kept >= 0) decoder_keep(L, d, kept);
  f = build_open(L, d, T_FUNCTION, BUILD_UPVALUE);
  f->array = (uint32_t)get_byte(L, d);
}


/* Joins upvalue 'f->i + 1' with one that an earlier function has. */
static void join (lua_State *L, Decoder *d, Build *f) {
  uint64_t offset = get_u64(L, d);
  int upvalue = get_byte(L, d);
  int kept = decoder_table(L, d, SLOT_KEPT);
  lua_rawgeti(L, kept, (lua_Integer)offset);
  if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1) ||
      lua_upvalueid(L, -1, upvalue) == NULL ||
      lua_upvalueid(L, -2, (int)f->i + 1) == NULL) damaged(L);
  lua_upvaluejoin(L, -2, (int)f->i + 1, -1, upvalue);
  lua_pop(L, 1);
}


int function_next (lua_State *L, Decoder *d, Build *f) {
  while (f->stage == BUILD_UPVALUE && f->i < f->array) {
    switch (get_byte(L, d)) {
      case CELL_NEW: return 1;
      case CELL_ENV:
        lua_pushglobaltable(L);
        if (lua_setupvalue(L, -2, (int)f->i + 1) == NULL) damaged(L);
        break;
      case CELL_SHARED: join(L, d, f); break;
      default: damaged(L);
    }
    f->i++;
  }
  if (f->stage == BUILD_UPVALUE) {
    f->stage = BUILD_GLOBAL;
    f->hash = get_count(L, d);
  }
  if (f->hash == 0) return 0;
  read_string(L, d);
  return 1;
}


void put_upvalue (lua_State *L, Decoder *d, Build *f) {
  f->i++;
  if (d->node) {
    lua_pushvalue(L, -2);
    lua_pushinteger(L, (lua_Integer)f->i);
    lua_rotate(L, -3, -1);
    add_action(L, d, ACTION_UPVALUE);
  }
  else if (lua_setupvalue(L, -2, (int)f->i) == NULL) damaged(L);
}


void put_global (lua_State *L, Decoder *d, Build *f) {
  int globals = decoder_table(L, d, SLOT_GLOBALS);
  f->hash--;
  lua_pushvalue(L, -2);
  if (lua_rawget(L, globals) != LUA_TNIL) {
    lua_pop(L, 3);
    return;
  }
  lua_pop(L, 1);
  if (d->node) {
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, (void *)&LATER);
    lua_rawset(L, globals);
    lua_pushvalue(L, globals);
    lua_insert(L, -3);
    add_action(L, d, ACTION_FIELD);
  }
  else lua_rawset(L, globals);
}


void set_globals (lua_State *L, Decoder *d) {
  int top = lua_gettop(L), globals = d->slots + SLOT_GLOBALS;
  if (lua_isnil(L, globals)) return;
  lua_pushglobaltable(L);
  lua_pushnil(L);
  while (lua_next(L, globals)) {  /* _G, name, value */
    lua_pushvalue(L, -2);
    if (lua_rawget(L, top + 1) == LUA_TNIL &&
        lua_touserdata(L, -2) != (const void *)&LATER) {
      lua_pushvalue(L, -3);
      lua_pushvalue(L, -3);
      lua_rawset(L, top + 1);
    }
    lua_pop(L, 2);
  }
  lua_settop(L, top);
}
