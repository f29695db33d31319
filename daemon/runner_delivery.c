/*
 * runner_delivery: one batch: a message's recipients at one destination.
 *
 * A normal run.  There is a connection, or one is opened; the message is sent; outcomes go to runner_report.c.
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
 *
 * A sender who asked to hear of success (RFC 3461) hears it from the next hop if that offers DSN; else from us, before
 * the delivery is recorded.  It is repeated until it is stored: the message is gone, and must not go again for it.
 */
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "delivery"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/health.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_source.h"
#include "daemon/testament.h"
#include "storage/delivery_policy.h"
#include "storage/source_pool.h"

#define WORKING_MS 30000 /* a delivery this recent says that the destination does serve */
#define OURS_RETRY_MS 5000
#define TELL_RETRY_MS 1000
#define TELL_PATIENCE_MS (10 * 60 * 1000) /* as that of queue_report() */

/* ------------------------------------------------------------------ outcomes */

static void delivered(struct runner_lane *lane, struct runner_entry *entry, struct slice reply)
{
    log_info("delivered", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_str("host", smtp_client_host(lane->client)), log_str("tls", entry->secured.version),
             log_str("verified", entry->secured.verified),
             log_int("delay_ms", clock_now_ms() - entry->message->received_ms), log_slice("reply", reply));
    runner_finish(entry, QUEUE_DELIVERED, reply, 0);
}

static bool leases_good(const struct runner_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++)
        if (!runner_lease_good(batch->entries[i]))
            return false;
    return true;
}

/* Tells the sender, then ends the entries; if he cannot be told now, they are tried once more later. */
static AWAITS void bounce(struct runner_batch *batch, const struct dsn_recipient *reasons)
{
    bool told = leases_good(batch) && runner_tell(DSN_FAILED, batch->entries, reasons, batch->count);

    for (unsigned i = 0; i < batch->count; i++) {
        struct slice why = reasons[i].cause.n ? reasons[i].cause : reasons[i].diagnostic;

        if (!told) {
            runner_put_off(QUEUE_DEFERRED, batch->entries[i], why);
            continue;
        }
        log_info("bounced", log_id("message", batch->message->id), log_slice("recipient", reasons[i].address),
                 log_slice("status", reasons[i].status), log_slice("reply", why));
        runner_finish(batch->entries[i], QUEUE_BOUNCED, why, 0);
    }
    batch->count = 0;
}

void runner_bounce_told(struct arena *arena, struct runner_entry **entries, const struct dsn_recipient *reasons,
                        unsigned count)
{
    struct runner_batch *batch = arena_alloc(arena, sizeof *batch);

    batch->message = entries[0]->message;
    batch->count = count;
    for (unsigned i = 0; i < count; i++)
        batch->entries[i] = entries[i];
    bounce(batch, reasons);
}

static bool may_finish(void *arg)
{
    struct runner_batch *batch = arg;

    batch->finished = true;
    batch->finishing = leases_good(batch) && !runner_too_late(batch);
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

/* It is our database that cannot be asked, not the destination: again soon. */
static void all_later(struct runner_batch *batch, struct slice why)
{
    for (unsigned i = 0; i < batch->count; i++) {
        batch->entries[i]->remote = (struct runner_remote){0};
        runner_finish(batch->entries[i], QUEUE_DEFERRED, why, clock_now_ms() + OURS_RETRY_MS);
    }
    batch->count = 0;
}

/* Others have connections that work, we get none: that is a limit, not an outage. */
static bool is_limit(const struct runner_destination *d)
{
    return d->connected > 0 && clock_steady_ms() < d->good_at + WORKING_MS;
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

    for (unsigned i = 0; i < batch->count && !reply.n; i++) {
        batch->entries[i]->secured = (struct runner_secured){0};
        batch->entries[i]->remote = (struct runner_remote){0};
    }
    if (!walk->begun && runner_unmet_recall(lane->arena, d, walk)) {
        all_unmet(lane, batch, walk);
        return false;
    }
    switch (runner_hop_next(lane->arena, &d->route, walk, &lane->client)) {
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
            concurrency_crowded(&d->concurrency, d->connected, clock_steady_ms());
            put_back(batch);
        } else {
            all_away(lane, batch, walk, cut, reply);
        }
        return false;
    case RUNNER_HOP_REFUSED:
        runner_bounce_all(lane->arena, batch->entries, batch->count, walk->status, walk->why);
        batch->count = 0;
        return false;
    case RUNNER_HOP_LATER: all_later(batch, walk->why); return false;
    case RUNNER_HOP_MOVED: runner_route_move(lane, batch); return false;
    }
    return false;
}

