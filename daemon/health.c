/*
 * health: how primaries are.
 *
 *     a delivery was taken, put off, or answered slowly    health_delivery()
 *     it reached nobody (daemon/outages.c), or had no
 *     reply to its end (daemon/runner_delivery.c)          health_note()
 *     a probe, in an outage or by check_interval           health_probe(), health_note()
 *     TICK_MS, the holder of the cell                      what is forced down, absent or down gets an outage; what
 *                                                          recovers without one is settled; what wants it is probed
 *
 * A delivery that goes well is met a thousand times a second and mostly says nothing new: what this worker has seen of
 * a domain lately is in a table, and only what would change it, or is TRUST_MS old, asks the database.  The table is a
 * guess that saves work; the row is the truth, and is changed only by who has read it (storage/health.c).
 *
 * An outage does not wait for any of this: a delivery that reaches nobody opens one first (daemon/outages.c).
 */
#include "daemon/health.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "health"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/outages.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_protect.h"
#include "storage/continuity_policy.h"
#include "storage/health.h"
#include "storage/node.h"
#include "storage/source_pool.h"

#define TICK_MS 500
#define TABLE 1024
#define TRUST_MS 5000
#define WRITE_TRIES 5
#define CHECKS_MAX 32
#define WHY_MAX 300
#define PROBE_SENDER SLICE("")

static struct {
    int64_t domain_id;
    uint64_t read_at;
    struct health health;
} table[TABLE];

static struct {
    int64_t domain_id; /* 0: free */
    char *domain;
} checks[CHECKS_MAX];
static struct task_pool *checkers;
static struct health_counters counters;

/* ------------------------------------------------------------------ noting */

static unsigned place_of(int64_t domain_id)
{
    return (unsigned)(((uint64_t)domain_id * UINT64_C(0x9e3779b97f4a7c15)) >> 54) % TABLE;
}

static void remember(int64_t domain_id, const struct health *health)
{
    unsigned place = place_of(domain_id);

    table[place].domain_id = domain_id;
    table[place].read_at = clock_steady_ms();
    table[place].health = *health;
}

static bool is_news(int64_t domain_id, enum health_outcome outcome, const struct health_limits *limits)
{
    unsigned place = place_of(domain_id);
    struct health next;

    if (table[place].domain_id != domain_id || table[place].read_at + TRUST_MS < clock_steady_ms())
        return true;
    next = health_next(table[place].health, outcome, limits);
    return !health_equal(&next, &table[place].health);
}

/* False: another was first. */
static AWAITS bool note_once(struct arena *arena, int64_t domain_id, enum health_outcome outcome,
                             const struct health_limits *limits, struct slice why, bool probed)
{
    struct health now = {0}, next;
    struct health_change change = {.why = slice_of(why.p, why.n < WHY_MAX ? why.n : WHY_MAX), .probed = probed};
    bool done = false;

    if (health_read(arena, domain_id, &change.was) != DB_FOUND)
        return true;
    if (!health_state_of(change.was.state, &now.state)) /* a newer node's */
        now.state = HEALTH_UP;
    now.failures = change.was.failures;
    now.weak = change.was.weak;
    now.successes = change.was.successes;
    next = health_next(now, outcome, limits);
    remember(domain_id, &next);
    if (health_equal(&now, &next) && !probed)
        return true;
    change.state = slice_str(health_word(next.state));
    change.failures = next.failures;
    change.weak = next.weak;
    change.successes = next.successes;
    if (health_write(&change, &done) != DB_DONE) {
        log_info("a primary's health could not be recorded", log_id("domain", domain_id));
        table[place_of(domain_id)].domain_id = 0;
        return true;
    }
    if (done && next.state != now.state) {
        counters.changes++;
        log_warn("health of a primary", log_id("domain", domain_id), log_str("state", health_word(next.state)),
                 log_str("was", health_word(now.state)), log_slice("reason", why));
    }
    return done;
}

void health_note(int64_t domain_id, enum health_outcome outcome, struct slice why, bool probed)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct continuity_policy policy;

    if (continuity_policy_of(arena, domain_id, &policy) == DB_FOUND) {
        const struct health_limits limits = {(unsigned)policy.down_after, (unsigned)policy.up_after};

        if (probed || is_news(domain_id, outcome, &limits))
            for (unsigned tries = 0; tries < WRITE_TRIES; tries++)
                if (note_once(arena, domain_id, outcome, &limits, why, probed))
                    break;
    }
    arena_free(&arena);
}

static bool is_slow(const struct continuity_policy *policy, uint64_t ms)
{
    return policy->slow_after && ms > (uint64_t)policy->slow_after;
}

static struct slice how_slow(struct arena *arena, uint64_t ms)
{
    return slice_str(arena_printf(arena, "it took %llu ms to answer", (unsigned long long)ms));
}

void health_delivery(int64_t domain_id, bool taken, struct slice put_off, unsigned slowest_ms)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct continuity_policy policy;
    bool slow = continuity_policy_of(arena, domain_id, &policy) == DB_FOUND && is_slow(&policy, slowest_ms);

    if (put_off.p || slow)
        health_note(domain_id, HEALTH_WEAK, put_off.p ? put_off : how_slow(arena, slowest_ms), false);
    if (taken && !slow)
        health_note(domain_id, HEALTH_GOOD, SLICE("mail is taken"), false);
    arena_free(&arena);
}

/* ------------------------------------------------------------------ probing */

