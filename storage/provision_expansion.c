/*
 * Aliases and groups: one table, as a group is an alias that asks who sends.
 *
 * Targets are addresses and nothing else is known of them here: they may be made, suspended and deleted later, may be
 * outside, or expansions themselves, in circles even.  relay/resolve.c copes with all of it for each message.
 */
#include "storage/provision_expansion.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/name.h"
#include "storage/provision_address.h"
#include "storage/provision_read.h"

#define SELECT                                                                                                         \
    "select e.id, e.customer_id, e.domain_id, e.kind = 'group', e.address, e.senders, e.created_at,"                   \
    " (select string_agg(t.address, ' ' order by t.address) from expansion_target t where t.expansion_id = e.id)"      \
    " from expansion e "

static struct slice word(enum provision_expansion_kind kind)
{
    return kind == PROVISION_GROUP ? SLICE("group") : SLICE("alias");
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_expansion *out = into;

    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->domain_id = row_int64(rows, row, 2);
    out->kind = row_bool(rows, row, 3) ? PROVISION_GROUP : PROVISION_ALIAS;
    out->address = row_text(rows, row, 4);
    out->senders = row_text(rows, row, 5);
    out->created_ms = row_time(rows, row, 6);
    out->targets = provision_words(arena, row_text(rows, row, 7), &out->target_count);
}

static const struct provision_read_shape shape = {sizeof(struct provision_expansion), read_row};

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_expansion_get",
    SELECT
    "where (e.id = $1::bigint or e.address = $2::text) and e.kind = $3::text order by e.id = $1::bigint desc limit 1",
};

AWAITS enum db_status provision_expansion_get(struct arena *arena, enum provision_expansion_kind kind, struct slice key,
                                              struct provision_expansion *out)
{
    int64_t id = 0;
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, name_key(arena, key));
    params_text(&params, word(kind));
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list = {
    "provision_expansion_list",
    SELECT "where e.id > $1::bigint and e.kind = $3::text and ($4::bigint = 0 or e.customer_id = $4::bigint)"
           "  and ($5::bigint = 0 or e.domain_id = $5::bigint) order by e.id limit $2::integer",
};

AWAITS enum db_status provision_expansion_list(struct arena *arena, enum provision_expansion_kind kind,
                                               int64_t customer_id, int64_t domain_id,
                                               const struct provision_page *page, struct provision_expansion **out,
                                               unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    provision_read_page(&params, page);
    params_text(&params, word(kind));
    params_int64(&params, customer_id);
    params_int64(&params, domain_id);
    *out = provision_read_all(&params, &list, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement address_free = {
    "provision_expansion_address_free",
    "select refuse('expansion_taken') where exists (select from account where address = $1::text)"
    "                                    or exists (select from alias where address = $1::text)",
};
static const struct db_statement require_domain = {
    "provision_expansion_require_domain",
    "select refuse('expansion_domain') where not exists"
    " (select from domain where id = $1::bigint and customer_id = $2::bigint and kind <> 'alias' for key share)",
};
static const struct db_statement insert = {
    "provision_expansion_insert",
    "insert into expansion (id, cell, customer_id, domain_id, address, kind, senders)"
    " values ($1::bigint, $2::smallint, $3::bigint, $4::bigint, $5::text, $6::text, coalesce($7::text, 'anyone'))",
};
static const struct db_statement insert_targets = {
    "provision_expansion_targets",
    "insert into expansion_target (expansion_id, address)"
    " select $1::bigint, target from unnest($2::text[]) as target on conflict do nothing",
};

static void add_targets(struct db_unit *unit, int64_t id, const struct slice *targets, unsigned count)
{
    struct params *params = db_unit_add(unit, &insert_targets);
    params_int64(params, id);
    params_texts(params, targets, count);
}

AWAITS enum db_write provision_expansion_create(struct arena *arena, int64_t customer_id, int64_t domain_id,
                                                const struct provision_expansion *wanted,
                                                const struct provision_actor *actor, int64_t *id,
                                                struct provision_refusal *refusal)
{
    *id = id_make(id_cell(customer_id));
    struct db_unit *unit = db_unit_new(arena);
    provision_address_lock(unit, &wanted->address, 1);
    params_text(db_unit_add(unit, &address_free), wanted->address);
    struct params *params = db_unit_add(unit, &require_domain);
    params_int64(params, domain_id);
    params_int64(params, customer_id);
    params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int16(params, (int16_t)id_cell(customer_id));
    params_int64(params, customer_id);
    params_int64(params, domain_id);
    params_text(params, wanted->address);
    params_text(params, word(wanted->kind));
    params_text(params, wanted->senders);
    add_targets(unit, *id, wanted->targets, wanted->target_count);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = provision_address_holder(arena, wanted->address);
    return result;
}

static const struct db_statement require = {
    "provision_expansion_require",
    "select refuse('gone') where not exists (select from expansion where id = $1::bigint for update)",
};
static const struct db_statement set_senders = {
    "provision_expansion_senders",
    "update expansion set senders = $2::text where id = $1::bigint",
};
static const struct db_statement drop_targets = {
    "provision_expansion_drop_targets",
    "delete from expansion_target where expansion_id = $1::bigint and address <> all($2::text[])",
};
static const struct db_statement remove_row = {
    "provision_expansion_delete",
    "delete from expansion where id = $1::bigint",
};

AWAITS enum db_write provision_expansion_update(struct arena *arena, int64_t id, struct slice senders,
                                                const struct slice *targets, unsigned target_count,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    if (senders.p) {
        struct params *params = db_unit_add(unit, &set_senders);
        params_int64(params, id);
        params_text(params, senders);
    }
    if (targets) {
        struct params *params = db_unit_add(unit, &drop_targets);
        params_int64(params, id);
        params_texts(params, targets, target_count);
        add_targets(unit, id, targets, target_count);
    }
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_expansion_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    params_int64(db_unit_add(unit, &remove_row), id); /* its targets go with it */
    return provision_run(unit, actor, refusal);
}
