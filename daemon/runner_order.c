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
 */
#include "core/clock.h"
#include "daemon/runner_internal.h"

#define BITS 4096

struct set {
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

static void add(struct set *set, struct slice recipient)
{
    unsigned bit = bit_of(recipient);

    set->words[bit / 64] |= UINT64_C(1) << bit % 64;
}

static bool has(const struct set *set, struct slice recipient)
{
    unsigned bit = bit_of(recipient);

    return set->words[bit / 64] >> bit % 64 & 1;
}

static void add_hands(const struct runner_lane *lane, void *arg)
{
    for (unsigned i = 0; i < lane->batch.count; i++)
        add(arg, lane->batch.entries[i]->recipient);
}

/* The next message's first entry; its entries are neighbours. */
static struct runner_entry *after(const struct runner_entry *entry)
{
    struct runner_entry *e = entry->next;

    while (e && e->message == entry->message)
        e = e->next;
    return e;
}

static bool may_go(const struct runner_entry *first, const struct set *taken)
{
    for (const struct runner_entry *e = first; e && e->message == first->message; e = e->next)
        if (has(taken, e->recipient))
            return false;
    return true;
}

struct runner_entry *runner_order_first(struct runner_destination *d)
{
    struct set taken = {{0}};
    struct runner_entry *first = runner_share_first(d);

    if (!d->ordered && !d->drills)
        return first;
    runner_lanes_each(d, add_hands, &taken);
    while (first && !may_go(first, &taken)) {
        for (const struct runner_entry *e = first; e && e->message == first->message; e = e->next)
            add(&taken, e->recipient);
        first = after(first);
    }
    d->blocked = !first && d->pending;
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

void runner_order_begin(struct runner_destination *d, enum drain_pace pace)
{
    if (!d->ordered)
        put_anew(d, true, d->newest_first, d->drills);
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

    if (!d->drills != !drills)
        put_anew(d, d->ordered, d->newest_first, drills);
    else
        d->drills = drills;
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
        drain_answered(&d->drain, runner_settings()->per_destination_max, put_off ? 0 : ms, put_off);
}

void runner_order_end(struct runner_destination *d)
{
    d->blocked = false;
    put_anew(d, false, false, d->drills);
}
