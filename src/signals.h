/*
** signals.h
** The signal that interrupts a thread of ours.
*/

#ifndef signals_h
#define signals_h

/* The signal that new isolates are to be interrupted by, 0 for none; and the
** choice of another one, for the whole process: false if it cannot be used. */
int signals_chosen (void);
int signals_choose (int sig);

/* Lets the calling thread get 'sig', unless that is 0; and no more. */
void signals_open (int sig);
void signals_close (int sig);

/* Makes sure that a thread which gets 'sig' calls 'wanted' from a handler. If
** that returns false, the signal was none of ours: then the handler that was
** there before is called. Returns false if that cannot be had, or 'sig' is 0. */
int signals_claim (int sig, int (*wanted) (void));

#endif
