/*
** function.c
** What goes over with a function: its code, and the globals that it reads.
**
** A global name in Lua 5.4 is a field of the upvalue _ENV: the instruction
** GETTABUP reads one if the name is a short string among the first 256
** constants. Else _ENV is first loaded by GETUPVAL and the field taken by
** GETTABLE; then each string constant that GETTABUP could not have named may
** be a global. The dump of a function shows all this, and is needed anyway.
** Lua does not promise the format: so a function whose globals are known is
** read first, and if that fails every string constant counts as a name.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "function.h"
#include "state.h"


/* Registry: closure -> its table; weak keys. */
static const char INFO_KEY = 0;

/* Registry: whether dumps of this Lua can be read (true or false). */
static const char READABLE_KEY = 0;


/* {======================================================
** Reading a dump (mirrors ldump.c of Lua 5.4)
** ======================================================= */

#define OP_GETUPVAL	9
#define OP_GETTABUP	11
#define OP_GETTABLE	12

#define HEADER_DATA	"\x1bLua\x54\x00\x19\x93\r\n\x1a\n"

/* What is not found in an instruction's 8-bit field. */
#define FIELD_MAX	255

#define NOENV	(-1)

typedef struct Dump {
  lua_State *L;
  const unsigned char *p, *end;
  int names;		/* stack index of the table of names */
  int all;		/* every string constant counts */
  int bad;		/* not a dump as we know it */
} Dump;

/* A string constant, or NULL. */
typedef struct Constant { const char *s; size_t len; } Constant;


static void skip (Dump *d, size_t n) {
  if (n > (size_t)(d->end - d->p)) {
    d->bad = 1;
    d->p = d->end;
  }
  else d->p += n;
}


static int byte (Dump *d) {
  const unsigned char *p = d->p;
  skip(d, 1);
  return d->bad ? 0 : *p;
}


/* Seven bits a byte, the last one marked. */
static size_t size (Dump *d) {
  size_t x = 0;
  int b;
  do {
    b = byte(d);
    x = (x << 7) | (size_t)(b & 0x7f);
  } while (!d->bad && (b & 0x80) == 0);
  return x;
}


static Constant string (Dump *d) {
  Constant c = {NULL, 0};
  size_t n = size(d);
  if (n > 0) {
    c.s = (const char *)d->p;
    c.len = n - 1;
    skip(d, c.len);
  }
  return c;
}


static void add (Dump *d, Constant c) {
  if (c.s == NULL) return;
  lua_pushlstring(d->L, c.s, c.len);
  lua_pushboolean(d->L, 1);
  lua_rawset(d->L, d->names);
}


static unsigned int instruction (const unsigned char *code, size_t i) {
  unsigned int ins;
  memcpy(&ins, code + i * 4, 4);
  return ins;
}


/* Adds the constants of one function that its code uses as global names. */
static void names_of (Dump *d, const unsigned char *code, size_t ncode,
                      const Constant *k, size_t nk, int env) {
  int loads = 0, indexes = 0;
  size_t i;
  for (i = 0; env != NOENV && i < ncode; i++) {
    unsigned int ins = instruction(code, i);
    unsigned int op = ins & 0x7f, b = (ins >> 16) & 0xff, c = ins >> 24;
    if (op == OP_GETTABUP && (int)b == env && c < nk) add(d, k[c]);
    else if (op == OP_GETUPVAL && (int)b == env) loads = 1;
    else if (op == OP_GETTABLE) indexes = 1;
  }
  for (i = 0; i < nk; i++)
    if (d->all || (loads && indexes && (i > FIELD_MAX || k[i].len > 40)))
      add(d, k[i]);
}


