/*
 * Content rules, as administrators write them.
 *
 * A rule is written as a whole.  Two who change one at the same time wait for each other at its row, and the later one
 * wins; the audit log has both.  Workers have all rules in memory, and a message is asked about all of its customer's,
 * so both have an end; the counts that check it are not locked, and a few more do no harm.
 */
#include "storage/provision_content_rule.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define SELECT "select " CONTENT_RULE_COLUMNS " from content_rule c left join domain d on d.id = c.domain_id where "

static const struct db_statement get = {"provision_content_rule_get", SELECT "c.id = $1::bigint"};
static const struct db_statement list = {
    "provision_content_rule_list",
    SELECT "c.id > $1::bigint and ($3::bigint = 0 or c.customer_id = $3::bigint) order by c.id limit $2::integer"};

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    (void)arena;
    content_rule_of_row(rows, row, into);
}

static const struct provision_read_shape shape = {sizeof(struct content_rule), read_row};

AWAITS enum db_status provision_content_rule_get(struct arena *arena, struct slice key, struct content_rule *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

AWAITS enum db_status provision_content_rule_list(struct arena *arena, int64_t customer_id,
                                                  const struct provision_page *page, struct content_rule **out,
                                                  unsigned *count)
{
    *out = provision_read_list_of(arena, &list, page, customer_id, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_room = {
    "provision_content_rule_require_room",
    "select refuse('content_rule_many') where (select count(*) from content_rule) >= $1::integer"
    "   or (select count(*) from content_rule where customer_id = $2::bigint) >= $3::integer"};
static const struct db_statement require_domain = {
    "provision_content_rule_require_domain",
    "select refuse('content_rule_domain') where $2::bigint <> 0 and not exists (select from domain"
    "   where id = $2::bigint and customer_id = $1::bigint and kind <> 'alias')"};
static const struct db_statement insert = {
    "provision_content_rule_insert",
    "insert into content_rule (id, customer_id, domain_id, label, outgoing, priority, header, header_pattern,"
    "   sender_pattern, recipient_pattern, attachment_name_pattern, attachment_type_pattern, size_over, action, reason,"
    "   hold_seconds, hold_then)"
    " values ($1::bigint, $2::bigint, nullif($3::bigint, 0), $4::text, $5::boolean, $6::integer, $7::text, $8::text,"
    "   $9::text, $10::text, $11::text, $12::text, nullif($13::bigint, -1), $14::text, $15::text, $16::bigint, $17::text)"};
static const struct db_statement require = {
    "provision_content_rule_require",
    "select refuse('gone') where not exists (select from content_rule where id = $1::bigint for update)"};
static const struct db_statement update = {
    "provision_content_rule_update",
    "update content_rule set domain_id = nullif($3::bigint, 0), label = $4::text, outgoing = $5::boolean,"
    "   priority = $6::integer, header = $7::text, header_pattern = $8::text, sender_pattern = $9::text,"
    "   recipient_pattern = $10::text, attachment_name_pattern = $11::text, attachment_type_pattern = $12::text,"
    "   size_over = nullif($13::bigint, -1), action = $14::text, reason = $15::text, hold_seconds = $16::bigint,"
    "   hold_then = $17::text, changed_at = clock_timestamp() where id = $1::bigint and customer_id = $2::bigint"};
static const struct db_statement delete = {"provision_content_rule_delete",
                                           "delete from content_rule where id = $1::bigint"};

static void put(struct db_unit *unit, const struct db_statement *statement, const struct content_rule *rule)
{
    struct params *p = db_unit_add(unit, &require_domain);

    params_int64(p, rule->customer_id);
    params_int64(p, rule->domain_id);
    p = db_unit_add(unit, statement);
    params_int64(p, rule->id);
    params_int64(p, rule->customer_id);
    params_int64(p, rule->domain_id);
    params_text(p, rule->label);
    params_bool(p, rule->outgoing);
    params_int32(p, rule->priority);
    params_text(p, rule->header);
    for (unsigned i = 0; i < CONTENT_PATTERNS; i++)
        params_text(p, rule->text[i]);
    params_int64(p, rule->size_over);
    params_text(p, slice_str(content_action_word(rule->action)));
    params_text(p, rule->reason);
    params_int64(p, rule->hold_ms / 1000);
    params_text(p, slice_str(hold_then_word(rule->then)));
}

AWAITS enum db_write provision_content_rule_create(struct arena *arena, struct content_rule *rule,
                                                   const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &require_room);

    rule->id = id_make(0);
    params_int32(p, CONTENT_RULES_MAX);
    params_int64(p, rule->customer_id);
    params_int32(p, CONTENT_RULES_OF_CUSTOMER_MAX);
    put(unit, &insert, rule);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_content_rule_change(struct arena *arena, const struct content_rule *rule,
                                                   const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    params_int64(db_unit_add(unit, &require), rule->id);
    put(unit, &update, rule);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_content_rule_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &delete, id, actor, refusal);
}
