/*
** hidden.h
** What is declared below this belongs to the library alone.
**
** An application that loads C modules has to export its functions, for Lua's are among
** them. One that is called as one of ours, 'encode' or 'message_new', would take its
** place: the linker prefers the application's. So ours are not to be found by name.
**
** Each source includes this after the system's headers and Lua's, before our own. Those
** of the system that our own include come first here.
*/

#ifndef hidden_h
#define hidden_h

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#define EXPORTED	__attribute__((visibility("default")))
#else
#define EXPORTED
#endif

#endif
