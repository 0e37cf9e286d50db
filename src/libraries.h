/*
** libraries.h
** The standard library of a spawned isolate.
*/

#ifndef libraries_h
#define libraries_h

#include "lua.h"

#include "isolate.h"

#define LIBRARIES_ALL	(~0)

/* The bit of the library with this name; 0 if there is none. */
int libraries_bit (const char *name);

/* Opens all libraries, with our versions of what must differ, and seeds the
** random numbers. */
void libraries_open (lua_State *L);

/* Sets the isolate's paths, which are Lua's then: 'iso' has none any more. */
void libraries_setpaths (lua_State *L, Isolate *iso);

/* Takes away the libraries that the isolate was not given. For when our own
** layer, which needs them, is loaded. */
void libraries_restrict (lua_State *L, Isolate *iso);

#endif
