#ifndef DAEMON_RUNNER_SHARE_H
#define DAEMON_RUNNER_SHARE_H
/*
 * runner_share: what is pending at a destination: whose turn it is, and what must wait for what is before it.
 *
 * runner_share.c has the turns of customers, runner_order.c the order of a queue that is drained.
 */
#include "daemon/runner_memory.h"
#include "relay/drain.h"

void runner_entry_put(struct runner_entry *entry); /* in order of priority and ids, among its customer's */
void runner_entry_take(struct runner_entry *entry);
/* The first of the customer whose turn it is, NULL: nothing is pending.  Its `next` is the same customer's. */
struct runner_entry *runner_share_first(const struct runner_destination *destination);
/* That customer has had its turn. */
void runner_share_pass(struct runner_destination *destination, int64_t customer_id);
void runner_share_each(const struct runner_destination *destination, void (*fn)(struct runner_entry *entry, void *arg),
                       void *arg);
/*
 * The first that may go now: of an ordered destination, none whose recipients have an earlier one before them or on its
 * way.  NULL: nothing may.
 */
struct runner_entry *runner_order_first(struct runner_destination *destination);
/* A lane has finished what it had in its hands: what waited for that may go. */
void runner_order_freed(struct runner_destination *destination);
/* Its primary answers again: slowly at first.  Set: what is wanted now.  End: the outage is over, as in quiet times. */
void runner_order_begin(struct runner_destination *destination, enum drain_pace pace);
/* How many connections it was found to take at most. */
unsigned runner_order_most(const struct runner_destination *destination);
void runner_order_forget(struct runner_destination *destination); /* it is freed */
void runner_order_set(struct runner_destination *destination, enum drain_pace pace, bool newest_first);
void runner_order_end(struct runner_destination *destination);
/* A drill of one of its accounts begins, or has ended: in order, too. */
void runner_order_drill(struct runner_destination *destination, bool begins);

#endif
