/*
 * runner_away: destinations that cannot be reached.
 *
 * The database knows of each since how many failures it has been away and when it may be tried next; that is what
 * spares 100,000 waiting messages 100,000 attempts.  It has a row for each cell with mail for it, and whoever finds it
 * away, or back, moves all of them together: a destination that customers share gets one probe when its time has come,
 * not one from each cell, nor one from each worker.  What this process knows is a copy, looked at again at most every
 * RECHECK_MS, because another worker may have found it back.
 *
 * While it is away only the entry that was claimed as its probe is tried.  Whoever delivers that has to tell that the
 * destination is back; any answer says so, also one that does not take the message.  What is accepted meanwhile waits:
 * its cell's row joins the others, so that it is claimed when they are.
 *
 * A probe may come to nothing for reasons of ours: it had expired, it was suspended, our database did not tell where it
 * goes.  Then the next may come soon (runner_probe_over()).
 *
 * One lane tells the database (`marking`), however many failed together: each telling counts as a failure, and
 * failures are what the back-off is made of.
 *
 * Relay domains are different: their destination is put off far ahead and not tried with mail at all.  An outage is
 * opened instead, and its probes (daemon/outages.c) find when the primary is back.  The far time is the net under it,
 * should nobody probe.
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
#include "daemon/runner_report.h"
#include "daemon/runner_share.h"
#include "relay/retry.h"
#include "storage/hint.h"
#include "storage/outage.h"

#define RECHECK_MS 500
#define RECORD_TRIES 8
#define RECORD_PAUSE_MS 250
#define UNPROBED_MIN_MS 60000
#define UNPROBED_INTERVALS 10
#define UNTRIED_MS 5000

static bool bit(const uint8_t *set, unsigned i)
{
    return set[i / 8] & 1u << i % 8;
}

static void bit_set(uint8_t *set, unsigned i, bool value)
{
    set[i / 8] = (uint8_t)(value ? set[i / 8] | 1u << i % 8 : set[i / 8] & ~(1u << i % 8));
}

static void set_failing(struct runner_destination *d, bool failing)
{
    d->checked = clock_steady_ms();
    d->known = true;
    d->failing = failing;
    if (!failing)
        memset(d->joined, 0, sizeof d->joined);
}

/* What the database says: failures in a row.  Keeps what is known when it cannot be asked. */
static AWAITS unsigned read_state(struct runner_destination *d)
{
    struct queue_destination_state state = {0};

    if (queue_destination(slice_str(d->key), &state) == DB_FAILED)
        return 0;
    set_failing(d, state.failures > 0);
    return (unsigned)state.failures;
}

void runner_look_for_plan(struct runner_destination *d)
{
    bool planned = false;

    if (!d->known || d->failing || d->route.kind != ROUTE_DOMAIN || clock_steady_ms() < d->checked + RECHECK_MS)
        return;
    d->checked = clock_steady_ms();
    if (outage_is_planned(d->route.domain_id, &planned) == DB_FOUND && planned)
        read_state(d);
}

bool runner_is_away(struct runner_destination *d)
{
    if (d->marking)
        return true;
    if (!d->known || (d->failing && clock_steady_ms() >= d->checked + RECHECK_MS))
        read_state(d);
    return d->failing;
}

void runner_join_away(struct runner_destination *d, unsigned cell, bool claimed)
{
    if (bit(d->joined, cell) && !claimed)
        return;
    bit_set(d->joined, cell, true);
    if (queue_destination_join(cell, slice_str(d->key)) != DB_DONE)
        bit_set(d->joined, cell, false);
}

/* ------------------------------------------------------------------ telling */

/* Milliseconds until it may be tried again. */
static uint64_t time_away(const struct runner_destination *d, unsigned failures, bool probed)
{
    if (probed) {
        uint64_t far = (uint64_t)runner_settings()->retry_min_ms * UNPROBED_INTERVALS;

        return far > UNPROBED_MIN_MS ? far : UNPROBED_MIN_MS;
    }
    struct slice domain = d->route.kind == ROUTE_MX ? d->route.domain : (struct slice){NULL, 0};
    const struct delivery_times times = runner_times(domain);

    return retry_backoff(times.retry_first_ms, times.retry_max_ms, failures, runner_random());
}

