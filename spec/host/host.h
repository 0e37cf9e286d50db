/*
** host.h
** What the host programs of host_spec share: states that run a script.
*/

#ifndef HOST_H
#define HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>


/* Ends the host with a failure that the spec shows. */
static void host_fail (const char *what, const char *why) {
  fprintf(stderr, "host: %s: %s\n", what, why);
  exit(2);
}


/* Runs 'script' in 'L'; a script that fails is a failure of the host. */
static void host_run (lua_State *L, const char *script) {
  if (luaL_dofile(L, script) != LUA_OK)
    host_fail(script, luaL_tolstring(L, -1, NULL));
  lua_settop(L, 0);
}


/* A new state with the standard libraries, in which 'script' has run. */
static lua_State *host_open (const char *script) {
  lua_State *L = luaL_newstate();
  if (L == NULL) host_fail("luaL_newstate", "no memory");
  luaL_openlibs(L);
  host_run(L, script);
  return L;
}


/* Calls the global function 'turn' of the script: one exchange with isolates
** of the state, to see that they live. */
static void host_turn (lua_State *L) {
  lua_getglobal(L, "turn");
  if (lua_pcall(L, 0, 0, 0) != LUA_OK)
    host_fail("turn", luaL_tolstring(L, -1, NULL));
}


#endif
