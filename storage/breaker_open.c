/*
 * breaker: opening and closing.
 *
 * Open is a row of held_account, which all workers have in memory, and a row beside it that says why: one statement
 * makes both and what webhooks are told, so that whoever of many finds it first opens it, and the others do not.
 *
 * Closing forgets the hours that made it open: else the next message would open it again.  By an administrator's wish
 * they are usual from now on.  What is held stays held: that is decided about by itself.
 */
#include "storage/breaker_open.h"

#include "core/id.h"
#include "storage/db.h"

struct slice breaker_reason(struct arena *arena, const struct breaker_trip *trip)
{
    static const char *const things[] = {"messages", "recipients", "failures", "countries that are new to it"};

    return slice_str(arena_printf(arena, "its sending has left its pattern: %u %s in %s, more than %u", trip->value,
                                  things[trip->measure], trip->measure == BREAKER_COUNTRIES ? "a day" : "an hour",
                                  trip->limit));
}

static const struct db_statement open_it = {
    "breaker_open",
    "with held as (insert into held_account (account_id, held_by, reason, hold_seconds, hold_then, until)"
    "      values ($1::bigint, 'breaker', $2::text, $3::bigint, $4::text, now() + nullif($5::bigint, 0) * interval"
    " '1 second')"
    "      on conflict do nothing returning account_id, until),"
    " opened as (insert into breaker_open (account_id, measure, value, most, notify, notice_id)"
    "      select account_id, $6::text, $7::bigint, $8::bigint, $9::text, $10::bigint from held)"
    " select webhook_emit($11::bigint, 'breaker.opened', a.customer_id, jsonb_build_object('account', a.address,"
    "           'measure', $6::text, 'value', $7::bigint, 'limit', $8::bigint, 'reason', $2::text,"
    "           'until', time_text(held.until), 'at', time_text(now())))"
    "  from held join account a on a.id = held.account_id"};

AWAITS enum db_write breaker_open(int64_t account_id, const struct breaker_trip *trip,
                                  const struct breaker_policy *policy, bool *opened)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &open_it);
    enum db_write written;

    params_int64(params, account_id);
    params_text(params, breaker_reason(arena, trip));
    params_int64(params, policy->hold_ms / 1000);
    params_text(params, slice_str(hold_then_word(policy->then)));
    params_int64(params, policy->open_ms / 1000);
    params_text(params, slice_str(breaker_measure_word(trip->measure)));
    params_int64(params, trip->value);
    params_int64(params, trip->limit);
    params_text(params, policy->notify);
    params_int64(params, id_make(id_cell(account_id)));
    params_int64(params, id_make(0));
    written = db_unit_run(unit);
    *opened = written == DB_DONE && rows_count(unit->steps[0].rows);
    arena_free(&arena);
    return written;
}

/* ------------------------------------------------------------------ closing */

#define ZERO(p) p "_messages = 0, " p "_recipients = 0, " p "_failures = 0"
#define ALL_ZERO "new_failures = 0, " ZERO("hour") ", " ZERO("before") ", " ZERO("day")
#define LEARN(m, more)                                                                                                 \
    "usual_" m " = case when $2::boolean then greatest(usual_" m ", day_" m ", least(" more "::bigint + hour_" m       \
    " + before_" m ", 1000000000),"                                                                                    \
    "   (select value from breaker_open o where o.account_id = $1::bigint and o.measure = '" m "')) else usual_" m     \
    " end"
#define ALL_LEARNT LEARN("messages", "0") ", " LEARN("recipients", "0") ", " LEARN("failures", "new_failures")
static const struct db_statement forget = {"breaker_forget",
                                           "update breaker_account set version = version + 1, " ALL_LEARNT ", " ALL_ZERO
                                           " where cell = $3::smallint and account_id = $1::bigint"};
static const struct db_statement close_it = {
    "breaker_close",
    "with over as (delete from held_account h where h.account_id = $1::bigint and h.held_by = 'breaker'"
    "                 and (not $4::boolean or h.until <= now()) returning h.account_id)"
    " select webhook_emit($2::bigint, 'breaker.closed', a.customer_id, jsonb_build_object('account', a.address,"
    "           'by', $3::text, 'at', time_text(now()))) from over join account a on a.id = over.account_id"};
static const struct db_statement read_over = {
    "breaker_over",
    "select account_id from held_account where held_by = 'breaker' and until <= now() order by until limit 100"};

void breaker_close_add(struct db_unit *unit, int64_t account_id, bool learn, bool over)
{
    struct params *params;

    if (learn) /* one that opens with the first messages has no row yet */
        breaker_make_add(unit, account_id);
    params = db_unit_add(unit, &forget);
    params_int64(params, account_id);
    params_bool(params, learn);
    params_int16(params, (int16_t)id_cell(account_id));
    breaker_country_own_add(unit, account_id);
    params = db_unit_add(unit, &close_it);
    params_int64(params, account_id);
    params_int64(params, id_make(0));
    params_text(params, slice_str(over ? "time" : "administrator"));
    params_bool(params, over);
}

AWAITS enum db_write breaker_close_over(unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_DONE;
    struct params none;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&none, arena);
    if (db_read(arena, &read_over, &none, &rows) == DB_FAILED)
        written = DB_UNDONE;
    for (unsigned i = 0; written == DB_DONE && i < rows_count(rows); i++) {
        struct db_unit *unit = db_unit_new(arena);

        breaker_close_add(unit, row_int64(rows, i, 0), false, true);
        written = db_unit_run(unit);
        *count += written == DB_DONE && rows_count(unit->steps[2].rows);
    }
    arena_free(&arena);
    return written;
}
