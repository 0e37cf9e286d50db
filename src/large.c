/*
** large.c
** Blocks of the C library; large ones are kept for a while when they are freed.
**
** The library gives a large block back to the system at once, and a new one comes
** without pages: in a message of 64 MiB the page faults took as long as its copies.
** Where the system is a virtual machine that tells its host which memory is free, each
** huge page may have to come from there: 20 times as long. So a few blocks are kept,
** whoever needs one next takes it as it is, and what nobody has taken for a second is
** freed. A thread does that, which lives while there is something to free.
**
** All this belongs to the process. Before its first isolate nothing is kept; nor in
** the child of a fork, which has no such thread.
*/

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hidden.h"
#include "large.h"
#include "platform.h"


#define MAX_KEPT	4			/* blocks */
#define MAX_BYTES	((size_t)256 * 1024 * 1024)	/* of all of them */
#define KEPT_FOR	1.0			/* seconds */

/* Sizes of large blocks are multiples of this: a message and the string in it differ
** by a few bytes, and are to have each other's blocks. */
#define GRAIN		((size_t)64 * 1024)

#define STACK		((size_t)256 * 1024)	/* of the thread: it calls 'free' */


typedef struct Kept {
  void *block;
  size_t size;
  double since;
} Kept;


static Mutex lock = MUTEX_INIT;	/* guards all below */
static Kept kept[MAX_KEPT];	/* the oldest first */
static int nkept;
static size_t bytes;		/* of all of them */
static int watched;		/* does the thread live? */
static Cond never;		/* is rung never: the thread waits for its time */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork (void) { mutex_lock(&lock); }
static void after_fork (void) { mutex_unlock(&lock); }

static void in_child (void) {
  watched = 0;
  mutex_unlock(&lock);
  large_trim();
}

static void prepare (void) {
  cond_init(&never);
  pthread_atfork(before_fork, after_fork, in_child);
}


void large_open (void) { pthread_once(&once, prepare); }


static size_t whole (size_t n) {
  if (n < LARGE_BLOCK || n > SIZE_MAX - GRAIN) return n;
  return (n + GRAIN - 1) / GRAIN * GRAIN;
}


/* Takes one out of the list. With the lock held. */
static void *take (int i) {
  void *block = kept[i].block;
  bytes -= kept[i].size;
  nkept--;
  memmove(kept + i, kept + i + 1, (size_t)(nkept - i) * sizeof(Kept));
  return block;
}


/* Frees the oldest one. With the lock held, but not meanwhile. */
static void free_oldest (void) {
  void *block = take(0);
  mutex_unlock(&lock);
  free(block);
  mutex_lock(&lock);
}


int large_trim (void) {
  int any;
  mutex_lock(&lock);
  any = nkept > 0;
  while (nkept > 0) free_oldest();
  mutex_unlock(&lock);
  return any;
}


static void *watch (void *arg) {
  thread_set_name("isolate memory");
  mutex_lock(&lock);
  while (nkept > 0) {
    double due = kept[0].since + KEPT_FOR;
    if (clock_now() < due) cond_wait(&never, &lock, due);
    else free_oldest();
  }
  watched = 0;
  mutex_unlock(&lock);
  return arg;
}


/* Puts one into the list, which has room for it, and watches over it. What others do
** in between does no harm:
** 1. it is in the list, and the thread is said to live, before the lock is free. So
**    the thread, if it does live, does not end before it has freed this block;
** 2. if the thread did not live, it is started. It finds the list, or nothing in it;
** 3. without a thread, all goes that is in the list by now: those who put it there
**    relied on the thread. */
static void keep (void *block, size_t size) {
  Thread thread;
  int lives;
  mutex_lock(&lock);
  while (nkept == MAX_KEPT || bytes > MAX_BYTES - size) free_oldest();
  kept[nkept].block = block;
  kept[nkept].size = size;
  kept[nkept++].since = clock_now();
  bytes += size;
  lives = watched;
  watched = 1;
  mutex_unlock(&lock);
  if (lives || thread_start(&thread, watch, NULL, STACK) == 0) return;
  mutex_lock(&lock);
  watched = 0;
  mutex_unlock(&lock);
  large_trim();
}


void large_free (void *block, size_t n) {
  size_t size = whole(n);
  if (MEMORY_CHECKED || n < LARGE_BLOCK || size > MAX_BYTES || !process_threaded())
    free(block);
  else {
    large_open();
    keep(block, size);
  }
}


/* The smallest block that is kept and has room for 'n' bytes, without the rest; none
** that is much larger. NULL if there is none. */
static void *take_kept (size_t n) {
  void *block = NULL, *cut;
  int i, best = -1;
  mutex_lock(&lock);
  for (i = 0; i < nkept; i++)
    if (kept[i].size >= n && kept[i].size - n <= n / 4 &&
        (best < 0 || kept[i].size < kept[best].size)) best = i;
  if (best >= 0) block = take(best);
  mutex_unlock(&lock);
  cut = block ? realloc(block, n) : NULL;
  return cut ? cut : block;
}


void *large_resize (void *block, size_t used, size_t n) {
  size_t size = whole(n);
  void *to = (n >= LARGE_BLOCK && used < LARGE_BLOCK) ? take_kept(size) : NULL;
  if (to != NULL) {
    if (block != NULL) memcpy(to, block, used);
    free(block);
    return to;
  }
  to = realloc(block, size);
  if (to == NULL && large_trim()) to = realloc(block, size);
  if (to != NULL && n >= LARGE_BLOCK) block_prefer_huge(to, size);
  return to;
}
