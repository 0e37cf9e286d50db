/*
** sealed.h
** The decoder, with what cannot be checked in a message kept out of it.
*/

#ifndef sealed_h
#define sealed_h

#include "lua.h"


typedef struct Code { char *p; size_t size; } Code;

#define SEALED_CODES	32
#define SEALED_FUNCTIONS	3

extern Code sealed_codes[SEALED_CODES];	/* all that is loaded as code */
extern int sealed_ncodes;
extern const lua_CFunction sealed_functions[SEALED_FUNCTIONS];

extern int sealed_trust;	/* the message is our own encoder's: no seal */
extern int sealed_called;	/* the user's code was called by the decoder */

#endif
