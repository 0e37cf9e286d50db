/*
** receive.c
** The receiver's side of the mailbox: control messages, and messages as
** values, large ones in slices.
*/

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "decode.h"
#include "interrupt.h"
#include "isolate.h"
#include "library.h"
#include "nameserver.h"
#include "port.h"
#include "receive.h"
#include "state.h"


/* A message of this size or more is built on a coroutine of its own, which
** yields after each slice, so that the loop can go on meanwhile. */
#define LARGE		(64 * 1024)
#define SLICE		0.0025	/* seconds */

/* Registry: that coroutine. */
static const char RECEIVING_KEY = 0;


/* {======================================================
** Small messages: built at once
** ======================================================= */

/* Protected. Argument: the decoder. */
static int build (lua_State *L) {
  Decoder *d = (Decoder *)lua_touserdata(L, 1);
  decoder_start(L, d);
  decoder_run(L, d, NEVER);
  return (int)d->values;
}


/* Pushes the state's decoder, which is out of the State while it is used; or a
** new one, when code of the user's receives in the middle of a message. */
static Decoder *push_decoder (lua_State *L, State *S) {
  Decoder *d = S->decoder;
  if (d != NULL) lua_rawgetp(L, LUA_REGISTRYINDEX, &S->decoder);
  else d = decoder_new(L);
  S->decoder = NULL;
  return d;
}


/* The decoder, at 'idx', has done its work, and leaves the stack. */
static void give_back (lua_State *L, State *S, Decoder *d, int idx) {
  if (S->decoder == NULL) {
    if (d == S->kept_decoder) S->decoder = d;
    else if (lua_checkstack(L, 1)) {
      lua_pushvalue(L, idx);
      lua_rawsetp(L, LUA_REGISTRYINDEX, &S->decoder);
      S->decoder = S->kept_decoder = d;
    }
  }
  lua_remove(L, idx);
}


/* In place of 'd', at the top: true and the values of its message, or false and
** an error. What a hook raised is raised on, but for a stop: the caller looks for
** that. Returns how many. */
static int receive_small (lua_State *L, State *S, Decoder *d) {
  int first = lua_gettop(L) + 1, status;
  S->hooked = 0;
  lua_pushcfunction(L, decoder_note_hook);
  lua_pushboolean(L, 1);
  lua_pushcfunction(L, build);
  lua_pushlightuserdata(L, d);
  status = lua_pcall(L, 1, LUA_MULTRET, first);
  lua_remove(L, first);
  decoder_stop(d);
  if (status != LUA_OK) {
    if (S->hooked && !atomic_get(&S->isolate->stop)) lua_error(L);
    lua_pushboolean(L, 0);
    lua_replace(L, first);
  }
  give_back(L, S, d, first - 1);
  return lua_gettop(L) - first + 2;
}


/* Pushes the values of the message of 'd', which is at the top. */
static int push_values (lua_State *L, Decoder *d) {
  int top = lua_gettop(L);
  lua_pushcfunction(L, build);
  lua_pushlightuserdata(L, d);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L) - top;
}


/* The decoder has it until it is built: what raises frees it with that. Then its memory
** is nobody's, for this state may never send anything. */
int receive_values (lua_State *L, State *S, Message **m) {
  Decoder *d;
  int n;
  if (*m == NULL) return 0;
  d = decoder_new(L);
  decoder_take(d, S, *m);
  *m = NULL;
  n = push_values(L, d);
  message_free(d->m);
  d->m = NULL;
  return n;
}


int receive_borrowed (lua_State *L, State *S, Message *m) {
  Decoder *d = decoder_new(L);
  int n;
  decoder_borrow(d, S, m);
  n = push_values(L, d);
  decoder_stop(d);
  return n;
}


int receive_try (lua_State *L, State *S, Message *m) {
  Decoder *d = push_decoder(L, S);
  decoder_borrow(d, S, m);
  return receive_small(L, S, d);
}

/* }====================================================== */


/* {======================================================
** Large messages: a slice at a time
** ======================================================= */

static int build_slice (lua_State *co, int status, lua_KContext ctx) {
  Decoder *d = (Decoder *)ctx;
  (void)status;
  if (!decoder_run(co, d, clock_now() + SLICE))
    return lua_yieldk(co, 0, ctx, build_slice);
  return (int)d->values;
}


