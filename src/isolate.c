/*
** isolate.c
** A lua_State on a thread, from birth to death.
**
** What must happen at death is here and not in Lua: a kill cuts Lua code,
** ours too, at any instruction.
*/

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "boot.h"
#include "common.h"
#include "encode.h"
#include "interrupt.h"
#include "isolate.h"
#include "nameserver.h"
#include "platform.h"
#include "port.h"
#include "registry.h"
#include "signals.h"
#include "standby.h"


/* How long the end of a main isolate waits for one more of its descendants, in
** seconds. */
#define END_WAIT	0.7


static const char NO_MEMORY[] = "not enough memory";


/* Read by a signal handler, so it must not be allocated lazily. */
static __thread Isolate *here __attribute__((tls_model("initial-exec")));

Isolate *isolate_here (void) { return here; }


/* {======================================================
** The control block
** ======================================================= */

static void listeners_free (Listener *l) {
  while (l != NULL) {
    Listener *next = l->next;
    shared_release(l->box);
    message_free(l->response);
    free(l);
    l = next;
  }
}


static size_t size_with (const char *name) {
  return offsetof(Isolate, name) + strlen(name) + 1;
}


static void isolate_destroy (Shared *shared) {
  Isolate *iso = (Isolate *)(void *)shared;
  listeners_free(iso->on_exit);
  listeners_free(iso->on_error);
  message_free(iso->setup);
  message_free(iso->boot);
  message_free(iso->last);
  shared_release(iso->last_box);
  common_free_copy(iso->path);
  common_free_copy(iso->cpath);
  mutex_destroy(&iso->lock);
  mailbox_destroy(&iso->box);
  common_free(iso, size_with(iso->name));
}


Isolate *isolate_new (const char *name, uint64_t root) {
  Isolate *iso = (Isolate *)common_new(size_with(name));
  if (iso == NULL) return NULL;
  memset(iso, 0, sizeof(*iso));
  mailbox_init(&iso->box, isolate_destroy);
  mutex_init(&iso->lock);
  heap_init(&iso->heap, interrupt_alarm);
  iso->id = unique_id();
  iso->pause_capability = unique_id();
  iso->terminate_capability = unique_id();
  iso->root = root ? root : iso->id;
  iso->fatal = 1;
  iso->signal = signals_chosen();
  strcpy(iso->name, name);
  return iso;
}


void isolate_last (Isolate *iso, Mailbox *box, Message *m) {
  message_free(iso->last);
  shared_release(iso->last_box);
  iso->last = m;
  iso->last_box = (Mailbox *)shared_retain(box);
}


int isolate_ended (Isolate *iso) {
  int ended;
  mutex_lock(&iso->lock);
  ended = iso->ended;
  mutex_unlock(&iso->lock);
  return ended;
}


void isolate_kill (Isolate *iso) {
  int not = STOP_NOT;
  if (iso->root == iso->id) return;  /* a main isolate */
  atomic_swap_if(&iso->stop, not, STOP_KILL);
  if (!atomic_swap(&iso->requested, 1)) interrupt_request(iso);
}

/* }====================================================== */


/* {======================================================
** Listeners
** ======================================================= */

/* Takes the listener for 'port' out of the list; NULL if there is none. */
static Listener *unlink_listener (Listener **list, uint64_t port) {
  for (; *list != NULL; list = &(*list)->next) {
    Listener *l = *list;
    if (l->port == port) {
      *list = l->next;
      l->next = NULL;
      return l;
    }
  }
  return NULL;
}


