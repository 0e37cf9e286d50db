/*
** floor.c
** The floors of the benchmarks: for each measure, the least that any implementation must do, in plain C.
*/

/*
** Usage: floor COMMAND NUMBER [NUMBER], or floor COMMAND FILE [NUMBER NUMBER]. Prints seconds per operation, or bytes.
** Nothing here is clever, nothing is left out that an implementation could not leave out as well.
** For Linux: the sleeping round trip uses a futex.
*/

#define _GNU_SOURCE

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lua.h"

#include "lauxlib.h"
#include "lualib.h"


static _Noreturn void die (const char *what) {
  fprintf(stderr, "floor: %s\n", what);
  exit(EXIT_FAILURE);
}


/* The time of 'clock' in seconds. */
static double seconds (clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}


static double now (void) {
  return seconds(CLOCK_MONOTONIC);
}


static void rest (double time) {
  struct timespec t;
  t.tv_sec = (time_t)time;
  t.tv_nsec = (long)((time - (double)t.tv_sec) * 1e9);
  nanosleep(&t, NULL);
}


static pthread_t start (void *(*body) (void *), void *arg) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, arg) != 0) die("no thread");
  return thread;
}


static void *must (void *block) {
  if (block == NULL) die("no memory");
  return block;
}


static lua_State *newstate (void) {
  lua_State *L = must(luaL_newstate());
  luaL_openlibs(L);
  return L;
}


/*
** {======================================================
** Starting: a thread and a state, made and ended
** =======================================================
*/

static void *live_and_die (void *arg) {
  lua_close(newstate());
  return arg;
}


typedef struct Park {  /* where threads wait until they are let go */
  pthread_mutex_t lock;
  pthread_cond_t arrived;  /* rung when one has been parked */
  pthread_cond_t opened;  /* rung when all may go */
  long parked;
  int open;  /* whether they may go */
} Park;

static Park park = {
  PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0
};


/* Makes a state, and lives with it until the park opens. */
static void *live_parked (void *arg) {
  lua_State *L = newstate();
  pthread_mutex_lock(&park.lock);
  park.parked++;
  pthread_cond_signal(&park.arrived);
  while (!park.open) pthread_cond_wait(&park.opened, &park.lock);
  pthread_mutex_unlock(&park.lock);
  lua_close(L);
  return arg;
}


/* Starts 'n' threads with a state each; returns when all of them are parked. */
static pthread_t *park_threads (long n) {
  pthread_t *threads = must(calloc((size_t)n + 1, sizeof(pthread_t)));
  for (long i = 0; i < n; i++) {
    threads[i] = start(live_parked, NULL);
    pthread_mutex_lock(&park.lock);
    while (park.parked <= i) pthread_cond_wait(&park.arrived, &park.lock);
    pthread_mutex_unlock(&park.lock);
  }
  return threads;
}


/* Lets the 'n' parked threads go, and waits for their end. */
static void open_park (pthread_t *threads, long n) {
  pthread_mutex_lock(&park.lock);
  park.open = 1;
  pthread_cond_broadcast(&park.opened);
  pthread_mutex_unlock(&park.lock);
  for (long i = 0; i < n; i++) pthread_join(threads[i], NULL);
  free(threads);
}


/* 'n' of them, one after the other: seconds. */
static double live_often (long n) {
  double begin = now();
  for (long i = 0; i < n; i++)
    pthread_join(start(live_and_die, NULL), NULL);
  return now() - begin;
}


/* While so many others are alive and wait. */
static double floor_thread (long n, long alive) {
  pthread_t *others = park_threads(alive);
  double took = live_often(n);
  open_park(others, alive);
  return took / (double)n;
}


/* In bursts as long as those of P1, so many, with the same rest before each. */
static double floor_rested (long bursts, long unused) {
  long size = 2 * sysconf(_SC_NPROCESSORS_ONLN) + 4;
  double took = 0;
  (void)unused;
  live_often(size);
  for (long i = 0; i < bursts; i++) {
    rest(0.05);
    took += live_often(size);
  }
  return took / (double)(bursts * size);
}


