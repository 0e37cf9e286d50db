/*
** words.h
** Short strings that come again and again in a large message, keys above all:
** they get numbers.
*/

#ifndef words_h
#define words_h

/* How many strings of a message may be words: a byte tells which. */
#define WORDS_MAX	255

typedef struct Word {
  const char *s;		/* address of a string that was met; NULL = free */
  int number;			/* from 1; 0: it was met once */
} Word;

/* All zeros is an empty set. */
typedef struct Words {
  Word *places;			/* a string has one place, which it may have to
				   leave to another while it has no number */
  int count;			/* how many have numbers */
} Words;

/* How is the string at 's' to be written? 0: as it is; -1: it gets the next
** number; else that is its number. Without memory: as it is. */
int words_meet (Words *w, const char *s);

/* Forgets all, for a new message. */
void words_reset (Words *w);

#endif
