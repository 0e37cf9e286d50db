/*
** mailbox.c
** A mailbox alone, without Lua: `mailbox MESSAGES`. Two threads post so many numbers each,
** one takes them, and one asks all the time how many wait.
** Prints whether the numbers came in order, and what the lowest count was.
*/

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/mailbox.h"


#define POSTERS		2

#define MANY		32	/* that wait: who posts waits, too */

static Mailbox box;
static uint32_t each;
static int ended;		/* atomic */


static void *poster (void *arg) {
  const uint64_t port = (uint64_t)(uintptr_t)arg;
  uint32_t i;
  for (i = 1; i <= each; i++) {
    Message *m = message_new(sizeof(i), 0);
    if (m == NULL) abort();
    m->port = port;
    m->op = 1;
    memcpy(m->bytes, &i, sizeof(i));
    while (mailbox_queued(&box) > MANY) sched_yield();
    mailbox_post(&box, m);
  }
  return NULL;
}


/* Takes all there are. Returns NULL if they came in order. */
static void *taker (void *arg) {
  uint32_t last[POSTERS] = {0}, left = POSTERS * each;
  Queue normal, control;
  const int never = 0;
  queue_init(&normal);
  queue_init(&control);
  while (left > 0) {
    Message *m;
    mailbox_wait(&box, 0, &never, NEVER);
    mailbox_take(&box, &normal, &control);
    while ((m = queue_pop(&normal)) != NULL) {
      int k;
      for (k = 0; k < m->op; k++) {
        uint32_t i;
        memcpy(&i, m->bytes + (size_t)k * sizeof(i), sizeof(i));
        if (i != ++last[m->port]) arg = &box;
        atomic_set(&box.handled, box.handled + 1);
        left--;
      }
      message_free(m);
    }
  }
  atomic_set(&ended, 1);
  return arg;
}


int main (int argc, char **argv) {
  pthread_t threads[POSTERS], taking;
  int i, queued, lowest = 0;
  void *disorder;
  if (argc != 2) return 2;
  each = (uint32_t)atoi(argv[1]);
  mailbox_init(&box, NULL);
  pthread_create(&taking, NULL, taker, NULL);
  for (i = 0; i < POSTERS; i++)
    pthread_create(&threads[i], NULL, poster, (void *)(uintptr_t)i);
  while (!atomic_get(&ended))
    if ((queued = mailbox_queued(&box)) < lowest) lowest = queued;
  for (i = 0; i < POSTERS; i++) pthread_join(threads[i], NULL);
  pthread_join(taking, &disorder);
  printf("%s, %d, %d\n", disorder ? "disorder" : "in order", lowest, mailbox_queued(&box));
  mailbox_destroy(&box);
  return 0;
}
