/*
** spares.c
** The memory of messages.
**
** Most are written by one state and read by another, and their memory has to come
** back. What no state has is the process's: batches, which are given and taken as
** one, and the rest. So a state that sends or receives one message after the other
** takes the lock once in a batch.
**
** The child of a fork goes on with the isolate that made it: so nobody forks while
** another thread has the lock. It is taken before that of the slabs.
*/

#include <string.h>

#include "hidden.h"
#include "blocks.h"
#include "large.h"
#include "platform.h"
#include "spares.h"


#define BATCH		(16 * 1024)	/* bytes */
#define MAX_BATCHES	1024	/* that wait for somebody who needs them */

/* Bytes that a state keeps: two batches of a class, or some of many. What is more goes
** to the process, all of it: who has messages of all sizes needs few of each. */
#define MAX_KEPT	(4 * BATCH)

#define STEPS		4	/* classes from one size to twice as much */

#define batch_count(c)	((int)(BATCH / spare_size(c)))


struct Spare {
  Spare *next;			/* in a list */
  Spare *next_batch;		/* of the first in a batch */
};


/* What no state has, of a class. */
typedef struct Pool {
  Spare *batches;		/* each a list */
  Spare *loose;			/* a list of fewer than a batch */
  int count;			/* of that */
} Pool;


static Mutex lock = MUTEX_INIT;	/* guards all below */
static Blocks *blocks;		/* where they come from; NULL without memory */
static Pool pools[SPARE_CLASSES];
static int nbatches;		/* of all classes */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork (void) { mutex_lock(&lock); }
static void after_fork (void) { mutex_unlock(&lock); }

static void open_blocks (void) {
  blocks = blocks_new(1);  /* the slabs watch forks from here on: we, after them */
  pthread_atfork(before_fork, after_fork, after_fork);
}


/* The bytes of a block of class 'c'. */
static size_t spare_size (int c) {
  size_t base = (size_t)SPARE_SIZE << ((c - 1) / STEPS);
  return c == 0 ? SPARE_SIZE : base + base / STEPS * ((size_t)(c - 1) % STEPS + 1);
}


/* The class of a block of 'n' bytes; SPARE_CLASSES of one that is too large. */
static int class_of (size_t n) {
  int doubled;
  if (MEMORY_CHECKED || n > spare_size(SPARE_CLASSES - 1)) return SPARE_CLASSES;
  if (n <= SPARE_SIZE) return 0;
  doubled = highest_bit((n - 1) / SPARE_SIZE);
  return 1 + doubled * STEPS
         + (int)((n - 1) / (((size_t)SPARE_SIZE << doubled) / STEPS)) - STEPS;
}


static void push (Spare **list, void *block) {
  Spare *s = (Spare *)block;
  s->next = *list;
  *list = s;
}


static void *pop (Spare **list) {
  Spare *s = *list;
  *list = s->next;
  return s;
}


/* {======================================================
** Those of the process. All with the lock held.
** ======================================================= */

static void free_list (Spare *list, int c) {
  while (list != NULL) block_free(blocks, pop(&list), spare_size(c));
}


static void put_batch (Spare *batch, int c) {
  if (nbatches == MAX_BATCHES) {
    free_list(batch, c);
    return;
  }
  batch->next_batch = pools[c].batches;
  pools[c].batches = batch;
  nbatches++;
}


static Spare *take_batch (int c) {
  Spare *batch = pools[c].batches;
  pools[c].batches = batch->next_batch;
  nbatches--;
  return batch;
}


static void put (void *block, int c) {
  Pool *p = &pools[c];
  push(&p->loose, block);
  if (++p->count < batch_count(c)) return;
  put_batch(p->loose, c);
  p->loose = NULL;
  p->count = 0;
}


/* One, a new one if none waits. NULL without memory. */
static void *take (int c) {
  Pool *p = &pools[c];
  if (p->loose == NULL && p->batches != NULL) {
    p->loose = take_batch(c);
    p->count = batch_count(c);
  }
  if (p->loose == NULL) {
    if (blocks == NULL) blocks = blocks_new(1);  /* there was no memory for it */
    return blocks ? block_new(blocks, spare_size(c)) : NULL;
  }
  p->count--;
  return pop(&p->loose);
}

/* }====================================================== */


/* {======================================================
** A state's
** ======================================================= */

