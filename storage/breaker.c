/*
 * breaker: patterns in the database.
 *
 * A pattern is small, and what becomes of it is decided in one place (relay/breaker.c), so it is not added to by a
 * statement but read, changed, and written if nobody was faster.  Who was slower does it again a moment later, with
 * the counts that it kept.  An account that one session uses has one writer; one that a botnet uses has as many as
 * there are workers, some times a second.
 *
 * Only failures are added to by a statement, as they are counted in the transaction that records a bounce, where
 * nothing is known of accounts: they wait in new_failures until somebody folds them in.  While a breaker is open nobody
 * does: at midnight the day that opened it would become usual by it, instead of being forgotten when it is closed.
 */
#include "storage/breaker.h"

#include "core/id.h"
#include "storage/breaker_open.h"
#include "storage/db.h"

static const char *const words[] = {"messages", "recipients", "failures", "countries"};

const char *breaker_measure_word(enum breaker_measure measure)
{
    return words[measure];
}

bool breaker_measure_parse(struct slice word, enum breaker_measure *out)
{
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(word, slice_str(words[i]))) {
            *out = (enum breaker_measure)i;
            return true;
        }
    return false;
}

/* ------------------------------------------------------------------ reading */

#define NUMBERS(p) "b." p "_messages, b." p "_recipients, b." p "_failures"
static const struct db_statement read_patterns = {
    "breaker_read",
    "select a.id, a.customer_id, a.domain_id, b.version, b.new_failures, b.hour, " NUMBERS("hour") ", " NUMBERS(
        "before") ", " NUMBERS("day") ", " NUMBERS("usual") ", b.days, a.address, " BREAKER_NEW_COUNTRIES
                                                            "  from account a left join breaker_account b"
                                                            "    on b.cell = a.cell and b.account_id = a.id"
                                                            " where a.id = any($1::bigint[])"};
static const struct db_statement failing = {
    "breaker_failing", "select account_id from breaker_account b where cell = any($1::smallint[]) and new_failures > 0"
                       "   and not exists (select from breaker_open o where o.account_id = b.account_id)"
                       " limit $2::integer"};

static void read_numbers(const struct rows *rows, unsigned row, unsigned column, uint32_t out[BREAKER_HOURLY])
{
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        out[m] = (uint32_t)row_int64(rows, row, column + m);
}

static void read_row(const struct rows *rows, unsigned row, struct breaker_account *out)
{
    *out = (struct breaker_account){.account_id = row_int64(rows, row, 0),
                                    .customer_id = row_int64(rows, row, 1),
                                    .domain_id = row_int64(rows, row, 2),
                                    .address = row_text(rows, row, 19),
                                    .countries = (uint32_t)row_int64(rows, row, 20)};
    if (row_is_null(rows, row, 3))
        return;
    out->version = row_int64(rows, row, 3);
    out->new_failures = (uint32_t)row_int64(rows, row, 4);
    out->pattern.hour = row_int64(rows, row, 5);
    read_numbers(rows, row, 6, out->pattern.now);
    read_numbers(rows, row, 9, out->pattern.before);
    read_numbers(rows, row, 12, out->pattern.day);
    read_numbers(rows, row, 15, out->pattern.usual);
    out->pattern.days = (uint32_t)row_int64(rows, row, 18);
}

AWAITS enum db_status breaker_read(struct arena *arena, const int64_t *accounts, unsigned count,
                                   struct breaker_account **out, unsigned *found)
{
    struct params params;
    struct rows *rows = NULL;

