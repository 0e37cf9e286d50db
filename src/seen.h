/*
** seen.h
** What was met before in a message: address -> where it was written.
*/

#ifndef seen_h
#define seen_h

#include <stddef.h>
#include <stdint.h>


typedef struct SeenEntry {
  const void *key;
  uint64_t offset : 56;		/* of the value, as the reader counts */
  uint64_t upvalue : 8;		/* for an upvalue: its number in the function */
} SeenEntry;

/*
** The entries lie in the order in which they were met, and an index finds them
** by their keys: a large message meets new pages of memory one after the other
** then, and that is most of what it pays for here. All zeros is an empty set.
*/
typedef struct Seen {
  SeenEntry *entries;
  uint32_t *index;		/* open addressing: number of the entry, from 1 */
  uint32_t size;		/* of the index, a power of two; 3/4 for entries */
  uint32_t used;
} Seen;

/* Empties it, for a new message. */
void seen_reset (Seen *s);

void seen_free (Seen *s);

/* Finds the entry of 'key': 0. Or makes one with this offset and upvalue: 1.
** -1, with nothing done, without memory. */
int seen_enter (Seen *s, const void *key, size_t offset, int upvalue,
                SeenEntry **entry);

#endif
