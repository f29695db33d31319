/*
 * runner_suspend: suspended mail is not delivered.
 *
 * A worker comes upon it in three places: in what it has claimed, which is parked together before it is in memory; in
 * a batch that a lane is about to send: mail that this worker has just accepted; and in what waits in memory, which is
 * looked through each second, since behind a slow next hop its turn may be hours away, and what is in memory can
 * neither be cancelled nor sent elsewhere.  All ask the list in memory (storage/suspension.h), so there is no other
 * cost while nothing is suspended.
 *
 * What cannot be parked (it was resumed meanwhile, or the database is away) is given back, and comes again.
 */
#define LOG_MODULE "runner"
#include "core/log.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "daemon/runner_share.h"
#include "storage/suspension.h"

#define LOOK_BATCHES 10 /* in a second */

static bool listed(const int64_t *ids, unsigned count, int64_t id)
{
    for (unsigned i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* True: all that can be held is held, the ids are reduced to it. */
static AWAITS bool park(const struct suspension *suspension, int64_t *ids, unsigned *count)
{
    unsigned asked = *count;

    if (suspension_park(suspension, ids, count) != DB_DONE) {
        runner_trouble();
        *count = 0;
        return false;
    }
    log_info("suspended", log_str("kind", suspension_kind_word(suspension->kind)),
             log_slice("value", suspension->value), log_id("suspension", suspension->id), log_int("count", *count));
    return *count == asked;
}

/* ------------------------------------------------------------------ claimed */

static bool is_ours_to_park(const struct queue_entry *q)
{
    const struct runner_entry *entry = runner_entry_find(q->id);

    return !slice_equal(q->destination, QUEUE_DESTINATION_MAILBOX) && (!entry || entry->given_back);
}

bool runner_suspend_claimed(struct arena *arena, struct queue_entry *list, unsigned *count)
{
    struct suspension first, other;
    unsigned left = 0;
    bool held_some = false;
    bool *covered = arena_array(arena, *count + 1, sizeof *covered);
    int64_t *ids = arena_array(arena, *count + 1, sizeof *ids);

    for (;;) {
        unsigned n = 0, asked;

        for (unsigned i = 0; i < *count; i++)
            if (!covered[i] && is_ours_to_park(&list[i]) &&
                suspension_covers(arena, list[i].sender, list[i].customer_id, list[i].destination, list[i].recipient,
                                  n ? &other : &first) &&
                (!n || other.id == first.id)) {
                covered[i] = true;
                ids[n++] = list[i].id;
            }
        if (!(asked = n))
            break;
        bool all = park(&first, ids, &n);
        held_some |= n > 0;
        if (all)
            continue;
        for (unsigned i = 0; i < *count; i++)
            if (covered[i] && !listed(ids, n, list[i].id))
                runner_release_id(list[i].id); /* does nothing to what is held already */
    }
    for (unsigned i = 0; i < *count; i++)
        if (!covered[i])
            list[left++] = list[i];
    *count = left;
    return held_some;
}

/* ------------------------------------------------------------------ about to be sent */

static bool is_covered(struct arena *arena, const struct runner_entry *entry, struct suspension *out)
{
    const struct runner_message *m = entry->message;

    return suspension_covers(arena, m->sender, m->customer_id, slice_str(entry->destination->key), entry->recipient,
                             out);
}

void runner_suspend(struct arena *arena, struct runner_batch *batch)
{
    struct suspension first, other;
    struct runner_entry *parked[RUNNER_BATCH_MAX];
    int64_t ids[RUNNER_BATCH_MAX];

    for (;;) {
        unsigned n = 0, left = 0, held;

        for (unsigned i = 0; i < batch->count; i++)
            if (is_covered(arena, batch->entries[i], n ? &other : &first) && (!n || other.id == first.id)) {
                parked[n] = batch->entries[i];
                parked[n]->given_back = true; /* its row waits for others from now on */
                ids[n++] = batch->entries[i]->id;
            }
        if (!n)
            return;
        held = n;
        park(&first, ids, &held);
        for (unsigned i = 0; i < batch->count; i++) {
            bool mine = false;

            for (unsigned j = 0; j < n; j++)
                mine |= parked[j] == batch->entries[i];
            if (!mine)
                batch->entries[left++] = batch->entries[i];
        }
        batch->count = left;
        for (unsigned i = 0; i < n; i++)
            if (parked[i]->surrendered || listed(ids, held, parked[i]->id))
                runner_entry_free(parked[i]);
            else
                runner_release(parked[i]);
    }
}

/* ------------------------------------------------------------------ what waits in memory */

struct look {
    struct arena *arena;
    struct runner_batch batch;
};

static void gather(struct runner_entry *entry, void *arg)
{
    struct suspension found;
    struct look *look = arg;

    if (entry->pending && look->batch.count < RUNNER_BATCH_MAX && entry->destination->route.kind != ROUTE_MAILBOX &&
        runner_lease_good(entry) && is_covered(look->arena, entry, &found))
        look->batch.entries[look->batch.count++] = entry;
}

void runner_suspend_pending(void)
{
    unsigned found = RUNNER_BATCH_MAX;

    for (unsigned times = 0; times < LOOK_BATCHES && found == RUNNER_BATCH_MAX && !runner_draining(); times++) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct look *look = arena_alloc(arena, sizeof *look);

        *look = (struct look){.arena = arena};
        runner_entries_each(gather, look);
        found = look->batch.count;
        for (unsigned i = 0; i < found; i++)
            runner_entry_take(look->batch.entries[i]);
        runner_suspend(arena, &look->batch);
        for (unsigned i = 0; i < look->batch.count; i++) { /* its suspension has just ended */
            runner_entry_put(look->batch.entries[i]);
            runner_pump(look->batch.entries[i]->destination);
        }
        arena_free(&arena);
    }
}
