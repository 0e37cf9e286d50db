/*
** codec.h
** The format of a message's bytes; what its writer and its reader share.
**
**   header   offset of the names (u64, 0 = none), number of values (u32)
**   values   one after the other, each a tag and what the tag says
**   names    count (u32), then per module: standard library? (byte), name
**
** Numbers are in the machine's own order: a message never leaves the process.
*/

#ifndef codec_h
#define codec_h

#include "lua.h"


enum Tag {
  T_NIL, T_FALSE, T_TRUE,
  T_INT1, T_INT4, T_INT8,	/* signed, 1, 4, 8 bytes */
  T_FLOAT,			/* 8 bytes */
  T_SHORT,			/* length (u8), bytes */
  T_STRING,			/* length (u64), bytes */
  T_LIGHT,			/* pointer */
  T_TABLE,			/* array (u32), hash (u32), values, pairs */
  T_OBJECT,			/* the same, then the metatable */
  T_REF,			/* offset (u64) of an earlier value */
  T_GLOBALS,			/* the globals table */
  T_MODULE,			/* name (u32) */
  T_FIELD,			/* name (u32), then a string: field of a module */
  T_FUNCTION,			/* size (u64), code, upvalues (u8), each a cell;
				   globals (u32), each a string and a value */
  T_CFUNCTION,			/* pointer */
  T_SENDPORT,			/* reference (u32), port (u64) */
  T_CAPABILITY,			/* id (u64) */
  T_TRANSFER,			/* count (u32), the results of __transfer */
  T_SHARED,			/* reference (u32): a box */
  T_NEWWORD,			/* as T_SHORT; it is the next word */
  T_WORD,			/* number of a word (u8), from 1 */
  T_PLAIN			/* a T_TABLE, the only value, which is plain */
};

/* A function's upvalue is one of these cells. */
enum Cell {
  CELL_NEW,			/* a value */
  CELL_ENV,			/* the globals table */
  CELL_SHARED			/* offset of the function (u64), upvalue (u8) */
};

/* In a tag: the value is mentioned again later, by its offset. The writer
** adds it when it meets the value a second time. */
#define TAG_KEPT	0x80

/* A table is plain if all in it are values without parts that need no code of the
** user's, and such tables, each mentioned once; and if it is less deep and less
** large than that. */
#define PLAIN_DEPTH	16
#define PLAIN_SIZE	(16 * 1024)

#define HEADER_SIZE	12	/* before the first value */


/*
** Long chains of values do not fit on a Lua stack (it ends at 1,000,000
** slots). The slots from 'base' up are a window: what is under it waits in
** tables, and comes back when the window runs dry.
*/
typedef struct Spine {
  int slot;			/* stack index of the tables, nil at first */
  int base;			/* first slot of the window */
  int chunks;			/* how many wait */
} Spine;

#if !defined(SPINE_WINDOW)
#define SPINE_WINDOW	2000	/* slots; over it half of them move */
#endif
#define SPINE_MARGIN	4	/* slots that a frame may ask for */

/* Before slots are pushed: makes sure there is room. May move slots. */
void spine_push (lua_State *L, Spine *s);

/* After slots were popped: brings back what the top frame needs. */
void spine_pop (lua_State *L, Spine *s);

#endif