/* The coroutine's function. Argument: the decoder, which it keeps alive. */
static int build_large (lua_State *co) {
  Decoder *d = (Decoder *)lua_touserdata(co, 1);
  decoder_start(co, d);
  return build_slice(co, LUA_OK, (lua_KContext)d);
}


static Message *next_message (State *S);

/* Makes the coroutine that will build 'S->inbox's first message. */
static void begin_large (lua_State *L, State *S) {
  lua_State *co = lua_newthread(L);
  Decoder *d;
  lua_pushcfunction(co, build_large);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  d = decoder_new(L);
  lua_xmove(L, co, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &RECEIVING_KEY);
  decoder_take(d, S, next_message(S));
  S->receiving = co;
  S->large = d;
  S->collecting = lua_gc(L, LUA_GCISRUNNING);
  lua_gc(L, LUA_GCSTOP);
}


/* The coroutine has ended: what it held is free, the collector as before. */
static void end_large (lua_State *L, State *S) {
  decoder_stop(S->large);
  S->receiving = NULL;
  S->large = NULL;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &RECEIVING_KEY);
  if (S->collecting) lua_gc(L, LUA_GCRESTART);
}


/* Builds one slice. Pushes false; at the end, what 'receive_small' does. */
static int receive_slice (lua_State *L, State *S) {
  lua_State *co = S->receiving;
  uint64_t port = S->large->m->port;
  int first = S->large->stage == 0, n, status, top = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &RECEIVING_KEY);  /* alive to the end */
  S->slicing = 1;  /* what is called there, finalizers too, may receive */
  status = lua_resume(co, L, first ? 1 : 0, &n);
  S->slicing = 0;
  if (status == LUA_YIELD) {
    /* a young generation that large would be a pause as long as its copying */
    if (first) lua_gc(L, LUA_GCINC, 0, 0, 0);
    lua_settop(L, top);
    lua_pushboolean(L, 0);
    return 1;
  }
  end_large(L, S);
  lua_pushinteger(L, (lua_Integer)port);
  lua_pushboolean(L, status == LUA_OK);
  if (status != LUA_OK) n = 1;
  if (lua_checkstack(L, n + LUA_MINSTACK)) lua_xmove(co, L, n);
  else {
    lua_pushboolean(L, 0);
    lua_replace(L, -2);
    lua_pushliteral(L, "too many values");
    n = 1;
  }
  interrupt_check(L, S->isolate);
  return n + 2;
}

/* }====================================================== */


/* {======================================================
** Control messages
** ======================================================= */

/* Where the message that holds the isolate by this capability is in the list;
** else the list's end. */
static Message **held (State *S, uint64_t capability) {
  Message **m = &S->pauses;
  while (*m != NULL && (*m)->port != capability) m = &(*m)->next;
  return m;
}


void receive_pause (State *S, Message *m) {
  Message **place = held(S, m->port);
  if (*place == NULL) *place = m;
  else message_free(m);  /* twice is once */
}


static void resume (State *S, uint64_t capability) {
  Message **place = held(S, capability), *m = *place;
  if (m == NULL) return;
  *place = m->next;
  message_free(m);
}


/* Port 'id' was given a name: maybe after it was closed. */
static void named (lua_State *L, State *S, uint64_t id) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &PORTS_KEY);
  if (lua_rawgeti(L, -1, (lua_Integer)id) == LUA_TNIL && id != S->isolate->id)
    nameserver_drop(&S->isolate->box, id);
  lua_pop(L, 2);
}


/* A ping is the answer itself, for the mailbox that it mentions last. */
static void send_back (Message *m) {
  Shared **last = message_refs(m) + m->nrefs - 1, *box = *last;
  *last = NULL;
  m->op = 0;
  mailbox_post((Mailbox *)box, m);
  shared_release(box);
}


/* Handles what is in the control lane, in order. May raise: a kill. */
static void control (lua_State *L, State *S) {
  Message *m;
  while ((m = queue_pop(&S->control)) != NULL) {
    int op = m->op;
    uint64_t port = m->port;
    if (op == CONTROL_PING) send_back(m);
    else if (op == CONTROL_PAUSE) receive_pause(S, m);
    else message_free(m);
    switch (op) {
      case CONTROL_KILL: interrupt_self(L, S->isolate, STOP_KILL); break;
      case CONTROL_RESUME: resume(S, port); break;
      case CONTROL_NAMED: named(L, S, port); break;
    }
  }
}

