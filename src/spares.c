/*
** spares.c
** The memory of small messages.
**
** Most are written by one state and read by another, and their memory has to come
** back. What no state has is the process's: batches, which are given and taken as
** one, and the rest. So a state that sends or receives one message after the other
** takes the lock once in a batch.
**
** The child of a fork goes on with the isolate that made it: so nobody forks while
** another thread has the lock. It is taken before that of the slabs.
*/

#include <stddef.h>

#include "hidden.h"
#include "blocks.h"
#include "platform.h"
#include "spares.h"


#define BATCH		128	/* messages: 16 KiB */
#define MAX_BATCHES	1024	/* that wait for somebody who needs them: 16 MiB */


struct Spare {
  Spare *next;			/* in a list */
  Spare *next_batch;		/* of the first in a batch */
};


static Mutex lock = MUTEX_INIT;	/* guards all below */
static Blocks *blocks;		/* where they come from; NULL without memory */
static Spare *batches;		/* each a list */
static int nbatches;
static Spare *loose;		/* a list of fewer than a batch */
static int nloose;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork (void) { mutex_lock(&lock); }
static void after_fork (void) { mutex_unlock(&lock); }

static void open_blocks (void) {
  blocks = blocks_new(1);  /* the slabs watch forks from here on: we, after them */
  pthread_atfork(before_fork, after_fork, after_fork);
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

static void free_list (Spare *list) {
  while (list != NULL) block_free(blocks, pop(&list), SPARE_SIZE);
}


static void put_batch (Spare *batch) {
  if (nbatches == MAX_BATCHES) {
    free_list(batch);
    return;
  }
  batch->next_batch = batches;
  batches = batch;
  nbatches++;
}


static Spare *take_batch (void) {
  Spare *batch = batches;
  batches = batch->next_batch;
  nbatches--;
  return batch;
}


static void put (void *block) {
  push(&loose, block);
  if (++nloose < BATCH) return;
  put_batch(loose);
  loose = NULL;
  nloose = 0;
}


/* One, a new one if none waits. NULL without memory. */
static void *take (void) {
  if (loose == NULL && nbatches > 0) {
    loose = take_batch();
    nloose = BATCH;
  }
  if (loose == NULL) {
    if (blocks == NULL) blocks = blocks_new(1);  /* there was no memory for it */
    return blocks ? block_new(blocks, SPARE_SIZE) : NULL;
  }
  nloose--;
  return pop(&loose);
}

/* }====================================================== */


/* For a state that has none: each time twice as many, for who sends little needs
** few; at last a batch at once. False without memory. */
static int fetch (Spares *s) {
  int n = s->fetched ? s->fetched * 2 : 1;
  s->fetched = n < BATCH ? n : BATCH;
  pthread_once(&once, open_blocks);
  mutex_lock(&lock);
  if (n >= BATCH && nbatches > 0) {
    s->first = take_batch();
    s->count = BATCH;
  }
  while (s->count < s->fetched) {
    void *block = take();
    if (block == NULL) break;
    push(&s->first, block);
    s->count++;
  }
  mutex_unlock(&lock);
  return s->first != NULL;
}


Message *spares_new (Spares *s, size_t size, int nrefs) {
  void *block;
  if (!is_small(message_room(size, nrefs))) return message_new(size, nrefs);
  if (s->first == NULL && s->more != NULL) {
    s->first = s->more;
    s->count = BATCH;
    s->more = NULL;
  }
  if (s->first == NULL && !fetch(s)) return NULL;
  block = pop(&s->first);
  s->count--;
  __builtin_prefetch(s->first, 1);  /* the receiver wrote it last, on its processor */
  return message_init(block, size, nrefs);
}


void spares_keep (Spares *s, Message *m) {
  if (!is_small(message_room(m->size, m->nrefs))) {
    message_free(m);
    return;
  }
  message_let_go(m);
  if (s->count == BATCH) {
    if (s->more != NULL) {
      mutex_lock(&lock);
      put_batch(s->more);
      mutex_unlock(&lock);
    }
    s->more = s->first;
    s->first = NULL;
    s->count = 0;
  }
  push(&s->first, m);
  s->count++;
}


void spares_free (Spares *s) {
  mutex_lock(&lock);
  if (s->more != NULL) put_batch(s->more);
  while (s->first != NULL) put(pop(&s->first));
  mutex_unlock(&lock);
  s->more = NULL;
  s->count = 0;
}


void *spare_take (void) {
  void *block;
  pthread_once(&once, open_blocks);
  mutex_lock(&lock);
  block = take();
  mutex_unlock(&lock);
  return block;
}


void spare_put (void *block) {
  mutex_lock(&lock);
  put(block);
  mutex_unlock(&lock);
}


void spares_trim (void) {
  int more;
  do {
    mutex_lock(&lock);
    more = nbatches > 0;
    if (more) free_list(take_batch());
    else {
      free_list(loose);
      loose = NULL;
      nloose = 0;
    }
    mutex_unlock(&lock);
  } while (more);
}
