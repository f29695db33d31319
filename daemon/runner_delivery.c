/*
 * runner_delivery: one batch: a message's recipients at one destination.
 *
 * A normal run.  There is a connection, or one is opened; the message is sent; what the other side said of each
 * recipient goes by runner_outcome.c to runner_report.c.
 *
 * A hard run.  The connection had been idle and is dead: nothing was learned about the host, so a new one is opened
 * from the beginning.  The new one is cut in mid-transaction: the next host is tried.  None is left: the destination
 * is away.  The batch that was cut is put off by itself, too, from its second time on, because it may be what kills
 * that server, and should not stand in front of all others each time they are tried.  One that got no further than
 * MAIL cannot be, and keeps its place however long the server says 421 there: what was held is to arrive in order.
 *
 * A lane that gets no connection while others of its destination have one has met a limit of the other side: it puts
 * its batch back and ends, and the limit is remembered.
 *
 * Exactly once: an entry is sent only on a lease that lasts (asked when it is taken and again before the final dot) and
 * is forgotten only when its outcome is recorded.  UNCERTAIN is the one outcome after which it may be there
 * twice; it is put off like a 4xx.
 */
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "delivery"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/health.h"
#include "daemon/runner_away.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_outcome.h"
#include "daemon/runner_protect.h"
#include "daemon/runner_report.h"
#include "daemon/runner_share.h"
#include "daemon/runner_source.h"
#include "daemon/testament.h"
#include "storage/delivery_policy.h"
#include "storage/source_pool.h"

#define WORKING_MS 30000 /* a delivery this recent says that the destination does serve */
#define OURS_RETRY_MS 5000
#define OURS_PAUSE_MS 250

static bool may_finish(void *arg)
{
    struct runner_batch *batch = arg;

    batch->finished = true;
    batch->finishing = runner_leases_good(batch) && !runner_too_late(batch);
    for (unsigned i = 0; batch->finishing && i < batch->offered_count; i++)
        if (!batch->offered[i].reply.p) /* accepted, and not decided yet */
            batch->entries[i]->noted = testament_begin(batch->entries[i]->id);
    return batch->finishing;
}

static void put_back(struct runner_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        batch->entries[i]->secured = (struct runner_secured){0};
        batch->entries[i]->remote = (struct runner_remote){0};
        runner_entry_put(batch->entries[i]);
    }
    batch->count = 0;
}

/* ------------------------------------------------------------------ a batch */

static AWAITS void drop_client(struct runner_lane *lane)
{
    if (lane->client)
        lane->destination->connected--;
    lane->log.peer = NULL;
    smtp_client_quit(&lane->client);
}

/* Away, for all of the batch; those that were cut are put off by themselves. */
static AWAITS void all_away(struct runner_lane *lane, struct runner_batch *batch, const struct runner_walk *walk,
                            bool cut, struct slice reply)
{
    struct slice why = reply.n ? reply : walk->why;

    for (unsigned i = 0; i < batch->count && !reply.n; i++) /* else it is what the host before said that is told */
        batch->entries[i]->remote = walk->remote;
    runner_mark_away(lane->destination, id_cell(batch->entries[0]->id), why);
    for (unsigned i = 0; i < batch->count; i++) {
        struct runner_entry *e = batch->entries[i];

        if (cut) {
            runner_put_off_cut(e, why);
            continue;
        }
        log_info("deferred", log_id("message", e->message->id), log_slice("recipient", e->recipient),
                 log_str("destination", lane->destination->key), log_slice("reply", why));
        runner_finish(e, QUEUE_AWAY, why, 0);
    }
    batch->count = 0;
}

static void put_off_soon(struct runner_batch *batch, struct slice why)
{
    for (unsigned i = 0; i < batch->count; i++) {
        batch->entries[i]->remote = (struct runner_remote){0};
        runner_finish(batch->entries[i], QUEUE_DEFERRED, why, clock_now_ms() + OURS_RETRY_MS);
    }
    batch->count = 0;
}

/*
 * It is our database that cannot be asked, not the destination: again soon.  In a drain they keep their place: what is
 * put off is passed by what is later for its recipient, and not waited for at the end.
 */
static AWAITS void all_later(struct runner_lane *lane, struct runner_batch *batch, struct slice why)
{
    const struct runner_destination *d = lane->destination;

    if ((d->ordered || d->drills) && !lane->turned && !runner_draining()) {
        task_sleep(OURS_PAUSE_MS);
        if (!runner_draining()) {
            put_back(batch);
            return;
        }
    }
    put_off_soon(batch, why);
}

/* Of ours that work: a lane may just have put its own aside. */
static unsigned connections(const struct runner_destination *d)
{
    return d->connected + (d->idle ? 1 : 0);
}

