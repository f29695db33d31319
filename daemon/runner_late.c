/*
 * runner_late: mail that is to be delivered by a certain time (BY, RFC 2852).
 *
 *     BY=;R   when the time is over it is bounced (5.4.7), and nothing of it is delivered any more: a lane asks before it begins and
 *             again before the final dot
 *     BY=;N   its sender is told, once, in the transaction that forgets the time; then it is mail like any other
 *
 * Who has the entry looks at its time: the database's index for what waits or is held (queue_claim_late),
 * runner_late_pending() for what is in memory and no lane has taken, and the lane for what it has.  One that a lane
 * has when the time comes is dealt with when the next hop has spoken; it cannot be bounced before, as it may have
 * been taken.
 *
 * What is late for both reasons, BY and `delay_notice`, is told of twice: the reports say different things.
 */
#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"

static bool is_late(const struct runner_entry *entry, int64_t now)
{
    return entry->deliver_by_ms && entry->deliver_by_ms <= now;
}

/* The time is forgotten, even if nobody was told: there is nobody, or he will be told by the row. */
static AWAITS void tell(struct arena *arena, struct runner_entry **late, unsigned count)
{
    struct dsn_recipient *reasons = arena_array(arena, count, sizeof *reasons);
    int64_t *ids = arena_array(arena, count, sizeof *ids);
    unsigned wanted = 0;

    for (unsigned i = 0; i < count; i++) {
        reasons[i] = (struct dsn_recipient){.address = late[i]->recipient,
                                            .status = SLICE("4.4.7"),
                                            .diagnostic = SLICE("the time that its sender gave for delivery is over"),
                                            .until_ms = late[i]->expires_ms};
        ids[i] = late[i]->id;
        wanted += notice_wanted(late[i]->message->sender, &late[i]->envelope, DSN_LATE);
        runner_entry_deadline(late[i], 0);
    }
    if (wanted && !runner_tell(DSN_LATE, late, reasons, count))
        log_warn("a sender could not be told that mail is late yet", log_id("message", late[0]->message->id));
    else if (wanted < count && queue_not_late(ids, count) != DB_DONE)
        log_debug("that nobody is to be told is found out again", log_id("message", late[0]->message->id));
}

bool runner_too_late(const struct runner_batch *batch)
{
    return batch->count && envelope_expired(&batch->message->envelope, batch->message->received_ms, clock_now_ms());
}

void runner_late(struct arena *arena, struct runner_batch *batch)
{
    struct runner_entry *late[RUNNER_BATCH_MAX];
    int64_t now = clock_now_ms();
    unsigned count = 0;

    for (unsigned i = 0; i < batch->count; i++)
        if (is_late(batch->entries[i], now))
            late[count++] = batch->entries[i];
    if (runner_too_late(batch)) {
        runner_bounce_all(arena, batch->entries, batch->count, SLICE("5.4.7"),
                          SLICE("the time that its sender gave for delivery is over"));
        batch->count = 0;
    } else if (count) {
        tell(arena, late, count);
    }
}

/* ------------------------------------------------------------------ what waits in memory */

static void gather(struct runner_entry *entry, void *arg)
{
    struct runner_batch *batch = arg;

    if (!entry->pending || batch->count == RUNNER_BATCH_MAX || !is_late(entry, clock_now_ms()) ||
        !runner_lease_good(entry) || (batch->message && batch->message != entry->message))
        return;
    batch->message = entry->message;
    batch->entries[batch->count++] = entry;
}

void runner_late_pending(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct runner_batch *batch = arena_alloc(arena, sizeof *batch);

    while (runner_deadlines() && !runner_draining()) {
        *batch = (struct runner_batch){0};
        runner_entries_each(gather, batch);
        if (!batch->count)
            break;
        for (unsigned i = 0; i < batch->count; i++)
            runner_entry_take(batch->entries[i]);
        runner_late(arena, batch);
        for (unsigned i = 0; i < batch->count; i++) {
            runner_entry_put(batch->entries[i]);
            runner_pump(batch->entries[i]->destination);
        }
    }
    arena_free(&arena);
}
