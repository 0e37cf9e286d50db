/*
** channellib.h
** Channels as Lua sees them. Functions of the core.
*/

#ifndef channellib_h
#define channellib_h

#include "lua.h"

/* channel(capacity?) -> channel */
int channellib_new (lua_State *L);

/* channel_send(channel, roots, port, priority, …) -> true; false if it is closed;
** or a parcel, if there is no room now: it is to be sent by 'channel_retry'.
** 'roots' is "message" or "call". */
int channellib_send (lua_State *L);

/* channel_retry(channel, parcel) -> true; false if it is closed; nil if there is
** no room */
int channellib_retry (lua_State *L);

/* channel_take(channel, seat?) -> port, true, values…; port, false, error if the
** message cannot be built; nil, is it closed? */
int channellib_take (lua_State *L);

/* channel_waiter(channel, for room?, port, number) -> a to-be-closed waiter */
int channellib_waiter (lua_State *L);

/* channel_wait(waiter) -> true: when there is something (or room), this isolate's
** port is told the number, once. false if there is now. */
int channellib_wait (lua_State *L);

/* channel_close(channel) */
int channellib_close (lua_State *L);

/* channel_count(channel) -> how many messages are in it, its id */
int channellib_count (lua_State *L);

/* channel_remove(channel, from?, to?) -> array of the ports of the messages taken
** out */
int channellib_remove (lua_State *L);

/* Not a function of the core: at the end of a state, ends the waits that
** finalizers could not end. */
struct State;
void channellib_end (struct State *S);

#endif