/* }====================================================== */


/* {======================================================
** Taking
** ======================================================= */

/* A signal's handler may have set a hook on the main thread, as the lua5.4
** program does at Ctrl-C. In a coroutine it would never be seen. */
static void mirror_hook (lua_State *L, State *S, lua_Hook before) {
  lua_Hook hook = lua_gethook(S->main);
  if (S->main != L && hook != before)
    lua_sethook(L, hook, lua_gethookmask(S->main), lua_gethookcount(S->main));
}


/* Waits for the mailbox. True if it may have something now. */
static int wait (lua_State *L, State *S, double deadline) {
  Isolate *iso = S->isolate;
  lua_Hook before;
  int result, asked = S->asked, paused = S->pauses != NULL;
  const int *stop = &iso->stop;
  if (deadline <= 0 && !paused) return 0;
  if (iso->ending)
    luaL_error(L, "isolate: this isolate is ending, nothing can come any more");
  before = lua_gethook(S->main);
  atomic_set(&iso->state, paused ? ISOLATE_PAUSED : ISOLATE_IDLE);
  if (paused) deadline = NEVER;
  if (atomic_get(&iso->stop)) {  /* a handler waits, which has the grace */
    static const int not = STOP_NOT;
    stop = &not;
    if (iso->grace_end < deadline) deadline = iso->grace_end;
  }
  S->asked = 0;
  if (mailbox_spin(&iso->box, asked, stop, deadline)) result = BELL_RUNG;
  else if (lua_gethook(S->main) != before) result = BELL_SIGNAL;  /* came meanwhile */
  else result = mailbox_wait(&iso->box, asked, stop, deadline);
  atomic_set(&iso->state, ISOLATE_RUNNING);
  interrupt_check(L, iso);
  if (result == BELL_SIGNAL) mirror_hook(L, S, before);
  return result == BELL_RUNG;
}


/* So many messages more were taken: if it has asked for something, that may be it. */
static void note_handled (State *S, int n) {
  Mailbox *box = &S->isolate->box;
  S->asked = 0;
  atomic_set(&box->handled, box->handled + (unsigned int)n);
}


/* Takes the first message out of the inbox, with all that is joined to it. */
static Message *next_message (State *S) {
  note_handled(S, message_count(S->inbox.head) - S->joined);
  S->joined = 0;
  return queue_pop(&S->inbox);
}


/* Takes the first message in the inbox, or the next of those that are joined to it, and
** pushes its value, if it is a scalar. (Without a decoder that takes half of the time.) */
static int receive_scalar (lua_State *L, State *S) {
  const Message *m = S->inbox.head;
  const int n = message_count(m);
  const size_t size = m->size / (size_t)n;
  if (!decode_scalar(L, m->bytes + (size_t)S->joined * size, size)) return 0;
  if (S->joined + 1 < n) {
    note_handled(S, 1);
    S->joined++;
  }
  else spares_keep(&S->spares, next_message(S));
  return 1;
}


/* Does somebody receive at the port of the first message in the inbox? Else
** it is dropped. */
static int has_receiver (lua_State *L, State *S) {
  int has;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &PORTS_KEY);
  has = lua_rawgeti(L, -1, (lua_Integer)S->inbox.head->port) != LUA_TNIL;
  lua_pop(L, 2);
  if (!has) message_free(next_message(S));
  return has;
}


/* A host's descriptor stays readable while messages wait, those too that were
** taken out of the mailbox already. */
static void ring_for_rest (State *S) {
  Mailbox *box = &S->isolate->box;
  if (box->doorbell < 0) return;
  doorbell_drain(box->doorbell);
  if (S->inbox.head != NULL || atomic_get(&box->waiting))
    doorbell_ring(box->doorbell_in);
}


/* Is the next message, there or not yet, what is to be done now? Not by a task that
** may go on for long while the main thread has a hook, which only that meets. */
static int goes_straight (State *S) {
  return S->control.head == NULL && S->pauses == NULL &&
         (S->receiving == NULL || S->slicing) && lua_gethook(S->main) == NULL;
}


/* Can the first message in the inbox be taken now, and built at once? */
static int takes_straight (State *S) {
  const Message *m = S->inbox.head;
  return m != NULL && m->size < LARGE && goes_straight(S);
}


