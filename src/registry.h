/*
** registry.h
** Process-wide: which isolates live.
*/

#ifndef registry_h
#define registry_h

#include "isolate.h"

/* Adds an isolate, or takes it out again: while it is in, somebody has a
** reference to it. */
void registry_add (Isolate *iso);
void registry_remove (Isolate *iso);

/* The isolate with the least id over 'id', counted for the caller; NULL at the
** end. */
Isolate *registry_next (uint64_t id);

/* Is it one that the end of main isolate 'root' (0: of the process) is to stop?
** A descendant that is not abandoned. */
int registry_concerns (const Isolate *iso, uint64_t root);

/* Waits until none of these, but maybe 'except', lives. Returns how many still do
** at the deadline. */
int registry_wait (uint64_t root, const Isolate *except, double deadline);

#endif
