/*
 * accept_usage: one statement for all messages of a batch.
 *
 * The row is this worker's own, so no other transaction holds it but our own other batch; sums are made here per row,
 * as one statement cannot update a row twice, and rows are taken in the order of their key, so that two batches cannot
 * wait for each other.  The time is the database's: nodes need not agree about theirs.
 */
#include "storage/accept_usage.h"

#include "core/id.h"
#include "storage/db.h"

#define SPAN(span) "date_trunc('" span "', now(), 'UTC')"
#define ADD(span, column) " " column " = case when u." span " = excluded." span " then u." column " else 0 end + excluded." column

static const struct db_statement count_usage = {
    "accept_usage",
    "insert into relay_usage as u (cell, grant_id, account_id, worker, minute, hour, day, minute_messages, hour_messages,"
    "   day_messages, minute_recipients, hour_recipients, day_recipients, day_bytes)"
    " select cell, grant_id, account_id, $7::smallint, " SPAN("minute") ", " SPAN("hour") ", " SPAN("day") ","
    "        sum(messages), sum(messages), sum(messages), sum(recipients), sum(recipients), sum(recipients), sum(bytes)"
    "   from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])"
    "        n (cell, grant_id, account_id, messages, recipients, bytes)"
    "  group by cell, grant_id, account_id order by cell, grant_id, account_id"
    " on conflict (cell, grant_id, account_id, worker) do update set minute = excluded.minute, hour = excluded.hour,"
    "   day = excluded.day," ADD("minute", "minute_messages") "," ADD("hour", "hour_messages") ","
    ADD("day", "day_messages") "," ADD("minute", "minute_recipients") "," ADD("hour", "hour_recipients") ","
    ADD("day", "day_recipients") "," ADD("day", "day_bytes"),
};

void accept_usage_add(struct arena *arena, struct accept_message *const *messages, unsigned count, struct db_unit *unit)
{
    unsigned all = 0, n = 0;

    for (unsigned i = 0; i < count; i++)
        all += messages[i]->usage_count;
    if (!all)
        return;
    int16_t *cells = arena_array(arena, all, sizeof *cells);
    int64_t *grants = arena_array(arena, all, sizeof *grants), *accounts = arena_array(arena, all, sizeof *accounts);
    int64_t *sent = arena_array(arena, all, sizeof *sent), *recipients = arena_array(arena, all, sizeof *recipients);
    int64_t *bytes = arena_array(arena, all, sizeof *bytes);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->usage_count; j++, n++) {
            const struct accept_usage *usage = &messages[i]->usage[j];

            cells[n] = (int16_t)usage->cell;
            grants[n] = usage->grant_id;
            accounts[n] = usage->account_id;
            sent[n] = 1;
            recipients[n] = usage->recipients;
            bytes[n] = (int64_t)usage->bytes;
        }
    struct params *params = db_unit_add(unit, &count_usage);
    params_int16s(params, cells, n);
    params_int64s(params, grants, n);
    params_int64s(params, accounts, n);
    params_int64s(params, sent, n);
    params_int64s(params, recipients, n);
    params_int64s(params, bytes, n);
    params_int16(params, (int16_t)id_worker());
}
