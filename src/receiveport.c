/*
** receiveport.c
** ReceivePorts, and what all streams have.
**
** A port is a table, and most of what it can do is in Lua modules that are loaded
** when it is first used. What an isolate needs that only receives is here: in C it
** takes a third of the memory, in each isolate, and is faster.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "interrupt.h"
#include "isolate.h"
#include "late.h"
#include "library.h"
#include "nameserver.h"
#include "port.h"
#include "receive.h"
#include "receiveport.h"
#include "state.h"


#define CLASS	"ReceivePort"

/* Registry: class -> its kind of stream; the class of ReceivePorts; the loop's 'pull'. */
static const char KINDS_KEY = 0;
static const char CLASS_KEY = 0;
static const char PULL_KEY = 0;


/* {======================================================
** Fields of the object at index 1. Those that are set here are there from the start:
** to set them again needs no memory.
** ======================================================= */

static int get (lua_State *L, const char *field) {
  lua_pushstring(L, field);
  return lua_rawget(L, 1);
}


static int is_true (lua_State *L, const char *field) {
  int is;
  get(L, field);
  is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}


/* Its port. Pushes nothing. */
static lua_Integer id_of (lua_State *L) {
  lua_Integer id;
  get(L, "id");
  id = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return id;
}


/* Sets a field of the table under the value at the top, which is popped. */
static void set (lua_State *L, const char *field) {
  lua_pushstring(L, field);
  lua_insert(L, -2);
  lua_rawset(L, -3);
}


/* The same, of the table at the top. */
static void set_false (lua_State *L, const char *field) {
  lua_pushboolean(L, 0);
  set(L, field);
}

/* }====================================================== */


/* {======================================================
** Wrong use. The errors have the place of the user's call: 'level' 1 is the caller
** of the running function.
** ======================================================= */

/* Calls a function of errors.lua with the 'n' values at the top. */
static void call_errors (lua_State *L, const char *function, int n) {
  library_require(L, "isolate.errors");
  lua_getfield(L, -1, function);
  lua_replace(L, -2);
  lua_insert(L, -n - 1);
  lua_call(L, n, 0);
}


static void bad_self (lua_State *L, const char *method, int level) {
  lua_pushliteral(L, CLASS);
  lua_pushvalue(L, 1);
  lua_pushstring(L, method);
  lua_pushinteger(L, level + 1);
  call_errors(L, "bad_self", 4);
}


static int fail (lua_State *L, int level, const char *format, const char *what) {
  luaL_where(L, level);
  lua_pushfstring(L, format, what);
  lua_concat(L, 2);
  return lua_error(L);
}


/* What the value at 1 is. */
enum { NO_STREAM, STREAM, PORT };

static int kind_of (lua_State *L) {
  int kind;
  if (!lua_istable(L, 1) || !lua_getmetatable(L, 1)) return NO_STREAM;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &KINDS_KEY);
  lua_insert(L, -2);
  lua_rawget(L, -2);
  kind = (int)lua_tointeger(L, -1);
  lua_pop(L, 2);
  return kind;
}


static void check_stream (lua_State *L, const char *method, int level) {
  if (kind_of(L) == NO_STREAM) bad_self(L, method, level);
}


/* Somebody listens to it, or to what it is made from? A broadcast is for all. */
static void check_free (lua_State *L, const State *S, const char *method, int level) {
  int it = lua_gettop(L) + 1;
  interrupt_check(L, S->isolate);
  check_stream(L, method, level);
  lua_pushvalue(L, 1);
  while (lua_istable(L, it)) {
    lua_pushliteral(L, "taps");
    if (lua_rawget(L, it) != LUA_TNIL) break;
    lua_pushliteral(L, "claimed");
    lua_rawget(L, it);
    if (lua_toboolean(L, -1))
      fail(L, level, "bad use of '%s': somebody listens to this port already", method);
    lua_pushliteral(L, "source");
    lua_rawget(L, it);
    lua_replace(L, it);
    lua_settop(L, it);
  }
  lua_settop(L, it - 1);
}


