/*
 * Rules of routing, as administrators write them.
 *
 * Whom a rule is for stays as it was made; its route may change.  An account or a customer with a rule cannot go, nor
 * can a route: mail would change its way without anybody having said so.  What was accepted by a rule keeps its route,
 * whatever becomes of the rule (storage/queue_reroute.c).
 */
#include "storage/provision_route_rule.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"
#include "storage/provision_route.h"

#define SELECT                                                                                                         \
    "select u.id, coalesce(u.customer_id, 0), coalesce(u.account_id, 0),"                                              \
    " (select a.address from account a where a.id = u.account_id), u.sender_domain, u.recipient_domain, u.route_id,"   \
    " r.name, u.created_at from route_rule u join route r on r.id = u.route_id "

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_route_rule *out = into;

    (void)arena;
    *out = (struct provision_route_rule){
        .id = row_int64(rows, row, 0),
        .customer_id = row_int64(rows, row, 1),
        .account_id = row_int64(rows, row, 2),
        .account = row_text(rows, row, 3),
        .sender_domain = row_text(rows, row, 4),
        .recipient_domain = row_text(rows, row, 5),
        .route_id = row_int64(rows, row, 6),
        .route = row_text(rows, row, 7),
        .created_ms = row_time(rows, row, 8),
    };
}

static const struct provision_read_shape shape = {sizeof(struct provision_route_rule), read_row};

static const struct db_statement get = {
    "provision_route_rule_get",
    SELECT "where u.id = $1::bigint",
};

AWAITS enum db_status provision_route_rule_get(struct arena *arena, struct slice key, struct provision_route_rule *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

static const struct db_statement list = {
    "provision_route_rule_list",
    SELECT "where u.id > $1::bigint and ($3::bigint = 0 or u.customer_id = $3::bigint) order by u.id limit $2::integer",
};

AWAITS enum db_status provision_route_rule_list(struct arena *arena, int64_t customer_id,
                                                const struct provision_page *page, struct provision_route_rule **out,
                                                unsigned *count)
{
    *out = provision_read_list_of(arena, &list, page, customer_id, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement require_customer = {
    "provision_route_rule_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement require_account = {
    "provision_route_rule_require_account",
    "select refuse('grant_account')"
    " where not exists (select from account where id = $1::bigint and customer_id = $2::bigint for key share)",
};
static const struct db_statement insert = {
    "provision_route_rule_insert",
    "insert into route_rule (id, customer_id, account_id, sender_domain, recipient_domain, route_id)"
    " values ($1::bigint, nullif($2::bigint, 0), nullif($3::bigint, 0), $4::text, $5::text, $6::bigint)",
};
static const struct db_statement find_other = {
    "provision_route_rule_find",
    "select id from route_rule where customer_id is not distinct from nullif($1::bigint, 0)"
    "   and account_id is not distinct from nullif($2::bigint, 0) and sender_domain is not distinct from $3::text"
    "   and recipient_domain is not distinct from $4::text",
};

static AWAITS int64_t find_existing(struct arena *arena, const struct provision_route_rule *rule)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, rule->customer_id);
    params_int64(&params, rule->account_id);
    params_text(&params, rule->sender_domain);
    params_text(&params, rule->recipient_domain);
    return db_read(arena, &find_other, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : 0;
}

AWAITS enum db_write provision_route_rule_create(struct arena *arena, const struct provision_route_rule *rule,
                                                 const struct provision_actor *actor, int64_t *id,
                                                 struct provision_refusal *refusal)
{
    *id = id_make(id_cell(rule->customer_id));
    struct db_unit *unit = db_unit_new(arena);
    if (rule->customer_id)
        params_int64(db_unit_add(unit, &require_customer), rule->customer_id);
    if (rule->account_id) {
        struct params *account = db_unit_add(unit, &require_account);
        params_int64(account, rule->account_id);
        params_int64(account, rule->customer_id);
    }
    provision_route_require(unit, rule->route_id, rule->customer_id);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int64(params, rule->customer_id);
    params_int64(params, rule->account_id);
    params_text(params, rule->sender_domain);
    params_text(params, rule->recipient_domain);
    params_int64(params, rule->route_id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = find_existing(arena, rule);
    return result;
}

static const struct db_statement require = {
    "provision_route_rule_require",
    "select refuse('gone') where not exists (select from route_rule where id = $1::bigint for update)",
};
static const struct db_statement update = {
    "provision_route_rule_update",
    "update route_rule set route_id = $2::bigint where id = $1::bigint",
};

AWAITS enum db_write provision_route_rule_update(struct arena *arena, const struct provision_route_rule *rule,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), rule->id);
    provision_route_require(unit, rule->route_id, rule->customer_id);
    struct params *params = db_unit_add(unit, &update);
    params_int64(params, rule->id);
    params_int64(params, rule->route_id);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_route_rule_delete",
    "delete from route_rule where id = $1::bigint",
};

AWAITS enum db_write provision_route_rule_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                 struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
