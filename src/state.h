/*
** state.h
** What one lua_State has of ours: made with the module, freed by its close.
** Only that state's thread touches it.
*/

#ifndef state_h
#define state_h

#include "lua.h"

#include "mailbox.h"
#include "names.h"
#include "spares.h"

struct Isolate;
struct Encoder;
struct Decoder;


typedef struct State {
  struct Isolate *isolate;	/* counted */
  lua_State *main;		/* the main thread */
  struct Encoder *encoder;	/* NULL while it is used; then a new one serves */
  struct Decoder *decoder;	/* the same */
  struct Encoder *kept_encoder;	/* what the registry holds for that */
  struct Decoder *kept_decoder;
  struct Hold *holds;		/* of its userdata, see hold.h */
  struct Wait *waits;		/* for channels, see channellib.c */
  Names names;
  int alive;			/* how many things keep the isolate alive */
  int looping;			/* loop.lua is loaded */
  int asked;			/* it has sent something, and had nothing since */
  const void *globals;		/* identity of the globals table */
  const void *sendport_class;	/* identities of our metatables */
  const void *capability_class;
  const void *box_class;
  Spares spares;
  uint64_t straight;		/* the last port that a handler was found for */
  Queue inbox;			/* taken from the mailbox, not yet handled */
  int joined;			/* how many of its first message were handled */
  Message *unbuilt;		/* is being built unprotected, or could not be … */
  lua_State *unbuilt_by;	/* … by this coroutine */
  Queue control;
  lua_State *receiving;		/* builds a large message, or NULL */
  struct Decoder *large;	/* its decoder */
  int slicing;			/* in a slice of it; the user's code may run */
  int collecting;		/* the collector ran before that */
  Message *pauses;		/* a list: each holds the isolate by a capability */
  int rebuilding;		/* depth of rebuilds: they may not wait */
  int hooked;			/* a hook has raised what ended a build */
} State;

/* Keys in the registry. */
extern const char STATE_KEY;	/* the State, a userdata */
extern const char PORTS_KEY;	/* port id -> the object that receives */
extern const char HANDLERS_KEY;	/* port id -> the function that its messages go to */
extern const char PROXIES_KEY;	/* id -> SendPort or Capability; weak */
extern const char TASKS_KEY;	/* coroutine of a task -> true */

/* Pushes a new table with weak keys ("k") or values ("v"). */
void push_weak_table (lua_State *L, const char *mode);

/* The State of functions made by 'luaL_setfuncs(L, …, 1)' with it. Raises in
** the child of a fork, and when the state is being closed. */
State *state_of (lua_State *L);

/* The State of a lua_State where the module is open. */
State *state_find (lua_State *L);

#endif