int receiveport_check (lua_State *L) {
  check_stream(L, luaL_checkstring(L, 2), 2);
  return 0;
}


int receiveport_check_free (lua_State *L) {
  check_free(L, state_of(L), luaL_checkstring(L, 2), 2);
  return 0;
}

/* }====================================================== */


/* {======================================================
** Opening and closing
** ======================================================= */

/* A table in the registry has the value at the top for port 'id'; pops it. */
static void enter (lua_State *L, const void *key, lua_Integer id) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  lua_insert(L, -2);
  lua_rawseti(L, -2, id);
  lua_pop(L, 1);
}


int receiveport_open (lua_State *L) {
  State *S = state_of(L);
  uint64_t id = unique_id();
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  sendport_push(L, S, &S->isolate->box, id);
  set(L, "send_port");
  lua_pushinteger(L, (lua_Integer)id);
  set(L, "id");
  lua_pushvalue(L, 1);
  enter(L, &PORTS_KEY, (lua_Integer)id);
  S->alive++;
  return 1;
}


/* Do messages come to the object at 1? */
static int is_open (lua_State *L, lua_Integer id) {
  int is;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &PORTS_KEY);
  lua_rawgeti(L, -1, id);
  is = lua_rawequal(L, -1, 1);
  lua_pop(L, 2);
  return is;
}


static int close_port (lua_State *L, State *S) {
  lua_Integer id = id_of(L);
  int alive;
  if (!is_open(L, id)) return 0;
  lua_getfield(L, 1, "keep_alive");  /* what a class says, too */
  alive = lua_isnil(L, -1) || lua_toboolean(L, -1);
  lua_pop(L, 1);
  lua_pushnil(L);
  enter(L, &PORTS_KEY, id);
  lua_pushnil(L);
  enter(L, &HANDLERS_KEY, id);
  if (S->isolate != NULL && !process_forked())
    nameserver_drop(&S->isolate->box, (uint64_t)id);
  if (alive) S->alive--;
  return 1;
}


int receiveport_close (lua_State *L) {
  State *S = (State *)lua_touserdata(L, lua_upvalueindex(1));
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushboolean(L, close_port(L, S));
  return 1;
}

/* }====================================================== */


/* {======================================================
** Receiving
** ======================================================= */

int receiveport_loop (lua_State *L) {
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, 1);
  lua_setfield(L, 2, "isolate.loop");
  lua_getfield(L, 1, "pull");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &PULL_KEY);
  ((State *)lua_touserdata(L, lua_upvalueindex(1)))->looping = 1;
  return 0;
}


/* Takes the next message straight away, or waits for it unless there is a timeout (at
** index 2), if nothing else is to be done before; without a loop there is nothing
** else. True if it has pushed its value. */
static int look (lua_State *L, State *S) {
  int top = lua_gettop(L);
  lua_Integer id = id_of(L);
  if (!is_open(L, id)) return 0;
  if (S->looping) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &PULL_KEY);
    lua_pushinteger(L, id);
    if (lua_isnil(L, 2)) lua_pushnil(L);
    else lua_pushinteger(L, 0);
    lua_call(L, 2, 2);
  }
  else {
    receive_straight(L, S, (uint64_t)id, lua_isnil(L, 2) ? NEVER : 0);
    lua_settop(L, top + 2);
  }
  if (lua_toboolean(L, top + 1)) {
    if (!is_true(L, "closed")) return 1;  /* by what was called to build it */
  }
  else if (!lua_isnil(L, top + 1)) {
    late_require(L, "isolate.port");
    lua_getfield(L, -1, "undeliverable");
    lua_pushvalue(L, 1);
    lua_pushvalue(L, top + 2);
    lua_call(L, 2, 0);
  }
  lua_settop(L, top);
  return 0;
}


/* The same, where nothing waits in the port, and nobody for it. */
static int take (lua_State *L, State *S) {
  return !is_true(L, "queue") && !is_true(L, "waiters") && look(L, S);
}


