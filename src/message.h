/*
** message.h
** What travels: bytes, and the counted things that they mention.
*/

#ifndef message_h
#define message_h

#include <stddef.h>
#include <stdint.h>

struct Spares;


/*
** A thing with a count of references, shared by threads: the first field of
** every struct that a message may mention. 'destroy' is called by whoever
** lets the last reference go, on that thread.
*/
typedef struct Shared {
  int refs;			/* atomic */
  void (*destroy) (struct Shared *s);
} Shared;

void *shared_retain (void *s);		/* returns 's' */
void shared_release (void *s);		/* NULL is fine */


/*
** A message has one owner at a time: encoder, mailbox, taker. It is one block: this
** header, its bytes, and behind them what they mention, which counts as referenced
** from before the send until after the decode. Of a small one see spares.h. One of a
** number fits in one line of the processors' caches: two would take twice as long to
** get to the other processor.
*/
typedef struct Message {
  struct Message *next;		/* in the list of its owner */
  uint64_t port;		/* the port it goes to, in its isolate; or a capability */
  int nrefs;			/* things that it mentions */
  int op;			/* of a control message, see isolate.h; else message_join */
  size_t size;			/* of the bytes */
  unsigned char bytes[];
} Message;

#define refs_start(size)	(((size) + 7) & ~(size_t)7)

/* Bytes and mentions together; and all of the block. */
#define message_room(size,nrefs) \
  ((nrefs) > 0 ? refs_start(size) + (size_t)(nrefs) * sizeof(Shared *) : (size))
#define message_block(size,nrefs) \
  (offsetof(Message, bytes) + message_room(size, nrefs))

/* What it mentions: each may be NULL. */
#define message_refs(m)	((Shared **)(void *)((m)->bytes + refs_start((m)->size)))

/* An empty message with room for 'size' bytes and for 'nrefs' mentions, which are NULL;
** NULL when there is no memory. */
Message *message_new (size_t size, int nrefs);

/*
** Numbers and the like that nobody has taken yet travel together, for of many small
** messages the memory takes longer than all else. The 'op' of such a message says how
** many it is: so many times as many bytes. (0: it cannot be joined. In a channel 'op' is
** the priority.) If 'm' can go with 'row', its bytes are added, and it is free again.
*/
int message_join (Message *row, const Message *m);

/* How many have been joined in one that is in a mailbox. */
#define message_count(m)	((m)->op > 0 ? (m)->op : 1)

/* A copy of it for another port, with room for 'more' mentions; NULL without memory. */
Message *message_copy (const Message *m, uint64_t port, int more);

/* Frees it and lets go of all it mentions. */
void message_free (Message *m);

/* For spares.c: an empty message of this block, or NULL; it mentions nothing more. */
Message *message_init (void *block, size_t size, int nrefs);
void message_let_go (Message *m);


/*
** Bytes that grow, kept by their owner from one message to the next. Room for
** a Message's header is left in front, so that a large one needs no copy. What
** an isolate that does little writes has room in the Writer, which may not move.
*/
typedef struct Writer {
  unsigned char *data;		/* header, bytes */
  size_t used;			/* of 'data', header included */
  size_t size;
  Shared **refs;
  int nrefs, sizerefs;
  unsigned char first_data[128];	/* where 'data' is at first, for small ones */
  Shared *first_refs[4];	/* the same of 'refs' */
} Writer;

/* Offset of the first byte of content in 'data'. */
#define WRITER_START	offsetof(Message, bytes)

void writer_init (Writer *w);
void writer_free (Writer *w);

/* Forgets what was written and lets go of all references. */
void writer_reset (Writer *w);

/* Makes room for 'n' more bytes. Returns 0, unchanged, without memory. */
int writer_reserve (Writer *w, size_t n);

/* Adds a reference (and counts it). Returns its index, or -1. */
int writer_ref (Writer *w, void *shared);

/* What was written, as a message of its own, a small one of 'spares'; the writer
** is empty after it. NULL, and unchanged, without memory. */
Message *writer_finish (Writer *w, struct Spares *spares, uint64_t port);

#endif
