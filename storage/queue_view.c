/*
 * Looking at the queue.
 *
 * One entry and one message are read as they are asked for; the pages of the queue, with their filters, are in
 * storage/queue_filter.c.
 */
#include "storage/queue_view.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_view_row.h"

void queue_view_read(const struct rows *rows, unsigned row, struct queue_view_entry *out)
{
    out->id = row_int64(rows, row, 0);
    out->message_id = row_int64(rows, row, 1);
    out->redirected_from = row_text(rows, row, 20);
    out->suspension.id = row_is_null(rows, row, 21) ? 0 : row_int64(rows, row, 21);
    out->suspension.reason = row_text(rows, row, 22);
    out->suspension.until_ms = row_time(rows, row, 23);
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
    out->uncertain_ms = row_time(rows, row, 24);
    out->deliver_by_ms = row_time(rows, row, 18);
    out->priority = (int)row_int64(rows, row, 19);
    out->hold = (struct hold){0};
    if (row_is_null(rows, row, 14))
        return;
    out->hold.until_ms = row_time(rows, row, 14);
    hold_by_parse(row_text(rows, row, 15), &out->hold.by);
    out->hold.reason = row_text(rows, row, 16);
    hold_then_parse(row_text(rows, row, 17), &out->hold.then);
    out->hold.approval = row_bool(rows, row, 25);
    out->hold.quarantine = row_bool(rows, row, 26);
    out->group_id = row_int64(rows, row, 27);
    /* What will be, if nobody decides before. */
    if (out->due_ms < out->hold.until_ms)
        out->due_ms = out->hold.until_ms;
    if (out->hold.then != HOLD_THEN_RELEASE)
        out->expires_ms = out->hold.until_ms;
}

/* ------------------------------------------------------------------ one entry, one message */

static const struct db_statement one_entry = {
    "queue_view_entry",
    "select " QUEUE_VIEW_ENTRY " from queue_entry q" QUEUE_VIEW_JOINS
    " where q.id = $2::bigint and q.cell + 0 = $1::smallint",
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
        queue_view_read(rows, 0, out);
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
    "select " QUEUE_VIEW_ENTRY " from queue_entry q" QUEUE_VIEW_JOINS
    " where q.message_id = $2::bigint and q.cell + 0 = $1::smallint order by q.id limit $3::integer",
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
        queue_view_read(rows, out->queued_count, &out->queued[out->queued_count]);
    return DB_FOUND;
}
