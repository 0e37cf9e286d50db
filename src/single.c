/*
** single.c
** Messages of one value, or of a few strings, without encoder and decoder.
*/

#include <string.h>

#include "lua.h"

#include "hidden.h"
#include "decode.h"
#include "encode.h"


/* {======================================================
** Writing
** ======================================================= */

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
  Message *m = single_of(spares_new(spares, HEADER_SIZE + 1 + n, 0), tag, port);
  if (m == NULL) return NULL;
  if (n > 0) memcpy(m->bytes + HEADER_SIZE + 1, bytes, n);
  m->op = 1;  /* it may be joined to others */
  return m;
}


Message *encode_integer (Spares *spares, int64_t i, uint64_t port) {
  return single(spares, T_INT8, &i, sizeof(i), port);
}


Message *encode_scalar (lua_State *L, Spares *spares, int idx, uint64_t port) {
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
  Message *m = single_of(message_new(HEADER_SIZE + 1 + sizeof(counts) + strings, 0),
                         T_TABLE, port);
  unsigned char *to;
  if (m == NULL) return NULL;
  to = m->bytes + HEADER_SIZE + 1;
  memcpy(to, counts, sizeof(counts));
  to = plain_string(to + sizeof(counts), a, alen);
  plain_string(to, b, blen);
  return m;
}

/* }====================================================== */


/* {======================================================
** Reading
** ======================================================= */

int decode_scalar (lua_State *L, const unsigned char *bytes, size_t size) {
  const unsigned char *p = bytes + HEADER_SIZE;
  uint64_t names;
  uint32_t count;
  if (size <= HEADER_SIZE) return 0;
  memcpy(&names, bytes, sizeof(names));
  memcpy(&count, bytes + sizeof(names), sizeof(count));
  if (names != 0 || count != 1) return 0;
  switch (*p++) {
    case T_NIL: lua_pushnil(L); return 1;
    case T_FALSE: lua_pushboolean(L, 0); return 1;
    case T_TRUE: lua_pushboolean(L, 1); return 1;
    case T_INT8: {
      int64_t i;
      if (size != HEADER_SIZE + 1 + sizeof(i)) return 0;
      memcpy(&i, p, sizeof(i));
      lua_pushinteger(L, (lua_Integer)i);
      return 1;
    }
    case T_FLOAT: {
      lua_Number x;
      if (size != HEADER_SIZE + 1 + sizeof(x)) return 0;
      memcpy(&x, p, sizeof(x));
      lua_pushnumber(L, x);
      return 1;
    }
    default: return 0;
  }
}

/* }====================================================== */
