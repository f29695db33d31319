/*
 * The worker's number and its cells.
 *
 * Safety rests on the number: it goes into ids, so two living processes must never have the same one.  The
 * database decides who has it (row `worker`, lease_until on the database's clock); this process counts its
 * lease on its own steady clock from *before* the request was sent, so it always believes it ends earlier
 * than the database does.  Registering and renewing are durable commits: a lease that a crash of the
 * database forgot could be given away while we still believe in it.
 *
 * A row is ours by node, pid and start time, not by number alone.  If the lease ran out but nobody took the
 * number, renewing revives it; if somebody did, renewing says CONFLICT and the worker registers anew.
 *
 * Cells need no such care: two workers that claim in one cell for a moment only compete (`skip locked`).
 * Each living worker may hold ceil(256 / workers) cells.  A renewal gives back what is above that, takes
 * what is free or expired up to it, and so the shares settle within one or two renewals of any change.
 */
#define LOG_MODULE "node"
#include "storage/node.h"

#include <unistd.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/queue.h"

_Static_assert(NODE_LEASE_MS == 30000, "the statements below say 30 seconds");
#define LEASE "now() + interval '30 seconds'"

static struct {
    int64_t started_ms; /* 0: never registered */
    const char *name;
    bool delivers;
    uint64_t alive_until_ms; /* steady clock */
    int16_t cells[ID_CELLS];
    unsigned cell_count;
} node;

bool node_alive(void)
{
    return clock_steady_ms() < node.alive_until_ms;
}

const int16_t *node_cells(unsigned *count)
{
    *count = node_alive() ? node.cell_count : 0;
    return node.cells;
}

/* ------------------------------------------------------------------ the number */

/*
 * A free number at random, so that workers that start together seldom meet; if they do, the second finds the
 * lease no longer expired, gets no row, and tries again.
 */
static const struct db_statement take_number = {
    "node_take_number",
    "insert into worker (number, node, pid, started_at, lease_until, delivers)"
    " select n, $1::text, $2::integer, $3::timestamptz, " LEASE ", $4::boolean"
    "   from generate_series(0, 1023) n"
    "  where not exists (select from worker w where w.number = n and w.lease_until > now())"
    "  order by random() limit 1"
    " on conflict (number) do update set node = excluded.node, pid = excluded.pid,"
    "     started_at = excluded.started_at, lease_until = excluded.lease_until, delivers = excluded.delivers"
    "  where worker.lease_until <= now()"
    " returning number",
};

/* What an earlier holder of the number left: nothing may look as if it were ours. */
static const struct db_statement free_stale_cells = {
    "node_free_stale_cells",
    "update cell_lease set worker = null, lease_until = null where worker = $1::smallint",
};

#define MINE "number = $1::smallint and node = $2::text and pid = $3::integer and started_at = $4::timestamptz"

static const struct db_statement renew_number = {
    "node_renew_number",
    "update worker set lease_until = " LEASE " where " MINE " returning number",
};

static void add_mine(struct params *params)
{
    params_int16(params, (int16_t)id_worker());
    params_text(params, slice_str(node.name));
    params_int32(params, (int32_t)getpid());
    params_time(params, node.started_ms);
}

static AWAITS enum db_write take_any(struct arena *arena, unsigned *number)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &take_number);
    params_text(params, slice_str(node.name));
    params_int32(params, (int32_t)getpid());
    params_time(params, node.started_ms);
    params_bool(params, node.delivers);
    enum db_write result = db_unit_run(unit);
    if (result != DB_DONE)
        return result;
    if (rows_count(unit->steps[0].rows) == 0)
        return DB_CONFLICT;
    *number = (unsigned)row_int64(unit->steps[0].rows, 0, 0);
    unit = db_unit_new(arena);
    params_int16(db_unit_add(unit, &free_stale_cells), (int16_t)*number);
    return db_unit_run(unit);
}

/* CONFLICT: the row is not ours (any more). */
static AWAITS enum db_write keep_number(struct arena *arena)
{
    struct db_unit *unit = db_unit_new(arena);
    add_mine(db_unit_add(unit, &renew_number));
    enum db_write result = db_unit_run(unit);
    return result == DB_DONE && rows_count(unit->steps[0].rows) == 0 ? DB_CONFLICT : result;
}

/* ------------------------------------------------------------------ cells */

/* ceil(256 / living workers), ourselves among them */
#define SHARE                                                                                                          \
    "(select (255 + greatest(count(*), 1)) / greatest(count(*), 1) from worker"                                        \
    "  where delivers and lease_until > now())"
#define STILL_MINE "exists (select from worker where " MINE ")"

static const struct db_statement give_back = {
    "node_give_back",
    "update cell_lease set worker = null, lease_until = null"
    " where " STILL_MINE
    "   and cell in (select cell from cell_lease where worker = $1::smallint order by cell offset " SHARE ")",
};
static const struct db_statement keep = {
    "node_keep",
    "update cell_lease set lease_until = " LEASE " where worker = $1::smallint and " STILL_MINE,
};
static const struct db_statement take = {
    "node_take",
    "update cell_lease set worker = $1::smallint, lease_until = " LEASE " where " STILL_MINE
    "   and cell in (select cell from cell_lease where worker is null or lease_until <= now() order by cell"
    "                 limit greatest(0, " SHARE " - (select count(*) from cell_lease where worker = $1::smallint))"
    "                   for update skip locked)",
};
static const struct db_statement mine = {
    "node_cells",
    "select cell from cell_lease where worker = $1::smallint and lease_until > now() and " STILL_MINE " order by cell",
};

