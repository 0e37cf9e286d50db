/*
** mailbox.c
** An isolate's inbox: many threads post, one takes.
*/

#include "hidden.h"
#include "mailbox.h"


/* {======================================================
** Queue
** ======================================================= */

void queue_init (Queue *q) {
  q->head = NULL;
  q->tail = &q->head;
}


void queue_add (Queue *q, Message *m) {
  m->next = NULL;
  *q->tail = m;
  q->tail = &m->next;
}


Message *queue_pop (Queue *q) {
  Message *m = q->head;
  if (m != NULL) {
    q->head = m->next;
    if (q->head == NULL) q->tail = &q->head;
    m->next = NULL;
  }
  return m;
}


/* Empties 'more'. */
static void queue_append (Queue *q, Queue *more) {
  if (more->head == NULL) return;
  *q->tail = more->head;
  q->tail = more->tail;
  queue_init(more);
}


void queue_free (Queue *q) {
  Message *m;
  while ((m = queue_pop(q)) != NULL) message_free(m);
}

/* }====================================================== */


void mailbox_init (Mailbox *box, void (*destroy) (Shared *)) {
  box->shared.refs = 1;
  box->shared.destroy = destroy;
  mutex_init(&box->lock);
  queue_init(&box->normal);
  queue_init(&box->control);
  box->closed = 0;
  box->urgent = 0;
  box->waiting = 0;
  box->posted = box->handled = 0;
  box->names = 0;
  box->quick[0] = box->quick[1] = 0;
  box->spins_at = -1;
  box->doorbell = box->doorbell_in = -1;
  bell_init(&box->bell);
}


void mailbox_destroy (Mailbox *box) {
  queue_free(&box->normal);
  queue_free(&box->control);
  doorbell_close(box->doorbell, box->doorbell_in);
  bell_destroy(&box->bell);
  mutex_destroy(&box->lock);
}


/* The last one, or NULL. */
static Message *queue_last (const Queue *q) {
  return q->head ? (Message *)(void *)((char *)q->tail - offsetof(Message, next)) : NULL;
}


/* Adds 'm' to one of the two lanes. Returns what is not in it: 'm' or NULL. The bell
** carries no data: it rings when the box was empty, and the taker takes all there is. */
static Message *post (Mailbox *box, Message *m, Queue *lane) {
  int doorbell = -1, first = 0;
  mutex_lock(&box->lock);
  if (!box->closed) {
    Message *last = lane == &box->normal ? queue_last(lane) : NULL;
    if (last == NULL || !message_join(last, m)) {
      queue_add(lane, m);
      m = NULL;
    }
    if (lane == &box->control) atomic_set(&box->urgent, 1);
    else atomic_set(&box->posted, box->posted + 1);
    first = !atomic_swap(&box->waiting, 1);
    if (first) doorbell = box->doorbell_in;
  }
  mutex_unlock(&box->lock);
  if (first) {
    bell_ring(&box->bell);
    if (doorbell >= 0) doorbell_ring(doorbell);
  }
  return m;
}


Message *mailbox_offer (Mailbox *box, Message *m) {
  return post(box, m, &box->normal);
}


void mailbox_post (Mailbox *box, Message *m) {
  message_free(mailbox_offer(box, m));
}


void mailbox_post_control (Mailbox *box, Message *m) {
  message_free(post(box, m, &box->control));
}


void mailbox_wake (Mailbox *box) {
  bell_ring(&box->bell);
}


void mailbox_take (Mailbox *box, Queue *normal, Queue *control) {
  if (!atomic_get(normal->head != NULL ? &box->urgent : &box->waiting)) return;
  /* drained first: a ring that comes later is for a later message */
  if (box->doorbell >= 0) doorbell_drain(box->doorbell);
  mutex_lock(&box->lock);
  queue_append(normal, &box->normal);
  queue_append(control, &box->control);
  atomic_set(&box->waiting, 0);
  atomic_set(&box->urgent, 0);
  mutex_unlock(&box->lock);
}


int mailbox_queued (Mailbox *box) {
  unsigned int handled = atomic_get(&box->handled);  /* first: it never overtakes */
  return (int)(atomic_get(&box->posted) - handled);
}


/* {======================================================
** Waiting
** ======================================================= */

/* It spins after so many waits in a row that were quick. Who asks now and then, and has
** quick answers, has long waits between them: those are counted apart. */
#define QUICK_WAITS	2


/* Several processors? Asked once: on one, spinning keeps the sender away. */
static int spinning_pays (void) {
  static int cores = 0;  /* atomic */
  int n = atomic_get(&cores);
  if (n == 0) {
    n = processors();
    atomic_set(&cores, n);
  }
  return n > 1;
}


int mailbox_spin (Mailbox *box, int asked, const int *stop, double deadline) {
  double end;
  int turns = 0, found;
  if (box->quick[asked] < QUICK_WAITS || !spinning_pays()) return 0;
  end = clock_now() + SPIN;
  if (end > deadline) return 0;
  atomic_set(&box->spins_at, processor());
  do found = atomic_get(&box->waiting) || atomic_get(stop);
  while (!found && spin_turn(&turns, end));
  atomic_set(&box->spins_at, -1);
  return found;
}


int mailbox_is_near (Mailbox *box) {
  int at = atomic_get(&box->spins_at);
  return at < 0 || at == processor();
}


int mailbox_wait (Mailbox *box, int asked, const int *stop, double deadline) {
  double begin;
  int result;
  if (atomic_get(&box->waiting) || atomic_get(stop)) return BELL_RUNG;
  if (deadline <= 0) return BELL_TIMEOUT;
  begin = clock_now();
  if (begin >= deadline) return BELL_TIMEOUT;
  bell_arm(&box->bell);
  if (__atomic_load_n(&box->waiting, __ATOMIC_SEQ_CST) ||
      __atomic_load_n(stop, __ATOMIC_SEQ_CST)) {
    bell_disarm(&box->bell);
    return BELL_RUNG;
  }
  result = bell_wait(&box->bell, deadline);
  if (result != BELL_RUNG || clock_now() - begin > QUICK) box->quick[asked] = 0;
  else if (box->quick[asked] < QUICK_WAITS) box->quick[asked]++;
  return result;
}

/* }====================================================== */


void mailbox_close (Mailbox *box) {
  Queue normal, control;
  queue_init(&normal);
  queue_init(&control);
  mutex_lock(&box->lock);
  box->closed = 1;
  queue_append(&normal, &box->normal);
  queue_append(&control, &box->control);
  atomic_set(&box->waiting, 0);
  mutex_unlock(&box->lock);
  queue_free(&normal);  /* not under the lock: they may refer to this box */
  queue_free(&control);
}


int mailbox_closed (Mailbox *box) {
  int closed;
  mutex_lock(&box->lock);
  closed = box->closed;
  mutex_unlock(&box->lock);
  return closed;
}


int mailbox_doorbell (Mailbox *box) {
  if (box->doorbell < 0) {
    int write_end, waiting;
    int read_end = doorbell_open(&write_end);
    if (read_end < 0) return -1;
    mutex_lock(&box->lock);
    box->doorbell = read_end;
    box->doorbell_in = write_end;
    waiting = atomic_get(&box->waiting);
    mutex_unlock(&box->lock);
    if (waiting) doorbell_ring(write_end);
  }
  return box->doorbell;
}
