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

#include "box.h"
#include "encode.h"
#include "parcel.h"
#include "receive.h"


#define PARCEL	"isolate.Parcel"


static void parcel_destroy (Shared *shared) {
  Parcel *p = (Parcel *)(void *)shared;
  message_free(p->m);
  free(p);
}


Parcel *parcel_of (lua_State *L, int idx) {
  return *(Parcel **)lua_touserdata(L, idx);
}


/* Pushes an empty userdata: box first. */
static Parcel **push_box (lua_State *L) {
  Parcel **box = (Parcel **)lua_newuserdatauv(L, sizeof(*box), 0);
  *box = NULL;
  luaL_setmetatable(L, PARCEL);
  return box;
}


void parcel_push (lua_State *L, Parcel *p) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  *push_box(L) = (Parcel *)shared_retain(p);
}


Parcel *parcel_new (lua_State *L, State *S, int first, int roots) {
  Parcel **box = push_box(L), *p;
  lua_insert(L, first);
  p = (Parcel *)calloc(1, sizeof(*p));
  if (p == NULL) luaL_error(L, "not enough memory");
  p->shared.refs = 1;
  p->shared.destroy = parcel_destroy;
  *box = p;
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
  State *S = state_of(L);
  Parcel *p = *(Parcel **)luaL_checkudata(L, 1, PARCEL);
  return receive_borrowed(L, S, p->m);
}


void parcel_open (lua_State *L, State *S) {
  luaL_newmetatable(L, PARCEL);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  S->parcel_class = lua_topointer(L, -1);
  lua_pop(L, 1);
}
