/*
 * runner_order: a queue that is drained over several connections arrives in order all the same, for each recipient.
 *
 * After an outage what was held goes to the primary (daemon/outages.c).  One connection would keep the order of everything,
 * and be slow for a distant primary; but the order that a reader sees is that of his own mail.  So a lane takes the first
 * message none of whose recipients has an earlier one on its way, in another lane's hands, or waiting before it.
 *
 * Recipients are compared by a hash of few bits: two that share it wait for each other needlessly, and that is all.
 *
 * When nothing may be taken though something is pending the destination is `blocked`: its lanes that end for that are not
 * started again before another has finished what it has (runner_order_freed()).
 *
 * What is put off (4xx), or may be there, is tried again after seconds, three times, and stays in memory and in its place
 * for that: what is later for its recipients waits for it.  From then on it has a back-off as any other, and is passed;
 * nor is anything of such a recipient kept in this drain any more: a server that never takes his mail must not hold all of
 * it up, message by message.  Not kept at all is what a moment does not change: a full mailbox (4.2.x), a greylist.
 */
#include <stdlib.h>

#define LOG_MODULE "delivery"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_outcome.h"
#include "daemon/runner_share.h"
#include "relay/reply_class.h"

#define BITS 4096
#define KEPT_MAX 3
#define KEPT_MS 1000 /* doubles */

struct runner_set {
    uint64_t words[BITS / 64];
};

/* Of the address in lower case: whether local parts are the same in any case is the primary's business. */
static unsigned bit_of(struct slice recipient)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < recipient.n; i++) {
        unsigned char c = (unsigned char)recipient.p[i];

        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
    }
    return (hash ^ hash >> 16) % BITS;
}

static void add(struct runner_set *set, struct slice recipient)
{
    unsigned bit = bit_of(recipient);

    set->words[bit / 64] |= UINT64_C(1) << bit % 64;
}

static bool has(const struct runner_set *set, struct slice recipient)
{
    unsigned bit = bit_of(recipient);

    return set->words[bit / 64] >> bit % 64 & 1;
}

static void add_hands(const struct runner_lane *lane, void *arg)
{
    for (unsigned i = 0; i < lane->batch.count; i++)
        add(arg, lane->batch.entries[i]->recipient);
    for (unsigned i = 0; i < lane->kept_count; i++)
        add(arg, lane->kept[i].entry->recipient);
}

/* The next message's first entry; its entries are neighbours. */
static struct runner_entry *after(const struct runner_entry *entry)
{
    struct runner_entry *e = entry->next;

    while (e && e->message == entry->message)
        e = e->next;
    return e;
}

/* *next: when the first that is kept may go. */
static bool may_go(const struct runner_entry *first, const struct runner_set *taken, uint64_t now, uint64_t *next)
{
    bool may = true;

    for (const struct runner_entry *e = first; e && e->message == first->message; e = e->next) {
        may &= !has(taken, e->recipient) && e->kept_until <= now;
        if (e->kept_until > now && e->kept_until < *next)
            *next = e->kept_until;
    }
    return may;
}

static void on_kept(void *arg)
{
    struct runner_destination *d = arg;

    d->blocked = false;
    runner_pump(d);
}

struct runner_entry *runner_order_first(struct runner_destination *d)
{
    struct runner_set taken = {{0}};
    struct runner_entry *first = runner_share_first(d);
    uint64_t now = clock_steady_ms(), next = UINT64_MAX;

    if (!d->ordered && !d->drills)
        return first;
    runner_lanes_each(d, add_hands, &taken);
    while (first && !may_go(first, &taken, now, &next)) {
        for (const struct runner_entry *e = first; e && e->message == first->message; e = e->next)
            add(&taken, e->recipient);
        first = after(first);
    }
    d->blocked = !first && d->pending;
    if (d->blocked && next < UINT64_MAX)
        loop_timer_set(&d->kept_timer, next - now, on_kept, d);
    return first;
}

void runner_order_freed(struct runner_destination *d)
{
    if (!d->blocked)
        return;
    d->blocked = false;
    runner_pump(d);
}

/* ------------------------------------------------------------------ how fast, and which end first */

static void collect(struct runner_entry *entry, void *arg)
{
    struct runner_entry ***last = arg;

    *(*last)++ = entry;
}