/* Memory of this process, in bytes. */
static double resident (void) {
  long pages;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) die("no /proc/self/statm");
  fclose(f);
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}


/* The memory of each of 'n' threads that are parked with a state. */
static double floor_parked (long n, long unused) {
  double before = resident();
  pthread_t *threads = park_threads(n);
  double each = (resident() - before) / (double)n;
  (void)unused;
  open_park(threads, n);
  return each;
}

/* }====================================================== */


/*
** {======================================================
** Round trips: a number there and back, with both sides asleep in between, or awake
** =======================================================
*/

typedef struct Table {  /* the two sides of a ping-pong table */
  _Alignas(64) atomic_int there;  /* number of the last ball played there */
  _Alignas(64) atomic_int back;  /* number of the last ball returned */
  int n;  /* how many balls will be played */
  int sleeping;  /* whether to wait in the kernel */
} Table;


static void play (Table *t, atomic_int *side, int ball) {
  atomic_store(side, ball);
  if (t->sleeping) syscall(SYS_futex, side, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}


/* Waits until 'side' shows 'ball'; until then it shows the one before. */
static void await (Table *t, atomic_int *side, int ball) {
  while (atomic_load(side) != ball) {
    if (t->sleeping) syscall(SYS_futex, side, FUTEX_WAIT_PRIVATE, ball - 1, NULL, NULL, 0);
  }
}


static void *return_balls (void *arg) {
  Table *t = arg;
  for (int i = 1; i <= t->n; i++) {
    await(t, &t->there, i);
    play(t, &t->back, i);
  }
  return NULL;
}


/* Plays 'n' balls, with a pause before each, which does not count. */
static double rally (long n, long pause_us, int sleeping) {
  Table t = {0};
  pthread_t other;
  double total = 0;
  t.n = (int)n;
  t.sleeping = sleeping;
  other = start(return_balls, &t);
  for (int i = 1; i <= t.n; i++) {
    double begin;
    if (pause_us > 0) rest((double)pause_us * 1e-6);
    begin = now();
    play(&t, &t.there, i);
    await(&t, &t.back, i);
    total += now() - begin;
  }
  pthread_join(other, NULL);
  return total / (double)n;
}


static double floor_futex (long n, long pause_us) {
  return rally(n, pause_us, 1);
}


static double floor_spin (long n, long pause_us) {
  return rally(n, pause_us, 0);
}

/* }====================================================== */


/*
** {======================================================
** One way: a ring, and a plain queue with Lua at both ends
** =======================================================
*/

#define RINGSIZE	1024

typedef struct Ring {
  pthread_mutex_t lock;
  pthread_cond_t changed;  /* rung when the ring stops being empty or full */
  long slot[RINGSIZE];
  long head, tail;  /* how many were taken and put so far */
} Ring;

static Ring ring = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {0}, 0, 0};


static void ring_put (long value) {
  pthread_mutex_lock(&ring.lock);
  while (ring.tail - ring.head == RINGSIZE) pthread_cond_wait(&ring.changed, &ring.lock);
  ring.slot[ring.tail++ % RINGSIZE] = value;
  if (ring.tail - ring.head == 1) pthread_cond_signal(&ring.changed);
  pthread_mutex_unlock(&ring.lock);
}


static long ring_take (void) {
  long value;
  pthread_mutex_lock(&ring.lock);
  while (ring.tail == ring.head) pthread_cond_wait(&ring.changed, &ring.lock);
  value = ring.slot[ring.head++ % RINGSIZE];
  if (ring.tail - ring.head == RINGSIZE - 1) pthread_cond_signal(&ring.changed);
  pthread_mutex_unlock(&ring.lock);
  return value;
}


