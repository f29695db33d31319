/*
 * Continuity policies, as administrators write them.
 *
 * A row is replaced as a whole, from pairs of column and text (see continuity_policy.c for why).  Two who change it at
 * the same time wait for each other at the domain's row, and the later one wins with all that it knew: a policy is
 * small and a person's, and the audit log has both.
 */
#include "storage/provision_continuity.h"

#include "storage/db.h"

static const struct db_statement require_domain = {
    "provision_continuity_require",
    "select refuse('gone') where not exists (select from domain where id = $1::bigint for no key update)",
};
static const struct db_statement remove_row = {
    "provision_continuity_delete",
    "delete from continuity_policy where domain_id = $1::bigint",
};
static const struct db_statement insert = {
    "provision_continuity_insert",
    "insert into continuity_policy select made.* from jsonb_populate_record(null::continuity_policy,"
    "  jsonb_object($2::text[], $3::text[]) || jsonb_build_object('domain_id', $1::bigint)) made",
};

static struct slice text_of(struct arena *arena, const struct continuity_policy *policy,
                            const struct continuity_field *field)
{
    struct continuity_policy copy = *policy;
    int32_t number;

    if (continuity_is_text(field))
        return *continuity_address(&copy, field);
    number = *continuity_number(&copy, field);
    if (number == CONTINUITY_NOT_SET)
        return (struct slice){NULL, 0};
    if (field->kind == CONTINUITY_WORD)
        return slice_str(field->words[number]);
    if (field->kind == CONTINUITY_FLAG)
        return number ? SLICE("true") : SLICE("false");
    return slice_str(arena_printf(arena, "%d", (int)number));
}

AWAITS enum db_write provision_continuity_put(struct arena *arena, int64_t domain_id,
                                              const struct continuity_policy *policy,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct slice *names = arena_array(arena, continuity_field_count, sizeof *names);
    struct slice *values = arena_array(arena, continuity_field_count, sizeof *values);
    struct db_unit *unit = db_unit_new(arena);

    for (unsigned i = 0; i < continuity_field_count; i++) {
        names[i] = slice_str(continuity_fields[i].name);
        values[i] = text_of(arena, policy, &continuity_fields[i]);
    }
    params_int64(db_unit_add(unit, &require_domain), domain_id);
    params_int64(db_unit_add(unit, &remove_row), domain_id);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, domain_id);
    params_texts(params, names, continuity_field_count);
    params_texts(params, values, continuity_field_count);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_continuity_delete(struct arena *arena, int64_t domain_id,
                                                 const struct provision_actor *actor, struct provision_refusal *refusal)
{
    return provision_remove(arena, &require_domain, &remove_row, domain_id, actor, refusal);
}