    *found = 0;
    params_init(&params, arena);
    params_int64s(&params, accounts, count);
    if (db_read(arena, &read_patterns, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *found < rows_count(rows); (*found)++)
        read_row(rows, *found, &(*out)[*found]);
    return *found ? DB_FOUND : DB_NONE;
}

AWAITS enum db_status breaker_failing(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                      int64_t **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, &failing, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        (*out)[*count] = row_int64(rows, *count, 0);
    return *count ? DB_FOUND : DB_NONE;
}

/* ------------------------------------------------------------------ writing */

#define COLUMNS(p) p "_messages, " p "_recipients, " p "_failures"
#define SET(p)                                                                                                         \
    p "_messages = u." p "_messages, " p "_recipients = u." p "_recipients, " p "_failures = u." p "_failures"
#define ALL_COLUMNS "hour, " COLUMNS("hour") ", " COLUMNS("before") ", " COLUMNS("day") ", " COLUMNS("usual") ", days"
#define GIVEN                                                                                                          \
    "unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::integer[], $5::integer[], $6::integer[], $7::integer[],"   \
    "       $8::integer[], $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::integer[],"             \
    "       $14::integer[], $15::integer[], $16::integer[], $17::integer[], $18::integer[])"                           \
    " u (cell, account_id, version, taken, " ALL_COLUMNS ")"

static const struct db_statement write_new = {
    "breaker_write_new", "insert into breaker_account (cell, account_id, version, " ALL_COLUMNS ")"
                         " select cell, account_id, 1, " ALL_COLUMNS " from " GIVEN " where version = 0 order by 1, 2"
                         " on conflict do nothing returning account_id"};
static const struct db_statement write_known = {
    "breaker_write",
    "update breaker_account b set version = b.version + 1, new_failures = b.new_failures - u.taken, hour = u.hour,"
    " " SET("hour") ", " SET("before") ", " SET("day") ", " SET("usual") ", days = u.days from " GIVEN
                                                                         " where b.cell = u.cell and b.account_id ="
                                                                         " u.account_id"
                                                                         "   and b.version = u.version and u.version >"
                                                                         " 0 returning b.account_id"};

static void add_numbers(struct params *params, struct arena *arena, const struct breaker_account *accounts,
                        unsigned count, size_t offset)
{
    for (unsigned m = 0; m < BREAKER_HOURLY; m++) {
        int32_t *values = arena_array(arena, count, sizeof *values);

        for (unsigned i = 0; i < count; i++)
            values[i] = (int32_t)((const uint32_t *)((const char *)&accounts[i].pattern + offset))[m];
        params_int32s(params, values, count);
    }
}

static void add_accounts(struct params *params, struct arena *arena, const struct breaker_account *accounts,
                         unsigned count)
{
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    int64_t *ids = arena_array(arena, count, sizeof *ids), *versions = arena_array(arena, count, sizeof *versions);
    int32_t *taken = arena_array(arena, count, sizeof *taken), *hours = arena_array(arena, count, sizeof *hours),
            *days = arena_array(arena, count, sizeof *days);

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)id_cell(accounts[i].account_id);
        ids[i] = accounts[i].account_id;
        versions[i] = accounts[i].version;
        taken[i] = (int32_t)accounts[i].new_failures;
        hours[i] = (int32_t)accounts[i].pattern.hour;
        days[i] = (int32_t)accounts[i].pattern.days;
    }
    params_int16s(params, cells, count);
    params_int64s(params, ids, count);
    params_int64s(params, versions, count);
    params_int32s(params, taken, count);
    params_int32s(params, hours, count);
    add_numbers(params, arena, accounts, count, offsetof(struct breaker_pattern, now));
    add_numbers(params, arena, accounts, count, offsetof(struct breaker_pattern, before));
    add_numbers(params, arena, accounts, count, offsetof(struct breaker_pattern, day));
    add_numbers(params, arena, accounts, count, offsetof(struct breaker_pattern, usual));
    params_int32s(params, days, count);
}

static void note_written(const struct rows *rows, const struct breaker_account *accounts, unsigned count, bool *written)
{
    for (unsigned row = 0; row < rows_count(rows); row++)
        for (unsigned i = 0; i < count; i++)
            written[i] = written[i] || accounts[i].account_id == row_int64(rows, row, 0);
}

AWAITS enum db_write breaker_write(const struct breaker_account *accounts, unsigned count, bool *written)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write done;

    unit->relaxed = true;
    add_accounts(db_unit_add(unit, &write_new), arena, accounts, count);
    add_accounts(db_unit_add(unit, &write_known), arena, accounts, count);
    done = db_unit_run(unit);
    for (unsigned i = 0; i < 2 && done == DB_DONE; i++)
        note_written(unit->steps[i].rows, accounts, count, written);
    arena_free(&arena);
    return done;
}

/* ------------------------------------------------------------------ failures */

/*
 * Entries that a report has ended already are not there any more, and count nothing; nor does what somebody has
 * rejected.  The account may have no row yet: its mail comes back before its worker has written that it was sent.
 */
#define NEW_ROW                                                                                                        \
    "a.cell, a.id, 1, floor(extract(epoch from now()) / 3600)::integer, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0"
static const struct db_statement add_failures = {
    "breaker_failures",
    "insert into breaker_account as b (cell, account_id, version, " ALL_COLUMNS ", new_failures)"
    " select " NEW_ROW ", count(*)"
    "   from unnest($1::smallint[], $2::bigint[]) u (cell, id)"
    "   join queue_entry q on q.cell = u.cell and q.id = u.id"
    "   join message m on m.cell = q.cell and m.id = q.message_id join account a on a.id = m.account_id"
    "  where q.held_until is null and exists (select from breaker_policy p where p.enabled"
    "           and coalesce(p.account_id, p.domain_id, p.customer_id, 0) in (a.id, a.domain_id, a.customer_id, 0))"
    "  group by a.cell, a.id order by 1, 2"
    " on conflict (cell, account_id) do update set new_failures = least(b.new_failures + excluded.new_failures,"
    " 1000000000)"};

static const struct db_statement make = {
    "breaker_make", "insert into breaker_account (cell, account_id, version, " ALL_COLUMNS ")"
                    " select " NEW_ROW " from account a where a.cell = $1::smallint and a.id = $2::bigint"
                    " on conflict do nothing"};

void breaker_make_add(struct db_unit *unit, int64_t account_id)
{
    struct params *params = db_unit_add(unit, &make);

    params_int16(params, (int16_t)id_cell(account_id));
    params_int64(params, account_id);
}

void breaker_add_failures(struct db_unit *unit, const int16_t *cells, const int64_t *entries, unsigned count)
{
    struct params *params = db_unit_add(unit, &add_failures);

    params_int16s(params, cells, count);
    params_int64s(params, entries, count);
}
