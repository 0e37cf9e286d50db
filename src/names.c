/*
** names.c
** Which loaded module holds this value: the by-name index.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

#include "hidden.h"
#include "names.h"


/* Registry: array of names; entry i has its module at 2i-1, its field (or
** false) at 2i. At 0, the block of the entries, a userdata. */
static const char STRINGS_KEY = 0;

/* Registry: module name -> true once 'require' is known to find it. */
static const char FINDABLE_KEY = 0;


void names_init (Names *n) { memset(n, 0, sizeof(*n)); }


/* {======================================================
** Names that need no index
** ======================================================= */

static int inlist (const char *const *list, const char *name) {
  for (; *list != NULL; list++)
    if (strcmp(*list, name) == 0) return 1;
  return 0;
}


int names_standard (const char *module) {
  static const char *const list[] = {
    LUA_GNAME, LUA_LOADLIBNAME, LUA_COLIBNAME, LUA_TABLIBNAME, LUA_IOLIBNAME,
    LUA_OSLIBNAME, LUA_STRLIBNAME, LUA_UTF8LIBNAME, LUA_MATHLIBNAME,
    LUA_DBLIBNAME, NULL
  };
  return inlist(list, module);
}


int names_base (const char *name) {
  static const char *const list[] = {
    "assert", "collectgarbage", "dofile", "error", "getmetatable", "ipairs",
    "load", "loadfile", "next", "pairs", "pcall", "print", "rawequal",
    "rawget", "rawlen", "rawset", "require", "select", "setmetatable",
    "tonumber", "tostring", "type", "warn", "xpcall", "_G", "_VERSION", NULL
  };
  return inlist(list, name);
}

/* }====================================================== */


/* {======================================================
** Building
** ======================================================= */

static uint64_t mix (uint64_t h, const void *p) {
  h ^= (uint64_t)(uintptr_t)p + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
  return h * 0xFF51AFD7ED558CCDu;
}


static void pushloaded (lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}


