/*
** channel.c
** A bounded queue of messages, and those who wait for it.
**
** Who waits is told once, by a message to its isolate's mailbox, and then tries
** again: somebody else may have been faster. As many are told as can go on. One
** who was told has its turn until it leaves: if it came too late, it waits again
** where it was; if it died or lost its patience, the next one is told.
*/

#include <stdlib.h>
#include <string.h>

#include "lua.h"

#include "hidden.h"
#include "channel.h"


void channel_destroy (Shared *shared) {
  Channel *ch = (Channel *)(void *)shared;
  size_t i;
  for (i = 0; i < ch->nlevels; i++) queue_free(&ch->levels[i].queue);
  free(ch->levels);
  mutex_destroy(&ch->lock);
  free(ch);
}


Channel *channel_new (size_t capacity) {
  Channel *ch = (Channel *)calloc(1, sizeof(*ch));
  if (ch == NULL) return NULL;
  ch->shared.refs = 1;
  ch->shared.destroy = channel_destroy;
  ch->capacity = capacity;
  mutex_init(&ch->lock);
  return ch;
}


/* {======================================================
** Those who wait. The lock is held.
** ======================================================= */

static void link_waiter (Channel *ch, Waiter *w) {
  Waiters *list = &ch->waiters[w->way];
  Waiter *before = list->last;
  if (w->turn == 0) w->turn = ++ch->turns;
  while (before != NULL && before->turn > w->turn) before = before->previous;
  w->previous = before;
  w->next = before ? before->next : list->first;
  *(w->next ? &w->next->previous : &list->last) = w;
  *(w->previous ? &w->previous->next : &list->first) = w;
}


static void unlink_waiter (Channel *ch, Waiter *w) {
  Waiters *list = &ch->waiters[w->way];
  *(w->next ? &w->next->previous : &list->last) = w->previous;
  *(w->previous ? &w->previous->next : &list->first) = w->next;
}


/* How many that wait this way could go on now. */
static size_t chances (const Channel *ch, int way) {
  if (ch->closed) return SIZE_MAX;
  if (way == CHANNEL_OUT) return ch->count;
  if (ch->capacity == 0) return SIZE_MAX;
  return ch->count < ch->capacity ? ch->capacity - ch->count : 0;
}


/* The next who is to be told: what, and where (counted). NULL for nobody. */
static Message *next_wake (Channel *ch, Mailbox **box) {
  Message *wake;
  int way;
  for (way = CHANNEL_IN; way <= CHANNEL_OUT; way++) {
    Waiters *list = &ch->waiters[way];
    Waiter *w = list->first;
    if (w == NULL || list->woken >= chances(ch, way)) continue;
    unlink_waiter(ch, w);
    w->state = WAITER_WOKEN;
    list->woken++;
    *box = (Mailbox *)shared_retain(w->box);
    wake = w->wake;
    w->wake = NULL;
    return wake;
  }
  return NULL;
}

/* }====================================================== */


/* Lets the lock go, and tells all that can go on. */
static void unlock (Channel *ch) {
  Mailbox *box = NULL;
  Message *wake = next_wake(ch, &box);
  mutex_unlock(&ch->lock);
  while (wake != NULL) {
    mailbox_post(box, wake);
    shared_release(box);
    mutex_lock(&ch->lock);
    wake = next_wake(ch, &box);
    mutex_unlock(&ch->lock);
  }
}


/* {======================================================
** Levels. The lock is held.
** ======================================================= */

/* Puts 'm' before all that is in 'q'. */
static void push_first (Queue *q, Message *m) {
  m->next = q->head;
  if (q->head == NULL) q->tail = &m->next;
  q->head = m;
}


/* Makes an empty one at place 'i'. NULL without memory. */
static Level *insert_level (Channel *ch, size_t i, int priority) {
  Level *level;
  if (ch->nlevels == ch->sizelevels) {
    size_t size = ch->sizelevels * 2 + 1;
    Level *levels = (Level *)realloc(ch->levels, size * sizeof(*levels));
    if (levels == NULL) return NULL;
    ch->levels = levels;
    ch->sizelevels = size;
  }
  level = &ch->levels[i];
  memmove(level + 1, level, (ch->nlevels - i) * sizeof(*level));
  level->priority = priority;
  queue_init(&level->queue);
  ch->nlevels++;
  return level;
}


