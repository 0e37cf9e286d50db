/*
** blocks.c
** Blocks of memory: a state's, or what all share: those of spares.c and common.c.
**
** Large ones are the C library's. Small ones have no header: their size says which
** class they are of, and their address which slab they are in.
**
** A state makes hundreds of small blocks, of all sizes, before it has done anything:
** they lie side by side in a few mixed slabs, which are given back at the end. What
** a program makes later comes from slabs of blocks of one size, which go back as
** soon as all of one is free.
*/

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hidden.h"
#include "blocks.h"
#include "large.h"
#include "platform.h"
#include "slab.h"


/* Small blocks: up to 512 bytes in steps of 8, up to 8192 in steps of 256. */
#define FINE		8
#define FINE_MAX	512
#define COARSE		256
#define SMALL_MAX	8192

#define MIN_REST	64	/* bytes; below that it is forgotten */

#define CLASSES		(1 + FINE_MAX / FINE + SMALL_MAX / COARSE)


/* At its beginning. */
typedef struct Slab {
  struct Slab *next, *prev;	/* mixed: all of them; else those that are open */
  void *freed;			/* list of its free blocks */
  char *bump;			/* from here on it was never used */
  int class;			/* of all its blocks; or MIXED */
  unsigned int used, room;	/* blocks */
} Slab;

#define MIXED		0	/* no class */


/* Behind the header of the first mixed slab. */
struct Blocks {
  Slab *mixed;			/* only the first in the list has unused room */
  int mixable;			/* so many mixed slabs may come */
  char *rest;			/* what is left of a freed one in a mixed slab: it is */
  size_t nrest;			/* used before memory that was not */
  void *strays;			/* large blocks that have become small */
  Slab **open;			/* by class: those of it with a free block; or NULL */
  void *freed[CLASSES];		/* lists of free blocks in mixed slabs */
};


/* A block whose size is a multiple of this lies at one: nothing of another size can
** need it, for the size of a C type is a multiple of its alignment. */
#define ALIGNED		16

#define aligned(n)	(((n) + ALIGNED - 1) / ALIGNED * ALIGNED)

#define HEADER		((sizeof(Slab) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE)


static int class_of (size_t n) {
  return (int)(n <= FINE_MAX ? (n + FINE - 1) / FINE
                             : FINE_MAX / FINE + (n + COARSE - 1) / COARSE);
}


static size_t class_size (int c) {
  return (size_t)(c <= FINE_MAX / FINE ? c * FINE : (c - FINE_MAX / FINE) * COARSE);
}


/* {======================================================
** Lists of free blocks, and of open slabs
** ======================================================= */

static void push (void **list, void *block) {
  memcpy(block, list, sizeof(void *));
  *list = block;
}


static void *pop (void **list) {
  void *block = *list;
  memcpy(list, block, sizeof(void *));
  return block;
}


static void link_slab (Slab **list, Slab *s) {
  s->prev = NULL;
  s->next = *list;
  if (*list != NULL) (*list)->prev = s;
  *list = s;
}


static void unlink_slab (Slab **list, Slab *s) {
  if (s->prev != NULL) s->prev->next = s->next;
  else *list = s->next;
  if (s->next != NULL) s->next->prev = s->prev;
}

/* }====================================================== */


/* {======================================================
** Small blocks
** ======================================================= */

static Slab *slab_of (void *block) {
  return (Slab *)(void *)((char *)block - ((uintptr_t)block & (SLAB - 1)));
}


static Slab *open_slab (Slab **list, int class) {
  Slab *s = (Slab *)slab_new();
  if (s == NULL) return NULL;
  s->freed = NULL;
  s->bump = (char *)s + HEADER;
  s->class = class;
  s->used = 0;
  s->room = class == MIXED ? 0 : (unsigned int)((SLAB - HEADER) / class_size(class));
  link_slab(list, s);
  return s;
}


/* One more mixed slab came. The last one holds the lists of those of one class, which
** nobody needs before: who does little has none. */
static void enter_mixed (Blocks *b, Slab *s) {
  if (--b->mixable > 0) return;
  b->open = (Slab **)(void *)s->bump;
  s->bump += aligned(CLASSES * sizeof(Slab *));
  memset(b->open, 0, CLASSES * sizeof(Slab *));
}


/* A block of a slab that is open. */
static void *take (Blocks *b, Slab *s) {
  void *block;
  if (s->freed != NULL) block = pop(&s->freed);
  else {
    block = s->bump;
    s->bump += class_size(s->class);
  }
  if (++s->used == s->room) unlink_slab(&b->open[s->class], s);
  return block;
}


/* Cuts a block from the beginning of a piece of memory of 'room' bytes, which begins
** behind it then. NULL if that is too small. */
static void *cut (char **piece, size_t room, size_t size) {
  size_t gap = size % ALIGNED == 0 ? (size_t)-(uintptr_t)*piece % ALIGNED : 0;
  char *block;
  if (gap + size > room) return NULL;
  block = *piece + gap;
  *piece = block + size;
  return block;
}


