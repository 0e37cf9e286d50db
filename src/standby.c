/*
** standby.c
** Threads and states that are ready for the next isolate.
**
** A thread whose isolate has ended waits here for another one, and makes states
** when nobody spawns. A state is never used twice: nobody knows what a program has changed
** in it. Threads are all the same, and so are states: who gets a job takes a state
** from the pool, or makes one if there is none. Nothing is kept before the first
** isolate has ended; and what nobody has used for a second goes, so that a
** program which spawns no more is what it was before.
**
** All this belongs to the process, not to a main isolate.
*/

#include <string.h>

#include "lua.h"

#include "hidden.h"
#include "boot.h"
#include "common.h"
#include "platform.h"
#include "slab.h"
#include "spares.h"
#include "standby.h"


#define MAX_KEPT	8	/* threads that wait; states */

/* Seconds without a job. What a standby saves is a fraction of a millisecond: that
** counts for who spawns many times a second only. */
#define KEPT_FOR	1.0

/* Seconds without a job, then states are made in the place of those that were used.
** Before that, who is in the middle of a burst may need the processor. */
#define BURST		1e-3

/* How long (in seconds) who gives a job waits for a thread that is about to be free
** to take it, before he wakes another one. */
#define LINGER		1e-5

/* So many jobs, none a BURST after the one before, are not a burst but a row, and
** worth more threads: one runs while another one closes its state and makes the next
** (16 us for each job in place of 28, on two processors). */
#define ROW		12


/* A state, and its heap until an isolate takes it. */
typedef struct Ready {
  struct Ready *next;
  lua_State *L;
  Heap heap;
} Ready;


static Mutex lock = MUTEX_INIT;	/* guards all below */
static void *jobs[MAX_KEPT];	/* never more than threads that wait, but for those
				   whose givers linger */
static int njobs;		/* atomic: who spins looks at it, too */
static int nwaiting;		/* threads that wait, or make a state meanwhile */
static int nsleeping;		/* those of them that are to be woken */
static int nsoon;		/* atomic: threads that are about to wait */
static Cond came;		/* a job, and all who wait were asleep */
static double given;		/* when the last job came */
static int quick;		/* did it come soon after the one before? */
static int nrow;		/* jobs since the last rest */
static int nlingers;		/* in this row, since it got another thread */
static Ready *ready;
static int nready;		/* those that are being made, too */
static int wanted;		/* how many; one more each time none is left */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_cond (void) { cond_init(&came); }


/* {======================================================
** States
** ======================================================= */

static void ready_free (Ready *r) {
  while (r != NULL) {
    Ready *next = r->next;
    if (r->L != NULL) lua_close(r->L);
    heap_free(&r->heap);
    common_free(r, sizeof(*r));
    r = next;
  }
}


/* NULL without memory. */
static Ready *ready_new (void) {
  Ready *r = (Ready *)common_new(sizeof(*r));
  if (r == NULL) return NULL;
  memset(r, 0, sizeof(*r));
  heap_init(&r->heap, NULL);
  if (heap_open(&r->heap)) r->L = lua_newstate(heap_alloc, &r->heap);
  if (r->L != NULL) {
    lua_pushcfunction(r->L, boot_prepare);
    if (lua_pcall(r->L, 0, 0, 0) == LUA_OK) return r;
  }
  ready_free(r);
  return NULL;
}


/* Makes one for the pool. False if there are as many as are wanted, or 'most', or
** without memory. With the lock held, but not while it makes it. */
static int refill (int most) {
  Ready *r;
  if (nready >= wanted || nready >= most) return 0;
  nready++;
  mutex_unlock(&lock);
  r = ready_new();
  mutex_lock(&lock);
  if (r == NULL) nready--;
  else {
    r->next = ready;
    ready = r;
  }
  return r != NULL;
}


/* Takes all of them out of the pool. With the lock held. */
static Ready *drain (void) {
  Ready *all = ready, *r;
  for (r = all; r != NULL; r = r->next) nready--;
  ready = NULL;
  wanted = 0;
  return all;
}


lua_State *standby_state (Heap *heap) {
  Ready *r;
  lua_State *L;
  mutex_lock(&lock);
  r = ready;
  if (r != NULL) {
    ready = r->next;
    nready--;
  }
  if (ready == NULL && wanted < MAX_KEPT) wanted++;
  mutex_unlock(&lock);
  if (r != NULL) blocks_prefetch(r->heap.blocks);
  else r = ready_new();
  if (r == NULL) return NULL;
  L = r->L;
  heap_move(heap, &r->heap);
  lua_setallocf(L, heap_alloc, heap);
  common_free(r, sizeof(*r));
  return L;
}