static void *fill_ring (void *arg) {
  long n = *(long *)arg;
  for (long i = 1; i <= n; i++) ring_put(i);
  return NULL;
}


static double floor_ring (long n, long unused) {
  pthread_t sender;
  double begin = now();
  (void)unused;
  sender = start(fill_ring, &n);
  for (long i = 1; i <= n; i++) {
    if (ring_take() != i) die("the ring lost a message");
  }
  pthread_join(sender, NULL);
  return (now() - begin) / (double)n;
}


typedef struct Letter {  /* a message of the plain program */
  struct Letter *next;
  lua_Integer value;
} Letter;

typedef struct Queue {
  pthread_mutex_t lock;
  pthread_cond_t filled;  /* rung when it stops being empty */
  Letter *first;
  Letter **last;  /* where the next one is to be linked */
} Queue;

static Queue queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &queue.first};


static int plain_send (lua_State *L) {
  Letter *letter = must(malloc(sizeof(Letter)));
  letter->value = luaL_checkinteger(L, 1);
  letter->next = NULL;
  pthread_mutex_lock(&queue.lock);
  if (queue.first == NULL) pthread_cond_signal(&queue.filled);
  *queue.last = letter;
  queue.last = &letter->next;
  pthread_mutex_unlock(&queue.lock);
  return 0;
}


static Letter *plain_take (void) {
  Letter *letter;
  pthread_mutex_lock(&queue.lock);
  while (queue.first == NULL) pthread_cond_wait(&queue.filled, &queue.lock);
  letter = queue.first;
  queue.first = letter->next;
  if (queue.first == NULL) queue.last = &queue.first;
  pthread_mutex_unlock(&queue.lock);
  return letter;
}


static void *send_letters (void *arg) {
  lua_State *L = newstate();
  lua_register(L, "send", plain_send);
  lua_pushinteger(L, *(long *)arg);
  lua_setglobal(L, "n");
  if (luaL_dostring(L, "local send = send; for i = 1, n do send(i) end")) die(lua_tostring(L, -1));
  lua_close(L);
  return NULL;
}


/* A new state with a Lua function that handles numbers. */
static lua_State *new_handler (void) {
  lua_State *L = newstate();
  if (luaL_dostring(L, "local sum = 0; return function(i) sum = sum + i end")) die(lua_tostring(L, -1));
  return L;
}


/* Waits for a number and has it handled. */
static void handle_letter (lua_State *L) {
  Letter *letter = plain_take();
  lua_pushvalue(L, -1);
  lua_pushinteger(L, letter->value);
  free(letter);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) die(lua_tostring(L, -1));
}


/* Receives 'n' numbers with a Lua function, from so many senders. */
static double floor_plain (long n, long senders) {
  lua_State *L = new_handler();
  pthread_t *threads;
  long share;
  double begin;
  if (senders < 1) senders = 1;
  threads = must(calloc((size_t)senders, sizeof(pthread_t)));
  share = n / senders;
  begin = now();
  for (long i = 0; i < senders; i++) threads[i] = start(send_letters, &share);
  for (long i = 0; i < share * senders; i++) handle_letter(L);
  begin = now() - begin;
  for (long i = 0; i < senders; i++) pthread_join(threads[i], NULL);
  free(threads);
  lua_close(L);
  return begin / (double)(share * senders);
}


static int plain_wait (lua_State *L) {
  (void)L;
  ring_take();
  return 0;
}


typedef struct Bursts {
  long n, times;
} Bursts;


static void *send_bursts (void *arg) {
  const Bursts *b = arg;
  lua_State *L = newstate();
  lua_register(L, "send", plain_send);
  lua_register(L, "wait", plain_wait);
  if (luaL_loadstring(L, "local n, times = ... for _ = 1, times do wait() for i = 1, n do send(i) end end") != LUA_OK)
    die(lua_tostring(L, -1));
  lua_pushinteger(L, b->n);
  lua_pushinteger(L, b->times);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) die(lua_tostring(L, -1));
  lua_close(L);
  return NULL;
}


