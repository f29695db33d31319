/*
 * runner_report: what goes back to the database: outcomes of deliveries, and leases given back untried.
 *
 * Lanes do not wait for their outcomes to be recorded: they hand them over here and send the next message meanwhile.
 * One task takes all that has gathered and records it in one transaction, so the faster mail flows the fewer
 * flushes a delivery costs.  Until then the entry stays in memory, with its lease renewed: should recording take
 * long (the database is away), nobody else may take the entry for untried and deliver it again.
 *
 * Should the process be killed meanwhile, its successor finds in its testament what was delivered.
 *
 * What the database refuses to record is forgotten here; its lease runs out.
 */
#include <stdlib.h>

#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/outages.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_outcome.h"
#include "daemon/runner_report.h"
#include "daemon/runner_share.h"
#include "daemon/testament.h"

#define FLIGHT_MAX 512
#define RELEASE_MAX 2000

struct report {
    struct report *next;
    struct runner_entry *entry; /* NULL: release of an id that has no entry here */
    int64_t entry_id;
    bool release;
    enum queue_outcome outcome;
    enum reply_class class;
    struct slice reply; /* in the message's arena */
    int64_t due_ms;
};

static struct report *first, **last = &first;
static bool flying;
static struct task_wait work = TASK_WAIT_INIT;
static bool waiting;

static void add(struct report report)
{
    struct report *r = malloc(sizeof *r);

    if (!r)
        abort();
    *r = report;
    r->next = NULL;
    *last = r;
    last = &r->next;
    if (waiting) {
        waiting = false;
        task_wake(&work);
    }
}

/* The lane's arena may go before it is recorded. */
static void keep_remote(struct runner_entry *entry)
{
    struct arena *arena = entry->message->arena;

    entry->remote.host = entry->remote.host ? arena_strdup(arena, entry->remote.host) : NULL;
    entry->remote.address = entry->remote.address ? arena_strdup(arena, entry->remote.address) : NULL;
}

void runner_finish(struct runner_entry *entry, enum queue_outcome outcome, struct slice reply, int64_t due_ms)
{
    if (entry->surrendered) { /* somebody else's by now */
        testament_remove(entry->noted);
        runner_entry_free(entry);
        return;
    }
    enum reply_class class = outcome == QUEUE_DELIVERED ? REPLY_CLASS_NONE
                             : entry->unmet             ? REPLY_CLASS_TLS
                                                        : reply_class_of(reply);
    switch (outcome) {
    case QUEUE_DELIVERED: runner_count.delivered++; break;
    case QUEUE_DEFERRED:
    case QUEUE_UNCERTAIN:
    case QUEUE_AWAY:
        runner_count.deferred++;
        runner_count.deferred_by[class]++;
        break;
    case QUEUE_BOUNCED:
        runner_count.bounced++;
        runner_count.bounced_by[class]++;
        break;
    }
    if (outcome == QUEUE_DELIVERED)
        entry->noted = testament_add(entry->noted, entry->id, reply);
    entry->given_back = outcome != QUEUE_DELIVERED && outcome != QUEUE_BOUNCED;
    keep_remote(entry);
    add((struct report){.entry = entry,
                        .entry_id = entry->id,
                        .outcome = outcome,
                        .class = class,
                        .reply = arena_slice(entry->message->arena, reply),
                        .due_ms = due_ms});
}

void runner_release(struct runner_entry *entry)
{
    entry->given_back = true;
    add((struct report){.entry = entry, .entry_id = entry->id, .release = true});
}

void runner_release_id(int64_t entry_id)
{
    add((struct report){.entry_id = entry_id, .release = true});
}

bool runner_reports_empty(void)
{
    return !first && !flying;
}

/* The first reports that are of one kind, at most so many; in order. */
static struct report *take(unsigned *count)
{
    struct report *flight = first, **end = &flight;
    unsigned most = flight->release ? RELEASE_MAX : FLIGHT_MAX;

    *count = 0;
    while (*end && (*end)->release == flight->release && *count < most) {
        end = &(*end)->next;
        (*count)++;
    }
    first = *end;
    if (!first)
        last = &first;
    *end = NULL;
    return flight;
}