/* Pushes true and a value, or false and why not, which may take a while: 'k' goes on
** then. The stream is at 1, the timeout at 2. */
static void pull (lua_State *L, State *S, lua_KFunction k) {
  if (kind_of(L) == PORT) {
    if (take(L, S)) {
      lua_pushboolean(L, 1);
      lua_insert(L, -2);
      return;
    }
    late_require(L, "isolate.buffer");
    lua_getfield(L, -1, "pull");
  }
  else lua_getfield(L, 1, "pull");
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_callk(L, 2, 2, 0, k);
}


/* Is the value at the top what 'pull' says if nothing is left that could come? */
static void check_stuck (lua_State *L) {
  const char *why = lua_tostring(L, -1);
  if (why != NULL && strcmp(why, "stuck") == 0)
    fail(L, 1, "nothing can come to this port", NULL);
}


static int pulled (lua_State *L, int status, lua_KContext ctx) {
  (void)L;
  (void)status;
  (void)ctx;
  return 2;
}


/* port:pull(timeout), as all streams have it */
static int port_pull (lua_State *L) {
  lua_settop(L, 2);
  pull(L, state_of(L), pulled);
  return 2;
}


/* port:look(timeout) -> true, value; or nothing. For buffer.lua. */
static int port_look (lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (!look(L, state_of(L))) return 0;
  lua_pushboolean(L, 1);
  lua_insert(L, -2);
  return 2;
}


static int received (lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (lua_toboolean(L, -2)) return 1;
  check_stuck(L);
  lua_pushnil(L);
  lua_replace(L, -3);
  return 2;
}


/* stream:receive(timeout) */
int receiveport_receive (lua_State *L) {
  State *S = state_of(L);
  lua_settop(L, 2);
  check_free(L, S, "receive", 1);
  if (!lua_isnil(L, 2)) {
    lua_pushvalue(L, 2);
    lua_pushinteger(L, 1);
    lua_pushliteral(L, "receive");
    call_errors(L, "check_number", 3);
  }
  pull(L, S, received);
  return received(L, LUA_OK, 0);
}


/* Upvalues of an iterator: the State, the stream, how many values it gave. */
static int next_received (lua_State *L, int status, lua_KContext ctx) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(3)) + 1;
  (void)status;
  (void)ctx;
  if (!lua_toboolean(L, -2)) {
    check_stuck(L);
    return 0;
  }
  lua_pushinteger(L, i);
  lua_copy(L, -1, lua_upvalueindex(3));
  lua_replace(L, -3);
  return 2;
}


static int next_message (lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushnil(L);
  pull(L, state_of(L), next_received);
  return next_received(L, LUA_OK, 0);
}


/* for i, value in stream:messages() do */
int receiveport_messages (lua_State *L) {
  lua_settop(L, 1);
  check_free(L, state_of(L), "messages", 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_message, 3);
  return 1;
}

/* }====================================================== */


/* {======================================================
** The classes
** ======================================================= */

/* Makes the class of a kind of stream from the table at the top, and remembers it.
** What all kinds have goes by name, of the core: it can be sent. The names of what
** 'close' asks for are there: that needs no memory. */
static void make_class (lua_State *L, int kind) {
  static const char *const asked[] = {"keep_alive", "on_done", "subscription", NULL};
  int i;
  library_require(L, "isolate.core");
  lua_getfield(L, -1, "receive");
  lua_setfield(L, -3, "receive");
  lua_getfield(L, -1, "messages");
  lua_setfield(L, -3, "messages");
  lua_pop(L, 1);
  set_false(L, "__transfer");
  late_class(L);
  lua_getmetatable(L, -1);
  for (i = 0; asked[i] != NULL; i++) set_false(L, asked[i]);
  lua_pop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &KINDS_KEY);
  lua_pushvalue(L, -2);
  lua_pushinteger(L, kind);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}


int receiveport_kind (lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_createtable(L, 0, 16);
  lua_insert(L, 1);
  set(L, "__name");
  make_class(L, STREAM);
  return 1;
}