/* For a state that has none: each time twice as many, for who sends little needs
** few; at last a batch at once. False without memory. New ones are written to without
** the lock: their pages may be new, too. */
static int fetch (Spares *s, int c) {
  struct Kept *k = &s->kept[c];
  void *fresh[BATCH / SPARE_SIZE];
  int i, n = 0, want;
  if (s->bytes > MAX_KEPT) spares_free(s);
  want = k->fetched ? k->fetched * 2 : 1;
  k->fetched = want < batch_count(c) ? want : batch_count(c);
  pthread_once(&once, open_blocks);
  mutex_lock(&lock);
  if (want >= batch_count(c) && pools[c].batches != NULL) {
    k->first = take_batch(c);
    k->count = batch_count(c);
  }
  else while (n < k->fetched && (fresh[n] = take(c)) != NULL) n++;
  mutex_unlock(&lock);
  for (i = n; i > 0; i--) push(&k->first, fresh[i - 1]);
  k->count += n;
  s->bytes += (size_t)k->count * spare_size(c);
  return k->first != NULL;
}


Message *spares_new (Spares *s, size_t size, int nrefs) {
  int c = class_of(message_block(size, nrefs));
  struct Kept *k = &s->kept[c];
  void *block;
  if (c == SPARE_CLASSES) return message_new(size, nrefs);
  if (k->first == NULL && k->more != NULL) {
    k->first = k->more;
    k->count = batch_count(c);
    k->more = NULL;
  }
  if (k->first == NULL && !fetch(s, c)) return NULL;
  block = pop(&k->first);
  k->count--;
  s->bytes -= spare_size(c);
  __builtin_prefetch(k->first, 1);  /* the receiver wrote it last, on its processor */
  return message_init(block, size, nrefs);
}


void spares_keep (Spares *s, Message *m) {
  int c = class_of(message_block(m->size, m->nrefs));
  struct Kept *k = &s->kept[c];
  if (c == SPARE_CLASSES) {
    message_free(m);
    return;
  }
  message_let_go(m);
  if (s->bytes > MAX_KEPT) spares_free(s);
  if (k->count == batch_count(c)) {
    if (k->more != NULL) {
      mutex_lock(&lock);
      put_batch(k->more, c);
      mutex_unlock(&lock);
      s->bytes -= (size_t)k->count * spare_size(c);
    }
    k->more = k->first;
    k->first = NULL;
    k->count = 0;
  }
  push(&k->first, m);
  k->count++;
  s->bytes += spare_size(c);
}


void spares_free (Spares *s) {
  int c;
  mutex_lock(&lock);
  for (c = 0; c < SPARE_CLASSES; c++) {
    struct Kept *k = &s->kept[c];
    if (k->more != NULL) put_batch(k->more, c);
    while (k->first != NULL) put(pop(&k->first), c);
  }
  mutex_unlock(&lock);
  memset(s, 0, sizeof(*s));
}

/* }====================================================== */


void *spare_new (size_t n) {
  int c = class_of(n);
  void *block;
  if (c == SPARE_CLASSES) return large_resize(NULL, 0, n);
  pthread_once(&once, open_blocks);
  mutex_lock(&lock);
  block = take(c);
  mutex_unlock(&lock);
  return block;
}


void spare_free (void *block, size_t n) {
  int c = class_of(n);
  if (c == SPARE_CLASSES) large_free(block, n);
  else if (block != NULL) {
    mutex_lock(&lock);
    put(block, c);
    mutex_unlock(&lock);
  }
}


void *spare_resize (void *block, size_t used, size_t before, size_t n) {
  void *to;
  if (class_of(before) == SPARE_CLASSES && class_of(n) == SPARE_CLASSES)
    return large_resize(block, used, n);
  to = spare_new(n);
  if (to == NULL) return NULL;
  if (used > 0) memcpy(to, block, used < n ? used : n);
  spare_free(block, before);
  return to;
}


/* A batch of what waits, or the rest, goes back. False if nothing waits. */
static int trim (int c) {
  Pool *p = &pools[c];
  int any;
  mutex_lock(&lock);
  any = p->batches != NULL || p->loose != NULL;
  if (p->batches != NULL) free_list(take_batch(c), c);
  else {
    free_list(p->loose, c);
    p->loose = NULL;
    p->count = 0;
  }
  mutex_unlock(&lock);
  return any;
}


void spares_trim (void) {
  int c;
  for (c = 0; c < SPARE_CLASSES; c++)
    while (trim(c)) { }
}