/* }====================================================== */


/* {======================================================
** Threads
** ======================================================= */

/* Job number 'i' is somebody's. With the lock held. */
static void remove_job (int i) {
  memmove(jobs + i, jobs + i + 1, (size_t)(njobs - i - 1) * sizeof(jobs[0]));
  atomic_set(&njobs, njobs - 1);
}


/* The job that has waited longest, or NULL. With the lock held. */
static void *take (void) {
  void *job = jobs[0];
  if (njobs == 0) return NULL;
  remove_job(0);
  return job;
}


/* False if somebody has it already. With the lock held. */
static int take_back (void *job) {
  int i = 0;
  while (i < njobs && jobs[i] != job) i++;
  if (i == njobs) return 0;
  remove_job(i);
  return 1;
}


/* Looks for a job for a while. With the lock held, but not meanwhile. */
static void spin (void) {
  double end = clock_now() + 2 * SPIN;  /* an isolate takes longer than a message */
  int turns = 0;
  mutex_unlock(&lock);
  while (atomic_get(&njobs) == 0 && spin_turn(&turns, end)) { }
  mutex_lock(&lock);
}


/* Sleeps until there is a job, at most until the deadline. With the lock held,
** but not meanwhile. */
static void sleep_until (double deadline) {
  int in_time = 1;
  while (njobs == 0 && in_time) {
    nsleeping++;
    in_time = cond_wait(&came, &lock, deadline);
    nsleeping--;
  }
}


void standby_soon (void) { atomic_add(&nsoon, 1); }


void *standby_wait (int usable) {
  Ready *unused = NULL;
  void *job;
  pthread_once(&once, make_cond);
  mutex_lock(&lock);
  atomic_add(&nsoon, -1);
  job = usable ? take() : NULL;
  if (job == NULL && usable && nwaiting < MAX_KEPT) {
    double begin = clock_now();
    nwaiting++;
    while (njobs == 0 && refill(nrow < ROW ? 1 : MAX_KEPT)) { }  /* what a row uses */
    if (njobs == 0 && quick) spin();
    if (nready < wanted) sleep_until(begin + BURST);
    while (njobs == 0 && refill(MAX_KEPT)) { }
    if (njobs == 0) {
      thread_set_name("isolate standby");
      sleep_until(clock_now() + KEPT_FOR);
    }
    job = take();
    nwaiting--;
  }
  if (job == NULL && nwaiting == 0) unused = drain();  /* nobody is left who would */
  mutex_unlock(&lock);
  ready_free(unused);
  if (job == NULL) {
    spares_trim();
    slab_trim();
  }
  return job;
}


/* Are there threads for all jobs that need not be woken? With the lock held. */
static int are_awake (void) { return njobs <= nwaiting - nsleeping; }


/* A thread is about to be free: is it worth to wait for that? In a row of jobs not when
** another one sleeps, nor again and again. With the lock held. */
static int worth_lingering (void) {
  if (nrow < ROW) return 1;
  if (nwaiting == 0 && nlingers < ROW) {
    nlingers++;
    return 1;
  }
  nlingers = 0;
  return 0;
}


/* Lets a thread that is about to wait take a job. With the lock held, but not
** meanwhile. */
static void linger (void) {
  double end = clock_now() + LINGER;
  int turns = 0, before = njobs;
  mutex_unlock(&lock);
  while (atomic_get(&njobs) >= before && atomic_get(&nsoon) > 0 &&
         spin_turn(&turns, end)) { }
  mutex_lock(&lock);
}


/* Notes when jobs come. With the lock held. */
static void note_job (void) {
  double now = clock_now();
  quick = now - given < QUICK;
  if (now - given >= BURST) nrow = nlingers = 0;
  if (nrow < ROW) nrow++;
  given = now;
}


int standby_give (void *job) {
  int taken, wake = 0;
  mutex_lock(&lock);
  note_job();
  taken = njobs < nwaiting || (njobs < MAX_KEPT && atomic_get(&nsoon) > 0);
  if (taken) {
    jobs[njobs] = job;
    atomic_set(&njobs, njobs + 1);
    if (!are_awake() && atomic_get(&nsoon) > 0 && worth_lingering()) linger();
    if (njobs > nwaiting) taken = !take_back(job);
    wake = taken && !are_awake();
  }
  mutex_unlock(&lock);
  if (wake) cond_signal(&came);
  return taken;
}

/* }====================================================== */
