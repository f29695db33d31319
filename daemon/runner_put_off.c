/*
 * runner_put_off: when an entry that was not taken is tried again.
 *
 * The times are those of its recipient's domain (storage/delivery_policy.h) or the settings'; how they grow is relay/retry.c.
 * After a greylist's answer they do not double at first.  What was being sent when the connection went keeps its place the
 * first time: in an outage mail is to arrive in order.  From the second time on it may be what kills that server.
 */
#define LOG_MODULE "delivery"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "relay/retry.h"

static uint64_t retry_first(const struct runner_destination *d, const struct delivery_times *times)
{
    return d->route.kind == ROUTE_DOMAIN ? runner_settings()->retry_min_ms : times->retry_first_ms;
}

void runner_put_off(enum queue_outcome outcome, struct runner_entry *entry, struct slice reply)
{
    const struct delivery_times times = runner_times(entry->recipient);
    bool greylisted = reply_class_of(reply) == REPLY_CLASS_GREYLIST;
    int64_t due =
        (greylisted ? retry_due_greylisted : retry_due)(clock_now_ms(), entry->expires_ms, times.retry_first_ms,
                                                        times.retry_max_ms, entry->attempts + 1, runner_random());

    log_info("deferred", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_int("next_ms", due - clock_now_ms()), log_slice("reply", reply));
    runner_finish(entry, outcome, reply, due);
}

void runner_put_off_cut(struct runner_entry *entry, struct slice reply)
{
    const struct delivery_times times = runner_times(entry->recipient);
    int64_t now = clock_now_ms(), due = entry->due_ms;

    if (entry->attempts > 0)
        due = retry_due(now, entry->expires_ms, retry_first(entry->destination, &times), times.retry_max_ms,
                        entry->attempts, runner_random());
    log_info("deferred", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_int("next_ms", due - now), log_slice("reply", reply));
    runner_finish(entry, QUEUE_DEFERRED, reply, due);
}
