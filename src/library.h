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

/* Lets 'require' find the modules, and isolate.core, which 'core' opens. They see
** the globals that there are now, whatever the program makes of them. */
void library_open (lua_State *L, lua_CFunction core);

/* For a state that has opened isolate.core by itself. */
void library_open_main (lua_State *L);

/* Pushes the module, loading it if it is not. */
void library_require (lua_State *L, const char *name);

#endif
