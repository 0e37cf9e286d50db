/*
** core.c
** The module isolate.core: what the Lua layer sees of C.
*/

#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "boot.h"
#include "box.h"
#include "channellib.h"
#include "core.h"
#include "decode.h"
#include "encode.h"
#include "hold.h"
#include "interrupt.h"
#include "isolate.h"
#include "late.h"
#include "library.h"
#include "nameserver.h"
#include "parcel.h"
#include "platform.h"
#include "port.h"
#include "receive.h"
#include "receiveport.h"
#include "registry.h"
#include "seat.h"
#include "signals.h"
#include "state.h"


const char STATE_KEY = 0;
const char PORTS_KEY = 0;
const char HANDLERS_KEY = 0;
const char TASKS_KEY = 0;

/* Registry: a function to call before a main isolate ends. */
static const char CLOSING_KEY = 0;


/* {======================================================
** Ports and capabilities
** ======================================================= */

/* answer(port, id, …): as 'post', to port 'id' of the isolate of 'port' */
static int core_answer (lua_State *L) {
  State *S = state_of(L);
  SendPort *p = sendport_check(L, S, 1);
  uint64_t id = (uint64_t)luaL_checkinteger(L, 2);
  mailbox_post(p->box, encode(L, S, 3, ROOT_RESULT, id));
  return 0;
}