/* What the server, or the end of the connection, said when it did not take the message. */
struct failed {
    struct slice why;
    bool cut;
};

/* Those of a batch whose sender must be told of something. */
struct apart {
    struct runner_batch batch;
    struct dsn_recipient reasons[RUNNER_BATCH_MAX];
};

static void set_apart(struct runner_lane *lane, struct apart *apart, struct runner_entry *entry,
                      const struct smtp_client_recipient *r)
{
    apart->batch.message = entry->message;
    apart->reasons[apart->batch.count] = (struct dsn_recipient){
        .address = entry->recipient,
        .status = r->status,
        .diagnostic = r->reply,
        .remote = arena_slice(lane->arena, slice_str(smtp_client_host(lane->client))),
        .attempt_ms = clock_now_ms(),
    };
    apart->batch.entries[apart->batch.count++] = entry;
}

/* Taken by a next hop, of which the sender wants to hear from us. */
static AWAITS void relayed(struct runner_lane *lane, enum dsn_action action, struct apart *apart)
{
    uint64_t give_up = clock_steady_ms() + TELL_PATIENCE_MS;
    bool told;

    lane->batch.finishing = true; /* an orderly stop waits for it */
    while (!(told = runner_tell(action, apart->batch.entries, apart->reasons, apart->batch.count)) &&
           clock_steady_ms() < give_up)
        task_sleep(TELL_RETRY_MS);
    if (!told)
        log_error("a sender could not be told of success", log_id("message", apart->batch.message->id));
    for (unsigned i = 0; i < apart->batch.count; i++)
        delivered(lane, apart->batch.entries[i], apart->reasons[i].diagnostic);
    lane->batch.finishing = false;
}

/* RFC 2852 4.1.4: T wants to hear of each relay, N of one to a server that does not know BY. */
static bool is_traced(const struct runner_entry *entry, const struct smtp_client_recipient *r)
{
    const struct envelope_mail *envelope = &entry->message->envelope;

    return (envelope->by_trace || (envelope->by == ENVELOPE_BY_NOTIFY && !r->by)) &&
           notice_wanted(entry->message->sender, &entry->envelope, DSN_TRACED);
}

enum answered { ANSWERED_NOTHING, ANSWERED, ANSWERED_TAKEN };

/*
 * Deals with what is decided, leaves in the batch what must be sent (again).  The best that it said to any of them.  Does
 * not wait: what is reported may be gone at the next wait, and is in the batch until the end.
 */
static enum answered sort_outcomes(struct runner_lane *lane, struct runner_batch *batch,
                                   const struct smtp_client_recipient *r, struct apart *refused, struct apart *silent,
                                   struct apart *traced, struct failed *failed)
{
    unsigned left = 0;
    enum answered answered = ANSWERED_NOTHING;

    *failed = (struct failed){{NULL, 0}, false};
    for (unsigned i = 0; i < batch->count; i++) {
        struct runner_entry *entry = batch->entries[i];

        if (r[i].outcome != SMTP_CLIENT_DELIVERED && r[i].outcome != SMTP_CLIENT_UNCERTAIN) {
            testament_remove(entry->noted);
            entry->noted = 0;
        }
        switch (r[i].outcome) {
        case SMTP_CLIENT_DELIVERED:
            runner_learn(lane->client, entry, true);
            if (!r[i].dsn && notice_wanted(batch->message->sender, &entry->envelope, DSN_RELAYED))
                set_apart(lane, silent, entry, &r[i]);
            else if (is_traced(entry, &r[i]))
                set_apart(lane, traced, entry, &r[i]);
            else
                delivered(lane, entry, r[i].reply);
            answered = ANSWERED_TAKEN;
            break;
        case SMTP_CLIENT_UNCERTAIN:
            log_warn("no reply to the final dot; it will be sent again", log_id("message", batch->message->id),
                     log_slice("recipient", entry->recipient));
            runner_put_off(QUEUE_UNCERTAIN, entry, r[i].reply);
            break;
        case SMTP_CLIENT_LATER:
            runner_put_off(QUEUE_DEFERRED, entry, r[i].reply);
            answered = answered ? answered : ANSWERED;
            break;
        case SMTP_CLIENT_REFUSED:
            answered = answered ? answered : ANSWERED;
            if (slice_equal(r[i].status, SLICE("5.1.1")))
                runner_learn(lane->client, entry, false);
            set_apart(lane, refused, entry, &r[i]);
            break;
        case SMTP_CLIENT_CUT:
        case SMTP_CLIENT_AWAY:
            *failed = (struct failed){r[i].reply, r[i].outcome == SMTP_CLIENT_CUT};
            batch->entries[left++] = entry;
            break;
        case SMTP_CLIENT_AGAIN: batch->entries[left++] = entry; break;
        }
    }
    batch->count = left;
    return answered;
}

