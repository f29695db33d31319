/*
 * The valid recipients of a domain, as administrators list them.
 *
 * A list may have 100,000 addresses and more, and is replaced by a statement that takes away and one that adds, so
 * that an update of ten changes ten rows, and readers see the old list or the new one.  "not in (select unnest())" is
 * a hash, whatever the planner guesses of the array's length; "<> all" may be a comparison of each with each.
 */
#include "storage/provision_recipient.h"

#include "storage/db.h"
#include "storage/name.h"
#include "storage/provision_read.h"

static const struct db_statement list = {
    "provision_recipient_list",
    "select address, created_at from recipient_listed where domain_id = $1::bigint and address > $2::text"
    " order by address limit $3::integer",
};
static const struct db_statement get = {
    "provision_recipient_get",
    "select address, created_at from recipient_listed where domain_id = $1::bigint and address = $2::text",
};
static const struct db_statement require = {
    "provision_recipient_require",
    "select refuse('gone') where not exists (select from domain where id = $1::bigint for key share)",
};
static const struct db_statement insert = {
    "provision_recipient_insert",
    "insert into recipient_listed (domain_id, address) values ($1::bigint, $2::text)",
};
static const struct db_statement drop_others = {
    "provision_recipient_drop_others",
    "delete from recipient_listed where domain_id = $1::bigint and address not in (select unnest($2::text[]))",
};
static const struct db_statement insert_all = {
    "provision_recipient_insert_all",
    "insert into recipient_listed (domain_id, address) select $1::bigint, unnest($2::text[]) on conflict do nothing",
};
static const struct db_statement require_listed = {
    "provision_recipient_require_listed",
    "select refuse('gone') where not exists"
    " (select from recipient_listed where domain_id = $1::bigint and address = $2::text for update)",
};
static const struct db_statement remove_row = {
    "provision_recipient_delete",
    "delete from recipient_listed where domain_id = $1::bigint and address = $2::text",
};

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_recipient *out = into;

    (void)arena;
    out->address = row_text(rows, row, 0);
    out->created_ms = row_time(rows, row, 1);
}

static const struct provision_read_shape shape = {sizeof(struct provision_recipient), read_row};

AWAITS enum db_status provision_recipient_list(struct arena *arena, int64_t domain_id, struct slice after,
                                               unsigned limit, struct provision_recipient **out, unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    params_int64(&params, domain_id);
    params_text(&params, after.p ? after : SLICE(""));
    params_int32(&params, (int32_t)limit);
    *out = provision_read_all(&params, &list, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static void add_pair(struct params *params, int64_t domain_id, struct slice address)
{
    params_int64(params, domain_id);
    params_text(params, address);
}

AWAITS enum db_status provision_recipient_get(struct arena *arena, int64_t domain_id, struct slice address,
                                              struct provision_recipient *out)
{
    struct params params;

    params_init(&params, arena);
    add_pair(&params, domain_id, name_key(arena, address));
    return provision_read_one(&params, &get, &shape, out);
}

AWAITS enum db_write provision_recipient_add(struct arena *arena, int64_t domain_id, struct slice address,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), domain_id);
    add_pair(db_unit_add(unit, &insert), domain_id, address);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_recipient_replace(struct arena *arena, int64_t domain_id, const struct slice *addresses,
                                                 unsigned count, const struct provision_actor *actor,
                                                 struct provision_refusal *refusal)
{
    static const struct db_statement *const steps[] = {&drop_others, &insert_all};
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), domain_id);
    for (unsigned i = 0; i < 2; i++) {
        struct params *params = db_unit_add(unit, steps[i]);
        params_int64(params, domain_id);
        params_texts(params, addresses, count);
    }
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_recipient_delete(struct arena *arena, int64_t domain_id, struct slice address,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    add_pair(db_unit_add(unit, &require_listed), domain_id, address);
    add_pair(db_unit_add(unit, &remove_row), domain_id, address);
    return provision_run(unit, actor, refusal);
}
