/*
** encode.h
** A value becomes a message.
*/

#ifndef encode_h
#define encode_h

#include "lua.h"

#include "spares.h"
#include "state.h"


/* How the values of a message are called in an error. */
typedef enum Roots {
  ROOT_MESSAGE,			/* message */
  ROOT_RESPONSE,		/* response */
  ROOT_CALL,			/* (port), fn, argument[1], argument[2], … */
  ROOT_SPAWN,			/* (port), fn, message, …, args */
  ROOT_RESULT,			/* (flag), result[1], result[2], … */
  ROOT_METHOD,			/* (method), argument[1], argument[2], … */
  ROOT_EXIT			/* message, sent by our Lua layer */
} Roots;


/* Pushes a new encoder, a userdata with a finalizer. */
struct Encoder *encoder_new (lua_State *L);

/* The values from index 'first' up become a message to 'port', which the
** caller owns. Raises if that is not possible; nothing is lost then. Leaves
** the stack as it was. */
Message *encode (lua_State *L, State *S, int first, Roots roots,
                 uint64_t port);

/* The message of a value that needs no encoder (a quarter of the time it would
** take); NULL for others, and without memory. */
Message *encode_scalar (lua_State *L, Spares *spares, int idx,
                        uint64_t port);

/* The message {a, b} of two strings, made without a lua_State; NULL without
** memory. */
Message *encode_pair (const char *a, size_t alen, const char *b, size_t blen,
                      uint64_t port);

/* The message of one integer, made without a lua_State; NULL without memory. */
Message *encode_integer (Spares *spares, int64_t i, uint64_t port);

/* Replaces the value at the top by a list of notes on what would travel, in
** the order in which it would be written. */
void encode_explain (lua_State *L, State *S);

#endif
