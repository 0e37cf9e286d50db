/*
** boot.c
** What a spawned isolate does: its function is its first task.
**
** That needs nothing of our Lua layer as long as it neither waits nor fails nor
** uses the library: so it begins here, in the coroutine of a task, and
** boot.lua takes that over where there is more to do than to send the results.
*/

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "boot.h"
#include "core.h"
#include "encode.h"
#include "interrupt.h"
#include "isolate.h"
#include "libraries.h"
#include "library.h"
#include "port.h"
#include "receive.h"
#include "state.h"


/* KiB that an isolate allocates before its collector begins: what is there at
** first is no garbage. */
#define FIRST_PAUSE	12

/* Messages in a row, then the loop is worth its memory. */
#define MAX_ROW		8


const char RETURN_KEY = 0;


int boot_prepare (lua_State *L) {
  lua_gc(L, LUA_GCSTOP);  /* nothing is garbage yet */
  libraries_open(L);
  core_prepare(L);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &TORN_KEY);
  return 0;
}


/* Pushes a function of boot.lua. */
static void push_function (lua_State *L, const char *name) {
  library_require(L, "isolate.boot");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}


/* Protected: the reply port or nil, the function, its arguments. */
static int receive (lua_State *L) {
  State *S = (State *)lua_touserdata(L, 1);
  return receive_values(L, S, &S->isolate->boot);
}


/* Protected. The reply port, true, results: they are the answer. */
static int answer (lua_State *L) {
  State *S = (State *)lua_touserdata(L, lua_upvalueindex(1));
  SendPort *p = sendport_check(L, S, 1);
  isolate_last(S->isolate, p->box, encode(L, S, 2, ROOT_RESULT, p->id));
  return 0;
}


/* {======================================================
** The task
** ======================================================= */

/* The function has returned. Our Lua layer, if it has the task now, gets the
** results and goes on with the coroutine. */
static int returned (lua_State *co, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  luaL_checkstack(co, LUA_MINSTACK, "too many results");
  if (lua_rawgetp(co, LUA_REGISTRYINDEX, &RETURN_KEY) == LUA_TNIL) {
    lua_pop(co, 1);
    return lua_gettop(co);
  }
  lua_insert(co, 1);
  lua_callk(co, lua_gettop(co) - 1, 0, 0, returned);  /* does not return */
  return 0;
}


/* The body of its coroutine. Arguments: the function and its own. */
static int task (lua_State *co) {
  lua_callk(co, lua_gettop(co) - 1, LUA_MULTRET, 0, returned);
  return returned(co, LUA_OK, 0);
}


/* Puts the coroutine of a task in the place of the function at 'fn' and all
** over it: it will call that. */
static lua_State *make_task (lua_State *L, int fn) {
  lua_State *co;
  luaL_checkstack(L, LUA_MINSTACK, "too many arguments");
  co = lua_newthread(L);
  lua_insert(L, fn);
  if (!lua_checkstack(co, lua_gettop(L) - fn + LUA_MINSTACK))
    luaL_error(L, "too many arguments");
  lua_pushcfunction(co, task);
  lua_xmove(L, co, lua_gettop(L) - fn);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &TASKS_KEY);
  lua_pushvalue(L, fn);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return co;
}

/* }====================================================== */


/* In the child of a fork that the function made: what failed there is told, and
** that ends it. The error is at the top. */
static void tell_orphan (lua_State *L, Isolate *iso, lua_State *co) {
  size_t len, tracelen;
  const char *trace, *message = luaL_tolstring(L, -1, &len);
  luaL_traceback(L, co, NULL, 0);
  trace = lua_tolstring(L, -1, &tracelen);
  isolate_report(iso, message, len, trace, tracelen);
}


/* The function has returned, and no loop is there, so nothing was set going: its
** results, from index 4, are the answer to the port at 2; the coroutine is at 3.
** False if they cannot be sent. Without a port it ends unless something keeps it
** alive, or a message has come before. */
static int done (lua_State *L, State *S) {
  int i, n = lua_gettop(L), status;
  if (lua_isnil(L, 2)) {
    if (S->alive > 0) return 0;
    receive_held(L, S);
    return S->inbox.head == NULL;
  }
  luaL_checkstack(L, n + LUA_MINSTACK, "too many results");
  lua_pushlightuserdata(L, S);
  lua_pushcclosure(L, answer, 1);
  lua_pushvalue(L, 2);
  lua_pushboolean(L, 1);
  for (i = 4; i <= n; i++) lua_pushvalue(L, i);
  status = lua_pcall(L, n - 1, 0, 0);
  lua_settop(L, n);
  return status == LUA_OK;
}


