#ifndef CORE_TALLY_H
#define CORE_TALLY_H
/*
 * tally: how many there are at once of something, for names that strangers choose: in memory of one size, shared by
 * the processes of a node.  What a process has counted goes with it, however it ends.
 *
 * A number is never too low.  With many thousand names it is too high for a few in a hundred, by one or two.
 */
#include <stdbool.h>

#define TALLY_SLOTS 512

/* In the master, before the first fork.  Without it a process counts alone. */
void tally_share(void);
/* In a process, before it counts: its place, which nobody else has. */
void tally_use(unsigned slot);
/* In the master, when that process has ended. */
void tally_depart(unsigned slot);

/* One more.  How many there are now, in all processes. */
unsigned tally_enter(const char *name);
/* One less; of those that this process has entered. */
void tally_leave(const char *name);

#endif
