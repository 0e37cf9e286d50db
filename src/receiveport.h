/*
** receiveport.h
** ReceivePorts, and what all streams have. Functions of the core, for the state's own
** thread.
*/

#ifndef receiveport_h
#define receiveport_h

#include "lua.h"


/* isolate.core is opened, maybe once more: classes and their methods are new then. */
void receiveport_reset (lua_State *L);

/* Pushes what Lua calls ReceivePort: called with a name or nil, it makes one. */
void receiveport_push (lua_State *L);

/* receive_port(name?) -> a ReceivePort that is not open */
int receiveport_new (lua_State *L);

/* stream(name) -> the class of a kind of stream, see stream.lua */
int receiveport_kind (lua_State *L);

/* stream:receive(timeout), stream:messages() */
int receiveport_receive (lua_State *L);
int receiveport_messages (lua_State *L);

/* check_stream(value, method): raises, at the caller of that method, unless the value
** is a stream */
int receiveport_check (lua_State *L);

/* check_free(value, method): the same, and unless nobody consumes it or what it is
** made from */
int receiveport_check_free (lua_State *L);

/* port_open(object) -> object, with a port: its fields 'send_port' and 'id'. Messages
** come to object:deliver(ok, value) from now on. It keeps the isolate alive. */
int receiveport_open (lua_State *L);

/* port_close(object) -> false if its port was closed. Cannot fail for lack of memory;
** also in the child of a fork. */
int receiveport_close (lua_State *L);

/* loop(loop): there is a loop now, in the middle of its module, by whose 'pull' ports
** receive. 'require' finds it from now on. */
int receiveport_loop (lua_State *L);

#endif
