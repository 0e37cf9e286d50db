/*
** decoder.c
** Fuzzes the decoder: whatever the bytes of a message are, decoding ends in
** values or in a Lua error, with nothing leaked, and values that came out can
** be sent again.
**
** An input is two bytes and a message. The message is decoded in one go,
** encoded and decoded again; then, in a new state, in slices. The two bytes
** say how: how little memory there is, how many values a slice has, whether
** each slice begins with a full collection.
**
** What is not tried is in sealed.c. The functions that a message may hold or
** name are called as in earnest (rebuilt values, finalizers), so there is
** nothing in the state that harms, hangs or prints: see values.lua.
**
** Built by clang for libFuzzer; with -DREPLAY, by any compiler, as a program:
**   decoder FILE...      runs each input
**   decoder -seeds DIR   writes the inputs to begin with
*/

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

#include "../../src/hidden.h"
#include "../../src/core.h"
#include "../../src/decode.h"
#include "../../src/encode.h"
#include "../../src/isolate.h"
#include "sealed.h"

#define VALUES		"spec/fuzz/values.lua"
#define MEMORY		(32 * 1024 * 1024)	/* of one state */
#define ROOM		256		/* bytes that an input's first byte counts */
#define FULL_GC		0x80		/* in its second byte */


static void fail (const char *what, const char *why) {
  fprintf(stderr, "fuzz: %s: %s\n", what, why);
  abort();
}


/* {======================================================
** States
** ======================================================= */

typedef struct Memory { size_t used, limit; } Memory;


static void *limited_alloc (void *ud, void *p, size_t osize, size_t nsize) {
  Memory *m = (Memory *)ud;
  void *block;
  if (p == NULL) osize = 0;
  if (nsize == 0) {
    free(p);
    m->used -= osize;
    return NULL;
  }
  if (nsize > osize && m->used + (nsize - osize) > m->limit) return NULL;
  block = realloc(p, nsize);
  if (block != NULL) m->used = m->used - osize + nsize;
  return block;
}


static Code prepare;		/* of the function in values.lua */

/* A state with the core and the libraries that values.lua leaves in it. */
static lua_State *open_state (Memory *memory, int seeds) {
  static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base}, {LUA_LOADLIBNAME, luaopen_package},
    {LUA_STRLIBNAME, luaopen_string}, {LUA_TABLIBNAME, luaopen_table},
    {LUA_MATHLIBNAME, luaopen_math},
    {"isolate.core", luaopen_isolate_core}, {NULL, NULL}
  };
  const luaL_Reg *library;
  lua_State *L;
  memory->used = 0;
  memory->limit = MEMORY;
  L = lua_newstate(limited_alloc, memory);
  if (L == NULL) fail("lua_newstate", "no memory");
  for (library = libraries; library->name != NULL; library++)
    luaL_requiref(L, library->name, library->func, 1);
  lua_settop(L, 0);
  if (seeds && luaL_dofile(L, VALUES) != LUA_OK)
    fail(VALUES, lua_tostring(L, -1));
  if (luaL_loadbuffer(L, prepare.p, prepare.size, "=prepare") != LUA_OK ||
      lua_pcall(L, 0, 0, 0) != LUA_OK)
    fail("prepare", lua_tostring(L, -1));
  return L;
}


static int add_bytes (lua_State *L, const void *p, size_t n, void *ud) {
  Code *code = (Code *)ud;
  (void)L;
  code->p = (char *)realloc(code->p, code->size + n);
  memcpy(code->p + code->size, p, n);
  code->size += n;
  return 0;
}


/* Learns the code of the functions in values.lua. */
static void learn (void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_dofile(L, VALUES) != LUA_OK) fail(VALUES, lua_tostring(L, -1));
  lua_getfield(L, -1, "prepare");
  lua_dump(L, add_bytes, &prepare, 0);
  lua_getfield(L, -2, "functions");
  while (lua_rawgeti(L, -1, sealed_ncodes + 1) == LUA_TFUNCTION) {
    if (sealed_ncodes == SEALED_CODES) fail(VALUES, "too many functions");
    lua_dump(L, add_bytes, &sealed_codes[sealed_ncodes++], 0);
    lua_pop(L, 1);
  }
  lua_close(L);
}

/* }====================================================== */


/* {======================================================
** One way
** ======================================================= */

static void destroy_box (Shared *shared) {
  mailbox_destroy((Mailbox *)(void *)shared);
  free(shared);
}


/* The bytes as a message that mentions the state's own mailbox and another. */
static Message *make_message (State *S, const unsigned char *bytes, size_t n) {
  Message *m = message_new(n, 2);
  Mailbox *other = (Mailbox *)malloc(sizeof(*other));
  memset(other, 0, sizeof(*other));
  mailbox_init(other, destroy_box);
  if (n > 0) memcpy(m->bytes, bytes, n);
  message_refs(m)[0] = (Shared *)shared_retain(&S->isolate->box);
  message_refs(m)[1] = &other->shared;
  return m;
}


