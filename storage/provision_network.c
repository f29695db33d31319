/*
 * Networks.  A network's id carries the cell of the customer it was made for; it may be assigned to another
 * customer later, which is why look-ups take the cell from the customer (storage/directory.c), never from
 * this id.
 */
#include "storage/provision_network.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/name.h"
#include "storage/provision_read.h"

#define COLUMNS "id, customer_id, cidr::text, created_at"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_network *out = into;

    (void)arena;
    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->cidr = row_text(rows, row, 2);
    out->created_ms = row_time(rows, row, 3);
}

static const struct provision_read_shape shape = {sizeof(struct provision_network), read_row};

static const struct db_statement get = {
    "provision_network_get",
    "select " COLUMNS " from network where id = $1::bigint or cidr = $2::text::cidr limit 1",
};

AWAITS enum db_status provision_network_get(struct arena *arena, struct slice key, struct provision_network *out)
{
    int64_t id = 0;
    struct slice cidr = {0};
    bool is_id = id_parse(key, &id), is_cidr = !is_id && name_cidr(arena, key, &cidr);
    if (!is_id && !is_cidr)
        return DB_NONE;
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id);
    params_text(&params, is_cidr ? cidr : slice_of(NULL, 0));
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list_all = {
    "provision_network_list",
    "select " COLUMNS " from network where id > $1::bigint order by id limit $2::integer",
};
static const struct db_statement list_of_customer = {
    "provision_network_list_customer",
    "select " COLUMNS " from network where id > $1::bigint and customer_id = $3::bigint order by id limit $2::integer",
};

AWAITS enum db_status provision_network_list(struct arena *arena, int64_t customer_id,
                                             const struct provision_page *page, struct provision_network **out,
                                             unsigned *count)
{
    *out = customer_id ? provision_read_list_of(arena, &list_of_customer, page, customer_id, &shape, count)
                       : provision_read_list(arena, &list_all, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_customer = {
    "provision_network_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement insert = {
    "provision_network_insert",
    "insert into network (id, customer_id, cidr) values ($1::bigint, $2::bigint, $3::text::cidr)",
};

AWAITS enum db_write provision_network_create(struct arena *arena, int64_t customer_id, struct slice cidr,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal)
{
    *id = id_make(id_cell(customer_id));
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require_customer), customer_id);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int64(params, customer_id);
    params_text(params, cidr);
    enum db_write result = provision_run(unit, actor, refusal);
    struct provision_network other;
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        if (provision_network_get(arena, cidr, &other) == DB_FOUND)
            refusal->existing_id = other.id;
    return result;
}

static const struct db_statement require = {
    "provision_network_require",
    "select refuse('gone') where not exists (select from network where id = $1::bigint for update)",
};
static const struct db_statement assign = {
    "provision_network_assign",
    "update network set customer_id = $2::bigint where id = $1::bigint",
};

AWAITS enum db_write provision_network_assign(struct arena *arena, int64_t id, int64_t customer_id,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    params_int64(db_unit_add(unit, &require_customer), customer_id);
    struct params *params = db_unit_add(unit, &assign);
    params_int64(params, id);
    params_int64(params, customer_id);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_network_delete",
    "delete from network where id = $1::bigint",
};

AWAITS enum db_write provision_network_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
