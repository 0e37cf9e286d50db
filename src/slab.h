/*
** slab.h
** Pieces of memory that small blocks come from. Any thread.
*/

#ifndef slab_h
#define slab_h

#include <stddef.h>


#define SLAB	((size_t)32 * 1024)	/* bytes; a slab's address is a multiple */

void *slab_new (void);		/* holds garbage; NULL without memory */
void slab_free (void *slab);

/* Nobody has needed one for a while: those that are kept are the system's, and so is
** what is freed until somebody takes one again. */
void slab_trim (void);

#endif