/* The function has returned, and ports with handlers are open: each message goes to its
** handler, in the same coroutine as a new task, until one of them waits, fails or needs
** the loop; or messages follow each other, which the loop handles faster. The status of
** the last, and in '*n' how many values it has left in the coroutine. */
static int serve (lua_State *L, State *S, lua_State *co, int *n) {
  int status = LUA_OK, row = 0;
  *n = 0;
  while (status == LUA_OK && (S->alive > 0 || receive_more(S)) && !S->looping &&
         row < MAX_ROW) {
    lua_settop(co, 0);
    if (!receive_handled(L, S)) break;
    lua_pushcfunction(co, task);
    lua_xmove(L, co, 2);
    status = lua_resume(co, L, 2, n);
    if (process_forked()) break;
    interrupt_check(L, S->isolate);
    row = receive_more(S) ? row + 1 : 0;
  }
  if (status == LUA_OK) lua_settop(co, *n = 0);
  return status;
}


static int go_on (lua_State *L) {
  push_function(L, "go_on");
  return 1;
}


/* Pushes boot.lua's 'go_on'. A task that has failed (else NULL) holds what it had, until
** the loop closes it: if that leaves no room for the loop, it is closed here. */
static void push_go_on (lua_State *L, Isolate *iso, lua_State *failed) {
  lua_pushcfunction(L, go_on);
  if (lua_pcall(L, 0, 1, 0) == LUA_OK) return;
  interrupt_check(L, iso);
  if (failed == NULL) lua_error(L);
  close_coroutine(failed, L);
  lua_pop(L, 1);
  push_function(L, "go_on");
}


/* Gives it its paths, modules and libraries. From here on it can be stopped, and its
** collector runs. */
static void furnish (lua_State *L, Isolate *iso) {
  libraries_setpaths(L, iso);
  iso->hookable = 1;
  interrupt_check(L, iso);
  lua_gc(L, LUA_GCRESTART);
  lua_gc(L, LUA_GCSTEP, -FIRST_PAUSE);
  if (iso->setup != NULL) {
    library_require(L, "isolate.inherited");
    lua_call(L, 0, 0);
  }
  if (iso->libs != LIBRARIES_ALL) libraries_restrict(L, iso);
}


int boot (lua_State *L) {
  Isolate *iso = (Isolate *)lua_touserdata(L, 1);
  State *S = core_adopt(L, iso);
  lua_State *co;
  int n, status;
  furnish(L, iso);
  lua_pushcfunction(L, receive);
  lua_pushlightuserdata(L, S);
  if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) {
    interrupt_check(L, iso);
    push_function(L, "uncaught");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
  }
  receive_held(L, S);
  co = make_task(L, 3);
  status = lua_resume(co, L, lua_gettop(co) - 1, &n);
  if (status == LUA_OK && lua_isnil(L, 2) && !S->looping && !process_forked()) {
    interrupt_check(L, iso);
    status = serve(L, S, co, &n);
  }
  if (status != LUA_OK && status != LUA_YIELD) n = 1;  /* the error */
  luaL_checkstack(L, n + LUA_MINSTACK, "too many results");
  lua_xmove(co, L, n);  /* isolate, reply, coroutine, results */
  if (process_forked()) {
    if (status != LUA_OK) tell_orphan(L, iso, co);
    return 0;
  }
  interrupt_check(L, iso);
  if (status == LUA_OK && !S->looping && done(L, S)) return 0;
  push_go_on(L, iso, status != LUA_OK && status != LUA_YIELD ? co : NULL);
  lua_insert(L, 2);
  if (status == LUA_YIELD) lua_pushnil(L);
  else lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 5);  /* go_on(reply, coroutine, how, …) */
  lua_call(L, lua_gettop(L) - 2, 0);
  return 0;
}
