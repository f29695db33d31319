/*
 * Looking at the queue.
 *
 * Pages are keyset pages: they begin behind the last id of the page before, so the thousandth costs what the
 * first did, and entries that come and go meanwhile neither repeat nor hide others.  The order is that of
 * the primary key, (cell, id); an id carries its cell, so an id is all a cursor needs.
 *
 * Filtering by domain has two roads.  A relay domain of ours has an index (cell, domain_id, id).  Any other
 * domain stands only in the recipient's text, and an index for it would be paid by every message for the
 * sake of a rare question; so a page looks at QUEUE_VIEW_SCAN entries at most, gives what it found, and
 * says where to go on.  A million entries are then 50 requests of some 20 ms each, and never one of a second.
 */
#include "storage/queue_view.h"

#include "core/id.h"
#include "core/idn.h"
#include "storage/db.h"
#include "storage/directory.h"

#define QUEUE_VIEW_SCAN 20000

#define ENTRY                                                                                                          \
    "q.id, q.message_id, m.sender, q.recipient, q.destination, m.size, q.worker is not null, q.shown, q.attempts,"     \
    " m.received_at, q.expires_at, greatest(q.due_at, d.due_at), q.last_attempt_at, q.last_reply,"               \
    " q.held_until, q.held_by, q.held_reason, q.held_then, q.deliver_by, q.priority"
#define JOINS                                                                                                          \
    " join message m on m.cell = q.cell and m.id = q.message_id"                                                       \
    " left join destination d on d.cell = q.cell and d.key = q.destination "
#define ENTRY_COLUMNS 20

static void read_entry(const struct rows *rows, unsigned row, struct queue_view_entry *out)
{
    out->id = row_int64(rows, row, 0);
    out->message_id = row_int64(rows, row, 1);
    out->sender = row_text(rows, row, 2);
    out->recipient = row_text(rows, row, 3);
    out->destination = row_text(rows, row, 4);
    out->size = (uint64_t)row_int64(rows, row, 5);
    out->active = row_bool(rows, row, 6);
    out->shown = row_bool(rows, row, 7);
    out->attempts = (int32_t)row_int64(rows, row, 8);
    out->received_ms = row_time(rows, row, 9);
    out->expires_ms = row_time(rows, row, 10);
    out->due_ms = row_time(rows, row, 11);
    out->last_attempt_ms = row_time(rows, row, 12);
    out->last_reply = row_text(rows, row, 13);
    out->deliver_by_ms = row_time(rows, row, 18);
    out->priority = (int)row_int64(rows, row, 19);
    out->hold = (struct hold){0};
    if (row_is_null(rows, row, 14))
        return;
    out->hold.until_ms = row_time(rows, row, 14);
    hold_by_parse(row_text(rows, row, 15), &out->hold.by);
    out->hold.reason = row_text(rows, row, 16);
    hold_then_parse(row_text(rows, row, 17), &out->hold.then);
    /* What will be, if nobody decides before. */
    if (out->due_ms < out->hold.until_ms)
        out->due_ms = out->hold.until_ms;
    if (out->hold.then == HOLD_THEN_REJECT)
        out->expires_ms = out->hold.until_ms;
}

/* ------------------------------------------------------------------ the list */

static const struct db_statement list_all = {
    "queue_view_all",
    "select " ENTRY " from (select * from queue_entry where (cell, id) > ($1::smallint, $2::bigint)"
    "                        order by cell, id limit $3::integer) q" JOINS " order by q.cell, q.id",
};
static const struct db_statement list_domain = {
    "queue_view_domain",
    "select " ENTRY " from (select * from queue_entry where cell = $1::smallint and id > $2::bigint"
    "                          and domain_id = $4::bigint"
    "                        order by id limit $3::integer) q" JOINS " order by q.cell, q.id",
};
/* $3: entries to look at; $4: "@domain"; $5: matches wanted. The last entry looked at comes in any case. */
static const struct db_statement list_scan = {
    "queue_view_scan",
    "select " ENTRY ", q.matches, q.position = $3::integer"
    "  from (select *, right(recipient, length($4::text)) = $4::text as matches,"
    "               row_number() over (order by cell, id) as position"
    "          from (select * from queue_entry where (cell, id) > ($1::smallint, $2::bigint)"
    "                 order by cell, id limit $3::integer) as looked_at) q" JOINS
    " where q.matches or q.position = $3::integer order by q.cell, q.id limit $5::integer + 1",
};

