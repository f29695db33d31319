/*
 * /metrics in the Prometheus text format (version 0.0.4).
 *
 * Three sources: the counters of the other processes of this node (daemon/stats, in shared memory, handed over
 * ready to send), this process's own request counters, and the queue's totals from the database.  Those
 * cost a scan, so they are kept for TOTALS_KEEP_MS; while the database is away they are left out rather
 * than told wrong.
 */
#include <stdlib.h>

#include "admin-api/handlers.h"
#include "core/clock.h"
#include "storage/queue_view.h"

#define TOTALS_KEEP_MS 10000

static char *(*source)(void);
static uint64_t answered[6]; /* by the status' first digit */
static struct queue_view_totals totals;
static uint64_t totals_until_ms;

void metrics_set_source(char *(*fn)(void))
{
    source = fn;
}

void metrics_count(unsigned status)
{
    if (status / 100 < sizeof answered / sizeof *answered)
        answered[status / 100]++;
}

static AWAITS bool fresh_totals(void)
{
    if (clock_steady_ms() < totals_until_ms)
        return true;
    if (queue_view_totals(&totals) != DB_FOUND)
        return false;
    totals_until_ms = clock_steady_ms() + TOTALS_KEEP_MS;
    return true;
}

AWAITS void metrics_show(struct request *r)
{
    const char *text = "# HELP posthouse_api_requests_total API requests answered.\n"
                       "# TYPE posthouse_api_requests_total counter\n";
    for (unsigned i = 2; i < sizeof answered / sizeof *answered; i++)
        text = arena_printf(r->arena, "%sposthouse_api_requests_total{status=\"%uxx\"} %llu\n", text, i,
                            (unsigned long long)answered[i]);
    if (fresh_totals())
        text = arena_printf(r->arena,
                            "%s"
                            "# HELP posthouse_queue_entries Recipients on their way, in the whole installation.\n"
                            "# TYPE posthouse_queue_entries gauge\n"
                            "posthouse_queue_entries{state=\"waiting\"} %llu\n"
                            "posthouse_queue_entries{state=\"held\"} %llu\n"
                            "posthouse_queue_entries{state=\"active\"} %llu\n"
                            "# HELP posthouse_primaries_away Relay domains with an open outage.\n"
                            "# TYPE posthouse_primaries_away gauge\n"
                            "posthouse_primaries_away %llu\n",
                            text, (unsigned long long)totals.waiting, (unsigned long long)totals.held,
                            (unsigned long long)totals.active,
                            (unsigned long long)totals.outages_open);
    char *others = source ? source() : NULL;
    if (others)
        text = arena_printf(r->arena, "%s%s", others, text);
    free(others);
    reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", slice_str(text));
}
