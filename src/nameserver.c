/*
** nameserver.c
** Process-wide: names of ports.
**
** A name goes with its port. Who closes a port, or a mailbox, drops its names
** after that; who adds a name looks afterwards whether the mailbox was closed.
** So one of the two sees the other. (That a single port was closed is known to
** its own isolate only, which is told of each name: see CONTROL_NAMED.)
*/

#include <stdlib.h>
#include <string.h>

#include "hidden.h"
#include "nameserver.h"
#include "platform.h"


#define BUCKETS		256	/* a power of 2 */

typedef struct Name {
  struct Name *next;		/* in its bucket */
  Mailbox *box;			/* counted */
  uint64_t port;
  size_t len;
  char name[];
} Name;

static Mutex lock = MUTEX_INIT;		/* guards the buckets */
static Name *buckets[BUCKETS];


static Name **bucket (const char *name, size_t len) {
  uint32_t hash = 2166136261u;
  size_t i;
  for (i = 0; i < len; i++) hash = (hash ^ (unsigned char)name[i]) * 16777619u;
  return &buckets[hash & (BUCKETS - 1)];
}


static int is_called (const Name *n, const char *name, size_t len) {
  return n->len == len && memcmp(n->name, name, len) == 0;
}


static Name *find (Name *n, const char *name, size_t len) {
  while (n != NULL && !is_called(n, name, len)) n = n->next;
  return n;
}


/* Frees a list. Not under the lock: a mailbox may go with it. */
static int free_names (Name *n) {
  int count = 0;
  while (n != NULL) {
    Name *next = n->next;
    atomic_add(&n->box->names, -1);
    shared_release(n->box);
    free(n);
    n = next;
    count++;
  }
  return count;
}


/* Moves '*n' to the list 'gone'. */
static void unlink_name (Name **n, Name **gone) {
  Name *it = *n;
  *n = it->next;
  it->next = *gone;
  *gone = it;
}


int nameserver_add (const char *name, size_t len, Mailbox *box, uint64_t port,
                    int unique) {
  Name **list = bucket(name, len), *taken;
  Name *fresh = (Name *)malloc(offsetof(Name, name) + len);
  if (fresh == NULL) return -1;
  fresh->box = (Mailbox *)shared_retain(box);
  fresh->port = port;
  fresh->len = len;
  memcpy(fresh->name, name, len);
  atomic_add(&box->names, 1);
  mutex_lock(&lock);
  taken = unique ? find(*list, name, len) : NULL;
  if (taken == NULL) {
    fresh->next = *list;
    *list = fresh;
  }
  mutex_unlock(&lock);
  if (taken != NULL) {
    fresh->next = NULL;
    free_names(fresh);
    return 0;
  }
  if (!mailbox_closed(box)) return 1;
  nameserver_drop(box, 0);
  return 0;
}


Mailbox *nameserver_next (const char *name, size_t len, uint64_t *port) {
  Name *n, *least = NULL;
  Mailbox *box = NULL;
  mutex_lock(&lock);
  for (n = *bucket(name, len); n != NULL; n = n->next)
    if (n->port > *port && (least == NULL || n->port < least->port) &&
        is_called(n, name, len))
      least = n;
  if (least != NULL) {
    box = (Mailbox *)shared_retain(least->box);
    *port = least->port;
  }
  mutex_unlock(&lock);
  return box;
}


int nameserver_remove (const char *name, size_t len) {
  Name **n = bucket(name, len), *gone = NULL;
  mutex_lock(&lock);
  while (*n != NULL) {
    if (is_called(*n, name, len)) unlink_name(n, &gone);
    else n = &(*n)->next;
  }
  mutex_unlock(&lock);
  return free_names(gone);
}


void nameserver_drop (Mailbox *box, uint64_t port) {
  Name *gone = NULL;
  int i;
  if (!atomic_get(&box->names)) return;
  mutex_lock(&lock);
  for (i = 0; i < BUCKETS; i++) {
    Name **n = &buckets[i];
    while (*n != NULL) {
      if ((*n)->box == box && (port == 0 || (*n)->port == port))
        unlink_name(n, &gone);
      else n = &(*n)->next;
    }
  }
  mutex_unlock(&lock);
  free_names(gone);
}
