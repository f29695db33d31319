#ifndef DAEMON_RUNNER_LANE_H
#define DAEMON_RUNNER_LANE_H
/*
 * runner_lane: a lane: one connection of one destination, message after message; and what it does with one of them.
 *
 * A lane's batch is the entries of one transaction.  Whoever takes one out of it ends it (runner_report.h) or puts it
 * back.
 */
#include "core/log.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_protect.h"
#include "protocols/smtp_client.h"
#include "protocols/smtp_turn.h"
#include "storage/queue.h"

#define RUNNER_BATCH_MAX 100 /* recipients of one transaction at most; RFC 5321 4.5.3.1.8 */

/* One transaction's entries, in a lane's hands. */
struct runner_batch {
    struct runner_message *message;
    struct runner_entry *entries[RUNNER_BATCH_MAX];
    unsigned count;
    bool finishing;                              /* the final dot is on its way */
    bool finished;                               /* it ever was */
    const struct smtp_client_recipient *offered; /* of the transaction that goes on: those of the first entries */
    unsigned offered_count;
};

/* Put off, and to stay in its place: until that is recorded a lane has it in its hands. */
struct runner_kept {
    struct runner_entry *entry;
    enum queue_outcome outcome;
    struct slice reply; /* in the lane's arena */
    uint64_t wait_ms;
};

struct runner_lane {
    struct runner_lane *next; /* among the living */
    struct runner_destination *destination;
    struct smtp_client *client;
    struct arena *arena; /* of one batch */
    struct log_context log;
    struct runner_batch batch;
    struct runner_kept kept[RUNNER_BATCH_MAX];
    unsigned kept_count;
    bool turned; /* the connection was made by the other side (ATRN): there is no other */
};

bool runner_leases_good(const struct runner_batch *batch);

AWAITS void runner_lane(void *arg);
/* Lanes that live, for runner_surrender() and runner_lanes_each(). */
void runner_lane_join(struct runner_lane *lane);
void runner_lane_leave(struct runner_lane *lane);
void runner_lanes_each(const struct runner_destination *destination,
                       void (*fn)(const struct runner_lane *lane, void *arg), void *arg);
/* A smtp_turn_fn. */
bool runner_turn(struct stream *stream, const struct smtp_turn *turn);
/* Gives back what lanes hold and have not come to the final dot with.  How many are behind it. */
unsigned runner_surrender(void);
/* Ends or puts back every entry of the batch. */
AWAITS void runner_deliver(struct runner_lane *lane, struct runner_batch *batch);
AWAITS void runner_file(struct runner_lane *lane, struct runner_batch *batch);

/* Is the turned connection protected as wanted? */
bool runner_turn_suits(const struct runner_lane *lane, enum runner_protection wanted);
/* It is not: the batch waits for another, or is returned if there is no other way (RFC 8689 4.2.1). */
AWAITS void runner_turn_unfit(struct runner_lane *lane, struct runner_batch *batch, enum runner_protection wanted);

/*
 * What is to be done for those of the batch whose time is over: they are bounced and leave it, or their sender is told
 * and they stay.
 */
AWAITS void runner_late(struct arena *arena, struct runner_batch *batch);
/* One of them must not go on, whatever the next hop says. */
bool runner_too_late(const struct runner_batch *batch);
/* Holds what is suspended of a batch that is about to be sent. */
AWAITS void runner_suspend(struct arena *arena, struct runner_batch *batch);
/* runner_size.c: what it takes is noted for the door. */
AWAITS void runner_size_learn(struct arena *arena, struct runner_destination *d, const struct smtp_client *client);

/* runner_srs.c */

/* Do two entries of a message go under the same sender? */
bool runner_same_sender(const struct runner_entry *a, const struct runner_entry *b);
/* As whom a batch is sent; it may be in the arena.  False: it cannot be told yet. */
bool runner_sender(struct arena *arena, const struct runner_batch *batch, struct slice *out)
    __attribute__((warn_unused_result));

#endif
