/*
** sealed.c
** The decoder, with what cannot be checked in a message kept out of it.
**
** A message holds bytecode, which Lua does not check, and addresses of C
** functions. Whoever changes these can make its reader crash, and no decoder
** could help it: messages never leave the process, that is the safety. So the
** fuzzer's bytes go as far as Lua's functions that would take them; there the
** code of a function that is known is taken in their place, unless they are
** just that, and one of a few C functions.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "sealed.h"


Code sealed_codes[SEALED_CODES];
int sealed_ncodes, sealed_trust, sealed_called;

static int decoder_gc (lua_State *L);  /* the only one of the decoder's own */


static int sealed_load (lua_State *L, lua_Reader reader, void *ud,
                        const char *name, const char *mode) {
  size_t size;
  const char *p;
  const Code *code = sealed_codes, *end = code + sealed_ncodes;
  if (sealed_trust) return lua_load(L, reader, ud, name, mode);
  p = reader(L, ud, &size);
  if (p == NULL) return luaL_loadbufferx(L, "", 0, name, mode);
  while (code < end && !(code->size == size && memcmp(code->p, p, size) == 0))
    code++;
  if (code == end) code = &sealed_codes[(unsigned char)p[0] % sealed_ncodes];
  return luaL_loadbufferx(L, code->p, code->size, name, mode);
}


static void sealed_pushcclosure (lua_State *L, lua_CFunction f, int n) {
  size_t i = 0;
  if (!sealed_trust && f != decoder_gc) {
    while (i < SEALED_FUNCTIONS && sealed_functions[i] != f) i++;
    if (i == SEALED_FUNCTIONS)
      f = sealed_functions[(size_t)f % SEALED_FUNCTIONS];
  }
  lua_pushcclosure(L, f, n);
}


/* It calls the user's code, and nothing else. */
static void sealed_callk (lua_State *L, int nargs, int nresults,
                          lua_KContext ctx, lua_KFunction k) {
  sealed_called = 1;
  lua_callk(L, nargs, nresults, ctx, k);
}


static int sealed_pcallk (lua_State *L, int nargs, int nresults, int handler,
                          lua_KContext ctx, lua_KFunction k) {
  sealed_called = 1;
  return lua_pcallk(L, nargs, nresults, handler, ctx, k);
}


#define lua_load	sealed_load
#define lua_pushcclosure	sealed_pushcclosure
#define lua_callk	sealed_callk
#define lua_pcallk	sealed_pcallk
#define Code		DecoderCode  /* it has a type of that name */

#include "../../src/decode.c"
#include "../../src/decode_function.c"
#include "../../src/decode_name.c"
#include "../../src/decode_plain.c"
#include "../../src/decode_transfer.c"
