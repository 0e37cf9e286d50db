/*
** decoder.h
** What the rooms of the decoder share.
*/

#ifndef decoder_h
#define decoder_h

#include <string.h>

#include "lua.h"

#include "decode.h"


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


/* {======================================================
** Bytes
** ======================================================= */

/* Raises. */
int damaged (lua_State *L);


static inline const unsigned char *get_bytes (lua_State *L, Decoder *d,
                                              uint64_t n) {
  const unsigned char *p = d->p;
  if (n > (uint64_t)(d->end - p)) damaged(L);
  d->p += n;
  return p;
}


static inline void get (lua_State *L, Decoder *d, void *to, size_t n) {
  memcpy(to, get_bytes(L, d, n), n);
}


static inline int get_byte (lua_State *L, Decoder *d) {
  return *get_bytes(L, d, 1);
}


static inline uint32_t get_u32 (lua_State *L, Decoder *d) {
  uint32_t x;
  get(L, d, &x, sizeof(x));
  return x;
}


static inline uint64_t get_u64 (lua_State *L, Decoder *d) {
  uint64_t x;
  get(L, d, &x, sizeof(x));
  return x;
}


/* A count of things that take a byte or more each. */
static inline uint32_t get_count (lua_State *L, Decoder *d) {
  uint32_t n = get_u32(L, d);
  if (n > (uint64_t)(d->end - d->p) || n > INT32_MAX) damaged(L);
  return n;
}

/* }====================================================== */


/* {======================================================
** decode.c: values, one after the other
** ======================================================= */

/* The table in a fixed slot, made at first need. */
int decoder_table (lua_State *L, Decoder *d, int slot);

/* The value at the top was at 'offset': it is mentioned again. */
void decoder_keep (lua_State *L, Decoder *d, lua_Integer offset);

/* Opens a frame for the value whose slots are topmost. */
Build *build_open (lua_State *L, Decoder *d, enum Tag kind, int stage);

/* The clock is asked now and then only. */
int out_of_time (Decoder *d);

/* }====================================================== */


/* {======================================================
** decode_plain.c: values without parts, and plain tables
** ======================================================= */

/* A string that is no value of its own: a name. */
void read_string (lua_State *L, Decoder *d);

/* Reads the next value if it is a short one that has no parts. Else false, and
** nothing is read. */
int read_scalar (lua_State *L, Decoder *d);

/* Any other value without parts, after its tag. */
void read_leaf (lua_State *L, Decoder *d, enum Tag tag);

/* A plain table, after its tag. */
void read_plain (lua_State *L, Decoder *d);

/* }====================================================== */


/* {======================================================
** decode_name.c: what modules hold
** ======================================================= */

/* 1. Requires the modules, one by one: number -> module; and under -1 - number
** the name, unless it is one of Lua's own libraries. */
void stage_modules (lua_State *L, Decoder *d);

/* Pushes a module that the message names; returns its number. */
lua_Integer read_module (lua_State *L, Decoder *d);

/* A field of a module, by name; the module may load it now. Of a library of Lua
** itself it may be missing: the receiver was not given it. */
void read_field (lua_State *L, Decoder *d);

/* }====================================================== */


/* {======================================================
** decode_function.c: functions
** ======================================================= */

/* Opens a frame for a function. */
void read_function (lua_State *L, Decoder *d, lua_Integer kept);

/* Goes on with it: true if it wants another value. */
int function_next (lua_State *L, Decoder *d, Build *f);

void put_upvalue (lua_State *L, Decoder *d, Build *f);

/* A carried global: the first of that name in the message counts. */
void put_global (lua_State *L, Decoder *d, Build *f);

/* 3. and 5. A carried global is set where there is none of its name. */
void set_globals (lua_State *L, Decoder *d);

/* }====================================================== */


/* {======================================================
** decode_transfer.c: values that were taken apart
** ======================================================= */

/* Opens a frame for the node of such a value. */
void read_transfer (lua_State *L, Decoder *d, lua_Integer kept);

/* A node is complete; so are all that it was made of. */
void end_transfer (lua_State *L, Decoder *d);

/* Is the value at 'idx' a node? */
int isnode (lua_State *L, Decoder *d, int idx);

/* Notes an action with the three values at the top; pops them. */
void add_action (lua_State *L, Decoder *d, int what);

/* 4. Rebuilds nodes and puts them in their places. False if time is up. */
int stage_actions (lua_State *L, Decoder *d);

/* }====================================================== */

#endif