static AWAITS enum db_write renew_cells(struct arena *arena)
{
    struct db_unit *unit = db_unit_new(arena);
    add_mine(db_unit_add(unit, &give_back));
    add_mine(db_unit_add(unit, &keep));
    add_mine(db_unit_add(unit, &take));
    add_mine(db_unit_add(unit, &mine));
    enum db_write result = db_unit_run(unit);
    if (result != DB_DONE)
        return result;
    const struct rows *rows = unit->steps[3].rows;
    unsigned count = rows_count(rows);
    if (count != node.cell_count)
        log_info("cells", log_int("count", count));
    node.cell_count = count < ID_CELLS ? count : ID_CELLS;
    for (unsigned i = 0; i < node.cell_count; i++)
        node.cells[i] = (int16_t)row_int64(rows, i, 0);
    return DB_DONE;
}

/* Without cells a worker still accepts mail and makes ids; so this does not fail what it is part of. */
static AWAITS void take_cells(struct arena *arena)
{
    if (node.delivers && renew_cells(arena) != DB_DONE)
        log_warn("cells could not be renewed", log_int("worker", id_worker()));
}

/* ------------------------------------------------------------------ registering, renewing */

/* After UNCERTAIN the number may be taken by us unknowingly; it then expires unused, which costs nothing. */
static AWAITS enum db_write register_as(const char *name, bool delivers)
{
    struct arena *arena = arena_new(64 * 1024);
    uint64_t asked_ms = clock_steady_ms();
    unsigned number = id_worker();
    node.name = name;
    node.delivers = delivers;
    node.alive_until_ms = 0;
    enum db_write result = node.started_ms ? keep_number(arena) : DB_CONFLICT;
    if (result == DB_CONFLICT) {
        node.cell_count = 0;
        node.started_ms = clock_now_ms();
        for (unsigned attempt = 0; attempt < 5 && result == DB_CONFLICT; attempt++) {
            asked_ms = clock_steady_ms();
            result = take_any(arena, &number);
        }
        if (result != DB_DONE)
            node.started_ms = 0;
    }
    if (result == DB_DONE) {
        id_set_worker(number);
        node.alive_until_ms = asked_ms + NODE_LEASE_MS;
        log_info("registered", log_str("node", name), log_int("worker", number));
        take_cells(arena);
    }
    arena_free(&arena);
    return result;
}

AWAITS enum db_write node_register(const char *name)
{
    return register_as(name, true);
}

AWAITS enum db_write node_register_plain(const char *name)
{
    return register_as(name, false);
}

AWAITS enum db_write node_renew(void)
{
    if (node.started_ms == 0)
        return DB_CONFLICT;
    struct arena *arena = arena_new(64 * 1024);
    uint64_t asked_ms = clock_steady_ms();
    enum db_write result = keep_number(arena);
    if (result == DB_CONFLICT) {
        log_warn("worker number lost to another process", log_int("worker", id_worker()));
        node.started_ms = 0;
        node.alive_until_ms = 0;
    }
    if (result == DB_DONE) {
        node.alive_until_ms = asked_ms + NODE_LEASE_MS;
        take_cells(arena);
    }
    arena_free(&arena);
    return result;
}

/* ------------------------------------------------------------------ leaving, counting */

static const struct db_statement leave_cells = {
    "node_leave_cells",
    "update cell_lease set worker = null, lease_until = null where worker = $1::smallint and " STILL_MINE,
};
/* Not at once: ids made in a burst may be a little ahead of the clock (core/id.h). */
static const struct db_statement leave_number = {
    "node_leave_number",
    "update worker set lease_until = now() + interval '2 seconds', delivers = false where " MINE,
};

AWAITS enum db_write node_leave(void)
{
    if (node.started_ms == 0)
        return DB_DONE;
    struct arena *arena = arena_new(16 * 1024);
    struct db_unit *unit = db_unit_new(arena);
    add_mine(db_unit_add(unit, &leave_cells));
    add_mine(db_unit_add(unit, &leave_number));
    node.alive_until_ms = 0;
    node.cell_count = 0;
    enum db_write result = db_unit_run(unit);
    node.started_ms = 0;
    arena_free(&arena);
    return result;
}

struct node_identity node_identity(void)
{
    return (struct node_identity){id_worker(), (int32_t)getpid(), node.started_ms};
}

AWAITS enum db_write node_bury(const char *name, struct node_identity dead)
{
    struct arena *arena = arena_new(16 * 1024);
    struct db_unit *unit = db_unit_new(arena);
    const struct db_statement *last_wishes[] = {&leave_cells, &leave_number};
    unsigned entries;
    enum db_write result = queue_bury(name, dead, &entries);

    for (unsigned i = 0; i < 2; i++) {
        struct params *params = db_unit_add(unit, last_wishes[i]);
        params_int16(params, (int16_t)dead.number);
        params_text(params, slice_str(name));
        params_int32(params, dead.pid);
        params_time(params, dead.started_ms);
    }
    if (result == DB_DONE)
        result = db_unit_run(unit);
    if (result == DB_DONE)
        log_info("freed what a dead worker held", log_int("worker", dead.number), log_int("entries", entries));
    arena_free(&arena);
    return result;
}

static const struct db_statement count_living = {
    "node_count",
    "select count(*) from worker where delivers and lease_until > now()",
};

AWAITS enum db_status node_count(unsigned *workers)
{
    *workers = 0;
    if (!db_ready()) /* a connection for reading alone would answer, and nothing could be written */
        return DB_FAILED;
    struct arena *arena = arena_new(4096);
    struct params none;
    struct rows *rows = NULL;
    params_init(&none, arena);
    enum db_status status = db_read(arena, &count_living, &none, &rows);
    if (status == DB_FOUND)
        *workers = (unsigned)row_int64(rows, 0, 0);
    arena_free(&arena);
    return status == DB_FOUND ? DB_FOUND : DB_FAILED;
}
