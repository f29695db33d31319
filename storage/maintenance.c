/*
 * maintenance: what nobody waits for.
 *
 * Two kinds of work.  What has a list of its own (message_release, due partitions) is done for all cells at each run,
 * and costs one index probe when the list is empty.  What must search (history past its time, chunks whose message
 * never came, mail without a destination) visits CELLS_A_RUN cells at a time, in turn, so that no run is long.
 *
 * Purging a body.  A message that loses a queue entry or mailbox item is listed in message_release by the same
 * transaction, which locks the list's row even if it is there already (RELEASE_LISTED).  Purging is one transaction:
 * lock the message's row, take it off the list, then, in statements that see a newer snapshot, delete the body if
 * nothing refers to the message.
 *
 * Whoever takes a reference away meanwhile either committed before the list's row could be deleted, and the newer
 * snapshot sees that, or waits for us and lists the message again: nothing is forgotten.  Whoever adds one (COPY,
 * show) inserts a row whose foreign key needs the lock on the message too: it either came before, and is seen, or
 * waits, and had a reference of its own to copy from, which it has locked, so that it was seen.
 *
 * The message's row stays as history.
 */
#include "storage/maintenance.h"

#include <stdlib.h>

#define LOG_MODULE "maintenance"
#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/carry_keep.h"
#include "storage/db.h"
#include "storage/greylist.h"
#include "storage/hop_size.h"
#include "storage/outage_read.h"
#include "storage/srs_key.h"

#define RELEASES_AT_ONCE 1000
#define RELEASES_A_RUN 100000
#define ROWS_A_CELL 1000
#define CELLS_A_RUN 8
#define GREYLIST_A_RUN 50000
#define PARTITIONS_EVERY_MS (60 * 60 * 1000)
#define ORPHAN_AGE_MS (24 * 60 * 60 * 1000)

#define UNREFERENCED(message)                                                                                          \
    " not exists (select from queue_entry q where q.message_id = " message " and q.cell + 0 = $1::smallint)"           \
    " and not exists (select from mailbox_message i where i.cell = $1::smallint and i.message_id = " message ")"

static const struct db_statement partitions = {"maintenance_partitions",
                                               "select week_partitions(parent, $1::bigint * interval '1 ms')::text"
                                               "  from unnest(array['event', 'decision']) parent"};
static const struct db_statement released = {
    "maintenance_released", "select cell, message_id from message_release where cell = any($1::smallint[])"
                            " order by cell, message_id limit $2::integer"};
static const struct db_statement lock_messages = {
    "maintenance_lock",
    "select id from message where cell = $1::smallint and id = any($2::bigint[]) order by id for update"};
static const struct db_statement purge_bodies = {
    "maintenance_purge", "delete from message_body b where b.cell = $1::smallint and b.message_id = any($2::bigint[])"
                         "   and" UNREFERENCED("b.message_id")};
static const struct db_statement mark_gone = {
    "maintenance_gone", "update message m set body_gone = true where m.cell = $1::smallint and m.id = any($2::bigint[])"
                        "   and not m.body_gone and" UNREFERENCED("m.id")};
static const struct db_statement unlist = {
    "maintenance_unlist", "delete from message_release where cell = $1::smallint and message_id = any($2::bigint[])"};
static const struct db_statement old_history = {
    "maintenance_history",
    "delete from message where cell = $1::smallint and id in"
    " (select m.id from message m where m.cell = $1::smallint and m.received_at < $2::timestamptz"
    "     and m.body_gone and" UNREFERENCED("m.id") " order by m.received_at limit $3::integer)"};
static const struct db_statement orphans = {
    "maintenance_orphans",
    "delete from message_body b where b.cell = $1::smallint"
    "   and b.message_id > $2::bigint and b.message_id < $3::bigint"
    "   and not exists (select from message m where m.cell = $1::smallint and m.id = b.message_id)"};
static const struct db_statement old_usage = {
    "maintenance_usage", "delete from relay_usage where cell = $1::smallint and day < now() - interval '2 days'"};
