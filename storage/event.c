/*
 * Reading events.  The table is partitioned by time, and an event is never older than its message, whose
 * id carries the time it was made: so partitions before it are not touched.  The margin covers clocks of
 * nodes that differ a little.
 */
#include "storage/event.h"

#include "core/id.h"
#include "storage/db.h"

#define EVENT_CLOCK_MARGIN_MS (10 * 60 * 1000)

#define COLUMNS                                                                                                        \
    "select id, at, recipient, kind, detail, class, tls_version, tls_cipher, tls_verified, remote_host,"               \
    " remote_address from event"

static const struct db_statement list = {
    "event_list",
    COLUMNS " where cell = $1::smallint and message_id = $2::bigint and id > $3::bigint and at >= $4::timestamptz"
            " order by id limit $5::integer",
};
static const struct db_statement attempts = {
    "event_attempts",
    COLUMNS " where cell = $1::smallint and message_id = $2::bigint and id > $3::bigint and at >= $4::timestamptz"
            "   and recipient = $6::text and kind in ('deferred', 'uncertain') order by id limit $5::integer",
};

static const struct db_statement last_attempts = {
    "event_last_attempts",
    "select distinct on (recipient) recipient, at, detail, remote_host from event"
    " where cell = $1::smallint and message_id = $2::bigint and at >= $3::timestamptz and recipient = any($4::text[])"
    "   and kind in ('deferred', 'uncertain') order by recipient, id desc"};

/* recipient NULL: the statement asks for none. */
static AWAITS enum db_status read_steps(struct arena *arena, const struct db_statement *statement, int64_t message_id,
                                        const struct slice *recipient, int64_t after_id, unsigned limit,
                                        struct event_step **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(message_id));
    params_int64(&params, message_id);
    params_int64(&params, after_id);
    params_time(&params, id_ms(message_id) - EVENT_CLOCK_MARGIN_MS);
    params_int32(&params, (int32_t)limit);
    if (recipient)
        params_text(&params, *recipient);
    enum db_status status = db_read(arena, statement, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct event_step){
            .id = row_int64(rows, i, 0),
            .at_ms = row_time(rows, i, 1),
            .recipient = row_text(rows, i, 2),
            .kind = row_text(rows, i, 3),
            .detail = row_text(rows, i, 4),
            .class = row_text(rows, i, 5),
            .tls_version = row_text(rows, i, 6),
            .tls_cipher = row_text(rows, i, 7),
            .tls_verified = row_text(rows, i, 8),
            .remote_host = row_text(rows, i, 9),
            .remote_address = row_text(rows, i, 10),
        };
    return DB_FOUND;
}

AWAITS enum db_status event_list(struct arena *arena, int64_t message_id, int64_t after_id, unsigned limit,
                                 struct event_step **out, unsigned *count)
{
    return read_steps(arena, &list, message_id, NULL, after_id, limit, out, count);
}

AWAITS enum db_status event_attempts(struct arena *arena, int64_t message_id, struct slice recipient, int64_t after_id,
                                     unsigned limit, struct event_step **out, unsigned *count)
{
    return read_steps(arena, &attempts, message_id, &recipient, after_id, limit, out, count);
}

AWAITS enum db_status event_last_attempts(struct arena *arena, int64_t message_id, const struct slice *recipients,
                                          unsigned recipient_count, struct event_step **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(message_id));
    params_int64(&params, message_id);
    params_time(&params, id_ms(message_id) - EVENT_CLOCK_MARGIN_MS);
    params_texts(&params, recipients, recipient_count);
    enum db_status status = db_read(arena, &last_attempts, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct event_step){.recipient = row_text(rows, i, 0),
                                        .at_ms = row_time(rows, i, 1),
                                        .detail = row_text(rows, i, 2),
                                        .remote_host = row_text(rows, i, 3)};
    return DB_FOUND;
}
