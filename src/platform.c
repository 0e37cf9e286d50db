/*
** platform.c
** Threads, locks, clocks and wake-ups on POSIX systems; Linux by futex.
*/

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#endif

extern char **environ;  /* not in all systems' headers */

#include "hidden.h"
#include "platform.h"


/* {======================================================
** Clock
** ======================================================= */

double clock_now (void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}


/* 'seconds' as a timespec; what is past becomes 0, what is far a year. */
static struct timespec totimespec (double seconds) {
  struct timespec t;
  if (!(seconds > 0)) seconds = 0;
  if (seconds > 3e7) seconds = 3e7;
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  return t;
}

/* }====================================================== */


/* {======================================================
** Locks
** ======================================================= */

void mutex_init (Mutex *m) { pthread_mutex_init(m, NULL); }
void mutex_destroy (Mutex *m) { pthread_mutex_destroy(m); }
void mutex_lock (Mutex *m) { pthread_mutex_lock(m); }
void mutex_unlock (Mutex *m) { pthread_mutex_unlock(m); }

void cond_signal (Cond *c) { pthread_cond_signal(c); }
void cond_broadcast (Cond *c) { pthread_cond_broadcast(c); }


void cond_init (Cond *c) {
#if defined(__APPLE__)
  pthread_cond_init(c, NULL);
#else
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(c, &attr);
  pthread_condattr_destroy(&attr);
#endif
}


int cond_wait (Cond *c, Mutex *m, double deadline) {
  struct timespec t;
  if (deadline >= NEVER) return pthread_cond_wait(c, m) == 0;
#if defined(__APPLE__)
  t = totimespec(deadline - clock_now());
  return pthread_cond_timedwait_relative_np(c, m, &t) != ETIMEDOUT;
#else
  t = totimespec(deadline);
  return pthread_cond_timedwait(c, m, &t) != ETIMEDOUT;
#endif
}

/* }====================================================== */


/* {======================================================
** Bell
** ======================================================= */

void bell_arm (Bell *b) {
  /* sequentially consistent: armed before the last look at the queue */
  __atomic_store_n(&b->word, 1, __ATOMIC_SEQ_CST);
}


void bell_disarm (Bell *b) { atomic_set(&b->word, 0); }

#if defined(__linux__)

void bell_init (Bell *b) { b->word = 0; }
void bell_destroy (Bell *b) { (void)b; }


int bell_wait (Bell *b, double deadline) {
  for (;;) {
    struct timespec t, *timeout = NULL;
    if (deadline < NEVER) {
      t = totimespec(deadline - clock_now());
      timeout = &t;
    }
    if (syscall(SYS_futex, &b->word, FUTEX_WAIT_PRIVATE, 1, timeout, NULL, 0)
        == 0 || errno == EAGAIN) {
      if (atomic_get(&b->word) == 0) return BELL_RUNG;
    }
    else if (errno == ETIMEDOUT) {
      if (deadline - clock_now() > 0) continue;  /* the year was over */
      bell_disarm(b);
      return BELL_TIMEOUT;
    }
    else {  /* EINTR */
      bell_disarm(b);
      return BELL_SIGNAL;
    }
  }
}


