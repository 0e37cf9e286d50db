/*
** message.c
** What travels: bytes, and the counted things that they mention.
*/

#include <string.h>

#include "hidden.h"
#include "message.h"
#include "outgrow.h"
#include "platform.h"
#include "spares.h"


/* Up to here a finished message is copied out, and the writer keeps its
** memory; above, the memory itself becomes the message. */
#define COPY_LIMIT	(32 * 1024)


/* Memory above this is not kept for the next message. */
#define KEEP_LIMIT	(1024 * 1024)


void *shared_retain (void *s) {
  atomic_add(&((Shared *)s)->refs, 1);
  return s;
}


void shared_release (void *s) {
  Shared *shared = (Shared *)s;
  if (shared != NULL && atomic_add(&shared->refs, -1) == 0)
    shared->destroy(shared);
}


/* {======================================================
** Message
** ======================================================= */

Message *message_init (void *block, size_t size, int nrefs) {
  Message *m = (Message *)block;
  if (m == NULL) return NULL;
  memset(m, 0, offsetof(Message, bytes));
  m->size = size;
  m->nrefs = nrefs;
  if (nrefs > 0) memset(message_refs(m), 0, (size_t)nrefs * sizeof(Shared *));
  return m;
}


Message *message_new (size_t size, int nrefs) {
  return message_init(spare_new(message_block(size, nrefs)), size, nrefs);
}


int message_join (Message *row, const Message *m) {
  if (m->op != 1 || row->op == 0 || row->port != m->port ||
      row->size != (size_t)row->op * m->size || !is_small(row->size + m->size))
    return 0;
  memcpy(row->bytes + row->size, m->bytes, m->size);
  row->size += m->size;
  row->op++;
  return 1;
}


Message *message_copy (const Message *m, uint64_t port, int more) {
  Message *copy = message_new(m->size, m->nrefs + more);
  int i;
  if (copy == NULL) return NULL;
  memcpy(copy->bytes, m->bytes, m->size);
  copy->port = port;
  for (i = 0; i < m->nrefs; i++)
    message_refs(copy)[i] = (Shared *)shared_retain(message_refs(m)[i]);
  return copy;
}


void message_let_go (Message *m) {
  int i;
  for (i = 0; i < m->nrefs; i++) shared_release(message_refs(m)[i]);
}


void message_free (Message *m) {
  if (m == NULL) return;
  message_let_go(m);
  spare_free(m, message_block(m->size, m->nrefs));
}

/* }====================================================== */


/* {======================================================
** Writer
** ======================================================= */

void writer_init (Writer *w) {
  w->data = w->first_data;
  w->used = WRITER_START;
  w->size = sizeof(w->first_data);
  w->refs = w->first_refs;
  w->nrefs = 0;
  w->sizerefs = sizeof(w->first_refs) / sizeof(w->first_refs[0]);
}


void writer_reset (Writer *w) {
  int i;
  for (i = 0; i < w->nrefs; i++) shared_release(w->refs[i]);
  w->nrefs = 0;
  w->used = WRITER_START;
  if (w->size > KEEP_LIMIT) {
    spare_free(w->data, w->size);
    w->data = w->first_data;
    w->size = sizeof(w->first_data);
  }
}


void writer_free (Writer *w) {
  writer_reset(w);
  outgrown_free(w->data, w->first_data, w->size);
  outgrown_free(w->refs, w->first_refs, (size_t)w->sizerefs * sizeof(Shared *));
  writer_init(w);
}


int writer_reserve (Writer *w, size_t n) {
  size_t size = w->size;
  unsigned char *data;
  if (n <= size - w->used) return 1;
  if (n > SIZE_MAX / 4 || w->used > SIZE_MAX / 4) return 0;
  if (size < 1024) size = 1024;
  else size += size / 2;
  if (size < w->used + n) size = w->used + n;
  data = (unsigned char *)outgrow(w->data, w->first_data, w->used, w->size, size);
  if (data == NULL) return 0;
  w->data = data;
  w->size = size;
  return 1;
}


int writer_ref (Writer *w, void *shared) {
  if (w->nrefs == w->sizerefs) {
    int size = w->sizerefs * 2 + 4;
    size_t before = (size_t)w->sizerefs * sizeof(*w->refs);
    Shared **refs = (Shared **)outgrow(w->refs, w->first_refs, before, before,
                                       (size_t)size * sizeof(*refs));
    if (refs == NULL) return -1;
    w->refs = refs;
    w->sizerefs = size;
  }
  w->refs[w->nrefs] = (Shared *)shared_retain(shared);
  return w->nrefs++;
}


/* The memory itself, cut to 'n' bytes of content. */
static Message *take_block (Writer *w, size_t size, size_t n) {
  void *cut;
  Message *m;
  if (!writer_reserve(w, n - size)) return NULL;
  cut = spare_resize(w->data, w->used, w->size, WRITER_START + n);
  m = message_init(cut != NULL ? cut : (void *)w->data, size, w->nrefs);
  w->data = w->first_data;
  w->size = sizeof(w->first_data);
  return m;
}


Message *writer_finish (Writer *w, Spares *spares, uint64_t port) {
  size_t size = w->used - WRITER_START, n = message_room(size, w->nrefs);
  Message *m;
  if (n > COPY_LIMIT) m = take_block(w, size, n);
  else {
    m = spares_new(spares, size, w->nrefs);
    if (m != NULL) memcpy(m->bytes, w->data + WRITER_START, size);
  }
  if (m == NULL) return NULL;
  if (w->nrefs > 0)
    memcpy(message_refs(m), w->refs, (size_t)w->nrefs * sizeof(Shared *));
  m->port = port;
  w->nrefs = 0;  /* they went along */
  w->used = WRITER_START;
  return m;
}

/* }====================================================== */