/* What is pending stands in the order that was wanted until now. */
static void put_anew(struct runner_destination *d, bool ordered, bool newest_first, unsigned drills)
{
    struct arena *arena = arena_new(SIZE_MAX);
    unsigned count = d->pending;
    struct runner_entry **all = arena_array(arena, count, sizeof *all), **last = all;

    runner_share_each(d, collect, &last);
    for (unsigned i = 0; i < count; i++)
        runner_entry_take(all[i]);
    d->ordered = ordered;
    d->newest_first = newest_first;
    d->drills = drills;
    for (unsigned i = 0; i < count; i++)
        runner_entry_put(all[i]);
    arena_free(&arena);
}

static void forget_passed(struct runner_destination *d)
{
    free(d->passed);
    d->passed = NULL;
}

void runner_order_forget(struct runner_destination *d)
{
    loop_timer_clear(&d->kept_timer);
    forget_passed(d);
}

void runner_order_begin(struct runner_destination *d, enum drain_pace pace)
{
    forget_passed(d);
    if (!d->ordered)
        put_anew(d, true, d->newest_first, d->drills);
    d->concurrency.crowded_until = 0; /* what it takes now is found anew */
    d->drain = drain_begin(pace, runner_settings()->per_destination_max);
}

void runner_order_set(struct runner_destination *d, enum drain_pace pace, bool newest_first)
{
    drain_repace(&d->drain, pace, runner_settings()->per_destination_max);
    if (d->newest_first != newest_first)
        put_anew(d, d->ordered, newest_first, d->drills);
}

void runner_order_drill(struct runner_destination *d, bool begins)
{
    unsigned drills = begins ? d->drills + 1 : d->drills - 1;

    if (!d->drills != !drills) {
        forget_passed(d);
        put_anew(d, d->ordered, d->newest_first, drills);
    } else
        d->drills = drills;
}

/* A server that serves so many connections and takes no more is not asked for more by each lane that ends. */
unsigned runner_order_most(const struct runner_destination *d)
{
    unsigned most = runner_settings()->per_destination_max;

    return clock_steady_ms() < d->concurrency.crowded_until && d->concurrency.limit < most ? d->concurrency.limit
                                                                                           : most;
}

static bool is_put_off(const struct smtp_client_recipient *r, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (r[i].outcome == SMTP_CLIENT_LATER)
            return true;
    return false;
}

void runner_order_answered(struct runner_destination *d, const struct runner_batch *batch,
                           const struct smtp_client_recipient *r, unsigned ms)
{
    bool put_off = is_put_off(r, batch->count);

    if (d->ordered && (batch->finished || put_off))
        drain_answered(&d->drain, runner_order_most(d), put_off ? 0 : ms, put_off);
}

/* ------------------------------------------------------------------ what is put off */

/* RFC 3463 3.3: 4.2.x is about the mailbox. */
static bool lasts(const struct smtp_client_recipient *r)
{
    return reply_class_of(r->reply) == REPLY_CLASS_GREYLIST ||
           (r->status.n > 4 && slice_equal(slice_of(r->status.p, 4), SLICE("4.2.")));
}

bool runner_order_keeps(struct runner_lane *lane, struct runner_entry *entry, enum queue_outcome outcome,
                        const struct smtp_client_recipient *r)
{
    struct runner_destination *d = lane->destination;
    /* What may be there keeps its place the first time that it is tried: it may be what the server dies of. */
    unsigned most = outcome == QUEUE_DEFERRED ? KEPT_MAX : entry->attempts ? 0 : 1;

    if ((!d->ordered && !d->drills) || lane->turned || runner_draining() || !runner_lease_good(entry) || lasts(r) ||
        (d->passed && has(d->passed, entry->recipient)))
        return false;
    if (entry->kept >= most) {
        if (!d->passed && !(d->passed = calloc(1, sizeof *d->passed)))
            abort();
        add(d->passed, entry->recipient);
        return false;
    }
    lane->kept[lane->kept_count++] = (struct runner_kept){entry, outcome, r->reply, KEPT_MS << entry->kept};
    log_info("deferred, in its place", log_id("message", entry->message->id), log_slice("recipient", entry->recipient),
             log_int("next_ms", (int64_t)lane->kept[lane->kept_count - 1].wait_ms), log_slice("reply", r->reply));
    return true;
}

void runner_order_end(struct runner_destination *d)
{
    runner_order_forget(d);
    d->blocked = false;
    put_anew(d, false, false, d->drills);
}