/* One more than limit was asked for, to know whether there is a next page. */
static void take_page(struct arena *arena, const struct rows *rows, unsigned limit, struct queue_view_entry **out,
                      unsigned *count, int64_t *next)
{
    unsigned got = rows_count(rows);
    *out = arena_array(arena, got + 1, sizeof **out);
    for (*count = 0; *count < got && *count < limit; (*count)++)
        read_entry(rows, *count, &(*out)[*count]);
    *next = got > limit ? (*out)[*count - 1].id : 0;
}

static AWAITS enum db_status scan(struct arena *arena, struct slice domain, int64_t after, unsigned limit,
                                  struct queue_view_entry **out, unsigned *count, int64_t *next)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(after));
    params_int64(&params, after);
    params_int32(&params, QUEUE_VIEW_SCAN);
    params_text(&params, slice_str(arena_printf(arena, "@%.*s", SLICE_ARG(domain))));
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, &list_scan, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    unsigned got = rows_count(rows);
    *out = arena_array(arena, got + 1, sizeof **out);
    for (unsigned i = 0; i < got && *count < limit; i++) {
        struct queue_view_entry *entry = &(*out)[*count];
        read_entry(rows, i, entry);
        *next = entry->id;
        if (row_bool(rows, i, ENTRY_COLUMNS))
            (*count)++;
    }
    /* Nothing follows when the page has room left and the scan came to the queue's end. */
    if (got <= limit && (got == 0 || !row_bool(rows, got - 1, ENTRY_COLUMNS + 1)))
        *next = 0;
    return DB_FOUND;
}

