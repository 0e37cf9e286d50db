/*
** blocks.c
** The allocator of isolates alone, with memory from here: `blocks ROUNDS REFUSING`.
** Four threads make, resize and free blocks at random, and look whether each keeps
** what was written into it; one in REFUSING of what they ask the system for is
** refused (0: none). In the end all blocks are free.
** Prints whether few slabs hold memory then, and how many after slab_trim.
*/

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/blocks.h"
#include "../../src/large.h"
#include "../../src/platform.h"
#include "../../src/slab.h"


static int refusing;
static __thread uint64_t seed;


/* xorshift: the same for the same seed */
static uint64_t draw (uint64_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed % n;
}


static void fail (const char *what) {
  fprintf(stderr, "blocks: %s\n", what);
  exit(1);
}


/* {======================================================
** The system
** ======================================================= */

void mutex_lock (Mutex *m) { pthread_mutex_lock(m); }
void mutex_unlock (Mutex *m) { pthread_mutex_unlock(m); }

#define GARBAGE		0x5A		/* in memory that nobody has written */

#define REGIONS		64

static unsigned char *regions[REGIONS];	/* atomic: NULL = free */
static size_t region_size;		/* of each */


/* Puts 'now' in the place of 'before'. */
static void note (unsigned char *before, unsigned char *now) {
  int i;
  for (i = 0; i < REGIONS; i++) {
    unsigned char *expected = before;
    if (atomic_swap_if(&regions[i], expected, now)) return;
  }
  fail("a region too many, or one that is not known");
}


/* How many slabs hold something. */
static int held (void) {
  size_t at;
  int i, n = 0;
  for (i = 0; i < REGIONS; i++)
    for (at = 0; regions[i] != NULL && at < region_size; at += SLAB) {
      const unsigned char *slab = regions[i] + at;
      n += slab[0] != GARBAGE || memcmp(slab, slab + 1, SLAB - 1) != 0;
    }
  return n;
}


static int refused (void) { return refusing && draw((uint64_t)refusing) == 0; }


void *pages_new (size_t size) {
  void *pages;
  if (refused() || posix_memalign(&pages, size, size) != 0) return NULL;
  memset(pages, GARBAGE, size);
  atomic_set(&region_size, size);
  note(NULL, pages);
  return pages;
}


void pages_free (void *pages, size_t size) {
  memset(pages, GARBAGE, size);
  note(pages, NULL);
  free(pages);
}


void pages_drop (void *pages, size_t size) { memset(pages, GARBAGE, size); }


void *__real_malloc (size_t n);
void *__real_realloc (void *block, size_t n);
void *__wrap_malloc (size_t n);
void *__wrap_realloc (void *block, size_t n);

void *__wrap_malloc (size_t n) { return refused() ? NULL : __real_malloc(n); }

void *__wrap_realloc (void *block, size_t n) {
  return refused() ? NULL : __real_realloc(block, n);
}


void *large_resize (void *block, size_t used, size_t n) {
  (void)used;
  return realloc(block, n);
}


void large_free (void *block, size_t n) {
  (void)n;
  free(block);
}


int large_trim (void) { return 0; }

void large_open (void) { }

/* }====================================================== */


#define MANY	4000

#define FEW	160	/* slabs: so many stay warm, and the first of each region */

typedef struct Known {
  unsigned char *block;
  size_t size;
  unsigned char mark;		/* in each byte of it */
} Known;


/* As Lua asks: mostly small, now and then a large one. */
static size_t any_size (void) {
  switch (draw(16)) {
    case 0: return 1 + draw(40000);
    case 1: case 2: return 1 + draw(5000);
    default: return 1 + draw(200);
  }
}


static void look (const Known *k, size_t size) {
  size_t i;
  for (i = 0; i < size; i++)
    if (k->block[i] != k->mark) fail("a block has lost what was in it");
}


static void fill (Known *k, unsigned char *block, size_t size) {
  if ((uintptr_t)block % (size % 16 == 0 ? 16 : 8) != 0) fail("a block is not aligned");
  k->block = block;
  k->size = size;
  k->mark = (unsigned char)draw(256);
  memset(block, k->mark, size);
}


static void turn (Blocks *b, Known *k) {
  size_t size = any_size();
  unsigned char *block;
  if (k->block == NULL) {
    block = block_new(b, size);
    if (block != NULL) fill(k, block, size);
    else if (!refusing) fail("no memory");
  }
  else if (draw(2)) {
    size_t least = size < k->size ? size : k->size;
    block = block_resize(b, k->block, k->size, size);
    if (block == NULL) {
      if (size <= k->size) fail("a block cannot shrink");
      return look(k, k->size);
    }
    k->block = block;
    look(k, least);
    fill(k, block, size);
  }
  else {
    look(k, k->size);
    block_free(b, k->block, k->size);
    k->block = NULL;
  }
}


/* A state's life, so often; what lives grows and shrinks. */
static void *run (void *arg) {
  static __thread Known known[MANY];
  long rounds = (long)(intptr_t)arg, i;
  seed = (uint64_t)(uintptr_t)&seed | 1;
  for (; rounds > 0; rounds--) {
    Blocks *b = blocks_new(1 + draw(12));
    size_t some = 1 + draw(MANY);
    if (b == NULL) continue;
    for (i = 0; i < 40000; i++) {
      if (i % 10000 == 0) some = 1 + draw(MANY);
      turn(b, &known[draw(some)]);
    }
    for (i = 0; i < MANY; i++) {
      if (known[i].block == NULL) continue;
      look(&known[i], known[i].size);
      block_free(b, known[i].block, known[i].size);
      known[i].block = NULL;
    }
    blocks_free(b);
  }
  return NULL;
}


int main (int argc, char **argv) {
  pthread_t threads[4];
  int i;
  if (argc != 3) fail("blocks ROUNDS REFUSING");
  refusing = atoi(argv[2]);
  for (i = 0; i < 4; i++)
    if (pthread_create(&threads[i], NULL, run, (void *)(intptr_t)atoi(argv[1])) != 0)
      fail("no thread");
  for (i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  printf("%s", held() <= FEW ? "a few" : "many");
  slab_trim();
  printf(", %d\n", held());
  return 0;
}
