/*
** mailbox.h
** An isolate's inbox: many threads post, one takes.
*/

#ifndef mailbox_h
#define mailbox_h

#include "message.h"
#include "platform.h"


/* A list of messages, in order. */
typedef struct Queue {
  Message *head;
  Message **tail;		/* where the next one is linked */
} Queue;

void queue_init (Queue *q);
void queue_add (Queue *q, Message *m);
Message *queue_pop (Queue *q);		/* NULL when empty */
void queue_free (Queue *q);		/* frees all messages in it */


/*
** What senders write is kept apart, by a line of the processors' caches, from
** what the taker reads and writes for each message.
*/
typedef struct Mailbox {
  Shared shared;		/* counted: every SendPort refers to it */
  Queue control;		/* overtakes the normal ones */
  int urgent;			/* atomic: something is in 'control' */
  int closed;
  int names;			/* atomic: how many its ports have, see nameserver.c */
  int quick[2];			/* the taker's: so many waits in a row were short; */
				/* [1]: of those after it had sent something */
  int doorbell, doorbell_in;	/* -1 until somebody asks */
  Bell bell;
  char before[CACHE_LINE];
  Mutex lock;			/* guards the queues, 'closed', 'doorbell' */
  Queue normal;
  int waiting;			/* atomic: something is in the queues */
  unsigned int posted;		/* atomic: how many normal messages came */
  char between[CACHE_LINE];
  unsigned int handled;		/* atomic: how many of them were taken and handled */
  int spins_at;			/* atomic: the processor where the taker spins, or -1 */
  char after[CACHE_LINE];
} Mailbox;

/* Counted once. */
void mailbox_init (Mailbox *box, void (*destroy) (Shared *));
void mailbox_destroy (Mailbox *box);	/* frees what it still holds */

/* Adds 'm' and wakes the taker. Always takes ownership of 'm'; a closed box
** frees it. Cannot fail. Any thread. */
void mailbox_post (Mailbox *box, Message *m);

/* The same, but what need not be kept is returned, or NULL: the box was closed, or 'm'
** has been joined to another one. */
Message *mailbox_offer (Mailbox *box, Message *m);

/* 'mailbox_post', to the control lane. */
void mailbox_post_control (Mailbox *box, Message *m);

/* Wakes the taker for something that is not a message. */
void mailbox_wake (Mailbox *box);

/* The taker: moves all there is to the ends of the two queues given, as soon as
** 'normal' is empty or there is a control message. */
void mailbox_take (Mailbox *box, Queue *normal, Queue *control);

/* How many normal messages are not yet handled; not fewer than there are. Any
** thread. */
int mailbox_queued (Mailbox *box);

/* The taker: looks for a moment, if that has been worth it lately. True if
** something is there now, or '*stop' is set. 'asked': it may be an answer. */
int mailbox_spin (Mailbox *box, int asked, const int *stop, double deadline);

/* May the taker, if it waits, need this processor to go on? Any thread. */
int mailbox_is_near (Mailbox *box);

/* The taker: sleeps until something is there or '*stop' is set (BELL_RUNG),
** until 'deadline', or a signal. */
int mailbox_wait (Mailbox *box, int asked, const int *stop, double deadline);

/* No more messages; those queued are freed. */
void mailbox_close (Mailbox *box);

/* Was it closed? Any thread. */
int mailbox_closed (Mailbox *box);

/* A descriptor that is readable while messages wait; -1 if there is none. */
int mailbox_doorbell (Mailbox *box);

#endif
