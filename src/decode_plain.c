/*
** decode_plain.c
** Values without parts, and plain tables: these have nothing else in them but
** plain tables.
**
** No code of the user's is needed to build them, and they are neither deep nor
** large: so a plain table is built by recursion, in one go.
*/

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "box.h"
#include "decoder.h"
#include "isolate.h"
#include "platform.h"
#include "port.h"


/* {======================================================
** Values without parts
** ======================================================= */

static void read_short (lua_State *L, Decoder *d) {
  size_t n = (size_t)get_byte(L, d);
  lua_pushlstring(L, (const char *)get_bytes(L, d, n), n);
}


/* The state's allocator, while it is asked for a large block. */
typedef struct Asked {
  lua_State *L;
  lua_Alloc alloc;
  void *ud;
} Asked;


/* Stands in for the allocator once: what that gives is about to be written. */
static void *alloc_large (void *ud, void *ptr, size_t osize, size_t nsize) {
  Asked a = *(Asked *)ud;
  void *block;
  lua_setallocf(a.L, a.alloc, a.ud);
  block = a.alloc(a.ud, ptr, osize, nsize);
  if (block != NULL && nsize >= LARGE_BLOCK) block_prefer_huge(block, nsize);
  return block;
}


/* The first thing that 'lua_pushlstring' does is to allocate the string. */
static void push_large (lua_State *L, const char *bytes, size_t n) {
  Asked a;
  a.L = L;
  a.alloc = lua_getallocf(L, &a.ud);
  lua_setallocf(L, alloc_large, &a);
  lua_pushlstring(L, bytes, n);
}


static void read_long (lua_State *L, Decoder *d) {
  size_t n = (size_t)get_u64(L, d);
  const char *bytes = (const char *)get_bytes(L, d, n);
  if (n < LARGE_BLOCK) lua_pushlstring(L, bytes, n);
  else push_large(L, bytes, n);
}


void read_string (lua_State *L, Decoder *d) {
  if ((get_byte(L, d) & ~TAG_KEPT) == T_SHORT) read_short(L, d);
  else read_long(L, d);
}


/* A string that will come again. */
static void read_newword (lua_State *L, Decoder *d) {
  int words = decoder_table(L, d, SLOT_WORDS);
  read_short(L, d);
  lua_pushvalue(L, -1);
  lua_rawseti(L, words, (lua_Integer)++d->words);
}


static void read_word (lua_State *L, Decoder *d) {
  uint32_t i = (uint32_t)get_byte(L, d);
  if (i == 0 || i > d->words) damaged(L);
  lua_rawgeti(L, d->slots + SLOT_WORDS, (lua_Integer)i);
}


int read_scalar (lua_State *L, Decoder *d) {
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


/* A counted thing that the message mentions. */
static Shared *get_ref (lua_State *L, Decoder *d) {
  uint32_t i = get_u32(L, d);
  if (i >= (uint32_t)d->m->nrefs) damaged(L);
  return message_refs(d->m)[i];
}


static void read_sendport (lua_State *L, Decoder *d) {
  Shared *box = get_ref(L, d);
  uint64_t id = get_u64(L, d);
  if (box->destroy != d->S->isolate->box.shared.destroy) damaged(L);
  sendport_push(L, d->S, (Mailbox *)(void *)box, id);
}


void read_leaf (lua_State *L, Decoder *d, enum Tag tag) {
  switch (tag) {
    case T_STRING: read_long(L, d); break;
    case T_LIGHT: {
      void *p;
      get(L, d, &p, sizeof(p));
      lua_pushlightuserdata(L, p);
      break;
    }
    case T_SENDPORT: read_sendport(L, d); break;
    case T_SHARED: box_push(L, d->S, get_ref(L, d)); break;
    case T_CAPABILITY: capability_push(L, get_u64(L, d)); break;
    default: damaged(L);
  }
}

/* }====================================================== */


/* {======================================================
** Plain tables
** ======================================================= */

static void plain_table (lua_State *L, Decoder *d, int depth);


static void plain_value (lua_State *L, Decoder *d, int depth) {
  enum Tag tag;
  if (read_scalar(L, d)) return;
  tag = (enum Tag)get_byte(L, d);
  if (tag == T_TABLE) plain_table(L, d, depth + 1);
  else read_leaf(L, d, tag);
}


static void plain_table (lua_State *L, Decoder *d, int depth) {
  uint32_t i, array = get_count(L, d), hash = get_count(L, d);
  if (depth > PLAIN_DEPTH) damaged(L);
  lua_createtable(L, (int)array, (int)hash);
  for (i = 1; i <= array; i++) {
    plain_value(L, d, depth);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  for (i = 0; i < hash; i++) {
    plain_value(L, d, depth);
    plain_value(L, d, depth);
    lua_rawset(L, -3);
  }
}


void read_plain (lua_State *L, Decoder *d) {
  luaL_checkstack(L, 2 * PLAIN_DEPTH + LUA_MINSTACK, NULL);
  plain_table(L, d, 1);
}


int decode_is_plain (const Message *m) {
  return m->size > HEADER_SIZE && m->bytes[HEADER_SIZE] == T_PLAIN;
}


void decode_plain (lua_State *L, State *S, Message *m) {
  Decoder d;  /* what else is in it is for other values */
  d.S = S;
  d.m = m;
  d.p = m->bytes + HEADER_SIZE + 1;
  d.end = m->bytes + m->size;
  d.words = 0;
  d.slots = lua_gettop(L) + 1 - SLOT_WORDS;
  lua_pushnil(L);
  read_plain(L, &d);
  lua_replace(L, -2);
}

/* }====================================================== */
