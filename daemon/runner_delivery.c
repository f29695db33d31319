/*
 * runner_delivery: a lane: one task, one connection of one destination, message after message.
 *
 * A normal run.  The lane takes the oldest pending entry and all others of the same message (a batch: one
 * transaction), sees to it that there is a connection, sends, hands the outcomes to runner_report.c and takes the
 * next, until nothing is pending.  The connection is then kept for a moment, for whoever comes next.
 *
 * A hard run.  The connection had been idle and is dead: nothing was learned about the host, so a new one is opened from
 * the beginning.  The new one is cut in mid-transaction: the next host is tried.  None is left: the destination is
 * away.  The batch that was cut is put off by itself, too, from its second time on, because it may be what kills
 * that server, and should not stand in front of all others each time they are tried.
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
#include "daemon/bounce.h"
#include "daemon/runner_internal.h"
#include "relay/retry.h"

#define IDLE_MS 2000          /* how long a connection is kept without work */
#define TURNS_MAX 50          /* messages, before a destination that waits for a stack gets this one */
#define WORKING_MS 30000      /* a delivery this recent says that the destination does serve */
#define LIMITED_MS 60000
#define OURS_RETRY_MS 5000

struct lane {
    struct runner_destination *destination;
    struct smtp_client *client;
    struct arena *arena; /* one batch */
    struct log_context log;
};

struct batch {
    struct runner_message *message;
    struct runner_entry *entries[RUNNER_BATCH_MAX];
    unsigned count;
};

/* ------------------------------------------------------------------ outcomes */

static uint64_t retry_first(const struct runner_destination *d)
{
    return d->route.kind == ROUTE_DOMAIN ? runner_settings()->retry_min_ms : runner_settings()->retry_first_ms;
}

static void put_off(struct runner_entry *entry, struct slice reply)
{
    const struct runner_settings *s = runner_settings();
    int64_t due = retry_due(clock_now_ms(), entry->expires_ms, s->retry_first_ms, s->retry_max_ms, entry->attempts + 1,
                            runner_random());

    log_info("deferred", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_int("next_ms", due - clock_now_ms()), log_slice("reply", reply));
    runner_finish(entry, QUEUE_DEFERRED, reply, due);
}

/* It was being sent when the connection went.  The first time it keeps its place. */
static void put_off_cut(struct runner_entry *entry, struct slice reply)
{
    const struct runner_settings *s = runner_settings();
    int64_t now = clock_now_ms(), due = now;

    if (entry->attempts > 0)
        due = retry_due(now, entry->expires_ms, retry_first(entry->destination), s->retry_max_ms, entry->attempts,
                        runner_random());
    log_info("deferred", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_int("next_ms", due - now), log_slice("reply", reply));
    runner_finish(entry, QUEUE_DEFERRED, reply, due);
}

static void delivered(struct lane *lane, struct runner_entry *entry, struct slice reply)
{
    log_info("delivered", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_str("host", smtp_client_host(lane->client)),
             log_int("delay_ms", clock_now_ms() - entry->message->received_ms), log_slice("reply", reply));
    runner_finish(entry, QUEUE_DELIVERED, reply, 0);
}

/* Tells the sender, then ends the entries; if he cannot be told now, they are tried once more later. */
static AWAITS void bounce(struct batch *batch, const struct dsn_recipient *reasons)
{
    bool told = bounce_send(batch->message, reasons, batch->count);

    for (unsigned i = 0; i < batch->count; i++) {
        if (!told) {
            put_off(batch->entries[i], reasons[i].diagnostic);
            continue;
        }
        log_info("bounced", log_id("message", batch->message->id), log_slice("recipient", reasons[i].address),
                 log_slice("status", reasons[i].status), log_slice("reply", reasons[i].diagnostic));
        runner_finish(batch->entries[i], QUEUE_BOUNCED, reasons[i].diagnostic, 0);
    }
    batch->count = 0;
}

void runner_bounce_all(struct arena *arena, struct runner_entry **entries, unsigned count, struct slice status,
                       struct slice diagnostic)
{
    struct dsn_recipient *reasons = arena_array(arena, count, sizeof *reasons);
    struct batch *batch = arena_alloc(arena, sizeof *batch);

    batch->message = entries[0]->message;
    batch->count = count;
    for (unsigned i = 0; i < count; i++) {
        batch->entries[i] = entries[i];
        reasons[i] = (struct dsn_recipient){.address = entries[i]->recipient, .status = status, .diagnostic = diagnostic};
    }
    bounce(batch, reasons);
}

