/*
** signal.c
** A host with a handler for SIGURG of its own, or without: whatever it does
** with that signal, isolates are killed, and it hears each of its signals once.
**
** usage: signal SCRIPT before|after|calling|default|ignore
** When it sets its handler: "before" the first kill, "after" it, after it and
** "calling" the handler it found; or it sets no handler after the first kill
** but the "default" or to "ignore". The script's turn kills an isolate, and
** leaves one that runs.
*/

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

static volatile sig_atomic_t heard;
static struct sigaction found;


static void hear (int sig) {
  (void)sig;
  heard = heard + 1;
}


static void hear_and_call (int sig, siginfo_t *info, void *context) {
  heard = heard + 1;
  found.sa_sigaction(sig, info, context);
}


static void set_handler (const char *when) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  if (strcmp(when, "calling") == 0) {
    action.sa_sigaction = hear_and_call;
    action.sa_flags = SA_SIGINFO;
  }
  else if (strcmp(when, "default") == 0) action.sa_handler = SIG_DFL;
  else if (strcmp(when, "ignore") == 0) action.sa_handler = SIG_IGN;
  else action.sa_handler = hear;
  if (sigaction(SIGURG, &action, &found) != 0) host_fail("sigaction", "refused");
}


/* One signal to this thread, and one that can only go to another one. */
static void check (const char *when, int expected) {
  const struct timespec pause = {0, 10 * 1000 * 1000};
  sigset_t urgent;
  int before = heard, i;
  raise(SIGURG);
  if (heard != before + expected) host_fail(when, "the host did not hear its signal once");
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  pthread_sigmask(SIG_BLOCK, &urgent, NULL);
  kill(getpid(), SIGURG);
  for (i = 0; i < 500 && heard != before + 2 * expected; i++) nanosleep(&pause, NULL);
  pthread_sigmask(SIG_UNBLOCK, &urgent, NULL);
  if (heard != before + 2 * expected) host_fail(when, "an isolate's thread kept its signal");
}


int main (int argc, char **argv) {
  if (argc != 3) host_fail("usage", "signal SCRIPT WHEN");
  const char *when = argv[2];
  int hears = strcmp(when, "default") != 0 && strcmp(when, "ignore") != 0;
  if (strcmp(when, "before") == 0) set_handler(when);
  lua_State *L = host_open(argv[1]);
  host_turn(L);
  if (strcmp(when, "before") != 0) set_handler(when);
  for (int i = 0; i < 3; i++) {
    check(when, hears);
    host_turn(L);
  }
  lua_close(L);
  int before = heard;
  raise(SIGURG);
  if (heard != before + hears) host_fail(when, "lost after lua_close");
  printf("played\n");
  return 0;
}
