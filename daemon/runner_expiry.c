/*
 * runner_expiry: what time brings: held mail whose time has come, mail whose lifetime is over, mail that is so late
 * that its sender is told, or later than he permits, and what dead workers left.  One task looks, every EXPIRE_MS;
 * each look is an index probe that mostly finds nothing.
 *
 * Taking back dead workers' entries has one danger: after the database was away for a minute, leases of the living
 * have run out as well, among them those of entries that *were* delivered and whose outcome is just about to be
 * recorded.  So nothing is taken back until the database has answered for CALM_MS: their owners come first.  A worker
 * that has just started cannot know whether it was away, and waits as long.
 */
#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "storage/hold.h"
#include "storage/outage_age.h"

#define EXPIRE_MS 1000
#define RELEASE_MAX 500
#define AGE_MAX 500
#define RECLAIM_MS 5000

struct delivery_times runner_times(struct slice recipient)
{
    const struct runner_settings *s = runner_settings();
    struct delivery_times times = {s->queue_lifetime_ms, s->delay_notice_ms, s->retry_first_ms, s->retry_max_ms};

    if (recipient.n)
        delivery_policy_apply(recipient, &times);
    return times;
}

struct delivery_limits runner_limits(struct slice recipient)
{
    struct delivery_limits limits = runner_settings()->limits;

    delivery_policy_limit(recipient, &limits);
    return limits;
}

bool runner_batch_takes(unsigned count, struct slice recipient, unsigned *most)
{
    unsigned his = runner_limits(recipient).recipients, least = count && *most < his ? *most : his;

    if (count >= least)
        return false;
    *most = least;
    return true;
}

/* status empty: their lifetime is over. */
static AWAITS void bounce_run(struct arena *arena, struct runner_entry **entries, unsigned count, struct slice status,
                              struct slice why)
{
    if (status.n)
        runner_bounce_all(arena, entries, count, status, why);
    else
        runner_bounce_expired(arena, entries, count);
}

/* Ids of one message's entries are neighbours: one bounce for each run of them. */
static AWAITS void bounce(struct arena *arena, const struct queue_entry *list, unsigned count, struct slice status,
                          struct slice why)
{
    struct runner_entry *batch[RUNNER_BATCH_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++) {
        struct runner_entry *entry = runner_entry_claimed(&list[i]);

        if (!entry)
            continue;
        if (n && batch[0]->message != entry->message) {
            bounce_run(arena, batch, n, status, why);
            n = 0;
        }
        batch[n++] = entry;
    }
    if (n)
        bounce_run(arena, batch, n, status, why);
}

/* What an outage keeps waiting does not grow old.  False: that cannot be said now, and so nothing is over. */
static AWAITS bool stop_age(const int16_t *cells, unsigned cell_count)
{
    unsigned moved;

    do {
        if (outage_age_stop(cells, cell_count, AGE_MAX, &moved) != DB_DONE) {
            runner_trouble();
            return false;
        }
    } while (moved == AGE_MAX && !runner_draining());
    return true;
}

static AWAITS void bounce_expired(struct arena *arena)
{
    struct queue_entry *list = NULL;
    int16_t cells[ID_CELLS];
    unsigned cell_count = runner_cells(cells), count = 0;

    if (!cell_count || !stop_age(cells, cell_count))
        return;
    switch (queue_claim_expired(arena, cells, cell_count, RUNNER_BATCH_MAX, &list, &count)) {
    case DB_FOUND: break;
    case DB_NONE: return;
    case DB_FAILED: runner_trouble(); return;
    }
    bounce(arena, list, count, slice_of("", 0), slice_of("", 0));
}

/* Held entries whose time has come, RELEASE_MAX at a time: released, discarded, or claimed and bounced. */
static AWAITS void end_holds(struct arena *arena)
{
    struct queue_entry *list = NULL;
    int16_t cells[ID_CELLS];
    unsigned cell_count = runner_cells(cells), count = 0;

    if (!cell_count)
        return;
    do {
        if (hold_release_due(cells, cell_count, RELEASE_MAX, &count) != DB_DONE) {
            runner_trouble();
            return;
        }
        if (count)
            runner_claim_kick(NULL);
    } while (count == RELEASE_MAX && !runner_draining());
    do {
        if (hold_discard_due(cells, cell_count, RELEASE_MAX, &count) != DB_DONE) {
            runner_trouble();
            return;
        }
    } while (count == RELEASE_MAX && !runner_draining());
    switch (hold_claim_rejected(arena, cells, cell_count, RUNNER_BATCH_MAX, &list, &count)) {
    case DB_FOUND: break;
    case DB_NONE: return;
    case DB_FAILED: runner_trouble(); return;
    }
    bounce(arena, list, count, SLICE("5.7.1"), SLICE("not released for delivery by the administration of this system"));
}

