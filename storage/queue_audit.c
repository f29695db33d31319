/*
 * queue_audit: ETRN and ATRN in the audit log, and as events of what they are about.
 *
 * The row stands before what it tells of, in a transaction of its own: what cannot be audited is not done, and what
 * was audited may have been done.  It has the token 0, which is nobody's, the verb as its method, the domain's path,
 * and in words who it was.
 *
 * The events are those of what waits for the domain then, EVENTS_BATCH in a transaction, EVENTS_MAX at most: who may
 * ask may ask again and again, so that what was told so within a minute is not told anew.
 */
#include "storage/queue_audit.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

#define STATUS_DONE 250
#define EVENTS_BATCH 1000
#define EVENTS_MAX 10000 /* QUEUE_PENDING_MAX */

static const struct db_statement insert = {
    "queue_audit",
    "insert into audit_log (id, token_id, method, path, status, detail)"
    " select u.audit_id, 0, $3::text, '/v1/domains/' || d.name, $4::integer, $5::text"
    "   from unnest($1::bigint[], $2::bigint[], $6::smallint[]) u (audit_id, domain_id, cell)"
    "   join domain d on d.id = u.domain_id"
    "  where exists (select from queue_entry q where q.cell = u.cell and q.destination = 'domain:' || u.domain_id"
    "                   and q.worker is null and q.held_until is null)"};

static const struct db_statement find = {
    "queue_audit_find",
    "select q.id, q.message_id, q.recipient from queue_entry q where q.cell = $1::smallint and q.worker is null"
    "   and q.held_until is null and q.destination = 'domain:' || $2::bigint and q.id > $3::bigint"
    "   and not exists (select from event e where e.cell = q.cell and e.message_id = q.message_id"
    "                      and e.recipient = q.recipient and e.kind = $4::text and e.at > now() - interval '1 minute')"
    " order by q.id limit $5::integer"};
static const struct db_statement event = {
    "queue_audit_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select $1::smallint, e.id, $2::timestamptz, e.message_id, e.recipient, $3::text, $4::text"
    "   from unnest($5::bigint[], $6::bigint[], $7::text[]) e (id, message_id, recipient) on conflict do nothing"};

/* Of those behind *after, which is moved; *count: how many. */
static AWAITS enum db_write tell_some(struct arena *arena, int64_t domain_id, struct slice kind, struct slice who,
                                      int64_t *after, unsigned *count)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params params, *p;
    struct rows *rows = NULL;
    int64_t *ids, *messages;
    struct slice *recipients;

    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    params_int64(&params, *after);
    params_text(&params, kind);
    params_int32(&params, EVENTS_BATCH);
    switch (db_read(arena, &find, &params, &rows)) {
    case DB_FOUND: break;
    case DB_NONE: return DB_DONE;
    case DB_FAILED: return DB_UNDONE;
    }
    *count = rows_count(rows);
    *after = row_int64(rows, *count - 1, 0);
    ids = arena_array(arena, *count, sizeof *ids);
    messages = arena_array(arena, *count, sizeof *messages);
    recipients = arena_array(arena, *count, sizeof *recipients);
    for (unsigned i = 0; i < *count; i++) {
        ids[i] = id_make(id_cell(domain_id));
        messages[i] = row_int64(rows, i, 1);
        recipients[i] = row_text(rows, i, 2);
    }
    p = db_unit_add(unit, &event);
    params_int16(p, (int16_t)id_cell(domain_id));
    params_time(p, clock_now_ms());
    params_text(p, kind);
    params_text(p, who);
    params_int64s(p, ids, *count);
    params_int64s(p, messages, *count);
    params_texts(p, recipients, *count);
    return queue_run_patiently(unit);
}

static AWAITS enum db_write tell(int64_t domain_id, struct slice kind, struct slice who)
{
    enum db_write written = DB_DONE;
    unsigned told = EVENTS_BATCH;
    int64_t after = 0;

    for (unsigned all = 0; written == DB_DONE && told == EVENTS_BATCH && all < EVENTS_MAX; all += told) {
        struct arena *arena = arena_new(SIZE_MAX);

        written = tell_some(arena, domain_id, kind, who, &after, &told);
        arena_free(&arena);
    }
    return written;
}

enum db_write queue_audit(const char *verb, const int64_t *domain_ids, unsigned count, const char *peer,
                          struct slice account)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int64_t *ids = arena_array(arena, count + 1, sizeof *ids);
    int16_t *cells = arena_array(arena, count + 1, sizeof *cells);
    struct params *p = db_unit_add(unit, &insert);
    struct slice who = slice_str(account.n ? arena_printf(arena, "%.*s from %s", SLICE_ARG(account), peer)
                                           : arena_printf(arena, "a client at %s", peer));
    enum db_write written;

    for (unsigned i = 0; i < count; i++) {
        ids[i] = id_make(0);
        cells[i] = (int16_t)id_cell(domain_ids[i]);
    }
    params_int64s(p, ids, count);
    params_int64s(p, domain_ids, count);
    params_text(p, slice_str(verb));
    params_int32(p, STATUS_DONE);
    params_text(p, who);
    params_int16s(p, cells, count);
    written = queue_run_patiently(unit);
    for (unsigned i = 0; i < count && written == DB_DONE; i++)
        written = tell(domain_ids[i], arena_lower(arena, slice_str(verb)), who);
    arena_free(&arena);
    return written;
}
