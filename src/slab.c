/*
** slab.c
** Pieces of memory that small blocks come from.
**
** The system gives regions of 64 slabs, and gets one back when all of it is free.
** Of other free slabs some keep their memory ("warm"): who takes one next meets no
** page fault. That of the rest is the system's. (Nobody may come: what is freed after
** the last isolate's end, by the main one's collector, is not kept.)
**
** All this belongs to the process. The child of a fork goes on with the isolate
** that made it: so nobody forks while another thread has the lock. Who has blocks
** under a lock of its own watches forks after the slabs, and these after the large
** blocks: such a lock is taken before theirs.
*/

#include "hidden.h"
#include "large.h"
#include "platform.h"
#include "slab.h"


#define REGION		(64 * SLAB)	/* bytes; its address is a multiple */

#define MAX_WARM	128		/* free slabs that keep their memory */

/* In the place of the first slab. */
typedef struct Region {
  struct Region *next, *prev;	/* in the list */
  uint64_t free, warm;		/* a bit for each slab; who is warm is free */
} Region;

#define ALL_FREE	(~(uint64_t)1)


static Mutex lock = MUTEX_INIT;	/* guards all below */
static Region *regions;		/* those that have a free slab */
static int nwarm;		/* atomic: slabs that are warm */
static int trimmed;		/* atomic: nobody has taken one since 'slab_trim' */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork (void) { mutex_lock(&lock); }
static void after_fork (void) { mutex_unlock(&lock); }

static void watch_forks (void) {
  large_open();
  pthread_atfork(before_fork, after_fork, after_fork);
}


static void link_region (Region *r) {
  r->prev = NULL;
  r->next = regions;
  if (regions != NULL) regions->prev = r;
  regions = r;
}


static void unlink_region (Region *r) {
  if (r->prev != NULL) r->prev->next = r->next;
  else regions = r->next;
  if (r->next != NULL) r->next->prev = r->prev;
}


/* A new region, which is in no list. */
static Region *region_new (void) {
  Region *r = (Region *)pages_new(REGION);
  if (r == NULL) return NULL;
  r->free = ALL_FREE;
  r->warm = 0;
  return r;
}


/* Takes a warm slab if there is one, or else another, of a region that has one.
** With the lock held. */
static void *take (Region *r) {
  int i = lowest_bit(r->warm ? r->warm : r->free);
  uint64_t bit = (uint64_t)1 << i;
  if (r->warm & bit) atomic_set(&nwarm, nwarm - 1);
  r->warm &= ~bit;
  r->free &= ~bit;
  if (r->free == 0) unlink_region(r);
  return (char *)r + (size_t)i * SLAB;
}


/* Puts a slab back. If all of its region is free then, and too much is warm to keep
** that, returns the region, which is in no list any more. With the lock held. */
static Region *put (void *slab, int warm) {
  size_t offset = (uintptr_t)slab & (REGION - 1);
  Region *r = (Region *)(void *)((char *)slab - offset);
  uint64_t bit = (uint64_t)1 << (offset / SLAB);
  if (r->free == 0) link_region(r);
  r->free |= bit;
  if (warm) {
    r->warm |= bit;
    atomic_set(&nwarm, nwarm + 1);
  }
  if (r->free != ALL_FREE || (r->warm && nwarm <= MAX_WARM / 2)) return NULL;
  unlink_region(r);
  for (; r->warm; r->warm &= r->warm - 1) atomic_set(&nwarm, nwarm - 1);
  return r;
}


static void give_back (void *slab, int warm) {
  Region *r;
  if (!warm) pages_drop(slab, SLAB);
  mutex_lock(&lock);
  r = put(slab, warm);
  mutex_unlock(&lock);
  if (r != NULL) pages_free(r, REGION);
}


void *slab_new (void) {
  Region *fresh = NULL;
  void *slab = NULL;
  pthread_once(&once, watch_forks);
  do {
    mutex_lock(&lock);
    if (fresh != NULL) link_region(fresh);
    if (regions != NULL) slab = take(regions);
    atomic_set(&trimmed, 0);
    mutex_unlock(&lock);
  } while (slab == NULL && ((fresh = region_new()) != NULL || large_trim()));
  return slab;
}


void slab_free (void *slab) {
  give_back(slab, atomic_get(&nwarm) < MAX_WARM && !atomic_get(&trimmed));
}


static void *take_warm (void) {
  Region *r;
  void *slab;
  mutex_lock(&lock);
  for (r = regions; r != NULL && r->warm == 0; ) r = r->next;
  slab = r ? take(r) : NULL;
  mutex_unlock(&lock);
  return slab;
}


void slab_trim (void) {
  void *slab;
  atomic_set(&trimmed, 1);
  while ((slab = take_warm()) != NULL) give_back(slab, 0);
}
