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
  Shared shared;		/* counted by messages and userdata */
  Message *m;			/* owned; never changes */
} Parcel;

/* Pushes a userdata for 'p' (counts a reference). */
void parcel_push (lua_State *L, Parcel *p);

/* Packs the values from index 'first' up, and leaves a userdata in their place.
** 'roots' says how an error names them, see encode.h. */
Parcel *parcel_new (lua_State *L, State *S, int first, int roots);

/* pack(roots, …) -> parcel: 'roots' ("call", "method", "result", "spawn") says how
** an error names the values. A function of the core. */
int parcel_pack (lua_State *L);

/* unpack(parcel) -> values…; raises when they cannot be built. */
int parcel_unpack (lua_State *L);

/* Makes the metatable. */
void parcel_open (lua_State *L, State *S);

/* The parcel of a userdata of that class. */
Parcel *parcel_of (lua_State *L, int idx);

#endif
