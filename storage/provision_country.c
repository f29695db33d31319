/*
 * Which country an address is in, as administrators say.
 *
 * A country's list is replaced as a whole, by a statement that takes away and one that adds, as with recipients: an
 * update of ten changes ten rows, and who looks an address up sees the old list or the new one.
 */
#include "storage/provision_country.h"

#include "storage/db.h"

static const struct db_statement list = {
    "provision_country_list",
    "select country, count(*) from address_country where country > $1::text group by country order by country"
    " limit $2::integer"};
static const struct db_statement get = {
    "provision_country_get", "select country, count(*) from address_country where country = $1::text group by country"};
static const struct db_statement of_address = {"provision_country_of",
                                               "select country from address_country where network >>= $1::text::inet"
                                               " order by masklen(network) desc limit 1"};
static const struct db_statement drop_others = {
    "provision_country_drop_others",
    "delete from address_country where country = $1::text and network not in (select unnest($2::text[])::cidr)"};
static const struct db_statement insert_all = {
    "provision_country_insert_all",
    "insert into address_country (country, network) select distinct $1::text, unnest($2::text[])::cidr"
    " on conflict (network) do update set country = excluded.country"
    "  where address_country.country <> excluded.country"};
static const struct db_statement require = {
    "provision_country_require",
    "select refuse('gone') where not exists (select from address_country where country = $1::text)"};
static const struct db_statement remove_all = {"provision_country_delete",
                                               "delete from address_country where country = $1::text"};

static void read_row(const struct rows *rows, unsigned row, struct provision_country *out)
{
    *out = (struct provision_country){.country = row_text(rows, row, 0), .networks = row_int64(rows, row, 1)};
}

AWAITS enum db_status provision_country_list(struct arena *arena, struct slice after, unsigned limit,
                                             struct provision_country **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;

    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_text(&params, after.p ? after : SLICE(""));
    params_int32(&params, (int32_t)limit);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        read_row(rows, *count, &(*out)[*count]);
    return DB_FOUND;
}

AWAITS enum db_status provision_country_get(struct arena *arena, struct slice country, struct provision_country *out)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_text(&params, country);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status == DB_FOUND)
        read_row(rows, 0, out);
    return status;
}

AWAITS enum db_status provision_country_of(struct arena *arena, struct slice address, struct slice *country)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_text(&params, address);
    enum db_status status = db_read(arena, &of_address, &params, &rows);
    if (status == DB_FOUND)
        *country = row_text(rows, 0, 0);
    return status;
}

AWAITS enum db_write provision_country_replace(struct arena *arena, struct slice country, const struct slice *networks,
                                               unsigned count, const struct provision_actor *actor,
                                               struct provision_refusal *refusal)
{
    static const struct db_statement *const steps[] = {&drop_others, &insert_all};
    struct db_unit *unit = db_unit_new(arena);

    for (unsigned i = 0; i < 2; i++) {
        struct params *params = db_unit_add(unit, steps[i]);

        params_text(params, country);
        params_texts(params, networks, count);
    }
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_country_delete(struct arena *arena, struct slice country,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    params_text(db_unit_add(unit, &require), country);
    params_text(db_unit_add(unit, &remove_all), country);
    return provision_run(unit, actor, refusal);
}
