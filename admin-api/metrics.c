/*
 * /metrics in the Prometheus text format (version 0.0.4).
 *
 * Three sources: the counters of the other processes of this node (daemon/stats, in shared memory, handed over
 * ready to send), this process's own request counters, and the queue's numbers from the database (metrics_queue.c).
 */
#include <stdlib.h>

#include "admin-api/handlers.h"
#include "admin-api/metrics_queue.h"

static char *(*source)(void);
static uint64_t answered[6]; /* by the status' first digit */

void metrics_set_source(char *(*fn)(void))
{
    source = fn;
}

void metrics_count(unsigned status)
{
    if (status / 100 < sizeof answered / sizeof *answered)
        answered[status / 100]++;
}

AWAITS void metrics_show(struct request *r)
{
    const char *text = "# HELP posthouse_api_requests_total API requests answered.\n"
                       "# TYPE posthouse_api_requests_total counter\n";
    for (unsigned i = 2; i < sizeof answered / sizeof *answered; i++)
        text = arena_printf(r->arena, "%sposthouse_api_requests_total{status=\"%uxx\"} %llu\n", text, i,
                            (unsigned long long)answered[i]);
    text = arena_printf(r->arena, "%s%s", text, metrics_queue(r->arena));
    char *others = source ? source() : NULL;
    if (others)
        text = arena_printf(r->arena, "%s%s", others, text);
    free(others);
    reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", slice_str(text));
}