/* That of a priority, for a message that comes into it. NULL without memory. */
static Level *level_of (Channel *ch, int priority) {
  size_t i = ch->nlevels;
  while (i > 0 && ch->levels[i - 1].priority < priority) i--;
  if (i > 0 && ch->levels[i - 1].priority == priority) return &ch->levels[i - 1];
  return insert_level(ch, i, priority);
}


/* Messages were taken out of it: it goes if it is empty. True then. */
static int drop_level (Channel *ch, Level *level) {
  if (level->queue.head != NULL) return 0;
  ch->nlevels--;
  memmove(level, level + 1,
          (size_t)(ch->levels + ch->nlevels - level) * sizeof(*level));
  return 1;
}

/* }====================================================== */


int channel_put (Channel *ch, Message *m) {
  int result = CHANNEL_DONE;
  mutex_lock(&ch->lock);
  if (ch->closed) result = CHANNEL_CLOSED;
  else if (ch->capacity > 0 && ch->count >= ch->capacity)
    result = CHANNEL_NOT_NOW;
  else {
    Level *level = level_of(ch, m->op);
    if (level == NULL) result = CHANNEL_NO_MEMORY;
    else {
      queue_add(&level->queue, m);
      ch->count++;
    }
  }
  unlock(ch);
  return result;
}


Message *channel_take (Channel *ch, Seat *seat, int *why) {
  Message *m;
  mutex_lock(&ch->lock);
  m = ch->nlevels > 0 ? ch->levels[0].queue.head : NULL;
  if (m != NULL && seat != NULL && !seat_enter(seat, m->port)) {
    m = NULL;
    *why = CHANNEL_NOT_NOW;
  }
  else if (m != NULL) {
    queue_pop(&ch->levels[0].queue);
    drop_level(ch, &ch->levels[0]);
    ch->count--;
  }
  else *why = ch->closed ? CHANNEL_CLOSED : CHANNEL_NOT_NOW;
  unlock(ch);
  return m;
}


int channel_put_back (Channel *ch, Seat *seat, Message *m) {
  int back;
  mutex_lock(&ch->lock);
  back = seat == NULL || seat_return(seat, m->port);
  if (back) {
    Level *level = level_of(ch, m->op);
    if (level == NULL) level = &ch->levels[0];  /* sooner than never: there was
                                                room for one level at least */
    push_first(&level->queue, m);
    ch->count++;
  }
  unlock(ch);
  return back;
}


int channel_wait (Channel *ch, Waiter *w) {
  int waits;
  mutex_lock(&ch->lock);
  waits = chances(ch, w->way) == 0;
  if (waits) {
    if (w->state == WAITER_WOKEN) ch->waiters[w->way].woken--;
    w->state = WAITER_WAITS;
    link_waiter(ch, w);
  }
  mutex_unlock(&ch->lock);
  return waits;
}


void channel_leave (Channel *ch, Waiter *w) {
  mutex_lock(&ch->lock);
  if (w->state == WAITER_WAITS) unlink_waiter(ch, w);
  else if (w->state == WAITER_WOKEN) ch->waiters[w->way].woken--;
  w->state = WAITER_LEFT;
  unlock(ch);
}


void channel_close (Channel *ch) {
  mutex_lock(&ch->lock);
  ch->closed = 1;
  unlock(ch);
}


/* Takes messages to ports 'from' to 'to' out of 'q'. How many? */
static size_t remove_from (Queue *q, uint64_t from, uint64_t to, Queue *removed) {
  Message **link = &q->head;
  size_t n = 0;
  while (*link != NULL && !(n > 0 && from == to)) {
    Message *m = *link;
    if (m->port >= from && m->port <= to) {
      *link = m->next;
      queue_add(removed, m);
      n++;
    }
    else link = &m->next;
  }
  if (*link == NULL) q->tail = link;
  return n;
}


void channel_remove (Channel *ch, uint64_t from, uint64_t to, Queue *removed) {
  size_t i = 0, n = 0;
  mutex_lock(&ch->lock);
  while (i < ch->nlevels && !(n > 0 && from == to)) {
    n = remove_from(&ch->levels[i].queue, from, to, removed);
    ch->count -= n;
    if (!drop_level(ch, &ch->levels[i])) i++;
  }
  unlock(ch);
}


size_t channel_count (Channel *ch) {
  size_t count;
  mutex_lock(&ch->lock);
  count = ch->count;
  mutex_unlock(&ch->lock);
  return count;
}
