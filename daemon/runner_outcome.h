#ifndef DAEMON_RUNNER_OUTCOME_H
#define DAEMON_RUNNER_OUTCOME_H
/* runner_outcome: what the other side said of a batch's recipients, and who is told of it.  Only for runner_delivery.c, and those that keep. */
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "relay/notice.h"

/* What the server, or the end of the connection, said when it did not take the message. */
struct runner_failed {
    struct slice why;
    bool cut;
};

/* Those of a batch whose sender must be told of something. */
struct runner_apart {
    struct runner_batch batch;
    struct dsn_recipient reasons[RUNNER_BATCH_MAX];
};

struct runner_outcome {
    struct runner_failed failed; /* of what is left in the batch */
    struct slice put_off;        /* the first 4yz reply but of a mailbox (4.2.x); {NULL, 0}: none */
    struct slice silence;        /* why there was no reply to the end of the message; {NULL, 0}: there was */
    bool answered, taken;        /* something was decided; one was taken */
    struct runner_apart refused, silent, traced; /* silent, traced: taken, and we have to say so */
};

/*
 * r: of each of the batch's entries.  Deals with what is decided, leaves in the batch what must be sent (again).  Does
 * not wait: what is reported may be gone at the next wait, and is in the batch until the end.
 */
void runner_outcome_sort(struct runner_lane *lane, struct runner_batch *batch, const struct smtp_client_recipient *r,
                         struct runner_outcome *outcome);
/* Tells the senders of those that it set apart. */
AWAITS void runner_outcome_tell(struct runner_lane *lane, struct runner_outcome *outcome);

/*
 * The reply puts an entry off that the lane has: is it to stay in its place, and what is later for its recipient behind
 * it?  Then the lane keeps it in its hands, until runner_keep() has recorded that and put it back.
 */
bool runner_order_keeps(struct runner_lane *lane, struct runner_entry *entry, enum queue_outcome outcome,
                        const struct smtp_client_recipient *reply);
AWAITS void runner_keep(struct runner_lane *lane);

/*
 * What the primary said to the recipients of a batch, which are still in it, and how long its slowest reply took: it
 * paces the drain.
 */
void runner_order_answered(struct runner_destination *destination, const struct runner_batch *batch,
                           const struct smtp_client_recipient *recipients, unsigned ms);

#endif