static int echo (lua_State *L) { return lua_gettop(L); }
static int collect (lua_State *L) { lua_gc(L, LUA_GCCOLLECT); return 0; }
static int again (lua_State *L);

const lua_CFunction sealed_functions[] = {echo, collect, again};

static const unsigned char *input;	/* the message that is tried */
static size_t input_size;
static int depth;


/* Protected. Argument: the decoder. */
static int whole (lua_State *L) {
  Decoder *d = (Decoder *)lua_touserdata(L, 1);
  decoder_start(L, d);
  if (!decoder_run(L, d, NEVER)) fail("decoder_run", "not all at once");
  return (int)d->values;
}


/* In a message: receives the same message in the middle of it. */
static int again (lua_State *L) {
  Decoder *d;
  int top, status;
  if (depth > 0) return 0;
  lua_settop(L, 0);
  d = decoder_new(L);
  decoder_take(d, state_find(L), make_message(state_find(L), input, input_size));
  top = lua_gettop(L);
  lua_pushcfunction(L, whole);
  lua_pushlightuserdata(L, d);
  depth++;
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  depth--;
  decoder_stop(d);
  return (status == LUA_OK) ? lua_gettop(L) - top : 0;
}


/* Pushes the values of 'm' or an error; returns the status. As receive.c does
** with a small message. */
static int decode_whole (lua_State *L, Message *m) {
  Decoder *d = decoder_new(L);
  int idx = lua_gettop(L), status;
  decoder_take(d, state_find(L), m);
  lua_pushcfunction(L, whole);
  lua_pushlightuserdata(L, d);
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  decoder_stop(d);
  lua_remove(L, idx);
  return status;
}


static int slice_fuel, slice_gc;

static int slice (lua_State *co, int status, lua_KContext ctx) {
  Decoder *d = (Decoder *)ctx;
  (void)status;
  if (slice_gc) lua_gc(co, LUA_GCCOLLECT);
  d->fuel = slice_fuel;
  if (!decoder_run(co, d, 0)) return lua_yieldk(co, 0, ctx, slice);
  return (int)d->values;
}


static int sliced (lua_State *co) {
  Decoder *d = (Decoder *)lua_touserdata(co, 1);
  decoder_start(co, d);
  return slice(co, LUA_OK, (lua_KContext)d);
}


/* Protected; the same as 'decode_whole', in slices. Argument: the decoder,
** which is owned by the caller and has its message. */
static int decode_sliced (lua_State *L) {
  lua_State *co = lua_newthread(L);
  int n, status;
  lua_pushcfunction(co, sliced);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  do status = lua_resume(co, L, (lua_status(co) == LUA_YIELD) ? 0 : 1, &n);
  while (status == LUA_YIELD);
  if (status != LUA_OK) n = 1;
  luaL_checkstack(L, n + LUA_MINSTACK, "too many values");
  lua_xmove(co, L, n);
  return (status == LUA_OK) ? n : lua_error(L);
}


/* Protected. Arguments: values. Returns a message, as light userdata. */
static int encode_all (lua_State *L) {
  lua_pushlightuserdata(L, encode(L, state_find(L), 1, ROOT_RESULT, 1));
  return 1;
}

/* }====================================================== */


/* {======================================================
** An input
** ======================================================= */

/* What became of a message; only types of values, for a message may hold too
** much to compare. */
typedef struct Outcome { int status, n, called, types[8]; } Outcome;


static void look (lua_State *L, int first, int status, Outcome *o) {
  int i;
  memset(o, 0, sizeof(*o));
  o->status = status;
  o->called = sealed_called;
  o->n = lua_gettop(L) - first + 1;
  for (i = 0; i < o->n && i < 8; i++) o->types[i] = lua_type(L, first + i);
}


/* The same came of both; not so if there was too little memory, or if the
** user's code had a hand in it. */
static void compare (const char *what, const Outcome *a, const Outcome *b) {
  if (a->status == LUA_ERRMEM || b->status == LUA_ERRMEM || a->called ||
      b->called) return;
  if (memcmp(a, b, sizeof(*a)) != 0) fail(what, "differs");
}


static void end_state (lua_State *L, const Memory *memory) {
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCCOLLECT);  /* SendPorts go in the second */
  lua_close(L);
  if (memory->used != 0) fail("the state", "has left blocks behind");
}


