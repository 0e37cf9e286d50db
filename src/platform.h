/*
** platform.h
** Threads, locks, clocks and wake-ups: the only room with #ifdef for systems.
*/

#ifndef platform_h
#define platform_h

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>


/*
** Atomics: plain fields, touched through these words only. Loads acquire,
** stores release, the others do both ('atomic_swap': in one order for all).
*/
#define atomic_get(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_set(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define atomic_add(p, v)	__atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)
#define atomic_swap(p, v)	__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* Sets '*p' to 'v' if it is 'old'; true if it was. */
#define atomic_swap_if(p, old, v) \
	__atomic_compare_exchange_n((p), &(old), (v), 0, \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/* Keeps the order of what this thread stores for its own signal handlers. */
#define signal_fence()		__atomic_signal_fence(__ATOMIC_SEQ_CST)

/* Tells the processor that this is a waiting loop. */
#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax()	__builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax()	__asm__ __volatile__("yield")
#else
#define cpu_relax()	((void)0)
#endif


/* Is each block watched, by the address sanitizer or a spec? Then all are the C
** library's, and none is used again by us. */
#if !defined(MEMORY_CHECKED)
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_CHECKED	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_CHECKED	1
#endif
#endif
#endif
#if !defined(MEMORY_CHECKED)
#define MEMORY_CHECKED	0
#endif


/* Their numbers; 'x' is not 0. */
#define lowest_bit(x)	__builtin_ctzll(x)
#define highest_bit(x)	(63 - __builtin_clzll(x))

#define CACHE_LINE	64	/* bytes; of most processors */


/*
** Locks. Each guards a little, and is held for a short time: never across a wait for
** something else, or a call of Lua.
*/
typedef pthread_mutex_t Mutex;
typedef pthread_cond_t Cond;

#define MUTEX_INIT	PTHREAD_MUTEX_INITIALIZER

void mutex_init (Mutex *m);
void mutex_destroy (Mutex *m);
void mutex_lock (Mutex *m);
void mutex_unlock (Mutex *m);

void cond_init (Cond *c);	/* waits measured by 'clock_now' */
void cond_signal (Cond *c);
void cond_broadcast (Cond *c);

/* Waits, with 'm' held, until woken (maybe for nothing) or 'deadline'.
** Returns 0 when the deadline has passed. */
int cond_wait (Cond *c, Mutex *m, double deadline);


/*
** Waits are spun where that pays: where the last ones were short (in seconds),
** the next one may be, too. Else who sleeps lets others have the processor.
*/
#define QUICK		2e-4

#define SPIN		4e-5	/* about as long as a sleep and a wake-up cost */

/* Lets other threads that are ready run on this processor first. */
void thread_yield (void);

/* One turn, counted, of a loop that looks for something. Who brings it may have to
** run on this processor: so it lets others run now and then. False when the time is
** over. */
int spin_turn (int *turns, double end);


/*
** A bell that one thread waits for and any thread rings. The waiter is woken
** by a signal handler, too: that is how Ctrl-C and a kill reach it.
*/
typedef struct Bell {
  int word;		/* 1 while the waiter sleeps or is about to */
#if !defined(__linux__)
  Mutex lock;
  Cond cond;
#endif
} Bell;

enum { BELL_RUNG, BELL_TIMEOUT, BELL_SIGNAL };

#define NEVER	1e300		/* a deadline that never comes */

void bell_init (Bell *b);
void bell_destroy (Bell *b);

/* The waiter's side: 'bell_arm', look once more whether there is work, then
** 'bell_wait' until the deadline; any other way out is 'bell_disarm'. */
void bell_arm (Bell *b);
void bell_disarm (Bell *b);
int bell_wait (Bell *b, double deadline);

/* Any thread: wakes the waiter if it sleeps. One system call then, else none. */
void bell_ring (Bell *b);


/*
** A descriptor that is readable while it was rung: for hosts that wait in
** poll. Returns -1 when there is none to be had.
*/
int doorbell_open (int *write_end);
void doorbell_ring (int write_end);
void doorbell_drain (int read_end);
void doorbell_close (int read_end, int write_end);


/*
** Threads. All are detached: their end is told by a message, not by a join.
** All signals are blocked there, but for those that a thread meets by its own
** fault. Returns 0 when started, else an errno; then nothing has happened.
*/
typedef pthread_t Thread;

/* For hosts where there are none: ISOLATE_NO_THREADS makes 'thread_start' fail
** always. */
#if defined(ISOLATE_NO_THREADS)
#define THREADS		0
#else
#define THREADS		1
#endif

int thread_start (Thread *t, void *(*fn) (void *), void *arg, size_t stack);
void thread_set_name (const char *name);	/* of the calling thread */
double thread_cpu (Thread t);	/* seconds it has run; the thread must live */

/* Starts a shell command, with the signal mask that the process had when its
** first isolate started. 'mode' is "r" or "w" for a pipe from or to it, which
** comes in '*pipe_end'; NULL for none. Returns its process, or -1 with errno set. */
long command_start (const char *command, const char *mode, FILE **pipe_end);

/* Waits for its end: 1 with the status of waitpid; 0 after a signal; or -1. */
int command_wait (long process, int *status);


double clock_now (void);		/* seconds, monotonic */
int processors (void);			/* that this process may use */
int processor (void);	/* number of the one this thread is on; 0 if nobody knows */
void entropy (void *bytes, size_t n);	/* from the system, or nearly so */

/* Blocks of this size or more are worth a word to the system. (Smaller ones
** are soon met in memory that is warm, and a huge page may not be.) */
#define LARGE_BLOCK	((size_t)16 * 1024 * 1024)

/* A block that large was got and is about to be written: asks the system to
** give it huge pages, which cost half as much when they are first touched. Of
** use or not, nothing else changes. */
void block_prefer_huge (void *block, size_t size);

/* Memory from the system, at an address that is a multiple of its size (a power of
** two); NULL if there is none. What is dropped stays the caller's: its content is
** lost, and it takes no memory until it is written. */
void *pages_new (size_t size);
void pages_free (void *pages, size_t size);
void pages_drop (void *pages, size_t size);

/* Lets malloc keep a few MiB of what is freed for what comes next: large messages
** take no new pages then. For the process; a second call changes nothing. */
void malloc_keep (void);

/* Columns of the terminal that is stderr; 0 if it is none. */
int terminal_width (void);

/* Writes the working directory: 1; 0 if there is none; -1 if it is longer. */
int working_directory (char *buffer, size_t size);

/* Keeps the library that holds 'address' loaded until the process ends. */
void library_pin (const void *address);

/* True in the child of a fork if threads had been started before: they are not
** there, and what they had locked stays so. */
int process_forked (void);

/* True when a thread was started, and this is no child of a fork. */
int process_threaded (void);

#endif
