/*
** port.c
** The SendPort and Capability userdata, one per port and state.
**
** A weak table maps their ids to the userdata: so two that came by different
** ways are the same object, equal and the same key.
*/

#include <stdio.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "encode.h"
#include "hold.h"
#include "port.h"


#define PREFIX		"isolate."
#define SENDPORT	PREFIX "SendPort"
#define CAPABILITY	PREFIX "Capability"

const char PROXIES_KEY = 0;


uint64_t unique_id (void) {
  static uint64_t last = 0;  /* atomic */
  return atomic_add(&last, 1);
}


/* Pushes this state's userdata with the id given, if there is one. */
static int push_known (lua_State *L, uint64_t id) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &PROXIES_KEY);
  if (lua_rawgeti(L, -1, (lua_Integer)id) == LUA_TUSERDATA) {
    lua_remove(L, -2);
    return 1;
  }
  lua_pop(L, 1);
  return 0;  /* the table stays, for the new one */
}


/* Gives the userdata at the top its class and its place in the table under
** it; that one is popped. */
static void enter (lua_State *L, uint64_t id, const char *class) {
  luaL_setmetatable(L, class);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, (lua_Integer)id);
  lua_remove(L, -2);
}


void sendport_push (lua_State *L, State *S, Mailbox *box, uint64_t id) {
  SendPort *p;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (push_known(L, id)) return;
  p = (SendPort *)lua_newuserdatauv(L, sizeof(*p), 0);
  p->box = box;
  p->id = id;
  p->dying = 0;
  p->hold = hold_new(S);
  if (p->hold == NULL) luaL_error(L, "not enough memory");
  p->hold->it = (Shared *)shared_retain(box);
  enter(L, id, SENDPORT);
}


void capability_push (lua_State *L, uint64_t id) {
  Capability *c;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (push_known(L, id)) return;
  c = (Capability *)lua_newuserdatauv(L, sizeof(*c), 0);
  c->id = id;
  enter(L, id, CAPABILITY);
}


/* The userdata at 'idx' if its metatable is the one at 'class'. */
static void *test (lua_State *L, int idx, const void *class) {
  void *p = lua_touserdata(L, idx);
  int same;
  if (p == NULL || !lua_getmetatable(L, idx)) return NULL;
  same = lua_topointer(L, -1) == class;
  lua_pop(L, 1);
  return same ? p : NULL;
}


SendPort *sendport_test (lua_State *L, State *S, int idx) {
  SendPort *p = (SendPort *)test(L, idx, S->sendport_class);
  return (p != NULL && p->box != NULL) ? p : NULL;
}


Capability *capability_test (lua_State *L, State *S, int idx) {
  return (Capability *)test(L, idx, S->capability_class);
}


/* 'p', unless its state is at its end. */
static SendPort *usable (lua_State *L, SendPort *p) {
  if (p->box == NULL) luaL_error(L, "isolate: this Lua state is closing");
  return p;
}


SendPort *sendport_check (lua_State *L, State *S, int arg) {
  SendPort *p = (SendPort *)test(L, arg, S->sendport_class);
  if (p == NULL) luaL_typeerror(L, arg, "SendPort");
  return usable(L, p);
}


/* {======================================================
** Methods
** ======================================================= */

/* The error of errors.bad_self, for SendPorts. */
static int bad_self (lua_State *L, const char *method) {
  const char *got = luaL_typename(L, 1);
  if (luaL_getmetafield(L, 1, "__name") == LUA_TSTRING) {
    got = lua_tostring(L, -1);
    if (strncmp(got, PREFIX, sizeof(PREFIX) - 1) == 0) got += sizeof(PREFIX) - 1;
  }
  return luaL_error(L, "calling '%s' on bad self (SendPort expected, got %s)",
                    method, got);
}


/* port:send(message) */
static int sendport_send (lua_State *L) {
  State *S = state_of(L);
  SendPort *p = (SendPort *)test(L, 1, S->sendport_class);
  Message *m;
  if (p == NULL) return bad_self(L, "send");
  lua_settop(L, 2);
  m = encode(L, S, 2, ROOT_MESSAGE, usable(L, p)->id);
  m = mailbox_offer(p->box, m);
  S->asked = 1;
  if (m != NULL) spares_keep(&S->spares, m);
  return 0;
}


static int sendport_tostring (lua_State *L) {
  char id[32];
  SendPort *p = (SendPort *)luaL_checkudata(L, 1, SENDPORT);
  snprintf(id, sizeof(id), "%llu", (unsigned long long)p->id);
  lua_pushfstring(L, "%s: %s", SENDPORT, id);
  return 1;
}


/* Lets go in the cycle after the one that finds it dead: finalizers of other
** objects that die with it may send through it still. */
static int sendport_gc (lua_State *L) {
  SendPort *p = (SendPort *)lua_touserdata(L, 1);
  if (p->box == NULL) return 0;
  if (p->dying) {
    p->box = NULL;
    hold_free(p->hold);
  }
  else {
    p->dying = 1;
    lua_getmetatable(L, 1);
    lua_setmetatable(L, 1);  /* marks it for its finalizer again */
  }
  return 0;
}


/* One that is dying is no longer known, and another may be made for its port. */
static int sendport_eq (lua_State *L) {
  SendPort *a = (SendPort *)luaL_testudata(L, 1, SENDPORT);
  SendPort *b = (SendPort *)luaL_testudata(L, 2, SENDPORT);
  lua_pushboolean(L, a != NULL && b != NULL && a->id == b->id);
  return 1;
}


static int capability_tostring (lua_State *L) {
  lua_pushfstring(L, "%s: %p", CAPABILITY, lua_touserdata(L, 1));
  return 1;
}


/* Makes a class whose methods know the State at the top. Returns its
** identity. */
static const void *class (lua_State *L, const char *name,
                          const luaL_Reg *metamethods,
                          const luaL_Reg *methods) {
  const void *identity;
  luaL_newmetatable(L, name);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, metamethods, 1);
  lua_newtable(L);
  lua_pushvalue(L, -3);
  luaL_setfuncs(L, methods, 1);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name + sizeof(PREFIX) - 1);
  lua_setfield(L, -2, "__metatable");
  identity = lua_topointer(L, -1);
  lua_pop(L, 1);
  return identity;
}

/* }====================================================== */


void port_open (lua_State *L, State *S) {
  static const luaL_Reg sendport_meta[] = {
    {"__tostring", sendport_tostring}, {"__gc", sendport_gc},
    {"__eq", sendport_eq}, {NULL, NULL}
  };
  static const luaL_Reg sendport[] = {{"send", sendport_send}, {NULL, NULL}};
  static const luaL_Reg capability_meta[] = {
    {"__tostring", capability_tostring}, {NULL, NULL}
  };
  static const luaL_Reg capability[] = {{NULL, NULL}};
  S->sendport_class = class(L, SENDPORT, sendport_meta, sendport);
  S->capability_class = class(L, CAPABILITY, capability_meta, capability);
  push_weak_table(L, "v");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &PROXIES_KEY);
}