/* Reads the constants into a block on the Lua stack. */
static Constant *constants (Dump *d, size_t *n) {
  Constant *k;
  size_t i;
  *n = size(d);
  if (*n > (size_t)(d->end - d->p)) d->bad = 1;
  if (d->bad) *n = 0;
  k = (Constant *)lua_newuserdatauv(d->L, (*n + 1) * sizeof(Constant), 0);
  memset(k, 0, (*n + 1) * sizeof(Constant));
  for (i = 0; i < *n && !d->bad; i++) {
    switch (byte(d)) {
      case 0x00: case 0x01: case 0x11: break;	/* nil, false, true */
      case 0x03: skip(d, sizeof(lua_Integer)); break;
      case 0x13: skip(d, sizeof(lua_Number)); break;
      case 0x04: case 0x14: k[i] = string(d); break;
      default: d->bad = 1;
    }
  }
  return k;
}


/* Which upvalue of a function is 'outer' of the one around it? The list says
** for each: in the enclosing stack?, index there, kind. */
static int inherited (const unsigned char *list, size_t n, int outer) {
  size_t i;
  for (i = 0; i < n; i++)
    if (!list[i * 3] && list[i * 3 + 1] == outer) return (int)i;
  return NOENV;
}


/* One function. 'env' is the upvalue that holds the environment: its own at
** depth 0, else the enclosing function's; or NOENV. */
static void function (Dump *d, int env, int depth) {
  const unsigned char *code, *upvalues;
  size_t n, ncode, nk;
  Constant *k;
  if (depth > 200) d->bad = 1;  /* deeper than Lua nests them */
  luaL_checkstack(d->L, LUA_MINSTACK, NULL);
  string(d);  /* source */
  size(d); size(d);  /* lines */
  skip(d, 3);  /* parameters, vararg, stack */
  ncode = size(d);
  code = d->p;
  if (ncode > (size_t)(d->end - d->p) / 4) d->bad = 1;
  skip(d, ncode * 4);
  k = constants(d, &nk);
  n = size(d);
  upvalues = d->p;
  if (n > 255) d->bad = 1;
  skip(d, n * 3);
  if (d->bad) return;
  if (depth > 0 && env != NOENV) env = inherited(upvalues, n, env);
  names_of(d, code, ncode, k, nk, env);
  lua_pop(d->L, 1);  /* the constants */
  for (n = size(d); n > 0 && !d->bad; n--) function(d, env, depth + 1);
  n = size(d); skip(d, n);  /* line of each instruction */
  for (n = size(d); n > 0 && !d->bad; n--) { size(d); size(d); }
  for (n = size(d); n > 0 && !d->bad; n--) { string(d); size(d); size(d); }
  for (n = size(d); n > 0 && !d->bad; n--) string(d);  /* names of upvalues */
}


/* Adds the names read by the dump 'code' to the table at 'names'. False if
** this is no dump as we know it. */
static int scan (lua_State *L, const char *code, size_t len, int names,
                 int env, int all) {
  const size_t header = sizeof(HEADER_DATA) - 1 + 3 +
                        sizeof(lua_Integer) + sizeof(lua_Number) + 1;
  int top = lua_gettop(L);
  Dump d;
  d.L = L;
  d.p = (const unsigned char *)code;
  d.end = d.p + len;
  d.names = names;
  d.all = all;
  d.bad = len < header ||
          memcmp(code, HEADER_DATA, sizeof(HEADER_DATA) - 1) != 0;
  skip(&d, header);
  function(&d, env, 0);
  lua_settop(L, top);
  return !d.bad && d.p == d.end;
}

/* }====================================================== */


/* Lua's own 'string.dump' does it this way: the buffer starts on the stack
** only once the function there was seen. */
typedef struct Code { luaL_Buffer b; int started; } Code;

static int writer (lua_State *L, const void *p, size_t n, void *ud) {
  Code *code = (Code *)ud;
  if (!code->started) luaL_buffinit(L, &code->b);
  code->started = 1;
  luaL_addlstring(&code->b, (const char *)p, n);
  return 0;
}


/* Pushes the code of the function at the top. */
static void dump (lua_State *L) {
  Code code;
  code.started = 0;
  lua_dump(L, writer, &code, 0);
  luaL_pushresult(&code.b);
}


static int isglobals (lua_State *L, int idx) {
  int is;
  idx = lua_absindex(L, idx);
  lua_pushglobaltable(L);
  is = lua_rawequal(L, -1, idx);
  lua_pop(L, 1);
  return is;
}


