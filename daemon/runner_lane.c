/*
 * runner_lane: one task, one connection of one destination, message after message.
 *
 * A lane takes the first pending entry of the customer whose turn it is and all others of the same message (a batch: one transaction), has it
 * delivered (runner_delivery.c) and takes the next, until nothing is pending.  The connection is then kept for a
 * moment, for whoever comes next.  A lane of a busy destination yields its stack after TURNS_MAX messages when others
 * wait for one.
 *
 * Draining: a lane finishes the batch that it has, unless the next hop keeps it waiting.  After SURRENDER_MS what has
 * not come to its final dot is surrendered: its leases are given back, and from then on the lane can neither send that
 * dot nor report anything (runner_lease_good() is false, runner_finish() forgets).  A message behind its final dot is
 * waited for: only the reply tells whether it was taken.
 */
#include <stdlib.h>

#define LOG_MODULE "delivery"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_away.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_protect.h"
#include "daemon/runner_report.h"
#include "daemon/runner_share.h"
#include "relay/retry.h"

#define IDLE_MS 2000 /* how long a connection is kept without work */
#define TURNS_MAX 50 /* messages, before a destination that waits for a stack gets this one */

static struct runner_lane *lanes;

/* ------------------------------------------------------------------ taking */

/* The entry whose turn it is, and what else its message has for this destination that is to be sent alike. */
static bool take_batch(struct runner_destination *d, struct runner_batch *batch)
{
    enum runner_protection wanted = RUNNER_PROTECTION_ANY;
    unsigned most = RUNNER_BATCH_MAX;

    *batch = (struct runner_batch){0};
    struct runner_entry *e = runner_order_first(d), *next;
    int64_t customer_id = e ? e->message->customer_id : 0;

    for (; e && batch->count < RUNNER_BATCH_MAX; e = next) {
        next = e->next;
        if (batch->message && e->message != batch->message)
            break; /* entries of a message are made together: their ids are neighbours */
        if (batch->message &&
            (runner_protection_wanted(e->message, e->recipient) != wanted || !runner_same_sender(e, batch->entries[0])))
            continue;
        if (!runner_batch_takes(batch->count, e->recipient, &most))
            break;
        runner_entry_take(e);
        if (!runner_lease_good(e)) {
            log_warn("lease lost", log_id("message", e->message->id), log_slice("recipient", e->recipient));
            runner_entry_free(e);
            continue;
        }
        if (!batch->message)
            wanted = runner_protection_wanted(e->message, e->recipient);
        batch->message = e->message;
        batch->entries[batch->count++] = e;
    }
    runner_share_pass(d, customer_id);
    return batch->count > 0;
}

/* ------------------------------------------------------------------ a lane */

/* The lifetime is over: it bounces without another attempt. */
static AWAITS void bounce_expired(struct runner_lane *lane, struct runner_batch *batch)
{
    struct runner_entry **old = arena_array(lane->arena, batch->count, sizeof(struct runner_entry *));
    unsigned expired = 0, left = 0;

    for (unsigned i = 0; i < batch->count; i++)
        if (retry_expired(clock_now_ms(), batch->entries[i]->expires_ms))
            old[expired++] = batch->entries[i];
        else
            batch->entries[left++] = batch->entries[i];
    batch->count = left;
    if (expired)
        runner_bounce_expired(lane->arena, old, expired);
}

static AWAITS void say_goodbye(void *arg)
{
    struct smtp_client *client = arg;

    smtp_client_quit(&client);
}

static void on_idle(void *arg)
{
    struct runner_destination *d = arg;

    if (!task_start(runner_lanes(), say_goodbye, d->idle))
        smtp_client_abort(&d->idle);
    d->idle = NULL;
}

/* Keeps the connection for a moment, or says good-bye. */
static AWAITS void park(struct runner_lane *lane)
{
    struct runner_destination *d = lane->destination;

    if (!lane->client)
        return;
    d->connected--;
    lane->log.peer = NULL;
    if (!d->idle && smtp_client_usable(lane->client) && !runner_draining()) {
        d->idle = lane->client;
        lane->client = NULL;
        loop_timer_set(&d->idle_timer, IDLE_MS, on_idle, d);
        return;
    }
    smtp_client_quit(&lane->client);
}

