/*
** interrupt.c
** Stopping running Lua code from its own thread.
**
** Lua can be interrupted by a hook only, and a hook may be set by the thread
** that runs the state only. So:
**   1. whoever wants an isolate to stop sets its 'stop', rings its bell, sets
**      the alarm of its allocator, and sends its thread a signal, unless the
**      host wants none;
**   2. the handler or the allocator, on that thread, sets the hook on all its
**      coroutines;
**   3. the hook yields or raises, again at every instruction of the code that
**      ran. But for the time of the grace, handlers of to-be-closed variables
**      work as ever;
**   4. after the grace, it does so at every instruction of theirs, too;
**   5. a helper thread does 1 again and again until the isolate has ended: the
**      first may have come just before a call that blocks, or in the middle of
**      a change to the register of coroutines, or its hook may have been
**      replaced by the program's own.
** The handler and the helper come with the first kill, not before.
*/

#include <signal.h>
#include <stdlib.h>

#include "lua.h"

#include "hidden.h"
#include "interrupt.h"
#include "platform.h"
#include "signals.h"


#define EVERYTHING	(LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT)

/* Within a handler of the grace: instructions between two looks at it. */
#define HANDLER_MASK	(LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT)
#define HANDLER_COUNT	1000


/* {======================================================
** On the isolate's thread
**
** Code that ran when the isolate was stopped must not go on, whatever caught
** the error: pcall, or the resume of a coroutine. Handlers of to-be-closed
** variables, which the unwinding calls, may. What tells them apart: old code
** cannot call anything before an instruction of its own has met the hook. So
** a function that is entered, and is not called by a handler that we know, is
** a new handler; and an instruction that does not belong to a handler is old.
** ======================================================= */

/* The error that unwinds; nothing in Lua can make one like it. */
static const char STOPPED = 0;

/* Registry: coroutines that the stop went through, in order. */
const char TORN_KEY = 0;


static void hook (lua_State *L, lua_Debug *ar);


static int in_grace (const Isolate *iso) {
  return iso->grace_end > 0 && clock_now() < iso->grace_end;
}


/* Sets the hook as the phase of the stop demands it. */
static void arm (Isolate *iso) {
  if (iso->nhandlers > 0 && in_grace(iso))
    heap_sethook(&iso->heap, hook, HANDLER_MASK, HANDLER_COUNT);
  else
    heap_sethook(&iso->heap, hook, EVERYTHING, 1);
}


/* If L is a coroutine, notes it: its variables are closed at the end. */
static void note_torn (lua_State *L) {
  int top = lua_gettop(L);
  if (!lua_checkstack(L, LUA_MINSTACK)) return;
  if (!lua_pushthread(L) &&
      lua_rawgetp(L, LUA_REGISTRYINDEX, &TORN_KEY) == LUA_TTABLE) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, n);
    if (lua_tothread(L, -1) != L) {
      lua_pushvalue(L, top + 1);
      lua_rawseti(L, top + 2, n + 1);
    }
  }
  lua_settop(L, top);
}


static int raise_stop (lua_State *L) {
  note_torn(L);
  lua_pushlightuserdata(L, (void *)&STOPPED);
  return lua_error(L);
}


/* The handler that the running function belongs to, from 1; 0 for none. */
static int handler_of (lua_State *L, const Isolate *iso) {
  lua_Debug ar;
  int level, i;
  for (i = iso->nhandlers; i > 0 && iso->handlers[i - 1].L != L; i--) { }
  if (i == 0) return 0;
  for (level = 0; lua_getstack(L, level, &ar); level++)
    if (ar.i_ci == iso->handlers[i - 1].frame) return i;
  return 0;
}


/* The function just entered is a handler, unless one has called it. */
static void enter (lua_State *L, Isolate *iso) {
  lua_Debug ar;
  int i;
  if (handler_of(L, iso) > 0 || !lua_getstack(L, 0, &ar)) return;
  for (i = 0; i < iso->nhandlers && iso->handlers[i].L != L; i++) { }
  if (i == MAX_HANDLERS) return;  /* coroutines in coroutines: too deep */
  iso->handlers[i].L = L;
  iso->handlers[i].frame = ar.i_ci;
  iso->nhandlers = i + 1;
  arm(iso);
}


/* The running function returns: maybe it is a handler. */
static void leave (lua_State *L, Isolate *iso) {
  lua_Debug ar;
  int i = handler_of(L, iso);
  if (i > 0 && lua_getstack(L, 0, &ar) && ar.i_ci == iso->handlers[i - 1].frame) {
    iso->nhandlers = i - 1;
    arm(iso);
  }
}


static void hook (lua_State *L, lua_Debug *ar) {
  Isolate *iso = isolate_here();
  int between;
  if (iso == NULL || !atomic_get(&iso->stop)) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (in_grace(iso)) {
    switch (ar->event) {
      case LUA_HOOKCALL: case LUA_HOOKTAILCALL: enter(L, iso); return;
      case LUA_HOOKRET: leave(L, iso); return;
      default: if (handler_of(L, iso) > 0) return;
    }
  }
  between = (ar->event != LUA_HOOKCOUNT && ar->event != LUA_HOOKLINE);
  if (between && lua_isyieldable(L)) return;  /* at its next instruction */
  iso->nhandlers = 0;
  if (iso->grace_end == 0) iso->grace_end = clock_now() + iso->grace;
  arm(iso);
  if (lua_isyieldable(L)) {
    note_torn(L);
    lua_yield(L, 0);
  }
  else raise_stop(L);
}