/* port_closed(id): a port of this isolate loses its names. (In the child of a fork,
** names are the parent's.) */
static int core_port_closed (lua_State *L) {
  if (process_forked()) return 0;
  nameserver_drop(&state_of(L)->isolate->box, (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}


/* owner(port) -> control port of the isolate that receives there */
static int core_owner (lua_State *L) {
  State *S = state_of(L);
  SendPort *p = sendport_check(L, S, 1);
  sendport_push(L, S, p->box, ((Isolate *)(void *)p->box)->id);
  return 1;
}


/* unique() -> a number that was never given before in this process */
static int core_unique (lua_State *L) {
  state_of(L);
  lua_pushinteger(L, (lua_Integer)unique_id());
  return 1;
}


/* post(port, …): sends several values in one message; an error calls them
** flag, result[1], result[2], … */
static int core_post (lua_State *L) {
  State *S = state_of(L);
  SendPort *p = sendport_check(L, S, 1);
  mailbox_post(p->box, encode(L, S, 2, ROOT_RESULT, p->id));
  return 0;
}


/* capability() */
static int core_capability (lua_State *L) {
  state_of(L);  /* raises after a fork */
  capability_push(L, unique_id());
  return 1;
}


/* kind(value) -> "SendPort", "Capability", or nil */
static int core_kind (lua_State *L) {
  State *S = state_of(L);
  if (sendport_test(L, S, 1)) lua_pushliteral(L, "SendPort");
  else if (capability_test(L, S, 1)) lua_pushliteral(L, "Capability");
  else lua_pushnil(L);
  return 1;
}

/* }====================================================== */


/* {======================================================
** Isolates: a control port stands for its isolate
** ======================================================= */

/* The isolate of the control port at 'arg'; NULL if it is another port. */
static Isolate *control_isolate (lua_State *L, int arg) {
  SendPort *p = sendport_check(L, state_of(L), arg);
  Isolate *iso = (Isolate *)(void *)p->box;
  return iso->id == p->id ? iso : NULL;
}


static int has_capability (lua_State *L, int arg, uint64_t id) {
  Capability *c = capability_test(L, state_of(L), arg);
  return c != NULL && c->id == id;
}


/* self() -> control port, pause and terminate capability, name, is main, id */
static int core_self (lua_State *L) {
  State *S = state_of(L);
  Isolate *iso = S->isolate;
  sendport_push(L, S, &iso->box, iso->id);
  capability_push(L, iso->pause_capability);
  capability_push(L, iso->terminate_capability);
  lua_pushstring(L, iso->name);
  lua_pushboolean(L, iso->root == iso->id);
  lua_pushinteger(L, (lua_Integer)iso->id);
  return 6;
}


/* name(control) -> string, or nil for a port that is no control port */
static int core_name (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  if (iso != NULL) lua_pushstring(L, iso->name);
  else lua_pushnil(L);
  return 1;
}


/* memory(control) -> bytes of its Lua heap, or nil */
static int core_memory (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  if (iso != NULL) lua_pushinteger(L, (lua_Integer)heap_used(&iso->heap));
  else lua_pushnil(L);
  return 1;
}


/* ended(control) -> boolean */
static int core_ended (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  lua_pushboolean(L, iso == NULL || isolate_ended(iso));
  return 1;
}


/* A control message, still to be posted, with a capability or a port. */
static Message *control_message (lua_State *L, int op, uint64_t port) {
  Message *m = message_new(0, 0);
  if (m == NULL) luaL_error(L, "not enough memory");
  m->op = op;
  m->port = port;
  return m;
}


/* kill(control, terminate, immediate): ignored without the capability */
static int core_kill (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  if (iso == NULL || !has_capability(L, 2, iso->terminate_capability)) return 0;
  if (lua_toboolean(L, 3)) isolate_kill(iso);
  else if (iso->root != iso->id)
    mailbox_post_control(&iso->box, control_message(L, CONTROL_KILL, 0));
  return 0;
}


/* The id of the Capability at 'arg'. */
static uint64_t check_capability (lua_State *L, int arg) {
  Capability *c = capability_test(L, state_of(L), arg);
  if (c == NULL) luaL_typeerror(L, arg, "Capability");
  return c->id;
}


/* pause(control, pause, capability): ignored without the right 'pause' */
static int core_pause (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  uint64_t capability = check_capability(L, 3);
  if (iso != NULL && has_capability(L, 2, iso->pause_capability))
    mailbox_post_control(&iso->box, control_message(L, CONTROL_PAUSE, capability));
  return 0;
}


/* resume(control, capability) */
static int core_resume (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  uint64_t capability = check_capability(L, 2);
  if (iso != NULL)
    mailbox_post_control(&iso->box, control_message(L, CONTROL_RESUME, capability));
  return 0;
}


/* ping(control, port, response): the isolate sends 'response' to 'port' when
** it comes to its control messages */
static int core_ping (lua_State *L) {
  State *S = state_of(L);
  Isolate *iso = control_isolate(L, 1);
  SendPort *p = sendport_check(L, S, 2);
  Message *m, *ping;
  lua_settop(L, 3);
  m = encode(L, S, 3, ROOT_RESPONSE, p->id);
  ping = message_copy(m, p->id, 1);
  message_free(m);
  if (ping == NULL) return luaL_error(L, "not enough memory");
  message_refs(ping)[ping->nrefs - 1] = (Shared *)shared_retain(p->box);
  ping->op = CONTROL_PING;
  if (iso != NULL) mailbox_post_control(&iso->box, ping);
  else message_free(ping);
  return 0;
}


/* on_exit(control, port, response): listen to its end */
static int core_on_exit (lua_State *L) {
  State *S = state_of(L);
  Isolate *iso = control_isolate(L, 1);
  SendPort *p = sendport_check(L, S, 2);
  Message *m;
  lua_settop(L, 3);
  m = encode(L, S, 3, ROOT_RESPONSE, p->id);
  if (iso == NULL) message_free(m);
  else if (!isolate_listen_exit(iso, p->box, p->id, m))
    return luaL_error(L, "not enough memory");
  return 0;
}


/* off_exit(control, port) */
static int core_off_exit (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  SendPort *p = sendport_check(L, state_of(L), 2);
  if (iso != NULL) isolate_unlisten_exit(iso, p->id);
  return 0;
}


/* on_error(control, port): listen to its uncaught errors */
static int core_on_error (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  SendPort *p = sendport_check(L, state_of(L), 2);
  if (iso != NULL && !isolate_listen_error(iso, p->box, p->id))
    return luaL_error(L, "not enough memory");
  return 0;
}


/* off_error(control, port) */
static int core_off_error (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  SendPort *p = sendport_check(L, state_of(L), 2);
  if (iso != NULL) isolate_unlisten_error(iso, p->id);
  return 0;
}


/* set_fatal(control, terminate, flag) */
static int core_set_fatal (lua_State *L) {
  Isolate *iso = control_isolate(L, 1);
  if (iso != NULL && has_capability(L, 2, iso->terminate_capability))
    atomic_set(&iso->fatal, lua_toboolean(L, 3));
  return 0;
}

/* }====================================================== */


/* {======================================================
** Names of ports
** ======================================================= */

/* Is it a port of this isolate that is closed? (A control port is never.) */
static int closed_here (lua_State *L, State *S, const SendPort *p) {
  int closed;
  if (p->box != &S->isolate->box || p->id == S->isolate->id) return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &PORTS_KEY);
  closed = lua_rawgeti(L, -1, (lua_Integer)p->id) == LUA_TNIL;
  lua_pop(L, 2);
  return closed;
}


/* name_add(name, port, unique?) -> boolean: false if the name is taken or the
** port known to be closed */
static int core_name_add (lua_State *L) {
  State *S = state_of(L);
  size_t len;
  const char *name = luaL_checklstring(L, 1, &len);
  SendPort *p = sendport_check(L, S, 2);
  Message *m;
  int added;
  if (closed_here(L, S, p)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  m = control_message(L, CONTROL_NAMED, p->id);
  added = nameserver_add(name, len, p->box, p->id, lua_toboolean(L, 3));
  if (added == 1) mailbox_post_control(p->box, m);
  else message_free(m);
  if (added < 0) return luaL_error(L, "not enough memory");
  lua_pushboolean(L, added);
  return 1;
}


/* name_find(name) -> SendPort or nil */
static int core_name_find (lua_State *L) {
  State *S = state_of(L);
  size_t len;
  const char *name = luaL_checklstring(L, 1, &len);
  uint64_t port = 0;
  Shared **box = box_new(L, S);
  Mailbox *mailbox = nameserver_next(name, len, &port);
  if (mailbox == NULL) return 0;
  *box = &mailbox->shared;
  sendport_push(L, S, mailbox, port);
  return 1;
}


/* name_remove(name) -> did a port have it? */
static int core_name_remove (lua_State *L) {
  size_t len;
  const char *name = luaL_checklstring(L, 1, &len);
  state_of(L);
  lua_pushboolean(L, nameserver_remove(name, len) > 0);
  return 1;
}


/* name_post(name, message): sends it to all ports of that name; encoded once */
static int core_name_post (lua_State *L) {
  State *S = state_of(L);
  size_t len;
  const char *name = luaL_checklstring(L, 1, &len);
  uint64_t port = 0;
  Mailbox *box;
  Parcel *p;
  lua_settop(L, 2);
  p = parcel_new(L, S, 2, ROOT_MESSAGE);
  while ((box = nameserver_next(name, len, &port)) != NULL) {
    Message *copy = message_copy(p->m, port, 0);
    if (copy != NULL) mailbox_post(box, copy);
    shared_release(box);
    if (copy == NULL) return luaL_error(L, "not enough memory");
  }
  return 0;
}

/* }====================================================== */


/* {======================================================
** This isolate's own end
** ======================================================= */

/* fatal() -> do uncaught errors end this isolate? */
static int core_fatal (lua_State *L) {
  lua_pushboolean(L, atomic_get(&state_of(L)->isolate->fatal));
  return 1;
}


/* report(message, traceback): to the error listeners, or stderr; in the child
** of a fork it ends the process */
static int core_report (lua_State *L) {
  size_t len, tracelen;
  const char *message = luaL_checklstring(L, 1, &len);
  const char *traceback = luaL_optlstring(L, 2, "", &tracelen);
  Isolate *here = isolate_here();  /* a main isolate has no thread of ours */
  isolate_report(here ? here : state_of(L)->isolate, message, len, traceback,
                 tracelen);
  return 0;
}


/* last(port, roots, …): these values are sent there when this isolate has
** ended; 'roots' is "result" or "message" */
static int core_last (lua_State *L) {
  State *S = state_of(L);
  SendPort *p = sendport_check(L, S, 1);
  Roots roots = strcmp(luaL_checkstring(L, 2), "result") == 0 ? ROOT_RESULT
                                                              : ROOT_EXIT;
  isolate_last(S->isolate, p->box, encode(L, S, 3, roots, p->id));
  return 0;
}


/* exit(error?): ends this isolate; nothing in Lua catches that */
static int core_exit (lua_State *L) {
  return interrupt_self(L, state_of(L)->isolate,
                        lua_toboolean(L, 1) ? STOP_ERROR : STOP_EXIT);
}


/* alive(by?) -> how many things keep this isolate alive, now that there are 'by'
** more */
static int core_alive (lua_State *L) {
  State *S = (State *)lua_touserdata(L, lua_upvalueindex(1));
  S->alive += (int)luaL_optinteger(L, 1, 0);
  lua_pushinteger(L, S->alive);
  return 1;
}


/* forked() -> is this the child of a fork, which threads did not come along to? */
static int core_forked (lua_State *L) {
  lua_pushboolean(L, process_forked());
  return 1;
}


/* check(): raises if this isolate is to stop, or was left in the child of a
** fork */
static int core_check (lua_State *L) {
  interrupt_check(L, state_of(L)->isolate);
  return 0;
}


/* at_return(fn): 'fn' gets what the isolate's function returns, in its task */
static int core_at_return (lua_State *L) {
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &RETURN_KEY);
  return 0;
}


/* setup() -> what the spawner's searchers and preloaded modules are */
static int core_setup (lua_State *L) {
  State *S = state_of(L);
  return receive_values(L, S, &S->isolate->setup);
}


/* on_close(fn): 'fn' is called before a main isolate ends */
static int core_on_close (lua_State *L) {
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &CLOSING_KEY);
  return 0;
}