/* Adds a listener at the end; one with the same port keeps its place, and
** has the new response. Returns 0 without memory. */
static int listen (Isolate *iso, Listener **list, Mailbox *box, uint64_t port,
                   Message *response) {
  Listener *fresh = (Listener *)calloc(1, sizeof(Listener));
  Message *dropped = response;
  if (fresh == NULL) {
    message_free(response);
    return 0;
  }
  fresh->box = (Mailbox *)shared_retain(box);
  fresh->port = port;
  mutex_lock(&iso->lock);
  if (!iso->ended) {
    while (*list != NULL && (*list)->port != port) list = &(*list)->next;
    if (*list == NULL) {
      *list = fresh;
      fresh = NULL;
      dropped = NULL;
    }
    else dropped = (*list)->response;
    (*list)->response = response;
  }
  mutex_unlock(&iso->lock);
  listeners_free(fresh);
  message_free(dropped);
  return 1;
}


int isolate_listen_exit (Isolate *iso, Mailbox *box, uint64_t port,
                         Message *response) {
  return listen(iso, &iso->on_exit, box, port, response);
}


int isolate_listen_error (Isolate *iso, Mailbox *box, uint64_t port) {
  Message *spare = encode_pair(NO_MEMORY, sizeof(NO_MEMORY) - 1, "", 0, port);
  return spare != NULL && listen(iso, &iso->on_error, box, port, spare);
}


static void unlisten (Isolate *iso, Listener **list, uint64_t port) {
  Listener *l;
  mutex_lock(&iso->lock);
  l = unlink_listener(list, port);
  mutex_unlock(&iso->lock);
  listeners_free(l);
}


void isolate_unlisten_exit (Isolate *iso, uint64_t port) {
  unlisten(iso, &iso->on_exit, port);
}


void isolate_unlisten_error (Isolate *iso, uint64_t port) {
  unlisten(iso, &iso->on_error, port);
}


/* The message that the error listener has for lack of memory; NULL if it is
** gone. */
static Message *take_spare (Isolate *iso, uint64_t port) {
  Listener *l;
  Message *m = NULL;
  mutex_lock(&iso->lock);
  for (l = iso->on_error; l != NULL && l->port != port; ) l = l->next;
  if (l != NULL) {
    m = l->response;
    l->response = NULL;
  }
  mutex_unlock(&iso->lock);
  return m;
}


/* Error listener number 'i', counted for the caller; NULL at the end. */
static Mailbox *error_listener (Isolate *iso, int i, uint64_t *port) {
  Listener *l;
  Mailbox *box = NULL;
  mutex_lock(&iso->lock);
  for (l = iso->on_error; l != NULL && i > 0; i--) l = l->next;
  if (l != NULL) {
    box = (Mailbox *)shared_retain(l->box);
    *port = l->port;
  }
  mutex_unlock(&iso->lock);
  return box;
}


void isolate_report (Isolate *iso, const char *message, size_t len,
                     const char *traceback, size_t tracelen) {
  Mailbox *box;
  uint64_t port;
  int i, told = 0, forked = process_forked();
  for (i = 0; !forked && (box = error_listener(iso, i, &port)) != NULL; i++) {
    Message *m = encode_pair(message, len, traceback, tracelen, port);
    if (m == NULL) m = take_spare(iso, port);
    if (m != NULL) mailbox_post(box, m);
    told = told || m != NULL;
    shared_release(box);
  }
  if (told) return;
  if (tracelen > 0)
    fprintf(stderr, "isolate '%s': %s\n%s\n", iso->name, message, traceback);
  else
    fprintf(stderr, "isolate '%s': %s\n", iso->name, message);
  if (forked) exit(EXIT_FAILURE);
}

/* }====================================================== */


/* {======================================================
** Life
** ======================================================= */

/* What 'warn' does in an isolate: a line at a time, off until "@on". */
static void warning (void *ud, const char *message, int tocont) {
  static const char prefix[] = "Lua warning: ";
  int *state = (int *)ud;  /* bits: 1 = on, 2 = in the middle of a message */
  if (!(*state & 2) && !tocont && message[0] == '@') {
    if (strcmp(message, "@on") == 0) *state |= 1;
    else if (strcmp(message, "@off") == 0) *state &= ~1;
    return;
  }
  if (*state & 1)
    fprintf(stderr, "%s%s%s", (*state & 2) ? "" : prefix, message,
            tocont ? "" : "\n");
  *state = tocont ? (*state | 2) : (*state & ~2);
}


