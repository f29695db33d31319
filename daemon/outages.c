/*
 * outages: relay domains whose primary is away.
 *
 *     a delivery finds no hop          outages_away(): a row is opened, what waits is shown, hints wake readers
 *     holder of the cell sees the row  a run begins: AWAY
 *     AWAY                             every tick: show what came in between; every probe interval: probe
 *     a probe is answered              queue_destination_back(), a claim, DRAINING
 *     DRAINING                         in order for each recipient, as fast as the primary can take it (runner_order.c)
 *     nothing is due any more,         outage_close(), the run ends
 *     or only what has just come
 *     a delivery fails meanwhile       AWAY again; the row stays open: one outage, not many
 *
 * Who is entitled may ask for a probe at once (ETRN, protocols/smtp_command_etrn.c); the wish is in the outage's row.
 *
 * A probe is a whole greeting and an answer (daemon/health.h) but no mail: a host that accepts connections and then
 * does nothing is not back.
 *
 * A domain that is forced down, or absent by plan, has an outage as well (health_for_ever() opens it), which is not
 * probed, and whose mail is put off far ahead, until that is over.  Sessions learn of it as of any outage, within a
 * second; what was on its way by then goes on.
 *
 * A busy domain's queue is never empty: while there is an outage its new mail goes through the queue, too.  So the
 * drain has caught up when nothing is left that was accepted before the primary answered.  What came later has not
 * been waiting for it: it goes over as many connections as in quiet times, in whatever order that gives.  Rejected: to
 * wait until what is left is young; a stream that is faster than one connection would never let the outage end.
 *
 * Nothing here is the only record of anything.  The row says that there is an outage, the queue what waits; when this
 * process dies, whoever gets the cell lists open rows and begins a run in AWAY, and so probes at once.  Showing is
 * repeatable, draining is ordinary delivery: exactly once is the queue's business, not ours.
 *
 * One task looks at all outages each TICK_MS (a list and, for each, one index probe); probes, which may wait half a
 * minute for a dead host, are tasks of their own, one for an outage at most.
 */
#include "daemon/outages.h"

#define LOG_MODULE "outage"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/health.h"
#include "daemon/outage_accounts.h"
#include "daemon/outages_run.h"
#include "daemon/runner_away.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"
#include "storage/hint.h"
#include "storage/outage.h"
#include "storage/outage_report.h"

#define TICK_MS 250
#define PROBES_MAX 128
#define PROBES_WAITING 100000 /* first come, first served: who hangs keeps nobody from being found back */
#define CONFIRM_MS 1000       /* between probes of one that answers, while up_after wants more of them */
#define HOLD_MS 3600000       /* forced down: what waits is put off so long, again and again */
#define HOLD_LOOK_MS 2000
#define HASTEN_TURN_MS 50
#define HASTEN_MS 2000         /* of the time until the first message is at a primary that is back */
#define CLOSE_PATIENCE_MS 1000 /* the drain has kept up for so long: sessions that saw the outage have committed */

static struct task_pool *pool, *probes;
static struct task_wait tick_wait;
static bool tick_waiting, tick_kicked;

/* ------------------------------------------------------------------ showing */

static void kick(void)
{
    tick_kicked = true;
    if (tick_waiting) {
        tick_waiting = false;
        task_wake(&tick_wait);
    }
}

static void go_away(struct outages_run *run)
{
    if (run->state != AWAY) {
        run->hastened = false;
        run->hastened_to = 0;
    }
    run->state = AWAY;
}

static AWAITS enum outages_answer open_outage(int64_t domain_id, struct slice why, const char *detection)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct outage_opened found;
    int64_t fresh_from = 0;
    bool recorded = outage_open(arena, domain_id, why, detection, &found) == DB_DONE;

    if (!recorded)
        log_warn("an outage could not be opened", log_id("domain", domain_id));
    if (found.opened)
        log_warn("outage opened", log_slice("domain", found.domain), log_slice("reason", why),
                 log_str("detection", detection));
    if (found.open && outages_show_waiting(domain_id, &fresh_from) == OUTAGES_SHOWN_ALL && found.opened &&
        outage_note_shown(domain_id) != DB_DONE)
        log_debug("when it was readable is noted later", log_id("domain", domain_id));
    arena_free(&arena);
    kick();
    return !recorded ? OUTAGES_UNRECORDED : found.open ? OUTAGES_OPEN : OUTAGES_FORBIDDEN;
}

