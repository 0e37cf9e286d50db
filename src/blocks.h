/*
** blocks.h
** Blocks of memory: like malloc, for one thread, or for those that share a lock. Who
** frees a block knows its size.
*/

#ifndef blocks_h
#define blocks_h

#include <stddef.h>


typedef struct Blocks Blocks;

/* The first blocks lie side by side in so many slabs, at least one, which go back at
** the end. NULL without memory. */
Blocks *blocks_new (int mixed);
void blocks_free (Blocks *b);		/* all blocks are free; 'b' may be NULL */

/* Blocks that were not used for a while are about to be: this saves most of the waits
** for memory that they would cost one by one. */
void blocks_prefetch (const Blocks *b);

void *block_new (Blocks *b, size_t n);	/* NULL without memory */
void block_free (Blocks *b, void *block, size_t n);

/* NULL without memory; but a block that shrinks has room where it is. */
void *block_resize (Blocks *b, void *block, size_t before, size_t n);

#endif
