/*
** refuse.c
** Why a value cannot be sent, and where in the message it is.
*/

#include <ctype.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "encoder.h"


/* How many steps of a long path are shown at either end. */
#define STEPS_SHOWN	12


/* {======================================================
** Where
** ======================================================= */

int frame_slots (const Frame *f) {
  switch (f->kind) {
    case FRAME_KEY: return 3;
    case FRAME_METATABLE: return 1;
    default: return 2;
  }
}


static int isname (const char *s, size_t len) {
  size_t i;
  if (len == 0 || isdigit((unsigned char)s[0])) return 0;
  for (i = 0; i < len; i++)
    if (!isalnum((unsigned char)s[i]) && s[i] != '_') return 0;
  return 1;
}


/* Pushes the step to the field whose key is at 'idx'. */
static void pushkeystep (lua_State *L, int idx) {
  size_t len;
  const char *s;
  switch (lua_type(L, idx)) {
    case LUA_TSTRING:
      s = lua_tolstring(L, idx, &len);
      if (isname(s, len)) lua_pushfstring(L, ".%s", s);
      else lua_pushfstring(L, "[\"%s\"]", s);
      break;
    case LUA_TNUMBER:  /* by a copy: the key must stay a number */
      lua_pushvalue(L, idx);
      lua_pushfstring(L, "[%s]", lua_tostring(L, -1));
      lua_remove(L, -2);
      break;
    case LUA_TBOOLEAN:
      lua_pushstring(L, lua_toboolean(L, idx) ? "[true]" : "[false]");
      break;
    default:
      lua_pushfstring(L, "[a %s]", luaL_typename(L, idx));
  }
}


void frame_pushstep (lua_State *L, const Frame *f) {
  const char *name;
  switch (f->kind) {
    case FRAME_TABLE: pushkeystep(L, -1); break;
    case FRAME_KEY: lua_pushliteral(L, ".key"); break;
    case FRAME_METATABLE: lua_pushliteral(L, ".metatable"); break;
    case FRAME_UPVALUE:
      name = lua_getupvalue(L, -2, f->i);
      lua_pushfstring(L, ".upvalue '%s'", name);
      lua_remove(L, -2);
      break;
    case FRAME_GLOBAL:
      lua_rawgeti(L, -1, f->i);
      lua_pushfstring(L, ".global '%s'", lua_tostring(L, -1));
      lua_remove(L, -2);
      break;
    case FRAME_TRANSFER:
      lua_pushfstring(L, ".__transfer[%d]", f->i);
      break;
  }
}


void encode_pushroot (Encoder *E) {
  lua_State *L = E->L;
  switch (E->roots) {
    case ROOT_MESSAGE: case ROOT_EXIT: lua_pushliteral(L, "message"); break;
    case ROOT_RESPONSE: lua_pushliteral(L, "response"); break;
    case ROOT_RESULT: lua_pushfstring(L, "result[%d]", E->root - 1); break;
    case ROOT_METHOD: lua_pushfstring(L, "argument[%d]", E->root - 1); break;
    default:
      if (E->root <= 2) lua_pushliteral(L, "fn");
      else if (E->roots == ROOT_SPAWN)
        lua_pushstring(L, E->root == 3 ? "message" : "args");
      else lua_pushfstring(L, "argument[%d]", E->root - 2);
  }
}


/* Pushes the path of what is written now. Unwinds all frames, so it is the
** end of this message. */
static void pushpath (Encoder *E) {
  lua_State *L = E->L;
  int path, n = 0, i;
  luaL_Buffer b;
  lua_newtable(L);  /* the steps, the innermost first */
  lua_insert(L, E->spine.base);
  path = E->spine.base++;
  for (; E->depth > 0; E->depth--) {
    const Frame *f = &E->frames[E->depth - 1];
    spine_pop(L, &E->spine);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    frame_pushstep(L, f);
    lua_rawseti(L, path, ++n);
    lua_pop(L, frame_slots(f));
  }
  encode_pushroot(E);
  lua_rawseti(L, path, ++n);
  luaL_buffinit(L, &b);
  for (i = n; i >= 1; i--) {
    if (n > 2 * STEPS_SHOWN + 1 && i == n - STEPS_SHOWN) {
      luaL_addstring(&b, " ... ");
      i = STEPS_SHOWN;
    }
    lua_rawgeti(L, path, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

/* }====================================================== */


/* {======================================================
** Why
** ======================================================= */

static const char *article (const char *noun) {
  return strchr("aeiouAEIOU", noun[0]) != NULL ? "an" : "a";
}


/* Pushes "a NAME" for an object whose class has the name at the top. */
static void pushobject (lua_State *L) {
  const char *name = lua_tostring(L, -1);
  if (strncmp(name, "isolate.", 8) == 0) name += 8;
  lua_pushfstring(L, "%s %s", article(name), name);
  lua_remove(L, -2);
}


/* Pushes a field of the metatable of the value at 'idx', if it is there. */
static int pushmeta (lua_State *L, int idx, const char *name) {
  return luaL_getmetafield(L, idx, name) != LUA_TNIL;
}


/* Pushes a description of the value at the top. */
static void pushkind (lua_State *L) {
  int idx = lua_gettop(L);
  luaL_Stream *file;
  switch (lua_type(L, idx)) {
    case LUA_TTHREAD:
      lua_pushliteral(L, "a coroutine");
      return;
    case LUA_TFUNCTION:
      lua_pushliteral(L, "a C function with upvalues");
      return;
    case LUA_TUSERDATA:
      file = (luaL_Stream *)luaL_testudata(L, idx, LUA_FILEHANDLE);
      if (file != NULL) {
        lua_pushstring(L, file->closef ? "an open file" : "a closed file");
        return;
      }
      break;
    default: break;
  }
  if (pushmeta(L, idx, "__name")) {
    if (lua_type(L, -1) == LUA_TSTRING) {
      pushobject(L);
      return;
    }
    lua_pop(L, 1);
  }
  if (lua_type(L, idx) == LUA_TUSERDATA) lua_pushliteral(L, "a userdata");
  else if (pushmeta(L, idx, "__transfer")) {
    lua_pop(L, 1);
    lua_pushliteral(L, "an object with __transfer = false");
  }
  else if (pushmeta(L, idx, "__gc")) {
    lua_pop(L, 1);
    lua_pushliteral(L, "a table with __gc");
  }
  else lua_pushliteral(L, "a table with __close");
}

/* }====================================================== */


int refuse (Encoder *E, const char *why) {
  lua_State *L = E->L;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (why != NULL) lua_pushstring(L, why);
  E->refused = lua_topointer(L, -2);
  writer_reset(&E->w);
  if (E->explaining) return note_refusal(E);
  lua_insert(L, E->spine.base);  /* safe from the unwinding */
  E->spine.base++;
  lua_pop(L, 1);  /* the value */
  pushpath(E);
  lua_pushfstring(L, "cannot send %s: %s", lua_tostring(L, -1),
                  lua_tostring(L, E->spine.base - 2));
  if (E->roots == ROOT_MESSAGE) luaL_where(L, 1);
  else if (E->roots == ROOT_RESPONSE) luaL_where(L, 2);  /* a handle's method called */
  else return lua_error(L);  /* our Lua layer adds the place */
  lua_insert(L, -2);
  lua_concat(L, 2);
  return lua_error(L);
}


int refuse_kind (Encoder *E) {
  lua_State *L = E->L;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  pushkind(L);
  lua_pushliteral(L, " stays in its isolate");
  lua_concat(L, 2);
  return refuse(E, NULL);
}
