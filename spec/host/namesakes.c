/*
** namesakes.c
** A host that has functions called as some of the library's, and exports them, as it
** does those that C modules are to find.
**
** usage: namesakes SCRIPT
*/

#include "host.h"

void encode (void);
void encode (void) { abort(); }

void message_new (void);
void message_new (void) { abort(); }

void queue_add (void);
void queue_add (void) { abort(); }

void standby_wait (void);
void standby_wait (void) { abort(); }


int main (int argc, char **argv) {
  lua_State *L;
  if (argc != 2) return 2;
  L = host_open(argv[1]);
  host_turn(L);
  lua_close(L);
  puts("played");
  return 0;
}
