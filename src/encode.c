/*
** encode.c
** A value becomes a message.
**
** No recursion: what is being written is a list of frames, and their Lua
** values are the topmost slots of the stack. A value is either written at
** once, or it opens a frame; then the frame on top is stepped until it ends.
** Mirrored by decode.c.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "box.h"
#include "encoder.h"
#include "port.h"
#include "spares.h"


/* A string of this length or more is written once and then referred to. */
#define LONG_STRING	256

/* A message that has so many short strings is large enough to look for words
** among the next ones. */
#define WORDS_FROM	32


void encoder_grow (Encoder *E, size_t n) {
  if (!writer_reserve(&E->w, n)) luaL_error(E->L, "not enough memory");
}


int encoder_table (Encoder *E, int slot) {
  int idx = E->slots + slot;
  if (lua_isnil(E->L, idx)) {
    lua_newtable(E->L);
    lua_replace(E->L, idx);
  }
  return idx;
}


/* {======================================================
** What was met before
** ======================================================= */

void encoder_anchor (Encoder *E) {
  int idx = encoder_table(E, SLOT_ANCHORS);
  lua_pushvalue(E->L, -1);
  lua_rawseti(E->L, idx, ++E->anchors);
}


int encoder_must_anchor (Encoder *E) {
  if (E->anchoring) return 0;
  E->anchoring = 1;
  E->again = 1;
  E->depth = 0;
  return 1;
}


int encoder_seen (Encoder *E, const void *key, size_t offset, int upvalue,
                  SeenEntry **entry) {
  int fresh = seen_enter(&E->seen, key, offset, upvalue, entry);
  if (fresh < 0) luaL_error(E->L, "not enough memory");
  return fresh;
}


void encoder_keep (Encoder *E, size_t offset) {
  E->w.data[WRITER_START + offset] |= TAG_KEPT;
  E->plain = 0;
}


int put_again (Encoder *E, int idx, const void *address) {
  SeenEntry *e;
  uint64_t offset;
  if (encoder_seen(E, address, here(E), 0, &e)) {
    if (E->anchoring) {
      lua_pushvalue(E->L, idx);
      encoder_anchor(E);
      lua_pop(E->L, 1);
    }
    return 0;
  }
  offset = e->offset;
  encoder_keep(E, e->offset);
  put_tagged(E, T_REF, &offset, sizeof(offset));
  return 1;
}

/* }====================================================== */


/* {======================================================
** Frames
** ======================================================= */

Frame *frame_open (Encoder *E, FrameKind kind) {
  Frame *f;
  if (E->depth == E->size) {
    int size = E->size ? E->size * 2 : 8;
    size_t before = (size_t)E->size * sizeof(Frame);
    Frame *frames = (Frame *)spare_resize(E->frames, before, before,
                                          (size_t)size * sizeof(Frame));
    if (frames == NULL) luaL_error(E->L, "not enough memory");
    E->frames = frames;
    E->size = size;
  }
  spine_push(E->L, &E->spine);
  f = &E->frames[E->depth++];
  if (kind != FRAME_TABLE || E->depth > PLAIN_DEPTH) E->plain = 0;
  memset(f, 0, sizeof(*f));
  f->kind = kind;
  f->start = here(E);
  f->note = E->notes;
  return f;
}


void frame_close (Encoder *E) {
  const Frame *f = &E->frames[--E->depth];
  if (E->explaining) note_bytes(E, f->note, f->start);
  spine_pop(E->L, &E->spine);
}

/* }====================================================== */


/* {======================================================
** Values
** ======================================================= */

static void put_number (Encoder *E, int idx) {
  lua_State *L = E->L;
  if (lua_isinteger(L, idx)) {
    lua_Integer i = lua_tointeger(L, idx);
    int64_t i8 = (int64_t)i;
    int32_t i4 = (int32_t)i;
    int8_t i1 = (int8_t)i;
    if (i == i1) put_tagged(E, T_INT1, &i1, 1);
    else if (i == i4) put_tagged(E, T_INT4, &i4, 4);
    else put_tagged(E, T_INT8, &i8, 8);
  }
  else {
    lua_Number x = lua_tonumber(L, idx);
    put_tagged(E, T_FLOAT, &x, sizeof(x));
  }
}


