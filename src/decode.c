/*
** decode.c
** A message becomes values again. Mirrors encode.c.
**
** It is a struct that can stop between any two values and go on: the frames
** say what is being built, and the values built so far are on the stack. In
** order:
**   1. the modules that the message names are required;
**   2. the values are built. What '__transfer' made is kept as a node: a table
**      of its results; where a node belongs is noted as an action;
**   3. carried globals are set;
**   4. the actions are done in the order in which they were noted: nodes are
**      rebuilt, the innermost first, and put in their places;
**   5. carried globals that were nodes are set.
*/

#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "box.h"
#include "decode.h"
#include "isolate.h"
#include "platform.h"
#include "port.h"


/* Fixed slots, each nil or a table. */
enum {
  SLOT_SPINE,
  SLOT_WORDS,			/* number -> string that comes again */
  SLOT_KEPT,			/* offset -> value that is mentioned again */
  SLOT_MODULES,			/* number -> module */
  SLOT_GLOBALS,			/* name -> carried global */
  SLOT_NODES,			/* node -> true */
  SLOT_ACTIONS,			/* ACTION_SIZE entries each */
  SLOT_COUNT			/* how many */
};

/* Stages of a message. */
enum { STAGE_MODULES = 0, STAGE_VALUES, STAGE_ACTIONS, STAGE_DONE };

/* Stages of a frame. */
enum {
  BUILD_ARRAY,			/* table */
  BUILD_KEY,			/* table */
  BUILD_VALUE,			/* table, key */
  BUILD_METATABLE,		/* table */
  BUILD_UPVALUE,		/* function */
  BUILD_GLOBAL,			/* function, name */
  BUILD_RESULT			/* table of results */
};

/* An action: what, and three values. */
enum {
  ACTION_REBUILD,		/* node */
  ACTION_FIELD,			/* table, key, value; these two may be nodes */
  ACTION_UPVALUE,		/* function, number, node */
  ACTION_METATABLE,		/* table, node */
  ACTION_ROOT			/* index of the value, node */
};

#define ACTION_SIZE	4

/* Marks the place of a carried global that is a node. */
static const char LATER = 0;

/* How many values between two looks at the clock. */
#define FUEL	200


/* {======================================================
** Bytes
** ======================================================= */

static int damaged (lua_State *L) {
  return luaL_error(L, "damaged message");
}


static inline const unsigned char *get_bytes (lua_State *L, Decoder *d, uint64_t n) {
  const unsigned char *p = d->p;
  if (n > (uint64_t)(d->end - p)) damaged(L);
  d->p += n;
  return p;
}


static inline void get (lua_State *L, Decoder *d, void *to, size_t n) {
  memcpy(to, get_bytes(L, d, n), n);
}


static int get_byte (lua_State *L, Decoder *d) {
  return *get_bytes(L, d, 1);
}


static uint32_t get_u32 (lua_State *L, Decoder *d) {
  uint32_t x;
  get(L, d, &x, sizeof(x));
  return x;
}


static uint64_t get_u64 (lua_State *L, Decoder *d) {
  uint64_t x;
  get(L, d, &x, sizeof(x));
  return x;
}


/* A count of things that take a byte or more each. */
static uint32_t get_count (lua_State *L, Decoder *d) {
  uint32_t n = get_u32(L, d);
  if (n > (uint64_t)(d->end - d->p) || n > INT32_MAX) damaged(L);
  return n;
}

/* }====================================================== */


/* {======================================================
** Fixed slots, frames, actions
** ======================================================= */

static int slot_table (lua_State *L, Decoder *d, int slot) {
  int idx = d->slots + slot;
  if (lua_isnil(L, idx)) {
    lua_newtable(L);
    lua_replace(L, idx);
  }
  return idx;
}


/* The value at the top was at 'offset': it is mentioned again. */
static void keep (lua_State *L, Decoder *d, lua_Integer offset) {
  int kept = slot_table(L, d, SLOT_KEPT);
  lua_pushvalue(L, -1);
  lua_rawseti(L, kept, offset);
}


