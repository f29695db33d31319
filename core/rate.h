#ifndef CORE_RATE_H
#define CORE_RATE_H
/*
 * rate: how often something happened lately, for names that strangers choose: in memory of one size, shared by the
 * processes of a node.
 *
 * A counter is a bucket that holds as much as a minute may bring, and empties at that rate: after a pause the whole of
 * it may come at once, so a minute sees twice the number at most, and never more in the long run.
 */
#include <stdbool.h>

/* In the master, before the first fork.  Without it a process counts alone. */
void rate_share(void);

/*
 * One more.  kind: which of the caller's counters.  False: there is no room in the bucket, and it is not counted.
 * per_minute 0: always true.
 */
bool rate_take(unsigned kind, const char *name, unsigned per_minute) __attribute__((warn_unused_result));
/* One more, whether there is room or not; how many are in the bucket now, at most per_minute (not 0). */
unsigned rate_add(unsigned kind, const char *name, unsigned per_minute);

#endif
