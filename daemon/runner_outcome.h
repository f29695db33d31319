#ifndef DAEMON_RUNNER_OUTCOME_H
#define DAEMON_RUNNER_OUTCOME_H
/* runner_outcome: what the other side said of a batch's recipients, and who is told of it.  Only for runner_delivery.c. */
#include "daemon/runner_internal.h"

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
    struct runner_failed failed;                 /* of what is left in the batch */
    struct slice put_off;                        /* the first 4yz reply but of a mailbox (4.2.x); {NULL, 0}: none */
    bool answered, taken;                        /* something was decided; one was taken */
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

#endif
