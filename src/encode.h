/*
** encode.h
** A value becomes a message.
*/

#ifndef encode_h
#define encode_h

#include "lua.h"

#include "codec.h"
#include "message.h"
#include "seen.h"
#include "state.h"
#include "words.h"


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


/* A value that is being written: its slots are the topmost on the stack. */
typedef enum FrameKind {
  FRAME_TABLE,			/* table, key */
  FRAME_KEY,			/* table, key, value: the key is written */
  FRAME_METATABLE,		/* table */
  FRAME_UPVALUE,		/* function, info */
  FRAME_GLOBAL,			/* function, info */
  FRAME_TRANSFER		/* value, table of results */
} FrameKind;

typedef struct Frame {
  FrameKind kind;
  int i;			/* upvalue, global or result that is written */
  int n;			/* how many there are */
  lua_Unsigned length;		/* of a table: up to here its array may go */
  uint32_t array, hash;		/* of a table: written so far */
  int inhash;			/* of a table: past its array */
  size_t patch;			/* where its numbers are written at the end */
  size_t start;			/* where it began */
  lua_Integer note;		/* what is said of it (for explain) */
} Frame;


typedef struct Encoder {
  lua_State *L;
  State *S;
  Writer w;
  Seen seen;
  Words words;
  Frame *frames;
  int depth, size;
  int fresh;			/* the by-name index was looked at; 2: anew */
  int again;			/* it was stale: start again */
  int called;			/* the user's code has run */
  int anchoring;		/* all that is written is kept alive */
  lua_Integer anchors;		/* how much of it */
  int modules;			/* how many modules the message names */
  Roots roots;
  int root;			/* the value that is written, from 1 */
  Spine spine;
  int slots;			/* stack index of the fixed slots below */
  int explaining;		/* collect notes */
  lua_Integer notes;		/* how many */
  const void *refused;		/* address of the last value refused */
} Encoder;

/* Fixed slots, each nil or a table. */
enum { SLOT_SPINE, SLOT_MODULES, SLOT_ANCHORS, SLOT_GLOBALS, SLOT_NOTES,
       SLOT_REFUSED, SLOT_COUNT };


/* Pushes a new encoder, a userdata with a finalizer. */
Encoder *encoder_new (lua_State *L);

/* The values from index 'first' up become a message to 'port', which the
** caller owns. Raises if that is not possible; nothing is lost then. Leaves
** the stack as it was. */
Message *encode (lua_State *L, State *S, int first, Roots roots,
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


/* Notes for explain, in notes.c. The value is at the top of the stack: */

/* Adds a note on it. */
void note_value (Encoder *E);

/* All of note 'i's value is written; it began at 'start'. */
void note_bytes (Encoder *E, lua_Integer i, size_t start);

/* It goes by name: the module's and the field's (or nil), above it. */
void note_name (Encoder *E, enum Named kind);

/* Was it refused in an earlier try? Then the note says why. */
int note_refused (Encoder *E);


/* Between encode.c and refuse.c: */

/* How many slots frame 'f' has while one of its parts is written. */
int frame_slots (const Frame *f);

/* Pushes what frame 'f', whose slots are topmost, adds to a path. */
void frame_pushstep (lua_State *L, const Frame *f);

/* Pushes what the value that is written now is called. */
void encode_pushroot (Encoder *E);

/* The value at the top cannot be sent: raises with its path. 'why' is like
** "a coroutine stays in its isolate"; NULL takes the string at the top, above
** the value. */
int refuse (Encoder *E, const char *why);

/* The same for a value that "stays in its isolate", described by its type. */
int refuse_kind (Encoder *E);

#endif
