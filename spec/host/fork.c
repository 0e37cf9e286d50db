/*
** fork.c
** A host that forks: PARENT runs before, CHILD runs in the child, in the same
** state. Then both close it. The status is the child's, if the parent is well.
**
** usage: fork PARENT CHILD
*/

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"


int main (int argc, char **argv) {
  if (argc != 3) host_fail("usage", "fork PARENT CHILD");
  lua_State *L = host_open(argv[1]);
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) host_fail("fork", "refused");
  if (child == 0) {
    alarm(10);  /* the guard outside sees the parent only */
    host_run(L, argv[2]);
    lua_close(L);
    printf("child ends\n");
    return 0;
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) host_fail("waitpid", "failed");
  host_turn(L);
  lua_close(L);
  printf("parent ends\n");
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "host: the child died of signal %d\n", WTERMSIG(status));
    return 3;
  }
  return WEXITSTATUS(status);
}
