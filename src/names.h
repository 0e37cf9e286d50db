/*
** names.h
** Which loaded module holds this value: the by-name index.
*/

#ifndef names_h
#define names_h

#include <stddef.h>
#include <stdint.h>

#include "lua.h"


/* What a name stands for. */
enum Named {
  NAMED_NOTHING,
  NAMED_MODULE,			/* package.loaded[name] */
  NAMED_FUNCTION,		/* a field of one, a function */
  NAMED_CLASS,			/* a field, a table with __index, __name, … */
  NAMED_TABLE			/* a field, any other table: a class only for
				   one who found it as a metatable */
};

typedef struct NameEntry {
  const void *value;		/* address of table or function; NULL = free */
  unsigned int field;		/* where its name is in the list of strings */
  unsigned int module : 24;	/* where that of its module is, as of others' there */
  unsigned int kind : 8;	/* enum Named */
} NameEntry;

typedef struct Names {
  NameEntry *entries;		/* open addressing, a power of two of them; owned
				   by the state, through its registry */
  size_t size, used;
  unsigned int strings;		/* how many are in the list */
  uint64_t mark;		/* of package.loaded when it was built */
  int built;
} Names;

void names_init (Names *n);

/* Builds the index again if package.loaded changed, or 'force'. True if it
** did. Raises only for lack of memory. */
int names_refresh (lua_State *L, Names *n, int force);

/* Looks up the value at 'idx' (table or function). On a hit that still holds,
** pushes the module's name and the field's (or nil). Else pushes nothing. */
enum Named names_find (lua_State *L, const Names *n, int idx);

/* Is it a library of Lua itself? */
int names_standard (const char *module);

/* Is 'name' one that every isolate's globals have (print, pairs, …)? */
int names_base (const char *name);

/* Can 'require' find the module named at 'idx' again? Runs Lua searchers. */
int names_findable (lua_State *L, int idx);

#endif
