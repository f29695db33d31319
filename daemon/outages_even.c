/*
 * outages_even: has a drain caught up?
 *
 * When nothing is left that was accepted before the primary answered: neither in the queue of its cell, where what came
 * later is younger by its id, nor in this worker's memory.  What other workers have is leased to them and in the queue
 * as well, that of dead ones until the lease is over.  Why that is enough is told in outages.c.
 *
 * Nor is one good answer enough to be up: a primary that comes and goes would open and end an outage each time.  It has
 * to answer up_after times, to probes or deliveries, none of which failed.
 */
#include "core/clock.h"
#include "daemon/health.h"
#include "daemon/outages.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_memory.h"

struct lateness {
    const struct runner_destination *destination;
    int64_t limit_ms;
    bool late;
};

static void look_late(struct runner_entry *entry, void *arg)
{
    struct lateness *l = arg;

    l->late |= entry->destination == l->destination && entry->message->received_ms <= l->limit_ms;
}

static bool memory_is_late(struct slice key, int64_t back_ms)
{
    struct lateness l = {runner_destination_find(key), back_ms, false};

    if (l.destination && l.destination->entries)
        runner_entries_each(look_late, &l);
    return l.late;
}

/* What comes while the last claim finds nothing may find its destination put to rest. */
static AWAITS void wake_destination(unsigned cell, struct slice key)
{
    struct queue_destination_state state = {.due_ms = INT64_MAX}; /* without a row nothing would be claimed */

    switch (queue_destination(key, &state)) {
    case DB_FOUND:
    case DB_NONE: break;
    case DB_FAILED: return;
    }
    if (!state.failures && state.due_ms > clock_now_ms() && queue_destination_back(cell, key) != DB_DONE)
        return;
    runner_claim_kick(NULL);
}

bool outages_even(int64_t domain_id, struct slice key, int64_t back_ms)
{
    uint64_t due = 0;
    bool late = false;

    switch (queue_due(domain_id, key, back_ms, &due, &late)) {
    case DB_FOUND:
    case DB_NONE: break;
    case DB_FAILED: return false;
    }
    if (due)
        wake_destination(id_cell(domain_id), key);
    return !late && !memory_is_late(key, back_ms);
}

bool outages_answered(int64_t domain_id, struct slice key, unsigned probes)
{
    const struct runner_destination *d = runner_destination_find(key);
    unsigned answers = probes + (d ? d->drain.seen : 0);

    return answers >= health_up_after(domain_id);
}
