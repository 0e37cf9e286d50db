/*
** nameserver.h
** Process-wide: names of ports.
*/

#ifndef nameserver_h
#define nameserver_h

#include <stddef.h>
#include <stdint.h>

#include "mailbox.h"


/* Gives port 'port' of 'box' the name (any bytes); 'unique': if no port has it
** yet. Returns 1, 0 if the name is taken or the mailbox closed, -1 without
** memory. */
int nameserver_add (const char *name, size_t len, Mailbox *box, uint64_t port,
                    int unique);

/* The port of that name with the least id over '*port': its mailbox, counted
** for the caller, and its id in '*port'; NULL if there is none. */
Mailbox *nameserver_next (const char *name, size_t len, uint64_t *port);

/* Takes the name from all ports that have it. Returns how many had it. */
int nameserver_remove (const char *name, size_t len);

/* Takes all names from a port that was closed (0: from all ports of 'box',
** which was closed). Costs one load for a mailbox that has none. */
void nameserver_drop (Mailbox *box, uint64_t port);

#endif