/* Not before its outage is over, and what was sent can have been brought to the primary. */
static const struct db_statement old_sent = {
    "maintenance_sent",
    "delete from sent_copy s where s.cell = $1::smallint and s.filed_at < now() - interval '30 days'"
    "   and not exists (select from outage o where o.cell = s.cell and o.id = s.outage_id and o.ended_at is null)"};
/* Frozen while there is an outage. */
static const struct db_statement old_learned = {
    "maintenance_learned",
    "delete from recipient_learned l where l.cell = $1::smallint and l.until < now() - interval '1 day'"
    "   and (not l.valid or l.until < now() - interval '30 days')"
    "   and not exists (select from outage o where o.cell = l.cell and o.domain_id = l.domain_id"
    "                      and o.ended_at is null)"};
static const struct db_statement old_health = {
    "maintenance_health", "delete from health_event where cell = $1::smallint and at < now() - interval '90 days'"};
/* Of outages that are counted; a domain whose primary never came back keeps others' no longer than events. */
static const struct db_statement old_read = {"maintenance_outage_read",
                                             "delete from outage_read where cell = $1::smallint and at < now()"
                                             "   - case when" OUTAGE_READ_COUNTS
                                             " then interval '90 days' else interval '1 hour' end"};
static const struct db_statement idle_destinations = {
    "maintenance_idle",
    "delete from destination d where d.cell = $1::smallint and d.due_at = 'infinity'"
    "   and not exists (select from queue_entry q where q.cell = $1::smallint and q.destination = d.key)"};
static const struct db_statement lost_mail = {
    "maintenance_lost_mail",
    "insert into destination (cell, key, due_at)"
    " select distinct $1::smallint, q.destination, now() from queue_entry q"
    "  where q.cell = $1::smallint and q.worker is null and q.held_until is null order by 2"
    " on conflict (cell, key) do update set due_at = now() where destination.due_at = 'infinity'"};

/*
 * What did not come again, and what was not seen for long (RFC 6647 section 5 has such times); of more than there is
 * room for, the oldest.  By ctid: whatever the planner thinks of a table that has just been flooded, it finds these
 * rows at once, and one that was written meanwhile is not there any more.
 */
static const struct db_statement old_greylist = {
    "maintenance_greylist",
    "delete from greylist where ctid = any(array("
    " (select ctid from greylist where cell = $1::smallint and passes = 0 and last_at < now() - interval '2 days' limit $2::integer)"
    "  union all"
    "  (select ctid from greylist where cell = $1::smallint and last_at < now() - interval '36 days' limit $2::integer)"
    "  union all"
    "  (select ctid from greylist where cell = $1::smallint and passes = 0 order by last_at desc offset $3::integer limit $2::integer)"
    "  union all"
    "  (select ctid from greylist where cell = $1::smallint order by last_at desc offset $4::integer limit $2::integer)))"};
static const struct db_statement old_clients = {
    "maintenance_greylist_client",
    "delete from greylist_client where ctid = any(array("
    " (select ctid from greylist_client where cell = $1::smallint and last_at < now() - interval '36 days' limit $2::integer)"
    "  union all"
    "  (select ctid from greylist_client where cell = $1::smallint order by last_at desc offset $3::integer limit $2::integer)))"};

/* One statement on one cell; the caller adds what it needs. */
static struct params *cell_step(struct db_unit *unit, const struct db_statement *statement, unsigned cell)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)cell);
    return p;
}

static AWAITS bool run(struct db_unit *unit, const char *what)
{
    bool done = db_unit_run(unit) == DB_DONE;

    if (!done)
        log_info("left for the next run", log_str("what", what), log_str("error", unit->error.message));
    return done;
}

static AWAITS bool purge_cell(unsigned cell, const int64_t *ids, unsigned count)
{
    static const struct db_statement *const steps[] = {&lock_messages, &unlist, &purge_bodies, &mark_gone};
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    bool done;

    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++)
        params_int64s(cell_step(unit, steps[i], cell), ids, count);
    done = run(unit, "bodies");
    arena_free(&arena);
    return done;
}

