/*
** outgrow.h
** Memory that lies in the struct it belongs to, until it has to grow: most never
** does. Such a struct may not move.
*/

#ifndef outgrow_h
#define outgrow_h

#include <string.h>

#include "spares.h"


/* As 'spare_resize' of 'block', which has been at 'first' at first. */
static inline void *outgrow (void *block, const void *first, size_t used,
                             size_t before, size_t n) {
  void *to;
  if (block != first) return spare_resize(block, used, before, n);
  to = spare_new(n);
  if (to != NULL) memcpy(to, first, used);
  return to;
}


static inline void outgrown_free (void *block, const void *first, size_t n) {
  if (block != first) spare_free(block, n);
}

#endif
