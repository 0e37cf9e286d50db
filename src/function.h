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

#endif
