/*
 * runner_claim: what comes from the database: mail that is due, and leases that must be renewed.  What time brings by
 * itself is in runner_expiry.c.
 *
 * Claiming is a poll of CLAIM_MS, shortened by hints and by lanes that run dry (runner_claim_kick); it leaves
 * out destinations that have enough in memory, so that one that is slow keeps nothing from the others.  Only the holder of
 * a cell claims in it (storage/node.h).
 *
 * What is accepted here goes to memory at once, and may keep a busy destination at enough for hours, while what was put
 * off waits in the database.  So that is looked for once in LOOK_MS all the same, until enough of it is in memory.
 *
 * Leases are renewed in rounds: the entries of a round carry its number, and when it has succeeded, and only then,
 * those that the database names believe in a new end, counted from before the request was sent.  The others are not
 * ours any more (the database could not be reached for long, and another worker took them back): nothing is sent on
 * their leases.
 */
#include <string.h>

#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/outages.h"
#include "daemon/runner_away.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"
#include "protocols/smtp_parameter.h"
#include "storage/hint.h"
#include "storage/node.h"

#define CLAIM_MS 1000
#define CLAIM_MAX 500
#define CLAIM_PER_DESTINATION 100
#define PENDING_ENOUGH 200 /* at a destination, above which nothing is claimed for it */
#define LOOK_MS 1000
#define SPECIAL_MAX 100 /* destinations that are left out, or whose newest are wanted */
#define RENEW_MS 15000
#define RENEW_MAX 20000
#define CALM_MS 10000

static struct task_wait claim_wait;
static bool claim_waiting, claim_kicked;
static unsigned claims;     /* under way: may put something into memory yet */
static uint64_t trouble_at; /* when the database last failed us, or we began */

void runner_trouble(void)
{
    trouble_at = clock_steady_ms();
}

bool runner_calm(void)
{
    return clock_steady_ms() > trouble_at + CALM_MS;
}

unsigned runner_cells(int16_t cells[ID_CELLS])
{
    unsigned count;
    const int16_t *held = node_cells(&count);

    memcpy(cells, held, count * sizeof *cells);
    return count;
}

/* ------------------------------------------------------------------ claiming */

void runner_claim_kick(void *unused)
{
    (void)unused;
    claim_kicked = true;
    if (claim_waiting) {
        claim_waiting = false;
        task_wake(&claim_wait);
    }
}

bool runner_claims_empty(void)
{
    return !claims;
}

void runner_claims_add(int n)
{
    claims += (unsigned)n;
}

static void on_claim_time(void *arg)
{
    runner_claim_kick(arg);
}

static AWAITS void wait_for_kick(void)
{
    struct loop_timer timer = {0};

    if (!claim_kicked) {
        claim_wait = (struct task_wait)TASK_WAIT_INIT;
        claim_waiting = true;
        loop_timer_set(&timer, CLAIM_MS, on_claim_time, NULL);
        task_wait(&claim_wait);
        loop_timer_clear(&timer);
    }
    claim_kicked = false;
}

struct runner_entry *runner_entry_claimed(const struct queue_entry *q)
{
    struct runner_entry *entry = runner_entry_find(q->id);
    struct runner_message *m;

    if (entry && !entry->given_back) {
        entry->lease_ends = q->lease_ends;
        entry->renewing = 0; /* a round that was asked before knows nothing of this lease */
        return NULL;
    }
    m = runner_message_find(q->message_id);
    if (!m) {
        m = runner_message_new(q->message_id);
        m->customer_id = q->customer_id;
        m->account_id = q->account_sender;
        m->sender = arena_slice(m->arena, q->sender);
        smtp_parameter_read_mail(m->arena, q->mail_parameters, &m->envelope);
        m->client = q->client.n ? arena_slicedup(m->arena, q->client) : NULL;
        m->helo = q->helo.n ? arena_slicedup(m->arena, q->helo) : NULL;
        m->eight_bit = q->eight_bit;
        m->received_ms = q->received_ms;
    }
    entry = runner_entry_new(m, runner_destination(q->destination), q->id, q->recipient);
    entry->domain_id = q->domain_id;
    entry->account_id = q->account_id;
    entry->expires_ms = q->expires_ms;
    entry->due_ms = q->due_ms;
    runner_entry_deadline(entry, q->deliver_by_ms);
    entry->priority = q->priority;
    smtp_parameter_read_rcpt(m->arena, q->parameters, &entry->envelope);
    entry->attempts = (unsigned)q->attempts;
    entry->lease_ends = q->lease_ends;
    entry->claimed = true;
    entry->probe = q->probe;
    if (q->probe || q->away)
        runner_note_failing(entry->destination);
    return entry;
}

