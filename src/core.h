/*
** core.h
** The module isolate.core: what the Lua layer sees of C.
*/

#ifndef core_h
#define core_h

#include "lua.h"

#include "isolate.h"
#include "state.h"

/* Makes the State of a spawned isolate that comes later, and lets its 'require'
** find the module. */
void core_prepare (lua_State *L);

/* The isolate is here: the State, which is returned, has it from now on. */
State *core_adopt (lua_State *L, Isolate *iso);

/* Functions of the core: see spawn.c. */
int core_spawn (lua_State *L);
int core_standard (lua_State *L);
int core_start (lua_State *L);
int core_rights (lua_State *L);
int core_abort (lua_State *L);

EXPORTED int luaopen_isolate_core (lua_State *L);

#endif
