/*
** signals.c
** The signal that interrupts a thread of ours.
**
** It may be a host's signal, too, whose handler was there before ours, or comes
** after it. So ours is put back each time it is needed, and what is not for us
** goes to the one it has replaced.
*/

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <signal.h>
#include <string.h>

#include "hidden.h"
#include "platform.h"
#include "signals.h"


/* {======================================================
** Choice
** ======================================================= */

static int chosen = SIGURG;	/* atomic; ignored by default, unused by libc */


int signals_chosen (void) { return atomic_get(&chosen); }


/* Not those that a thread meets by its own fault. */
int signals_choose (int sig) {
  static const int taken[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP,
                              SIGSYS, SIGKILL, SIGSTOP};
  struct sigaction now;
  size_t i;
  for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
    if (sig == taken[i]) return 0;
  if (sig != 0 && (sig < 0 || sig >= NSIG || sigaction(sig, NULL, &now) != 0))
    return 0;
  atomic_set(&chosen, sig);
  return 1;
}


static void change_mask (int how, int sig) {
  sigset_t set;
  if (sig == 0) return;
  sigemptyset(&set);
  sigaddset(&set, sig);
  pthread_sigmask(how, &set, NULL);
}


void signals_open (int sig) { change_mask(SIG_UNBLOCK, sig); }
void signals_close (int sig) { change_mask(SIG_BLOCK, sig); }

/* }====================================================== */


/* {======================================================
** Handler
** ======================================================= */

/* Did 'pthread_kill' send it? Where nobody can tell, it did. */
#if defined(SI_TKILL)
#define to_thread(info)		((info)->si_code == SI_TKILL)
#else
#define to_thread(info)		((void)(info), 1)
#endif

/* The handlers that ours has replaced. They stay where they are: a signal may
** be on its way into one at any time. */
#define MAX_REPLACED	16

static Mutex lock = MUTEX_INIT;	/* guards these two */
static struct sigaction replaced[MAX_REPLACED];
static int nreplaced;

static const struct sigaction *previous[NSIG];	/* atomic: the last of each */
static int (*is_wanted) (void);	/* atomic; always the same */

/* A replaced handler runs: it may call ours, if it was installed after it. */
static __thread volatile sig_atomic_t passing
  __attribute__((tls_model("initial-exec")));


static void pass_on (int sig, siginfo_t *info, void *context) {
  const struct sigaction *to = atomic_get(&previous[sig]);
  if (passing) return;
  passing = 1;
  if (to->sa_flags & SA_SIGINFO) to->sa_sigaction(sig, info, context);
  else if (to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN)
    to->sa_handler(sig);
  passing = 0;
}


/* May find any thread, at any instruction: no allocation, no lock. */
static void handler (int sig, siginfo_t *info, void *context) {
  if (!atomic_get(&is_wanted)() || !to_thread(info)) pass_on(sig, info, context);
}


/* Notes what ours is about to replace. False if there were too many. The
** caller holds the lock. */
static int note (int sig, const struct sigaction *action) {
  int i = 0;
  while (i < nreplaced && replaced[i].sa_handler != action->sa_handler) i++;
  if (i == MAX_REPLACED) return 0;
  if (i == nreplaced) replaced[nreplaced++] = *action;
  atomic_set(&previous[sig], &replaced[i]);
  return 1;
}


int signals_claim (int sig, int (*wanted) (void)) {
  struct sigaction ours, now;
  int is;
  if (sig == 0) return 0;
  memset(&ours, 0, sizeof(ours));
  ours.sa_sigaction = handler;
  /* not SA_RESTART: what blocks must return. SA_ONSTACK is for threads of a
  ** host whose own stacks are small */
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  atomic_set(&is_wanted, wanted);
  mutex_lock(&lock);
  is = sigaction(sig, NULL, &now) == 0 &&
       (((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handler) ||
        (note(sig, &now) && sigaction(sig, &ours, NULL) == 0));
  mutex_unlock(&lock);
  return is;
}

/* }====================================================== */
