/*
** forking.c
** A module for programs that fork: fork() -> 0 in the child, else its id;
** wait(id) -> "exit" and its status, or "signal" and the number.
*/

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lua.h>
#include <lauxlib.h>

int luaopen_forking (lua_State *L);


static int forking_fork (lua_State *L) {
  pid_t id = fork();
  if (id < 0) return luaL_error(L, "cannot fork");
  if (id == 0) {  /* a child that hangs ends by a signal */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    alarm(10);
  }
  lua_pushinteger(L, id);
  return 1;
}


static int forking_wait (lua_State *L) {
  pid_t id = (pid_t)luaL_checkinteger(L, 1);
  int status = 0;
  if (waitpid(id, &status, 0) != id) return luaL_error(L, "cannot wait");
  lua_pushstring(L, WIFSIGNALED(status) ? "signal" : "exit");
  lua_pushinteger(L, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return 2;
}


int luaopen_forking (lua_State *L) {
  static const luaL_Reg functions[] = {
    {"fork", forking_fork}, {"wait", forking_wait}, {NULL, NULL}
  };
  luaL_newlib(L, functions);
  return 1;
}
