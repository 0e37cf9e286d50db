/*
** threads.c
** A host with a state on each of four threads. All are open at the same time;
** then they are closed, in another order each round, while isolates run.
**
** usage: threads SCRIPT ROUNDS own|next|main
** "own": each thread closes its state; "next": each thread goes on with the state
** of another one, and closes that; "main": the threads end and leave their states
** to the main thread, which goes on with them and closes them.
*/

#include <pthread.h>
#include <time.h>

#include "host.h"

#define THREADS 4

typedef struct Player {
  pthread_t thread;
  const char *script;
  int place;                    /* how many are closed before this one */
  lua_State *left;              /* the state, if another thread closes it */
  struct Player *closes;        /* whose state this one closes, or NULL */
} Player;

static pthread_barrier_t all_open;


static void pause_ms (int ms) {
  struct timespec pause = {0, ms * 1000L * 1000L};
  nanosleep(&pause, NULL);
}


static void *play (void *arg) {
  Player *player = arg;
  lua_State *L = host_open(player->script);
  host_turn(L);
  player->left = L;
  pthread_barrier_wait(&all_open);
  if (player->closes == NULL) return NULL;
  L = player->closes->left;
  pause_ms(player->place * 5);
  host_turn(L);
  lua_close(L);
  return NULL;
}


/* Each closes the state of the one that is 'step' places after it; none if
** 'step' is negative: then this thread closes them all. */
static void play_round (const char *script, int round, int step) {
  Player players[THREADS];
  for (int i = 0; i < THREADS; i++) {
    Player *player = &players[i];
    player->script = script;
    player->place = (i * 3 + round) % THREADS;
    player->left = NULL;
    player->closes = step < 0 ? NULL : &players[(i + step) % THREADS];
    if (pthread_create(&player->thread, NULL, play, player) != 0)
      host_fail("pthread_create", "refused");
  }
  for (int i = 0; i < THREADS; i++)
    pthread_join(players[i].thread, NULL);
  if (step >= 0) return;
  for (int i = 0; i < THREADS; i++)
    host_turn(players[i].left);
  for (int i = 0; i < THREADS; i++)
    lua_close(players[(i * 3 + round) % THREADS].left);
}


int main (int argc, char **argv) {
  if (argc != 4) host_fail("usage", "threads SCRIPT ROUNDS own|next|main");
  int step = strcmp(argv[3], "own") == 0 ? 0 : strcmp(argv[3], "next") == 0 ? 1 : -1;
  pthread_barrier_init(&all_open, NULL, THREADS);
  for (int round = 0; round < atoi(argv[2]); round++)
    play_round(argv[1], round, step);
  printf("played\n");
  return 0;
}