/* }====================================================== */


/* {======================================================
** The rest
** ======================================================= */

/* now() -> seconds, monotonic */
static int core_now (lua_State *L) {
  state_of(L);
  lua_pushnumber(L, clock_now());
  return 1;
}


/* rebuilding() -> is a __transfer's result being rebuilt? */
static int core_rebuilding (lua_State *L) {
  lua_pushboolean(L, state_of(L)->rebuilding > 0);
  return 1;
}


/* fd() -> a descriptor that is readable while messages wait, or nil */
static int core_fd (lua_State *L) {
  int fd = mailbox_doorbell(&state_of(L)->isolate->box);
  if (fd < 0) luaL_pushfail(L);
  else lua_pushinteger(L, fd);
  return 1;
}


/* processors() -> how many this process may use */
static int core_processors (lua_State *L) {
  lua_pushinteger(L, processors());
  return 1;
}


/* stop_signal(signal or false or nil) -> the signal that new isolates are
** interrupted by, or false; nil if the one given cannot be used */
static int core_stop_signal (lua_State *L) {
  state_of(L);
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer sig = lua_isboolean(L, 1) ? 0 : luaL_checkinteger(L, 1);
    if (sig != (int)sig || !signals_choose((int)sig)) {
      luaL_pushfail(L);
      return 1;
    }
  }
  if (signals_chosen() != 0) lua_pushinteger(L, signals_chosen());
  else lua_pushboolean(L, 0);
  return 1;
}


