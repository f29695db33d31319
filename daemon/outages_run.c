/*
 * outages_run: the open outages that this worker runs.
 *
 * The rows say which are open; whoever holds a domain's cell runs its outage.  A cell may change hands in mid-drain (a
 * worker came or went).  The old holder gives back what it has not sent; the new one claims only in cells whose outages
 * it has listed (outages_cells), and waits a moment before it sends, so that what is given back is sorted in again.
 */
#include "daemon/outages_run.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "outage"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "daemon/outage_accounts.h"
#include "daemon/outages.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"
#include "storage/node.h"
#include "storage/outage.h"

#define HANDOVER_MS 2500 /* an outage that another worker ran: it gives back what it has, within a tick */
#define FRESH_MS 2000    /* one that began so lately was run by nobody */

static int16_t known_cells[ID_CELLS]; /* whose outages were listed last */
static unsigned known_count;
static struct outages_run *runs;
static unsigned run_count;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static void force(struct outages_run *run, struct slice forced)
{
    bool down = slice_equal(forced, SLICE("down"));

    if (run->forced == FORCED_DOWN && !down)
        run->probe_at = 0; /* what was planned is over */
    run->forced = down ? FORCED_DOWN : forced.p ? FORCED_UP : AS_IT_IS;
}

struct outages_run *outages_run_find(int64_t domain_id)
{
    struct outages_run *run = runs;

    while (run && run->domain_id != domain_id)
        run = run->next;
    return run;
}

static enum drain_pace pace_of(const struct outage *outage)
{
    return outage->fast ? DRAIN_FAST : DRAIN_MEASURED;
}

static void run_begin(const struct outage *outage)
{
    struct outages_run *run = must(calloc(1, sizeof *run));
    struct arena *arena = arena_new(SIZE_MAX);
    struct runner_destination *d;

    run->id = outage->id;
    run->domain_id = outage->domain_id;
    run->probe_wanted_ms = outage->probe_wanted_ms; /* it is probed at once anyway */
    run->name = must(strndup(outage->domain.p, outage->domain.n));
    run->key = must(strdup(queue_destination_domain(arena, outage->domain_id).p));
    run->seen = true;
    run->next = runs;
    runs = run;
    run_count++;
    d = runner_destination(slice_str(run->key));
    runner_order_begin(d, pace_of(outage));
    runner_order_set(d, pace_of(outage), outage->newest_first);
    force(run, outage->forced);
    if (outage->started_ms + FRESH_MS < clock_now_ms())
        d->held_until = clock_steady_ms() + HANDOVER_MS;
    log_info("outage taken on", log_str("domain", run->name), log_id("outage", run->id),
             log_slice("reason", outage->reason));
    arena_free(&arena);
}

static void run_again(struct outages_run *run, const struct outage *outage)
{
    struct runner_destination *d = runner_destination_find(slice_str(run->key));

    run->seen = true;
    if (d && (d->drain.pace != pace_of(outage) || d->newest_first != outage->newest_first)) {
        log_info("outage drain is wanted", log_str("domain", run->name),
                 log_str("pace", outage->fast ? "fast" : "measured"),
                 log_str("first", outage->newest_first ? "newest" : "oldest"));
        runner_order_set(d, pace_of(outage), outage->newest_first);
    }
    force(run, outage->forced);
    if (outage->probe_wanted_ms > run->probe_wanted_ms)
        run->probe_at = 0; /* ETRN */
    run->probe_wanted_ms = outage->probe_wanted_ms;
}

static bool is_ours(unsigned cell)
{
    unsigned count;
    const int16_t *cells = node_cells(&count);

    for (unsigned i = 0; i < count; i++)
        if ((unsigned)cells[i] == cell)
            return true;
    return false;
}

unsigned outages_cells(int16_t cells[])
{
    unsigned count = 0;

    for (unsigned i = 0; i < known_count; i++)
        if (is_ours((unsigned)known_cells[i]))
            cells[count++] = known_cells[i];
    return count;
}

void outages_run_end(struct outages_run *run)
{
    struct outages_run **link = &runs;
    struct runner_destination *d = runner_destination_find(slice_str(run->key));

    while (*link != run)
        link = &(*link)->next;
    *link = run->next;
    run_count--;
    outage_accounts_end(run->domain_id);
    if (d) {
        runner_order_end(d);
        d->held_until = 0; /* nobody would look when the time is over */
        if (!is_ours(id_cell(run->domain_id)))
            runner_release_pending(d); /* its new worker goes on in order, with these among the rest */
        runner_pump(d);
    }
    free(run->name);
    free(run->key);
    free(run);
}

unsigned outages_running(void)
{
    return run_count;
}

bool outages_may_show(int64_t domain_id)
{
    return run_count && (outages_run_find(domain_id) || !is_ours(id_cell(domain_id)));
}

/* ------------------------------------------------------------------ which are open */

static void know(const int16_t *cells, unsigned count)
{
    memcpy(known_cells, cells, count * sizeof *cells);
    known_count = count;
}

bool outages_runs_list(struct arena *arena)
{
    int16_t cells[ID_CELLS];
    unsigned cell_count, count = 0;
    const int16_t *held = node_cells(&cell_count);
    struct outage *list = NULL;

    memcpy(cells, held, cell_count * sizeof *cells);
    for (struct outages_run *run = runs; run; run = run->next)
        run->seen = false;
    if (!cell_count)
        return true;
    switch (outage_list_open(arena, cells, cell_count, &list, &count)) {
    case DB_FOUND: break;
    case DB_NONE: know(cells, cell_count); return true;
    case DB_FAILED: return false;
    }
    for (unsigned i = 0; i < count; i++) {
        struct outages_run *run = outages_run_find(list[i].domain_id);

        if (run && run->id == list[i].id)
            run_again(run, &list[i]);
        else if (!run)
            run_begin(&list[i]);
    }
    know(cells, cell_count);
    return true;
}

struct outages_run *outages_runs_first(void)
{
    return runs;
}