/* Opens a frame for the value whose slots are topmost. */
static Build *open_frame (lua_State *L, Decoder *d, enum Tag kind, int stage) {
  Build *f;
  if (d->depth == d->size) {
    int size = d->size ? d->size * 2 : 32;
    Build *frames = (Build *)realloc(d->frames, (size_t)size * sizeof(Build));
    if (frames == NULL) luaL_error(L, "not enough memory");
    d->frames = frames;
    d->size = size;
  }
  spine_push(L, &d->spine);
  f = &d->frames[d->depth++];
  memset(f, 0, sizeof(*f));
  f->kind = kind;
  f->stage = stage;
  return f;
}


/* Notes an action with the three values at the top; pops them. */
static void add_action (lua_State *L, Decoder *d, int what) {
  int actions = slot_table(L, d, SLOT_ACTIONS);
  lua_Integer at = d->actions++ * ACTION_SIZE;
  lua_rawseti(L, actions, at + 4);
  lua_rawseti(L, actions, at + 3);
  lua_rawseti(L, actions, at + 2);
  lua_pushinteger(L, what);
  lua_rawseti(L, actions, at + 1);
}


/* Is the value at 'idx' a node? */
static int isnode (lua_State *L, Decoder *d, int idx) {
  int is;
  if (lua_isnil(L, d->slots + SLOT_NODES)) return 0;
  lua_pushvalue(L, idx);
  is = lua_rawget(L, d->slots + SLOT_NODES) != LUA_TNIL;
  lua_pop(L, 1);
  return is;
}

/* }====================================================== */


/* {======================================================
** Reading one value: it is pushed, or a frame is opened for it
** ======================================================= */

static void read_table (lua_State *L, Decoder *d, enum Tag tag,
                        lua_Integer kept) {
  uint32_t array = get_count(L, d), hash = get_count(L, d);
  Build *f;
  lua_createtable(L, (int)array, (int)hash);
  if (kept >= 0) keep(L, d, kept);
  f = open_frame(L, d, tag, BUILD_ARRAY);
  f->array = array;
  f->hash = hash;
}


typedef struct Code { const char *p; size_t size; } Code;

static const char *code_reader (lua_State *L, void *ud, size_t *size) {
  Code *code = (Code *)ud;
  (void)L;
  *size = code->size;
  code->size = 0;
  return *size > 0 ? code->p : NULL;
}


static void read_function (lua_State *L, Decoder *d, lua_Integer kept) {
  Code code;
  Build *f;
  uint64_t size = get_u64(L, d);
  code.p = (const char *)get_bytes(L, d, size);
  code.size = (size_t)size;
  if (lua_load(L, code_reader, &code, "=message", "b") != LUA_OK) lua_error(L);
  if (kept >= 0) keep(L, d, kept);
  f = open_frame(L, d, T_FUNCTION, BUILD_UPVALUE);
  f->array = (uint32_t)get_byte(L, d);
}


static void read_transfer (lua_State *L, Decoder *d, lua_Integer kept) {
  uint32_t n = get_count(L, d);
  int nodes = slot_table(L, d, SLOT_NODES);
  Build *f;
  if (n == 0) damaged(L);  /* the first is called */
  lua_createtable(L, (int)n, 1);
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, "n");
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, nodes);
  if (kept >= 0) keep(L, d, kept);
  f = open_frame(L, d, T_TRANSFER, BUILD_RESULT);
  f->array = n;
}


/* Pushes a module that the message names; returns its number. */
static lua_Integer read_module (lua_State *L, Decoder *d) {
  uint32_t i = get_u32(L, d);
  if (i >= d->modules) damaged(L);
  lua_rawgeti(L, d->slots + SLOT_MODULES, (lua_Integer)i);
  return (lua_Integer)i;
}


static void read_string (lua_State *L, Decoder *d) {
  int tag = get_byte(L, d) & ~TAG_KEPT;
  uint64_t n;
  if (tag == T_SHORT) n = (uint64_t)get_byte(L, d);
  else n = get_u64(L, d);
  lua_pushlstring(L, (const char *)get_bytes(L, d, n), (size_t)n);
}


