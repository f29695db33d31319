/*
 * suspension: what waits when it begins.
 *
 * A worker parks what it comes upon (storage/suspension_queue.c).  What waits for its time, or for a destination that is
 * away, nobody comes upon for hours, and it would grow old meanwhile though nobody may send it.  So it is looked for: in
 * passes over what waits, by the index of what is suspended, some hundred in a transaction, each held with its event
 * as a worker would have held it.  A pass is made when the suspension begins, and again every minute, for what was given
 * back, or was accepted as waiting, since.
 *
 * Whoever makes a pass has said so in suspension_pass, for all nodes; one that dies leaves the rest to the next pass.
 * suspension itself is not written: each worker has it in memory and would read it anew.
 */
#include "core/clock.h"
#include "core/id.h"
#define LOG_MODULE "queue"
#include "core/log.h"
#include "storage/db.h"
#include "storage/node.h"
#include "storage/queue_internal.h"
#include "storage/suspension_internal.h"

#define PASS_BATCH 500

static const struct db_statement take = {
    "suspension_pass_take",
    "insert into suspension_pass (suspension_id, at) select s.id, now() from suspension s"
    "  left join suspension_pass p on p.suspension_id = s.id"
    " where s.ended_at is null and (s.expires_at is null or s.expires_at > now())"
    "   and (p.at is null or p.at < now() - interval '1 minute') order by s.id limit 1"
    " on conflict (suspension_id) do update set at = now() where suspension_pass.at < now() - interval '1 minute'"
    " returning suspension_id, (select kind from suspension where id = suspension_id),"
    "           (select value from suspension where id = suspension_id)"};

/* In the order of one index: storage/queue_filter.c. */
#define FIND(key, value)                                                                                               \
    "select id from queue_entry where worker is null and (" key ", id) > (" value ", $2::bigint)"                      \
    " and (" key ", id) < (" value ", 9223372036854775807) and held_until is null"                                     \
    " and destination <> 'mailbox' order by " key ", id limit $3::integer"
static const struct db_statement find_sender = {"suspension_find_sender", FIND("sender", "$1::text")};
static const struct db_statement find_customer = {"suspension_find_customer", FIND("customer_id", "$1::text::bigint")};
static const struct db_statement find_destination = {"suspension_find_destination", FIND("destination", "$1::text")};
static const struct db_statement find_domain = {"suspension_find_domain",
                                                FIND("lower(split_part(recipient, '@', -1))", "$1::text")};

static const struct db_statement hold = {
    "suspension_hold_waiting",
    "with held as (update queue_entry q set " SUSPENSION_HOLDS "  from " QUEUE_LIST(
        "$1::smallint[], $2::bigint[]",
        "cell, id") ", suspension s"
                    " where " QUEUE_ENTRY_IS " and " QUEUE_ENTRY_NOBODYS
                    " and q.held_until is null and s.id = $4::bigint"
                    "   and s.ended_at is null and (s.expires_at is null or s.expires_at > now())"
                    " returning q.cell, q.id, q.message_id, q.recipient, q.held_reason)"
                    " insert into event (cell, id, at, message_id, recipient, kind, detail)"
                    " select h.cell, e.event_id, $5::timestamptz, h.message_id, h.recipient, 'suspended', h.held_reason"
                    "   from held h join unnest($1::smallint[], $2::bigint[], $3::bigint[]) e (cell, id, event_id)"
                    "     on h.cell = e.cell and h.id = e.id on conflict do nothing returning id"};

/* *held: how many were.  False: it could not be done. */
static AWAITS bool hold_some(struct arena *arena, int64_t suspension_id, const struct rows *found, unsigned *held)
{
    struct db_unit *unit = db_unit_new(arena);
    unsigned count = rows_count(found);
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    int64_t *ids = arena_array(arena, count, sizeof *ids), *events = arena_array(arena, count, sizeof *events);
    struct params *p;

    for (unsigned i = 0; i < count; i++) {
        ids[i] = row_int64(found, i, 0);
        cells[i] = (int16_t)id_cell(ids[i]);
        events[i] = id_make(id_cell(ids[i]));
    }
    params_int64(db_unit_add(unit, &suspension_lock), suspension_id);
    p = db_unit_add(unit, &hold);
    params_int16s(p, cells, count);
    params_int64s(p, ids, count);
    params_int64s(p, events, count);
    params_int64(p, suspension_id);
    params_time(p, clock_now_ms());
    if (queue_run_patiently(unit) != DB_DONE)
        return false;
    *held += rows_count(unit->steps[1].rows);
    return true;
}

static AWAITS void pass(int64_t suspension_id, const struct db_statement *find, struct slice value, unsigned *held)
{
    unsigned found = PASS_BATCH;
    int64_t after = 0;

    while (found == PASS_BATCH && node_alive()) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct params params;
        struct rows *rows = NULL;

        params_init(&params, arena);
        params_text(&params, value);
        params_int64(&params, after);
        params_int32(&params, PASS_BATCH);
        found = db_read_page(arena, find, &params, &rows) == DB_FOUND ? rows_count(rows) : 0;
        if (found)
            after = row_int64(rows, found - 1, 0);
        if (found && !hold_some(arena, suspension_id, rows, held))
            found = 0;
        arena_free(&arena);
    }
}

bool suspension_pass(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum suspension_kind kind;
    unsigned held = 0;
    bool taken;

    (void)db_unit_add(unit, &take);
    taken = db_unit_run(unit) == DB_DONE && rows_count(unit->steps[0].rows) &&
            suspension_kind_parse(row_text(unit->steps[0].rows, 0, 1), &kind);
    if (taken) {
        int64_t id = row_int64(unit->steps[0].rows, 0, 0);
        struct slice value = row_text(unit->steps[0].rows, 0, 2);

        switch (kind) {
        case SUSPENSION_SENDER: pass(id, &find_sender, value, &held); break;
        case SUSPENSION_CUSTOMER: pass(id, &find_customer, value, &held); break;
        case SUSPENSION_DESTINATION:
            pass(id, &find_destination, value, &held);
            pass(id, &find_domain, value, &held);
            break;
        }
        if (held)
            log_info("suspended what was waiting", log_id("suspension", id), log_int("count", held));
    }
    arena_free(&arena);
    return taken;
}
