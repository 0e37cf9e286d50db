/*
** channel.h
** A bounded queue of messages, and those who wait for it.
*/

#ifndef channel_h
#define channel_h

#include "mailbox.h"
#include "message.h"
#include "platform.h"
#include "seat.h"


/* One who waits: for a message, or for room. Belongs to its isolate, which calls
** 'channel_leave' before it goes. */
typedef struct Waiter {
  struct Waiter *next, *previous;
  Mailbox *box;			/* counted: where it is told */
  Message *wake;		/* what it is told, once */
  uint64_t turn;		/* the lower one goes first; 0 = has none yet */
  int way;			/* CHANNEL_IN or CHANNEL_OUT */
  int state;
} Waiter;

enum { CHANNEL_IN, CHANNEL_OUT };		/* waits for room, for a message */
enum { WAITER_LEFT, WAITER_WAITS, WAITER_WOKEN };

typedef struct Waiters {
  Waiter *first, *last;
  size_t woken;			/* told to go on, and not yet heard of again */
} Waiters;

/* The messages of one priority. Never empty. */
typedef struct Level {
  int priority;
  Queue queue;
} Level;

typedef struct Channel {
  Shared shared;		/* counted by boxes and messages */
  uint64_t id;
  Mutex lock;			/* guards all below */
  Level *levels;		/* the highest priority first */
  size_t nlevels, sizelevels;
  size_t count, capacity;	/* of messages; capacity 0 = any number */
  int closed;
  uint64_t turns;		/* how many waiters ever had one */
  Waiters waiters[2];		/* by way, those that were not told, by turn */
} Channel;

enum { CHANNEL_DONE, CHANNEL_NOT_NOW, CHANNEL_CLOSED, CHANNEL_NO_MEMORY };

/* A new one, counted once; NULL without memory. */
Channel *channel_new (size_t capacity);
void channel_destroy (Shared *shared);

/* Puts 'm' into it, behind all of its priority ('op') or a higher one. Owns it
** if the answer is CHANNEL_DONE. */
int channel_put (Channel *ch, Message *m);

/* Takes the first message out; NULL, and 'why' says CHANNEL_NOT_NOW or
** CHANNEL_CLOSED. With a seat, which must be free, its port is a job that has
** its seat from this moment on: nobody sees it nowhere. */
Message *channel_take (Channel *ch, Seat *seat, int *why);

/* Puts back what was taken, as the first; also when it is full or closed. With
** a seat, its job gives that up in the same moment. False, and 'm' is still the
** caller's, if nobody wants the job any more. */
int channel_put_back (Channel *ch, Seat *seat, Message *m);

/* 'w' is told, once, when it can go on. False, and it is not, if it can now. One
** that was told, tried and came too late may wait again: it has kept its turn. */
int channel_wait (Channel *ch, Waiter *w);

/* 'w' waits no more. If it was told, the next one may be told instead: nothing
** stays because somebody died. Can be called twice. */
void channel_leave (Channel *ch, Waiter *w);

/* Nothing more comes in; what is there can be taken. All who wait are told. */
void channel_close (Channel *ch);

/* Takes out all messages to ports 'from' to 'to'. One port has one message. */
void channel_remove (Channel *ch, uint64_t from, uint64_t to, Queue *removed);

size_t channel_count (Channel *ch);

#endif