/* Entries of one message: told, or to be told at the next look; either way they wait on. */
static AWAITS void tell_late(struct arena *arena, struct runner_entry **entries, const struct slice *replies,
                             unsigned count)
{
    struct dsn_recipient *reasons = arena_array(arena, count, sizeof *reasons);

    for (unsigned i = 0; i < count; i++)
        reasons[i] = (struct dsn_recipient){
            .address = entries[i]->recipient,
            .status = SLICE("4.0.0"), /* unless the last reply had one */
            .diagnostic = replies[i],
            .until_ms = entries[i]->expires_ms,
        };
    runner_last_attempts(arena, entries, reasons, count, false);
    if (!runner_tell(DSN_DELAYED, entries, reasons, count))
        log_warn("a sender could not be told of a delay yet", log_id("message", entries[0]->message->id));
    for (unsigned i = 0; i < count; i++)
        runner_release(entries[i]);
}

static AWAITS void tell_delayed(struct arena *arena)
{
    struct queue_entry *list = NULL;
    struct runner_entry *batch[RUNNER_BATCH_MAX];
    struct slice replies[RUNNER_BATCH_MAX];
    int16_t cells[ID_CELLS];
    unsigned cell_count = runner_cells(cells), count = 0, n = 0;

    if (!cell_count)
        return;
    switch (queue_claim_delayed(arena, cells, cell_count, RUNNER_BATCH_MAX, &list, &count)) {
    case DB_FOUND: break;
    case DB_NONE: return;
    case DB_FAILED: runner_trouble(); return;
    }
    for (unsigned i = 0; i < count; i++) {
        struct runner_entry *entry = runner_entry_claimed(&list[i]);

        if (!entry)
            continue;
        if (n && batch[0]->message != entry->message) {
            tell_late(arena, batch, replies, n);
            n = 0;
        }
        batch[n] = entry;
        replies[n++] = list[i].last_reply;
    }
    if (n)
        tell_late(arena, batch, replies, n);
}

/* What waits in the database, held or not, and is to be delivered by a time that is over. */
static AWAITS void end_late(struct arena *arena)
{
    struct queue_entry *list = NULL;
    struct runner_batch *batch = arena_alloc(arena, sizeof *batch);
    int16_t cells[ID_CELLS];
    unsigned cell_count = runner_cells(cells), count = 0;

    if (!cell_count)
        return;
    switch (queue_claim_late(arena, cells, cell_count, RUNNER_BATCH_MAX, &list, &count)) {
    case DB_FOUND: break;
    case DB_NONE: return;
    case DB_FAILED: runner_trouble(); return;
    }
    for (unsigned i = 0; i < count;) {
        batch->count = 0;
        for (int64_t message = list[i].message_id; i < count && list[i].message_id == message; i++) {
            struct runner_entry *entry = runner_entry_claimed(&list[i]);

            if (entry)
                batch->entries[batch->count++] = entry;
        }
        if (!batch->count)
            continue;
        batch->message = batch->entries[0]->message;
        runner_late(arena, batch);
        for (unsigned j = 0; j < batch->count; j++)
            runner_release(batch->entries[j]);
    }
}

static AWAITS void reclaim(void)
{
    int16_t cells[ID_CELLS];
    unsigned cell_count = runner_cells(cells), count;

    if (!cell_count || !runner_calm())
        return;
    if (queue_reclaim(cells, cell_count, &count) != DB_DONE) {
        runner_trouble();
        return;
    }
    if (!count)
        return;
    log_info("took back what another worker left", log_int("count", count));
    runner_claim_kick(NULL);
}

void runner_expire_for_ever(void *arg)
{
    uint64_t reclaim_at = 0;

    (void)arg;
    runner_trouble();
    while (!runner_draining()) {
        struct arena *arena = arena_new(SIZE_MAX);

        runner_claims_add(1);
        end_holds(arena);
        bounce_expired(arena);
        tell_delayed(arena);
        end_late(arena);
        runner_late_pending();
        runner_suspend_pending();
        runner_claims_add(-1);
        arena_free(&arena);
        if (clock_steady_ms() >= reclaim_at) {
            reclaim();
            reclaim_at = clock_steady_ms() + RECLAIM_MS;
        }
        runner_sweep();
        task_sleep(EXPIRE_MS);
    }
}
