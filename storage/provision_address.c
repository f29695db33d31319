/*
 * An address is one thing only: a rule over three tables, which no constraint can state.  So each transaction that
 * gives addresses away first takes a transaction-level advisory lock on each of them (in ascending order: no
 * deadlock), then states the rule by refuse(), in the words that fit what it makes.
 */
#include "storage/provision_address.h"

static const struct db_statement lock_addresses = {
    "provision_address_lock",
    "select count(pg_advisory_xact_lock(key)) from ("
    "  select distinct hashtextextended(address, 0) as key from unnest($1::text[]) as address order by key) as keys",
};

void provision_address_lock(struct db_unit *unit, const struct slice *addresses, unsigned count)
{
    params_texts(db_unit_add(unit, &lock_addresses), addresses, count);
}

static const struct db_statement find_holder = {
    "provision_address_holder",
    "select id from account where address = $1::text union all"
    " select account_id from alias where address = $1::text union all"
    " select id from expansion where address = $1::text limit 1",
};

AWAITS int64_t provision_address_holder(struct arena *arena, struct slice address)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_text(&params, address);
    return db_read(arena, &find_holder, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : 0;
}
