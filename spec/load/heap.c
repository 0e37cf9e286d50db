/*
** heap.c
** A Lua module: a function that tells how many bytes malloc has given out and
** not got back. Memory of the process says less: glibc keeps what was freed.
*/

#include <malloc.h>

#include "lua.h"
#include "lauxlib.h"


static int used (lua_State *L) {
  struct mallinfo2 info = mallinfo2();
  lua_pushinteger(L, (lua_Integer)(info.uordblks + info.hblkhd));
  return 1;
}


int luaopen_heap (lua_State *L);

int luaopen_heap (lua_State *L) {
  lua_pushcfunction(L, used);
  return 1;
}
