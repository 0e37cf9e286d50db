/*
** registry.c
** Process-wide: which isolates live.
*/

#include <limits.h>
#include <stddef.h>

#include "lua.h"

#include "hidden.h"
#include "registry.h"


static Mutex lock = MUTEX_INIT;		/* guards all below */
static Cond gone;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static Isolate *first, *last;		/* in the order of their ids */
static Isolate *near;			/* found last: the next is not far; or NULL */

static void make_cond (void) { cond_init(&gone); }


/* Ids grow with time, so the new one nearly always goes to the end. */
void registry_add (Isolate *iso) {
  Isolate *after;
  pthread_once(&once, make_cond);
  mutex_lock(&lock);
  for (after = last; after != NULL && after->id > iso->id; )
    after = after->previous;
  iso->previous = after;
  iso->next = after ? after->next : first;
  *(iso->next ? &iso->next->previous : &last) = iso;
  *(after ? &after->next : &first) = iso;
  mutex_unlock(&lock);
}


void registry_remove (Isolate *iso) {
  mutex_lock(&lock);
  if (near == iso) near = iso->previous;
  *(iso->previous ? &iso->previous->next : &first) = iso->next;
  *(iso->next ? &iso->next->previous : &last) = iso->previous;
  cond_broadcast(&gone);
  mutex_unlock(&lock);
}


Isolate *registry_next (uint64_t id) {
  Isolate *iso;
  mutex_lock(&lock);
  iso = (near != NULL && near->id <= id) ? near : first;
  while (iso != NULL && iso->id <= id) iso = iso->next;
  if (iso != NULL) near = (Isolate *)shared_retain(iso);
  mutex_unlock(&lock);
  return iso;
}


int registry_concerns (const Isolate *iso, uint64_t root) {
  return iso->id != iso->root && (root == 0 || iso->root == root) &&
         !atomic_get(&iso->abandoned);
}


/* How many there are, counted up to 'most'. The caller holds the lock. */
static int count (uint64_t root, const Isolate *except, int most) {
  Isolate *iso;
  int n = 0;
  for (iso = first; iso != NULL && n < most; iso = iso->next)
    n += (iso != except && registry_concerns(iso, root));
  return n;
}


int registry_wait (uint64_t root, const Isolate *except, double deadline) {
  int left;
  pthread_once(&once, make_cond);
  mutex_lock(&lock);
  while (count(root, except, 1) && cond_wait(&gone, &lock, deadline)) { }
  left = count(root, except, INT_MAX);
  mutex_unlock(&lock);
  return left;
}
