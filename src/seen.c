/*
** seen.c
** What was met before in a message: address -> where it was written.
*/

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "seen.h"


#define FIRST_SIZE	64
#define KEPT_SIZE	65536	/* a larger set is let go of after its message */


/* The entry of 'key', or the free one where it belongs. */
static SeenEntry *find (const Seen *s, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  size_t i = (size_t)(h >> 32) & (s->size - 1);
  while (s->entries[i].message == s->message && s->entries[i].key != key)
    i = (i + 1) & (s->size - 1);
  return &s->entries[i];
}


static int grow (Seen *s) {
  Seen bigger = *s;
  size_t i;
  bigger.size = s->size ? s->size * 2 : FIRST_SIZE;
  bigger.entries = (SeenEntry *)calloc(bigger.size, sizeof(SeenEntry));
  if (bigger.entries == NULL) return 0;
  for (i = 0; i < s->size; i++)
    if (s->entries[i].message == s->message)
      *find(&bigger, s->entries[i].key) = s->entries[i];
  free(s->entries);
  *s = bigger;
  return 1;
}


int seen_enter (Seen *s, const void *key, size_t offset, int upvalue,
                SeenEntry **entry) {
  SeenEntry *e;
  if (s->used * 2 >= s->size && !grow(s)) return -1;
  *entry = e = find(s, key);
  if (e->message == s->message) return 0;
  e->key = key;
  e->offset = offset;
  e->upvalue = upvalue;
  e->message = s->message;
  s->used++;
  return 1;
}


void seen_reset (Seen *s) {
  if (s->size > KEPT_SIZE) seen_free(s);
  s->used = 0;
  if (++s->message == 0) {  /* the count came round: now old ones look new */
    if (s->size > 0) memset(s->entries, 0, s->size * sizeof(SeenEntry));
    s->message = 1;
  }
}


void seen_free (Seen *s) {
  free(s->entries);
  s->entries = NULL;
  s->size = s->used = 0;
}