enum outages_answer outages_away(int64_t domain_id, struct slice why)
{
    struct outages_run *run = outages_run_find(domain_id);
    enum outages_answer answer;

    if (run) {
        go_away(run);
        run->probe_at = clock_steady_ms() + runner_settings()->retry_min_ms;
    }
    answer = open_outage(domain_id, why, "delivery");
    health_note(domain_id, HEALTH_UNREACHABLE, why, false);
    return answer;
}

void outages_begin(int64_t domain_id, struct slice reason, const char *detection)
{
    (void)open_outage(domain_id, reason, detection);
}

/* ------------------------------------------------------------------ probing */

/*
 * What was put off by itself, each for a time of its own, while the primary was about to fail, is due with what came
 * later: what waits longest is not to come last.  In turns, while there is time, and when it is back the rest.
 */
static AWAITS void hasten(struct outages_run *run, unsigned turn_ms)
{
    uint64_t until = clock_steady_ms() + turn_ms;
    bool more = true;

    while (!run->hastened) {
        if (queue_destination_hasten(id_cell(run->domain_id), slice_str(run->key), &run->hastened_to, &more) != DB_DONE)
            return;
        run->hastened = !more;
        if (clock_steady_ms() >= until)
            return;
    }
}

/* Its primary answers: mail may go. */
static AWAITS void come_back(struct outages_run *run)
{
    struct runner_destination *d = runner_destination_find(slice_str(run->key));

    hasten(run, HASTEN_MS);
    if (queue_destination_back(id_cell(run->domain_id), slice_str(run->key)) != DB_DONE) {
        log_warn("a destination's return could not be recorded", log_str("domain", run->name));
        return;
    }
    if (outage_note_back(run->id) != DB_DONE)
        log_debug("when it was back is not noted", log_str("domain", run->name));
    if (d) {
        runner_order_begin(d, d->drain.pace);
        runner_note_back(d);
    }
    run->state = DRAINING;
    run->answers = 1;
    run->even_since = 0;
    run->back_ms = clock_now_ms();
    log_info("primary answers again", log_str("domain", run->name), log_id("outage", run->id));
    runner_claim_kick(NULL);
}

static AWAITS void probe(void *arg)
{
    struct outages_run *run = arg;
    struct arena *arena = arena_new(SIZE_MAX);
    struct health_probe found = {run->forced == FORCED_UP, HEALTH_GOOD, SLICE("forced up")};
    uint64_t next = health_probe_interval_ms(run->domain_id);

    if (run->forced == AS_IT_IS) {
        health_probe(arena, run->domain_id, slice_str(run->name), &found);
        health_note(run->domain_id,
                    found.answers                ? found.found
                    : found.found == HEALTH_WEAK ? HEALTH_FAILED
                                                 : HEALTH_UNREACHABLE,
                    found.why, true);
    }
    if (!found.answers || run->forced == FORCED_DOWN)
        go_away(run);
    else if (run->state == AWAY)
        come_back(run);
    else
        run->answers++;
    run->probe_at = clock_steady_ms() + (run->state == DRAINING && next > CONFIRM_MS ? CONFIRM_MS : next);
    run->probing = false;
    arena_free(&arena);
    kick();
}

/* Nobody is to claim anything for it, nor to go on with what he has. */
static AWAITS void hold_back(struct outages_run *run)
{
    struct runner_destination *d = runner_destination_find(slice_str(run->key));
    int16_t cell = (int16_t)id_cell(run->domain_id);
    struct queue_destination_state state = {0};
    int64_t now = clock_now_ms();

    if (clock_steady_ms() < run->hold_at)
        return;
    go_away(run);
    if (queue_destination(slice_str(run->key), &state) == DB_FAILED)
        return;
    if ((!state.failures || state.due_ms < now + HOLD_MS / 2) &&
        queue_destination_away(slice_str(run->key), &cell, 1, (unsigned)state.failures + 1, now + HOLD_MS,
                               SLICE("the domain is forced down")) != DB_DONE)
        return;
    if (d) {
        runner_note_failing(d);
        runner_release_pending(d);
    }
    run->hold_at = clock_steady_ms() + HOLD_LOOK_MS;
}

