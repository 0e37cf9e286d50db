/*
** hold.c
** The reference of a userdata to something counted.
*/

#include "hidden.h"
#include "common.h"
#include "hold.h"
#include "platform.h"


Hold *hold_new (State *S) {
  Hold *h = (Hold *)common_new(sizeof(*h));
  if (h == NULL) return NULL;
  h->it = NULL;
  h->next = S->holds;
  h->link = &S->holds;
  if (h->next != NULL) h->next->link = &h->next;
  S->holds = h;
  return h;
}


void hold_free (Hold *h) {
  *h->link = h->next;
  if (h->next != NULL) h->next->link = h->link;
  if (!process_forked()) shared_release(h->it);
  common_free(h, sizeof(*h));
}


void hold_close (State *S) {
  while (S->holds != NULL) hold_free(S->holds);
}
