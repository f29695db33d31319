/*
 * db: the road to PostgreSQL: lanes, units, waiting.
 *
 * Two lanes, reading and writing, each a few connections; a request goes to the connection of its lane that has
 * least in flight.  The task sleeps until the answer is there, so a connection carries as many requests as there are
 * tasks waiting.
 *
 * A lane without a connection that is up answers FAILED or UNDONE at once.  To queue would be to let every
 * client wait for a dead server until it gives up; 451 is better news.
 *
 * What the end of a request means:
 *
 *                    reading   transaction
 *     answered       FOUND/NONE  DONE
 *     error          FAILED      REFUSED (class 23), CONFLICT (40001, 40P01), else UNDONE
 *     lost           FAILED      UNCERTAIN
 *     never sent     FAILED      UNDONE
 */
#include "storage/db.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "db"
#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "storage/db_private.h"

#define LANE_MAX 32

struct lane {
    struct connection *connections[LANE_MAX];
    unsigned count;
};

struct up_waiter {
    struct up_waiter *next;
    struct task_wait wait;
};

static struct db_settings settings;
static struct lane reading, writing;
static struct up_waiter *up_waiters;
static struct db_counters counters;

/* ------------------------------------------------------------------ lanes */

static bool lane_up(const struct lane *lane)
{
    for (unsigned i = 0; i < lane->count; i++)
        if (connection_up(lane->connections[i]))
            return true;
    return false;
}

static void on_up(struct connection *connection)
{
    (void)connection;
    if (!lane_up(&writing))
        return;
    for (struct up_waiter *w = up_waiters; w; w = w->next)
        task_wake(&w->wait);
}

static const struct connection_events events = {.up = on_up};

static void lane_open(struct lane *lane, unsigned count)
{
    lane->count = count < 1 ? 1 : count > LANE_MAX ? LANE_MAX : count;
    for (unsigned i = 0; i < lane->count; i++)
        lane->connections[i] = connection_new(&settings, &events);
}

static void lane_close(struct lane *lane)
{
    for (unsigned i = 0; i < lane->count; i++)
        connection_free(&lane->connections[i]);
    lane->count = 0;
}

static struct connection *lane_pick(const struct lane *lane)
{
    struct connection *best = NULL;

    for (unsigned i = 0; i < lane->count; i++) {
        struct connection *c = lane->connections[i];

        if (connection_up(c) && (!best || connection_in_flight(c) < connection_in_flight(best)))
            best = c;
    }
    return best && connection_in_flight(best) < DB_QUEUE_MAX ? best : NULL;
}

bool db_conninfo_valid(const char *conninfo)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

    PQconninfoFree(options);
    return options != NULL;
}

void db_open(const struct db_settings *s)
{
    settings = *s;
    lane_open(&reading, settings.read_connections);
    lane_open(&writing, settings.write_connections);
}

void db_close(void)
{
    lane_close(&reading);
    lane_close(&writing);
    db_listen_close();
}

const struct db_settings *db_settings(void)
{
    return &settings;
}

bool db_ready(void)
{
    return lane_up(&reading) && lane_up(&writing);
}

void db_count_reconnect(void)
{
    counters.reconnects++;
}

void db_counters(struct db_counters *out)
{
    const struct lane *const lanes[] = {&reading, &writing};

    *out = counters;
    for (unsigned l = 0; l < 2; l++)
        for (unsigned i = 0; i < lanes[l]->count; i++) {
            out->connected += connection_up(lanes[l]->connections[i]);
            out->in_flight += connection_in_flight(lanes[l]->connections[i]);
        }
}

/* ------------------------------------------------------------------ running a request */

enum sent { SENT_NOT, SENT_ANSWERED, SENT_ERROR, SENT_LOST };

struct waiting {
    struct task_wait wait;
    enum request_end end;
};

static void on_done(struct request *request, enum request_end end)
{
    struct waiting *w = request->arg;

    w->end = end;
    task_wake(&w->wait);
}

static AWAITS enum sent run(struct lane *lane, struct arena *arena, struct request_step *steps, unsigned count,
                            struct db_error *error)
{
    struct waiting w = {TASK_WAIT_INIT, REQUEST_LOST};
    struct request request = {
        .arena = arena, .steps = steps, .count = count, .error = error, .done = on_done, .arg = &w};
    struct connection *connection = lane_pick(lane);