/* Is there a subscription that wants to hear of the end? */
static int has_on_done (lua_State *L) {
  int has = get(L, "subscription") == LUA_TTABLE;
  if (has) {
    lua_pushliteral(L, "on_done");
    has = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return has;
}


/* No more messages: those that wait are dropped, whoever waits is told, and
** 'on_done' follows. Closing twice is fine. */
static int close_method (lua_State *L) {
  State *S = (State *)lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, 1);
  if (kind_of(L) != PORT) bad_self(L, "close", 1);
  if (!close_port(L, S)) return 0;
  if (S->looping || has_on_done(L)) {
    late_require(L, "isolate.buffer");
    lua_getfield(L, -1, "close");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 0);
  }
  else {
    lua_pushboolean(L, 1);
    set(L, "closed");
  }
  return 0;
}


/* port:pass_to(handler): from now on, messages go to this function (nil: to
** 'deliver'). For who listens. */
static int port_pass_to (lua_State *L) {
  lua_Integer id;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  id = id_of(L);
  if (is_open(L, id)) enter(L, &HANDLERS_KEY, id);  /* that is at the top */
  return 0;
}


/* Fields of the other kind of port would have no effect here. */
static int port_newindex (lua_State *L) {
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  luaL_checktype(L, 1, LUA_TTABLE);
  if (strcmp(key, "handler") == 0 || strcmp(key, "keep_alive") == 0)
    fail(L, 1, "a ReceivePort has no '%s' to be set: do you mean a RawReceivePort?", key);
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 0;
}


/* Makes the class of ReceivePorts. */
static void make_port_class (lua_State *L) {
  static const luaL_Reg methods[] = {
    {"close", close_method}, {"__close", close_method}, {"__newindex", port_newindex},
    {"look", port_look}, {"pass_to", port_pass_to}, {"pull", port_pull}, {NULL, NULL}
  };
  lua_createtable(L, 0, 16);
  lua_pushliteral(L, "isolate." CLASS);
  set(L, "__name");
  lua_pushvalue(L, lua_upvalueindex(1));
  luaL_setfuncs(L, methods, 1);
  make_class(L, PORT);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &CLASS_KEY);
}


/* Makes one of the name at the top. */
static void new_port (lua_State *L) {
  lua_createtable(L, 0, 8);
  lua_insert(L, -2);
  set(L, "name");
  set_false(L, "send_port");
  set_false(L, "id");
  set_false(L, "closed");
  set_false(L, "queue");  /* what waits in it: from … to … */
  lua_pushinteger(L, 1);
  set(L, "first_value");
  lua_pushinteger(L, 0);
  set(L, "last_value");
  set_false(L, "waiters");  /* or who waits for it */
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &CLASS_KEY) == LUA_TNIL) {
    make_port_class(L);
    lua_pop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &CLASS_KEY);
  }
  lua_setmetatable(L, -2);
}


int receiveport_new (lua_State *L) {
  lua_settop(L, 1);
  new_port(L);
  return 1;
}


/* ReceivePort(name?), of the table that is called so. */
static int call (lua_State *L) {
  lua_settop(L, 2);
  if (!lua_isnil(L, 2) && lua_type(L, 2) != LUA_TSTRING) {
    lua_pushliteral(L, "string");
    lua_pushvalue(L, 2);
    lua_pushinteger(L, 1);
    lua_pushliteral(L, CLASS);
    lua_pushinteger(L, 2);
    call_errors(L, "expected", 5);
  }
  new_port(L);
  lua_replace(L, 1);
  return receiveport_open(L);
}


void receiveport_reset (lua_State *L) {
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &CLASS_KEY);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &KINDS_KEY) == LUA_TNIL) {
    push_weak_table(L, "k");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KINDS_KEY);
  }
  lua_pop(L, 1);
}


void receiveport_push (lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "isolate." CLASS);
  set(L, "__name");  /* a class: it is sent by name */
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, call, 1);
  set(L, "__call");
  lua_pushcfunction(L, late_index);
  set(L, "__index");
  lua_setmetatable(L, -2);
}

/* }====================================================== */