/* Tells of an error that left 'boot', at the top of the stack: only what our
** own layer could not tell itself (no memory, say). */
static int tell (lua_State *L) {
  Isolate *iso = (Isolate *)lua_touserdata(L, 1);
  size_t len;
  const char *message = luaL_tolstring(L, 2, &len);
  isolate_report(iso, message, len, "", 0);
  return 0;
}


static void report_no_memory (Isolate *iso) {
  isolate_report(iso, NO_MEMORY, sizeof(NO_MEMORY) - 1, "", 0);
}


/* Closes the coroutine at the top if it has something to close. */
static void close_if_open (lua_State *L) {
  lua_State *co = lua_tothread(L, -1);
  if (co != NULL && co != L && lua_status(co) != LUA_OK)
    close_coroutine(co, L);
}


/* Protected: closes the to-be-closed variables of coroutines: those that a
** stop went through, and tasks that still wait. */
static int close_tasks (lua_State *L) {
  int n = 0, i;
  lua_settop(L, 0);
  lua_newtable(L);  /* a list first: handlers may start new tasks */
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &TASKS_KEY) == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, 2)) {
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      lua_rawseti(L, 1, ++n);
    }
  }
  lua_settop(L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &TORN_KEY) == LUA_TTABLE) {
    for (i = 1; lua_rawgeti(L, 2, i) == LUA_TTHREAD; i++) {
      close_if_open(L);
      lua_pop(L, 1);
    }
  }
  lua_settop(L, 1);
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    close_if_open(L);
    lua_pop(L, 1);
  }
  return 0;
}


/* Calls 'f' with the isolate (and the value at the top, if 'more') as its
** arguments. Errors are left at the top. */
static int protected (lua_State *L, lua_CFunction f, Isolate *iso, int more) {
  if (!lua_checkstack(L, LUA_MINSTACK)) return LUA_ERRMEM;
  lua_pushcfunction(L, f);  /* light: these cannot fail */
  lua_pushlightuserdata(L, iso);
  if (more) lua_rotate(L, -3, -1);
  return lua_pcall(L, 1 + more, 0, 0);
}


/* No message reaches it any more, and none of its ports has a name. */
static void close_box (Isolate *iso) {
  mailbox_close(&iso->box);
  nameserver_drop(&iso->box, 0);
}


/* Nothing of it runs any more: tells whoever listens for that, and lets go of
** all listeners (they may refer to isolates that refer to this one). */
static void end (Isolate *iso) {
  Listener *on_exit, *on_error, *l;
  mutex_lock(&iso->lock);
  iso->alive = 0;
  iso->ended = 1;
  on_exit = iso->on_exit;
  on_error = iso->on_error;
  iso->on_exit = iso->on_error = NULL;
  mutex_unlock(&iso->lock);
  for (l = on_exit; l != NULL; l = l->next) {
    mailbox_post(l->box, l->response);
    l->response = NULL;
  }
  listeners_free(on_exit);
  listeners_free(on_error);
}


/* The end, in this order:
** 1. if an error came out, and not a stop, it is told;
** 2. tasks that still wait are closed;
** 3. the last message is posted: an answer, or that of Isolate.exit;
** 4. the mailbox is closed, which drops what is queued;
** 5. the state is closed, and its finalizers run;
** 6. it is in the registry no more;
** 7. nothing of it runs any more: whoever waits for that is told. */
static void die (lua_State *L, Isolate *iso, int status) {
  if (L != NULL) {
    if (status != LUA_OK && !atomic_get(&iso->stop) &&
        protected(L, tell, iso, 1) != LUA_OK) report_no_memory(iso);
    protected(L, close_tasks, iso, 0);
  }
  else report_no_memory(iso);
  standby_soon();
  if (iso->last != NULL) {
    int near = mailbox_is_near(iso->last_box);
    mailbox_post(iso->last_box, iso->last);
    if (near) thread_yield();  /* who waits for it: what follows takes longer */
  }
  iso->last = NULL;
  shared_release(iso->last_box);
  iso->last_box = NULL;
  close_box(iso);
  iso->ending = 1;
  iso->hookable = 0;
  if (L != NULL) lua_close(L);
  heap_free(&iso->heap);
  registry_remove(iso);
  end(iso);
}


