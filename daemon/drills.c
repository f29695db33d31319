/*
 * drills: pretend outages of single accounts.
 *
 * storage/drill.h has what is done; this does it, for the cells that this worker holds, every TICK_MS:
 *
 *     HELD       its time is not over: hold what waits, show what is held
 *     DRAINING   what was held is released, and goes to the primary in order for each recipient, as after an outage,
 *                but over as many connections as there are: the primary was never away
 *     closed     nothing that came before is on its way any more, for PATIENCE_MS, in which sessions that saw the drill
 *                have committed
 *
 * While one drains all of its domain's mail goes in order for each recipient (daemon/runner_order.c): what is accepted
 * now must not pass what was held.  It slows nobody down but who gets several messages at once.
 *
 * Each step may fail, and is done again a tick later; whoever gets the cell goes on from the rows.
 */
#include "daemon/drills.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "drill"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"
#include "storage/drill.h"
#include "storage/hold.h"
#include "storage/node.h"

#define TICK_MS 250
#define BATCH 500
#define PATIENCE_MS 1000

/* A destination that is kept in order for one that drains. */
struct run {
    struct run *next;
    int64_t outage_id;
    char *key;
    bool seen;
    uint64_t even_since; /* 0: it is not */
};
static struct run *runs;

/* ------------------------------------------------------------------ order */

static struct run *find_run(const struct drill *drill)
{
    struct run *run = runs;

    while (run && run->outage_id != drill->outage_id)
        run = run->next;
    if (run)
        return run;
    struct arena *arena = arena_new(SIZE_MAX);
    run = calloc(1, sizeof *run);
    if (!run || !(run->key = strdup(queue_destination_domain(arena, drill->domain_id).p)))
        abort();
    run->outage_id = drill->outage_id;
    run->next = runs;
    runs = run;
    runner_order_drill(runner_destination(slice_str(run->key)), true);
    arena_free(&arena);
    return run;
}

/* Those that were not seen are over, or another worker's. */
static void forget_runs(void)
{
    for (struct run **link = &runs; *link;) {
        struct run *run = *link;

        if (run->seen) {
            run->seen = false;
            link = &run->next;
            continue;
        }
        struct runner_destination *d = runner_destination_find(slice_str(run->key));
        if (d) {
            runner_order_drill(d, false);
            runner_order_freed(d);
        }
        *link = run->next;
        free(run->key);
        free(run);
    }
}

/* ------------------------------------------------------------------ one drill */

/* Runs it until there is nothing more to do.  False: not now. */
static AWAITS bool exhaust(AWAITS enum db_write (*step)(const struct drill *, unsigned, unsigned *),
                           const struct drill *drill)
{
    unsigned count = 0;

    do {
        if (step(drill, BATCH, &count) != DB_DONE)
            return false;
    } while (count == BATCH && !runner_draining());
    return true;
}

static AWAITS void keep(const struct drill *drill)
{
    if (!exhaust(drill_hold, drill) || !exhaust(drill_show, drill)) {
        log_warn("mail of a drill could not be shown yet", log_slice("account", drill->account));
        return;
    }
    if (!drill->shown && drill_note_shown(drill) != DB_DONE)
        log_debug("when it was readable is noted later", log_slice("account", drill->account));
}

static AWAITS void let_go(const struct drill *drill)
{
    const int16_t cell = (int16_t)drill->cell;
    unsigned count = 0;

    if (!exhaust(drill_release, drill))
        return;
    do {
        if (hold_release_due(&cell, 1, BATCH, &count) != DB_DONE)
            return;
        if (count)
            runner_claim_kick(NULL);
    } while (count == BATCH && !runner_draining());
}

static AWAITS void drain(const struct drill *drill)
{
    struct run *run = find_run(drill);
    bool even = false;

    run->seen = true;
    if (drill->back_ms == INT64_MIN) {
        if (drill_note_back(drill) != DB_DONE)
            return;
        log_info("drill is over", log_slice("account", drill->account), log_id("outage", drill->outage_id));
        let_go(drill);
        return;
    }
    let_go(drill);
    if (drill_is_even(drill, &even) != DB_FOUND || !even) {
        run->even_since = 0;
        return;
    }
    if (!run->even_since)
        run->even_since = clock_steady_ms();
    if (clock_steady_ms() >= run->even_since + PATIENCE_MS &&
        drill_close(drill, "what was held is delivered") == DB_DONE)
        log_info("drill closed", log_slice("account", drill->account), log_id("outage", drill->outage_id));
}

static AWAITS void step(const struct drill *drill)
{
    if (!drill->domain_id) {
        if (drill_close(drill, "the account is deleted") == DB_DONE)
            log_info("drill closed", log_slice("account", drill->account), log_id("outage", drill->outage_id));
    } else if (drill->back_ms == INT64_MIN && drill->ends_ms > clock_now_ms()) {
        keep(drill);
    } else {
        drain(drill);
    }
}

/* ------------------------------------------------------------------ the tick */

static AWAITS void look_after(struct arena *arena, const int16_t *cells, unsigned cell_count)
{
    struct drill *drills = NULL;
    unsigned begun = 0, count = 0;

    if (drill_begin(cells, cell_count, &begun) != DB_DONE)
        log_debug("drills begin later");
    if (begun)
        log_info("drills begin", log_int("count", begun));
    if (drill_open(arena, cells, cell_count, &drills, &count) != DB_FOUND)
        return;
    for (unsigned i = 0; i < count; i++)
        step(&drills[i]);
    forget_runs();
}

void drills_for_ever(void *unused)
{
    (void)unused;
    while (!runner_draining()) {
        struct arena *arena = arena_new(SIZE_MAX);
        int16_t cells[ID_CELLS];
        unsigned count;
        const int16_t *held = node_cells(&count);

        memcpy(cells, held, count * sizeof *cells);
        if (count)
            look_after(arena, cells, count);
        arena_free(&arena);
        task_sleep(TICK_MS);
    }
}