/* A block of a mixed slab that is in no list; NULL if those are at an end. */
static void *take_mixed (Blocks *b, size_t size) {
  Slab *s = b->mixed;
  char *rest = b->rest;
  void *block = cut(&b->rest, b->nrest, size);
  if (block != NULL) {
    b->nrest -= (size_t)(b->rest - rest);
    return block;
  }
  block = cut(&s->bump, (size_t)((char *)s + SLAB - s->bump), size);
  if (block != NULL || b->mixable == 0) return block;
  s = open_slab(&b->mixed, MIXED);
  if (s == NULL) return NULL;
  enter_mixed(b, s);
  return cut(&s->bump, (size_t)((char *)s + SLAB - s->bump), size);
}


static void *small_new (Blocks *b, int c) {
  Slab *s;
  void *block;
  if (b->freed[c] != NULL) return pop(&b->freed[c]);
  s = b->open ? b->open[c] : NULL;
  if (s == NULL) {
    block = take_mixed(b, class_size(c));
    if (block != NULL || b->open == NULL) return block;
    s = open_slab(&b->open[c], c);
    if (s == NULL) return NULL;
  }
  return take(b, s);
}


/* A block of a mixed slab: one that a table or a stack has outgrown is cut up for
** others, which a state needs more of. */
static void mixed_free (Blocks *b, void *block, int c) {
  if (class_size(c) <= FINE_MAX || b->nrest >= MIN_REST) push(&b->freed[c], block);
  else {
    b->rest = (char *)block;
    b->nrest = class_size(c);
  }
}


/* A slab that is all free goes back, but for the last one of its class. */
static void small_free (Blocks *b, void *block, int c) {
  Slab *s = slab_of(block);
  if (s->class == MIXED) {
    mixed_free(b, block, c);
    return;
  }
  push(&s->freed, block);
  if (s->used-- == s->room) link_slab(&b->open[s->class], s);
  else if (s->used == 0 && (s->next != NULL || s->prev != NULL)) {
    unlink_slab(&b->open[s->class], s);
    slab_free(s);
  }
}

/* }====================================================== */


/* {======================================================
** Strays: large blocks that were to become small, and there was no memory for that.
** They stay what they are, in a list, which is nearly always empty.
** ======================================================= */

/* Behind what is used of a stray, and so behind each large block, there is room for
** a pointer to the next. */
#define LINK		sizeof(void *)

#define next_stray(block)	((void **)(void *)((char *)(block) + SMALL_MAX))


/* Where the list has this block; NULL if it is none of them. */
static void **find_stray (Blocks *b, const void *block) {
  void **at = &b->strays;
  while (*at != NULL && *at != block) at = next_stray(*at);
  return *at ? at : NULL;
}


/* Is this block, which is about to be freed, the C library's? If it was a stray, it
** is none any more. */
static int take_large (Blocks *b, void *block, size_t n) {
  void **at;
  if (n > SMALL_MAX) return 1;
  if (b->strays == NULL || (at = find_stray(b, block)) == NULL) return 0;
  *at = *next_stray(block);
  return 1;
}


static void add_stray (Blocks *b, void *block) {
  *next_stray(block) = b->strays;
  b->strays = block;
}

/* }====================================================== */


void *block_new (Blocks *b, size_t n) {
  if (MEMORY_CHECKED) return malloc(n);
  return n > SMALL_MAX ? large_resize(NULL, 0, n + LINK) : small_new(b, class_of(n));
}


void block_free (Blocks *b, void *block, size_t n) {
  if (MEMORY_CHECKED || take_large(b, block, n)) large_free(block, n + LINK);
  else small_free(b, block, class_of(n));
}


void *block_resize (Blocks *b, void *block, size_t before, size_t n) {
  int was_small = before <= SMALL_MAX, is_small = n <= SMALL_MAX;
  void *to;
  if (MEMORY_CHECKED) return realloc(block, n);
  if (was_small && is_small && class_of(before) == class_of(n)) return block;
  if (!was_small && !is_small) to = large_resize(block, before, n + LINK);
  else if ((to = block_new(b, n)) != NULL) {
    memcpy(to, block, n < before ? n : before);
    block_free(b, block, before);
  }
  if (to != NULL || n > before) return to;
  if (is_small && !was_small) add_stray(b, block);
  return block;
}


Blocks *blocks_new (int mixed) {
  Slab *first = NULL, *s = open_slab(&first, MIXED);
  Blocks *b;
  if (s == NULL) return NULL;
  b = (Blocks *)(void *)s->bump;
  s->bump += aligned(sizeof(Blocks));
  memset(b, 0, sizeof(*b));
  b->mixed = s;
  b->mixable = mixed;
  enter_mixed(b, s);
  return b;
}


void blocks_prefetch (const Blocks *b) {
  const Slab *s;
  for (s = b->mixed; s != NULL; s = s->next) {
    const char *p;
    for (p = (const char *)s; p < s->bump; p += CACHE_LINE) __builtin_prefetch(p, 1);
  }
}


static void free_slabs (Slab *s) {
  while (s != NULL) {
    Slab *next = s->next;
    slab_free(s);
    s = next;
  }
}


void blocks_free (Blocks *b) {
  int c;
  if (b == NULL) return;
  for (c = 0; b->open != NULL && c < CLASSES; c++) free_slabs(b->open[c]);
  free_slabs(b->mixed);
}