void interrupt_check (lua_State *L, Isolate *iso) {
  if (!atomic_get(&iso->stop)) return;
  if (in_grace(iso) && handler_of(L, iso) > 0) return;
  if (iso->grace_end == 0) iso->grace_end = clock_now() + iso->grace;
  arm(iso);
  raise_stop(L);
}


int interrupt_self (lua_State *L, Isolate *iso, int reason) {
  int not = STOP_NOT;
  atomic_swap_if(&iso->stop, not, reason);
  interrupt_check(L, iso);
  return 0;
}

/* }====================================================== */


/* {======================================================
** The signal
** ======================================================= */

/* In a handler, or in the allocator: no allocation, no lock, no call but to
** 'lua_sethook', which Lua's own program makes from a handler, too. */
static int on_signal (void) {
  Isolate *iso = isolate_here();
  if (iso == NULL || !atomic_get(&iso->stop)) return 0;
  if (iso->hookable) arm(iso);
  return 1;
}


void interrupt_alarm (void) { on_signal(); }


/* Sets the alarm, and sends the signal if the thread is there to get it.
** False if it has ended. */
static int signal_isolate (Isolate *iso) {
  int ended, reachable = signals_claim(iso->signal, on_signal);
  atomic_set(&iso->heap.alarm, 1);
  mutex_lock(&iso->lock);
  if (iso->alive && reachable) pthread_kill(iso->thread, iso->signal);
  ended = iso->ended;
  mutex_unlock(&iso->lock);
  return !ended;
}

/* }====================================================== */


/* {======================================================
** The helper
** ======================================================= */

#define FIRST_DELAY	0.001	/* seconds, then twice as long each time, … */
#define LAST_DELAY	0.05	/* … up to here */

typedef struct Victim {
  struct Victim *next;
  Isolate *iso;			/* counted */
  double due, delay;
} Victim;

static Mutex victims_lock = MUTEX_INIT;	/* guards all below */
static Cond victims_changed;
static Victim *victims;
static int helper_runs;


/* Takes those whose signal is due out of the list. The caller holds the lock. */
static Victim *take_due (double now, double *next) {
  Victim *due = NULL, **v = &victims;
  *next = NEVER;
  while (*v != NULL) {
    Victim *it = *v;
    if (it->due <= now) {
      *v = it->next;
      it->next = due;
      due = it;
    }
    else {
      if (it->due < *next) *next = it->due;
      v = &it->next;
    }
  }
  return due;
}


static void put_back (Victim *v) {
  mutex_lock(&victims_lock);
  v->next = victims;
  victims = v;
  mutex_unlock(&victims_lock);
}


static void *help (void *unused) {
  (void)unused;
  thread_set_name("isolate stopper");
  for (;;) {
    double next;
    Victim *due;
    mutex_lock(&victims_lock);
    due = take_due(clock_now(), &next);
    if (due == NULL) {
      if (victims == NULL) {
        helper_runs = 0;
        mutex_unlock(&victims_lock);
        return NULL;
      }
      cond_wait(&victims_changed, &victims_lock, next);
    }
    mutex_unlock(&victims_lock);
    while (due != NULL) {
      Victim *v = due;
      due = v->next;
      if (signal_isolate(v->iso)) {
        v->delay = v->delay * 2 < LAST_DELAY ? v->delay * 2 : LAST_DELAY;
        v->due = clock_now() + v->delay;
        put_back(v);
      }
      else {
        shared_release(v->iso);
        free(v);
      }
    }
  }
}


/* False without memory or thread: then the one signal that was sent has to
** do, until another kill sends the next. */
static int ask_helper (Isolate *iso) {
  Thread thread;
  int runs;
  Victim *v = (Victim *)malloc(sizeof(*v));
  if (v == NULL) return 0;
  v->iso = iso;
  v->delay = FIRST_DELAY;
  v->due = clock_now() + v->delay;
  mutex_lock(&victims_lock);
  if (!helper_runs && thread_start(&thread, help, NULL, 256 * 1024) == 0)
    helper_runs = 1;
  runs = helper_runs;
  if (runs) {
    shared_retain(iso);
    v->next = victims;
    victims = v;
    cond_broadcast(&victims_changed);
  }
  mutex_unlock(&victims_lock);
  if (!runs) free(v);
  return runs;
}


static pthread_once_t helper_once = PTHREAD_ONCE_INIT;

static void prepare (void) { cond_init(&victims_changed); }

/* }====================================================== */


void interrupt_request (Isolate *iso) {
  pthread_once(&helper_once, prepare);
  mailbox_wake(&iso->box);
  if (signal_isolate(iso) && !ask_helper(iso)) atomic_set(&iso->requested, 0);
}
