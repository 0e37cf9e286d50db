/*
** registry.h
** Process-wide: which isolates live.
*/

#ifndef registry_h
#define registry_h

#include "isolate.h"

/* Adds an isolate (and counts it) or takes it out again. */
void registry_add (Isolate *iso);
void registry_remove (Isolate *iso);

/* The living isolate with the least id over 'id' (counted for the caller) that
** descends from 'root', or from any for 0; NULL at the end. */
Isolate *registry_next (uint64_t id, uint64_t root);

/* Abandoned isolates do not count in either. */

/* Waits until no descendant of 'root' (0: of any) but 'except' lives. False
** when some still do at the deadline. */
int registry_wait (uint64_t root, const Isolate *except, double deadline);

#endif
