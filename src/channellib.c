/*
** channellib.c
** Channels as Lua sees them.
*/

#include <stdlib.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "box.h"
#include "channel.h"
#include "channellib.h"
#include "encode.h"
#include "interrupt.h"
#include "isolate.h"
#include "parcel.h"
#include "port.h"
#include "receive.h"
#include "state.h"


#define WAITER	"isolate.Waiter"


static Channel *check (lua_State *L) {
  return (Channel *)box_check(L, 1, channel_destroy, "Channel");
}


int channellib_new (lua_State *L) {
  lua_Integer capacity = luaL_optinteger(L, 1, 0);
  Shared **box = box_new(L, state_of(L));
  Channel *ch = channel_new((size_t)capacity);
  if (ch == NULL) return luaL_error(L, "not enough memory");
  *box = &ch->shared;
  ch->id = unique_id();
  return 1;
}


/* Puts the parcel's message into the channel. */
static int put (lua_State *L, Channel *ch, Parcel *p) {
  int result = channel_put(ch, p->m);
  if (result == CHANNEL_DONE) p->m = NULL;  /* the channel's now */
  if (result == CHANNEL_NOT_NOW) return 0;
  if (result == CHANNEL_NO_MEMORY) luaL_error(L, "not enough memory");
  lua_pushboolean(L, result == CHANNEL_DONE);
  return 1;
}


int channellib_send (lua_State *L) {
  static const char *const names[] = {"call", "message", NULL};
  static const Roots roots[] = {ROOT_CALL, ROOT_MESSAGE};
  State *S = state_of(L);
  Channel *ch = check(L);
  Roots how = roots[luaL_checkoption(L, 2, NULL, names)];
  uint64_t port = (uint64_t)luaL_checkinteger(L, 3);
  int priority = (int)luaL_checkinteger(L, 4);
  Parcel *p;
  if (ch->capacity == 0) {  /* there is always room */
    Message *m = encode(L, S, 5, how, port);
    int result;
    m->op = priority;
    result = channel_put(ch, m);
    if (result != CHANNEL_DONE) message_free(m);
    if (result == CHANNEL_NO_MEMORY) luaL_error(L, "not enough memory");
    lua_pushboolean(L, result == CHANNEL_DONE);
    return 1;
  }
  p = parcel_new(L, S, 5, how);
  p->m->port = port;
  p->m->op = priority;
  put(L, ch, p);  /* its answer, or the parcel */
  return 1;
}


int channellib_retry (lua_State *L) {
  Channel *ch = check(L);
  Parcel *p = parcel_check(L, 2);
  state_of(L);
  return put(L, ch, p);
}


/* A message in hand goes back if the isolate is to stop before its values are
** Lua's: whoever takes the next one gets it. */
int channellib_take (lua_State *L) {
  State *S = state_of(L);
  Channel *ch = check(L);
  Seat *seat = lua_isnoneornil(L, 2) ? NULL
             : (Seat *)box_check(L, 2, seat_destroy, "Seat");
  Isolate *iso = S->isolate;
  Parcel *hand;
  int why, n;
  interrupt_check(L, iso);
  hand = parcel_empty(L, S);
  hand->m = channel_take(ch, seat, &why);
  if (hand->m == NULL) {
    luaL_pushfail(L);
    lua_pushboolean(L, why == CHANNEL_CLOSED);
    return 2;
  }
  lua_pushinteger(L, (lua_Integer)hand->m->port);
  n = receive_try(L, S, hand->m);
  if (atomic_get(&iso->stop)) {
    if (channel_put_back(ch, seat, hand->m)) hand->m = NULL;
    interrupt_check(L, iso);
  }
  message_free(hand->m);
  hand->m = NULL;
  return n + 1;
}


/* {======================================================
** Waiting
** ======================================================= */

