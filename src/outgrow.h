/*
** outgrow.h
** Memory that lies in the struct it belongs to, until it has to grow: most never
** does. Such a struct may not move.
*/

#ifndef outgrow_h
#define outgrow_h

#include <stdlib.h>
#include <string.h>


/* As 'realloc' of 'block', which has been at 'first' at first; 'used' bytes of it
** are kept. */
static inline void *outgrow (void *block, const void *first, size_t used, size_t size) {
  void *to;
  if (block != first) return realloc(block, size);
  to = malloc(size);
  if (to != NULL) memcpy(to, first, used);
  return to;
}


static inline void outgrown_free (void *block, const void *first) {
  if (block != first) free(block);
}

#endif
