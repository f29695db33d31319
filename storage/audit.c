/*
 * audit: reading the audit log, and forgetting it.
 *
 * Ids carry the time and are made with the rows, so a page, a time and the age of what goes are ranges of the primary
 * key, and there is no other index: changes by administrators are few.  A page looks at SCAN rows at most, gives what
 * it found, and says where to go on (as storage/queue_filter.c).
 */
#include "storage/audit.h"

#define LOG_MODULE "maintenance"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/db.h"

#define SCAN "5000"
#define FORGET_BATCH 5000
#define FORGET_EVERY_MS (60 * 60 * 1000)

/* $1, $2: ids between which; $3: limit. */
static const struct db_statement list = {
    "audit_list",
    "select id, at, token_id, label, method, path, status, detail, matches, position = " SCAN
    "  from (select a.*, t.label, row_number() over (order by a.id desc) as position,"
    "          ($4::text is null or t.label = $4::text or (a.token_id = $5::bigint and a.token_id <> 0)"
    "             or (a.token_id = 0 and starts_with(a.detail, $4::text || ' from ')))"
    "          and ($6::text is null or a.method = $6::text)"
    "          and ($7::text is null or a.path = $7::text or starts_with(a.path, $7::text || '/')) as matches"
    "          from (select * from audit_log where id < $1::bigint and id >= $2::bigint order by id desc limit " SCAN
    ") a left join api_token t on t.id = a.token_id) looked_at"
    " where matches or position = " SCAN " order by id desc limit $3::integer"};
static const struct db_statement forget = {
    "audit_forget",
    "delete from audit_log where id in (select id from audit_log where id < $1::bigint order by id limit $2::integer)"
    " returning id"};

/* Before the first and after the last that an id can tell, there are none. */
static int64_t bound(int64_t ms)
{
    return ms < id_ms(0) ? 0 : ms > id_ms(INT64_MAX) ? INT64_MAX : id_at(ms);
}

AWAITS enum db_status audit_list(struct arena *arena, const struct audit_filter *filter, int64_t before, unsigned limit,
                                 struct audit_row **out, unsigned *count, int64_t *next)
{
    struct params params;
    struct rows *rows = NULL;
    int64_t end = filter->before_ms == INT64_MIN ? INT64_MAX : bound(filter->before_ms), token_id = 0;

    *out = NULL;
    *count = 0;
    *next = 0;
    params_init(&params, arena);
    params_int64(&params, before && before < end ? before : end);
    params_int64(&params, filter->since_ms == INT64_MIN ? 0 : bound(filter->since_ms));
    params_int32(&params, (int32_t)limit + 1);
    params_text(&params, filter->actor);
    if (!filter->actor.p || !id_parse(filter->actor, &token_id))
        token_id = 0;
    params_int64(&params, token_id);
    params_text(&params, filter->action);
    params_text(&params, filter->object);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (unsigned i = 0; i < rows_count(rows); i++) {
        bool last = *count == limit || row_bool(rows, i, 9);

        if (*count < limit && row_bool(rows, i, 8))
            (*out)[(*count)++] = (struct audit_row){
                .id = row_int64(rows, i, 0),
                .at_ms = row_time(rows, i, 1),
                .token_id = row_int64(rows, i, 2),
                .label = row_text(rows, i, 3),
                .method = row_text(rows, i, 4),
                .path = row_text(rows, i, 5),
                .status = row_int64(rows, i, 6),
                .detail = row_text(rows, i, 7),
            };
        if (last) /* a row more than fits, or the last that was looked at */
            *next = row_bool(rows, i, 9) && *count <= limit ? row_int64(rows, i, 0) : (*out)[limit - 1].id;
    }
    return DB_FOUND;
}

void audit_forget(int64_t retention_ms)
{
    static uint64_t next_ms;
    unsigned gone = FORGET_BATCH;

    if (clock_steady_ms() < next_ms)
        return;
    next_ms = clock_steady_ms() + FORGET_EVERY_MS;
    while (gone == FORGET_BATCH) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct db_unit *unit = db_unit_new(arena);
        struct params *p = db_unit_add(unit, &forget);

        params_int64(p, bound(clock_now_ms() - retention_ms));
        params_int32(p, FORGET_BATCH);
        gone = db_unit_run(unit) == DB_DONE ? rows_count(unit->steps[0].rows) : 0;
        if (gone)
            log_info("old rows of the audit log are gone", log_int("count", gone));
        arena_free(&arena);
    }
}
