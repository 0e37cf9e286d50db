/*
** common.h
** Blocks of memory that one thread makes and another frees. Any thread.
*/

#ifndef common_h
#define common_h

#include <stddef.h>


/* The size is the one that was asked for. NULL without memory. */
void *common_new (size_t size);
void common_free (void *block, size_t size);	/* NULL is fine */

/* A string in such a block. */
char *common_copy (const char *s);	/* NULL without memory */
void common_free_copy (char *s);	/* NULL is fine */

#endif
