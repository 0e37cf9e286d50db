/*
** words.c
** Short strings that come again and again in a large message, keys above all:
** they get numbers.
**
** Lua has each short string once, so its address stands for it. Most strings
** of a large message are no words: these cost a look at one place, no more.
*/

#include <stdlib.h>

#include "hidden.h"
#include "words.h"


#define PLACES_BITS	10


int words_meet (Words *w, const char *s) {
  uint64_t h = (uint64_t)(uintptr_t)s * 0x9E3779B97F4A7C15u;
  Word *word;
  if (w->places == NULL) {
    w->places = (Word *)calloc((size_t)1 << PLACES_BITS, sizeof(Word));
    if (w->places == NULL) return 0;
  }
  word = &w->places[h >> (64 - PLACES_BITS)];
  if (word->s != s) {
    if (word->number == 0) word->s = s;
    return 0;
  }
  if (word->number != 0) return word->number;
  if (w->count == WORDS_MAX) return 0;
  word->number = ++w->count;
  return -1;
}


void words_reset (Words *w) {
  free(w->places);
  w->places = NULL;
  w->count = 0;
}