/* The upvalue that global names are read through, or 0: the one named _ENV;
** without names (stripped code), the one that is the globals table. */
static int env_upvalue (lua_State *L, int idx) {
  const char *name;
  int i, env = 0;
  for (i = 1; env == 0 && (name = lua_getupvalue(L, idx, i)) != NULL; i++) {
    int unnamed = strcmp(name, "(no name)") == 0;
    if (strcmp(name, "_ENV") == 0 || (unnamed && isglobals(L, -1)))
      env = i;
    lua_pop(L, 1);
  }
  return env;
}


static int hasname (lua_State *L, int names, const char *name) {
  int has;
  lua_pushstring(L, name);
  has = lua_rawget(L, names) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}


/* The guard: a function with a nested one, more constants than an instruction
** can name, and other kinds of access. Pushes the function. */
static void guard (lua_State *L) {
  int i;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "local up = _ENV\n"
    "return function (a) local function g () return r1, a.x, up.y end\n"
    "w1 = r2.z; local e; do local _ENV = {}; r3 = r4;\n"
    "e = function () return r5 end end return g, e, {");
  for (i = 0; i < 300; i++) {
    lua_pushfstring(L, "'c%d',", i);
    luaL_addvalue(&b);
  }
  luaL_addstring(&b, "}, late end");
  luaL_pushresult(&b);
  if (luaL_loadstring(L, lua_tostring(L, -1)) != LUA_OK) lua_error(L);
  lua_call(L, 0, 1);
}


/* Can dumps of this Lua be read? */
static int readable (lua_State *L) {
  static const char *const wanted[] = {"r1", "r2", "late"};
  static const char *const unwanted[] = {"x", "y", "z", "w1", "r3", "r4", "r5",
                                         "c0"};
  int top = lua_gettop(L), names, ok;
  size_t i, len;
  const char *code;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &READABLE_KEY) == LUA_TNIL) {
    guard(L);
    dump(L);
    code = lua_tolstring(L, -1, &len);
    lua_newtable(L);
    names = lua_gettop(L);
    ok = scan(L, code, len, names, env_upvalue(L, names - 2) - 1, 0);
    for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
      ok = ok && hasname(L, names, wanted[i]);
    for (i = 0; i < sizeof(unwanted) / sizeof(*unwanted); i++)
      ok = ok && !hasname(L, names, unwanted[i]);
    lua_pushboolean(L, ok);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &READABLE_KEY);
  }
  else ok = lua_toboolean(L, -1);
  lua_settop(L, top);
  return ok;
}


/* Pushes the cache. */
static void pushcache (lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &INFO_KEY) != LUA_TTABLE) {
    lua_pop(L, 1);
    push_weak_table(L, "k");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &INFO_KEY);
  }
}


/* Pushes a new table of what is to be known of the function at 'idx'. */
static void make_info (lua_State *L, int idx) {
  int env = env_upvalue(L, idx), info, names, i = 0;
  size_t len;
  const char *code;
  lua_newtable(L);
  info = lua_gettop(L);
  lua_pushvalue(L, idx);
  dump(L);
  code = lua_tolstring(L, -1, &len);
  lua_newtable(L);
  names = info + 3;
  if (env != 0) {
    if (!readable(L) || !scan(L, code, len, names, env - 1, 0))
      scan(L, code, len, names, NOENV, 1);
    lua_pushnil(L);
    while (lua_next(L, names)) {
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      lua_rawseti(L, info, ++i);
    }
  }
  lua_pushinteger(L, env);
  lua_setfield(L, info, "env");
  lua_pushvalue(L, info + 2);
  lua_rawseti(L, info, 0);
  lua_settop(L, info);
}


int function_info (lua_State *L, int idx) {
  int known;
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  pushcache(L);
  lua_pushvalue(L, idx);
  known = lua_rawget(L, -2) == LUA_TTABLE;
  if (!known) {
    lua_pop(L, 1);
    make_info(L, idx);
    lua_pushvalue(L, idx);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
  return known;
}