static unsigned count_of_destination(const struct queue_entry *entries, unsigned count, struct slice destination)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        n += slice_equal(entries[i].destination, destination);
    return n;
}

static void take_in(const struct queue_entry *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct runner_entry *entry = runner_entry_claimed(&list[i]);

        if (entry)
            runner_entry_put(entry);
    }
    for (unsigned i = 0; i < count; i++) {
        struct runner_destination *d = runner_destination_find(list[i].destination);

        if (!d)
            continue;
        if (i == 0 || !slice_equal(list[i].destination, list[i - 1].destination))
            d->more = count_of_destination(list, count, list[i].destination) >= CLAIM_PER_DESTINATION;
        runner_pump(d);
    }
}

/* Of destinations that are claimed for otherwise than the rest. */
struct special {
    struct arena *arena;
    struct slice *full, *newest;
    unsigned full_count, newest_count;
};

static void note_special(struct runner_destination *d, void *arg)
{
    struct special *special = arg;
    uint64_t now = clock_steady_ms();
    bool enough = d->claimed >= PENDING_ENOUGH || (d->pending >= PENDING_ENOUGH && now < d->looked_at + LOOK_MS);

    if (special->full_count < SPECIAL_MAX && (enough || !runner_has_room(d))) {
        special->full[special->full_count++] = slice_str(arena_strdup(special->arena, d->key));
        d->more = true;
    } else {
        d->looked_at = now;
    }
    if (special->newest_count < SPECIAL_MAX && d->newest_first)
        special->newest[special->newest_count++] = slice_str(arena_strdup(special->arena, d->key));
}

/* True: there may be more. */
static AWAITS bool claim_once(struct arena *arena)
{
    struct queue_entry *list = NULL;
    struct special special = {arena, arena_array(arena, SPECIAL_MAX, sizeof(struct slice)),
                              arena_array(arena, SPECIAL_MAX, sizeof(struct slice)), 0, 0};
    struct queue_claim_limits limits = {.per_destination = CLAIM_PER_DESTINATION, .most = CLAIM_MAX};
    int16_t cells[ID_CELLS];
    unsigned cell_count = outages_cells(cells), count = 0;

    if (!cell_count || runner_entry_count() + CLAIM_MAX > RUNNER_ENTRIES_MAX)
        return false;
    runner_destinations_each(note_special, &special);
    limits.full = special.full;
    limits.full_count = special.full_count;
    limits.newest = special.newest;
    limits.newest_count = special.newest_count;
    switch (queue_claim(arena, cells, cell_count, &limits, &list, &count)) {
    case DB_FOUND: break;
    case DB_NONE: return limits.more;
    case DB_FAILED: runner_trouble(); return false;
    }
    bool held = runner_suspend_claimed(arena, list, &count);
    take_in(list, count);
    return limits.more || held;
}

void runner_claim_for_ever(void *arg)
{
    (void)arg;
    hint_on_queue(runner_claim_kick, NULL);
    while (!runner_draining()) {
        struct arena *arena = arena_new(SIZE_MAX);

        claims++;
        while (!runner_draining() && claim_once(arena))
            arena_reset(arena);
        claims--;
        arena_free(&arena);
        wait_for_kick();
    }
}

/* ------------------------------------------------------------------ leases */

struct round {
    int64_t *ids;
    unsigned count, number;
    uint64_t lease_ends;
};

static void join_round(struct runner_entry *entry, void *arg)
{
    struct round *round = arg;

    if (round->count >= RENEW_MAX)
        return;
    entry->renewing = round->number;
    round->ids[round->count++] = entry->id;
}

static void doubt(struct runner_entry *entry, void *arg)
{
    const struct round *round = arg;

    if (entry->renewing == round->number)
        entry->lease_ends = 0;
}

/* The round's ids are those that were renewed. */
static void believe(struct round *round)
{
    runner_entries_each(doubt, round);
    for (unsigned i = 0; i < round->count; i++) {
        struct runner_entry *entry = runner_entry_find(round->ids[i]);

        if (entry && entry->renewing == round->number)
            entry->lease_ends = round->lease_ends;
    }
}

void runner_renew_for_ever(void *arg)
{
    struct round round = {0};

    (void)arg;
    for (;;) {
        struct arena *arena;

        task_sleep(RENEW_MS);
        if (!runner_entry_count())
            continue;
        arena = arena_new(SIZE_MAX);
        round.number++;
        round.count = 0;
        round.ids = arena_array(arena, RENEW_MAX, sizeof *round.ids);
        round.lease_ends = clock_steady_ms() + QUEUE_LEASE_MS;
        runner_entries_each(join_round, &round);
        if (queue_renew(round.ids, &round.count) == DB_DONE)
            believe(&round);
        else
            runner_trouble();
        arena_free(&arena);
    }
}
