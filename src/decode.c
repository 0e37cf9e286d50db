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

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "decoder.h"
#include "outgrow.h"
#include "platform.h"


/* How many values between two looks at the clock. */
#define FUEL	200


int damaged (lua_State *L) {
  return luaL_error(L, "damaged message");
}


int decoder_table (lua_State *L, Decoder *d, int slot) {
  int idx = d->slots + slot;
  if (lua_isnil(L, idx)) {
    lua_newtable(L);
    lua_replace(L, idx);
  }
  return idx;
}


void decoder_keep (lua_State *L, Decoder *d, lua_Integer offset) {
  int kept = decoder_table(L, d, SLOT_KEPT);
  lua_pushvalue(L, -1);
  lua_rawseti(L, kept, offset);
}


Build *build_open (lua_State *L, Decoder *d, enum Tag kind, int stage) {
  Build *f;
  if (d->depth == d->size) {
    int size = d->size * 2;
    size_t before = (size_t)d->size * sizeof(Build);
    Build *frames = (Build *)outgrow(d->frames, d->first_frames, before, before,
                                     (size_t)size * sizeof(Build));
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


int out_of_time (Decoder *d) {
  if (--d->fuel > 0) return 0;
  d->fuel = FUEL;
  return d->deadline < NEVER && clock_now() >= d->deadline;
}


/* {======================================================
** Reading one value: it is pushed, or a frame is opened for it
** ======================================================= */

static void read_table (lua_State *L, Decoder *d, enum Tag tag,
                        lua_Integer kept) {
  uint32_t array = get_count(L, d), hash = get_count(L, d);
  Build *f;
  lua_createtable(L, (int)array, (int)hash);
  if (kept >= 0) decoder_keep(L, d, kept);
  f = build_open(L, d, tag, BUILD_ARRAY);
  f->array = array;
  f->hash = hash;
}


/* An earlier value; nil if that went by name and is not here. */
static void read_ref (lua_State *L, Decoder *d) {
  uint64_t offset = get_u64(L, d);
  if (offset >= (uint64_t)(d->p - d->m->bytes)) damaged(L);
  lua_rawgeti(L, decoder_table(L, d, SLOT_KEPT), (lua_Integer)offset);
  d->node = isnode(L, d, -1);
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
    case T_TABLE: case T_OBJECT: read_table(L, d, tag, kept); return 0;
    case T_PLAIN: read_plain(L, d); return 1;
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
    default: read_leaf(L, d, tag);
  }
  if (kept >= 0) decoder_keep(L, d, kept);
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

/* No table takes a nil as a key. */
static inline int nil_comes (const Decoder *d) {
  return d->p < d->end && *d->p == T_NIL;
}


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
    if (--d->fuel <= 0 || nil_comes(d) || !read_scalar(L, d)) return 1;
    f->stage = BUILD_VALUE;
    if (!read_scalar(L, d)) return 1;
    f->stage = BUILD_KEY;
    lua_rawset(L, -3);
  }
  f->stage = BUILD_METATABLE;
  return f->kind == T_OBJECT;
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

/* }====================================================== */


/* {======================================================
** A message
** ======================================================= */

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


void decoder_stop (Decoder *d) {
  Message *m = d->m;
  d->m = NULL;
  if (m != NULL && !d->borrowed) spares_keep(&d->S->spares, m);
  d->borrowed = 0;
}


static void decoder_init (Decoder *d) {
  memset(d, 0, sizeof(*d));
  d->frames = d->first_frames;
  d->size = sizeof(d->first_frames) / sizeof(d->first_frames[0]);
}


static int decoder_gc (lua_State *L) {
  Decoder *d = (Decoder *)lua_touserdata(L, 1);
  if (!d->borrowed) message_free(d->m);
  outgrown_free(d->frames, d->first_frames, (size_t)d->size * sizeof(Build));
  decoder_init(d);
  return 0;
}


Decoder *decoder_new (lua_State *L) {
  Decoder *d = (Decoder *)lua_newuserdatauv(L, sizeof(*d), 0);
  decoder_init(d);
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