static void unpark(struct runner_lane *lane)
{
    struct runner_destination *d = lane->destination;

    if (!d->idle)
        return;
    loop_timer_clear(&d->idle_timer);
    lane->client = d->idle;
    d->idle = NULL;
    d->connected++;
    lane->log.peer = smtp_client_host(lane->client);
}

static bool has_probe(const struct runner_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++)
        if (batch->entries[i]->probe)
            return true;
    return false;
}

/*
 * Only a probe is tried at a destination that is away.  What was claimed needs no question where it is known that the
 * destination is not: the claim was the permission to try, unless it has gone since.
 */
static AWAITS bool wait_if_away(struct runner_destination *d, struct runner_batch *batch)
{
    const struct runner_entry *first = batch->entries[0];

    runner_look_for_plan(d);
    if (has_probe(batch) || (first->claimed && d->known && !d->failing) || !runner_is_away(d))
        return false;
    runner_join_away(d, id_cell(first->id), first->claimed);
    for (unsigned i = 0; i < batch->count; i++)
        runner_finish(batch->entries[i], QUEUE_AWAY, SLICE("its destination is away"), 0);
    batch->count = 0;
    return true;
}

static AWAITS bool turn(struct runner_lane *lane, struct runner_batch *batch)
{
    struct runner_destination *d = lane->destination;
    unsigned told = d->told;
    bool probe;

    if (runner_draining() || d->lanes > runner_limit(d) || !take_batch(d, batch))
        return false;
    probe = has_probe(batch);
    bounce_expired(lane, batch);
    if (batch->count && !wait_if_away(d, batch))
        runner_deliver(lane, batch);
    if (probe)
        runner_probe_over(d, told);
    runner_order_freed(d);
    /* More where that came from? */
    if (d->more && d->pending < RUNNER_BATCH_MAX / 4) {
        d->more = false;
        runner_claim_kick(NULL);
    }
    return true;
}

/* ------------------------------------------------------------------ the living */

void runner_lane_join(struct runner_lane *lane)
{
    lane->next = lanes;
    lanes = lane;
}

void runner_lane_leave(struct runner_lane *lane)
{
    struct runner_lane **link = &lanes;

    while (*link != lane)
        link = &(*link)->next;
    *link = lane->next;
}

void runner_lanes_each(const struct runner_destination *d, void (*fn)(const struct runner_lane *lane, void *arg),
                       void *arg)
{
    for (const struct runner_lane *lane = lanes; lane; lane = lane->next)
        if (lane->destination == d)
            fn(lane, arg);
}

static void surrender(struct runner_entry *entry)
{
    if (entry->surrendered)
        return;
    entry->surrendered = true;
    runner_release_id(entry->id);
}

unsigned runner_surrender(void)
{
    unsigned left = 0;

    for (struct runner_lane *lane = lanes; lane; lane = lane->next) {
        struct runner_batch *batch = &lane->batch;

        if (batch->finishing) {
            left++;
            continue;
        }
        for (unsigned i = 0; i < batch->count; i++)
            surrender(batch->entries[i]);
        for (unsigned i = 0; i < lane->kept_count; i++)
            surrender(lane->kept[i].entry);
    }
    return left;
}

void runner_lane(void *arg)
{
    struct runner_lane *lane = calloc(1, sizeof *lane);

    if (!lane)
        abort();
    lane->destination = arg;
    lane->arena = arena_new(SIZE_MAX);
    runner_lane_join(lane);
    log_set_context(&lane->log);
    unpark(lane);
    for (unsigned turns = 0; turn(lane, &lane->batch); turns++) {
        arena_reset(lane->arena);
        if (turns >= TURNS_MAX && runner_others_wait())
            break;
    }
    park(lane);
    log_set_context(NULL);
    runner_lane_leave(lane);
    arena_free(&lane->arena);
    free(lane);
    runner_lane_ended(arg);
}