/* sendable(value): raises if it cannot be sent */
static int core_sendable (lua_State *L) {
  lua_settop(L, 1);
  message_free(encode(L, state_of(L), 1, ROOT_MESSAGE, 0));
  return 0;
}


/* terminal_width() -> columns of the terminal that is stderr; nil if it is none */
static int core_terminal_width (lua_State *L) {
  int width = terminal_width();
  if (width <= 0) return 0;
  lua_pushinteger(L, width);
  return 1;
}


/* cwd() -> the working directory, or nil */
static int core_cwd (lua_State *L) {
  char here[512], *name = here;
  size_t size = sizeof(here);
  int found;
  while ((found = working_directory(name, size)) < 0) {
    size *= 2;
    name = (char *)lua_newuserdatauv(L, size, 0);
  }
  if (found) lua_pushstring(L, name);
  else lua_pushnil(L);
  return 1;
}


/* place(fn) -> "app.lua:12", without the directories; or "C function" */
static int core_place (lua_State *L) {
  lua_Debug info;
  const char *file, *p;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_getinfo(L, ">S", &info);
  if (*info.what == 'C') {
    lua_pushliteral(L, "C function");
    return 1;
  }
  for (file = p = info.short_src; *p != '\0'; p++)
    if ((*p == '/' || *p == '\\') && p[1] != '\0') file = p + 1;
  lua_pushfstring(L, "%s:%d", file, info.linedefined);
  return 1;
}