/* A field of a module, by name; the module may load it now. Of a library of Lua
** itself it may be missing: the receiver was not given it. */
static void read_field (lua_State *L, Decoder *d) {
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


/* An earlier value; nil if that went by name and is not here. */
static void read_ref (lua_State *L, Decoder *d) {
  uint64_t offset = get_u64(L, d);
  if (offset >= (uint64_t)(d->p - d->m->bytes)) damaged(L);
  lua_rawgeti(L, slot_table(L, d, SLOT_KEPT), (lua_Integer)offset);
  d->node = isnode(L, d, -1);
}


/* A counted thing that the message mentions. */
static Shared *get_ref (lua_State *L, Decoder *d) {
  uint32_t i = get_u32(L, d);
  if (i >= (uint32_t)d->m->nrefs) damaged(L);
  return d->m->refs[i];
}


static void read_sendport (lua_State *L, Decoder *d) {
  Shared *box = get_ref(L, d);
  uint64_t id = get_u64(L, d);
  if (box->destroy != d->S->isolate->box.shared.destroy) damaged(L);
  sendport_push(L, d->S, (Mailbox *)(void *)box, id);
}


static void read_short (lua_State *L, Decoder *d) {
  size_t n = (size_t)get_byte(L, d);
  lua_pushlstring(L, (const char *)get_bytes(L, d, n), n);
}


/* A string that will come again. */
static void read_newword (lua_State *L, Decoder *d) {
  int words = slot_table(L, d, SLOT_WORDS);
  read_short(L, d);
  lua_pushvalue(L, -1);
  lua_rawseti(L, words, (lua_Integer)++d->words);
}


static void read_word (lua_State *L, Decoder *d) {
  uint32_t i = (uint32_t)get_byte(L, d);
  if (i == 0 || i > d->words) damaged(L);
  lua_rawgeti(L, d->slots + SLOT_WORDS, (lua_Integer)i);
}


/* Reads the next value if it is one that has no parts. Else false, and nothing
** is read. */
static inline int read_scalar (lua_State *L, Decoder *d) {
  if (d->p == d->end) return 0;
  switch (*d->p++) {
    case T_NIL: lua_pushnil(L); return 1;
    case T_FALSE: lua_pushboolean(L, 0); return 1;
    case T_TRUE: lua_pushboolean(L, 1); return 1;
    case T_INT1: {
      int8_t i;
      get(L, d, &i, sizeof(i));
      lua_pushinteger(L, i);
      return 1;
    }
    case T_INT4: {
      int32_t i;
      get(L, d, &i, sizeof(i));
      lua_pushinteger(L, i);
      return 1;
    }
    case T_INT8: {
      int64_t i;
      get(L, d, &i, sizeof(i));
      lua_pushinteger(L, (lua_Integer)i);
      return 1;
    }
    case T_FLOAT: {
      lua_Number x;
      get(L, d, &x, sizeof(x));
      lua_pushnumber(L, x);
      return 1;
    }
    case T_SHORT: read_short(L, d); return 1;
    case T_NEWWORD: read_newword(L, d); return 1;
    case T_WORD: read_word(L, d); return 1;
    default: d->p--; return 0;
  }
}


/* Reads the next value. True if it is complete and at the top of the stack,
** false if a frame was opened. */
static int read_value (lua_State *L, Decoder *d) {
  lua_Integer offset, kept;
  int byte;
  enum Tag tag;
  d->node = 0;
  if (read_scalar(L, d)) return 1;
  offset = d->p - d->m->bytes;
  byte = get_byte(L, d);
  tag = (enum Tag)(byte & ~TAG_KEPT);
  kept = (byte & TAG_KEPT) ? offset : -1;
  switch (tag) {
    case T_STRING:
      d->p--;
      read_string(L, d);
      break;
    case T_LIGHT: {
      void *p;
      get(L, d, &p, sizeof(p));
      lua_pushlightuserdata(L, p);
      break;
    }
    case T_TABLE: case T_OBJECT: read_table(L, d, tag, kept); return 0;
    case T_FUNCTION: read_function(L, d, kept); return 0;
    case T_TRANSFER: read_transfer(L, d, kept); return 0;
    case T_REF: read_ref(L, d); return 1;
    case T_GLOBALS: lua_pushglobaltable(L); break;
    case T_MODULE: read_module(L, d); break;
    case T_FIELD: read_field(L, d); break;
    case T_CFUNCTION: {
      lua_CFunction f;
      get(L, d, &f, sizeof(f));
      lua_pushcfunction(L, f);
      break;
    }
    case T_SENDPORT: read_sendport(L, d); break;
    case T_SHARED: box_push(L, get_ref(L, d)); break;
    case T_CAPABILITY: capability_push(L, get_u64(L, d)); break;
    default: damaged(L);
  }
  if (kept >= 0) keep(L, d, kept);
  return 1;
}

/* }====================================================== */


/* {======================================================
** Putting a value where it belongs: at the top, with the frame's slots under
** ======================================================= */

static void put_element (lua_State *L, Decoder *d, Build *f) {
  f->i++;
  if (d->node) {
    lua_pushvalue(L, -2);
    lua_pushinteger(L, (lua_Integer)f->i);
    lua_rotate(L, -3, -1);  /* table, table, i, node */
    add_action(L, d, ACTION_FIELD);
  }
  else lua_rawseti(L, -2, (lua_Integer)f->i);
}


static void put_field (lua_State *L, Decoder *d, Build *f) {
  f->hash--;
  f->stage = BUILD_KEY;
  if (d->node || f->keynode) {
    lua_pushvalue(L, -3);
    lua_insert(L, -3);  /* table, table, key, value */
    add_action(L, d, ACTION_FIELD);
    f->keynode = 0;
    return;
  }
  if (!lua_isnil(L, -2)) lua_rawset(L, -3);
  else lua_pop(L, 2);  /* by name, and not here: no such field */
}


static void put_metatable (lua_State *L, Decoder *d, Build *f) {
  f->kind = T_TABLE;
  if (d->node) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_pushnil(L);
    add_action(L, d, ACTION_METATABLE);
  }
  else if (lua_istable(L, -1)) lua_setmetatable(L, -2);
  else lua_pop(L, 1);
}


