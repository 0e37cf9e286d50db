/*
** encode.c
** A value becomes a message.
**
** No recursion: what is being written is a list of frames, and their Lua
** values are the topmost slots of the stack. A value is either written at
** once, or it opens a frame; then the frame on top is stepped until it ends.
** Mirrored by decode.c.
*/

#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "encode.h"
#include "function.h"
#include "platform.h"
#include "port.h"


/* A string of this length or more is written once and then referred to. */
#define LONG_STRING	256

/* A message that has so many bytes is large enough to look for words. */
#define WORDS_FROM	1024


/* {======================================================
** Bytes
** ======================================================= */

static void grow (Encoder *E, size_t n) {
  if (!writer_reserve(&E->w, n)) luaL_error(E->L, "not enough memory");
}


/* Where the next 'n' bytes go. */
static inline unsigned char *room (Encoder *E, size_t n) {
  if (E->w.used + n > E->w.size) grow(E, n);
  return E->w.data + E->w.used;
}


static inline void put_bytes (Encoder *E, const void *p, size_t n) {
  memcpy(room(E, n), p, n);
  E->w.used += n;
}


static inline void put_byte (Encoder *E, int b) {
  *room(E, 1) = (unsigned char)b;
  E->w.used++;
}


static void put_u32 (Encoder *E, uint32_t x) { put_bytes(E, &x, sizeof(x)); }
static void put_u64 (Encoder *E, uint64_t x) { put_bytes(E, &x, sizeof(x)); }


/* A tag and what follows, in one go. */
static inline void put_tagged (Encoder *E, int tag, const void *p, size_t n) {
  unsigned char *to = room(E, n + 1);
  *to = (unsigned char)tag;
  memcpy(to + 1, p, n);
  E->w.used += n + 1;
}


/* Where the next byte goes, as the reader counts. */
static size_t here (const Encoder *E) { return E->w.used - WRITER_START; }


static void patch (Encoder *E, size_t at, const void *p, size_t n) {
  memcpy(E->w.data + WRITER_START + at, p, n);
}

/* }====================================================== */


