/*
 * The allow-list, as administrators write it.
 *
 * Whom an entry is for stays as it was made: its network, and the customer whose mail it is about.  Workers keep the
 * whole list in memory, so it has an end (ALLOW_MAX); the count that checks it is not locked, and a few more do no
 * harm.
 */
#include "storage/provision_allowed.h"

#include "core/id.h"
#include "storage/allow.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define COLUMNS "id, coalesce(customer_id, 0), network::text, label, valid_until, created_at"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_allowed *out = into;

    (void)arena;
    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->network = row_text(rows, row, 2);
    out->label = row_text(rows, row, 3);
    out->valid_until_ms = row_time(rows, row, 4);
    out->created_ms = row_time(rows, row, 5);
}

static const struct provision_read_shape shape = {sizeof(struct provision_allowed), read_row};

static const struct db_statement get = {
    "provision_allowed_get",
    "select " COLUMNS " from allowed_network where id = $1::bigint",
};

AWAITS enum db_status provision_allowed_get(struct arena *arena, struct slice key, struct provision_allowed *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

static const struct db_statement list_all = {
    "provision_allowed_list",
    "select " COLUMNS " from allowed_network where id > $1::bigint order by id limit $2::integer",
};
static const struct db_statement list_of_customer = {
    "provision_allowed_list_customer",
    "select " COLUMNS
    " from allowed_network where id > $1::bigint and customer_id = $3::bigint order by id limit $2::integer",
};

AWAITS enum db_status provision_allowed_list(struct arena *arena, int64_t customer_id,
                                             const struct provision_page *page, struct provision_allowed **out,
                                             unsigned *count)
{
    *out = customer_id ? provision_read_list_of(arena, &list_of_customer, page, customer_id, &shape, count)
                       : provision_read_list(arena, &list_all, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_customer = {
    "provision_allowed_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement require_room = {
    "provision_allowed_require_room",
    "select refuse('allowed_network_many') where (select count(*) from allowed_network) >= $1::integer",
};
static const struct db_statement insert = {
    "provision_allowed_insert",
    "insert into allowed_network (id, customer_id, network, label, valid_until)"
    " values ($1::bigint, nullif($2::bigint, 0), $3::text::cidr, $4::text, $5::timestamptz)",
};
static const struct db_statement find_other = {
    "provision_allowed_find",
    "select id from allowed_network where network = $1::text::cidr and customer_id is not distinct from "
    "nullif($2::bigint, 0)",
};

static AWAITS int64_t find_existing(struct arena *arena, const struct provision_allowed *allowed)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_text(&params, allowed->network);
    params_int64(&params, allowed->customer_id);
    return db_read(arena, &find_other, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : 0;
}

AWAITS enum db_write provision_allowed_create(struct arena *arena, const struct provision_allowed *allowed,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal)
{
    *id = id_make(id_cell(allowed->customer_id));
    struct db_unit *unit = db_unit_new(arena);
    if (allowed->customer_id)
        params_int64(db_unit_add(unit, &require_customer), allowed->customer_id);
    params_int32(db_unit_add(unit, &require_room), ALLOW_MAX);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int64(params, allowed->customer_id);
    params_text(params, allowed->network);
    params_text(params, allowed->label);
    params_time(params, allowed->valid_until_ms);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = find_existing(arena, allowed);
    return result;
}

static const struct db_statement require = {
    "provision_allowed_require",
    "select refuse('gone') where not exists (select from allowed_network where id = $1::bigint for update)",
};
static const struct db_statement update = {
    "provision_allowed_update",
    "update allowed_network set label = $2::text, valid_until = $3::timestamptz where id = $1::bigint",
};

AWAITS enum db_write provision_allowed_update(struct arena *arena, const struct provision_allowed *allowed,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), allowed->id);
    struct params *params = db_unit_add(unit, &update);
    params_int64(params, allowed->id);
    params_text(params, allowed->label);
    params_time(params, allowed->valid_until_ms);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_allowed_delete",
    "delete from allowed_network where id = $1::bigint",
};

AWAITS enum db_write provision_allowed_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