static void put_upvalue (lua_State *L, Decoder *d, Build *f) {
  f->i++;
  if (d->node) {
    lua_pushvalue(L, -2);
    lua_pushinteger(L, (lua_Integer)f->i);
    lua_rotate(L, -3, -1);
    add_action(L, d, ACTION_UPVALUE);
  }
  else if (lua_setupvalue(L, -2, (int)f->i) == NULL) damaged(L);
}


/* A carried global: the first of that name in the message counts. */
static void put_global (lua_State *L, Decoder *d, Build *f) {
  int globals = slot_table(L, d, SLOT_GLOBALS);
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


static void put_value (lua_State *L, Decoder *d, Build *f) {
  switch (f->stage) {
    case BUILD_ARRAY: put_element(L, d, f); break;
    case BUILD_KEY:
      f->keynode = d->node;
      f->stage = BUILD_VALUE;
      break;
    case BUILD_VALUE: put_field(L, d, f); break;
    case BUILD_METATABLE: put_metatable(L, d, f); break;
    case BUILD_UPVALUE: put_upvalue(L, d, f); break;
    case BUILD_GLOBAL: put_global(L, d, f); break;
    case BUILD_RESULT: put_element(L, d, f); break;
  }
}

/* }====================================================== */


/* {======================================================
** Going on with a frame: true if it wants another value, false at its end
** ======================================================= */

/* Scalars, the most of all values, go straight into their table, while there
** is fuel. */
static int table_next (lua_State *L, Decoder *d, Build *f) {
  for (; f->i < f->array; f->i++) {
    if (--d->fuel <= 0 || !read_scalar(L, d)) return 1;
    lua_rawseti(L, -2, (lua_Integer)f->i + 1);
  }
  if (f->stage == BUILD_ARRAY) f->stage = BUILD_KEY;
  for (; f->hash > 0; f->hash--) {
    if (f->stage == BUILD_VALUE) return 1;  /* of a key that is no scalar */
    if (--d->fuel <= 0 || !read_scalar(L, d)) return 1;
    f->stage = BUILD_VALUE;
    if (!read_scalar(L, d)) return 1;
    f->stage = BUILD_KEY;
    lua_rawset(L, -3);
  }
  f->stage = BUILD_METATABLE;
  return f->kind == T_OBJECT;
}


/* Joins upvalue 'f->i + 1' with one that an earlier function has. */
static void join (lua_State *L, Decoder *d, Build *f) {
  uint64_t offset = get_u64(L, d);
  int upvalue = get_byte(L, d);
  int kept = slot_table(L, d, SLOT_KEPT);
  lua_rawgeti(L, kept, (lua_Integer)offset);
  if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1) ||
      lua_upvalueid(L, -1, upvalue) == NULL ||
      lua_upvalueid(L, -2, (int)f->i + 1) == NULL) damaged(L);
  lua_upvaluejoin(L, -2, (int)f->i + 1, -1, upvalue);
  lua_pop(L, 1);
}


