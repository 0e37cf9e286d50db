/*
** library.h
** Our own Lua layer as bytecode, kept in the process: so that an isolate finds
** it whatever its paths say, and without reading files.
*/

#ifndef library_h
#define library_h

#include "lua.h"

/* library_add(name, code): keeps the code of a module; a name is kept once. */
int library_add (lua_State *L);

/* library_has(name) */
int library_has (lua_State *L);

/* Puts a loader for every module into package.preload. */
void library_preload (lua_State *L);

#endif
