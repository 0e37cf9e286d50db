/*
** core.h
** The module isolate.core: what the Lua layer sees of C.
*/

#ifndef core_h
#define core_h

#include "lua.h"

#include "isolate.h"

/* Makes the module known to a spawned isolate's 'require'. */
void core_preload (lua_State *L, Isolate *iso);

/* spawn(config, kind, fn, …), start(isolate): functions of the core, in
** spawn.c. */
int core_spawn (lua_State *L);
int core_start (lua_State *L);

int luaopen_isolate_core (lua_State *L);

#endif
