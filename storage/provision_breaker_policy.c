/*
 * Breaker policies, as administrators write them.
 *
 * Whom one is for stays as it was made.  An account's and a domain's go with them; a customer with policies cannot go.
 * Workers have the whole list in memory, so it has an end; the count that checks it is not locked, and a few more do no
 * harm.
 */
#include "storage/provision_breaker_policy.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

static const struct db_statement get = {"provision_breaker_policy_get",
                                        "select " BREAKER_POLICY_COLUMNS " from breaker_policy where id = $1::bigint"};
static const struct db_statement list = {
    "provision_breaker_policy_list",
    "select " BREAKER_POLICY_COLUMNS " from breaker_policy where id > $1::bigint"
    "   and ($3::bigint = 0 or customer_id = $3::bigint) order by id limit $2::integer"};

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    (void)arena;
    breaker_policy_row(rows, row, into);
}

static const struct provision_read_shape shape = {sizeof(struct breaker_policy), read_row};

AWAITS enum db_status provision_breaker_policy_get(struct arena *arena, struct slice key, struct breaker_policy *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

AWAITS enum db_status provision_breaker_policy_list(struct arena *arena, int64_t customer_id,
                                                    const struct provision_page *page, struct breaker_policy **out,
                                                    unsigned *count)
{
    *out = provision_read_list_of(arena, &list, page, customer_id, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement require_room = {
    "provision_breaker_policy_require_room",
    "select refuse('breaker_policy_many') where (select count(*) from breaker_policy) >= $1::integer"};
static const struct db_statement insert = {
    "provision_breaker_policy_insert",
    "insert into breaker_policy (id, enabled, messages, recipients, failures, factor, countries, hold_seconds,"
    " hold_then,"
    "                            open_seconds, notify, label, customer_id, domain_id, account_id)"
    " values ($1::bigint, $2::boolean, $3::integer, $4::integer, $5::integer, $6::integer, $7::integer, $8::bigint,"
    " $9::text,"
    "         nullif($10::bigint, 0), $11::text, $12::text, nullif($13::bigint, 0), nullif($14::bigint, 0),"
    "         nullif($15::bigint, 0))"};
static const struct db_statement find_other = {
    "provision_breaker_policy_find",
    "select id from breaker_policy where coalesce(account_id, domain_id, customer_id, 0) = $1::bigint"};
static const struct db_statement require = {
    "provision_breaker_policy_require",
    "select refuse('gone') where not exists (select from breaker_policy where id = $1::bigint for update)"};
static const struct db_statement update = {
    "provision_breaker_policy_update",
    "update breaker_policy set enabled = $2::boolean, messages = $3::integer, recipients = $4::integer,"
    "       failures = $5::integer, factor = $6::integer, countries = $7::integer, hold_seconds = $8::bigint,"
    "       hold_then = $9::text, open_seconds = nullif($10::bigint, 0), notify = $11::text, label = $12::text"
    " where id = $1::bigint"};
static const struct db_statement delete_it = {"provision_breaker_policy_delete",
                                              "delete from breaker_policy where id = $1::bigint"};

/* What insert and update begin with. */
static void add_members(struct params *params, const struct breaker_policy *policy)
{
    params_int64(params, policy->id);
    params_bool(params, policy->enabled);
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        params_int32(params, (int32_t)policy->least[m]);
    params_int32(params, (int32_t)policy->factor);
    params_int32(params, (int32_t)policy->countries);
    params_int64(params, policy->hold_ms / 1000);
    params_text(params, slice_str(hold_then_word(policy->then)));
    params_int64(params, policy->open_ms / 1000);
    params_text(params, policy->notify);
    params_text(params, policy->label);
}

static AWAITS int64_t find_existing(struct arena *arena, const struct breaker_policy *policy)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int64(&params, policy->account_id + policy->domain_id + policy->customer_id); /* one of them */
    return db_read(arena, &find_other, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : 0;
}

AWAITS enum db_write provision_breaker_policy_create(struct arena *arena, struct breaker_policy *policy,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params;

    policy->id = id_make(0);
    params_int32(db_unit_add(unit, &require_room), BREAKER_POLICIES_MAX);
    params = db_unit_add(unit, &insert);
    add_members(params, policy);
    params_int64(params, policy->customer_id);
    params_int64(params, policy->domain_id);
    params_int64(params, policy->account_id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = find_existing(arena, policy);
    return result;
}

AWAITS enum db_write provision_breaker_policy_update(struct arena *arena, const struct breaker_policy *policy,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    params_int64(db_unit_add(unit, &require), policy->id);
    add_members(db_unit_add(unit, &update), policy);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_breaker_policy_delete(struct arena *arena, int64_t id,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &delete_it, id, actor, refusal);
}