void put_plain (Encoder *E, int idx) {
  size_t len;
  const char *s = lua_tolstring(E->L, idx, &len);
  uint64_t size = len;
  put_tagged(E, T_STRING, &size, sizeof(size));
  put_bytes(E, s, len);
}


/* A string of less than LONG_STRING bytes. One that comes a second time in a
** large message is a word, and goes by its number from then on. (When code of
** the user's is called meanwhile, its address may become another string's.) */
static void put_short (Encoder *E, const char *s, size_t len) {
  unsigned char *to = room(E, len + 2);
  int word = (++E->strings <= WORDS_FROM || E->anchoring) ? 0
             : words_meet(&E->words, s);
  if (word > 0) {
    to[0] = T_WORD;
    to[1] = (unsigned char)word;
    E->w.used += 2;
    return;
  }
  to[0] = (word == 0) ? T_SHORT : T_NEWWORD;
  to[1] = (unsigned char)len;
  memcpy(to + 2, s, len);
  E->w.used += len + 2;
}


static void put_string (Encoder *E, int idx) {
  size_t len;
  const char *s = lua_tolstring(E->L, idx, &len);
  if (len < LONG_STRING) put_short(E, s, len);
  else if (!put_again(E, idx, s)) put_plain(E, idx);
}


/* The table at the top. */
static int put_table (Encoder *E, int asclass) {
  lua_State *L = E->L;
  const void *address = lua_topointer(L, -1);
  uint32_t counts[2] = {0, 0};
  int tag = T_TABLE;
  Frame *f;
  if (address == E->S->globals) {
    E->plain = 0;
    put_byte(E, T_GLOBALS);
    return 1;
  }
  if (put_again(E, -1, address) || put_name(E, asclass)) return 1;
  if (lua_getmetatable(L, -1)) {
    if (encoder_stale(E) || by_metatable(E)) return 0;
    lua_pop(L, 1);
    tag = T_OBJECT;
    E->plain = 0;
  }
  f = frame_open(E, FRAME_TABLE);
  f->length = lua_rawlen(L, -1);
  f->n = (tag == T_OBJECT);
  put_tagged(E, tag, counts, sizeof(counts));
  f->patch = here(E) - sizeof(counts);
  lua_pushnil(L);  /* the first key comes after it */
  return 0;
}


/* What a userdata refers to (counted), or NULL if the collector has let that go. */
static void put_shared (Encoder *E, int tag, void *it) {
  int ref = it ? writer_ref(&E->w, it) : -1;
  uint32_t index = (uint32_t)ref;
  if (it == NULL) luaL_error(E->L, "isolate: this Lua state is closing");
  if (ref < 0) luaL_error(E->L, "not enough memory");
  put_tagged(E, tag, &index, sizeof(index));
}


/* The userdata at the top: ours, or one whose class knows how. */
static int put_userdata (Encoder *E) {
  lua_State *L = E->L;
  const void *class;
  if (!lua_getmetatable(L, -1)) return refuse_kind(E);
  class = lua_topointer(L, -1);
  if (class == E->S->sendport_class) {
    const SendPort *port = (SendPort *)lua_touserdata(L, -2);
    put_shared(E, T_SENDPORT, port->box);
    put_u64(E, port->id);
  }
  else if (class == E->S->capability_class) {
    const Capability *c = (Capability *)lua_touserdata(L, -2);
    put_tagged(E, T_CAPABILITY, &c->id, sizeof(c->id));
  }
  else if (class == E->S->box_class) put_shared(E, T_SHARED, box_get(L, -2));
  else {
    if (encoder_stale(E)) return 0;
    if (metafield(L, "__transfer")) {
      lua_pop(L, 2);
      if (put_again(E, -1, lua_topointer(L, -1))) return 1;
      lua_getmetatable(L, -1);
      if (by_metatable(E)) return 0;
    }
    lua_pop(L, 1);
    return refuse_kind(E);
  }
  lua_pop(L, 1);
  return 1;
}