/* What a primary put off; {NULL,0}: nothing. */
static struct slice put_off_reply(const struct smtp_client_recipient *r, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (r[i].outcome == SMTP_CLIENT_LATER)
            return r[i].reply;
    return slice_of(NULL, 0);
}

/* One transaction over the open connection. */
static AWAITS void transact(struct runner_lane *lane, struct runner_batch *batch, struct slice sender,
                            struct failed *failed)
{
    struct runner_message *m = batch->message;
    struct smtp_client_recipient *recipients = arena_array(lane->arena, batch->count, sizeof *recipients);
    struct apart *refused = arena_alloc(lane->arena, sizeof *refused);
    struct apart *silent = arena_alloc(lane->arena, sizeof *silent);
    struct apart *traced = arena_alloc(lane->arena, sizeof *traced);
    unsigned cell = id_cell(batch->entries[0]->id), count = batch->count, slowest;
    enum answered answered;
    struct slice weak;
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
    answered = sort_outcomes(lane, batch, recipients, refused, silent, traced, failed);
    /* What was taken and is not reported yet is in neither the batch nor the reports: an orderly stop waits for it. */
    batch->finishing = silent->batch.count || traced->batch.count;
    weak = put_off_reply(recipients, count);
    if (answered && lane->destination->route.kind == ROUTE_DOMAIN && !lane->turned)
        health_delivery(lane->destination->route.domain_id, answered == ANSWERED_TAKEN, weak, slowest);
    if (answered && !lane->turned)
        runner_mark_good(lane->destination, cell, answered == ANSWERED_TAKEN);
    if (silent->batch.count)
        relayed(lane, DSN_RELAYED, silent); /* and goes on to the next without waiting */
    if (traced->batch.count)
        relayed(lane, DSN_TRACED, traced);
    if (refused->batch.count)
        bounce(&refused->batch, refused->reasons);
}

static AWAITS bool load(struct runner_batch *batch)
{
    switch (runner_message_load(batch->message)) {
    case DB_FOUND: return true;
    case DB_NONE: /* deleted behind our back; the entries go with what refers to them */
        log_error("a queued message has no content", log_id("message", batch->message->id));
        break;
    case DB_FAILED: break;
    }
    all_later(batch, SLICE("the message could not be loaded"));
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
static void all_wait(struct runner_batch *batch, const struct failed *failed)
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
    struct failed failed = {{NULL, 0}, false};
    struct slice sender;
    bool cut = false;

    if (lane->destination->route.kind == ROUTE_MAILBOX) {
        runner_late(lane->arena, batch);
        if (batch->count)
            runner_file(lane, batch);
        return;
    }
    runner_suspend(lane->arena, batch);
    if (!batch->count || !load(batch))
        return;
    if (!runner_sender(lane->arena, batch, &sender)) {
        all_later(batch, SLICE("the keys of rewritten senders could not be looked up"));
        return;
    }
    if (lane->turned && lane->client && !runner_turn_suits(lane, walk.protection)) {
        runner_turn_unfit(lane, batch, walk.protection);
        return;
    }
    if (!lane->turned &&
        source_pool_of_customer(lane->arena, batch->message->customer_id, &walk.sources) == DB_FAILED) {
        all_later(batch, SLICE("the customer's source addresses could not be looked up"));
        return;
    }
    if (!lane->turned)
        leave_unfit(lane, batch->entries[0], &walk);
    while (batch->count) {
        bool reused;

        if (!leases_good(batch)) {
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
