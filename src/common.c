/*
** common.c
** Blocks of memory that one thread makes and another frees.
**
** In the C library's memory they would lie between a program's own blocks, and keep
** pages that are free but for them; here they have slabs, which go back.
**
** The child of a fork goes on with the isolate that made it: so nobody forks while
** another thread has the lock. It is taken before that of the slabs.
*/

#include <string.h>

#include "hidden.h"
#include "blocks.h"
#include "common.h"
#include "platform.h"


static Mutex lock = MUTEX_INIT;	/* guards all below */
static Blocks *blocks;		/* NULL without memory */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork (void) { mutex_lock(&lock); }
static void after_fork (void) { mutex_unlock(&lock); }

static void open_blocks (void) {
  blocks = blocks_new(1);  /* the slabs watch forks from here on: we, after them */
  pthread_atfork(before_fork, after_fork, after_fork);
}


void *common_new (size_t size) {
  void *block = NULL;
  pthread_once(&once, open_blocks);
  mutex_lock(&lock);
  if (blocks == NULL) blocks = blocks_new(1);  /* there was no memory for it */
  if (blocks != NULL) block = block_new(blocks, size);
  mutex_unlock(&lock);
  return block;
}


void common_free (void *block, size_t size) {
  if (block == NULL) return;
  mutex_lock(&lock);
  block_free(blocks, block, size);
  mutex_unlock(&lock);
}


char *common_copy (const char *s) {
  size_t size = strlen(s) + 1;
  char *copy = (char *)common_new(size);
  return copy ? (char *)memcpy(copy, s, size) : NULL;
}


void common_free_copy (char *s) {
  if (s != NULL) common_free(s, strlen(s) + 1);
}