/* Writes the value at 'idx' if it is one that has no parts; false for others,
** with nothing written. */
static inline int put_scalar (Encoder *E, int idx) {
  switch (lua_type(E->L, idx)) {
    case LUA_TSTRING: put_string(E, idx); return 1;
    case LUA_TNUMBER: put_number(E, idx); return 1;
    case LUA_TBOOLEAN:
      put_byte(E, lua_toboolean(E->L, idx) ? T_TRUE : T_FALSE);
      return 1;
    case LUA_TNIL: put_byte(E, T_NIL); return 1;
    default: return 0;
  }
}


/* The value at the top, which is no scalar. True if it is written. */
static int put_object (Encoder *E, int asclass) {
  void *p;
  switch (lua_type(E->L, -1)) {
    case LUA_TTABLE: return put_table(E, asclass);
    case LUA_TFUNCTION: E->plain = 0; return put_function(E);
    case LUA_TUSERDATA: return put_userdata(E);
    case LUA_TLIGHTUSERDATA:
      p = lua_touserdata(E->L, -1);
      put_tagged(E, T_LIGHT, &p, sizeof(p));
      return 1;
    default: return refuse_kind(E);
  }
}


int put_value (Encoder *E, int asclass) {
  lua_State *L = E->L;
  size_t start = here(E);
  lua_Integer note = 0;
  int done;
  if (E->explaining) {
    note_value(E);
    note = E->notes;
    if (note_refused(E)) {
      put_byte(E, T_NIL);
      lua_pop(L, 1);
      return 1;
    }
  }
  done = put_scalar(E, -1) || put_object(E, asclass);
  if (done) {
    if (E->explaining) note_bytes(E, note, start);
    lua_pop(L, 1);
  }
  return done;
}

/* }====================================================== */


/* {======================================================
** Stepping a frame: until it opens another one, or ends
** ======================================================= */

/* Is the key at 'idx' the next element of the array, maybe after a few nils
** (which are written)? Lua walks a table's array part in order; an integer
** that comes out of order was in the hash part, and goes as a pair. */
static int next_element (Encoder *E, Frame *f, int idx) {
  lua_Integer key, next = (lua_Integer)f->array + 1;
  if (f->inhash || !lua_isinteger(E->L, idx)) return 0;
  key = lua_tointeger(E->L, idx);
  if (key < next || (lua_Unsigned)key > f->length || key >= INT32_MAX ||
      key - next > next + 14) return 0;
  for (; next < key; next++) put_byte(E, T_NIL);
  f->array = (uint32_t)key;
  return 1;
}


/* All pairs are written, the key is gone: the counts, and the metatable. */
static void end_table (Encoder *E, Frame *f) {
  uint32_t counts[2];
  counts[0] = f->array;
  counts[1] = f->hash;
  patch(E, f->patch, counts, sizeof(counts));
  if (f->n) {  /* begun as an object; the user's code may have changed that */
    if (!lua_getmetatable(E->L, -1)) lua_pushnil(E->L);
    f->kind = FRAME_METATABLE;
    if (!put_value(E, 1)) return;
  }
  lua_pop(E->L, 1);
  frame_close(E);
}


/* Slots: table, key. */
static void step_table (Encoder *E, Frame *f) {
  lua_State *L = E->L;
  while (lua_next(L, -2)) {  /* table, key, value */
    if (!next_element(E, f, -2)) {
      f->inhash = 1;
      if (++f->hash == INT32_MAX) luaL_error(L, "table is too large to send");
      if (!put_scalar(E, -2)) {
        lua_pushvalue(L, -2);
        f->kind = FRAME_KEY;
        if (!put_value(E, 0)) return;
        f->kind = FRAME_TABLE;
      }
    }
    if (!E->explaining && put_scalar(E, -1)) lua_pop(L, 1);
    else if (!put_value(E, 0)) return;
  }
  end_table(E, f);
}


/* Slots: table, key, value; the key is written. */
static void step_key (Encoder *E, Frame *f) {
  f->kind = FRAME_TABLE;
  if (put_value(E, 0)) step_table(E, f);
}


static void step (Encoder *E) {
  Frame *f = &E->frames[E->depth - 1];
  switch (f->kind) {
    case FRAME_TABLE: step_table(E, f); break;
    case FRAME_KEY: step_key(E, f); break;
    case FRAME_METATABLE: lua_pop(E->L, 1); frame_close(E); break;
    case FRAME_UPVALUE: step_upvalue(E, f); break;
    case FRAME_GLOBAL: step_global(E, f); break;
    case FRAME_TRANSFER: step_transfer(E, f); break;
  }
}

