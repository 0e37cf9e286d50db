/*
** receive.h
** The receiver's side of the mailbox: control messages, and messages as
** values, large ones in slices.
*/

#ifndef receive_h
#define receive_h

#include <stdint.h>

#include "lua.h"

struct Message;
struct State;


/* take(deadline?, whole?), next(), pull(id), unbuilt(co): see receive.c. Functions of
** the core. */
int receive_take (lua_State *L);
int receive_next (lua_State *L);
int receive_pull (lua_State *L);
int receive_unbuilt (lua_State *L);

/* Pushes what 'pull' returns, and returns how many. */
int receive_straight (lua_State *L, struct State *S, uint64_t port, double deadline);

/* Waits for a message to a port with a handler, and pushes that and its value. False
** if something else is to be done, or the message could not be built, which is told. */
int receive_handled (lua_State *L, struct State *S);

/* Do messages come one soon after the other: waits another already, or was the last
** wait short? */
int receive_more (struct State *S);

/* pending(): does anything wait to be taken, or is being built? */
int receive_pending (lua_State *L);

/* hold(): handles control messages; comes back when nothing holds the isolate. */
int receive_hold (lua_State *L);
void receive_held (lua_State *L, struct State *S);

/* The isolate is held by the capability in 'm' from now on, until that is
** resumed. Takes 'm' over. Cannot fail. */
void receive_pause (struct State *S, struct Message *m);

/* Pushes the values of '*m', a message that did not come through the mailbox
** (NULL has none), and returns their number. Takes it over; raises when it
** cannot be built. */
int receive_values (lua_State *L, struct State *S, struct Message **m);

/* The same for a message that stays with the caller, and as it is. */
int receive_borrowed (lua_State *L, struct State *S, struct Message *m);

/* The same, but pushes true first; or false and the error. Raises without memory
** only. */
int receive_try (lua_State *L, struct State *S, struct Message *m);

#endif
