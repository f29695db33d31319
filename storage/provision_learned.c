/*
 * What was learned of a domain's recipients, as administrators see it.
 *
 * Learning does not count as a change of the directory, forgetting must: so it updates the domain's row to what it is,
 * and the trigger on that table tells all nodes to drop what they remember (schema/0009).
 */
#include "storage/provision_learned.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/name.h"
#include "storage/provision_read.h"

static const struct db_statement list = {
    "provision_learned_list",
    "select address, valid, learned_at, until from recipient_learned"
    " where cell = $1::smallint and domain_id = $2::bigint and address > $3::text and ($4::boolean is null or valid = "
    "$4::boolean)"
    " order by address limit $5::integer",
};
static const struct db_statement get = {
    "provision_learned_get",
    "select address, valid, learned_at, until from recipient_learned"
    " where cell = $1::smallint and domain_id = $2::bigint and address = $3::text",
};
static const struct db_statement require = {
    "provision_learned_require",
    "select refuse('gone') where not exists (select from recipient_learned"
    " where cell = $1::smallint and domain_id = $2::bigint and address = $3::text for update)",
};
static const struct db_statement forget = {
    "provision_learned_forget",
    "delete from recipient_learned where cell = $1::smallint and domain_id = $2::bigint and address = $3::text",
};
static const struct db_statement forget_all = {
    "provision_learned_forget_all",
    "delete from recipient_learned where cell = $1::smallint and domain_id = $2::bigint",
};
static const struct db_statement forget_probe = {
    "provision_learned_forget_probe",
    "delete from recipient_probe where cell = $1::smallint and domain_id = $2::bigint",
};
static const struct db_statement tell = {
    "provision_learned_tell",
    "update domain set recipients = recipients where id = $1::bigint",
};

static void add_domain(struct params *params, int64_t domain_id)
{
    params_int16(params, (int16_t)id_cell(domain_id));
    params_int64(params, domain_id);
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_learned *out = into;

    (void)arena;
    out->address = row_text(rows, row, 0);
    out->valid = row_bool(rows, row, 1);
    out->learned_ms = row_time(rows, row, 2);
    out->until_ms = row_time(rows, row, 3);
}

static const struct provision_read_shape shape = {sizeof(struct provision_learned), read_row};

AWAITS enum db_status provision_learned_list(struct arena *arena, int64_t domain_id, enum provision_learned_which which,
                                             struct slice after, unsigned limit, struct provision_learned **out,
                                             unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    add_domain(&params, domain_id);
    params_text(&params, after.p ? after : SLICE(""));
    if (which == PROVISION_LEARNED_ALL)
        params_null(&params);
    else
        params_bool(&params, which == PROVISION_LEARNED_VALID);
    params_int32(&params, (int32_t)limit);
    *out = provision_read_all(&params, &list, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

AWAITS enum db_status provision_learned_get(struct arena *arena, int64_t domain_id, struct slice address,
                                            struct provision_learned *out)
{
    struct params params;

    params_init(&params, arena);
    add_domain(&params, domain_id);
    params_text(&params, name_key(arena, address));
    return provision_read_one(&params, &get, &shape, out);
}

AWAITS enum db_write provision_learned_forget(struct arena *arena, int64_t domain_id, struct slice address,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    static const struct db_statement *const steps[] = {&require, &forget};
    struct db_unit *unit = db_unit_new(arena);
    for (unsigned i = 0; i < 2; i++) {
        struct params *params = db_unit_add(unit, steps[i]);
        add_domain(params, domain_id);
        params_text(params, name_key(arena, address));
    }
    params_int64(db_unit_add(unit, &tell), domain_id);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_learned_forget_all(struct arena *arena, int64_t domain_id,
                                                  const struct provision_actor *actor,
                                                  struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    add_domain(db_unit_add(unit, &forget_all), domain_id);
    add_domain(db_unit_add(unit, &forget_probe), domain_id);
    params_int64(db_unit_add(unit, &tell), domain_id);
    return provision_run(unit, actor, refusal);
}
