/*
** reload.c
** A host that opens a state, lets it take a turn and closes it, again and
** again, each time on a thread of its own: between two of them no state is open,
** so each 'lua_close' unloads the library as far as Lua is concerned.
**
** usage: reload SCRIPT ROUNDS
** After the first tenth of the rounds nothing may grow any more: descriptors,
** threads, memory (by more than 2 MB), or mappings of the library.
*/

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#include "host.h"

#define MEMORY_MARGIN 2048      /* KiB */

typedef struct Usage {
  int descriptors, threads, memory, mappings;
} Usage;


static int count_descriptors (void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  if (dir == NULL) host_fail("/proc/self/fd", "cannot be read");
  while (readdir(dir) != NULL) n++;
  closedir(dir);
  return n;
}


/* How many lines of a file contain 'what'; the number after it, if 'value'. */
static int look (const char *path, const char *what, int *value) {
  char line[1024];
  int n = 0;
  FILE *f = fopen(path, "r");
  if (f == NULL) host_fail(path, "cannot be read");
  while (fgets(line, sizeof line, f) != NULL) {
    const char *at = strstr(line, what);
    if (at == NULL) continue;
    n++;
    if (value != NULL) *value = atoi(at + strlen(what));
  }
  fclose(f);
  return n;
}


static Usage usage_now (void) {
  Usage u;
  u.descriptors = count_descriptors();
  look("/proc/self/status", "Threads:", &u.threads);
  look("/proc/self/status", "VmRSS:", &u.memory);
  u.mappings = look("/proc/self/maps", "isolate/core.so", NULL);
  return u;
}


/* Waits up to ten seconds until only this thread is left. */
static Usage usage_alone (void) {
  const struct timespec pause = {0, 10 * 1000 * 1000};
  Usage u = usage_now();
  for (int i = 0; i < 1000 && u.threads > 1; i++) {
    nanosleep(&pause, NULL);
    u = usage_now();
  }
  return u;
}


static void *play (void *script) {
  lua_State *L = host_open(script);
  host_turn(L);
  lua_close(L);
  return NULL;
}


int main (int argc, char **argv) {
  if (argc != 3) host_fail("usage", "reload SCRIPT ROUNDS");
  int rounds = atoi(argv[2]);
  Usage before = {0, 0, 0, 0}, after;
  for (int round = 0; round < rounds; round++) {
    pthread_t thread;
    if (round == rounds / 10) before = usage_alone();
    if (pthread_create(&thread, NULL, play, argv[1]) != 0)
      host_fail("pthread_create", "refused");
    pthread_join(thread, NULL);
  }
  after = usage_alone();
  if (after.threads > 1) host_fail("threads", "some are left");
  if (after.descriptors > before.descriptors) host_fail("descriptors", "some are left");
  if (after.mappings != before.mappings || after.mappings == 0)
    host_fail("the library", "is not loaded once");
  /* a sanitizer keeps memory of its own for each thread, and finds leaks itself */
  if (after.memory > before.memory + MEMORY_MARGIN && getenv("SANITIZER") == NULL) {
    fprintf(stderr, "host: %d KiB became %d\n", before.memory, after.memory);
    return 3;
  }
  printf("played\n");
  return 0;
}
