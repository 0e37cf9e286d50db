/*
** seen.c
** What was met before in a message: address -> where it was written.
*/

#include <string.h>

#include "hidden.h"
#include "seen.h"
#include "spares.h"


#define FIRST_SIZE	16
#define KEPT_SIZE	65536	/* a larger set is let go of after its message */


static size_t entries_size (const Seen *s) {
  return (size_t)s->size / 4 * 3 * sizeof(SeenEntry);
}

static size_t index_size (const Seen *s) { return s->size * sizeof(uint32_t); }


/* The place of 'key' in the index, or the free one where it belongs. */
static uint32_t *find (const Seen *s, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  uint32_t mask = s->size - 1, i = (uint32_t)(h >> 32) & mask;
  while (s->index[i] != 0 && s->entries[s->index[i] - 1].key != key)
    i = (i + 1) & mask;
  return &s->index[i];
}


static int grow (Seen *s) {
  Seen bigger = *s;
  uint32_t i;
  bigger.size = s->size ? s->size * 2 : FIRST_SIZE;
  if (bigger.size == 0) return 0;
  bigger.index = (uint32_t *)spare_new(index_size(&bigger));
  if (bigger.index == NULL) return 0;
  bigger.entries = (SeenEntry *)spare_resize(s->entries, entries_size(s),
                                             entries_size(s), entries_size(&bigger));
  if (bigger.entries == NULL) {
    spare_free(bigger.index, index_size(&bigger));
    return 0;
  }
  memset(bigger.index, 0, index_size(&bigger));
  for (i = 0; i < s->used; i++) *find(&bigger, bigger.entries[i].key) = i + 1;
  spare_free(s->index, index_size(s));
  *s = bigger;
  return 1;
}


int seen_enter (Seen *s, const void *key, size_t offset, int upvalue,
                SeenEntry **entry) {
  uint32_t *place;
  if (s->used == s->size / 4 * 3 && !grow(s)) return -1;
  place = find(s, key);
  if (*place != 0) {
    *entry = &s->entries[*place - 1];
    return 0;
  }
  *entry = &s->entries[s->used];
  (*entry)->key = key;
  (*entry)->offset = offset;
  (*entry)->upvalue = (unsigned int)upvalue & 0xff;
  *place = ++s->used;
  return 1;
}


/* The newest goes first: those that stay are found without it. */
void seen_reset (Seen *s) {
  if (s->size > KEPT_SIZE) seen_free(s);
  for (; s->used > 0; s->used--) *find(s, s->entries[s->used - 1].key) = 0;
}


void seen_free (Seen *s) {
  spare_free(s->entries, entries_size(s));
  spare_free(s->index, index_size(s));
  memset(s, 0, sizeof(*s));
}
