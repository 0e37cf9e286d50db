/*
** fault.c
** A preloaded library that refuses memory, threads and descriptors on demand,
** and the Lua module that arms it: one file, for both must be the same.
**
**   fault.arm(what, n, times?, who?)   the n-th call from now on fails, and
**                                      all in all 'times' (default 1; 0: all)
**     what  "memory", "pages" (of the system, that is mmap), "thread" or "descriptor"
**     who   "all" (default), "here" (this thread) or "others"
**   fault.disarm() -> calls seen, calls refused
**   fault.live() -> blocks that isolate's core has and did not free
**   fault.fresh(script, what, n, times?) -> ok, error; ok, error; calls refused
**       runs 'script' in a new state, armed; then once more in that state,
**       disarmed; then closes the state
**   fault.descriptors(n)   from now on the process may have n of them
**   fault.watch(f)   whose blocks 'live' counts: those that the library of the
**                    C function 'f' allocates
*/

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>


/* {======================================================
** What is armed
** ======================================================= */

enum { NOTHING, MEMORY, PAGES, THREAD, DESCRIPTOR };
enum { ALL, HERE, OTHERS };

static int armed;			/* atomic: what fails */
static int who;				/* where */
static pthread_t arming;		/* 'here' */
static long first, times;		/* the calls that fail; 0 times = no end */
static long seen, refused;		/* atomic */
static int sanitized;			/* a sanitizer is in the process */


/* Is the caller the C library, or a sanitizer, which ends the process when it
** has no memory? */
static int foreign (const void *caller) {
  Dl_info info;
  return dladdr(caller, &info) == 0 || strstr(info.dli_fname, "/libc.so") != NULL ||
         strstr(info.dli_fname, "/ld-") != NULL || strstr(info.dli_fname, "san.so") != NULL;
}


/* Is this call to fail? */
static int fails (int what, const void *caller) {
  long i;
  if (__atomic_load_n(&armed, __ATOMIC_ACQUIRE) != what) return 0;
  if (sanitized && caller != NULL && foreign(caller)) return 0;
  if (who != ALL && (who == HERE) != (pthread_equal(pthread_self(), arming) != 0))
    return 0;
  i = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
  if (i < first || (times > 0 && i >= first + times)) return 0;
  __atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
  return 1;
}

/* }====================================================== */


/* {======================================================
** The blocks of isolate's core: a set of addresses
** ======================================================= */

#define BLOCKS	(1u << 20)

static uintptr_t blocks[BLOCKS];	/* 0 = free, 1 = was freed */
static long live;
static int lock;			/* a spin lock: nothing here may wait */
static uintptr_t core_start, core_end;	/* its code */


static void enter (void) {
  while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) { }
}


static void leave (void) { __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); }


static unsigned int slot (uintptr_t p) {
  return (unsigned int)((p >> 4) * 2654435761u) & (BLOCKS - 1);
}


static int from_core (const void *caller) {
  uintptr_t p = (uintptr_t)caller;
  return p >= core_start && p < core_end;
}


static void note (void *p) {
  unsigned int i = slot((uintptr_t)p);
  if (p == NULL) return;
  enter();
  while (blocks[i] > 1) i = (i + 1) & (BLOCKS - 1);
  blocks[i] = (uintptr_t)p;
  live++;
  leave();
}


static void forget (void *p) {
  unsigned int i = slot((uintptr_t)p);
  if (p == NULL || core_end == 0) return;
  enter();
  while (blocks[i] != 0 && blocks[i] != (uintptr_t)p) i = (i + 1) & (BLOCKS - 1);
  if (blocks[i] != 0) {
    blocks[i] = 1;
    live--;
  }
  leave();
}

/* }====================================================== */


/* {======================================================
** What is interposed
** ======================================================= */

/* The function that would have been called; 'dlsym' itself wants memory. */
#define NEXT(name)	((__typeof__(&name))next(#name, &name##_next))

static void *malloc_next, *calloc_next, *realloc_next, *free_next,
            *mmap_next, *pthread_create_next, *eventfd_next;

static char early[16 * 1024];		/* for what 'dlsym' asks for */
static size_t early_used;

static void *early_block (size_t n) {
  void *p = early + early_used;
  early_used += (n + 15) & ~(size_t)15;
  if (early_used > sizeof(early)) abort();
  return p;
}


/* 'dlsym' calls us back, which its declaration denies: hence volatile. */
static __thread volatile int looking __attribute__((tls_model("initial-exec")));

static void *next (const char *name, void **known) {
  if (*known == NULL && !looking) {
    looking = 1;
    *known = dlsym(RTLD_NEXT, name);
    looking = 0;
  }
  return *known;
}


void *malloc (size_t n) {
  void *p;
  if (looking || NEXT(free) == NULL || NEXT(malloc) == NULL) return early_block(n);
  if (fails(MEMORY, __builtin_return_address(0))) {
    errno = ENOMEM;
    return NULL;
  }
  p = NEXT(malloc)(n);
  if (from_core(__builtin_return_address(0))) note(p);
  return p;
}


void *calloc (size_t n, size_t size) {
  void *p;
  if (looking || NEXT(free) == NULL || NEXT(calloc) == NULL) return early_block(n * size);
  if (fails(MEMORY, __builtin_return_address(0))) {
    errno = ENOMEM;
    return NULL;
  }
  p = NEXT(calloc)(n, size);
  if (from_core(__builtin_return_address(0))) note(p);
  return p;
}