/*
** One wait. Not in its userdata, for Lua frees that without a call of its
** finalizer where it has no memory or C stack for the call: what others would
** be told in its place waits until the state is closed then.
*/
typedef struct Wait {
  Channel *ch;			/* counted */
  uint64_t port;		/* of this isolate, which is told … */
  lua_Integer number;		/* … this */
  Waiter w;
  struct Wait *next;		/* in the list of the State */
  struct Wait **link;		/* what points to it there */
} Wait;


static void wait_free (Wait *wait) {
  *wait->link = wait->next;
  if (wait->next != NULL) wait->next->link = wait->link;
  if (!process_forked()) {
    channel_leave(wait->ch, &wait->w);
    message_free(wait->w.wake);
    shared_release(wait->w.box);
    shared_release(wait->ch);
  }
  free(wait);
}


void channellib_end (State *S) {
  while (S->waits != NULL) wait_free(S->waits);
}


static int wait_close (lua_State *L) {
  Wait **box = (Wait **)luaL_checkudata(L, 1, WAITER);
  Wait *wait = *box;
  *box = NULL;
  if (wait != NULL) wait_free(wait);
  return 0;
}


/* Pushes a box for a wait. */
static Wait **push_wait (lua_State *L) {
  Wait **box = (Wait **)lua_newuserdatauv(L, sizeof(*box), 0);
  *box = NULL;
  if (luaL_newmetatable(L, WAITER)) {
    lua_pushcfunction(L, wait_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, wait_close);
    lua_setfield(L, -2, "__close");
  }
  lua_setmetatable(L, -2);
  return box;
}


int channellib_waiter (lua_State *L) {
  State *S = state_of(L);
  Channel *ch = check(L);
  uint64_t port = (uint64_t)luaL_checkinteger(L, 3);
  lua_Integer number = luaL_checkinteger(L, 4);
  Wait **box = push_wait(L), *wait = (Wait *)calloc(1, sizeof(*wait));
  if (wait == NULL) return luaL_error(L, "not enough memory");
  wait->port = port;
  wait->number = number;
  wait->w.way = lua_toboolean(L, 2) ? CHANNEL_IN : CHANNEL_OUT;
  wait->w.box = (Mailbox *)shared_retain(&S->isolate->box);
  wait->ch = (Channel *)shared_retain(ch);
  wait->next = S->waits;
  wait->link = &S->waits;
  if (wait->next != NULL) wait->next->link = &wait->next;
  S->waits = wait;
  *box = wait;
  return 1;
}


int channellib_wait (lua_State *L) {
  Wait *wait = *(Wait **)luaL_checkudata(L, 1, WAITER);
  State *S = state_of(L);
  Waiter *w;
  luaL_argcheck(L, wait != NULL, 1, "it is closed");
  w = &wait->w;
  if (w->wake == NULL)
    w->wake = encode_integer(&S->spares, wait->number, wait->port);
  if (w->wake == NULL) return luaL_error(L, "not enough memory");
  lua_pushboolean(L, channel_wait(wait->ch, w));
  return 1;
}

/* }====================================================== */


int channellib_close (lua_State *L) {
  state_of(L);
  channel_close(check(L));
  return 0;
}


int channellib_count (lua_State *L) {
  Channel *ch = check(L);
  state_of(L);
  lua_pushinteger(L, (lua_Integer)channel_count(ch));
  lua_pushinteger(L, (lua_Integer)ch->id);
  return 2;
}


int channellib_remove (lua_State *L) {
  Channel *ch = check(L);
  lua_Integer from = luaL_optinteger(L, 2, 0);
  lua_Integer to = luaL_optinteger(L, 3, LUA_MAXINTEGER), n = 0;
  Queue removed;
  Message *m;
  state_of(L);
  lua_newtable(L);
  queue_init(&removed);
  channel_remove(ch, (uint64_t)from, (uint64_t)to, &removed);
  while ((m = queue_pop(&removed)) != NULL) {
    lua_pushinteger(L, (lua_Integer)m->port);
    message_free(m);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}