static void start_probe(struct outages_run *run)
{
    if (run->probing || clock_steady_ms() < run->probe_at)
        return;
    run->hold_at = 0;
    run->probing = task_start(probes, probe, run);
}

/* ------------------------------------------------------------------ draining */

static AWAITS bool is_drained(struct outages_run *run)
{
    if (!outages_even(run->domain_id, slice_str(run->key), run->back_ms)) {
        run->even_since = 0;
        return false;
    }
    if (!run->even_since)
        run->even_since = clock_steady_ms();
    return clock_steady_ms() >= run->even_since + CLOSE_PATIENCE_MS;
}

/* What it puts off has its back-off left to wait for, which may be days: `remaining` tells of that. */
#define OFFERED "what waited is delivered, or put off by the primary"

/* True: closed. */
static AWAITS bool drain(struct outages_run *run)
{
    if (!is_drained(run) || run->state != DRAINING)
        return false;
    /* Nor when what was heard last is a failure: a health of down without an outage has one opened. */
    if (run->forced != FORCED_UP &&
        (!outages_answered(run->domain_id, slice_str(run->key), run->answers) || health_is_down(run->domain_id))) {
        start_probe(run);
        return false;
    }
    if (outage_close(run->id, run->domain_id, OFFERED) != DB_DONE)
        return false;
    if (outage_report_begin(run->id) != DB_DONE)
        log_debug("its report is made later", log_str("domain", run->name));
    health_note(run->domain_id, HEALTH_DRAINED, SLICE(OFFERED), false);
    log_warn("outage closed", log_str("domain", run->name), log_id("outage", run->id));
    return true;
}

/* ------------------------------------------------------------------ the tick */

static AWAITS void show(struct outages_run *run)
{
    switch (outages_show_waiting(run->domain_id, &run->fresh_from)) {
    case OUTAGES_SHOWN_ALL: run->shown = run->shown || outage_note_shown(run->domain_id) == DB_DONE; break;
    case OUTAGES_SHOWN_PART: kick(); break; /* others' turn, then this one's again */
    case OUTAGES_SHOWN_LATER: break;
    }
}

/* Runs whose outage is closed, or whose cell is another worker's now, end; the rest goes a step on. */
static AWAITS void step(struct outages_run *run)
{
    bool over = !run->seen;

    if (!over) {
        struct runner_destination *d = runner_destination_find(slice_str(run->key));

        if (d) /* it may have been held back */
            runner_pump(d);
        outage_accounts_step(run->domain_id);
        show(run);
        if (run->forced == FORCED_DOWN)
            hold_back(run);
    }
    if (!over)
        switch (run->state) {
        case AWAY:
            hasten(run, HASTEN_TURN_MS);
            if (run->forced != FORCED_DOWN)
                start_probe(run);
            break;
        case DRAINING: over = drain(run); break;
        }
    if (over && !run->probing)
        outages_run_end(run);
}

static void on_tick(void *arg)
{
    (void)arg;
    kick();
}

static AWAITS void wait_for_tick(void)
{
    struct loop_timer timer = {0};

    if (!tick_kicked) {
        tick_wait = (struct task_wait)TASK_WAIT_INIT;
        tick_waiting = true;
        loop_timer_set(&timer, TICK_MS, on_tick, NULL);
        task_wait(&tick_wait);
        loop_timer_clear(&timer);
    }
    tick_kicked = false;
}

static AWAITS void run_for_ever(void *arg)
{
    (void)arg;
    while (!runner_draining()) {
        struct arena *arena = arena_new(SIZE_MAX);

        if (outages_runs_list(arena))
            for (struct outages_run *run = outages_runs_first(), *next; run; run = next) {
                next = run->next; /* only this task adds and removes */
                step(run);
            }
        arena_free(&arena);
        wait_for_tick();
    }
}

void outages_init(void)
{
    pool = task_pool_new("outage", 1, 0);
    probes = task_pool_new("probe", PROBES_MAX, PROBES_WAITING);
    outage_accounts_init();
    if (!task_start(pool, run_for_ever, NULL))
        log_fatal(1, "no stack for outages");
}