/*
 * Others have connections that work, we get none: that is a limit, not an outage.  In a drain, which may begin with all
 * its lanes at once, others may still be at it: whoever is the last decides.
 */
static bool is_limit(const struct runner_destination *d)
{
    if (d->ordered)
        return connections(d) + d->connecting > 0;
    return connections(d) > 0 && clock_steady_ms() < d->good_at + WORKING_MS;
}

/* One fewer each time, so that no lane is begun in the place of one that found no connection. */
static unsigned limit_found(const struct runner_destination *d)
{
    return d->ordered ? d->lanes - 1 : connections(d);
}

/* Every host that was reached lacks what the message, or the policy for its recipients, requires. */
static AWAITS void all_unmet(struct runner_lane *lane, struct runner_batch *batch, const struct runner_walk *walk)
{
    bool ours = walk->status.n > 3 && memcmp(walk->status.p + 1, ".3.", 3) == 0; /* RFC 3463 3.4: source addresses */

    lane->destination->told++; /* a probe of it has its answer */
    for (unsigned i = 0; i < batch->count; i++) {
        batch->entries[i]->unmet = !ours;
        batch->entries[i]->secured = walk->secured;
        batch->entries[i]->remote = walk->remote;
    }
    if (!walk->unreached && walk->protection == RUNNER_PROTECTION_REQUIRETLS) {
        runner_bounce_all(lane->arena, batch->entries, batch->count, walk->status, walk->why);
        batch->count = 0;
        return;
    }
    for (unsigned i = 0; i < batch->count; i++)
        runner_put_off(QUEUE_DEFERRED, batch->entries[i], walk->why);
    batch->count = 0;
}

static AWAITS bool connect_lane(struct runner_lane *lane, struct runner_batch *batch, struct runner_walk *walk,
                                bool cut, struct slice reply)
{
    struct runner_destination *d = lane->destination;
    enum runner_hop found;

    for (unsigned i = 0; i < batch->count && !reply.n; i++) {
        batch->entries[i]->secured = (struct runner_secured){0};
        batch->entries[i]->remote = (struct runner_remote){0};
    }
    if (!walk->begun && runner_unmet_recall(lane->arena, d, walk)) {
        all_unmet(lane, batch, walk);
        return false;
    }
    d->connecting++;
    found = runner_hop_next(lane->arena, &d->route, walk, &lane->client);
    d->connecting--;
    switch (found) {
    case RUNNER_HOP_OPEN:
        d->connected++;
        lane->log.peer = smtp_client_host(lane->client);
        runner_size_learn(lane->arena, d, lane->client);
        return true;
    case RUNNER_HOP_AWAY:
        if (walk->unmet) {
            runner_unmet_note(d, walk, runner_times(batch->entries[0]->recipient).retry_first_ms);
            all_unmet(lane, batch, walk);
        } else if (is_limit(d)) {
            concurrency_crowded(&d->concurrency, limit_found(d), clock_steady_ms());
            put_back(batch);
        } else {
            all_away(lane, batch, walk, cut, reply);
        }
        return false;
    case RUNNER_HOP_REFUSED:
        runner_bounce_all(lane->arena, batch->entries, batch->count, walk->status, walk->why);
        batch->count = 0;
        return false;
    case RUNNER_HOP_LATER: all_later(lane, batch, walk->why); return false;
    case RUNNER_HOP_MOVED: runner_route_move(lane, batch); return false;
    }
    return false;
}

/* One transaction over the open connection. */
static AWAITS void transact(struct runner_lane *lane, struct runner_batch *batch, struct slice sender,
                            struct runner_failed *failed)
{
    struct runner_message *m = batch->message;
    struct smtp_client_recipient *recipients = arena_array(lane->arena, batch->count, sizeof *recipients);
    struct runner_outcome *outcome = arena_alloc(lane->arena, sizeof *outcome);
    unsigned cell = id_cell(batch->entries[0]->id), slowest;
    struct runner_remote remote = runner_remote_of(lane->arena, lane->client);
    struct envelope_mail envelope = envelope_passed_on(&m->envelope, m->received_ms, clock_now_ms());
    struct smtp_client_message message = {
        .sender = sender,
        .envelope = &envelope,
        .eight_bit = m->eight_bit,
        .prefix = m->prefix,
        .spool = m->spool,
        .offset = m->offset,
        .may_finish = may_finish,
        .arg = batch,
        .recipients = recipients,
    };