/* A number that changes when modules come, go or are replaced: the order in
** which a table is walked is the same while it is not changed. */
static uint64_t markloaded (lua_State *L) {
  uint64_t h = 0;
  pushloaded(L);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    h = mix(h, lua_topointer(L, -2));
    h = mix(h, lua_topointer(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return h;
}


static size_t slot (const Names *n, const void *value) {
  return (size_t)(mix(0, value) >> 20) & (n->size - 1);
}


static NameEntry *lookup (const Names *n, const void *value) {
  size_t i;
  if (n->size == 0) return NULL;
  for (i = slot(n, value); n->entries[i].value != NULL; i = (i + 1) & (n->size - 1))
    if (n->entries[i].value == value) return &n->entries[i];
  return NULL;
}


/* Makes room for one more; the block is at 0 of the list of strings. */
static void grow (lua_State *L, Names *n, int strings) {
  Names bigger = *n;
  size_t i;
  if ((n->used + 1) * 4 <= n->size * 3) return;
  bigger.size = n->size ? n->size * 2 : 512;
  bigger.entries = (NameEntry *)lua_newuserdatauv(L,
                                          bigger.size * sizeof(NameEntry), 0);
  memset(bigger.entries, 0, bigger.size * sizeof(NameEntry));
  for (i = 0; i < n->size; i++) {
    const NameEntry *e = &n->entries[i];
    if (e->value != NULL) {
      size_t j = slot(&bigger, e->value);
      while (bigger.entries[j].value != NULL) j = (j + 1) & (bigger.size - 1);
      bigger.entries[j] = *e;
    }
  }
  lua_rawseti(L, strings, 0);  /* the old block is garbage now */
  *n = bigger;
}


/* Is (module, field) a better name than what entry 'e' has? A module's own
** name before a field's, Lua's libraries first, then the alphabet: so that a
** message does not depend on the order of tables. Stack: …, strings at
** 'strings', module and field at the top. */
static int better (lua_State *L, int strings, const NameEntry *e,
                   enum Named kind) {
  const char *module = lua_tostring(L, -2), *other;
  int standard = names_standard(module), res;
  if (kind == NAMED_MODULE || e->kind == NAMED_MODULE)
    if (kind != e->kind) return kind == NAMED_MODULE;
  lua_rawgeti(L, strings, e->module);
  other = lua_tostring(L, -1);
  res = strcmp(module, other);
  if (standard != names_standard(other)) res = standard ? -1 : 1;
  lua_pop(L, 1);
  if (res == 0 && kind != NAMED_MODULE) {  /* two fields of one module */
    lua_rawgeti(L, strings, e->field);
    res = strcmp(lua_tostring(L, -2), lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  return res < 0;
}


/* Enters the value at 'idx' under the module and field (or false) at the top
** of the stack; pops these two. The module's name is the string 'from'. */
static void enter (lua_State *L, Names *n, int strings, int idx,
                   enum Named kind, unsigned int from) {
  const void *value = lua_topointer(L, idx);
  NameEntry *e = lookup(n, value);
  if (e != NULL) {
    if (!better(L, strings, e, kind)) {
      lua_pop(L, 2);
      return;
    }
  }
  else {
    size_t i;
    grow(L, n, strings);
    i = slot(n, value);
    while (n->entries[i].value != NULL) i = (i + 1) & (n->size - 1);
    e = &n->entries[i];
    e->value = value;
    e->field = ++n->strings;
    n->used++;
  }
  e->kind = (unsigned char)kind;
  e->module = from & 0xffffff;
  lua_rawseti(L, strings, e->field);
  lua_pop(L, 1);
}


static int hasfield (lua_State *L, int idx, const char *name) {
  int has;
  idx = lua_absindex(L, idx);
  lua_pushstring(L, name);
  has = lua_rawget(L, idx) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}


/* What a field with the value at 'idx' is good for. */
static enum Named kindof (lua_State *L, int idx) {
  if (lua_isfunction(L, idx)) return NAMED_FUNCTION;
  if (!lua_istable(L, idx)) return NAMED_NOTHING;
  if (hasfield(L, idx, "__index") || hasfield(L, idx, "__name") ||
      hasfield(L, idx, "__call")) return NAMED_CLASS;
  return NAMED_TABLE;
}


/* Enters the fields of the module at the top (name below it). True if it
** holds at least one function. What is written in Lua is no part of Lua's own
** libraries: somebody has added it, and here only. */
static int enterfields (lua_State *L, Names *n, int strings, unsigned int from) {
  int module = lua_gettop(L), functions = 0;
  int isglobals = strcmp(lua_tostring(L, module - 1), LUA_GNAME) == 0;
  int standard = names_standard(lua_tostring(L, module - 1));
  lua_pushnil(L);
  while (lua_next(L, module)) {
    enum Named kind = kindof(L, -1);
    if (kind == NAMED_FUNCTION) functions = 1;
    if (kind != NAMED_NOTHING && lua_type(L, -2) == LUA_TSTRING &&
        !(isglobals && !names_base(lua_tostring(L, -2))) &&
        !(standard && !lua_iscfunction(L, -1) && kind == NAMED_FUNCTION)) {
      lua_pushvalue(L, module - 1);
      lua_pushvalue(L, -3);
      enter(L, n, strings, module + 2, kind, from);
    }
    lua_pop(L, 1);
  }
  return functions;
}


/* A new index takes the place of the old one when it is complete: finalizers
** may run meanwhile, and use the old one. */
static void build (lua_State *L, Names *n) {
  Names fresh;
  int strings, loaded;
  names_init(&fresh);
  fresh.mark = markloaded(L);
  lua_newtable(L);
  strings = lua_gettop(L);
  pushloaded(L);
  loaded = strings + 1;
  lua_pushnil(L);
  while (lua_next(L, loaded)) {
    if (lua_type(L, -2) == LUA_TSTRING && (lua_istable(L, -1) || lua_isfunction(L, -1))) {
      unsigned int from = ++fresh.strings;
      lua_pushvalue(L, -2);
      lua_rawseti(L, strings, from);
      if (lua_isfunction(L, -1) || enterfields(L, &fresh, strings, from)) {
        lua_pushvalue(L, -2);
        lua_pushboolean(L, 0);
        enter(L, &fresh, strings, loaded + 2, NAMED_MODULE, from);
      }
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &STRINGS_KEY);
  fresh.built = 1;
  *n = fresh;
}

/* }====================================================== */


int names_refresh (lua_State *L, Names *n, int force) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (n->built && !force && markloaded(L) == n->mark) return 0;
  build(L, n);
  return 1;
}


/* Modules change under the index: the name must lead to the value still. */
static int holds (lua_State *L, const NameEntry *e) {
  int ok;
  pushloaded(L);
  lua_pushvalue(L, -3);
  lua_rawget(L, -2);
  if (e->kind != NAMED_MODULE && lua_istable(L, -1)) {
    lua_pushvalue(L, -3);
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  ok = lua_topointer(L, -1) == e->value;
  lua_pop(L, 2);
  return ok;
}


enum Named names_find (lua_State *L, const Names *n, int idx) {
  const NameEntry *e = lookup(n, lua_topointer(L, idx));
  if (e == NULL) return NAMED_NOTHING;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &STRINGS_KEY);
  lua_rawgeti(L, -1, e->module);
  lua_rawgeti(L, -2, e->field);
  lua_remove(L, -3);
  if (holds(L, e)) return (enum Named)e->kind;
  lua_pop(L, 2);
  return NAMED_NOTHING;
}


/* {======================================================
** Can it be found again?
** ======================================================= */

/* As 'lua_pcall' with one result, but lack of memory is no answer: raises. */
static int ask (lua_State *L, int nargs) {
  int status = lua_pcall(L, nargs, 1, 0);
  if (status == LUA_ERRMEM) lua_error(L);
  return status == LUA_OK;
}


/* package.searchpath(name, package[field]) finds something. Stack: name,
** package. */
static int onpath (lua_State *L, const char *field) {
  int top = lua_gettop(L), found = 0;
  lua_getfield(L, top, "searchpath");
  lua_pushvalue(L, top - 1);
  if (lua_getfield(L, top, field) == LUA_TSTRING)
    found = (ask(L, 2) && lua_isstring(L, -1));
  lua_settop(L, top);
  return found;
}


/* A searcher of the user's, in Lua, has a loader for it. */
static int searched (lua_State *L) {
  int i, top = lua_gettop(L), found = 0;
  if (lua_getfield(L, top, "searchers") == LUA_TTABLE) {
    for (i = 1; !found && lua_rawgeti(L, top + 1, i) != LUA_TNIL; i++) {
      if (lua_isfunction(L, -1) && !lua_iscfunction(L, -1)) {
        lua_pushvalue(L, top - 1);
        found = (ask(L, 1) && lua_isfunction(L, -1));
      }
      lua_settop(L, top + 1);
    }
  }
  lua_settop(L, top);
  return found;
}


static int preloaded (lua_State *L) {
  int top = lua_gettop(L);
  int found = (lua_getfield(L, top, "preload") == LUA_TTABLE &&
               (lua_pushvalue(L, top - 1), lua_rawget(L, -2)) != LUA_TNIL);
  lua_settop(L, top);
  return found;
}


/* 'a.b' may be in the C library of 'a'. */
static int inroot (lua_State *L, const char *name) {
  const char *dot = strchr(name, '.');
  int found;
  if (dot == NULL) return 0;
  lua_pushlstring(L, name, (size_t)(dot - name));
  lua_pushvalue(L, -2);
  found = onpath(L, "cpath");
  lua_pop(L, 2);
  return found;
}


/* The same, asked of package. Stack: name; leaves more on it. */
static int find (lua_State *L) {
  const char *name = lua_tostring(L, -1);
  if (names_standard(name) || strcmp(name, "isolate") == 0 ||
      strncmp(name, "isolate.", 8) == 0) return 1;
  pushloaded(L);
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  lua_remove(L, -2);
  return lua_istable(L, -1) &&
         (preloaded(L) || onpath(L, "path") || onpath(L, "cpath") ||
          inroot(L, name) || searched(L));
}


int names_findable (lua_State *L, int idx) {
  int found, top = lua_gettop(L);
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &FINDABLE_KEY) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &FINDABLE_KEY);
  }
  lua_pushvalue(L, idx);
  found = lua_rawget(L, top + 1) != LUA_TNIL;
  if (!found) {
    lua_pushvalue(L, idx);
    found = find(L);
    lua_settop(L, top + 1);
    if (found) {
      lua_pushvalue(L, idx);
      lua_pushboolean(L, 1);
      lua_rawset(L, top + 1);
    }
  }
  lua_settop(L, top);
  return found;
}

/* }====================================================== */
