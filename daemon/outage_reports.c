/*
 * outage_reports: ended outages are counted, and what their accounts sent and made is listed for being carried.
 *
 * One task, apart from the one that runs outages, which has others to probe, show and drain meanwhile.  It goes round
 * by pages, so that a small outage does not wait for a large one.  Everything is in the database: a worker that takes
 * on a cell goes on where the last one was.
 */
#include "daemon/outage_reports.h"

#define LOG_MODULE "outage"
#include "core/log.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "storage/outage_report.h"

#define TICK_MS 1000
#define BETWEEN_MS 5 /* other tasks and the database have something to do, too */

static struct task_pool *pool;

/* True: there is more to be done at once. */
static AWAITS bool go_round(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    int16_t *cells = arena_array(arena, ID_CELLS, sizeof *cells);
    unsigned cell_count = runner_cells(cells), count = 0;
    struct outage_report *reports = NULL;
    bool any = false;

    if (cell_count && outage_report_list(arena, cells, cell_count, &reports, &count) != DB_FOUND)
        count = 0;
    for (unsigned i = 0; i < count && !runner_draining(); i++) {
        bool more;

        if (outage_report_step(&reports[i], &more) != DB_DONE)
            log_info("left for later", log_str("what", "report of an outage"), log_id("outage", reports[i].outage_id));
        any |= more;
    }
    arena_free(&arena);
    return any;
}

static AWAITS void run_for_ever(void *arg)
{
    (void)arg;
    while (!runner_draining())
        task_sleep(go_round() ? BETWEEN_MS : TICK_MS);
}

void outage_reports_init(void)
{
    pool = task_pool_new("outage-report", 1, 0);
    if (!task_start(pool, run_for_ever, NULL))
        log_fatal(1, "no stack for reports of outages");
}
