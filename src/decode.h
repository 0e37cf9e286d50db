/*
** decode.h
** A message becomes values again.
*/

#ifndef decode_h
#define decode_h

#include "lua.h"

#include "codec.h"
#include "message.h"
#include "state.h"


/* A value that is being built; its slots are the topmost on the stack. */
typedef struct Build {
  enum Tag kind;		/* T_TABLE, T_OBJECT, T_FUNCTION, T_TRANSFER */
  int stage;			/* what comes next, see decode.c */
  uint32_t i, array, hash;	/* element or upvalue; how many to come */
  int keynode;			/* the key is to be rebuilt */
} Build;


typedef struct Decoder {
  State *S;
  Message *m;			/* owned, unless it is borrowed */
  int borrowed;
  const unsigned char *p;	/* the next byte */
  const unsigned char *end;
  Build *frames;
  Build first_frames[8];	/* where these are at first */
  int depth, size;
  int stage;			/* what is done of the message as a whole */
  uint32_t value, values;	/* begun so far, and how many it has */
  uint32_t modules;		/* how many it names */
  uint32_t words;		/* how many have been met */
  Spine spine;
  int slots;			/* stack index of the fixed slots */
  int node;			/* the value just read is to be rebuilt */
  lua_Integer actions, action;	/* to do after building; done so far */
  int fuel;			/* values until the clock is asked again */
  double deadline;		/* of this slice; NEVER for all at once */
} Decoder;


/* Pushes the value of a message of these bytes, if it needs no decoder; else false.
** Cannot fail. */
int decode_scalar (lua_State *L, const unsigned char *bytes, size_t size);

/* Is it a plain table? */
int decode_is_plain (const Message *m);

/* Pushes that table. The message stays with the caller. Raises without memory. */
void decode_plain (lua_State *L, State *S, Message *m);

/* Pushes a new decoder, a userdata with a finalizer. */
Decoder *decoder_new (lua_State *L);

/* Takes 'm' over. Cannot fail. */
void decoder_take (Decoder *d, State *S, Message *m);

/* Reads 'm', which stays with the caller, and as it is. Cannot fail. */
void decoder_borrow (Decoder *d, State *S, Message *m);

/* Begins, above the top of the stack as it is. */
void decoder_start (lua_State *L, Decoder *d);

/* Goes on until the deadline. When it returns true, all is built, and the
** values are the topmost 'd->values' slots; when false, the stack must be as
** it is left for the next call. Raises when the message cannot be built. */
int decoder_run (lua_State *L, Decoder *d, double deadline);

/* Message handler for who catches what 'decoder_run' raises: sets 'S->hooked'
** if a hook raised it. That is no fault of the message, but Ctrl-C in the
** lua5.4 program, say. */
int decoder_note_hook (lua_State *L);

/* Lets the message go, built or not. */
void decoder_stop (Decoder *d);

#endif
