/*
** encoder.h
** What the rooms of the encoder share.
*/

#ifndef encoder_h
#define encoder_h

#include <string.h>

#include "lua.h"

#include "codec.h"
#include "encode.h"
#include "message.h"
#include "seen.h"
#include "state.h"
#include "words.h"


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
  size_t strings;		/* short ones that were written */
  Frame *frames;
  int depth, size;
  int fresh;			/* the by-name index was looked at; 2: anew */
  int plain;			/* nothing was written that is not, see codec.h */
  int again;			/* it was stale: start again */
  int called;			/* the user's code has run */
  int anchoring;		/* all that is written is kept alive */
  lua_Integer anchors;		/* how much of it */
  int modules;			/* how many modules the message names */
  const void *harmless;		/* the last metatable that asks for nothing */
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


/* {======================================================
** Bytes
** ======================================================= */

/* Makes room for 'n' more bytes. */
void encoder_grow (Encoder *E, size_t n);


/* Where the next 'n' bytes go. */
static inline unsigned char *room (Encoder *E, size_t n) {
  if (E->w.used + n > E->w.size) encoder_grow(E, n);
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


static inline void put_u32 (Encoder *E, uint32_t x) {
  put_bytes(E, &x, sizeof(x));
}


static inline void put_u64 (Encoder *E, uint64_t x) {
  put_bytes(E, &x, sizeof(x));
}


/* A tag and what follows, in one go. */
static inline void put_tagged (Encoder *E, int tag, const void *p, size_t n) {
  unsigned char *to = room(E, n + 1);
  *to = (unsigned char)tag;
  memcpy(to + 1, p, n);
  E->w.used += n + 1;
}


/* Where the next byte goes, as the reader counts. */
static inline size_t here (const Encoder *E) {
  return E->w.used - WRITER_START;
}


static inline void patch (Encoder *E, size_t at, const void *p, size_t n) {
  memcpy(E->w.data + WRITER_START + at, p, n);
}

/* }====================================================== */


/* {======================================================
** encode.c: values, one after the other
** ======================================================= */

/* The table in a fixed slot, made at first need. */
int encoder_table (Encoder *E, int slot);

/* Keeps the value at the top alive until the message is written: its address
** must not come again. */
void encoder_anchor (Encoder *E);

/* Before code of the user's is called in the middle of a message: it may drop
** what was written already, and an address come again for something else. So
** all that is written is kept alive; for that the message is started again
** (true), once. */
int encoder_must_anchor (Encoder *E);

/* Looks up or enters 'key'; true if it is new. */
int encoder_seen (Encoder *E, const void *key, size_t offset, int upvalue,
                  SeenEntry **entry);

/* Marks the value at 'offset' as one that is mentioned again. */
void encoder_keep (Encoder *E, size_t offset);

/* Opens a frame for the value whose slots are topmost. */
Frame *frame_open (Encoder *E, FrameKind kind);

/* Ends the frame on top, whose slots are gone. */
void frame_close (Encoder *E);

/* Nothing is written yet; the fixed slots are empty. */
void encoder_start (Encoder *E);

/* Writes 'n' values, from 'first' on. False if it has to be done again. */
int put_all (Encoder *E, int first, int n);

/* Writes the value at the top and pops it: true. Or opens a frame for it and
** leaves it to that, or starts the message again: false, and then the caller
** returns at once. */
int put_value (Encoder *E, int asclass);

/* If the value at 'idx', which has this address, was written before, writes a
** reference to it. */
int put_again (Encoder *E, int idx, const void *address);

/* A name: never by reference. */
void put_plain (Encoder *E, int idx);

/* }====================================================== */


/* {======================================================
** encode_name.c: what modules hold
** ======================================================= */

/* Before the first function or metatable of a message: is the by-name index
** still what package.loaded says? If not, tables already written may have
** been modules: then the message is started again, and this is true. */
int encoder_stale (Encoder *E);

/* Looks for the value at the top in the loaded modules, and writes its name
** if it has one; false if not, with nothing written. A table that is just a
** field of a module goes by name only 'asclass', found as a metatable. */
int put_name (Encoder *E, int asclass);

/* The names of the modules, at the end; the header says where. */
void put_modules (Encoder *E);

/* }====================================================== */


/* {======================================================
** encode_function.c: functions
** ======================================================= */

/* The function at the top. True if it is written, false for a new frame. */
int put_function (Encoder *E);

/* Slots: function, info. */
void step_upvalue (Encoder *E, Frame *f);
void step_global (Encoder *E, Frame *f);

/* }====================================================== */


/* {======================================================
** encode_transfer.c: values whose metatable says how they are sent
** ======================================================= */

/* A metafield of the value at the top; pushes it if it is there. */
int metafield (lua_State *L, const char *name);

/* The metatable at the top says how its value, under it, is sent. True if
** there is a frame for that, and the metatable is gone; false if the value is
** sent as what it is. */
int by_metatable (Encoder *E);

/* Slots: value, table of results. */
void step_transfer (Encoder *E, Frame *f);

/* }====================================================== */


/* {======================================================
** notes.c: notes for explain; the value is at the top of the stack
** ======================================================= */

/* Adds a note on it. */
void note_value (Encoder *E);

/* All of note 'i's value is written; it began at 'start'. */
void note_bytes (Encoder *E, lua_Integer i, size_t start);

/* It goes by name: the module's and the field's (or nil), above it. */
void note_name (Encoder *E, enum Named kind);

/* It is refused; why is above it. Raises the notes so far. */
int note_refusal (Encoder *E);

/* Was it refused in an earlier try? Then the note says why. */
int note_refused (Encoder *E);

/* }====================================================== */


/* {======================================================
** refuse.c: what cannot be sent
** ======================================================= */

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

/* }====================================================== */

#endif
