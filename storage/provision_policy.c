/*
 * Policies for strangers, as administrators write them.
 *
 * A policy is written as a whole: a change reads it, replaces members and writes all of it back if nobody did so
 * meanwhile (the revision).  Whom it is for stays; a domain's goes with the domain, a customer with policies cannot
 * go.
 */
#include "storage/provision_policy.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define COLUMNS                                                                                                        \
    "id, coalesce(customer_id, 0), coalesce(domain_id, 0), revision, refuse_at, reverse_name, reverse_score, "         \
    "greylist,"                                                                                                        \
    " greylist_at, greylist_delay, greylist_passes, created_at, label"

static int32_t score(const struct rows *rows, unsigned row, unsigned column)
{
    return row_is_null(rows, row, column) ? PROVISION_POLICY_NO_SCORE : (int32_t)row_int64(rows, row, column);
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_policy *out = into;

    (void)arena;
    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->domain_id = row_int64(rows, row, 2);
    out->revision = (int32_t)row_int64(rows, row, 3);
    out->refuse_at = score(rows, row, 4);
    out->reverse_name = row_text(rows, row, 5);
    out->reverse_score = (int32_t)row_int64(rows, row, 6);
    out->greylist = row_text(rows, row, 7);
    out->greylist_at = score(rows, row, 8);
    out->greylist_delay_s = (int32_t)row_int64(rows, row, 9);
    out->greylist_passes = (int32_t)row_int64(rows, row, 10);
    out->created_ms = row_time(rows, row, 11);
    out->label = row_text(rows, row, 12);
}

static const struct provision_read_shape shape = {sizeof(struct provision_policy), read_row};

static const struct db_statement get = {
    "provision_policy_get",
    "select " COLUMNS " from client_policy where id = $1::bigint",
};

AWAITS enum db_status provision_policy_get(struct arena *arena, struct slice key, struct provision_policy *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

static const struct db_statement list_all = {
    "provision_policy_list",
    "select " COLUMNS " from client_policy where id > $1::bigint order by id limit $2::integer",
};
static const struct db_statement list_of_customer = {
    "provision_policy_list_customer",
    "select " COLUMNS
    " from client_policy where id > $1::bigint and customer_id = $3::bigint order by id limit $2::integer",
};

AWAITS enum db_status provision_policy_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                            struct provision_policy **out, unsigned *count)
{
    *out = customer_id ? provision_read_list_of(arena, &list_of_customer, page, customer_id, &shape, count)
                       : provision_read_list(arena, &list_all, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement require_customer = {
    "provision_policy_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement require_domain = {
    "provision_policy_require_domain",
    "select refuse('policy_domain')"
    " where not exists (select from domain where id = $1::bigint and customer_id = $2::bigint for key share)",
};
static const struct db_statement insert = {
    "provision_policy_insert",
    "insert into client_policy (id, refuse_at, reverse_name, reverse_score, greylist, greylist_at, greylist_delay, "
    "greylist_passes,"
    "   label, customer_id, domain_id)"
    " values ($1::bigint, nullif($2::integer, -2147483648), $3::text, $4::integer, $5::text, nullif($6::integer, "
    "-2147483648),"
    "   $7::integer, $8::integer, $9::text, nullif($10::bigint, 0), nullif($11::bigint, 0))",
};
static const struct db_statement find_other = {
    "provision_policy_find",
    "select id from client_policy where customer_id is not distinct from nullif($1::bigint, 0)"
    " and domain_id is not distinct from nullif($2::bigint, 0)",
};
static const struct db_statement require = {
    "provision_policy_require",
    "select refuse('gone') where not exists (select from client_policy where id = $1::bigint for update)",
};
static const struct db_statement require_revision = {
    "provision_policy_require_revision",
    "select refuse('grant_changed') from client_policy where id = $1::bigint and revision <> $2::integer",
};
static const struct db_statement update = {
    "provision_policy_update",
    "update client_policy set revision = revision + 1, refuse_at = nullif($2::integer, -2147483648), reverse_name = "
    "$3::text,"
    "   reverse_score = $4::integer, greylist = $5::text, greylist_at = nullif($6::integer, -2147483648),"
    "   greylist_delay = $7::integer, greylist_passes = $8::integer, label = $9::text"
    " where id = $1::bigint",
};

/* What both statements begin with. */
static struct params *add_write(struct db_unit *unit, const struct db_statement *statement, int64_t id,
                                const struct provision_policy *policy)
{
    struct params *params = db_unit_add(unit, statement);
    params_int64(params, id);
    params_int32(params, policy->refuse_at);
    params_text(params, policy->reverse_name);
    params_int32(params, policy->reverse_score);
    params_text(params, policy->greylist);
    params_int32(params, policy->greylist_at);
    params_int32(params, policy->greylist_delay_s);
    params_int32(params, policy->greylist_passes);
    params_text(params, policy->label);
    return params;
}

static AWAITS int64_t find_existing(struct arena *arena, const struct provision_policy *policy)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, policy->customer_id);
    params_int64(&params, policy->domain_id);
    return db_read(arena, &find_other, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : 0;
}

AWAITS enum db_write provision_policy_create(struct arena *arena, const struct provision_policy *policy,
                                             const struct provision_actor *actor, int64_t *id,
                                             struct provision_refusal *refusal)
{
    *id = id_make(id_cell(policy->customer_id));
    struct db_unit *unit = db_unit_new(arena);
    if (policy->customer_id)
        params_int64(db_unit_add(unit, &require_customer), policy->customer_id);
    if (policy->domain_id) {
        struct params *domain = db_unit_add(unit, &require_domain);
        params_int64(domain, policy->domain_id);
        params_int64(domain, policy->customer_id);
    }
    struct params *params = add_write(unit, &insert, *id, policy);
    params_int64(params, policy->customer_id);
    params_int64(params, policy->domain_id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = find_existing(arena, policy);
    return result;
}

AWAITS enum db_write provision_policy_update(struct arena *arena, const struct provision_policy *policy,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), policy->id);
    struct params *revision = db_unit_add(unit, &require_revision);
    params_int64(revision, policy->id);
    params_int32(revision, policy->revision);
    add_write(unit, &update, policy->id, policy);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_policy_delete",
    "delete from client_policy where id = $1::bigint",
};

AWAITS enum db_write provision_policy_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                             struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
