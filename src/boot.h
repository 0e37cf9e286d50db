/*
** boot.h
** What a spawned isolate does: its function is its first task.
*/

#ifndef boot_h
#define boot_h

#include "lua.h"

/* Registry: what gets the results of the isolate's function when it returns. */
extern const char RETURN_KEY;

/* Makes a new state ready for any isolate: its libraries, our core. May raise. */
int boot_prepare (lua_State *L);

/* boot(isolate): all of an isolate's own Lua, in a state that is ready. Leaves
** its answer to be posted at its end. */
int boot (lua_State *L);

#endif