/* As 'plain', from one sender, in 'times' bursts of 'n', each when the one before has been received. */
static double floor_bursts (long n, long times) {
  Bursts b = {n, times};
  lua_State *L = new_handler();
  pthread_t sender = start(send_bursts, &b);
  double begin;
  begin = now();
  for (long k = 1; k <= times; k++) {
    ring_put(k);
    for (long i = 0; i < n; i++) handle_letter(L);
  }
  begin = now() - begin;
  pthread_join(sender, NULL);
  lua_close(L);
  return begin / (double)(n * times);
}


static void *take_two (void *arg) {
  ring_take();
  ring_take();
  return arg;
}


/* The CPU time of a program whose other thread waits on a condition for 'ms' milliseconds; per second waited. */
static double floor_idle (long ms, long unused) {
  double used;
  pthread_t waiting = start(take_two, NULL);
  (void)unused;
  ring_put(1);
  rest(0.1);
  used = seconds(CLOCK_PROCESS_CPUTIME_ID);
  rest((double)ms * 1e-3);
  used = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
  ring_put(2);
  pthread_join(waiting, NULL);
  return used / ((double)ms * 1e-3);
}

/* }====================================================== */


/*
** {======================================================
** Tables: making them through the C API
** =======================================================
*/

/* Makes 'n' tables {id=, name=, ok=}, and drops them. */
static double floor_tables (long n, long unused) {
  lua_State *L = newstate();
  double begin = now();
  (void)unused;
  for (long i = 0; i < n; i++) {
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, i);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, "some name");
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ok");
    lua_pop(L, 1);
  }
  begin = now() - begin;
  lua_close(L);
  return begin / (double)n;
}


static const char records_source[] =
  "local list = {}\n"
  "for i = 1, ... do\n"
  "  list[i] = {id = i, name = 'record ' .. i, value = i / 7, tags = {'a' .. i % 100, 'b' .. i % 10}}\n"
  "end\n"
  "return list";


/* Leaves a list of 'n' records on the stack of a new state. */
static lua_State *make_records (long n) {
  lua_State *L = newstate();
  if (luaL_loadstring(L, records_source) != LUA_OK) die(lua_tostring(L, -1));
  lua_pushinteger(L, n);
  lua_call(L, 1, 1);
  return L;
}


static void copy (lua_State *from, lua_State *to);

/* Copies the scalar on top of 'from' to the top of 'to'. */
static void copy_scalar (lua_State *from, lua_State *to) {
  switch (lua_type(from, -1)) {
    case LUA_TSTRING: {
      size_t len;
      const char *s = lua_tolstring(from, -1, &len);
      lua_pushlstring(to, s, len);
      break;
    }
    case LUA_TNUMBER:
      if (lua_isinteger(from, -1)) lua_pushinteger(to, lua_tointeger(from, -1));
      else lua_pushnumber(to, lua_tonumber(from, -1));
      break;
    default: die("not a record");
  }
}


/* Copies the value on top of 'from' to the top of 'to'. Records have three fields and a list, or are lists. */
static void copy (lua_State *from, lua_State *to) {
  lua_Unsigned len;
  if (!lua_istable(from, -1)) {
    copy_scalar(from, to);
    return;
  }
  len = lua_rawlen(from, -1);
  lua_createtable(to, (int)len, len == 0 ? 4 : 0);
  lua_pushnil(from);
  while (lua_next(from, -2)) {
    if (len > 0) {
      copy(from, to);
      lua_rawseti(to, -2, lua_tointeger(from, -2));
      lua_pop(from, 1);
    }
    else {
      lua_pushvalue(from, -2);
      copy_scalar(from, to);
      lua_pop(from, 1);
      copy(from, to);
      lua_rawset(to, -3);
      lua_pop(from, 1);
    }
  }
}


