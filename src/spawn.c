/*
** spawn.c
** A new isolate, from a table that the Lua layer has checked.
*/

#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "box.h"
#include "common.h"
#include "core.h"
#include "encode.h"
#include "isolate.h"
#include "libraries.h"
#include "port.h"
#include "standby.h"
#include "state.h"


/* A copy of config[field], a string, or NULL. */
static char *copy_field (lua_State *L, const char *field) {
  char *copy = NULL;
  if (lua_getfield(L, 1, field) == LUA_TSTRING) {
    copy = common_copy(lua_tostring(L, -1));
    if (copy == NULL) luaL_error(L, "not enough memory");
  }
  lua_pop(L, 1);
  return copy;
}


static lua_Number number_field (lua_State *L, const char *field,
                                lua_Number otherwise) {
  lua_Number x = otherwise;
  if (lua_getfield(L, 1, field) == LUA_TNUMBER) x = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return x;
}


static int true_field (lua_State *L, const char *field) {
  int is;
  lua_getfield(L, 1, field);
  is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}


/* The bits of the libraries in config.libs; all without it. */
static int libs_field (lua_State *L) {
  int bits = LIBRARIES_ALL, i;
  if (lua_getfield(L, 1, "libs") == LUA_TTABLE) {
    bits = 0;
    for (i = 1; lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
      bits |= libraries_bit(lua_tostring(L, -1));
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return bits;
}


/* Registers the port at the top, if it is one; pops it. */
static void listen (lua_State *L, State *S, Isolate *iso, int exit, int error) {
  SendPort *p = sendport_test(L, S, -1);
  int ok = 1;
  if (p != NULL && exit) {
    Message *m;
    lua_pushnil(L);
    m = encode(L, S, lua_gettop(L), ROOT_RESPONSE, p->id);
    lua_pop(L, 1);
    ok = isolate_listen_exit(iso, p->box, p->id, m);
  }
  if (p != NULL && error && ok) ok = isolate_listen_error(iso, p->box, p->id);
  if (!ok) luaL_error(L, "not enough memory");
  lua_pop(L, 1);
}


static void configure (lua_State *L, State *S, Isolate *iso) {
  iso->stack = (size_t)number_field(L, "stack_size", STANDBY_STACK);
  iso->heap.limit = (size_t)number_field(L, "memory_limit", 0);
  iso->grace = number_field(L, "grace", 0.05);
  iso->fatal = true_field(L, "errors_are_fatal");
  iso->paused = true_field(L, "paused");
  iso->libs = libs_field(L);
  iso->path = copy_field(L, "path");
  iso->cpath = copy_field(L, "cpath");
  if (lua_getfield(L, 1, "setup") == LUA_TTABLE)
    iso->setup = encode(L, S, lua_gettop(L), ROOT_MESSAGE, 0);
  lua_pop(L, 1);
  lua_getfield(L, 1, "on_error");
  listen(L, S, iso, 0, 1);
  lua_pushvalue(L, 4);
  listen(L, S, iso, 1, iso->fatal);
  lua_getfield(L, 1, "on_exit");
  listen(L, S, iso, 1, 0);
}


/* spawn(config, kind, name, reply, fn, …) -> an isolate that will boot with reply (a
** port or nil), fn, …, in a box: if it is never started, the collector lets it go.
** 'kind' is "call" or "spawn" and says how an error names them. */
int core_spawn (lua_State *L) {
  State *S = state_of(L);
  const char *kind = luaL_checkstring(L, 2);
  Roots roots = strcmp(kind, "call") == 0 ? ROOT_CALL : ROOT_SPAWN;
  Shared **box = box_new(L, S);
  Isolate *iso;
  lua_replace(L, 2);
  iso = isolate_new(luaL_checkstring(L, 3), S->isolate->root);
  if (iso == NULL) return luaL_error(L, "not enough memory");
  *box = &iso->box.shared;
  iso->boot = encode(L, S, 4, roots, 0);
  configure(L, S, iso);
  lua_pushvalue(L, 2);
  return 1;
}


/* Is the table in the field of the one at 1 such as Lua made it? Pushes it. */
static int plain_field (lua_State *L, const char *field) {
  if (lua_getfield(L, 1, field) != LUA_TTABLE) return 0;
  return !lua_getmetatable(L, -1);
}


/* standard(package) -> is nothing preloaded, and are all searchers written in C? */
int core_standard (lua_State *L) {
  int i, is = plain_field(L, "preload");
  if (is) {
    lua_pushnil(L);
    is = !lua_next(L, -2) && plain_field(L, "searchers");
  }
  for (i = 1; is && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    is = lua_iscfunction(L, -1);
    lua_pop(L, 1);
  }
  lua_pushboolean(L, is);
  return 1;
}


/* The isolate in the box that 'core_spawn' made. */
static Isolate *check_made (lua_State *L) {
  void (*kind) (Shared *) = state_of(L)->isolate->box.shared.destroy;
  return (Isolate *)box_check(L, 1, kind, "isolate that was made here");
}


/* rights(isolate) -> its control port and two capabilities */
int core_rights (lua_State *L) {
  Isolate *iso = check_made(L);
  sendport_push(L, state_of(L), &iso->box, iso->id);
  capability_push(L, iso->pause_capability);
  capability_push(L, iso->terminate_capability);
  return 3;
}


/* abort(isolate): kills it, if it was started. */
int core_abort (lua_State *L) {
  isolate_kill(check_made(L));
  return 0;
}


/* start(isolate): true; or nil and a message, and nothing has happened. When
** it returns true it has asked for no memory of Lua's: who has made all that
** is needed before cannot fail between here and there. */
int core_start (lua_State *L) {
  int error = isolate_start(check_made(L));
  if (error != 0) {
    luaL_pushfail(L);
    lua_pushfstring(L, "cannot start a thread: %s", strerror(error));
    return 2;
  }
  state_of(L)->asked = 1;
  lua_pushboolean(L, 1);
  return 1;
}
