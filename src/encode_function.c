/*
** encode_function.c
** Functions: their code, upvalues, and the globals that they read. Mirrored by
** decode_function.c.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "encoder.h"
#include "function.h"
#include "platform.h"


/* {======================================================
** The function
** ======================================================= */

/* By name the function at the top that no module held: maybe one grew since they
** were indexed. Looks once per message. */
static int put_new_name (Encoder *E) {
  if (E->fresh != 1) return 0;
  E->fresh = 2;
  names_refresh(E->L, &E->S->names, 1);
  return put_name(E, 0);
}


/* The C function at the top: it is code of a library that must stay. */
static void put_cfunction (Encoder *E) {
  lua_State *L = E->L;
  lua_CFunction f = lua_tocfunction(L, -1);
  void *address;
  if (lua_getupvalue(L, -1, 1) != NULL) {
    lua_pop(L, 1);
    if (!put_new_name(E)) refuse_kind(E);
    return;
  }
  memcpy(&address, &f, sizeof(address));
  library_pin(address);
  put_tagged(E, T_CFUNCTION, &f, sizeof(f));
}


/* Is the value written now the function that an isolate is to call? Most of
** these are new each time and in no module, so that is not looked up twice. */
static int is_called (const Encoder *E) {
  return E->depth == 0 && E->root == 2 &&
         (E->roots == ROOT_CALL || E->roots == ROOT_SPAWN);
}


int put_function (Encoder *E) {
  lua_State *L = E->L;
  const void *address = lua_topointer(L, -1);
  size_t len;
  uint64_t size;
  const char *code;
  Frame *f;
  if (encoder_stale(E)) return 0;
  if (lua_iscfunction(L, -1)) {
    if (!put_name(E, 0)) put_cfunction(E);
    return 1;
  }
  if (put_again(E, -1, address) || put_name(E, 0)) return 1;
  if (!function_info(L, -1) && !is_called(E)) {  /* new */
    lua_insert(L, -2);
    if (put_new_name(E)) {
      lua_remove(L, -2);
      return 1;
    }
    lua_insert(L, -2);
  }
  f = frame_open(E, FRAME_UPVALUE);
  lua_rawgeti(L, -1, 0);
  code = lua_tolstring(L, -1, &len);
  size = len;
  put_tagged(E, T_FUNCTION, &size, sizeof(size));
  put_bytes(E, code, len);
  lua_pop(L, 1);
  f->n = 0;
  while (lua_getupvalue(L, -2, f->n + 1) != NULL) {
    lua_pop(L, 1);
    f->n++;
  }
  put_byte(E, f->n);
  return 0;
}

/* }====================================================== */


/* {======================================================
** Its upvalues, then its globals
** ======================================================= */

void step_upvalue (Encoder *E, Frame *f) {
  lua_State *L = E->L;
  while (f->i < f->n) {
    SeenEntry *e;
    const char *name = lua_getupvalue(L, -2, ++f->i);
    if (strcmp(name, "_ENV") == 0) {
      put_byte(E, CELL_ENV);
      lua_pop(L, 1);
      continue;
    }
    if (!encoder_seen(E, lua_upvalueid(L, -3, f->i), f->start, f->i, &e)) {
      uint64_t offset = e->offset;
      encoder_keep(E, e->offset);
      put_tagged(E, CELL_SHARED, &offset, sizeof(offset));
      put_byte(E, e->upvalue);
      lua_pop(L, 1);
      continue;
    }
    put_byte(E, CELL_NEW);
    if (!put_value(E, 0)) return;
  }
  f->kind = FRAME_GLOBAL;
  f->i = 0;
  f->patch = here(E);
  put_u32(E, 0);  /* how many, when that is known */
}


static int gettable (lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}


/* Replaces (environment, name) at the top by the value of that global, as the
** function would find it; an environment that raises (strict mode) has none. */
static void look_up (Encoder *E) {
  lua_State *L = E->L;
  int status;
  lua_pushvalue(L, -1);
  if (lua_istable(L, -3) && lua_rawget(L, -3) != LUA_TNIL) {
    lua_replace(L, -3);
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  if (luaL_getmetafield(L, -2, "__index") == LUA_TNIL) {
    lua_pop(L, 2);
    lua_pushnil(L);
    return;
  }
  lua_pop(L, 1);
  if (encoder_must_anchor(E)) return;
  lua_pushcfunction(L, gettable);
  lua_insert(L, -3);
  E->called = 1;
  status = lua_pcall(L, 2, 1, 0);
  if (status == LUA_ERRMEM) lua_error(L);
  if (status != LUA_OK) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  encoder_anchor(E);
}


/* Does the receiver have the global at the top anyway, under the name given?
** The base functions are there always; libraries where they are wanted. */
static int is_everywhere (Encoder *E, const char *name) {
  lua_State *L = E->L;
  enum Named kind;
  int same;
  if (names_base(name)) return 1;
  if (!names_standard(name)) return 0;
  kind = names_find(L, &E->S->names, -1);
  if (kind == NAMED_NOTHING) return 0;
  same = (kind == NAMED_MODULE && strcmp(lua_tostring(L, -2), name) == 0);
  lua_pop(L, 2);
  return same;
}


/* Was this global written before in this message, for the environment at
** the top of the stack? Else it is from now on. Pops the environment. */
static int global_known (Encoder *E, lua_Integer env, const char *name) {
  lua_State *L = E->L;
  int known, top = lua_gettop(L), globals = encoder_table(E, SLOT_GLOBALS);
  if (lua_rawgeti(L, globals, env) != LUA_TTABLE) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, globals, env);
    lua_replace(L, top + 1);
  }
  lua_pushstring(L, name);
  known = lua_rawget(L, top + 1) != LUA_TNIL;
  if (!known) {
    lua_pushstring(L, name);
    lua_pushboolean(L, 1);
    lua_rawset(L, top + 1);
  }
  lua_settop(L, top);
  return known;
}


void step_global (Encoder *E, Frame *f) {
  lua_State *L = E->L;
  int env;
  lua_getfield(L, -1, "env");
  env = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  while (env != 0 && lua_rawgeti(L, -1, f->i + 1) == LUA_TSTRING) {
    const char *name = lua_tostring(L, -1);
    lua_Integer id;
    f->i++;
    lua_getupvalue(L, -3, env);
    id = (lua_Integer)(uintptr_t)lua_topointer(L, -1);
    lua_insert(L, -2);  /* environment, name */
    if (names_base(name) || global_known(E, id, name)) {
      lua_pop(L, 2);
      continue;
    }
    lua_pushvalue(L, -1);
    lua_insert(L, -3);  /* name, environment, name */
    look_up(E);
    if (E->again) return;
    if (lua_isnil(L, -1) || is_everywhere(E, name)) {
      lua_pop(L, 2);
      continue;
    }
    lua_insert(L, -2);
    put_plain(E, -1);
    lua_pop(L, 1);
    f->hash++;
    if (!put_value(E, 0)) return;
  }
  if (env != 0) lua_pop(L, 1);
  patch(E, f->patch, &f->hash, sizeof(f->hash));
  lua_pop(L, 2);
  frame_close(E);
}

/* }====================================================== */