/* Seconds to read the value on top of 'from' and build the same in 'to', whose collector is stopped; the mean of 'times'. */
static double time_copies (lua_State *from, lua_State *to, long times) {
  double total = 0;
  lua_gc(to, LUA_GCSTOP);
  lua_checkstack(from, 100);
  lua_checkstack(to, 100);
  for (long i = 0; i < times; i++) {
    double begin = now();
    copy(from, to);
    total += now() - begin;
    lua_settop(to, 0);
    lua_gc(to, LUA_GCCOLLECT);
  }
  return total / (double)times;
}


/* Reads 'n' records in one state and builds the same in another, so many times. */
static double floor_records (long n, long times) {
  lua_State *from = make_records(n);
  lua_State *to = newstate();
  double mean = time_copies(from, to, times > 0 ? times : 1);
  lua_close(to);
  lua_close(from);
  return mean;
}


/* Runs a Lua file with a number, and copies what it returns from one state to another, so many times. */
static double floor_value (const char *path, const char *size, long times) {
  lua_State *from = newstate();
  lua_State *to = newstate();
  double mean;
  if (luaL_loadfile(from, path) != LUA_OK) die(lua_tostring(from, -1));
  lua_pushstring(from, size);
  if (lua_pcall(from, 1, 1, 0) != LUA_OK) die(lua_tostring(from, -1));
  mean = time_copies(from, to, times);
  lua_close(to);
  lua_close(from);
  return mean;
}


/* The 'n' records of make_records, built by C alone, the collector stopped; their names are made beforehand. */
static double floor_build (long n, long unused) {
  enum { NAMESIZE = 32 };
  char (*names)[NAMESIZE] = must(malloc((size_t)n * NAMESIZE));
  char tags[2][100][8];
  lua_State *L = newstate();
  double begin;
  (void)unused;
  for (long i = 0; i < n; i++) snprintf(names[i], NAMESIZE, "record %ld", i + 1);
  for (int i = 0; i < 100; i++) {
    snprintf(tags[0][i], 8, "a%d", i);
    snprintf(tags[1][i], 8, "b%d", i % 10);
  }
  lua_gc(L, LUA_GCSTOP);
  lua_pushstring(L, "id");  /* keys: stack indices 1 to 4 */
  lua_pushstring(L, "name");
  lua_pushstring(L, "value");
  lua_pushstring(L, "tags");
  begin = now();
  lua_createtable(L, (int)n, 0);
  for (long i = 1; i <= n; i++) {
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, i);
    lua_rawset(L, -3);
    lua_pushvalue(L, 2);
    lua_pushstring(L, names[i - 1]);
    lua_rawset(L, -3);
    lua_pushvalue(L, 3);
    lua_pushnumber(L, (lua_Number)i / 7);
    lua_rawset(L, -3);
    lua_pushvalue(L, 4);
    lua_createtable(L, 2, 0);
    for (int k = 0; k < 2; k++) {
      lua_pushstring(L, tags[k][i % 100]);
      lua_rawseti(L, -2, k + 1);
    }
    lua_rawset(L, -3);
    lua_rawseti(L, -2, i);
  }
  begin = now() - begin;
  lua_close(L);
  free(names);
  return begin;
}

/* }====================================================== */


/*
** {======================================================
** A string: one copy of it
** =======================================================
*/

#define MIB	(1024L * 1024)

static int by_size (const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}


/* Seconds of one copy of 'mib' MiB: the median of five, into memory that is 'fresh' each time or always the same. */
static double time_copy (long mib, int fresh) {
  enum { TIMES = 5 };
  double times[TIMES];
  size_t size = (size_t)(mib * MIB);
  char *source = must(malloc(size));
  char *target = must(malloc(size));
  memset(source, 'x', size);
  memset(target, 'y', size);
  for (int i = 0; i < TIMES; i++) {
    double begin = now();
    if (fresh) {
      free(target);
      begin = now();
      target = must(malloc(size));
    }
    memcpy(target, source, size);
    times[i] = now() - begin;
    if (target[size / 2] != 'x') die("not copied");
  }
  free(target);
  free(source);
  qsort(times, TIMES, sizeof(double), by_size);
  return times[TIMES / 2];
}


