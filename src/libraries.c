/*
** libraries.c
** The standard library of a spawned isolate: Lua's own, but for
**   print        one write a call, so that lines never mix;
**   xpcall       does not call the handler when the isolate is stopped;
**   os.exit      ends the isolate, not the process;
**   io.popen     children start with the process's signal mask; it can be
**                stopped, and does not wait for files that others read;
**   os.execute   the same, and leaves Ctrl-C alone.
*/

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

#include "hidden.h"
#include "common.h"
#include "interrupt.h"
#include "libraries.h"
#include "platform.h"


static const char *const names[] = {
  LUA_LOADLIBNAME, LUA_COLIBNAME, LUA_TABLIBNAME, LUA_IOLIBNAME, LUA_OSLIBNAME,
  LUA_STRLIBNAME, LUA_UTF8LIBNAME, LUA_MATHLIBNAME, LUA_DBLIBNAME, NULL
};


int libraries_bit (const char *name) {
  int i;
  if (strcmp(name, "base") == 0) return 1;  /* is always there */
  for (i = 0; names[i] != NULL; i++)
    if (strcmp(names[i], name) == 0) return 2 << i;
  return 0;
}


/* {======================================================
** Our versions. A program may send them to a main isolate, too.
** ======================================================= */

static int stopping (void) {
  return isolate_here() != NULL && atomic_get(&isolate_here()->stop);
}


static int std_print (lua_State *L) {
  int n = lua_gettop(L), i;
  const char *line;
  size_t len;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, '\n');
  luaL_pushresult(&b);
  line = lua_tolstring(L, -1, &len);
  fwrite(line, 1, len, stdout);
  fflush(stdout);
  return 0;
}


/* The message handler around the user's (upvalue 1): Lua would call that one
** with hooks off, and never get out of its loop. */
static int handler (lua_State *L) {
  if (!stopping()) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
  }
  return 1;
}


/* As in Lua's own: function, handler, true, results. */
static int after_xpcall (lua_State *L, int status, lua_KContext below) {
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L) - (int)below;
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}


static int std_xpcall (lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, handler, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);  /* function, handler, true, function, arguments */
  return after_xpcall(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, after_xpcall),
                      2);
}


static int std_exit (lua_State *L) {
  int status = lua_isboolean(L, 1) ? !lua_toboolean(L, 1)
                                   : (int)luaL_optinteger(L, 1, 0);
  if (isolate_here() == NULL || process_forked()) exit(status);
  return interrupt_self(L, isolate_here(), STOP_EXIT);
}


/* Waits for a command, unless the isolate is to stop: then the command goes on
** by itself, and -1 is returned. */
static int wait_for (long process, int *status) {
  int ended;
  while ((ended = command_wait(process, status)) == 0)
    if (stopping()) return -1;
  if (ended > 0) errno = 0;  /* 'luaL_execresult' looks at it */
  return ended;
}


/* C's 'system' would ignore Ctrl-C in the whole process, and could not be
** stopped. */
static int std_execute (lua_State *L) {
  const char *command = luaL_optstring(L, 1, NULL);
  long process;
  int status;
  if (command == NULL) {  /* is there a shell? */
    lua_pushboolean(L, 1);
    return 1;
  }
  process = command_start(command, NULL, NULL);
  if (process < 0 || wait_for(process, &status) < 0) {
    if (stopping()) interrupt_check(L, isolate_here());
    return luaL_fileresult(L, 0, NULL);
  }
  return luaL_execresult(L, status);
}


/* A file of Lua's, with the command that it is a pipe of. */
typedef struct Pipe {
  luaL_Stream stream;		/* first */
  long process;
} Pipe;

static int close_pipe (lua_State *L) {
  Pipe *p = (Pipe *)luaL_checkudata(L, 1, LUA_FILEHANDLE);
  int status;
  fclose(p->stream.f);
  if (wait_for(p->process, &status) < 0) return luaL_fileresult(L, 0, NULL);
  return luaL_execresult(L, status);
}


/* C's 'popen' and Lua's use of it could not be stopped, and would wait for the
** lock of a file that another isolate is reading. */
static int std_popen (lua_State *L) {
  const char *command = luaL_checkstring(L, 1);
  const char *mode = luaL_optstring(L, 2, "r");
  Pipe *p;
  luaL_argcheck(L, (mode[0] == 'r' || mode[0] == 'w') && mode[1] == '\0', 2,
                "invalid mode");
  p = (Pipe *)lua_newuserdatauv(L, sizeof(*p), 0);
  p->stream.closef = NULL;  /* closed, until it is open */
  luaL_setmetatable(L, LUA_FILEHANDLE);
  p->process = command_start(command, mode, &p->stream.f);
  if (p->process < 0) return luaL_fileresult(L, 0, command);
  p->stream.closef = close_pipe;
  return 1;
}

/* }====================================================== */


static void seed (lua_State *L) {
  lua_Integer bits[2];
  entropy(bits, sizeof(bits));
  lua_getglobal(L, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, bits[0]);
  lua_pushinteger(L, bits[1]);
  lua_call(L, 2, 0);
  lua_pop(L, 1);
}


static void setpath (lua_State *L, const char *field, char **path) {
  if (*path == NULL) return;
  lua_pushstring(L, *path);
  lua_setfield(L, -2, field);
  common_free_copy(*path);
  *path = NULL;
}


void libraries_open (lua_State *L) {
  luaL_openlibs(L);
  lua_pushcfunction(L, std_print);
  lua_setglobal(L, "print");
  lua_pushcfunction(L, std_xpcall);
  lua_setglobal(L, "xpcall");
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, std_exit);
  lua_setfield(L, -2, "exit");
  lua_pushcfunction(L, std_execute);
  lua_setfield(L, -2, "execute");
  lua_pop(L, 1);
  lua_getglobal(L, LUA_IOLIBNAME);
  lua_pushcfunction(L, std_popen);
  lua_setfield(L, -2, "popen");
  lua_pop(L, 1);
  seed(L);
}


void libraries_setpaths (lua_State *L, Isolate *iso) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  setpath(L, "path", &iso->path);
  setpath(L, "cpath", &iso->cpath);
  lua_pop(L, 1);
}


void libraries_restrict (lua_State *L, Isolate *iso) {
  int i;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (i = 0; names[i] != NULL; i++) {
    if (iso->libs & (2 << i)) continue;
    lua_pushnil(L);
    lua_setfield(L, -2, names[i]);
    lua_pushnil(L);
    lua_setglobal(L, names[i]);
  }
  lua_pop(L, 1);
  if (!(iso->libs & libraries_bit(LUA_LOADLIBNAME))) {
    lua_pushnil(L);
    lua_setglobal(L, "require");
  }
  if (!(iso->libs & libraries_bit(LUA_STRLIBNAME))) {
    lua_pushliteral(L, "");  /* strings have their methods no more */
    lua_pushnil(L);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
  }
}
