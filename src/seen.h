/*
** seen.h
** What was met before in a message: address -> where it was written.
*/

#ifndef seen_h
#define seen_h

#include <stddef.h>


typedef struct SeenEntry {
  const void *key;
  size_t offset;		/* of the value, as the reader counts */
  unsigned int message;		/* entries of older messages are free */
  int upvalue;			/* for an upvalue: its number in the function */
} SeenEntry;

/* All zeros is an empty set. */
typedef struct Seen {
  SeenEntry *entries;		/* open addressing, a power of two of them */
  size_t size, used;
  unsigned int message;		/* number of the message that is written */
} Seen;

/* Empties it, for a new message. Costs nothing for the size it has grown to. */
void seen_reset (Seen *s);

void seen_free (Seen *s);

/* Finds the entry of 'key': 0. Or makes one with this offset and upvalue: 1.
** -1, with nothing done, without memory. */
int seen_enter (Seen *s, const void *key, size_t offset, int upvalue,
                SeenEntry **entry);

#endif
