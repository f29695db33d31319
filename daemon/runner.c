/*
 * runner: starts lanes, and ends them.
 *
 * A destination with pending entries gets a lane (a task with a connection) as long as it has fewer than its limit and
 * a stack is free (relay/concurrency.h).  Destinations that find no stack stand in a queue, first come first served, and a busy destination's lane yields to
 * them after some messages.
 *
 * Draining (an orderly stop): nothing new is begun; each lane finishes the batch that it has, or surrenders it when
 * that takes long (runner_lane.c); everything pending is released, so that other workers take it at once instead of
 * waiting for leases to run out; when no claim is under way and outcomes and releases are recorded, it is done.
 */
#include "daemon/runner.h"

#include <assert.h>
#include <stdlib.h>

#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/http.h"
#include "core/log.h"
#include "core/secret.h"
#include "daemon/carry.h"
#include "daemon/drills.h"
#include "daemon/health.h"
#include "daemon/outage_reports.h"
#include "daemon/outages.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "daemon/runner_share.h"
#include "daemon/runner_sts.h"
#include "daemon/runner_tlsrpt.h"

#define DRAIN_POLL_MS 20
#define SURRENDER_MS 5000 /* how long a lane may try to finish what it has begun */

struct runner_counters runner_count;

static struct runner_settings settings;
static struct tls *tls, *tls_verifying;
static struct task_pool *lanes, *housekeeping;
static struct runner_destination *ready_first, **ready_last = &ready_first;
static struct loop_timer drain_timer;
static void (*drain_done)(void *arg);
static void *drain_arg;
static bool draining;
static uint64_t surrender_at;

const struct runner_settings *runner_settings(void)
{
    return &settings;
}

struct tls *runner_tls(bool verify)
{
    return verify ? tls_verifying : tls;
}

struct task_pool *runner_lanes(void)
{
    return lanes;
}

bool runner_draining(void)
{
    return draining;
}

bool runner_default_route(void)
{
    return settings.default_route_host || settings.default_route_name;
}

uint32_t runner_random(void)
{
    uint32_t r;

    secret_random(&r, sizeof r);
    return r;
}

/* ------------------------------------------------------------------ lanes */

unsigned runner_limit(const struct runner_destination *d)
{
    if (d->held_until > clock_steady_ms())
        return 0;
    if (!d->ordered)
        return d->concurrency.limit;
    return d->drain.limit < runner_order_most(d) ? d->drain.limit : runner_order_most(d);
}

static bool wants_lane(const struct runner_destination *d)
{
    bool waits = d->blocked && (d->lanes || loop_timer_is_set(&d->kept_timer));

    return d->lanes < d->pending && d->lanes < runner_limit(d) && !waits;
}

static void get_ready(struct runner_destination *d)
{
    if (d->ready)
        return;
    d->ready = true;
    d->ready_next = NULL;
    *ready_last = d;
    ready_last = &d->ready_next;
}

static void start_ready(void *arg)
{
    (void)arg;
    while (ready_first && !draining) {
        struct runner_destination *d = ready_first;

        if (wants_lane(d) && !task_start(lanes, runner_lane, d))
            return;
        if (wants_lane(d))
            d->lanes++;
        ready_first = d->ready_next;
        if (!ready_first)
            ready_last = &ready_first;
        d->ready = false;
        if (wants_lane(d)) /* at the end of the queue, behind the others */
            get_ready(d);
    }
}

void runner_pump(struct runner_destination *d)
{
    if (draining || !wants_lane(d))
        return;
    get_ready(d);
    start_ready(NULL);
}

void runner_lane_ended(struct runner_destination *d)
{
    d->lanes--;
    if (!draining && wants_lane(d))
        get_ready(d);
    /* Our own stack is free after this; until then the last in the queue waits for the next pump. */
    loop_defer(start_ready, NULL);
}

bool runner_others_wait(void)
{
    return ready_first != NULL;
}

/* ------------------------------------------------------------------ life */

static void make_tls(void)
{
    char error[200] = "";

    tls = tls_client_new(false, error, sizeof error);
    tls_verifying = tls && settings.verify_tls ? tls_client_new(true, error, sizeof error) : NULL;
    if (!tls || (settings.verify_tls && !tls_verifying))
        log_fatal(1, "TLS for next hops: %s", error);
}

static void start_for_ever(task_fn *fn)
{
    if (!task_start(housekeeping, fn, NULL))
        log_fatal(1, "no stack for the runner");
}

void runner_init(const struct runner_settings *s)
{
    settings = *s;
    make_tls();
    lanes = task_pool_new("delivery", settings.deliveries_max, 0);
    housekeeping = task_pool_new("runner", 9, 0);
    start_for_ever(runner_report_for_ever);
    start_for_ever(runner_claim_for_ever);
    start_for_ever(runner_renew_for_ever);
    start_for_ever(runner_expire_for_ever);
    start_for_ever(runner_learn_for_ever);
    http_init();
    start_for_ever(runner_sts_for_ever);
    start_for_ever(runner_tlsrpt_for_ever);
    outages_init();
    outage_reports_init();
    carry_init();
    start_for_ever(health_for_ever);
    start_for_ever(drills_for_ever);
    accept_on_committed(runner_on_committed);
    smtp_on_turn(runner_turn);
}

void runner_release_pending(struct runner_destination *d)
{
    struct runner_entry *entry;

    while ((entry = runner_share_first(d))) {
        runner_entry_take(entry);
        runner_release(entry);
    }
}

static void release_pending(struct runner_entry *entry, void *arg)
{
    (void)arg;
    if (entry->pending)
        runner_release_pending(entry->destination);
}

static void look_drained(void *arg)
{
    unsigned under_way;

    (void)arg;
    runner_entries_each(release_pending, NULL); /* lanes may have put back theirs */
    under_way = clock_steady_ms() < surrender_at ? task_pool_busy(lanes) : runner_surrender();
    if (under_way || !runner_claims_empty() || !runner_reports_empty()) {
        loop_timer_set(&drain_timer, DRAIN_POLL_MS, look_drained, NULL);
        return;
    }
    log_info("nothing is under way any more");
    drain_done(drain_arg);
}

void runner_drain(void (*done)(void *arg), void *arg)
{
    assert(!draining);
    draining = true;
    surrender_at = clock_steady_ms() + SURRENDER_MS;
    drain_done = done;
    drain_arg = arg;
    runner_claim_kick(NULL);
    look_drained(NULL);
}

void runner_counters(struct runner_counters *out)
{
    *out = runner_count;
    out->active = task_pool_busy(lanes);
    out->waiting_in_memory = runner_entry_count();
    out->outages_open = outages_running();
}
