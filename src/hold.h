/*
** hold.h
** The reference of a userdata to something counted.
*/

#ifndef hold_h
#define hold_h

#include "message.h"
#include "state.h"


/*
** It is not in the userdata, for there are some whose finalizer Lua never calls: those
** that were made while the state was being closed, and those where it has no memory or
** C stack for the call. Their references stay until the state is closed. SendPorts have
** one, and those boxes that are made in finalizers: one for each takes too long.
*/
typedef struct Hold {
  Shared *it;			/* counted; or NULL */
  struct Hold *next;		/* in the list of the State */
  struct Hold **link;		/* what points to it there */
} Hold;


/* An empty one, for the state's own thread; what is put into it belongs to it. NULL
** without memory. */
Hold *hold_new (State *S);

/* Lets go of what it has. */
void hold_free (Hold *h);

/* The end of the state: frees all that are left. */
void hold_close (State *S);

#endif
