/*
 * What an administrator does to one queue entry: why it cannot be done, or the action (storage/queue_act.c) and its row
 * of the audit log, in one transaction.
 */
#include "storage/provision_queue.h"

#include "core/id.h"
#include "storage/db.h"

#define THIS " id = $2::bigint and cell + 0 = $1::smallint" /* storage/queue_internal.h */

static const struct db_statement require = {
    "provision_queue_require",
    "select refuse('gone') where not exists (select from queue_entry where" THIS " for update)",
};
static const struct db_statement require_idle = {
    "provision_queue_require_idle",
    "select refuse('entry_active') from queue_entry where" THIS " and worker is not null",
};
static const struct db_statement require_fit = {
    "provision_queue_require_fit",
    "select case when $3::text in ('release', 'expire') and held_until is null then refuse('entry_not_held')"
    "            when $3::text = 'retry' and held_until is not null then refuse('entry_held')"
    "            when $3::text = 'redirect' and destination = 'mailbox' then refuse('entry_mailbox')"
    "            when $3::text not in ('retry', 'redirect', 'priority') and " QUEUE_ACT_OWNERS(
        "") " then refuse('entry_released') end"
            "  from queue_entry where" THIS,
};

static struct params *step(struct db_unit *unit, const struct db_statement *statement, int64_t id)
{
    struct params *params = db_unit_add(unit, statement);
    params_int16(params, (int16_t)id_cell(id));
    params_int64(params, id);
    return params;
}

AWAITS enum db_write provision_queue_act(struct arena *arena, int64_t id, const struct queue_act *act,
                                         const struct provision_actor *actor, struct provision_refusal *refusal)
{
    const int16_t cell = (int16_t)id_cell(id);
    struct db_unit *unit = db_unit_new(arena);

    step(unit, &require, id);
    step(unit, &require_idle, id);
    params_text(step(unit, &require_fit, id), slice_str(queue_act_word(act->kind)));
    queue_act_add(unit, act, &cell, &id, 1);
    return provision_run(unit, actor, refusal);
}
