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
  shared_retain(iso);
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
  shared_release(iso);
}


/* The caller holds the lock. */
static Isolate *find (uint64_t id, uint64_t root, const Isolate *except) {
  Isolate *iso;
  for (iso = first; iso != NULL; iso = iso->next)
    if (iso->id > id && iso != except && (root == 0 || iso->root == root) &&
        !atomic_get(&iso->abandoned)) return iso;
  return NULL;
}


Isolate *registry_next (uint64_t id, uint64_t root) {
  Isolate *iso;
  mutex_lock(&lock);
  iso = find(id, root, NULL);
  if (iso != NULL) shared_retain(iso);
  mutex_unlock(&lock);
  return iso;
}


int registry_wait (uint64_t root, const Isolate *except, double deadline) {
  int some;
  pthread_once(&once, make_cond);
  mutex_lock(&lock);
  while ((some = (find(0, root, except) != NULL)) != 0)
    if (!cond_wait(&gone, &lock, deadline)) break;
  some = some && find(0, root, except) != NULL;
  mutex_unlock(&lock);
  return !some;
}