void *realloc (void *old, size_t n) {
  void *p;
  if (NEXT(realloc) == NULL) abort();
  if (fails(MEMORY, __builtin_return_address(0))) {
    errno = ENOMEM;
    return NULL;
  }
  forget(old);
  p = NEXT(realloc)(old, n);
  if (from_core(__builtin_return_address(0))) note(p != NULL ? p : old);
  return p;
}


void free (void *p) {
  if ((char *)p >= early && (char *)p < early + sizeof(early)) return;
  if (NEXT(free) == NULL) return;  /* 'dlsym' is looking for it */
  forget(p);
  NEXT(free)(p);
}


void *mmap (void *address, size_t n, int protection, int flags, int file, off_t offset) {
  const void *caller = __builtin_return_address(0);
  if (fails(MEMORY, caller) || fails(PAGES, caller)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return NEXT(mmap)(address, n, protection, flags, file, offset);
}


int pthread_create (pthread_t *thread, const pthread_attr_t *attr,
                    void *(*fn) (void *), void *arg) {
  if (fails(THREAD, NULL)) return EAGAIN;
  return NEXT(pthread_create)(thread, attr, fn, arg);
}


int eventfd (unsigned int count, int flags) {
  if (fails(DESCRIPTOR, NULL)) {
    errno = EMFILE;
    return -1;
  }
  return NEXT(eventfd)(count, flags);
}

/* }====================================================== */


/* {======================================================
** The module
** ======================================================= */

static void arm (int what, long n, long count, int where) {
  sanitized = dlsym(RTLD_DEFAULT, "__asan_init") != NULL;
  first = n;
  times = count;
  who = where;
  arming = pthread_self();
  seen = refused = 0;
  __atomic_store_n(&armed, what, __ATOMIC_RELEASE);
}


static const char *const things[] = {"nothing", "memory", "pages", "thread",
                                     "descriptor", NULL};

static int fault_arm (lua_State *L) {
  static const char *const places[] = {"all", "here", "others", NULL};
  int what = luaL_checkoption(L, 1, NULL, things);
  lua_Integer n = luaL_checkinteger(L, 2), count = luaL_optinteger(L, 3, 1);
  int where = luaL_checkoption(L, 4, "all", places);
  arm(what, (long)n, (long)count, where);
  return 0;
}


static int fault_disarm (lua_State *L) {
  __atomic_store_n(&armed, NOTHING, __ATOMIC_RELEASE);
  lua_pushinteger(L, __atomic_load_n(&seen, __ATOMIC_RELAXED));
  lua_pushinteger(L, __atomic_load_n(&refused, __ATOMIC_RELAXED));
  return 2;
}


static int fault_live (lua_State *L) {
  enter();
  lua_pushinteger(L, live);
  leave();
  return 1;
}


/* Runs the script in 'fresh'; pushes what came of it. */
static void run (lua_State *L, lua_State *fresh, const char *script) {
  int ok = (luaL_loadstring(fresh, script) == LUA_OK &&
            lua_pcall(fresh, 0, 0, 0) == LUA_OK);
  __atomic_store_n(&armed, NOTHING, __ATOMIC_RELEASE);
  lua_pushboolean(L, ok);
  lua_pushstring(L, ok ? NULL : luaL_tolstring(fresh, -1, NULL));
  lua_settop(fresh, 0);
}


static int fault_fresh (lua_State *L) {
  const char *script = luaL_checkstring(L, 1);
  int what = luaL_checkoption(L, 2, NULL, things);
  lua_Integer n = luaL_checkinteger(L, 3), count = luaL_optinteger(L, 4, 1);
  lua_State *fresh = luaL_newstate();
  if (fresh == NULL) return luaL_error(L, "not enough memory");
  luaL_openlibs(fresh);
  arm(what, (long)n, (long)count, ALL);
  run(L, fresh, script);
  run(L, fresh, script);
  lua_close(fresh);
  lua_pushinteger(L, __atomic_load_n(&refused, __ATOMIC_RELAXED));
  return 5;
}


static int fault_descriptors (lua_State *L) {
  struct rlimit limit;
  limit.rlim_cur = limit.rlim_max = (rlim_t)luaL_checkinteger(L, 1);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return luaL_error(L, "setrlimit: %s", strerror(errno));
  return 0;
}


/* Where the code of the library with 'address' is: the end is that of what is
** mapped, up to the next library's. */
static void find_core (const void *address) {
  char line[512];
  unsigned long start, end;
  Dl_info info;
  FILE *f = fopen("/proc/self/maps", "r");
  if (dladdr(address, &info) == 0 || f == NULL) return;
  while (fgets(line, sizeof(line), f) != NULL) {
    char *file = strchr(line, '/');
    if (file == NULL || sscanf(line, "%lx-%lx", &start, &end) != 2) continue;
    if (strncmp(file, info.dli_fname, strlen(info.dli_fname)) != 0) continue;
    if (core_start == 0) core_start = start;
    core_end = end;
  }
  fclose(f);
}


static int fault_watch (lua_State *L) {
  lua_CFunction f = lua_tocfunction(L, 1);
  void *address;
  memcpy(&address, &f, sizeof(address));
  find_core(address);
  lua_pushboolean(L, core_end != 0);
  return 1;
}


int luaopen_fault (lua_State *L);

int luaopen_fault (lua_State *L) {
  static const luaL_Reg functions[] = {
    {"arm", fault_arm}, {"disarm", fault_disarm}, {"live", fault_live},
    {"fresh", fault_fresh}, {"watch", fault_watch},
    {"descriptors", fault_descriptors}, {NULL, NULL}
  };
  luaL_newlib(L, functions);
  return 1;
}

/* }====================================================== */
