/*
** parcel.c
** Values packed once, to be unpacked by whoever gets the parcel: later, and as
** often as wanted.
**
** What a message holds is built when it arrives, and if that fails nobody knows
** whom to tell. So a request has its arguments in a parcel: who answers it
** unpacks them, and what goes wrong then is the answer. It also saves work: one
** parcel can go to many isolates.
*/

#include <stdlib.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "box.h"
#include "encode.h"
#include "parcel.h"
#include "port.h"
#include "receive.h"


static void parcel_destroy (Shared *shared) {
  Parcel *p = (Parcel *)(void *)shared;
  message_free(p->m);
  free(p);
}


Parcel *parcel_empty (lua_State *L, State *S) {
  Shared **box = box_new(L, S);
  Parcel *p = (Parcel *)calloc(1, sizeof(*p));
  if (p == NULL) luaL_error(L, "not enough memory");
  p->shared.refs = 1;
  p->shared.destroy = parcel_destroy;
  p->id = unique_id();
  *box = &p->shared;
  return p;
}


Parcel *parcel_check (lua_State *L, int arg) {
  return (Parcel *)box_check(L, arg, parcel_destroy, "Parcel");
}


Parcel *parcel_new (lua_State *L, State *S, int first, int roots) {
  Parcel *p = parcel_empty(L, S);
  lua_insert(L, first);
  p->m = encode(L, S, first + 1, (Roots)roots, 0);
  lua_settop(L, first);
  return p;
}


int parcel_pack (lua_State *L) {
  static const char *const names[] = {"call", "method", "result", "spawn", NULL};
  static const Roots roots[] = {ROOT_CALL, ROOT_METHOD, ROOT_RESULT, ROOT_SPAWN};
  parcel_new(L, state_of(L), 2, roots[luaL_checkoption(L, 1, NULL, names)]);
  return 1;
}


int parcel_unpack (lua_State *L) {
  Parcel *p = parcel_check(L, 1);
  return receive_borrowed(L, state_of(L), p->m);
}


int parcel_id (lua_State *L) {
  lua_pushinteger(L, (lua_Integer)parcel_check(L, 1)->id);
  return 1;
}
