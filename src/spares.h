/*
** spares.h
** The memory of small messages.
*/

#ifndef spares_h
#define spares_h

#include "message.h"
#include "platform.h"


typedef struct Spare Spare;	/* what is in the memory of one, see spares.c */


/*
** Small messages that were read, kept for the next ones that are written: each
** state has some, and what it has too many of goes to others in batches. So most
** messages need no allocation, and no lock. All zeros: none.
*/
typedef struct Spares {
  Spare *first;			/* a list */
  int count;			/* of that list: a batch at most */
  int fetched;			/* how many new ones came last */
  Spare *more;			/* a batch, or NULL */
} Spares;

#define SPARE_SIZE	(2 * CACHE_LINE)

/* What a small message has room for: a record of a few fields. */
#define SMALL	(SPARE_SIZE - offsetof(Message, bytes))

/* Has a message with so much room such memory? */
#define is_small(room)	(!MEMORY_CHECKED && (room) <= SMALL)

/* As 'message_new', of a spare one if it is small. */
Message *spares_new (Spares *s, size_t size, int nrefs);

/* As 'message_free', for one that may be used again. */
void spares_keep (Spares *s, Message *m);

/* The state ends. */
void spares_free (Spares *s);


/* For message.c: one, which holds garbage, or NULL without memory; and its end. */
void *spare_take (void);
void spare_put (void *block);

/* Nobody has needed one for a while: the memory of those that no state has goes
** back. Any thread. */
void spares_trim (void);

#endif
