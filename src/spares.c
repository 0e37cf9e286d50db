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

#include "blocks.h"
#include "platform.h"
#include "spares.h"


#define BATCH		128	/* messages: 16 KiB */
#define MAX_BATCHES	1024	/* that wait for somebody who needs them: 16 MiB */


static Mutex lock = MUTEX_INIT;	/* guards all below */
static Blocks *blocks;		/* where they come from; NULL without memory */
static Message *batches;	/* each a list; the first of it links the next batch */
static int nbatches;
static Message *loose;		/* a list of fewer than a batch */
static int nloose;

#define next_batch(m)	((m)->reply)

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork (void) { mutex_lock(&lock); }
static void after_fork (void) { mutex_unlock(&lock); }

static void open_blocks (void) {
  blocks = blocks_new(1);  /* the slabs watch forks from here on: we, after them */
  pthread_atfork(before_fork, after_fork, after_fork);
}


static void push (Message **list, Message *m) {
  m->next = *list;
  *list = m;
}


static Message *pop (Message **list) {
  Message *m = *list;
  *list = m->next;
  return m;
}


/* {======================================================
** Those of the process. All with the lock held.
** ======================================================= */

static void free_list (Message *list) {
  while (list != NULL) block_free(blocks, pop(&list), SPARE);
}


static void put_batch (Message *batch) {
  if (nbatches == MAX_BATCHES) {
    free_list(batch);
    return;
  }
  next_batch(batch) = batches;
  batches = batch;
  nbatches++;
}


static Message *take_batch (void) {
  Message *batch = batches;
  batches = next_batch(batch);
  nbatches--;
  return batch;
}


static void put (Message *m) {
  push(&loose, m);
  if (++nloose < BATCH) return;
  put_batch(loose);
  loose = NULL;
  nloose = 0;
}


/* One, a new one if none waits. NULL without memory. */
static Message *take (void) {
  if (loose == NULL && nbatches > 0) {
    loose = take_batch();
    nloose = BATCH;
  }
  if (loose == NULL) {
    if (blocks == NULL) blocks = blocks_new(1);  /* there was no memory for it */
    return blocks ? (Message *)block_new(blocks, SPARE) : NULL;
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
    Message *m = take();
    if (m == NULL) break;
    push(&s->first, m);
    s->count++;
  }
  mutex_unlock(&lock);
  return s->first != NULL;
}


Message *spares_new (Spares *s, size_t size) {
  Message *m;
  if (!is_small(size)) return message_new(size);
  if (s->first == NULL && s->more != NULL) {
    s->first = s->more;
    s->count = BATCH;
    s->more = NULL;
  }
  if (s->first == NULL && !fetch(s)) return NULL;
  m = pop(&s->first);
  s->count--;
  __builtin_prefetch(s->first, 1);  /* the receiver wrote it last, on its processor */
  return message_init(m, size);
}


void spares_keep (Spares *s, Message *m) {
  if (!is_small(m->size)) {
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


Message *spare_take (void) {
  Message *m;
  pthread_once(&once, open_blocks);
  mutex_lock(&lock);
  m = take();
  mutex_unlock(&lock);
  return m;
}


void spare_put (Message *m) {
  mutex_lock(&lock);
  put(m);
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