struct cells {
    bool has[ID_CELLS];
};

static void note_cell(struct runner_entry *entry, void *arg)
{
    ((struct cells *)arg)->has[id_cell(entry->id)] = true;
}

/* probed: an outage tells when it is back. */
static AWAITS void tell(struct runner_destination *d, const struct cells *cells, struct slice why, bool probed)
{
    unsigned failures = read_state(d) + 1, count = 0;
    uint64_t wait = time_away(d, failures, probed);
    int16_t list[ID_CELLS];

    for (unsigned c = 0; c < ID_CELLS; c++)
        if (cells->has[c])
            list[count++] = (int16_t)c;
    set_failing(d, true);
    d->told++;
    if (queue_destination_away(slice_str(d->key), list, count, failures, clock_now_ms() + (int64_t)wait, why) ==
        DB_DONE)
        for (unsigned i = 0; i < count; i++)
            bit_set(d->joined, (unsigned)list[i], true);
    else
        log_warn("a destination's absence could not be recorded", log_str("destination", d->key));
    log_info("destination away", log_str("destination", d->key), log_int("failures", failures),
             log_int("next_ms", (int64_t)wait), log_slice("reason", why));
}

static void give_back_pending(struct runner_destination *d, struct slice why)
{
    struct runner_entry *entry;

    while ((entry = runner_share_first(d))) {
        runner_entry_take(entry);
        runner_finish(entry, QUEUE_AWAY, why, 0);
    }
}

/* A lost connection is back in a moment; a database that stays away lets nothing else be done either. */
static AWAITS bool open_outage(const struct runner_destination *d, struct slice why)
{
    for (unsigned tries = 0; tries < RECORD_TRIES; tries++) {
        switch (outages_away(d->route.domain_id, why)) {
        case OUTAGES_OPEN: return true;
        case OUTAGES_FORBIDDEN: return false;
        case OUTAGES_UNRECORDED: break;
        }
        task_sleep(RECORD_PAUSE_MS);
    }
    return false;
}

void runner_mark_away(struct runner_destination *d, unsigned cell, struct slice why)
{
    struct cells cells = {{false}};

    if (d->marking)
        return;
    d->marking = true;
    concurrency_failed(&d->concurrency);
    cells.has[cell] = true;
    runner_share_each(d, note_cell, &cells);
    tell(d, &cells, why, d->route.kind == ROUTE_DOMAIN);
    /*
     * Put off first: a probe may find it back as soon as there is an outage.  Where none could be recorded nobody
     * probes, and the next delivery has to try, as for any other destination.
     */
    if (d->route.kind == ROUTE_DOMAIN && !open_outage(d, why))
        tell(d, &cells, why, false);
    d->marking = false;
    give_back_pending(d, why);
}

void runner_note_failing(struct runner_destination *d)
{
    set_failing(d, true);
}

void runner_note_back(struct runner_destination *d)
{
    set_failing(d, false);
}

void runner_mark_good(struct runner_destination *d, unsigned cell, bool taken)
{
    bool planned = false;

    if (taken) {
        d->good_at = clock_steady_ms();
        concurrency_taken(&d->concurrency, runner_settings()->per_destination_max, d->good_at);
    }
    if (!d->failing)
        return;
    /* What was on its way when somebody planned it to be away does not bring it back. */
    if (d->route.kind == ROUTE_DOMAIN && (outage_is_planned(d->route.domain_id, &planned) == DB_FAILED || planned))
        return;
    set_failing(d, false);
    d->told++;
    if (queue_destination_back(cell, slice_str(d->key)) != DB_DONE)
        log_warn("a destination's return could not be recorded", log_str("destination", d->key));
    hint_queue_changed();
    runner_claim_kick(NULL);
}

void runner_probe_over(struct runner_destination *d, unsigned told)
{
    if (d->told != told || !d->failing)
        return;
    if (queue_destination_untried(slice_str(d->key), UNTRIED_MS) != DB_DONE)
        log_info("a probe came to nothing", log_str("destination", d->key));
}