/* slicing() -> is a large message being built? */
static int core_slicing (lua_State *L) {
  lua_pushboolean(L, state_of(L)->receiving != NULL);
  return 1;
}


/* queued() -> how many messages wait */
static int core_queued (lua_State *L) {
  lua_pushinteger(L, mailbox_queued(&state_of(L)->isolate->box));
  return 1;
}


/* explain(value) -> list of notes */
static int core_explain (lua_State *L) {
  lua_settop(L, 1);
  encode_explain(L, state_of(L));
  return 1;
}


/* Adds the fields that only its own isolate, or an isolate with a thread of
** ours, can tell. The table is at the top. */
static void list_usage (lua_State *L, const State *S, Isolate *iso) {
  double cpu = -1;
  size_t memory = heap_used(&iso->heap);
  if (iso == S->isolate) {
    cpu = thread_cpu(pthread_self());
    if (memory == 0)  /* a main isolate: its heap is the host's */
      memory = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 +
               (size_t)lua_gc(L, LUA_GCCOUNTB);
  }
  else {
    mutex_lock(&iso->lock);
    if (iso->alive) cpu = thread_cpu(iso->thread);
    mutex_unlock(&iso->lock);
  }
  if (memory > 0) {
    lua_pushinteger(L, (lua_Integer)memory);
    lua_setfield(L, -2, "memory");
  }
  if (cpu >= 0) {
    lua_pushnumber(L, cpu - iso->cpu_before);
    lua_setfield(L, -2, "cpu");
  }
}


/* list() -> array of {name=, id=, state=, queued=, memory=, cpu=} */
static int core_list (lua_State *L) {
  static const char *const states[] = {"running", "idle", "paused"};
  State *S = state_of(L);
  Shared **box = box_new(L, S);
  Isolate *iso;
  uint64_t id = 0;
  int n = 0;
  lua_newtable(L);
  while ((iso = registry_next(id)) != NULL) {
    *box = &iso->box.shared;
    id = iso->id;
    lua_createtable(L, 0, 6);
    lua_pushstring(L, iso->name);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, (lua_Integer)iso->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, states[atomic_get(&iso->state)]);
    lua_setfield(L, -2, "state");
    lua_pushinteger(L, mailbox_queued(&iso->box));
    lua_setfield(L, -2, "queued");
    list_usage(L, S, iso);
    lua_rawseti(L, -2, ++n);
    *box = NULL;
    shared_release(iso);
  }
  return 1;
}

/* }====================================================== */


/* {======================================================
** The State
** ======================================================= */

static int state_gc (lua_State *L) {
  State *S = (State *)lua_touserdata(L, 1);
  Isolate *iso = S->isolate;
  Message *m;
  if (iso == NULL) return 0;
  S->isolate = NULL;
  if (process_forked()) return 0;  /* another thread may have had the locks */
  if (iso->root == iso->id) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &CLOSING_KEY) == LUA_TFUNCTION)
      lua_pcall(L, 0, 0, 0);
    isolate_end_main(iso);
  }
  hold_close(S);
  channellib_end(S);
  queue_free(&S->inbox);
  queue_free(&S->control);
  message_free(S->unbuilt);
  spares_free(&S->spares);
  while ((m = S->pauses) != NULL) {
    S->pauses = m->next;
    message_free(m);
  }
  shared_release(iso);
  return 0;
}


