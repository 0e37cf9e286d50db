/*
** port.h
** The SendPort and Capability userdata, one per port and state.
*/

#ifndef port_h
#define port_h

#include "lua.h"

#include "mailbox.h"
#include "state.h"


typedef struct SendPort {
  Mailbox *box;			/* of the port's isolate; NULL: was let go */
  uint64_t id;			/* the port; unique in the process */
  int dying;			/* a collection has found it dead */
  struct Hold *hold;		/* its reference to 'box' */
} SendPort;

typedef struct Capability {
  uint64_t id;			/* unique in the process */
} Capability;

/* A number that was never given before in this process. */
uint64_t unique_id (void);

/* Pushes this state's userdata for a port of 'box' (counts a reference). */
void sendport_push (lua_State *L, State *S, Mailbox *box, uint64_t id);

void capability_push (lua_State *L, uint64_t id);

/* The SendPort at 'arg', or an argument error. */
SendPort *sendport_check (lua_State *L, State *S, int arg);

/* The same, or NULL. */
SendPort *sendport_test (lua_State *L, State *S, int idx);
Capability *capability_test (lua_State *L, State *S, int idx);

/* Makes the two metatables; the State is at the top. */
void port_open (lua_State *L, State *S);

#endif