/* ------------------------------------------------------------------ taking */

/* The oldest pending entry, and what else its message has for this destination. */
static bool take_batch(struct runner_destination *d, struct batch *batch)
{
    *batch = (struct batch){0};
    for (struct runner_entry *e = d->first, *next; e && batch->count < RUNNER_BATCH_MAX; e = next) {
        next = e->next;
        if (batch->message && e->message != batch->message)
            break; /* entries of a message are made together: their ids are neighbours */
        runner_entry_take(e);
        if (!runner_lease_good(e)) {
            log_warn("lease lost", log_id("message", e->message->id), log_slice("recipient", e->recipient));
            runner_entry_free(e);
            continue;
        }
        batch->message = e->message;
        batch->entries[batch->count++] = e;
    }
    return batch->count > 0;
}

static bool leases_good(void *arg)
{
    const struct batch *batch = arg;

    for (unsigned i = 0; i < batch->count; i++)
        if (!runner_lease_good(batch->entries[i]))
            return false;
    return true;
}

static void put_back(struct batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++)
        runner_entry_put(batch->entries[i]);
    batch->count = 0;
}

/* ------------------------------------------------------------------ a batch */

static void drop_client(struct lane *lane)
{
    if (lane->client)
        lane->destination->connected--;
    lane->log.peer = NULL;
    smtp_client_abort(&lane->client);
}

/* Away, for all of the batch; those that were cut are put off by themselves. */
static AWAITS void all_away(struct lane *lane, struct batch *batch, const struct runner_walk *walk, bool cut,
                            struct slice reply)
{
    struct slice why = reply.n ? reply : walk->why;

    runner_mark_away(lane->destination, id_cell(batch->entries[0]->id), why);
    for (unsigned i = 0; i < batch->count; i++) {
        struct runner_entry *e = batch->entries[i];

        if (cut) {
            put_off_cut(e, why);
            continue;
        }
        log_info("deferred", log_id("message", e->message->id), log_slice("recipient", e->recipient),
                 log_str("destination", lane->destination->key), log_slice("reply", why));
        runner_finish(e, QUEUE_AWAY, why, 0);
    }
    batch->count = 0;
}

/* It is our database that cannot be asked, not the destination: again soon. */
static void all_later(struct batch *batch, struct slice why)
{
    for (unsigned i = 0; i < batch->count; i++)
        runner_finish(batch->entries[i], QUEUE_DEFERRED, why, clock_now_ms() + OURS_RETRY_MS);
    batch->count = 0;
}

/* Others have connections that work, we get none: that is a limit, not an outage. */
static bool is_limit(const struct runner_destination *d)
{
    return d->connected > 0 && clock_steady_ms() < d->good_at + WORKING_MS;
}

