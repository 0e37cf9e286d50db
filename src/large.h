/*
** large.h
** Blocks of the C library; large ones are kept for a while when they are freed. Any
** thread. Who frees a block knows its size.
*/

#ifndef large_h
#define large_h

#include <stddef.h>


/* As 'realloc', for a new block (NULL), too; 'used' bytes of the old one stay. A large
** one is meant to be written soon. NULL, and nothing has changed, without memory. */
void *large_resize (void *block, size_t used, size_t n);

/* 'n' is what it was last asked for, or less. */
void large_free (void *block, size_t n);

/* Frees all that is kept. False if nothing was. */
int large_trim (void);

/* Watches forks from here on. Who calls these with a lock held does so after this. */
void large_open (void);

#endif