static double floor_copy (long mib, long unused) {
  (void)unused;
  return time_copy(mib, 1);
}


static double floor_warm_copy (long mib, long unused) {
  (void)unused;
  return time_copy(mib, 0);
}

/* }====================================================== */


/*
** {======================================================
** Photos: the longest single call of building a decoded JSON file
** =======================================================
*/

static double longest;  /* seconds of the longest call so far */

#define timed(call) \
  { double begin_ = now(); call; begin_ = now() - begin_; if (begin_ > longest) longest = begin_; }


/* Pushes the field at the top of 'from' on 'to', and sets it under its key. Pops the field. */
static void timed_field (lua_State *from, lua_State *to) {
  const char *key = lua_tostring(from, -2);
  if (lua_type(from, -1) == LUA_TSTRING) {
    const char *s = lua_tostring(from, -1);
    timed(lua_pushstring(to, s))
  }
  else
    lua_pushnumber(to, lua_tonumber(from, -1));
  timed(lua_setfield(to, -2, key))
  lua_pop(from, 1);
}


/* Pushes the same strings and makes the same tables as the photos in a JSON file: seconds of the longest call. */
static double floor_photos (const char *path) {
  lua_State *from = newstate();
  lua_State *to = newstate();
  lua_Unsigned n;
  lua_pushstring(from, path);
  lua_setglobal(from, "path");
  if (luaL_dostring(from, "return require 'cjson'.decode(io.open(path):read 'a')")) die(lua_tostring(from, -1));
  n = lua_rawlen(from, -1);
  lua_gc(to, LUA_GCSTOP);
  timed(lua_createtable(to, (int)n, 0))
  for (lua_Unsigned i = 1; i <= n; i++) {
    lua_rawgeti(from, -1, (lua_Integer)i);
    timed(lua_createtable(to, 0, 5))
    lua_pushnil(from);
    while (lua_next(from, -2)) timed_field(from, to);
    timed(lua_rawseti(to, -2, (lua_Integer)i))
    lua_pop(from, 1);
  }
  lua_close(to);
  lua_close(from);
  return longest;
}

/* }====================================================== */


typedef struct Command {
  const char *name;
  double (*run) (long n, long more);
} Command;

static const Command commands[] = {
  {"thread", floor_thread},
  {"rested", floor_rested},
  {"parked", floor_parked},
  {"futex", floor_futex},
  {"spin", floor_spin},
  {"ring", floor_ring},
  {"plain", floor_plain},
  {"bursts", floor_bursts},
  {"idle", floor_idle},
  {"tables", floor_tables},
  {"records", floor_records},
  {"build", floor_build},
  {"copy", floor_copy},
  {"warm_copy", floor_warm_copy},
  {NULL, NULL}
};


int main (int argc, char **argv) {
  if (argc < 3) die("usage: floor COMMAND NUMBER [NUMBER], floor photos FILE, or floor value FILE NUMBER NUMBER");
  if (argc > 4 && strcmp(argv[1], "value") == 0) {
    printf("%.9g\n", floor_value(argv[2], argv[3], atol(argv[4])));
    return EXIT_SUCCESS;
  }
  if (strcmp(argv[1], "photos") == 0) {
    printf("%.9g\n", floor_photos(argv[2]));
    return EXIT_SUCCESS;
  }
  for (const Command *c = commands; c->name != NULL; c++) {
    if (strcmp(c->name, argv[1]) == 0) {
      printf("%.9g\n", c->run(atol(argv[2]), argc > 3 ? atol(argv[3]) : 0));
      return EXIT_SUCCESS;
    }
  }
  die("no such command");
}