    for (unsigned i = 0; i < batch->count; i++) {
        recipients[i].address = batch->entries[i]->recipient;
        recipients[i].envelope = &batch->entries[i]->envelope;
        batch->entries[i]->secured = runner_secured_of(lane->client);
        batch->entries[i]->remote = remote;
    }
    message.count = smtp_client_portion(lane->client, recipients, batch->count);
    for (unsigned i = message.count; i < batch->count; i++)
        recipients[i].outcome = SMTP_CLIENT_AGAIN;
    runner_count.attempts += message.count;
    batch->finished = false;
    batch->offered = recipients;
    batch->offered_count = message.count;
    smtp_client_watch(lane->client);
    smtp_client_send(lane->client, lane->arena, &message);
    batch->finishing = false;
    batch->offered_count = 0;
    slowest = smtp_client_slowest_ms(lane->client);
    runner_order_answered(lane->destination, batch, recipients, slowest);
    runner_outcome_sort(lane, batch, recipients, outcome);
    if (outcome->answered && lane->destination->route.kind == ROUTE_DOMAIN && !lane->turned)
        health_delivery(lane->destination->route.domain_id, outcome->taken, outcome->put_off, slowest);
    if (outcome->silence.p && lane->destination->route.kind == ROUTE_DOMAIN && !lane->turned)
        health_note(lane->destination->route.domain_id, HEALTH_FAILED, outcome->silence, false);
    if (outcome->answered && !lane->turned)
        runner_mark_good(lane->destination, cell, outcome->taken);
    *failed = outcome->failed;
    runner_outcome_tell(lane, outcome);
}

static AWAITS bool load(struct runner_lane *lane, struct runner_batch *batch)
{
    const struct slice could_not = SLICE("the message could not be loaded");

    switch (runner_message_load(batch->message)) {
    case DB_FOUND: return true;
    case DB_NONE: /* deleted behind our back; the entries go with what refers to them */
        log_error("a queued message has no content", log_id("message", batch->message->id));
        put_off_soon(batch, could_not);
        return false;
    case DB_FAILED: break;
    }
    all_later(lane, batch, could_not);
    return false;
}

/* The connection that the message before went over may not be good for this one. */
static AWAITS void leave_unfit(struct runner_lane *lane, const struct runner_entry *first,
                               const struct runner_walk *walk)
{
    if (!lane->client || runner_client_fits(lane, first, walk))
        return;
    lane->destination->connected--;
    lane->log.peer = NULL;
    smtp_client_quit(&lane->client);
}

/* The connection that the other side made is over, or not good enough: the rest waits for its next one. */
static void all_wait(struct runner_batch *batch, const struct runner_failed *failed)
{
    struct slice why = failed->why.n ? failed->why : SLICE("the connection that its collector made is over");

    for (unsigned i = 0; i < batch->count; i++)
        if (failed->cut)
            runner_put_off_cut(batch->entries[i], why);
        else
            runner_finish(batch->entries[i], QUEUE_AWAY, why, 0);
    batch->count = 0;
}

void runner_deliver(struct runner_lane *lane, struct runner_batch *batch)
{
    struct runner_walk walk = {.protection = runner_protection_wanted(batch->message, batch->entries[0]->recipient)};
    struct runner_failed failed = {{NULL, 0}, false};
    struct slice sender;
    bool cut = false;

    if (lane->destination->route.kind == ROUTE_MAILBOX) {
        runner_late(lane->arena, batch);
        if (batch->count)
            runner_file(lane, batch);
        return;
    }
    runner_suspend(lane->arena, batch);
    if (!batch->count || !load(lane, batch))
        return;
    if (!runner_sender(lane->arena, batch, &sender)) {
        all_later(lane, batch, SLICE("the keys of rewritten senders could not be looked up"));
        return;
    }
    if (lane->turned && lane->client && !runner_turn_suits(lane, walk.protection)) {
        runner_turn_unfit(lane, batch, walk.protection);
        return;
    }
    if (!lane->turned &&
        source_pool_of_customer(lane->arena, batch->message->customer_id, &walk.sources) == DB_FAILED) {
        all_later(lane, batch, SLICE("the customer's source addresses could not be looked up"));
        return;
    }
    if (!lane->turned)
        leave_unfit(lane, batch->entries[0], &walk);
    while (batch->count) {
        bool reused;

        if (!runner_leases_good(batch)) {
            put_back(batch); /* take_batch() drops those whose lease is lost */
            return;
        }
        runner_late(lane->arena, batch);
        if (!batch->count)
            return;
        if (!lane->client && lane->turned) {
            all_wait(batch, &failed);
            return;
        }
        if (!lane->client && !connect_lane(lane, batch, &walk, cut, failed.why))
            return;
        reused = smtp_client_used(lane->client);
        transact(lane, batch, sender, &failed);
        walk.unreached |= batch->count > 0;
        if (!smtp_client_usable(lane->client) ||
            (batch->count && !lane->turned && runner_client_spent(lane->client, batch->entries[0]))) {
            drop_client(lane);
            walk.begun &= failed.why.n > 0; /* else the host has taken as many as it does in a session */
        }
        if (failed.cut && !reused)
            cut = true;
    }
}