AWAITS enum db_status queue_view_list(struct arena *arena, struct slice domain, int64_t after, unsigned limit,
                                      struct queue_view_entry **out, unsigned *count, int64_t *next)
{
    struct directory_domain ours = {0};
    *out = NULL;
    *count = 0;
    *next = 0;
    if (domain.p) {
        if (!idn_domain(arena, domain, &domain))
            return DB_NONE;
        switch (directory_domain(arena, domain, &ours)) {
        case DB_FAILED: return DB_FAILED;
        case DB_NONE: return scan(arena, domain, after, limit, out, count, next);
        case DB_FOUND: break;
        }
    }
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int16(&params, (int16_t)(ours.id ? ours.cell : id_cell(after)));
    params_int64(&params, after);
    params_int32(&params, (int32_t)limit + 1);
    if (ours.id)
        params_int64(&params, ours.id);
    if (db_read(arena, ours.id ? &list_domain : &list_all, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    take_page(arena, rows, limit, out, count, next);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ one entry, one message */

static const struct db_statement one_entry = {
    "queue_view_entry",
    "select " ENTRY " from queue_entry q" JOINS " where q.cell = $1::smallint and q.id = $2::bigint",
};

AWAITS enum db_status queue_view_entry(struct arena *arena, int64_t id, struct queue_view_entry *out)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(id));
    params_int64(&params, id);
    enum db_status status = db_read(arena, &one_entry, &params, &rows);
    if (status == DB_FOUND)
        read_entry(rows, 0, out);
    return status;
}

static const struct db_statement message = {
    "queue_view_message",
    "select customer_id, account_id, sender, size, eight_bit, body_gone, received_at, client, helo, protocol, tls,"
    "       (select count(*) from mailbox_message i where i.cell = m.cell and i.message_id = m.id)"
    "  from message m where cell = $1::smallint and id = $2::bigint",
};
static const struct db_statement message_entries = {
    "queue_view_message_entries",
    "select " ENTRY " from queue_entry q" JOINS
    " where q.cell = $1::smallint and q.message_id = $2::bigint order by q.id limit $3::integer",
};

AWAITS enum db_status queue_view_message(struct arena *arena, int64_t id, struct queue_view_message *out)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(id));
    params_int64(&params, id);
    enum db_status status = db_read(arena, &message, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = (struct queue_view_message){
        .id = id,
        .customer_id = row_int64(rows, 0, 0),
        .account_id = row_is_null(rows, 0, 1) ? 0 : row_int64(rows, 0, 1),
        .sender = row_text(rows, 0, 2),
        .size = (uint64_t)row_int64(rows, 0, 3),
        .eight_bit = row_bool(rows, 0, 4),
        .body_gone = row_bool(rows, 0, 5),
        .received_ms = row_time(rows, 0, 6),
        .client = row_text(rows, 0, 7),
        .helo = row_text(rows, 0, 8),
        .protocol = row_text(rows, 0, 9),
        .tls = row_text(rows, 0, 10),
        .in_mailboxes = (uint64_t)row_int64(rows, 0, 11),
    };
    params_int32(&params, QUEUE_VIEW_RECIPIENTS);
    if (db_read(arena, &message_entries, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    out->queued = arena_array(arena, rows_count(rows) + 1, sizeof *out->queued);
    for (; out->queued_count < rows_count(rows); out->queued_count++)
        read_entry(rows, out->queued_count, &out->queued[out->queued_count]);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ outages */

static const struct db_statement outages = {
    "queue_view_outages",
    "select o.id, o.domain_id, d.name, o.reason, o.started_at, o.ended_at"
    "  from outage o left join domain d on d.id = o.domain_id"
    " where ($1::bigint = 0 or o.id < $1::bigint) and ($2::bigint = 0 or o.domain_id = $2::bigint)"
    "   and (not $3::boolean or o.ended_at is null)"
    " order by o.id desc limit $4::integer",
};

AWAITS enum db_status queue_view_outages(struct arena *arena, int64_t domain_id, bool open_only, int64_t before,
                                         unsigned limit, struct queue_view_outage **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, before);
    params_int64(&params, domain_id);
    params_bool(&params, open_only);
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, &outages, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        (*out)[*count] = (struct queue_view_outage){
            .id = row_int64(rows, *count, 0),
            .domain_id = row_int64(rows, *count, 1),
            .domain = row_text(rows, *count, 2),
            .reason = row_text(rows, *count, 3),
            .started_ms = row_time(rows, *count, 4),
            .ended_ms = row_time(rows, *count, 5),
        };
    return DB_FOUND;
}

/* ------------------------------------------------------------------ totals */

static const struct db_statement totals = {
    "queue_view_totals",
    "select count(*) filter (where worker is null and held_until is null), count(*) filter (where worker is not null),"
    "       (select count(*) from outage where ended_at is null),"
    "       count(*) filter (where worker is null and held_until is not null)"
    "  from queue_entry",
};

AWAITS enum db_status queue_view_totals(struct queue_view_totals *out)
{
    struct arena *arena = arena_new(4096);
    struct params none;
    struct rows *rows = NULL;
    params_init(&none, arena);
    enum db_status status = db_read(arena, &totals, &none, &rows);
    if (status == DB_FOUND) {
        out->waiting = (uint64_t)row_int64(rows, 0, 0);
        out->active = (uint64_t)row_int64(rows, 0, 1);
        out->outages_open = (uint64_t)row_int64(rows, 0, 2);
        out->held = (uint64_t)row_int64(rows, 0, 3);
    }
    arena_free(&arena);
    return status;
}
