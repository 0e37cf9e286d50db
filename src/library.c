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


/* The loader of the module in upvalue 1; 'require' gives its name. */
static int load (lua_State *L) {
  Module *m = (Module *)lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, 2);
  if (luaL_loadbufferx(L, m->code, m->size, m->name, "b") != LUA_OK)
    return lua_error(L);
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}


void library_preload (lua_State *L) {
  Module *m;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (m = head(); m != NULL; m = m->next) {
    lua_pushlightuserdata(L, m);
    lua_pushcclosure(L, load, 1);
    lua_setfield(L, -2, m->name);
  }
  lua_pop(L, 1);
}
