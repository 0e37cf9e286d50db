/*
** states.c
** A host with three states on one thread, closed in every order while their
** isolates run, and opened again.
**
** usage: states SCRIPT ROUNDS MAX_THREADS
** After the last round no more than MAX_THREADS threads may be left.
*/

#include <time.h>

#include "host.h"

#define STATES 3
#define ORDERS 6

static const int orders[ORDERS][STATES] = {
  {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}
};


/* Opens the states, lets each take a turn, closes them in 'order'; those that
** are still open take a turn after each closing. */
static void play (const char *script, const int *order) {
  lua_State *states[STATES];
  for (int i = 0; i < STATES; i++)
    states[i] = host_open(script);
  for (int i = 0; i < STATES; i++)
    host_turn(states[i]);
  for (int closed = 0; closed < STATES; closed++) {
    lua_close(states[order[closed]]);
    for (int i = closed + 1; i < STATES; i++)
      host_turn(states[order[i]]);
  }
}


/* The number of threads of this process. */
static int threads_now (void) {
  char line[256];
  int n = -1;
  FILE *f = fopen("/proc/self/status", "r");
  if (f == NULL) host_fail("/proc/self/status", "cannot be read");
  while (fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, "Threads: %d", &n) == 1) break;
  fclose(f);
  return n;
}


/* Waits up to five seconds until no more than 'most' threads are left. */
static int threads_left (int most) {
  const struct timespec pause = {0, 10 * 1000 * 1000};
  for (int i = 0; i < 500 && threads_now() > most; i++)
    nanosleep(&pause, NULL);
  return threads_now();
}


int main (int argc, char **argv) {
  if (argc != 4) host_fail("usage", "states SCRIPT ROUNDS MAX_THREADS");
  int most = atoi(argv[3]);
  for (int round = 0; round < atoi(argv[2]); round++)
    for (int i = 0; i < ORDERS; i++)
      play(argv[1], orders[i]);
  int left = threads_left(most);
  if (left > most) {
    fprintf(stderr, "host: %d threads are left\n", left);
    return 3;
  }
  printf("played\n");
  return 0;
}