/* Pushes the function that messages to 'port' go to straight away (the loop's table
** says so), if there is one. */
static int push_handler (lua_State *L, uint64_t port) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDLERS_KEY);
  lua_rawgeti(L, -1, (lua_Integer)port);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}


/* Takes the first message in the inbox, which is not to be built in slices.
** Pushes what 'receive_small' does. */
static int receive_first (lua_State *L, State *S) {
  Decoder *d;
  int n;
  lua_pushboolean(L, 1);
  if (receive_scalar(L, S)) {
    ring_for_rest(S);
    return 2;
  }
  lua_pop(L, 1);
  d = push_decoder(L, S);
  decoder_take(d, S, next_message(S));
  ring_for_rest(S);
  n = receive_small(L, S, d);
  interrupt_check(L, S->isolate);
  return n;
}


/* take(deadline?, whole?): the next message, waiting for it until 'deadline'
** (by 'now'; nil: for ever; 0: not at all). Control messages are handled on the
** way; a paused isolate stays in here. Returns
**   true                         a message that 'next' has a handler for, unless
**                                'whole'
**   port id, true, values…       any other
**   port id, false, error        a message that could not be built
**   false                        a slice of a large one, there is more to do
**   (nothing)                    the time is up, or a signal came, or all that
**                                was there was for closed ports
*/
int receive_take (lua_State *L) {
  State *S = state_of(L);
  Mailbox *box = &S->isolate->box;
  double deadline = luaL_optnumber(L, 1, NEVER);
  int whole = lua_toboolean(L, 2);
  lua_settop(L, 0);
  do {
    mailbox_take(box, &S->inbox, &S->control);
    if (S->control.head != NULL) control(L, S);
    interrupt_check(L, S->isolate);
    if (S->pauses != NULL) continue;
    if (S->receiving != NULL && !S->slicing) {
      ring_for_rest(S);
      return receive_slice(L, S);
    }
    while (S->inbox.head != NULL) {
      if (!whole && takes_straight(S) && push_handler(L, S->inbox.head->port)) {
        lua_pushboolean(L, 1);
        return 1;
      }
      if (!has_receiver(L, S)) {
        if (S->inbox.head == NULL)
          mailbox_take(box, &S->inbox, &S->control);
        if (S->inbox.head != NULL) continue;
        ring_for_rest(S);
        return 0;
      }
      if (S->inbox.head->size >= LARGE && S->receiving == NULL) {
        begin_large(L, S);
        ring_for_rest(S);
        return receive_slice(L, S);
      }
      lua_pushinteger(L, (lua_Integer)S->inbox.head->port);
      return 1 + receive_first(L, S);
    }
  } while (wait(L, S, deadline));
  return 0;
}


/* Takes the first message in the inbox and pushes its value, if none of the
** user's code is needed to build it; else false. Nothing catches what it raises
** without memory, for to do that takes as long as to build a table of three
** fields: the message waits for 'unbuilt' then. */
static int receive_plain (lua_State *L, State *S) {
  Message *m = S->inbox.head;
  if (!receive_scalar(L, S)) {
    if (!decode_is_plain(m) || S->unbuilt != NULL) return 0;
    S->unbuilt = next_message(S);
    S->unbuilt_by = L;
    decode_plain(L, S, m);
    S->unbuilt = NULL;
    spares_keep(&S->spares, m);
  }
  ring_for_rest(S);
  return 1;
}


/* next() -> message, handler: what is there now, and its port has a handler for.
** Or message or error, nil, port id, ok: it could not be built, or the handler has
** gone since the last message. Or nothing. May raise: see 'unbuilt'. Upvalues: the
** State, the handlers. */
int receive_next (lua_State *L) {
  State *S = state_of(L);
  uint64_t port;
  int ok = 1;
  mailbox_take(&S->isolate->box, &S->inbox, &S->control);
  if (!takes_straight(S)) return 0;
  port = S->inbox.head->port;
  if (port != S->straight) {  /* else it had a handler: that is looked up below */
    if (!push_handler(L, port)) return 0;
    lua_pop(L, 1);
    S->straight = port;
  }
  if (!receive_plain(L, S)) {
    receive_first(L, S);
    ok = lua_toboolean(L, 1);
    lua_settop(L, 2);
    lua_remove(L, 1);
  }
  if (lua_rawgeti(L, lua_upvalueindex(2), (lua_Integer)port) != LUA_TNIL && ok)
    return 2;
  S->straight = 0;
  lua_settop(L, 1);
  lua_pushnil(L);
  lua_pushinteger(L, (lua_Integer)port);
  lua_pushboolean(L, ok);
  return 4;
}


