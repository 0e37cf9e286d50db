/*
** signal.c
** A host with a handler for SIGURG of its own: after isolates were killed it
** still hears each of its signals, once.
**
** usage: signal SCRIPT
*/

#include <signal.h>

#include "host.h"

static volatile sig_atomic_t heard;


static void hear (int sig) {
  (void)sig;
  heard = heard + 1;
}


int main (int argc, char **argv) {
  if (argc != 2) host_fail("usage", "signal SCRIPT");
  if (signal(SIGURG, hear) == SIG_ERR) host_fail("signal", "refused");
  lua_State *L = host_open(argv[1]);
  for (int i = 0; i < 3; i++) {
    host_turn(L);
    int before = heard;
    raise(SIGURG);
    if (heard != before + 1) host_fail("SIGURG", "its handler did not hear it once");
  }
  lua_close(L);
  int before = heard;
  raise(SIGURG);
  if (heard != before + 1) host_fail("SIGURG", "lost after lua_close");
  printf("played\n");
  return 0;
}
