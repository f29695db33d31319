/*
 * runner_share: what is pending at a destination, and whose turn it is.
 *
 * A destination that customers share (a smart host, a large provider's MX) would serve whoever has sent the most, if it
 * went by age alone.  Here each customer has a share: a list of its own, by priority (RFC 6710), then by the time since
 * which it has been due, which is the order of acceptance for what was not put off by itself.  What was is behind all that
 * came before it was due again: so nothing waits for ever, however much is put off again and again.
 *
 * The shares stand in a ring, and each lane that takes a batch passes the turn on.  So a customer with one message waits
 * for one batch of each of the others, however many those have; and one customer's urgent mail goes before its own, not
 * before that of others.
 *
 * A destination of one customer (a relay domain's primary) has one share, and so the plain order; or the other way round,
 * where the newest is wanted first (runner_order.c).
 *
 * A share is found by destination and customer in a hash, and lives while it has entries.
 */
#include <stdlib.h>

#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"

#define BUCKETS 1024

struct runner_share {
    struct runner_share *bucket_next;
    struct runner_share *next, *previous; /* the ring; alone: itself */
    struct runner_destination *destination;
    int64_t customer_id;
    struct runner_entry *first, *last;
};

static struct runner_share *shares[BUCKETS];

static struct runner_share **bucket_of(const struct runner_destination *d, int64_t customer_id)
{
    uint64_t hash = ((uint64_t)(uintptr_t)d >> 4 ^ (uint64_t)customer_id) * UINT64_C(0x9e3779b97f4a7c15);

    return &shares[hash >> 54];
}
_Static_assert(BUCKETS == 1 << (64 - 54), "the hash gives 10 bits");

static struct runner_share *share_find(const struct runner_destination *d, int64_t customer_id)
{
    struct runner_share *share = *bucket_of(d, customer_id);

    while (share && (share->destination != d || share->customer_id != customer_id))
        share = share->bucket_next;
    return share;
}

/* Last in the ring: before the one whose turn it is. */
static struct runner_share *share_new(struct runner_destination *d, int64_t customer_id)
{
    struct runner_share *share = calloc(1, sizeof *share), **bucket = bucket_of(d, customer_id);

    if (!share)
        abort();
    share->destination = d;
    share->customer_id = customer_id;
    share->bucket_next = *bucket;
    *bucket = share;
    share->next = d->turn ? d->turn : share;
    share->previous = d->turn ? d->turn->previous : share;
    share->next->previous = share->previous->next = share;
    if (!d->turn)
        d->turn = share;
    return share;
}

static void share_free(struct runner_share *share)
{
    struct runner_share **link = bucket_of(share->destination, share->customer_id);

    while (*link != share)
        link = &(*link)->bucket_next;
    *link = share->bucket_next;
    if (share->destination->turn == share)
        share->destination->turn = share->next == share ? NULL : share->next;
    share->next->previous = share->previous;
    share->previous->next = share->next;
    free(share);
}

/* ------------------------------------------------------------------ entries */

/* A primary that had an outage gets its mail in order of acceptance, as far as it is in memory. */
static bool goes_after(const struct runner_entry *one, const struct runner_entry *other)
{
    const struct runner_destination *d = one->destination;

    if (d->newest_first)
        return one->id < other->id;
    if (one->priority != other->priority)
        return one->priority < other->priority;
    if (!d->ordered && !d->drills && one->due_ms != other->due_ms)
        return one->due_ms > other->due_ms;
    return one->id > other->id;
}

/* From the end: what comes is nearly always the newest. */
void runner_entry_put(struct runner_entry *entry)
{
    struct runner_destination *d = entry->destination;
    struct runner_share *share = share_find(d, entry->message->customer_id);
    struct runner_entry *before;

    if (!share)
        share = share_new(d, entry->message->customer_id);
    before = share->last;
    while (before && goes_after(before, entry))
        before = before->previous;
    entry->previous = before;
    entry->next = before ? before->next : share->first;
    if (entry->next)
        entry->next->previous = entry;
    else
        share->last = entry;
    if (before)
        before->next = entry;
    else
        share->first = entry;
    entry->pending = true;
    d->blocked = false; /* it may be one that may go */
    d->pending++;
    d->claimed += entry->claimed;
}

void runner_entry_take(struct runner_entry *entry)
{
    struct runner_destination *d = entry->destination;
    struct runner_share *share = share_find(d, entry->message->customer_id);

    if (entry->next)
        entry->next->previous = entry->previous;
    else
        share->last = entry->previous;
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        share->first = entry->next;
    entry->next = entry->previous = NULL;
    entry->pending = false;
    d->pending--;
    d->claimed -= entry->claimed;
    if (!share->first)
        share_free(share);
}

struct runner_entry *runner_share_first(const struct runner_destination *d)
{
    return d->turn ? d->turn->first : NULL;
}

void runner_share_pass(struct runner_destination *d, int64_t customer_id)
{
    if (d->turn && d->turn->customer_id == customer_id) /* else the share went with its last entry */
        d->turn = d->turn->next;
}

void runner_share_each(const struct runner_destination *d, void (*fn)(struct runner_entry *entry, void *arg), void *arg)
{
    const struct runner_share *share = d->turn;

    if (!share)
        return;
    do {
        for (struct runner_entry *e = share->first; e; e = e->next)
            fn(e, arg);
        share = share->next;
    } while (share != d->turn);
}
