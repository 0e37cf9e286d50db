/*
** function.h
** What goes over with a function: its code, and the globals that it reads.
*/

#ifndef function_h
#define function_h

#include "lua.h"

/* Pushes what is known of the Lua function at 'idx', kept per closure: a
** table with its code at 0 and the names of the globals that it, or a
** function within it, reads at 1, 2, … ; its field "env" is the number of the
** upvalue they are read through. True if it was known already. */
int function_info (lua_State *L, int idx);

/* Is upvalue 'i' of the function at 'idx', with the name given and its value
** at the top of the stack, an environment? */
int function_isenv (lua_State *L, const char *name);

#endif