    counters.units++;
    snprintf(error->message, sizeof error->message, "no connection to the database");
    if (!connection || !connection_send(connection, &request)) {
        counters.failed++;
        return SENT_NOT;
    }
    snprintf(error->message, sizeof error->message, "the connection broke");
    task_wait(&w.wait);
    switch (w.end) {
    case REQUEST_ANSWERED: return SENT_ANSWERED;
    case REQUEST_ERROR: counters.failed++; return SENT_ERROR;
    case REQUEST_LOST: return SENT_LOST;
    }
    abort();
}

static AWAITS enum db_status read_steps(struct arena *arena, struct request_step *steps, unsigned count,
                                        const struct db_statement *statement, struct rows **out)
{
    struct db_error error = {0};

    switch (run(&reading, arena, steps, count, &error)) {
    case SENT_ANSWERED: return rows_count(*out) ? DB_FOUND : DB_NONE;
    case SENT_ERROR:
        log_error("a look-up failed", log_str("statement", statement->name), log_str("sqlstate", error.sqlstate),
                  log_str("error", error.message));
        return DB_FAILED;
    case SENT_NOT:
    case SENT_LOST: return DB_FAILED;
    }
    abort();
}

enum db_status db_read(struct arena *arena, const struct db_statement *statement, const struct params *params,
                       struct rows **out)
{
    struct request_step step = {statement, params, out};

    return read_steps(arena, &step, 1, statement, out);
}

/* A plan is made at the first use, and kept: what is set then is in it. */
static const struct db_statement in_order = {"db_in_order", "select set_config('enable_bitmapscan', 'off', true)"};

enum db_status db_read_page(struct arena *arena, const struct db_statement *statement, const struct params *params,
                            struct rows **out)
{
    struct params nothing;
    struct request_step steps[] = {{&in_order, &nothing, NULL}, {statement, params, out}};

    params_init(&nothing, arena);
    return read_steps(arena, steps, 2, statement, out);
}

/* ------------------------------------------------------------------ units */

static const struct db_statement relax = {"db_relax", "select set_config('synchronous_commit', 'off', true)"};

struct db_unit *db_unit_new(struct arena *arena)
{
    struct db_unit *unit = arena_alloc(arena, sizeof *unit);

    unit->arena = arena;
    return unit;
}

struct params *db_unit_add(struct db_unit *unit, const struct db_statement *statement)
{
    assert(unit->count < DB_UNIT_MAX);
    unit->steps[unit->count].statement = statement;
    params_init(&unit->steps[unit->count].params, unit->arena);
    return &unit->steps[unit->count++].params;
}

static enum db_write error_means(const struct db_unit *unit)
{
    if (strncmp(unit->error.sqlstate, "23", 2) == 0)
        return DB_REFUSED;
    if (strcmp(unit->error.sqlstate, "40001") == 0 || strcmp(unit->error.sqlstate, "40P01") == 0)
        return DB_CONFLICT;
    log_error("a transaction failed", log_str("statement", unit->steps[0].statement->name),
              log_str("sqlstate", unit->error.sqlstate), log_str("error", unit->error.message));
    return DB_UNDONE;
}

enum db_write db_unit_run(struct db_unit *unit)
{
    struct request_step steps[DB_UNIT_MAX + 1];
    struct params nothing;
    unsigned count = 0;

    params_init(&nothing, unit->arena);
    memset(&unit->error, 0, sizeof unit->error);
    if (unit->relaxed)
        steps[count++] = (struct request_step){&relax, &nothing, NULL};
    for (unsigned i = 0; i < unit->count; i++)
        steps[count++] = (struct request_step){unit->steps[i].statement, &unit->steps[i].params, &unit->steps[i].rows};
    switch (run(&writing, unit->arena, steps, count, &unit->error)) {
    case SENT_ANSWERED: return DB_DONE;
    case SENT_ERROR: return error_means(unit);
    case SENT_NOT: return DB_UNDONE;
    case SENT_LOST: counters.uncertain++; return DB_UNCERTAIN;
    }
    abort();
}

/* ------------------------------------------------------------------ after UNCERTAIN */

static void on_patience_over(void *arg)
{
    task_wake(arg);
}

bool db_certain_wait(unsigned max_ms)
{
    struct up_waiter waiter = {.wait = TASK_WAIT_INIT}, **link = &up_waiters;
    struct loop_timer timer = {0};

    if (lane_up(&writing))
        return true;
    waiter.next = up_waiters;
    up_waiters = &waiter;
    loop_timer_set(&timer, max_ms, on_patience_over, &waiter.wait);
    task_wait(&waiter.wait);
    loop_timer_clear(&timer);
    while (*link != &waiter)
        link = &(*link)->next;
    *link = waiter.next;
    return lane_up(&writing);
}
