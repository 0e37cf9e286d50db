/*
** spares.h
** The memory of messages: what one has left serves the next.
*/

#ifndef spares_h
#define spares_h

#include "message.h"
#include "platform.h"


typedef struct Spare Spare;	/* what is in the memory of one, see spares.c */


/* The least that one has; of larger ones there are classes, four from any size to twice
** as much. What is larger than 8 KiB has a block of its own. */
#define SPARE_SIZE	(2 * CACHE_LINE)
#define SPARE_CLASSES	25

/* Does a message with so much room lie in one of the smallest? A record of a few fields
** does. */
#define is_small(room) \
  (!MEMORY_CHECKED && (room) <= SPARE_SIZE - offsetof(Message, bytes))


/*
** Messages that were read, kept for the next ones that are written: each state has
** some, and what it has too many of goes to others in batches. So most messages need
** no allocation, and no lock. All zeros: none.
*/
typedef struct Spares {
  size_t bytes;			/* of all of them; in one line with the smallest class */
  struct Kept {			/* of a class */
    Spare *first;		/* a list */
    Spare *more;		/* a batch, or NULL */
    int count;			/* of the list: a batch at most */
    int fetched;		/* how many new ones came last */
  } kept[SPARE_CLASSES];
} Spares;

/* As 'message_new', of a spare one. */
Message *spares_new (Spares *s, size_t size, int nrefs);

/* As 'message_free', for one that may be used again. */
void spares_keep (Spares *s, Message *m);

/* All go to the process: the state ends, or it has too many. */
void spares_free (Spares *s);


/*
** Blocks of that memory, for the work on messages, too: as from the C library, but who
** has one knows its size. Were they the C library's, each thread that writes a message
** or reads one would have an arena there, whose pages stay when it has ended.
*/
void *spare_new (size_t n);		/* NULL without memory */
void spare_free (void *block, size_t n);	/* NULL is fine */

/* Makes 'n' bytes of 'before' (0: a new block), of which 'used' stay. NULL, and nothing
** has changed, without memory. */
void *spare_resize (void *block, size_t used, size_t before, size_t n);

/* Nobody has needed one for a while: the memory of those that no state has goes
** back. Any thread. */
void spares_trim (void);

#endif
