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
 * A cell may change hands in mid-drain (a worker came or went).  The old holder gives back what it has not sent; the
 * new one claims only in cells whose outages it has listed (outages_cells), and waits a moment before it sends, so
 * that what is given back is sorted in again.
 *
 * Nothing here is the only record of anything.  The row says that there is an outage, the queue what waits; when this
 * process dies, whoever gets the cell lists open rows and begins a run in AWAY, and so probes at once.  Showing is
 * repeatable, draining is ordinary delivery: exactly once is the queue's business, not ours.
 *
 * One task looks at all outages each TICK_MS (a list and, for each, one index probe); probes, which may wait half a
 * minute for a dead host, are tasks of their own, one for an outage at most.
 */
#include "daemon/outages.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "outage"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/health.h"
#include "daemon/outage_accounts.h"
#include "daemon/runner_internal.h"
#include "storage/hint.h"
#include "storage/node.h"
#include "storage/outage.h"
#include "storage/outage_report.h"

#define TICK_MS 250
#define PROBES_MAX 128
#define PROBES_WAITING 100000 /* first come, first served: who hangs keeps nobody from being found back */
#define CONFIRM_MS 1000       /* between probes of one that answers, while up_after wants more of them */
#define HANDOVER_MS 2500      /* an outage that another worker ran: it gives back what it has, within a TICK */
#define FRESH_MS 2000         /* one that began so lately was run by nobody */
#define HOLD_MS 3600000       /* forced down: what waits is put off so long, again and again */
#define HOLD_LOOK_MS 2000
#define CLOSE_PATIENCE_MS 1000 /* the drain has kept up for so long: sessions that saw the outage have committed */

enum state { AWAY, DRAINING };

struct run {
    struct run *next;
    int64_t id, domain_id;
    char *name, *key;
    enum state state;
    bool seen;    /* in the list of this tick */
    bool probing; /* a task refers to it */
    uint64_t probe_at;
    int64_t probe_wanted_ms; /* the last wish that was heard */
    enum { AS_IT_IS, FORCED_UP, FORCED_DOWN } forced;
    uint64_t hold_at;    /* FORCED_DOWN: when to look whether it is still held back */
    bool shown;          /* all that waited when it was taken on */
    unsigned answers;    /* DRAINING: of probes, in a row */
    uint64_t even_since; /* DRAINING: the drain has caught up; 0: it has not */
    int64_t back_ms;     /* DRAINING: when the primary answered; what was accepted before is drained to the end */
};

static int16_t known_cells[ID_CELLS]; /* whose outages were listed last */
static unsigned known_count;
static struct run *runs;
static unsigned run_count;
static struct task_pool *pool, *probes;
static struct task_wait tick_wait;
static bool tick_waiting, tick_kicked;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

/* ------------------------------------------------------------------ runs */

static void force(struct run *run, struct slice forced)
{
    bool down = slice_equal(forced, SLICE("down"));

    if (run->forced == FORCED_DOWN && !down)
        run->probe_at = 0; /* what was planned is over */
    run->forced = down ? FORCED_DOWN : forced.p ? FORCED_UP : AS_IT_IS;
}

static struct run *run_find(int64_t domain_id)
{
    struct run *run = runs;

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
    struct run *run = must(calloc(1, sizeof *run));
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

static void run_again(struct run *run, const struct outage *outage)
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

static void run_end(struct run *run)
{
    struct run **link = &runs;
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
    return run_count && (run_find(domain_id) || !is_ours(id_cell(domain_id)));
}

/* ------------------------------------------------------------------ showing */

static void kick(void)
{
    tick_kicked = true;
    if (tick_waiting) {
        tick_waiting = false;
        task_wake(&tick_wait);
    }
}

static AWAITS enum outages_answer open_outage(int64_t domain_id, struct slice why, const char *detection)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct outage_opened found;
    bool recorded = outage_open(arena, domain_id, why, detection, &found) == DB_DONE;

    if (!recorded)
        log_warn("an outage could not be opened", log_id("domain", domain_id));
    if (found.opened)
        log_warn("outage opened", log_slice("domain", found.domain), log_slice("reason", why),
                 log_str("detection", detection));
    if (found.open && outages_show_waiting(domain_id) == OUTAGES_SHOWN_ALL && found.opened &&
        outage_note_shown(domain_id) != DB_DONE)
        log_debug("when it was readable is noted later", log_id("domain", domain_id));
    arena_free(&arena);
    kick();
    return !recorded ? OUTAGES_UNRECORDED : found.open ? OUTAGES_OPEN : OUTAGES_FORBIDDEN;
}

