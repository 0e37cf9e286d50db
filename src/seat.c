/*
** seat.c
** Where a worker of a pool sits: which job it has, and since when. The pool looks
** at it from another thread.
*/

#include <stdlib.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "box.h"
#include "platform.h"
#include "seat.h"
#include "state.h"


void seat_destroy (Shared *shared) { free(shared); }


int seat_enter (Seat *seat, uint64_t job) {
  uint64_t none = 0;
  atomic_set(&seat->since, (uint64_t)(clock_now() * 1e6));  /* who sees the job
                                                            must see its time */
  return atomic_swap_if(&seat->job, none, job);
}


/* The worker's job is done. False if the seat is doomed. */
static int leave (Seat *seat, uint64_t job) {
  return atomic_swap_if(&seat->job, job, 0);
}


int seat_return (Seat *seat, uint64_t job) {
  return atomic_get(&seat->wanted) != job && leave(seat, job);
}


static Seat *check (lua_State *L) {
  return (Seat *)box_check(L, 1, seat_destroy, "Seat");
}


int seatlib_new (lua_State *L) {
  Shared **box = box_new(L, state_of(L));
  Seat *seat = (Seat *)calloc(1, sizeof(*seat));
  if (seat == NULL) return luaL_error(L, "not enough memory");
  seat->shared.refs = 1;
  seat->shared.destroy = seat_destroy;
  *box = &seat->shared;
  return 1;
}


int seatlib_job (lua_State *L) {
  Seat *seat = check(L);
  uint64_t job = atomic_get(&seat->job) & ~SEAT_DOOMED;
  if (job == 0) return 0;
  lua_pushinteger(L, (lua_Integer)job);
  lua_pushnumber(L, clock_now() - (double)atomic_get(&seat->since) / 1e6);
  return 2;
}


int seatlib_leave (lua_State *L) {
  Seat *seat = check(L);
  uint64_t job = atomic_get(&seat->job);
  lua_pushboolean(L, !(job & SEAT_DOOMED) && leave(seat, job));
  return 1;
}


int seatlib_doom (lua_State *L) {
  Seat *seat = check(L);
  uint64_t job = (uint64_t)luaL_checkinteger(L, 2);
  lua_pushboolean(L, atomic_swap_if(&seat->job, job, job | SEAT_DOOMED));
  return 1;
}


int seatlib_want (lua_State *L) {
  Seat *seat = check(L);
  atomic_set(&seat->wanted, (uint64_t)luaL_checkinteger(L, 2));
  return 0;
}


int seatlib_wanted (lua_State *L) {
  Seat *seat = check(L);
  uint64_t job = atomic_get(&seat->job) & ~SEAT_DOOMED;
  lua_pushboolean(L, job != 0 && job == atomic_get(&seat->wanted));
  return 1;
}