static int function_next (lua_State *L, Decoder *d, Build *f) {
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


/* A node is complete; so are all that it was made of. */
static void end_transfer (lua_State *L, Decoder *d) {
  lua_pushvalue(L, -1);
  lua_pushnil(L);
  lua_pushnil(L);
  add_action(L, d, ACTION_REBUILD);
  d->node = 1;
}


/* True while the frame on top wants a value; at its end it is closed, and
** its value is at the top of the stack. */
static int wants (lua_State *L, Decoder *d) {
  Build *f = &d->frames[d->depth - 1];
  d->node = 0;
  switch (f->kind) {
    case T_FUNCTION:
      if (function_next(L, d, f)) return 1;
      break;
    case T_TRANSFER:
      if (f->i < f->array) return 1;
      end_transfer(L, d);
      break;
    default:
      if (table_next(L, d, f)) return 1;
  }
  d->depth--;
  spine_pop(L, &d->spine);
  return 0;
}

/* }====================================================== */


/* {======================================================
** Stages of the message
** ======================================================= */

/* The clock is asked now and then only. */
static int out_of_time (Decoder *d) {
  if (--d->fuel > 0) return 0;
  d->fuel = FUEL;
  return d->deadline < NEVER && clock_now() >= d->deadline;
}


/* 1. Requires the modules, one by one: number -> module; and under -1 - number
** the name, unless it is one of Lua's own libraries. */
static void stage_modules (lua_State *L, Decoder *d) {
  uint64_t offset = get_u64(L, d);
  const unsigned char *values;
  d->values = get_u32(L, d);
  values = d->p;
  if (offset != 0) {
    int modules = slot_table(L, d, SLOT_MODULES);
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


/* The value at the top is complete, or (not 'complete') a frame was opened
** for it: puts it where it belongs, and all that it completes in turn. */
static void settle (lua_State *L, Decoder *d, int complete) {
  for (;;) {
    if (complete) {
      if (d->depth == 0) break;
      put_value(L, d, &d->frames[d->depth - 1]);
    }
    if (wants(L, d)) return;
    complete = 1;  /* the frame was closed: now its value is */
  }
  if (d->node) {
    lua_pushinteger(L, lua_gettop(L));
    lua_pushvalue(L, -2);
    lua_pushnil(L);
    add_action(L, d, ACTION_ROOT);
  }
}


/* 2. Builds the values. False if time is up. */
static int stage_values (lua_State *L, Decoder *d) {
  for (;;) {
    if (d->depth == 0) {
      if (d->value == d->values) return 1;
      d->value++;
      luaL_checkstack(L, LUA_MINSTACK, "too many values");
      d->spine.base = lua_gettop(L) + 1;
    }
    else if (out_of_time(d)) return 0;
    settle(L, d, read_value(L, d));
  }
}


/* 3. and 5. A carried global is set where there is none of its name. */
static void set_globals (lua_State *L, Decoder *d) {
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


/* 4. Rebuilds nodes and puts them in their places. False if time is up. */
static int stage_actions (lua_State *L, Decoder *d) {
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

/* }====================================================== */


/* {======================================================
** A message
** ======================================================= */

void decoder_stop (Decoder *d) {
  Message *m = d->m;
  d->m = NULL;
  if (m != NULL && !d->borrowed) spares_keep(&d->S->spares, m);
  d->borrowed = 0;
}


static int decoder_gc (lua_State *L) {
  Decoder *d = (Decoder *)lua_touserdata(L, 1);
  if (!d->borrowed) message_free(d->m);
  free(d->frames);
  memset(d, 0, sizeof(*d));
  return 0;
}


Decoder *decoder_new (lua_State *L) {
  Decoder *d = (Decoder *)lua_newuserdatauv(L, sizeof(*d), 0);
  memset(d, 0, sizeof(*d));
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, decoder_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return d;
}


void decoder_take (Decoder *d, State *S, Message *m) {
  decoder_stop(d);
  d->S = S;
  d->m = m;
  d->stage = STAGE_MODULES;
}


void decoder_borrow (Decoder *d, State *S, Message *m) {
  decoder_take(d, S, m);
  d->borrowed = 1;
}


int decode_scalar (lua_State *L, const Message *m) {
  const unsigned char *p = m->bytes + HEADER_SIZE;
  uint64_t names;
  uint32_t count;
  if (m->size <= HEADER_SIZE) return 0;
  memcpy(&names, m->bytes, sizeof(names));
  memcpy(&count, m->bytes + sizeof(names), sizeof(count));
  if (names != 0 || count != 1) return 0;
  switch (*p++) {
    case T_NIL: lua_pushnil(L); return 1;
    case T_FALSE: lua_pushboolean(L, 0); return 1;
    case T_TRUE: lua_pushboolean(L, 1); return 1;
    case T_INT8: {
      int64_t i;
      if (m->size != HEADER_SIZE + 1 + sizeof(i)) return 0;
      memcpy(&i, p, sizeof(i));
      lua_pushinteger(L, (lua_Integer)i);
      return 1;
    }
    case T_FLOAT: {
      lua_Number x;
      if (m->size != HEADER_SIZE + 1 + sizeof(x)) return 0;
      memcpy(&x, p, sizeof(x));
      lua_pushnumber(L, x);
      return 1;
    }
    default: return 0;
  }
}


void decoder_start (lua_State *L, Decoder *d) {
  d->p = d->m->bytes;
  d->end = d->m->bytes + d->m->size;
  d->depth = 0;
  d->value = d->values = d->modules = d->words = 0;
  d->actions = d->action = 0;
  d->fuel = 1;
  luaL_checkstack(L, SLOT_COUNT + LUA_MINSTACK, NULL);
  d->slots = lua_gettop(L) + 1;
  lua_settop(L, d->slots - 1 + SLOT_COUNT);  /* nil */
  d->spine.slot = d->slots + SLOT_SPINE;
  d->spine.base = d->slots + SLOT_COUNT;
  d->spine.chunks = 0;
}


int decoder_run (lua_State *L, Decoder *d, double deadline) {
  d->deadline = deadline;
  switch (d->stage) {
    case STAGE_MODULES:
      stage_modules(L, d);
      d->stage = STAGE_VALUES;
      /* FALLTHROUGH */
    case STAGE_VALUES:
      if (!stage_values(L, d)) return 0;
      set_globals(L, d);
      d->stage = STAGE_ACTIONS;
      /* FALLTHROUGH */
    case STAGE_ACTIONS:
      if (!stage_actions(L, d)) return 0;
      if (d->actions > 0) set_globals(L, d);
      d->stage = STAGE_DONE;
  }
  return 1;
}

/* }====================================================== */
