/*
 * Customers.
 *
 * A customer's cell is chosen at random: with many customers the 256 cells fill evenly, and no counter needs
 * to be asked.  It never changes; moving a customer would mean moving all its mail.
 */
#include "storage/provision_customer.h"

#include "core/id.h"
#include "core/secret.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define COLUMNS "id, cell, name, state = 'active', created_at, coalesce(source_addresses, '')"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_customer *out = into;

    (void)arena;
    out->id = row_int64(rows, row, 0);
    out->cell = (unsigned)row_int64(rows, row, 1);
    out->name = row_text(rows, row, 2);
    out->active = row_bool(rows, row, 3);
    out->created_ms = row_time(rows, row, 4);
    out->sources = row_text(rows, row, 5);
}

static const struct provision_read_shape shape = {sizeof(struct provision_customer), read_row};

static const struct db_statement get = {
    "provision_customer_get",
    "select " COLUMNS " from customer where id = $1::bigint or name = $2::text order by id = $1::bigint desc limit 1",
};

AWAITS enum db_status provision_customer_get(struct arena *arena, struct slice key, struct provision_customer *out)
{
    int64_t id = 0;
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, key);
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement insert = {
    "provision_customer_insert",
    "insert into customer (id, cell, name) values ($1::bigint, $2::smallint, $3::text)",
};

AWAITS enum db_write provision_customer_create(struct arena *arena, struct slice name,
                                               const struct provision_actor *actor, int64_t *id,
                                               struct provision_refusal *refusal)
{
    unsigned char cell = 0;
    secret_random(&cell, sizeof cell);
    *id = id_make(cell);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int16(params, cell);
    params_text(params, name);
    enum db_write result = provision_run(unit, actor, refusal);
    struct provision_customer other;
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        if (provision_customer_get(arena, name, &other) == DB_FOUND)
            refusal->existing_id = other.id;
    return result;
}

static const struct db_statement list = {
    "provision_customer_list",
    "select " COLUMNS " from customer where id > $1::bigint order by id limit $2::integer",
};

AWAITS enum db_status provision_customer_list(struct arena *arena, const struct provision_page *page,
                                              struct provision_customer **out, unsigned *count)
{
    *out = provision_read_list(arena, &list, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require = {
    "provision_customer_require",
    "select refuse('gone') where not exists (select from customer where id = $1::bigint for update)",
};
static const struct db_statement update = {
    "provision_customer_update",
    "update customer set name = coalesce($2::text, name), state = coalesce($3::text, state),"
    "       source_addresses = nullif(coalesce($4::text, source_addresses), '') where id = $1::bigint",
};

AWAITS enum db_write provision_customer_update(struct arena *arena, int64_t id, struct slice name, const bool *active,
                                               struct slice sources, const struct provision_actor *actor,
                                               struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    struct params *params = db_unit_add(unit, &update);
    params_int64(params, id);
    params_text(params, name);
    params_text(params, slice_str(!active ? NULL : *active ? "active" : "suspended"));
    params_text(params, sources);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_customer_delete",
    "delete from customer where id = $1::bigint",
};

AWAITS enum db_write provision_customer_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                               struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
