/*
 * runner_away: destinations that cannot be reached.
 *
 * The database knows, per cell and destination, since how many failures it has been away and when it may be tried
 * next; that row is what spares 100,000 waiting messages 100,000 attempts.  What this process knows is a copy of it
 * that is looked at again at most every RECHECK_MS, because another worker may have found it back.
 *
 * An entry that was claimed needs no look: claiming is the permission to try.  The claim says if it is a probe,
 * because the worker that delivers it need not be the one that found the destination away, and has to tell that it is
 * back.
 *
 * One lane tells the database (`marking`), however many failed together: each telling counts as a failure, and
 * failures are what the back-off is made of.
 *
 * Relay domains are different: their destination is put off far ahead and not tried with mail at all.  An outage is
 * opened instead, and its probes (daemon/outages.c) find when the primary is back.  The far time is the net under it,
 * should nobody probe.
 */
#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/outages.h"
#include "daemon/runner_internal.h"
#include "relay/retry.h"
#include "storage/hint.h"

#define RECHECK_MS 500
#define RECORD_TRIES 8
#define RECORD_PAUSE_MS 250
#define UNPROBED_MIN_MS 60000
#define UNPROBED_INTERVALS 10

static bool bit(const uint8_t *set, unsigned i)
{
    return set[i / 8] & 1u << i % 8;
}

static void bit_set(uint8_t *set, unsigned i, bool value)
{
    set[i / 8] = (uint8_t)(value ? set[i / 8] | 1u << i % 8 : set[i / 8] & ~(1u << i % 8));
}

/* What the database says about it in this cell.  Keeps what is known when it cannot be asked. */
static AWAITS unsigned read_row(struct runner_destination *d, unsigned cell)
{
    struct queue_destination_state state = {0};
    int64_t ahead;

    switch (queue_destination(cell, slice_str(d->key), &state)) {
    case DB_FAILED: return 0;
    case DB_NONE:
    case DB_FOUND: break;
    }
    ahead = state.due_ms - clock_now_ms();
    d->checked = clock_steady_ms();
    bit_set(d->known, cell, true);
    bit_set(d->failing, cell, state.failures > 0);
    d->away_until = state.failures > 0 && ahead > 0 ? d->checked + (uint64_t)ahead : 0;
    return (unsigned)state.failures;
}

bool runner_is_away(struct runner_destination *d, unsigned cell)
{
    uint64_t now = clock_steady_ms();

    if (d->marking)
        return true;
    if (!bit(d->known, cell) || (d->away_until > now && now >= d->checked + RECHECK_MS))
        read_row(d, cell);
    return d->away_until > clock_steady_ms();
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

/* probed: an outage tells when it is back. */
static AWAITS void tell_cell(struct runner_destination *d, unsigned cell, struct slice why, bool probed)
{
    unsigned failures = read_row(d, cell) + 1;
    uint64_t wait = time_away(d, failures, probed);

    d->away_until = d->checked = clock_steady_ms();
    d->away_until += wait;
    bit_set(d->known, cell, true);
    bit_set(d->failing, cell, true);
    if (queue_destination_away(cell, slice_str(d->key), clock_now_ms() + (int64_t)wait, why) != DB_DONE)
        log_warn("a destination's absence could not be recorded", log_str("destination", d->key));
    log_info("destination away", log_str("destination", d->key), log_int("failures", failures),
             log_int("next_ms", (int64_t)wait), log_slice("reason", why));
}

static void give_back_pending(struct runner_destination *d, struct slice why)
{
    while (d->first) {
        struct runner_entry *entry = d->first;

        runner_entry_take(entry);
        runner_finish(entry, QUEUE_AWAY, why, 0);
    }
}

/* A lost connection is back in a moment; a database that stays away lets nothing else be done either. */
static AWAITS bool open_outage(const struct runner_destination *d, struct slice why)
{
    for (unsigned tries = 0; tries < RECORD_TRIES; tries++) {
        if (outages_away(d->route.domain_id, why))
            return true;
        task_sleep(RECORD_PAUSE_MS);
    }
    return false;
}

void runner_mark_away(struct runner_destination *d, unsigned cell, struct slice why)
{
    bool cells[ID_CELLS] = {false};

    if (d->marking)
        return;
    d->marking = true;
    d->limit = 1;
    cells[cell] = true;
    for (const struct runner_entry *e = d->first; e; e = e->next)
        cells[id_cell(e->id)] = true;
    for (unsigned c = 0; c < ID_CELLS; c++)
        if (cells[c])
            tell_cell(d, c, why, d->route.kind == ROUTE_DOMAIN);
    /*
     * Put off first: a probe may find it back as soon as there is an outage.  Where none could be recorded nobody
     * probes, and the next delivery has to try, as for any other destination.
     */
    if (d->route.kind == ROUTE_DOMAIN && !open_outage(d, why))
        for (unsigned c = 0; c < ID_CELLS; c++)
            if (cells[c])
                tell_cell(d, c, why, false);
    d->marking = false;
    give_back_pending(d, why);
}

void runner_note_failing(struct runner_destination *d, unsigned cell)
{
    bit_set(d->failing, cell, true);
}

void runner_mark_good(struct runner_destination *d)
{
    d->good_at = clock_steady_ms();
    d->away_until = 0;
    if (d->limit < runner_settings()->per_destination_max && d->good_at >= d->limited_until)
        d->limit++;
    for (unsigned c = 0; c < ID_CELLS; c++)
        if (bit(d->failing, c)) {
            bit_set(d->failing, c, false);
            if (queue_destination_back(c, slice_str(d->key)) != DB_DONE)
                log_warn("a destination's return could not be recorded", log_str("destination", d->key));
            hint_queue_changed();
            runner_claim_kick(NULL);
        }
}
