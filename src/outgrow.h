/*
** outgrow.h
** Memory that lies in the struct it belongs to, until it has to grow: most never
** does. Such a struct may not move.
*/

#ifndef outgrow_h
#define outgrow_h

#include <string.h>

#include "spares.h"


/* A block of 'n' bytes for 'block', which is full with 'before' bytes, and has been at
** 'first' at first. NULL, and nothing has changed, without memory. */
static inline void *outgrow (void *block, const void *first, size_t before, size_t n) {
  void *to;
  if (block != first) return spare_resize(block, before, before, n);
  to = spare_new(n);
  if (to != NULL) memcpy(to, first, before);
  return to;
}


static inline void outgrown_free (void *block, const void *first, size_t n) {
  if (block != first) spare_free(block, n);
}

#endif
