/*
** registry.c
** Process-wide: which isolates live.
*/

#include <stddef.h>

#include "registry.h"


static Mutex lock = MUTEX_INIT;		/* guards all below */
static Cond gone;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static Isolate *first, *last;		/* in the order of their ids */

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
  *(iso->previous ? &iso->previous->next : &first) = iso->next;
  *(iso->next ? &iso->next->previous : &last) = iso->previous;
  cond_broadcast(&gone);
  mutex_unlock(&lock);
}


Isolate *registry_next (uint64_t id) {
  Isolate *iso;
  mutex_lock(&lock);
  for (iso = first; iso != NULL && iso->id <= id; ) iso = iso->next;
  if (iso != NULL) shared_retain(iso);
  mutex_unlock(&lock);
  return iso;
}


int registry_concerns (const Isolate *iso, uint64_t root) {
  return iso->id != iso->root && (root == 0 || iso->root == root) &&
         !atomic_get(&iso->abandoned);
}


/* The caller holds the lock. */
static int some (uint64_t root, const Isolate *except) {
  Isolate *iso;
  for (iso = first; iso != NULL; iso = iso->next)
    if (iso != except && registry_concerns(iso, root)) return 1;
  return 0;
}


int registry_wait (uint64_t root, const Isolate *except, double deadline) {
  int left;
  pthread_once(&once, make_cond);
  mutex_lock(&lock);
  while ((left = some(root, except)) != 0 && cond_wait(&gone, &lock, deadline)) { }
  left = left && some(root, except);
  mutex_unlock(&lock);
  return !left;
}
