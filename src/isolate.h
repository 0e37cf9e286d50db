/*
** isolate.h
** A lua_State on a thread, from birth to death.
*/

#ifndef isolate_h
#define isolate_h

#include "lua.h"

#include "heap.h"
#include "mailbox.h"
#include "state.h"


#if LUA_VERSION_RELEASE_NUM >= 50406
#define close_coroutine(co, L)	lua_closethread(co, L)
#else
#define close_coroutine(co, L)	((void)(L), lua_resetthread(co))
#endif

/* Who wants to hear of something: a port, and what it is told. */
typedef struct Listener {
  struct Listener *next;
  Mailbox *box;			/* counted */
  uint64_t port;
  Message *response;		/* to be posted; for errors: when there is no
				   memory for another one (NULL = it is gone) */
} Listener;

/* Why an isolate is stopped; the first reason counts. */
enum { STOP_NOT, STOP_KILL, STOP_EXIT, STOP_ERROR };

/* What a control message asks for (Message.op). */
enum { CONTROL_KILL, CONTROL_PAUSE, CONTROL_RESUME, CONTROL_PING,
       CONTROL_NAMED };

/* What 'state' says. */
enum { ISOLATE_RUNNING, ISOLATE_IDLE, ISOLATE_PAUSED };


/* A handler of a to-be-closed variable, running in the grace: its coroutine
** and its frame (lua_Debug.i_ci). It may resume a coroutine, and so on. */
typedef struct Handler {
  lua_State *L;
  const void *frame;
} Handler;

#define MAX_HANDLERS	4


/*
** The control block: what other threads may know of an isolate. It outlives
** the isolate as long as a SendPort refers to it.
*/
typedef struct Isolate {
  Mailbox box;			/* first: a SendPort's mailbox is its isolate */
  uint64_t id;			/* also the id of its control port */
  uint64_t pause_capability;
  uint64_t terminate_capability;
  uint64_t root;		/* id of the main isolate it descends from */
  int state;			/* atomic */
  int fatal;			/* atomic: uncaught errors end it */
  int stop;			/* atomic: why it is to stop */
  int requested;		/* atomic: its thread is being interrupted */
  int abandoned;		/* atomic: nobody waits for it any more */

  Mutex lock;			/* guards the five fields below */
  Listener *on_exit;
  Listener *on_error;
  int alive;			/* its thread may be signalled */
  int ended;			/* nothing of it runs any more */
  Thread thread;		/* there when it is alive, … */
  double cpu_before;		/* … as is this: seconds that it had run before */

  /* of its own thread: */
  Heap heap;
  double grace;			/* seconds for __close handlers at a kill */
  double grace_end;		/* when that is over; 0 = has not begun */
  Handler handlers[MAX_HANDLERS];	/* that run in the grace */
  int nhandlers;
  volatile sig_atomic_t hookable;	/* its state is open */
  int ending;			/* its mailbox is closed */
  Mailbox *last_box;		/* where its last message goes (counted) */
  Message *last;

  /* how it is started: */
  size_t stack;
  int signal;			/* that interrupts it; 0 for none */
  char *path, *cpath;
  int libs;			/* bits, see libraries.h */
  int paused;			/* held by its own pause capability at first */
  Message *setup;		/* preloaded modules and searchers, or NULL */
  Message *boot;		/* the function and its arguments */

  struct Isolate *next, *previous;	/* in the registry */

  char name[];
} Isolate;

/* The isolate whose thread this is, or NULL. */
Isolate *isolate_here (void);

/* A new isolate, counted once, not started; NULL without memory. 'root' 0
** makes a main isolate. */
Isolate *isolate_new (const char *name, uint64_t root);

/* Starts its thread and puts it into the registry. 0, or an errno; then
** nothing has happened. */
int isolate_start (Isolate *iso);

/* What it posts to 'box' at its end, in place of what it was to post. Takes 'm'
** over. Its own thread. */
void isolate_last (Isolate *iso, Mailbox *box, Message *m);

/* True once it has ended. Any thread. */
int isolate_ended (Isolate *iso);

/* Asks it to stop at once, even in the middle of running code; the first
** reason counts. Any thread. */
void isolate_kill (Isolate *iso);

/* Registers a listener for its end (a port's last response counts; it takes
** over 'response') or its errors. If it has ended already, nothing will ever
** come. Returns 0 without memory. */
int isolate_listen_exit (Isolate *iso, Mailbox *box, uint64_t port,
                         Message *response);
int isolate_listen_error (Isolate *iso, Mailbox *box, uint64_t port);
void isolate_unlisten_exit (Isolate *iso, uint64_t port);
void isolate_unlisten_error (Isolate *iso, uint64_t port);

/* Tells the error listeners, or stderr if there are none, of an error. */
void isolate_report (Isolate *iso, const char *message, size_t len,
                     const char *traceback, size_t tracelen);

/* The end of a main isolate: its descendants are asked to stop, killed and
** waited for, at most for a moment. */
void isolate_end_main (Isolate *iso);

#endif
