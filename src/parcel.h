/*
** parcel.h
** Values packed once, to be unpacked by whoever gets the parcel: later, and as
** often as wanted.
*/

#ifndef parcel_h
#define parcel_h

#include "lua.h"

#include "message.h"
#include "state.h"


typedef struct Parcel {
  Shared shared;		/* counted by messages and boxes */
  Message *m;			/* owned; NULL once a channel has it */
  uint64_t id;
} Parcel;

/* Pushes a box with a parcel for a message that is still to come. */
Parcel *parcel_empty (lua_State *L, State *S);

/* The parcel in the box at 'arg', or an argument error. */
Parcel *parcel_check (lua_State *L, int arg);

/* Packs the values from index 'first' up, and leaves a box in their place.
** 'roots' says how an error names them, see encode.h. */
Parcel *parcel_new (lua_State *L, State *S, int first, int roots);

/* pack(roots, …) -> parcel: 'roots' ("call", "method", "result", "spawn") says how
** an error names the values. A function of the core. */
int parcel_pack (lua_State *L);

/* parcel_id(parcel) -> a number that no other parcel has */
int parcel_id (lua_State *L);

/* unpack(parcel) -> values…; raises when they cannot be built. */
int parcel_unpack (lua_State *L);

#endif
