/*
 * runner_outcome: what the other side said of a batch's recipients, and who is told of it.
 *
 * First all that can be dealt with at once: what was taken, put off, or must be sent (again).  That does not wait, as
 * what is reported may be gone at the next wait.  Then those whose sender must be told of something, group by group.
 *
 * A sender who asked to hear of success (RFC 3461) hears it from the next hop if that offers DSN; else from us, before
 * the delivery is recorded.  It is repeated until it is stored: the message is gone, and must not go again for it.
 */
#define LOG_MODULE "delivery"
#include "daemon/runner_outcome.h"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "daemon/testament.h"

#define TELL_RETRY_MS 1000
#define TELL_PATIENCE_MS (10 * 60 * 1000) /* as that of queue_report() */

static void delivered(struct runner_lane *lane, struct runner_entry *entry, struct slice reply)
{
    log_info("delivered", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_str("host", smtp_client_host(lane->client)), log_str("tls", entry->secured.version),
             log_str("verified", entry->secured.verified),
             log_int("delay_ms", clock_now_ms() - entry->message->received_ms), log_slice("reply", reply));
    runner_finish(entry, QUEUE_DELIVERED, reply, 0);
}

static void set_apart(struct runner_lane *lane, struct runner_apart *apart, struct runner_entry *entry,
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
static AWAITS void relayed(struct runner_lane *lane, enum dsn_action action, struct runner_apart *apart)
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

/* RFC 3463 3.3: 4.2.x is about the mailbox (full, disabled), and says nothing of the server. */
static bool is_of_mailbox(struct slice status)
{
    return status.n > 4 && slice_equal(slice_of(status.p, 4), SLICE("4.2."));
}

void runner_outcome_sort(struct runner_lane *lane, struct runner_batch *batch, const struct smtp_client_recipient *r,
                         struct runner_outcome *outcome)
{
    unsigned left = 0;

    outcome->failed = (struct runner_failed){{NULL, 0}, false};
    outcome->put_off = outcome->silence = (struct slice){NULL, 0};
    outcome->answered = outcome->taken = false;
    outcome->refused.batch.count = outcome->silent.batch.count = outcome->traced.batch.count = 0;
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
                set_apart(lane, &outcome->silent, entry, &r[i]);
            else if (is_traced(entry, &r[i]))
                set_apart(lane, &outcome->traced, entry, &r[i]);
            else
                delivered(lane, entry, r[i].reply);
            outcome->answered = outcome->taken = true;
            break;
        case SMTP_CLIENT_UNCERTAIN:
            log_warn("no reply to the final dot; it will be sent again", log_id("message", batch->message->id),
                     log_slice("recipient", entry->recipient));
            outcome->silence = r[i].reply;
            if (!runner_order_keeps(lane, entry, QUEUE_UNCERTAIN, &r[i]))
                runner_put_off(QUEUE_UNCERTAIN, entry, r[i].reply);
            break;
        case SMTP_CLIENT_LATER:
            if (!runner_order_keeps(lane, entry, QUEUE_DEFERRED, &r[i]))
                runner_put_off(QUEUE_DEFERRED, entry, r[i].reply);
            if (!outcome->put_off.p && !is_of_mailbox(r[i].status))
                outcome->put_off = r[i].reply;
            outcome->answered = true;
            break;
        case SMTP_CLIENT_REFUSED:
            outcome->answered = true;
            if (slice_equal(r[i].status, SLICE("5.1.1")))
                runner_learn(lane->client, entry, false);
            set_apart(lane, &outcome->refused, entry, &r[i]);
            break;
        case SMTP_CLIENT_CUT:
        case SMTP_CLIENT_AWAY:
            outcome->failed = (struct runner_failed){r[i].reply, r[i].outcome == SMTP_CLIENT_CUT};
            batch->entries[left++] = entry;
            break;
        case SMTP_CLIENT_AGAIN: batch->entries[left++] = entry; break;
        }
    }
    batch->count = left;
    /* What was taken and is not reported yet is in neither the batch nor the reports: an orderly stop waits for it. */
    batch->finishing = outcome->silent.batch.count || outcome->traced.batch.count;
}

AWAITS void runner_outcome_tell(struct runner_lane *lane, struct runner_outcome *outcome)
{
    struct runner_apart *refused = &outcome->refused;

    runner_keep(lane);
    if (outcome->silent.batch.count)
        relayed(lane, DSN_RELAYED, &outcome->silent); /* and goes on to the next without waiting */
    if (outcome->traced.batch.count)
        relayed(lane, DSN_TRACED, &outcome->traced);
    if (refused->batch.count)
        runner_bounce_told(lane->arena, refused->batch.entries, refused->reasons, refused->batch.count);
}