/* The life of an isolate, which has a reference of its own. True if its thread
** can be used again: not after an interrupt, a signal may be on its way. */
static int live (Isolate *iso) {
  int warnings = 0, status = LUA_OK, usable;
  lua_State *L;
  here = iso;
  thread_set_name(iso->name);
  signals_open(iso->signal);
  iso->cpu_before = thread_cpu(pthread_self());
  mutex_lock(&iso->lock);
  iso->thread = pthread_self();
  iso->alive = 1;
  mutex_unlock(&iso->lock);
  L = standby_state(&iso->heap);
  if (L != NULL) {
    lua_setwarnf(L, warning, &warnings);
    status = protected(L, boot, iso, 0);
  }
  if (process_forked()) exit(EXIT_SUCCESS);  /* this thread is all there is */
  die(L, iso, status);
  here = NULL;
  usable = iso->stack == STANDBY_STACK && !atomic_get(&iso->requested);
  signals_close(iso->signal);
  shared_release(iso);
  return usable;
}


static void *thread_main (void *arg) {
  Isolate *iso = (Isolate *)arg;
  while (iso != NULL) iso = (Isolate *)standby_wait(live(iso));
  return NULL;
}


static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void stop_all (uint64_t root, const Isolate *except);

/* The process ends by 'exit', maybe with its states still open. */
static void at_exit (void) {
  if (!process_forked()) stop_all(0, isolate_here());
}

static void watch_exit (void) { atexit(at_exit); }


int isolate_start (Isolate *iso) {
  Thread thread;
  int error;
  pthread_once(&exit_once, watch_exit);
  shared_retain(iso);
  registry_add(iso);
  if (iso->stack == STANDBY_STACK && standby_give(iso)) return 0;
  error = thread_start(&thread, thread_main, iso, iso->stack);
  if (error != 0) {
    mutex_lock(&iso->lock);
    iso->ended = 1;
    mutex_unlock(&iso->lock);
    registry_remove(iso);
    shared_release(iso);
  }
  return error;
}

/* }====================================================== */


/* {======================================================
** The end of the program
** ======================================================= */

#define CHECK_EVERY	0.02	/* seconds: they may still start new ones */

/* Calls 'f' for all that the end of 'root' is to stop. */
static void each (uint64_t root, const Isolate *except, void (*f) (Isolate *)) {
  Isolate *iso;
  uint64_t id = 0;
  while ((iso = registry_next(id)) != NULL) {
    id = iso->id;
    if (iso != except && registry_concerns(iso, root)) f(iso);
    shared_release(iso);
  }
}


static void abandon (Isolate *iso) {
  atomic_set(&iso->abandoned, 1);
  fprintf(stderr, "isolate '%s' does not stop (in a long C call?): abandoned\n",
          iso->name);
}


/* The wait begins anew as long as they become fewer: thousands take their time. */
static void stop_all (uint64_t root, const Isolate *except) {
  double now, deadline = 0;
  int left, least = INT_MAX;
  do {
    each(root, except, isolate_kill);
    now = clock_now();
    left = registry_wait(root, except, now + CHECK_EVERY);
    if (left < least) {
      least = left;
      deadline = now + END_WAIT;
    }
  } while (left > 0 && now < deadline);
  if (left > 0) each(root, except, abandon);
}


void isolate_end_main (Isolate *iso) {
  close_box(iso);
  stop_all(iso->id, NULL);
  registry_remove(iso);
  end(iso);
}

/* }====================================================== */
