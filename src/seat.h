/*
** seat.h
** Where a worker of a pool sits: which job it has, and since when. The pool looks
** at it from another thread.
*/

#ifndef seat_h
#define seat_h

#include <stdint.h>

#include "lua.h"

#include "message.h"


typedef struct Seat {
  Shared shared;
  uint64_t job;			/* atomic: 0 = free; SEAT_DOOMED or'ed to it */
  uint64_t since;		/* atomic: microseconds of 'clock_now' */
  uint64_t wanted;		/* atomic: the job that is to end by itself */
} Seat;

/* The job is to be stopped with its isolate: no other job gets the seat. */
#define SEAT_DOOMED	((uint64_t)1 << 63)

void seat_destroy (Shared *shared);

/* The worker takes a job. False if the seat is doomed. */
int seat_enter (Seat *seat, uint64_t job);

/* The worker's job, which has not begun, goes back to the queue. False if it is
** doomed or was asked to end: then it keeps the seat. */
int seat_return (Seat *seat, uint64_t job);

/* Functions of the core: */

/* seat() -> seat, free */
int seatlib_new (lua_State *L);

/* seat_job(seat) -> its job or nil, seconds since it has that */
int seatlib_job (lua_State *L);

/* seat_leave(seat): the job is done. False if the seat is doomed. */
int seatlib_leave (lua_State *L);

/* seat_doom(seat, job) -> true if it has that job, which is lost from now on:
** its isolate is to be killed */
int seatlib_doom (lua_State *L);

/* seat_want(seat, job): asks that job to end by itself */
int seatlib_want (lua_State *L);

/* seat_wanted(seat) -> was its job asked to end? */
int seatlib_wanted (lua_State *L);

#endif
