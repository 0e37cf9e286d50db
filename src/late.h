/*
** late.h
** Methods that are loaded when they are first used. For the state's own thread.
*/

#ifndef late_h
#define late_h

#include "lua.h"


/* Pushes a module that needs the loop. That comes first: it loads some of them in its
** midst, and what has begun before would be loaded twice. */
void late_require (lua_State *L, const char *module);

/* __index of a class, a function: from then on, the class has the method itself. */
int late_index (lua_State *L);

/* Makes a class of the table at the top, which finds such methods itself. */
void late_class (lua_State *L);

/* A function of the core: late(class) -> class, made so. */
int late_new (lua_State *L);

#endif