/* Without a place: it would be one in our own Lua layer. */
static void no_more (lua_State *L, const char *why) {
  lua_pushstring(L, why);
  lua_error(L);
}


void push_weak_table (lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}


State *state_of (lua_State *L) {
  State *S = (State *)lua_touserdata(L, lua_upvalueindex(1));
  if (process_forked())
    no_more(L, "isolate: used after fork; isolates stay with the parent process");
  if (S->isolate == NULL) no_more(L, "isolate: this Lua state is closing");
  return S;
}


State *state_find (lua_State *L) {
  State *S;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &STATE_KEY);
  S = (State *)lua_touserdata(L, -1);
  lua_pop(L, 1);
  return S;
}


/* The control block of a state that opens the module by itself. */
static Isolate *main_isolate (lua_State *L) {
  Isolate *iso = isolate_new("main", 0);
  if (iso == NULL) luaL_error(L, "not enough memory");
  registry_add(iso);
  return iso;
}


/* Keeps the value at the top in the registry; pops it. */
static void anchor (lua_State *L, const void *key) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}


/* Pushes the State, a new one. It is entered when it is whole: what raises
** before leaves none. That of a spawned isolate is made before there is one. */
static State *state_new (lua_State *L, int spawned) {
  State *S = (State *)lua_newuserdatauv(L, sizeof(*S), 0);
  memset(S, 0, sizeof(*S));
  queue_init(&S->inbox);
  queue_init(&S->control);
  names_init(&S->names);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  S->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, state_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (!spawned) S->isolate = main_isolate(L);
  S->encoder = S->kept_encoder = encoder_new(L);
  anchor(L, &S->encoder);
  S->decoder = S->kept_decoder = decoder_new(L);
  anchor(L, &S->decoder);
  lua_pushglobaltable(L);
  S->globals = lua_topointer(L, -1);
  lua_pop(L, 1);
  lua_newtable(L);
  anchor(L, &PORTS_KEY);
  lua_newtable(L);
  anchor(L, &HANDLERS_KEY);
  push_weak_table(L, "k");
  anchor(L, &TASKS_KEY);
  box_open(L, S);
  port_open(L, S);
  lua_pushvalue(L, -1);
  anchor(L, &STATE_KEY);
  return S;
}

/* }====================================================== */


/* {======================================================
** The module
**
** An isolate uses few of these functions, and each would take room: so they are
** put into the module's table when they are first asked for.
** ======================================================= */