/* The table in a fixed slot, made at first need. */
static int slot_table (Encoder *E, int slot) {
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

/* Keeps the value at the top alive until the message is written: its address
** must not come again. */
static void anchor (Encoder *E) {
  int idx = slot_table(E, SLOT_ANCHORS);
  lua_pushvalue(E->L, -1);
  lua_rawseti(E->L, idx, ++E->anchors);
}


/* Before code of the user's is called in the middle of a message: it may drop
** what was written already, and an address come again for something else. So
** all that is written is kept alive; for that the message is started again
** (true), once. */
static int must_anchor (Encoder *E) {
  if (E->anchoring) return 0;
  E->anchoring = 1;
  E->again = 1;
  E->depth = 0;
  return 1;
}


/* Looks up or enters 'key'; true if it is new. */
static int seen_new (Encoder *E, const void *key, size_t offset, int upvalue,
                     SeenEntry **entry) {
  int fresh = seen_enter(&E->seen, key, offset, upvalue, entry);
  if (fresh < 0) luaL_error(E->L, "not enough memory");
  return fresh;
}


/* Marks the value at 'offset' as one that is mentioned again. */
static void keep (Encoder *E, size_t offset) {
  E->w.data[WRITER_START + offset] |= TAG_KEPT;
}


/* If the value at 'idx', which has this address, was written before, writes a
** reference to it. */
static int put_again (Encoder *E, int idx, const void *address) {
  SeenEntry *e;
  uint64_t offset;
  if (seen_new(E, address, here(E), 0, &e)) {
    if (E->anchoring) {
      lua_pushvalue(E->L, idx);
      anchor(E);
      lua_pop(E->L, 1);
    }
    return 0;
  }
  offset = e->offset;
  keep(E, e->offset);
  put_tagged(E, T_REF, &offset, sizeof(offset));
  return 1;
}

/* }====================================================== */


/* {======================================================
** Frames
** ======================================================= */

/* Opens a frame for the value whose slots are topmost. */
static Frame *open_frame (Encoder *E, FrameKind kind) {
  Frame *f;
  if (E->depth == E->size) {
    int size = E->size ? E->size * 2 : 32;
    Frame *frames = (Frame *)realloc(E->frames, (size_t)size * sizeof(Frame));
    if (frames == NULL) luaL_error(E->L, "not enough memory");
    E->frames = frames;
    E->size = size;
  }
  spine_push(E->L, &E->spine);
  f = &E->frames[E->depth++];
  memset(f, 0, sizeof(*f));
  f->kind = kind;
  f->start = here(E);
  f->note = E->notes;
  return f;
}


/* Ends the frame on top, whose slots are gone. */
static void close_frame (Encoder *E) {
  const Frame *f = &E->frames[--E->depth];
  if (E->explaining) note_bytes(E, f->note, f->start);
  spine_pop(E->L, &E->spine);
}


/* Calls the user's code, which may send messages itself. */
static void call_user (Encoder *E, int nargs, int nresults) {
  E->called = 1;
  if (lua_pcall(E->L, nargs, nresults, 0) == LUA_OK) return;
  writer_reset(&E->w);  /* all that was written is not kept until a collection */
  lua_error(E->L);
}

/* }====================================================== */


/* {======================================================
** By name
** ======================================================= */

/* Before the first function or metatable of a message: is the by-name index
** still what package.loaded says? If not, tables already written may have
** been modules: then the message is started again, and this is true. */
static int stale (Encoder *E) {
  if (E->fresh) return 0;
  E->fresh = 1;
  if (!names_refresh(E->L, &E->S->names, 0) || E->called) return 0;
  E->again = 1;
  E->depth = 0;
  return 1;
}


/* Writes the number of the module named at the top among those of this
** message; pops the name. */
static void put_module (Encoder *E, int tag) {
  lua_State *L = E->L;
  int modules = slot_table(E, SLOT_MODULES);
  uint32_t i;
  lua_pushvalue(L, -1);
  if (lua_rawget(L, modules) == LUA_TNIL) {
    i = (uint32_t)E->modules++;
    lua_pushvalue(L, -2);
    lua_pushinteger(L, (lua_Integer)i);
    lua_rawset(L, modules);
    lua_pushvalue(L, -2);
    lua_rawseti(L, modules, (lua_Integer)i);
  }
  else i = (uint32_t)lua_tointeger(L, -1);
  lua_pop(L, 2);
  put_tagged(E, tag, &i, sizeof(i));
}


static void put_plain (Encoder *E, int idx);


/* Does the module (under its name and nil, at the top) hold C functions that
** are its own? */
static int is_c_library (lua_State *L, const Names *names) {
  int top = lua_gettop(L), is = 0;
  if (!lua_istable(L, top - 2)) return 0;
  lua_pushnil(L);
  while (!is && lua_next(L, top - 2)) {
    if (lua_iscfunction(L, -1) && names_find(L, names, -1) == NAMED_FUNCTION)
      is = lua_rawequal(L, -2, top - 1);
    lua_settop(L, top + 1);
  }
  lua_settop(L, top);
  return is;
}


/* Looks for the value at the top in the loaded modules, and writes its name
** if it has one; false if not, with nothing written. A table that is just a
** field of a module goes by name only 'asclass', found as a metatable. */
static int put_name (Encoder *E, int asclass) {
  lua_State *L = E->L;
  enum Named kind = names_find(L, &E->S->names, -1);
  if (kind == NAMED_NOTHING) return 0;
  if (kind == NAMED_TABLE && !asclass) {
    lua_pop(L, 2);
    return 0;
  }
  if (!names_findable(L, -2)) {  /* set by hand: a copy will do, if it can */
    if (lua_iscfunction(L, -3) ||
        (kind == NAMED_MODULE && is_c_library(L, &E->S->names))) {
      lua_pushfstring(L, "`require` cannot find '%s'", lua_tostring(L, -2));
      lua_replace(L, -3);
      lua_pop(L, 1);
      return refuse(E, NULL);
    }
    lua_pop(L, 2);
    return 0;
  }
  if (E->explaining) note_name(E, kind);
  if (kind == NAMED_MODULE) {
    lua_pop(L, 1);
    put_module(E, T_MODULE);
  }
  else {
    lua_insert(L, -2);  /* value, field, module */
    put_module(E, T_FIELD);
    put_plain(E, -1);
    lua_pop(L, 1);
  }
  return 1;
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


/* A name: never by reference. */
static void put_plain (Encoder *E, int idx) {
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
  int word = (here(E) < WORDS_FROM || E->anchoring) ? 0
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
  else if (!put_again(E, idx, s)) {
    uint64_t size = len;
    put_tagged(E, T_STRING, &size, sizeof(size));
    put_bytes(E, s, len);
  }
}


/* The C function at the top: it is code of a library that must stay. */
static void put_cfunction (Encoder *E) {
  lua_State *L = E->L;
  lua_CFunction f = lua_tocfunction(L, -1);
  void *address;
  if (lua_getupvalue(L, -1, 1) != NULL) {
    lua_pop(L, 1);
    refuse_kind(E);
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


/* The function at the top. True if it is written, false for a new frame. */
static int put_function (Encoder *E) {
  lua_State *L = E->L;
  const void *address = lua_topointer(L, -1);
  size_t len;
  uint64_t size;
  const char *code;
  Frame *f;
  if (stale(E)) return 0;
  if (lua_iscfunction(L, -1)) {
    if (!put_name(E, 0)) put_cfunction(E);
    return 1;
  }
  if (put_again(E, -1, address) || put_name(E, 0)) return 1;
  if (!function_info(L, -1) && E->fresh == 1 && !is_called(E)) {
    /* new: maybe a module grew since it was indexed */
    E->fresh = 2;
    names_refresh(L, &E->S->names, 1);
    lua_insert(L, -2);
    if (put_name(E, 0)) {
      lua_remove(L, -2);
      return 1;
    }
    lua_insert(L, -2);
  }
  f = open_frame(E, FRAME_UPVALUE);
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


/* A metafield of the value at the top; pushes it if it is there. */
static int metafield (lua_State *L, const char *name) {
  lua_pushstring(L, name);
  if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  return 0;
}


/* Calls '__transfer', which is at the top with its value under it, and opens
** a frame for the results. */
static void open_transfer (Encoder *E) {
  lua_State *L = E->L;
  int before, n, i;
  Frame *f;
  uint32_t count;
  before = lua_gettop(L) - 1;
  lua_pushvalue(L, -2);
  call_user(E, 1, LUA_MULTRET);
  n = lua_gettop(L) - before;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (n == 0 || !lua_isfunction(L, before + 1)) {
    lua_settop(L, before);
    refuse(E, "its __transfer returned no function to rebuild it");
  }
  lua_createtable(L, n, 0);
  lua_insert(L, before + 1);
  for (i = n; i >= 1; i--) lua_rawseti(L, before + 1, i);
  anchor(E);
  f = open_frame(E, FRAME_TRANSFER);
  f->n = n;
  count = (uint32_t)n;
  put_tagged(E, T_TRANSFER, &count, sizeof(count));
}


/* Can the value at the top be called? */
static int iscallable (lua_State *L) {
  if (lua_isfunction(L, -1)) return 1;
  if (luaL_getmetafield(L, -1, "__call") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  return 1;
}


/* The metatable at the top says how its value, under it, is sent. True if
** there is a frame for that, and the metatable is gone; false if the value is
** sent as what it is. */
static int by_metatable (Encoder *E) {
  lua_State *L = E->L;
  if (metafield(L, "__transfer")) {
    if (!lua_toboolean(L, -1)) {
      lua_pop(L, 2);
      refuse_kind(E);
    }
    if (!iscallable(L)) {
      lua_pop(L, 2);
      refuse(E, "its __transfer is not a function");
    }
    lua_remove(L, -2);
    if (!must_anchor(E)) open_transfer(E);
    return 1;
  }
  if (lua_istable(L, -2) && (metafield(L, "__gc") || metafield(L, "__close"))) {
    lua_pop(L, 2);
    refuse_kind(E);
  }
  return 0;
}


/* The table at the top. */
static int put_table (Encoder *E, int asclass) {
  lua_State *L = E->L;
  const void *address = lua_topointer(L, -1);
  uint32_t counts[2] = {0, 0};
  int tag = T_TABLE;
  Frame *f;
  if (address == E->S->globals) {
    put_byte(E, T_GLOBALS);
    return 1;
  }
  if (put_again(E, -1, address) || put_name(E, asclass)) return 1;
  if (lua_getmetatable(L, -1)) {
    if (stale(E) || by_metatable(E)) return 0;
    lua_pop(L, 1);
    tag = T_OBJECT;
  }
  f = open_frame(E, FRAME_TABLE);
  f->length = lua_rawlen(L, -1);
  f->n = (tag == T_OBJECT);
  put_tagged(E, tag, counts, sizeof(counts));
  f->patch = here(E) - sizeof(counts);
  lua_pushnil(L);  /* the first key comes after it */
  return 0;
}


/* The userdata at the top: ours, or one whose class knows how. */
static int put_userdata (Encoder *E) {
  lua_State *L = E->L;
  const void *class;
  if (!lua_getmetatable(L, -1)) return refuse_kind(E);
  class = lua_topointer(L, -1);
  if (class == E->S->sendport_class) {
    const SendPort *port = (SendPort *)lua_touserdata(L, -2);
    int ref = port->box ? writer_ref(&E->w, port->box) : -1;
    uint32_t index = (uint32_t)ref;
    if (port->box == NULL) luaL_error(L, "isolate: this Lua state is closing");
    if (ref < 0) luaL_error(L, "not enough memory");
    put_tagged(E, T_SENDPORT, &index, sizeof(index));
    put_u64(E, port->id);
  }
  else if (class == E->S->capability_class) {
    Capability *c = (Capability *)lua_touserdata(L, -2);
    put_tagged(E, T_CAPABILITY, &c->id, sizeof(c->id));
  }
  else if (class == E->S->box_class) {
    Shared *it = *(Shared **)lua_touserdata(L, -2);
    int ref = it ? writer_ref(&E->w, it) : -1;
    uint32_t index = (uint32_t)ref;
    if (it == NULL) luaL_error(L, "isolate: this Lua state is closing");
    if (ref < 0) luaL_error(L, "not enough memory");
    put_tagged(E, T_SHARED, &index, sizeof(index));
  }
  else {
    if (stale(E)) return 0;
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
    case LUA_TFUNCTION: return put_function(E);
    case LUA_TUSERDATA: return put_userdata(E);
    case LUA_TLIGHTUSERDATA:
      p = lua_touserdata(E->L, -1);
      put_tagged(E, T_LIGHT, &p, sizeof(p));
      return 1;
    default: return refuse_kind(E);
  }
}


/* Writes the value at the top and pops it: true. Or opens a frame for it and
** leaves it to that, or starts the message again: false, and then the caller
** returns at once. */
static int put_value (Encoder *E, int asclass) {
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
  lua_Integer key;
  if (f->inhash || !lua_isinteger(E->L, idx)) return 0;
  key = lua_tointeger(E->L, idx);
  if (key <= (lua_Integer)f->array || (lua_Unsigned)key > f->length ||
      key - (lua_Integer)f->array > (lua_Integer)f->array + 16 ||
      key >= INT32_MAX) return 0;
  while ((lua_Integer)++f->array < key) put_byte(E, T_NIL);
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
  close_frame(E);
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


/* Slots: function, info. */
static void step_upvalue (Encoder *E, Frame *f) {
  lua_State *L = E->L;
  uint32_t none = 0;
  while (f->i < f->n) {
    SeenEntry *e;
    const char *name = lua_getupvalue(L, -2, ++f->i);
    if (strcmp(name, "_ENV") == 0) {
      put_byte(E, CELL_ENV);
      lua_pop(L, 1);
      continue;
    }
    if (!seen_new(E, lua_upvalueid(L, -3, f->i), f->start, f->i, &e)) {
      uint64_t offset = e->offset;
      keep(E, e->offset);
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
  put_u32(E, none);
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
  if (must_anchor(E)) return;
  lua_pushcfunction(L, gettable);
  lua_insert(L, -3);
  E->called = 1;
  status = lua_pcall(L, 2, 1, 0);
  if (status == LUA_ERRMEM) lua_error(L);
  if (status != LUA_OK) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  anchor(E);
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
  int known, top = lua_gettop(L), globals = slot_table(E, SLOT_GLOBALS);
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


/* Slots: function, info. */
static void step_global (Encoder *E, Frame *f) {
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
  close_frame(E);
}


/* Slots: value, table of results. */
static void step_transfer (Encoder *E, Frame *f) {
  lua_State *L = E->L;
  while (f->i < f->n) {
    lua_rawgeti(L, -1, ++f->i);
    if (!put_value(E, 0)) return;
  }
  lua_pop(L, 2);
  close_frame(E);
}


static void step (Encoder *E) {
  Frame *f = &E->frames[E->depth - 1];
  switch (f->kind) {
    case FRAME_TABLE: step_table(E, f); break;
    case FRAME_KEY: step_key(E, f); break;
    case FRAME_METATABLE: lua_pop(E->L, 1); close_frame(E); break;
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
  free(E->frames);
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


/* Nothing is written yet; the fixed slots are empty. */
static void start (Encoder *E) {
  E->depth = E->root = E->modules = 0;
  E->again = E->called = 0;
  E->notes = E->anchors = 0;
  writer_reset(&E->w);
  seen_reset(&E->seen);
  words_reset(&E->words);
  lua_settop(E->L, E->slots - 1);
  lua_settop(E->L, E->slots - 1 + SLOT_COUNT);  /* nil */
  E->spine.slot = E->slots + SLOT_SPINE;
  E->spine.chunks = 0;
}


/* The names of the modules, at the end; the header says where. */
static void put_modules (Encoder *E) {
  lua_State *L = E->L;
  uint64_t offset = here(E);
  int i;
  if (E->modules == 0) return;
  patch(E, 0, &offset, sizeof(offset));
  put_u32(E, (uint32_t)E->modules);
  for (i = 0; i < E->modules; i++) {
    lua_rawgeti(L, E->slots + SLOT_MODULES, i);
    put_byte(E, names_standard(lua_tostring(L, -1)));
    put_plain(E, -1);
    lua_pop(L, 1);
  }
}


/* Writes the values from 'first' up to the fixed slots. False if it has to
** be done again. */
static int put_all (Encoder *E, int first) {
  lua_State *L = E->L;
  int i, n = E->slots - first;
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
  lua_pushvalue(L, idx);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &S->encoder);
  S->encoder = E;
}


/* Makes of 'm', a block of the right size or NULL, a message of one value, whose
** bytes are still to be written after its tag. */
static Message *single_of (Message *m, enum Tag tag, uint64_t port) {
  const uint32_t one = 1;
  if (m == NULL) return NULL;
  m->port = port;
  memset(m->bytes, 0, HEADER_SIZE);
  memcpy(m->bytes + sizeof(uint64_t), &one, sizeof(one));
  m->bytes[HEADER_SIZE] = (unsigned char)tag;
  return m;
}


/* A message of one value: its tag and bytes. NULL without memory. */
static Message *single (Spares *spares, enum Tag tag, const void *bytes, size_t n,
                        uint64_t port) {
  Message *m = single_of(spares_new(spares, HEADER_SIZE + 1 + n), tag, port);
  if (m != NULL && n > 0) memcpy(m->bytes + HEADER_SIZE + 1, bytes, n);
  return m;
}


Message *encode_integer (Spares *spares, int64_t i, uint64_t port) {
  return single(spares, T_INT8, &i, sizeof(i), port);
}


/* The same for a value that needs no encoder (a quarter of the time it would
** take); NULL for others, and without memory. */
static Message *encode_scalar (lua_State *L, Spares *spares, int idx,
                               uint64_t port) {
  switch (lua_type(L, idx)) {
    case LUA_TNIL: return single(spares, T_NIL, NULL, 0, port);
    case LUA_TBOOLEAN:
      return single(spares, lua_toboolean(L, idx) ? T_TRUE : T_FALSE, NULL, 0, port);
    case LUA_TNUMBER: {
      lua_Number x;
      if (lua_isinteger(L, idx))
        return encode_integer(spares, lua_tointeger(L, idx), port);
      x = lua_tonumber(L, idx);
      return single(spares, T_FLOAT, &x, sizeof(x), port);
    }
    default: return NULL;
  }
}


Message *encode (lua_State *L, State *S, int first, Roots roots,
                 uint64_t port) {
  Encoder *E;
  Message *m = NULL;
  if (lua_gettop(L) == first) m = encode_scalar(L, &S->spares, first, port);
  if (m != NULL) return m;
  luaL_checkstack(L, SLOT_COUNT + LUA_MINSTACK, NULL);
  E = push_encoder(L, S, roots);
  lua_insert(L, first);  /* under the values, alive as long as they */
  E->slots = lua_gettop(L) + 1;
  do start(E); while (!put_all(E, first + 1));
  lua_settop(L, E->slots - 1);
  m = writer_finish(&E->w, &S->spares, port);
  if (m == NULL) luaL_error(L, "not enough memory");
  give_back(L, S, E, first);  /* sets a key that is there: cannot raise */
  lua_remove(L, first);
  return m;
}

/* }====================================================== */


/* Writes a string as 'put_string' does a long one. */
static unsigned char *plain_string (unsigned char *to, const char *s, size_t len) {
  uint64_t n = len;
  *to++ = T_STRING;
  memcpy(to, &n, sizeof(n));
  memcpy(to + sizeof(n), s, len);
  return to + sizeof(n) + len;
}


Message *encode_pair (const char *a, size_t alen, const char *b, size_t blen,
                      uint64_t port) {
  const uint32_t counts[2] = {2, 0};
  const size_t strings = 2 * (1 + sizeof(uint64_t)) + alen + blen;
  Message *m = single_of(message_new(HEADER_SIZE + 1 + sizeof(counts) + strings),
                         T_TABLE, port);
  unsigned char *to;
  if (m == NULL) return NULL;
  to = m->bytes + HEADER_SIZE + 1;
  memcpy(to, counts, sizeof(counts));
  to = plain_string(to + sizeof(counts), a, alen);
  plain_string(to, b, blen);
  return m;
}


/* {======================================================
** Explain: the message is written, and thrown away. What is refused is left
** out in the next try.
** ======================================================= */

#define REFUSALS_SHOWN	50

/* Arguments: encoder, table of refusals, value. Returns the notes. */
static int explain_try (lua_State *L) {
  Encoder *E = (Encoder *)lua_touserdata(L, 1);
  E->L = L;
  E->slots = 4;
  do {
    start(E);
    lua_pushvalue(L, 2);
    lua_replace(L, E->slots + SLOT_REFUSED);
    lua_newtable(L);
    lua_replace(L, E->slots + SLOT_NOTES);
  } while (!put_all(E, 3));
  lua_pushvalue(L, E->slots + SLOT_NOTES);
  return 1;
}


void encode_explain (lua_State *L, State *S) {
  Encoder *E = encoder_new(L);  /* value, encoder */
  int value = lua_gettop(L) - 1, i;
  E->S = S;
  E->roots = ROOT_MESSAGE;
  lua_newtable(L);
  for (i = 0; i < REFUSALS_SHOWN; i++) {
    E->fresh = E->anchoring = 0;
    E->explaining = 1;
    lua_pushcfunction(L, explain_try);
    lua_pushvalue(L, value + 1);
    lua_pushvalue(L, value + 2);
    lua_pushvalue(L, value);
    if (lua_pcall(L, 3, 1, 0) == LUA_OK) {
      lua_replace(L, value);
      lua_settop(L, value);
      return;
    }
    if (E->refused == NULL) break;  /* not a refusal: the user's own error */
    lua_rawsetp(L, value + 2, E->refused);
    E->refused = NULL;
  }
  lua_error(L);
}

/* }====================================================== */
