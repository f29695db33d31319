/*
 * Delivery policies, as administrators write them.
 *
 * The domain is what a policy is, and stays as it was made.  It need not be one of ours: most are others'.  Workers
 * have the whole list in memory, so it has an end; the count that checks it is not locked, and a few more do no harm.
 */
#include "storage/provision_delivery.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/name.h"
#include "storage/provision_read.h"

#define COLUMNS                                                                                                        \
    "id, domain, coalesce(lifetime, -1), coalesce(delay_notice, -1), coalesce(retry_first, -1), "                      \
    "coalesce(retry_max, -1), label, created_at, tls, coalesce(transaction_recipients, -1),"                           \
    " coalesce(connection_messages, -1)"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_delivery *out = into;

    (void)arena;
    enum delivery_tls tls = DELIVERY_TLS_NOT_SET;

    if (!row_is_null(rows, row, 8) && !delivery_tls_of(row_text(rows, row, 8), &tls))
        tls = DELIVERY_TLS_VERIFY;
    *out = (struct provision_delivery){
        .id = row_int64(rows, row, 0),
        .policy = {row_text(rows, row, 1), (int32_t)row_int64(rows, row, 2), (int32_t)row_int64(rows, row, 3),
                   (int32_t)row_int64(rows, row, 4), (int32_t)row_int64(rows, row, 5), tls,
                   (int32_t)row_int64(rows, row, 9), (int32_t)row_int64(rows, row, 10)},
        .label = row_text(rows, row, 6),
        .created_ms = row_time(rows, row, 7),
    };
}

static const struct provision_read_shape shape = {sizeof(struct provision_delivery), read_row};

static const struct db_statement get = {
    "provision_delivery_get",
    "select " COLUMNS " from delivery_policy where id = $1::bigint or domain = $2::text limit 1",
};

AWAITS enum db_status provision_delivery_get(struct arena *arena, struct slice key, struct provision_delivery *out)
{
    int64_t id = 0;
    struct slice domain = {NULL, 0};
    bool is_id = id_parse(key, &id);
    if (!is_id && !name_domain(arena, key, &domain))
        return DB_NONE;
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id);
    params_text(&params, domain);
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list_all = {
    "provision_delivery_list",
    "select " COLUMNS " from delivery_policy where id > $1::bigint order by id limit $2::integer",
};

AWAITS enum db_status provision_delivery_list(struct arena *arena, const struct provision_page *page,
                                              struct provision_delivery **out, unsigned *count)
{
    *out = provision_read_list(arena, &list_all, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_room = {
    "provision_delivery_require_room",
    "select refuse('delivery_policy_many') where (select count(*) from delivery_policy) >= $1::integer",
};
static const struct db_statement insert = {
    "provision_delivery_insert",
    "insert into delivery_policy (id, domain, lifetime, delay_notice, retry_first, retry_max, label, tls,"
    "                             transaction_recipients, connection_messages)"
    " values ($1::bigint, $10::text, nullif($2::integer, -1), nullif($3::integer, -1), nullif($4::integer, -1),"
    "         nullif($5::integer, -1), $6::text, $7::text, nullif($8::integer, -1), nullif($9::integer, -1))",
};

/* What insert and update begin with. */
static void add_members(struct params *params, const struct provision_delivery *delivery)
{
    params_int64(params, delivery->id);
    params_int32(params, delivery->policy.lifetime);
    params_int32(params, delivery->policy.delay_notice);
    params_int32(params, delivery->policy.retry_first);
    params_int32(params, delivery->policy.retry_max);
    params_text(params, delivery->label);
    params_text(params, slice_str(delivery_tls_word(delivery->policy.tls)));
    params_int32(params, delivery->policy.transaction_recipients);
    params_int32(params, delivery->policy.connection_messages);
}

AWAITS enum db_write provision_delivery_create(struct arena *arena, struct provision_delivery *delivery,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
{
    delivery->id = id_make(0);
    struct db_unit *unit = db_unit_new(arena);
    params_int32(db_unit_add(unit, &require_room), DELIVERY_POLICIES_MAX);
    struct params *params = db_unit_add(unit, &insert);
    add_members(params, delivery);
    params_text(params, delivery->policy.domain);
    enum db_write result = provision_run(unit, actor, refusal);
    struct provision_delivery other;
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        if (provision_delivery_get(arena, delivery->policy.domain, &other) == DB_FOUND)
            refusal->existing_id = other.id;
    return result;
}

static const struct db_statement require = {
    "provision_delivery_require",
    "select refuse('gone') where not exists (select from delivery_policy where id = $1::bigint for update)",
};
static const struct db_statement update = {
    "provision_delivery_update",
    "update delivery_policy set lifetime = nullif($2::integer, -1), delay_notice = nullif($3::integer, -1),"
    "       retry_first = nullif($4::integer, -1), retry_max = nullif($5::integer, -1), label = $6::text, tls = $7::text,"
    "       transaction_recipients = nullif($8::integer, -1), connection_messages = nullif($9::integer, -1)"
    " where id = $1::bigint",
};

AWAITS enum db_write provision_delivery_update(struct arena *arena, const struct provision_delivery *delivery,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), delivery->id);
    add_members(db_unit_add(unit, &update), delivery);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_delivery_delete",
    "delete from delivery_policy where id = $1::bigint",
};

AWAITS enum db_write provision_delivery_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                               struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
