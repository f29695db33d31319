/*
 * runner_bounce: what is given up for reasons of ours, and what the reports tell of it.
 *
 * Of mail that is late, or whose lifetime is over, that is also the last attempt: its time, the host that was asked,
 * and what it said (RFC 3461 6.3 (h) and (i), RFC 3464 2.3.5 to 2.3.7).
 *
 * The events of the message have that; it is asked for only when there is something to tell.  If they cannot be asked
 * the report goes without, or, what is likelier, cannot be stored now, and is made anew.
 */
#define LOG_MODULE "notice"
#include "daemon/runner_bounce.h"
#include "core/log.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "storage/event.h"

#define EXPIRED SLICE("delivery time expired")

/* The enhanced status of a 4yz reply; else what is given. */
static struct slice status_of(struct slice reply, struct slice other)
{
    size_t n = 4;
    unsigned dots = 0;

    if (reply.n < 9 || reply.p[0] != '4' || reply.p[3] != ' ' || reply.p[4] != '4' || reply.p[5] != '.')
        return other;
    for (; n < reply.n && reply.p[n] != ' '; n++)
        if (reply.p[n] == '.')
            dots++;
        else if (reply.p[n] < '0' || reply.p[n] > '9')
            return other;
    return dots == 2 && reply.p[n - 1] != '.' && n <= 12 ? slice_of(reply.p + 4, n - 4) : other;
}

void runner_last_attempts(struct arena *arena, struct runner_entry *const *entries, struct dsn_recipient *reasons,
                          unsigned count, bool failed)
{
    struct slice *recipients = arena_array(arena, count, sizeof *recipients);
    struct event_step *steps = NULL;
    unsigned found = 0;

    for (unsigned i = 0; i < count; i++)
        recipients[i] = entries[i]->recipient;
    if (event_last_attempts(arena, entries[0]->message->id, recipients, count, &steps, &found) == DB_FAILED)
        log_info("a report goes without the last attempt", log_id("message", entries[0]->message->id));
    for (unsigned i = 0; i < count; i++)
        for (unsigned s = 0; s < found; s++) {
            if (!slice_equal(steps[s].recipient, recipients[i]))
                continue;
            reasons[i].diagnostic = steps[s].detail;
            reasons[i].remote = steps[s].remote_host;
            reasons[i].attempt_ms = steps[s].at_ms;
            if (!failed)
                reasons[i].status = status_of(steps[s].detail, reasons[i].status);
        }
}

/* Tells the sender, then ends the entries; if he cannot be told now, they are tried once more later. */
static AWAITS void bounce(struct runner_batch *batch, const struct dsn_recipient *reasons)
{
    bool told = runner_leases_good(batch) && runner_tell(DSN_FAILED, batch->entries, reasons, batch->count);

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

void runner_bounce_expired(struct arena *arena, struct runner_entry **entries, unsigned count)
{
    struct dsn_recipient *reasons = arena_array(arena, count, sizeof *reasons);

    for (unsigned i = 0; i < count; i++)
        reasons[i] = (struct dsn_recipient){
            .address = entries[i]->recipient, .status = SLICE("4.4.7"), .cause = EXPIRED}; /* RFC 3463 3.5 */
    runner_last_attempts(arena, entries, reasons, count, true);
    runner_bounce_told(arena, entries, reasons, count);
}

void runner_bounce_all(struct arena *arena, struct runner_entry **entries, unsigned count, struct slice status,
                       struct slice diagnostic)
{
    struct dsn_recipient *reasons = arena_array(arena, count, sizeof *reasons);

    for (unsigned i = 0; i < count; i++)
        reasons[i] =
            (struct dsn_recipient){.address = entries[i]->recipient, .status = status, .diagnostic = diagnostic};
    runner_bounce_told(arena, entries, reasons, count);
}