void bell_ring (Bell *b) {
  if (__atomic_exchange_n(&b->word, 0, __ATOMIC_SEQ_CST) == 1)
    syscall(SYS_futex, &b->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#else  /* a condition variable; looks up often, for it cannot see signals */

#define LOOKUP	0.05

void bell_init (Bell *b) {
  b->word = 0;
  mutex_init(&b->lock);
  cond_init(&b->cond);
}


void bell_destroy (Bell *b) {
  mutex_destroy(&b->lock);
  pthread_cond_destroy(&b->cond);
}


int bell_wait (Bell *b, double deadline) {
  double now = clock_now();
  int slice = deadline > now + LOOKUP;
  int rung;
  mutex_lock(&b->lock);
  if (atomic_get(&b->word) == 1)
    cond_wait(&b->cond, &b->lock, slice ? now + LOOKUP : deadline);
  rung = atomic_swap(&b->word, 0) == 0;
  mutex_unlock(&b->lock);
  return rung ? BELL_RUNG : slice ? BELL_SIGNAL : BELL_TIMEOUT;
}


void bell_ring (Bell *b) {
  if (__atomic_exchange_n(&b->word, 0, __ATOMIC_SEQ_CST) == 1) {
    mutex_lock(&b->lock);
    cond_broadcast(&b->cond);
    mutex_unlock(&b->lock);
  }
}

#endif

/* }====================================================== */


/* {======================================================
** Doorbell
** ======================================================= */

#if defined(__linux__)

int doorbell_open (int *write_end) {
  return *write_end = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

#else

int doorbell_open (int *write_end) {
  int fd[2], i;
  if (pipe(fd) != 0) return -1;
  for (i = 0; i < 2; i++) {
    fcntl(fd[i], F_SETFL, fcntl(fd[i], F_GETFL) | O_NONBLOCK);
    fcntl(fd[i], F_SETFD, FD_CLOEXEC);
  }
  *write_end = fd[1];
  return fd[0];
}

#endif


/* A full doorbell is rung already, so a short write is no loss. */
void doorbell_ring (int write_end) {
  uint64_t one = 1;
  ssize_t n = write(write_end, &one, sizeof(one));
  (void)n;
}


void doorbell_drain (int read_end) {
  uint64_t sink[8];
  while (read(read_end, sink, sizeof(sink)) == (ssize_t)sizeof(sink)) { }
}


void doorbell_close (int read_end, int write_end) {
  if (read_end < 0) return;
  close(read_end);
  if (write_end != read_end) close(write_end);
}

/* }====================================================== */


/* {======================================================
** Threads and signals
** ======================================================= */

static int forked, threaded;  /* atomic */

static void in_child (void) {
  atomic_set(&forked, 1);
  atomic_set(&threaded, 0);
}


/* The mask of the thread that started the first isolate. Signals that a
** thread meets by its own fault are never blocked. */
static sigset_t original_mask;
static pthread_once_t first_once = PTHREAD_ONCE_INIT;

static void first_thread (void) {
  pthread_sigmask(SIG_SETMASK, NULL, &original_mask);
  pthread_atfork(NULL, NULL, in_child);
  atomic_set(&threaded, 1);
}


/* A pipe whose ends the children of others do not get. */
static int open_pipe (int fd[2]) {
#if defined(__linux__)
  return pipe2(fd, O_CLOEXEC);
#else
  if (pipe(fd) != 0) return -1;
  fcntl(fd[0], F_SETFD, FD_CLOEXEC);
  fcntl(fd[1], F_SETFD, FD_CLOEXEC);
  return 0;
#endif
}


/* Starts the shell, with 'fd' (if not -1) in place of its descriptor 'as'. */
static int start_shell (const char *command, int fd, int as, pid_t *pid) {
  const char *const argv[] = {"sh", "-c", command, NULL};
  posix_spawnattr_t attr;
  posix_spawn_file_actions_t actions;
  int error;
  posix_spawnattr_init(&attr);
  posix_spawnattr_setsigmask(&attr, &original_mask);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
  posix_spawn_file_actions_init(&actions);
  error = fd < 0 ? 0 : posix_spawn_file_actions_adddup2(&actions, fd, as);
  if (error == 0)
    error = posix_spawn(pid, "/bin/sh", &actions, &attr, (char *const *)argv,
                        environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attr);
  return error;
}


long command_start (const char *command, const char *mode, FILE **pipe_end) {
  int fd[2], error, theirs, ours;
  pid_t pid;
  if (mode == NULL) {
    errno = start_shell(command, -1, -1, &pid);
    return errno == 0 ? (long)pid : -1;
  }
  if (open_pipe(fd) != 0) return -1;
  theirs = (mode[0] == 'r') ? fd[1] : fd[0];
  ours = (mode[0] == 'r') ? fd[0] : fd[1];
  *pipe_end = fdopen(ours, mode);
  error = (*pipe_end == NULL) ? errno
        : start_shell(command, theirs, mode[0] == 'r' ? 1 : 0, &pid);
  close(theirs);
  if (error == 0) return (long)pid;
  if (*pipe_end != NULL) fclose(*pipe_end);
  else close(ours);
  errno = error;
  return -1;
}


int command_wait (long process, int *status) {
  if (waitpid((pid_t)process, status, 0) >= 0) return 1;
  return errno == EINTR ? 0 : -1;
}


int thread_start (Thread *t, void *(*fn) (void *), void *arg, size_t stack) {
  static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP,
                             SIGSYS, SIGPROF};
  pthread_attr_t attr;
  sigset_t closed, before;
  size_t i;
  int error;
  if (!THREADS) return ENOSYS;
  pthread_once(&first_once, first_thread);
  sigfillset(&closed);
  for (i = 0; i < sizeof(open) / sizeof(open[0]); i++)
    sigdelset(&closed, open[i]);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  error = pthread_attr_setstacksize(&attr, stack);
  if (error == 0) {
    pthread_sigmask(SIG_BLOCK, &closed, &before);  /* the thread inherits it */
    error = pthread_create(t, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  pthread_attr_destroy(&attr);
  return error;
}


void thread_set_name (const char *name) {
  char kept[16];  /* what Linux shows: 15 bytes, never half a character */
  size_t n = strlen(name);
  if (n > sizeof(kept) - 1) {
    n = sizeof(kept) - 1;
    while (n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80) n--;
  }
  memcpy(kept, name, n);
  kept[n] = '\0';
#if defined(__APPLE__)
  pthread_setname_np(kept);
#elif defined(__linux__)
  pthread_setname_np(pthread_self(), kept);
#endif
}


#define YIELD_EVERY	16	/* turns */

void thread_yield (void) { sched_yield(); }


int spin_turn (int *turns, double end) {
  if (++*turns % YIELD_EVERY != 0) {
    cpu_relax();
    return 1;
  }
  thread_yield();
  return clock_now() < end;
}


double thread_cpu (Thread t) {
#if defined(__APPLE__)
  (void)t;
  return 0;
#else
  clockid_t id;
  struct timespec used;
  if (pthread_getcpuclockid(t, &id) != 0) return 0;
  if (clock_gettime(id, &used) != 0) return 0;
  return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
#endif
}

/* }====================================================== */


/* {======================================================
** The process
** ======================================================= */

#if defined(__linux__)

/* What the cgroup (version 2) of this process grants, or 0. */
static int cgroup_quota (void) {
  double quota = 0, period = 0;
  FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (f == NULL) return 0;
  if (fscanf(f, "%lf %lf", &quota, &period) != 2) quota = 0;
  fclose(f);
  return (quota > 0 && period > 0) ? (int)((quota + period - 1) / period) : 0;
}

#endif


int processors (void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
  cpu_set_t set;
  int quota = cgroup_quota();
  if (sched_getaffinity(0, sizeof(set), &set) == 0) n = CPU_COUNT(&set);
  if (quota > 0 && quota < n) n = quota;
#endif
  return n < 1 ? 1 : (int)n;
}


int processor (void) {
#if defined(__linux__)
  int n = sched_getcpu();
  return n < 0 ? 0 : n;
#else
  return 0;
#endif
}


void entropy (void *bytes, size_t n) {
  unsigned char *p = (unsigned char *)bytes;
  size_t i;
  double now;
#if defined(__linux__)
  if (getrandom(bytes, n, GRND_NONBLOCK) == (ssize_t)n) return;
#else
  FILE *f = fopen("/dev/urandom", "rb");
  if (f != NULL) {
    size_t got = fread(bytes, 1, n, f);
    fclose(f);
    if (got == n) return;
  }
#endif
  now = clock_now();  /* better than the same for all */
  for (i = 0; i < n; i++)
    p[i] = (unsigned char)(((unsigned char *)&now)[i % sizeof(now)] ^
                           (unsigned char)((uintptr_t)p >> (i % 8)) ^ i);
}


int terminal_width (void) {
  struct winsize size;
  if (!isatty(STDERR_FILENO)) return 0;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}


int working_directory (char *buffer, size_t size) {
  if (getcwd(buffer, size) != NULL) return 1;
  return errno == ERANGE ? -1 : 0;
}


void block_prefer_huge (void *block, size_t size) {
#if defined(MADV_HUGEPAGE)
  const uintptr_t page = 2 * 1024 * 1024;  /* a huge one, or several */
  uintptr_t first = ((uintptr_t)block + page - 1) / page * page;
  uintptr_t end = ((uintptr_t)block + size) / page * page;
  if (first < end) madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
  (void)block; (void)size;
#endif
}


static char *map_pages (size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : (char *)p;
}


void *pages_new (size_t size) {
  char *p = map_pages(size), *end;
  size_t before;
  if (p == NULL || (uintptr_t)p % size == 0) return p;
  munmap(p, size);
  p = map_pages(2 * size);
  if (p == NULL) return NULL;
  end = p + 2 * size;
  before = size - (uintptr_t)p % size;
  if (before > 0) munmap(p, before);
  p += before;
  munmap(p + size, (size_t)(end - p) - size);
  return p;
}


void pages_free (void *pages, size_t size) { munmap(pages, size); }


void pages_drop (void *pages, size_t size) {
#if defined(__linux__)
  madvise(pages, size, MADV_DONTNEED);
#elif defined(MADV_FREE)
  madvise(pages, size, MADV_FREE);
#else
  (void)pages; (void)size;
#endif
}


/* What glibc's malloc keeps grows with the largest block that came from the system by
** itself and was freed: twice its size. Before the first one it keeps 128 KiB, and a
** program that sends 100 KiB there and back has all pages made anew for each: 112 us,
** with this 16. (With MALLOC_TRIM_THRESHOLD_ in the environment nothing grows.) */
void malloc_keep (void) {
#if defined(__GLIBC__)
  void *volatile block = malloc((size_t)4 * 1024 * 1024);
  free(block);
#endif
}


void library_pin (const void *address) {
  Dl_info info;
  if (dladdr(address, &info) != 0 && info.dli_fname != NULL)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}


int process_forked (void) { return atomic_get(&forked); }
int process_threaded (void) { return atomic_get(&threaded); }

/* }====================================================== */