unsigned health_probe_interval_ms(int64_t domain_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct continuity_policy policy;
    unsigned ms = runner_settings()->retry_min_ms;

    if (continuity_policy_of(arena, domain_id, &policy) == DB_FOUND && policy.probe_interval != CONTINUITY_NOT_SET)
        ms = (unsigned)policy.probe_interval * 1000;
    arena_free(&arena);
    return ms;
}

unsigned health_up_after(int64_t domain_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct continuity_policy policy;
    unsigned count = 1;

    if (continuity_policy_of(arena, domain_id, &policy) == DB_FOUND)
        count = (unsigned)policy.up_after;
    arena_free(&arena);
    return count;
}

bool health_is_down(int64_t domain_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct health_row row;
    bool down = health_read(arena, domain_id, &row) == DB_FOUND && slice_equal(row.state, SLICE("down"));

    arena_free(&arena);
    return down;
}

static void weak(struct health_probe *out, bool answers, struct slice why)
{
    *out = (struct health_probe){answers, HEALTH_WEAK, why};
}

static AWAITS void ask(struct arena *arena, struct smtp_client **client, const struct continuity_policy *policy,
                       uint64_t begun, struct health_probe *out)
{
    struct smtp_client_answer said = {0};
    uint64_t ms;

    if (!smtp_client_noop(*client, arena, &said) ||
        (policy->probe_address.p && !smtp_client_ask(*client, arena, PROBE_SENDER, policy->probe_address, &said))) {
        smtp_client_abort(client);
        out->why = SLICE("the connection went");
        return;
    }
    ms = clock_steady_ms() - begun;
    if (said.code / 100 != 2)
        weak(out, false, said.text);
    else if (is_slow(policy, ms))
        weak(out, true, how_slow(arena, ms));
    else
        *out = (struct health_probe){true, HEALTH_GOOD, said.text};
}

void health_probe(struct arena *arena, int64_t domain_id, struct slice domain, struct health_probe *out)
{
    struct route_key key = {.kind = ROUTE_DOMAIN, .domain_id = domain_id};
    struct runner_walk walk = {.protection = runner_protection_of(domain)};
    struct continuity_policy policy;
    struct smtp_client *client = NULL;
    uint64_t begun = clock_steady_ms();

    counters.probes++;
    *out = (struct health_probe){false, HEALTH_FAILED, SLICE("it could not be looked up")};
    if (continuity_policy_of(arena, domain_id, &policy) == DB_FOUND &&
        source_pool_of_domain(arena, domain_id, &walk.sources) == DB_FOUND) {
        if (runner_hop_next(arena, &key, &walk, &client) == RUNNER_HOP_OPEN)
            ask(arena, &client, &policy, begun, out);
        else if (walk.unmet && !walk.unreached) /* it serves; what is wrong is told by the mail that may not go there */
            weak(out, true, walk.why);
        else
            out->why = walk.why.p ? walk.why : SLICE("none of its hosts serves");
    }
    if (client)
        smtp_client_quit(&client);
    counters.probes_failed += out->found == HEALTH_FAILED;
}

/* ------------------------------------------------------------------ looking after the cells */

static AWAITS void check(void *arg)
{
    unsigned place = (unsigned)(uintptr_t)arg;
    struct arena *arena = arena_new(SIZE_MAX);
    struct health_probe found;

    health_probe(arena, checks[place].domain_id, slice_str(checks[place].domain), &found);
    health_note(checks[place].domain_id, found.found, found.why, true);
    arena_free(&arena);
    free(checks[place].domain);
    checks[place].domain_id = 0;
}

static void begin_check(const struct health_task *task)
{
    unsigned place = CHECKS_MAX;

    for (unsigned i = 0; i < CHECKS_MAX; i++)
        if (checks[i].domain_id == task->domain_id)
            return;
        else if (!checks[i].domain_id)
            place = i;
    if (place == CHECKS_MAX)
        return;
    checks[place].domain_id = task->domain_id;
    checks[place].domain = strndup(task->domain.p, task->domain.n);
    if (!checks[place].domain)
        abort();
    if (!task_start(checkers, check, (void *)(uintptr_t)place)) {
        free(checks[place].domain);
        checks[place].domain_id = 0;
    }
}

static AWAITS void look_after(struct arena *arena, const int16_t *cells, unsigned cell_count)
{
    struct health_task *tasks = NULL;
    unsigned count = 0;

    if (health_tasks(arena, cells, cell_count, CHECKS_MAX, &tasks, &count) != DB_FOUND)
        return;
    for (unsigned i = 0; i < count; i++)
        switch (tasks[i].kind) {
        case HEALTH_TASK_OPEN:
            outages_begin(tasks[i].domain_id, tasks[i].reason, arena_slicedup(arena, tasks[i].detection));
            break;
        case HEALTH_TASK_SETTLE:
            health_note(tasks[i].domain_id, HEALTH_DRAINED, SLICE("no outage is open"), false);
            break;
        case HEALTH_TASK_PROBE: begin_check(&tasks[i]); break;
        case HEALTH_TASK_UNFORCE:
            if (health_unforce(tasks[i].domain_id) != DB_DONE)
                log_info("left for later", log_str("what", "end of a force"), log_id("domain", tasks[i].domain_id));
            break;
        case HEALTH_TASK_WINDOW:
            if (health_tell_window(tasks[i].domain_id) != DB_DONE)
                log_info("left for later", log_str("what", "a maintenance window"),
                         log_id("domain", tasks[i].domain_id));
            break;
        }
}

void health_for_ever(void *unused)
{
    (void)unused;
    checkers = task_pool_new("check", CHECKS_MAX, 0);
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

void health_counters(struct health_counters *out)
{
    *out = counters;
}
