/*
 * breaker: from which countries accounts send.
 *
 * Which are an account's own is known by day: those from which it has sent before today, within 90 days.  New today is
 * what was not among them; of an account that has sent from nowhere before, one is its own.  So a number of new ones
 * says the same whenever it is asked, and at midnight (UTC) they are old.
 *
 * The table of addresses is looked into once for an address, account, day and worker, and not while a message waits.
 */
#include "core/id.h"
#include "storage/breaker_open.h"
#include "storage/db.h"

#define TODAY "(now() at time zone 'UTC')::date"
#define KNOWN_DAYS "90"

static const struct db_statement note = {
    "breaker_country_note",
    "insert into breaker_country as b (cell, account_id, country, first_on, last_on)"
    " select distinct x.cell, x.account_id, x.country, " TODAY ", " TODAY " from (select u.cell, u.account_id,"
    "        (select c.country from address_country c where c.network >>= u.address::inet"
    "          order by masklen(c.network) desc limit 1) as country"
    "   from unnest($1::smallint[], $2::bigint[], $3::text[]) u (cell, account_id, address)"
    "   join account a on a.id = u.account_id) x where x.country is not null order by 1, 2, 3"
    " on conflict (cell, account_id, country) do update set last_on = excluded.last_on,"
    "   first_on = case when b.last_on < excluded.last_on - " KNOWN_DAYS " then excluded.first_on else b.first_on end"
    "  where b.last_on < excluded.last_on"};
static const struct db_statement own = {"breaker_country_own",
                                        "update breaker_country set first_on = " TODAY
                                        " - 1 where cell = $1::smallint and account_id = $2::bigint"
                                        "   and first_on = " TODAY};
static const struct db_statement forget = {
    "breaker_country_forget",
    "delete from breaker_country where cell = any($1::smallint[]) and last_on < " TODAY " - " KNOWN_DAYS};

AWAITS enum db_write breaker_country_note(const int64_t *accounts, const struct slice *addresses, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &note);
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    enum db_write written;

    unit->relaxed = true;
    for (unsigned i = 0; i < count; i++)
        cells[i] = (int16_t)id_cell(accounts[i]);
    params_int16s(params, cells, count);
    params_int64s(params, accounts, count);
    params_texts(params, addresses, count);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

void breaker_country_own_add(struct db_unit *unit, int64_t account_id)
{
    struct params *params = db_unit_add(unit, &own);

    params_int16(params, (int16_t)id_cell(account_id));
    params_int64(params, account_id);
}

AWAITS enum db_write breaker_country_forget(const int16_t *cells, unsigned cell_count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    params_int16s(db_unit_add(unit, &forget), cells, cell_count);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}