/* True: there may be more. */
static AWAITS bool purge(const int16_t *cells, unsigned cell_count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows;
    bool more = false;

    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, RELEASES_AT_ONCE);
    if (db_read(arena, &released, &params, &rows) == DB_FOUND) {
        unsigned count = rows_count(rows);
        int64_t *ids = arena_array(arena, count, sizeof *ids);

        more = count == RELEASES_AT_ONCE;
        for (unsigned i = 0; i < count;) {
            unsigned cell = (unsigned)row_int64(rows, i, 0), n = 0;

            for (; i < count && (unsigned)row_int64(rows, i, 0) == cell; i++)
                ids[n++] = row_int64(rows, i, 1);
            if (!purge_cell(cell, ids, n))
                more = false;
        }
    }
    arena_free(&arena);
    return more;
}

static AWAITS void search_cell(unsigned cell, int64_t history_ms)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int64_t now = clock_now_ms();
    struct params *p;

    p = cell_step(unit, &old_history, cell);
    params_time(p, now - history_ms);
    params_int32(p, ROWS_A_CELL);
    run(unit, "history");

    unit = db_unit_new(arena);
    p = cell_step(unit, &orphans, cell);
    params_int64(p, id_at(now - 2 * (int64_t)ORPHAN_AGE_MS));
    params_int64(p, id_at(now - ORPHAN_AGE_MS));
    run(unit, "orphans");

    unit = db_unit_new(arena);
    cell_step(unit, &idle_destinations, cell);
    run(unit, "idle destinations");

    unit = db_unit_new(arena);
    cell_step(unit, &lost_mail, cell);
    run(unit, "mail without a destination");

    unit = db_unit_new(arena);
    cell_step(unit, &old_usage, cell);
    run(unit, "old use of grants");

    unit = db_unit_new(arena);
    cell_step(unit, &old_learned, cell);
    cell_step(unit, &old_sent, cell);
    cell_step(unit, &old_health, cell);
    cell_step(unit, &old_read, cell);
    run(unit, "what was learned long ago");

    unit = db_unit_new(arena);
    p = cell_step(unit, &old_greylist, cell);
    params_int32(p, GREYLIST_A_RUN);
    params_int32(p, GREYLIST_CELL_WAITING_MAX);
    params_int32(p, GREYLIST_CELL_MAX);
    p = cell_step(unit, &old_clients, cell);
    params_int32(p, GREYLIST_A_RUN);
    params_int32(p, GREYLIST_CELL_MAX);
    run(unit, "old greylist");
    arena_free(&arena);
}

static AWAITS void make_partitions(int64_t history_ms)
{
    static uint64_t next_ms;
    struct arena *arena;
    struct db_unit *unit;

    if (clock_steady_ms() < next_ms)
        return;
    next_ms = clock_steady_ms() + PARTITIONS_EVERY_MS;
    arena = arena_new(SIZE_MAX);
    unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &partitions), history_ms);
    run(unit, "partitions");
    if (srs_key_rotate(arena) != DB_DONE)
        log_info("left for the next run", log_str("what", "keys of rewritten senders"));
    if (hop_size_forget(arena) != DB_DONE)
        log_info("left for the next run", log_str("what", "limits of next hops"));
    arena_free(&arena);
}

void maintenance_run(const int16_t *cells, unsigned cell_count, int64_t history_retention_ms)
{
    static unsigned turn;

    make_partitions(history_retention_ms);
    carry_keep_run(cells, cell_count);
    for (unsigned done = 0; done < RELEASES_A_RUN && purge(cells, cell_count); done += RELEASES_AT_ONCE)
        ;
    for (unsigned i = 0; i < CELLS_A_RUN && i < cell_count; i++)
        search_cell((unsigned)cells[turn++ % cell_count], history_retention_ms);
}