static AWAITS bool connect_lane(struct lane *lane, struct batch *batch, struct runner_walk *walk, bool cut, struct slice reply)
{
    struct runner_destination *d = lane->destination;

    switch (runner_hop_next(lane->arena, &d->route, walk, &lane->client)) {
    case RUNNER_HOP_OPEN:
        d->connected++;
        lane->log.peer = smtp_client_host(lane->client);
        return true;
    case RUNNER_HOP_AWAY:
        if (is_limit(d)) {
            d->limit = d->connected;
            d->limited_until = clock_steady_ms() + LIMITED_MS;
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
    }
    return false;
}

struct bounced {
    struct batch batch;
    struct dsn_recipient reasons[RUNNER_BATCH_MAX];
};

/* Deals with what is decided, leaves in the batch what must be sent (again).  True: a message was taken. */
static bool sort_outcomes(struct lane *lane, struct batch *batch, const struct smtp_client_recipient *r, struct bounced *out,
                          struct slice *away)
{
    unsigned left = 0;
    bool taken = false;

    *away = (struct slice){NULL, 0};
    for (unsigned i = 0; i < batch->count; i++) {
        struct runner_entry *entry = batch->entries[i];

        switch (r[i].outcome) {
        case SMTP_CLIENT_DELIVERED:
            delivered(lane, entry, r[i].reply);
            taken = true;
            break;
        case SMTP_CLIENT_UNCERTAIN:
            log_warn("no reply to the final dot; it will be sent again", log_id("message", batch->message->id),
                     log_slice("recipient", entry->recipient));
            put_off(entry, r[i].reply);
            break;
        case SMTP_CLIENT_LATER: put_off(entry, r[i].reply); break;
        case SMTP_CLIENT_REFUSED:
            out->reasons[out->batch.count] = (struct dsn_recipient){
                .address = entry->recipient,
                .status = r[i].status,
                .diagnostic = r[i].reply,
                .remote = arena_slice(lane->arena, slice_str(smtp_client_host(lane->client))),
                .attempt_ms = clock_now_ms(),
            };
            out->batch.entries[out->batch.count++] = entry;
            break;
        case SMTP_CLIENT_AWAY:
            *away = r[i].reply;
            batch->entries[left++] = entry;
            break;
        case SMTP_CLIENT_AGAIN: batch->entries[left++] = entry; break;
        }
    }
    batch->count = left;
    return taken;
}

/* One transaction over the open connection. */
static AWAITS void transact(struct lane *lane, struct batch *batch, struct slice *away)
{
    struct runner_message *m = batch->message;
    struct smtp_client_recipient *recipients = arena_array(lane->arena, batch->count, sizeof *recipients);
    struct bounced *refused = arena_alloc(lane->arena, sizeof *refused);
    struct smtp_client_message message = {
        .sender = m->sender,
        .eight_bit = m->eight_bit,
        .prefix = m->prefix,
        .spool = m->spool,
        .offset = m->offset,
        .may_finish = leases_good,
        .arg = batch,
        .recipients = recipients,
        .count = batch->count,
    };

    for (unsigned i = 0; i < batch->count; i++)
        recipients[i].address = batch->entries[i]->recipient;
    smtp_client_send(lane->client, lane->arena, &message);
    refused->batch.message = m;
    if (sort_outcomes(lane, batch, recipients, refused, away))
        runner_mark_good(lane->destination);
    if (refused->batch.count)
        bounce(&refused->batch, refused->reasons);
}

static AWAITS bool load(struct batch *batch)
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

static AWAITS void deliver(struct lane *lane, struct batch *batch)
{
    struct runner_walk walk = {0};
    struct slice away = {NULL, 0};
    bool cut = false;

    if (!load(batch))
        return;
    while (batch->count) {
        bool reused;

        if (!leases_good(batch)) {
            put_back(batch); /* take_batch() drops those whose lease is lost */
            return;
        }
        if (!lane->client && !connect_lane(lane, batch, &walk, cut, away))
            return;
        reused = smtp_client_used(lane->client);
        transact(lane, batch, &away);
        if (!smtp_client_usable(lane->client))
            drop_client(lane);
        if (away.p && !reused)
            cut = true;
    }
}

/* ------------------------------------------------------------------ a lane */

/* The lifetime is over: it bounces without another attempt. */
static AWAITS void bounce_expired(struct lane *lane, struct batch *batch)
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
        runner_bounce_all(lane->arena, old, expired, SLICE("4.4.7"), SLICE("delivery time expired"));
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
static AWAITS void park(struct lane *lane)
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

static void unpark(struct lane *lane)
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

static AWAITS bool turn(struct lane *lane, struct batch *batch)
{
    struct runner_destination *d = lane->destination;

    if (runner_draining() || d->lanes > runner_limit(d) || !take_batch(d, batch))
        return false;
    bounce_expired(lane, batch);
    if (!batch->count)
        return true;
    if (!batch->entries[0]->claimed && runner_is_away(d, id_cell(batch->entries[0]->id))) {
        for (unsigned i = 0; i < batch->count; i++)
            runner_finish(batch->entries[i], QUEUE_AWAY, SLICE("its destination is away"), 0);
        return true;
    }
    deliver(lane, batch);
    /* More where that came from? */
    if (d->more && d->pending < RUNNER_BATCH_MAX / 4) {
        d->more = false;
        runner_claim_kick(NULL);
    }
    return true;
}

void runner_lane(void *arg)
{
    struct lane lane = {.destination = arg, .arena = arena_new(SIZE_MAX)};
    struct batch *batch = calloc(1, sizeof *batch);

    if (!batch)
        abort();
    log_set_context(&lane.log);
    unpark(&lane);
    for (unsigned turns = 0; turn(&lane, batch); turns++) {
        arena_reset(lane.arena);
        if (turns >= TURNS_MAX && runner_others_wait())
            break;
    }
    park(&lane);
    log_set_context(NULL);
    free(batch);
    arena_free(&lane.arena);
    runner_lane_ended(arg);
}