/* In one go; and what came out, once more. */
static void try_whole (Outcome *o) {
  Memory memory;
  lua_State *L = open_state(&memory, 0);
  State *S = state_find(L);
  Outcome second;
  Message *m;
  sealed_called = sealed_trust = 0;
  look(L, 1, decode_whole(L, make_message(S, input, input_size)), o);
  if (o->status == LUA_OK && lua_checkstack(L, LUA_MINSTACK)) {
    lua_pushcfunction(L, encode_all);
    lua_insert(L, 1);
    if (lua_pcall(L, lua_gettop(L) - 1, 1, 0) == LUA_OK) {
      m = (Message *)lua_touserdata(L, 1);
      lua_settop(L, 0);
      sealed_trust = 1;
      look(L, 1, decode_whole(L, m), &second);
      if (second.status != LUA_OK && !second.called)
        fprintf(stderr, "fuzz: %s\n", luaL_tolstring(L, -1, NULL));
      compare("the second decode", o, &second);
    }
  }
  end_state(L, &memory);
}


/* In slices, with the memory that the input says. */
static void try_slices (int room, int how, const Outcome *whole_outcome) {
  Memory memory;
  lua_State *L = open_state(&memory, 0);
  State *S = state_find(L);
  Outcome o;
  Decoder *d = decoder_new(L);
  lua_pushcfunction(L, decode_sliced);
  lua_pushvalue(L, 1);
  decoder_take(d, S, make_message(S, input, input_size));
  sealed_called = sealed_trust = 0;
  slice_gc = how & FULL_GC;
  slice_fuel = (how & ~FULL_GC) + 2;  /* one value at least */
  if (room > 0) memory.limit = memory.used + (size_t)room * ROOM;
  look(L, 2, lua_pcall(L, 1, LUA_MULTRET, 0), &o);
  decoder_stop(d);
  memory.limit = MEMORY;
  if (room == 0) compare("the decode in slices", whole_outcome, &o);
  end_state(L, &memory);
}


int LLVMFuzzerTestOneInput (const unsigned char *bytes, size_t n);

int LLVMFuzzerTestOneInput (const unsigned char *bytes, size_t n) {
  Outcome outcome;
  if (sealed_ncodes == 0) learn();
  if (n < 2) return 0;
  input = bytes + 2;
  input_size = n - 2;
  try_whole(&outcome);
  try_slices(bytes[0], bytes[1], &outcome);
  return 0;
}

/* }====================================================== */


#if defined(REPLAY)

/* A message's pointers to our functions become small numbers. */
static void forget_addresses (Message *m) {
  size_t at, i;
  for (at = 0; at + sizeof(sealed_functions[0]) <= m->size; at++)
    for (i = 0; i < SEALED_FUNCTIONS; i++)
      if (memcmp(m->bytes + at, &sealed_functions[i], sizeof(sealed_functions[i])) == 0) {
        memset(m->bytes + at, 0, sizeof(sealed_functions[i]));
        m->bytes[at] = (unsigned char)i;
      }
}


static void write_seed (const char *dir, const char *name, const Message *m) {
  static const unsigned char how[2] = {0, 3};
  char path[1024];
  FILE *f;
  snprintf(path, sizeof(path), "%s/%s", dir, name);
  f = fopen(path, "wb");
  if (f == NULL || fwrite(how, 1, 2, f) != 2 ||
      fwrite(m->bytes, 1, m->size, f) != m->size || fclose(f) != 0)
    fail(path, "cannot be written");
}


static void write_seeds (const char *dir) {
  Memory memory;
  lua_State *L;
  size_t i;
  learn();
  L = open_state(&memory, 1);
  lua_getfield(L, 1, "seeds");
  luaL_requiref(L, "isolate.core", luaopen_isolate_core, 0);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "light");
  lua_newtable(L);
  for (i = 0; i < SEALED_FUNCTIONS; i++) {
    lua_pushcfunction(L, sealed_functions[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "functions");
  lua_pushnil(L);
  lua_setfield(L, LUA_REGISTRYINDEX, "isolate.core");
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) fail("seeds", lua_tostring(L, -1));
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    Message *m;
    lua_pushcfunction(L, encode_all);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
      fail(lua_tostring(L, -2), lua_tostring(L, -1));
    m = (Message *)lua_touserdata(L, -1);
    forget_addresses(m);
    write_seed(dir, lua_tostring(L, -2), m);
    message_free(m);
    lua_pop(L, 1);
  }
  end_state(L, &memory);
}


static void replay (const char *path) {
  FILE *f = fopen(path, "rb");
  unsigned char *bytes = NULL;
  size_t n = 0, got;
  if (f == NULL) fail(path, "cannot be read");
  do {
    bytes = (unsigned char *)realloc(bytes, n + 4096);
    got = fread(bytes + n, 1, 4096, f);
    n += got;
  } while (got > 0);
  fclose(f);
  fprintf(stderr, "%s\n", path);
  LLVMFuzzerTestOneInput(bytes, n);
  free(bytes);
}


int main (int argc, char **argv) {
  int i;
  if (argc == 3 && strcmp(argv[1], "-seeds") == 0) write_seeds(argv[2]);
  else for (i = 1; i < argc; i++) replay(argv[i]);
  return 0;
}

#endif