/* }====================================================== */


/* {======================================================
** A message
** ======================================================= */

static int encoder_gc (lua_State *L) {
  Encoder *E = (Encoder *)lua_touserdata(L, 1);
  writer_free(&E->w);
  seen_free(&E->seen);
  words_reset(&E->words);
  spare_free(E->frames, (size_t)E->size * sizeof(Frame));
  memset(E, 0, sizeof(*E));  /* at the end of a state it may be used again */
  writer_init(&E->w);
  return 0;
}


Encoder *encoder_new (lua_State *L) {
  Encoder *E = (Encoder *)lua_newuserdatauv(L, sizeof(*E), 0);
  memset(E, 0, sizeof(*E));
  writer_init(&E->w);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, encoder_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return E;
}


/* What was met is of no use to another message. */
static void forget (Encoder *E) {
  seen_reset(&E->seen);
  words_reset(&E->words);
}


void encoder_start (Encoder *E) {
  E->depth = E->root = E->modules = 0;
  E->strings = 0;
  E->again = E->called = 0;
  E->plain = 1;
  E->harmless = NULL;
  E->notes = E->anchors = 0;
  writer_reset(&E->w);
  forget(E);
  lua_settop(E->L, E->slots - 1);
  lua_settop(E->L, E->slots - 1 + SLOT_COUNT);  /* nil */
  E->spine.slot = E->slots + SLOT_SPINE;
  E->spine.chunks = 0;
}


/* Says of the only value that it is a plain table, if it is one. */
static void mark_plain (Encoder *E) {
  unsigned char *tag = E->w.data + WRITER_START + HEADER_SIZE;
  if (E->plain && *tag == T_TABLE && here(E) < PLAIN_SIZE) *tag = T_PLAIN;
}


int put_all (Encoder *E, int first, int n) {
  lua_State *L = E->L;
  int i;
  put_u64(E, 0);
  put_u32(E, (uint32_t)n);
  for (i = 0; i < n; i++) {
    E->root = i + 1;
    E->spine.base = E->slots + SLOT_COUNT;
    lua_pushvalue(L, first + i);
    put_value(E, 0);
    while (E->depth > 0) step(E);
    if (E->again) return 0;
  }
  if (n == 1) mark_plain(E);
  put_modules(E);
  return 1;
}


/* Pushes the state's encoder, which is out of the State while it is used; or a
** new one, when code of the user's sends in the middle of a message. */
static Encoder *push_encoder (lua_State *L, State *S, Roots roots) {
  Encoder *E = S->encoder;
  if (E != NULL) lua_rawgetp(L, LUA_REGISTRYINDEX, &S->encoder);
  else E = encoder_new(L);
  S->encoder = NULL;
  E->L = L;
  E->S = S;
  E->roots = roots;
  E->fresh = E->explaining = E->anchoring = 0;
  return E;
}


/* The encoder, at 'idx', has done its work. (After an error it is garbage.) */
static void give_back (lua_State *L, State *S, Encoder *E, int idx) {
  if (S->encoder != NULL) return;
  if (E != S->kept_encoder) {
    lua_pushvalue(L, idx);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &S->encoder);
    S->kept_encoder = E;
  }
  S->encoder = E;
}


Message *encode (lua_State *L, State *S, int first, Roots roots,
                 uint64_t port) {
  Encoder *E;
  Message *m = NULL;
  int n;
  if (lua_gettop(L) == first) m = encode_scalar(L, &S->spares, first, port);
  if (m != NULL) return m;
  luaL_checkstack(L, SLOT_COUNT + LUA_MINSTACK, NULL);
  n = lua_gettop(L) + 1 - first;
  E = push_encoder(L, S, roots);
  E->slots = first + n + 1;
  do encoder_start(E); while (!put_all(E, first, n));
  forget(E);
  m = writer_finish(&E->w, &S->spares, port);
  if (m == NULL) luaL_error(L, "not enough memory");
  give_back(L, S, E, first + n);  /* sets a key that is there: cannot raise */
  lua_settop(L, first + n - 1);
  return m;
}

/* }====================================================== */