/* Mail that is shown while an outage is open is readable meanwhile. */
static int64_t delay_at(const struct runner_entry *entry, bool readable)
{
    return notice_delay_at(entry->message->sender, &entry->envelope, readable, entry->message->received_ms,
                           runner_times(entry->recipient).delay_notice_ms);
}

static struct queue_result result_of(const struct runner_entry *entry, enum queue_outcome outcome,
                                     enum reply_class class, struct slice reply)
{
    /* AWAY of a relay domain has opened an outage; a recipient that was put off has not. */
    bool readable = outcome == QUEUE_AWAY && entry->domain_id && entry->account_id;

    return (struct queue_result){
        .entry_id = entry->id,
        .message_id = entry->message->id,
        .outcome = outcome,
        .class = reply_class_word(class),
        .tls_version = entry->secured.version,
        .tls_cipher = entry->secured.cipher,
        .tls_verified = entry->secured.verified,
        .remote_host = entry->remote.host,
        .remote_address = entry->remote.address,
        .recipient = entry->recipient,
        .destination = slice_str(entry->destination->key),
        .reply = reply,
        .delay_ms = delay_at(entry, readable),
        .copied = entry->account_id || (entry->domain_id && outages_may_show(entry->domain_id)),
    };
}

static AWAITS void record(struct arena *arena, const struct report *flight, unsigned count)
{
    struct queue_result *results = arena_array(arena, count, sizeof *results);

    for (unsigned i = 0; i < count; i++, flight = flight->next) {
        results[i] = result_of(flight->entry, flight->outcome, flight->class, flight->reply);
        results[i].due_ms = flight->due_ms;
    }
    if (queue_report(results, count) != DB_DONE)
        log_error("outcomes of deliveries could not be recorded", log_int("count", count));
}

static AWAITS void release(struct arena *arena, const struct report *flight, unsigned count)
{
    int64_t *ids = arena_array(arena, count, sizeof *ids);

    for (unsigned i = 0; i < count; i++, flight = flight->next)
        ids[i] = flight->entry_id;
    if (queue_release(ids, count) != DB_DONE)
        log_warn("leases could not be given back; they run out", log_int("count", count));
}

void runner_report_for_ever(void *arg)
{
    (void)arg;
    for (;;) {
        struct arena *arena;
        struct report *flight;
        unsigned count;

        if (!first) {
            waiting = true;
            work = (struct task_wait)TASK_WAIT_INIT;
            task_wait(&work);
            continue;
        }
        flying = true;
        arena = arena_new(SIZE_MAX);
        flight = take(&count);
        if (flight->release)
            release(arena, flight, count);
        else
            record(arena, flight, count);
        while (flight) {
            struct report *done = flight;

            flight = done->next;
            if (done->entry) {
                testament_remove(done->entry->noted);
                runner_entry_free(done->entry);
            }
            free(done);
        }
        arena_free(&arena);
        flying = false;
    }
}

/* What was kept in its place is told as any attempt is, and goes back there. */
static void put_back(const struct runner_kept *kept)
{
    struct runner_entry *entry = kept->entry;

    testament_remove(entry->noted);
    entry->noted = 0;
    if (entry->surrendered) {
        runner_entry_free(entry);
        return;
    }
    entry->attempts++;
    entry->kept++;
    entry->kept_until = clock_steady_ms() + kept->wait_ms;
    entry->probe = false;
    entry->secured = (struct runner_secured){0};
    entry->remote = (struct runner_remote){0};
    runner_entry_put(entry);
}

void runner_keep(struct runner_lane *lane)
{
    struct queue_result *results = arena_array(lane->arena, lane->kept_count, sizeof *results);
    unsigned count = lane->kept_count;

    if (!count)
        return;
    for (unsigned i = 0; i < count; i++) {
        const struct runner_kept *kept = &lane->kept[i];
        enum reply_class class = reply_class_of(kept->reply);

        runner_count.deferred++;
        runner_count.deferred_by[class]++;
        results[i] = result_of(kept->entry, kept->outcome, class, kept->reply);
        results[i].kept = true;
    }
    if (queue_report(results, count) != DB_DONE)
        log_error("outcomes of deliveries could not be recorded", log_int("count", count));
    lane->kept_count = 0;
    for (unsigned i = 0; i < count; i++)
        put_back(&lane->kept[i]);
}
