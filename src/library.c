/*
** library.c
** Our own Lua layer as bytecode, kept in the process.
**
** Modules are only ever added, and stay until the process ends: so a pointer
** to one is good on every thread, and only the list's head needs the lock.
*/

#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "library.h"
#include "platform.h"


typedef struct Module {
  struct Module *next;
  const char *name, *code;	/* behind this header */
  size_t size;
} Module;

static Mutex lock = MUTEX_INIT;
static Module *modules;


static Module *head (void) {
  Module *m;
  mutex_lock(&lock);
  m = modules;
  mutex_unlock(&lock);
  return m;
}


static Module *find (const char *name) {
  Module *m;
  for (m = head(); m != NULL; m = m->next)
    if (strcmp(m->name, name) == 0) return m;
  return NULL;
}


int library_add (lua_State *L) {
  size_t len, size;
  const char *name = luaL_checklstring(L, 1, &len);
  const char *code = luaL_checklstring(L, 2, &size);
  Module *m;
  char *p;
  if (find(name) != NULL) return 0;
  m = (Module *)malloc(sizeof(*m) + len + 1 + size);
  if (m == NULL) return luaL_error(L, "not enough memory");
  p = (char *)(m + 1);
  m->name = (const char *)memcpy(p, name, len + 1);
  m->code = (const char *)memcpy(p + len + 1, code, size);
  m->size = size;
  mutex_lock(&lock);
  m->next = modules;
  modules = m;
  mutex_unlock(&lock);
  return 0;
}


int library_has (lua_State *L) {
  lua_pushboolean(L, find(luaL_checkstring(L, 1)) != NULL);
  return 1;
}


/* {======================================================
** Loading, in an isolate
**
** That may be long after the program has begun, which may have changed its
** globals, and what 'require' goes by. So the layer has globals of its own, and
** a 'require' that knows our modules only.
** ======================================================= */

/* Registry: the layer's globals; its 'require', which is the program's in a state that
** has opened the module by itself. */
static const char GLOBALS_KEY = 0;
static const char REQUIRE_KEY = 0;


/* Pushes the chunk of a module. */
static void push_chunk (lua_State *L, const Module *m) {
  if (luaL_loadbufferx(L, m->code, m->size, m->name, "b") != LUA_OK) lua_error(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &GLOBALS_KEY);
  lua_setupvalue(L, -2, 1);
}


/* The loader of the module in upvalue 1. */
static int load (lua_State *L) {
  push_chunk(L, (Module *)lua_touserdata(L, lua_upvalueindex(1)));
  lua_call(L, 0, 1);
  return 1;
}


/* __index of package.preload. Upvalue 1 opens isolate.core. */
static int preload_index (lua_State *L) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  Module *m = find(name);
  if (m != NULL) {
    lua_pushlightuserdata(L, m);
    lua_pushcclosure(L, load, 1);
  }
  else if (strcmp(name, "isolate.core") == 0) lua_pushvalue(L, lua_upvalueindex(1));
  else return 0;
  return 1;
}


/* The layer's 'require'. Upvalue 1 opens isolate.core. No function but the chunk is
** called: modules load others, and all of their stack is an isolate's memory. */
static int require (lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  Module *m;
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, 2, name);
  if (lua_toboolean(L, -1)) return 1;
  m = find(name);
  if (m != NULL) push_chunk(L, m);
  else if (strcmp(name, "isolate.core") == 0) lua_pushvalue(L, lua_upvalueindex(1));
  else luaL_error(L, "module '%s' not found", name);
  lua_call(L, 0, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, name);
  return 1;
}


void library_open (lua_State *L, lua_CFunction core) {
  lua_createtable(L, 0, 64);
  lua_pushglobaltable(L);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
  lua_pop(L, 1);
  lua_pushcfunction(L, core);
  lua_pushcclosure(L, require, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &REQUIRE_KEY);
  lua_setfield(L, -2, "require");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &GLOBALS_KEY);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, core);
  lua_pushcclosure(L, preload_index, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}


void library_open_main (lua_State *L) {
  lua_getglobal(L, "require");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &REQUIRE_KEY);
}


void library_require (lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (lua_toboolean(L, -1)) return;
  lua_pop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &REQUIRE_KEY);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
}

/* }====================================================== */