enum outages_answer outages_away(int64_t domain_id, struct slice why)
{
    struct run *run = run_find(domain_id);
    enum outages_answer answer;

    if (run) {
        run->state = AWAY;
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

/* Its primary answers: mail may go. */
static AWAITS void come_back(struct run *run)
{
    struct runner_destination *d = runner_destination_find(slice_str(run->key));

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
    struct run *run = arg;
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
        run->state = AWAY;
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
static AWAITS void hold_back(struct run *run)
{
    struct runner_destination *d = runner_destination_find(slice_str(run->key));
    int16_t cell = (int16_t)id_cell(run->domain_id);
    struct queue_destination_state state = {0};
    int64_t now = clock_now_ms();

    if (clock_steady_ms() < run->hold_at)
        return;
    run->state = AWAY;
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

static void start_probe(struct run *run)
{
    if (run->probing || clock_steady_ms() < run->probe_at)
        return;
    run->hold_at = 0;
    run->probing = task_start(probes, probe, run);
}

/* ------------------------------------------------------------------ draining */

static AWAITS bool is_drained(struct run *run)
{
    if (!outages_even(id_cell(run->domain_id), slice_str(run->key), run->back_ms)) {
        run->even_since = 0;
        return false;
    }
    if (!run->even_since)
        run->even_since = clock_steady_ms();
    return clock_steady_ms() >= run->even_since + CLOSE_PATIENCE_MS;
}

/* True: closed. */
static AWAITS bool drain(struct run *run)
{
    if (!is_drained(run) || run->state != DRAINING)
        return false;
    if (run->forced != FORCED_UP && !outages_answered(run->domain_id, slice_str(run->key), run->answers)) {
        start_probe(run);
        return false;
    }
    if (outage_close(run->id, run->domain_id, "what waited is delivered") != DB_DONE)
        return false;
    if (outage_report_begin(run->id) != DB_DONE)
        log_debug("its report is made later", log_str("domain", run->name));
    health_note(run->domain_id, HEALTH_DRAINED, SLICE("what waited is delivered"), false);
    log_warn("outage closed", log_str("domain", run->name), log_id("outage", run->id));
    return true;
}

/* ------------------------------------------------------------------ the tick */

static void know(const int16_t *cells, unsigned count)
{
    memcpy(known_cells, cells, count * sizeof *cells);
    known_count = count;
}

static AWAITS bool list_open(struct arena *arena)
{
    int16_t cells[ID_CELLS];
    unsigned cell_count, count = 0;
    const int16_t *held = node_cells(&cell_count);
    struct outage *list = NULL;

    memcpy(cells, held, cell_count * sizeof *cells);
    for (struct run *run = runs; run; run = run->next)
        run->seen = false;
    if (!cell_count)
        return true;
    switch (outage_list_open(arena, cells, cell_count, &list, &count)) {
    case DB_FOUND: break;
    case DB_NONE: know(cells, cell_count); return true;
    case DB_FAILED: return false;
    }
    for (unsigned i = 0; i < count; i++) {
        struct run *run = run_find(list[i].domain_id);

        if (run && run->id == list[i].id)
            run_again(run, &list[i]);
        else if (!run)
            run_begin(&list[i]);
    }
    know(cells, cell_count);
    return true;
}

static AWAITS void show(struct run *run)
{
    switch (outages_show_waiting(run->domain_id)) {
    case OUTAGES_SHOWN_ALL: run->shown = run->shown || outage_note_shown(run->domain_id) == DB_DONE; break;
    case OUTAGES_SHOWN_PART: kick(); break; /* others' turn, then this one's again */
    case OUTAGES_SHOWN_LATER: break;
    }
}

/* Runs whose outage is closed, or whose cell is another worker's now, end; the rest goes a step on. */
static AWAITS void step(struct run *run)
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
            if (run->forced != FORCED_DOWN)
                start_probe(run);
            break;
        case DRAINING: over = drain(run); break;
        }
    if (over && !run->probing)
        run_end(run);
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

        if (list_open(arena))
            for (struct run *run = runs, *next; run; run = next) {
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