static const luaL_Reg functions[] = {  /* in the order of their names */
  {"abort", core_abort},
  {"alive", core_alive},
  {"answer", core_answer},
  {"at_return", core_at_return},
  {"capability", core_capability},
  {"channel", channellib_new},
  {"channel_close", channellib_close},
  {"channel_count", channellib_count},
  {"channel_remove", channellib_remove},
  {"channel_retry", channellib_retry},
  {"channel_send", channellib_send},
  {"channel_take", channellib_take},
  {"channel_wait", channellib_wait},
  {"channel_waiter", channellib_waiter},
  {"check", core_check},
  {"check_free", receiveport_check_free},
  {"check_stream", receiveport_check},
  {"cwd", core_cwd},
  {"ended", core_ended},
  {"exit", core_exit},
  {"explain", core_explain},
  {"fatal", core_fatal},
  {"fd", core_fd},
  {"forked", core_forked},
  {"hold", receive_hold},
  {"kill", core_kill},
  {"kind", core_kind},
  {"last", core_last},
  {"late", late_new},
  {"library_add", library_add},
  {"library_has", library_has},
  {"list", core_list},
  {"loop", receiveport_loop},
  {"memory", core_memory},
  {"messages", receiveport_messages},
  {"name", core_name},
  {"name_add", core_name_add},
  {"name_find", core_name_find},
  {"name_post", core_name_post},
  {"name_remove", core_name_remove},
  {"now", core_now},
  {"off_error", core_off_error},
  {"off_exit", core_off_exit},
  {"on_close", core_on_close},
  {"on_error", core_on_error},
  {"on_exit", core_on_exit},
  {"owner", core_owner},
  {"pack", parcel_pack},
  {"parcel_id", parcel_id},
  {"pause", core_pause},
  {"pending", receive_pending},
  {"ping", core_ping},
  {"place", core_place},
  {"port_close", receiveport_close},
  {"port_closed", core_port_closed},
  {"port_open", receiveport_open},
  {"post", core_post},
  {"processors", core_processors},
  {"pull", receive_pull},
  {"queued", core_queued},
  {"rebuilding", core_rebuilding},
  {"receive", receiveport_receive},
  {"receive_port", receiveport_new},
  {"report", core_report},
  {"resume", core_resume},
  {"rights", core_rights},
  {"seat", seatlib_new},
  {"seat_doom", seatlib_doom},
  {"seat_job", seatlib_job},
  {"seat_leave", seatlib_leave},
  {"seat_want", seatlib_want},
  {"seat_wanted", seatlib_wanted},
  {"self", core_self},
  {"sendable", core_sendable},
  {"set_fatal", core_set_fatal},
  {"setup", core_setup},
  {"slicing", core_slicing},
  {"spawn", core_spawn},
  {"standard", core_standard},
  {"start", core_start},
  {"stop_signal", core_stop_signal},
  {"stream", receiveport_kind},
  {"take", receive_take},
  {"terminal_width", core_terminal_width},
  {"unbuilt", receive_unbuilt},
  {"unique", core_unique},
  {"unpack", parcel_unpack},
};


static int by_name (const void *name, const void *function) {
  return strcmp((const char *)name, ((const luaL_Reg *)function)->name);
}


/* __index of the module. Upvalue 1 is the State. */
static int core_index (lua_State *L) {
  const luaL_Reg *f;
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  f = (const luaL_Reg *)bsearch(lua_tostring(L, 2), functions,
                                sizeof(functions) / sizeof(functions[0]),
                                sizeof(functions[0]), by_name);
  lua_settop(L, 2);
  if (f != NULL) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, f->func, 1);
  }
  else if (strcmp(lua_tostring(L, 2), "ReceivePort") == 0) receiveport_push(L);
  else return 0;
  lua_pushvalue(L, -1);
  lua_insert(L, 2);
  lua_rawset(L, 1);
  return 1;
}


int luaopen_isolate_core (lua_State *L) {
  State *S;
  luaL_checkversion(L);
  if (state_find(L) != NULL)  /* loaded again: the same state of affairs */
    lua_rawgetp(L, LUA_REGISTRYINDEX, &STATE_KEY);
  else {
    static const char here = 0;
    library_pin(&here);
    malloc_keep();
    library_open_main(L);
    state_new(L, 0);
  }
  S = (State *)lua_touserdata(L, -1);
  receiveport_reset(L);
  lua_createtable(L, 0, 16);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -3);
  lua_pushcclosure(L, core_index, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_insert(L, -2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDLERS_KEY);
  lua_pushcclosure(L, receive_next, 2);
  lua_setfield(L, -2, "next");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &PORTS_KEY);
  lua_setfield(L, -2, "ports");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDLERS_KEY);
  lua_setfield(L, -2, "handlers");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &TASKS_KEY);
  lua_setfield(L, -2, "tasks");
  lua_pushboolean(L, THREADS);
  lua_setfield(L, -2, "threads");
  lua_pushboolean(L, S->isolate->root == S->isolate->id);
  lua_setfield(L, -2, "main");
  return 1;
}

/* }====================================================== */


void core_prepare (lua_State *L) {
  state_new(L, 1);
  lua_pop(L, 1);
  library_open(L, luaopen_isolate_core);
}


State *core_adopt (lua_State *L, Isolate *iso) {
  State *S = state_find(L);
  S->isolate = (Isolate *)shared_retain(iso);
  if (iso->paused)
    receive_pause(S, control_message(L, CONTROL_PAUSE, iso->pause_capability));
  return S;
}