/* Waits until there is a message in the inbox that goes straight. Control messages are
** handled on the way. False if something else is to be done. */
static int await_straight (lua_State *L, State *S, double deadline) {
  do {
    mailbox_take(&S->isolate->box, &S->inbox, &S->control);
    interrupt_check(L, S->isolate);
    if (S->rebuilding) return 0;
    if (S->control.head != NULL) receive_held(L, S);
    if (!goes_straight(S)) return 0;
    if (S->inbox.head != NULL) return takes_straight(S);
  } while (wait(L, S, deadline));
  return 0;
}


int receive_straight (lua_State *L, State *S, uint64_t port, double deadline) {
  if (await_straight(L, S, S->alive > 0 ? deadline : 0) && S->inbox.head->port == port)
    return receive_first(L, S);
  ring_for_rest(S);
  return 0;
}


int receive_handled (lua_State *L, State *S) {
  int top = lua_gettop(L);
  while (await_straight(L, S, S->alive > 0 ? NEVER : 0)) {
    uint64_t port = S->inbox.head->port;
    if (!push_handler(L, port)) {
      if (has_receiver(L, S)) break;
      continue;
    }
    lua_settop(L, top);  /* what is called to build the message may set another */
    receive_first(L, S);
    lua_settop(L, top + 2);
    if (lua_toboolean(L, top + 1) && push_handler(L, port)) {
      lua_replace(L, top + 1);
      return 1;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &PORTS_KEY);
    if (lua_rawgeti(L, -1, (lua_Integer)port) != LUA_TNIL) {
      library_require(L, "isolate.loop");  /* first: it loads the next in its midst */
      lua_getfield(L, top + 4, "deliver");
      lua_pushvalue(L, top + 4);
      lua_pushvalue(L, top + 1);
      lua_pushvalue(L, top + 2);
      lua_call(L, 3, 0);
    }
    lua_settop(L, top);
    return 0;
  }
  ring_for_rest(S);
  return 0;
}


/* pull(id, deadline?) -> ok, value: the first message, if it is for this port; it is
** waited for until 'deadline' (by 'now'; nil: for ever; 0: not at all). Or nothing:
** that, or something else, is to be done by the loop. */
int receive_pull (lua_State *L) {
  uint64_t port = (uint64_t)luaL_checkinteger(L, 1);
  return receive_straight(L, state_of(L), port, luaL_optnumber(L, 2, NEVER));
}


/* unbuilt(co) -> port id, ok, value: of the message in whose midst 'next' raised in
** that coroutine, as 'take' gives it; or nothing, if that was not the case. (Another
** one may be building a message now, and this a finalizer in its midst.) */
int receive_unbuilt (lua_State *L) {
  State *S = state_of(L);
  Message *m = S->unbuilt;
  Decoder *d;
  if (m == NULL || lua_tothread(L, 1) != S->unbuilt_by) return 0;
  lua_pushinteger(L, (lua_Integer)m->port);
  d = push_decoder(L, S);
  S->unbuilt = NULL;
  decoder_take(d, S, m);
  return 1 + receive_small(L, S, d);
}


void receive_held (lua_State *L, State *S) {
  do {
    mailbox_take(&S->isolate->box, &S->inbox, &S->control);
    control(L, S);
    interrupt_check(L, S->isolate);
  } while (S->pauses != NULL && (wait(L, S, NEVER), 1));
  ring_for_rest(S);
}


int receive_hold (lua_State *L) {
  receive_held(L, state_of(L));
  return 0;
}


static int has_waiting (State *S) {
  return S->inbox.head != NULL || atomic_get(&S->isolate->box.waiting);
}


int receive_more (State *S) { return has_waiting(S) || S->isolate->box.quick[S->asked] > 0; }


int receive_pending (lua_State *L) {
  State *S = state_of(L);
  lua_pushboolean(L, has_waiting(S) || S->receiving != NULL);
  return 1;
}

/* }====================================================== */
