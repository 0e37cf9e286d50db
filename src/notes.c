/*
** notes.c
** Notes on what is written, for explain.
**
** A note is a table: depth, step (what a path says), kind (the type), bytes
** (of it and all below), name (of a module or its field), refused (why).
*/

#include "lua.h"
#include "lauxlib.h"

#include "hidden.h"
#include "encoder.h"


void note_value (Encoder *E) {
  lua_State *L = E->L;
  int slots = E->depth > 0 ? frame_slots(&E->frames[E->depth - 1]) : 0;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_insert(L, -(slots + 1));  /* the frame's slots on top, for its step */
  if (slots > 0) frame_pushstep(L, &E->frames[E->depth - 1]);
  else encode_pushroot(E);
  lua_insert(L, -(slots + 2));
  lua_rotate(L, -(slots + 1), -1);  /* step, slots, value */
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, E->depth);
  lua_setfield(L, -2, "depth");
  lua_pushstring(L, luaL_typename(L, -2));
  lua_setfield(L, -2, "kind");
  lua_rotate(L, -(slots + 3), -1);  /* slots, value, note, step */
  lua_setfield(L, -2, "step");
  lua_rawseti(L, E->slots + SLOT_NOTES, ++E->notes);
}


/* Sets a field of note 'i' to the value at the top; pops it. */
static void note_set (Encoder *E, lua_Integer i, const char *field) {
  if (lua_rawgeti(E->L, E->slots + SLOT_NOTES, i) == LUA_TTABLE) {
    lua_insert(E->L, -2);
    lua_setfield(E->L, -2, field);
    lua_pop(E->L, 1);
  }
  else lua_pop(E->L, 2);
}


void note_bytes (Encoder *E, lua_Integer i, size_t start) {
  lua_pushinteger(E->L, (lua_Integer)(E->w.used - WRITER_START - start));
  note_set(E, i, "bytes");
}


void note_name (Encoder *E, enum Named kind) {
  lua_State *L = E->L;
  if (kind == NAMED_MODULE) lua_pushvalue(L, -2);
  else lua_pushfstring(L, "%s.%s", lua_tostring(L, -2), lua_tostring(L, -1));
  note_set(E, E->notes, "name");
}


int note_refusal (Encoder *E) {
  note_set(E, E->notes, "refused");
  lua_pushvalue(E->L, E->slots + SLOT_NOTES);
  return lua_error(E->L);
}


int note_refused (Encoder *E) {
  lua_State *L = E->L;
  if (!lua_istable(L, E->slots + SLOT_REFUSED)) return 0;
  if (lua_rawgetp(L, E->slots + SLOT_REFUSED, lua_topointer(L, -1)) == LUA_TNIL) {
    lua_pop(L, 1);
    return 0;
  }
  note_set(E, E->notes, "refused");
  return 1;
}


/* {======================================================
** The message is written, and thrown away. What is refused is left out in the
** next try; the last one ends there, with the notes that it has.
** ======================================================= */

#define REFUSALS_SHOWN	50

/* Arguments: encoder, table of refusals, value. Returns the notes. */
static int explain_try (lua_State *L) {
  Encoder *E = (Encoder *)lua_touserdata(L, 1);
  E->L = L;
  E->slots = 4;
  do {
    encoder_start(E);
    lua_pushvalue(L, 2);
    lua_replace(L, E->slots + SLOT_REFUSED);
    lua_newtable(L);
    lua_replace(L, E->slots + SLOT_NOTES);
  } while (!put_all(E, 3, 1));
  lua_pushvalue(L, E->slots + SLOT_NOTES);
  return 1;
}


void encode_explain (lua_State *L, State *S) {
  Encoder *E = encoder_new(L);  /* value, encoder */
  int value = lua_gettop(L) - 1, i;
  E->S = S;
  E->roots = ROOT_MESSAGE;
  lua_newtable(L);
  for (i = 0; i < REFUSALS_SHOWN; i++) {
    lua_settop(L, value + 2);
    E->fresh = E->anchoring = 0;
    E->explaining = 1;
    lua_pushcfunction(L, explain_try);
    lua_pushvalue(L, value + 1);
    lua_pushvalue(L, value + 2);
    lua_pushvalue(L, value);
    if (lua_pcall(L, 3, 1, 0) == LUA_OK) break;
    if (E->refused == NULL) lua_error(L);  /* not a refusal: the user's own error */
    lua_rawgeti(L, -1, E->notes);
    lua_getfield(L, -1, "refused");
    lua_rawsetp(L, value + 2, E->refused);
    lua_pop(L, 1);
    E->refused = NULL;
  }
  lua_replace(L, value);  /* the notes */
  lua_settop(L, value);
}

/* }====================================================== */
