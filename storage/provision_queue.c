/*
 * What an administrator decides about a queue entry.
 *
 * Each decision moves held_until and held_then, and is an event of the message and a row of the audit log, in one
 * transaction. Releasing and rejecting are thus the same as a hold whose time has come, and have one road
 * (storage/hold.c): rejected was to bounce here, as the process of the API sends nothing.
 */
#include "storage/provision_queue.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"

/* Lifetime and delay notice stand still while it is held (storage/hold.c). */
#define MOVED(to)                                                                                                      \
    " expires_at = expires_at + (" to " - coalesce(held_until, now())),"                                               \
    " delay_at = delay_at + (" to " - coalesce(held_until, now()))"
#define THIS " cell = $1::smallint and id = $2::bigint"

static const struct db_statement require = {
    "provision_queue_require",
    "select refuse('gone') where not exists (select from queue_entry where" THIS " for update)",
};
static const struct db_statement require_idle = {
    "provision_queue_require_idle",
    "select refuse('entry_active') from queue_entry where" THIS " and worker is not null",
};
static const struct db_statement require_held = {
    "provision_queue_require_held",
    "select refuse('entry_not_held') from queue_entry where" THIS " and held_until is null",
};
static const struct db_statement event = {
    "provision_queue_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select cell, $3::bigint, $4::timestamptz, message_id, recipient, $5::text, $6::text from queue_entry where" THIS,
};
static const struct db_statement hold_entry = {
    "provision_queue_hold",
    "update queue_entry set held_until = $3::timestamptz, held_by = 'administrator', held_reason = $4::text,"
    "   held_then = $5::text," MOVED("$3::timestamptz") " where" THIS,
};
static const struct db_statement decide = {
    "provision_queue_decide",
    "update queue_entry set held_until = now(), held_then = $3::text, held_by = coalesce(held_by, 'administrator'),"
    "   held_reason = coalesce(held_reason, 'rejected')," MOVED("now()") " where" THIS,
};

static struct params *step(struct db_unit *unit, const struct db_statement *statement, int64_t id)
{
    struct params *params = db_unit_add(unit, statement);
    params_int16(params, (int16_t)id_cell(id));
    params_int64(params, id);
    return params;
}

static void add_event(struct db_unit *unit, int64_t id, const char *kind, const char *detail)
{
    struct params *params = step(unit, &event, id);
    params_int64(params, id_make(id_cell(id)));
    params_time(params, clock_now_ms());
    params_text(params, slice_str(kind));
    params_text(params, slice_str(detail));
}

AWAITS enum db_write provision_queue_hold(struct arena *arena, int64_t id, const struct hold *hold,
                                          const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    char until[CLOCK_RFC3339_SIZE];
    struct params *params;

    step(unit, &require, id);
    step(unit, &require_idle, id);
    add_event(unit, id, "held",
              arena_printf(arena, "until %s, then %s: %.*s", clock_rfc3339(hold->until_ms, until), hold_then_word(hold->then),
                           SLICE_ARG(hold->reason)));
    params = step(unit, &hold_entry, id);
    params_time(params, hold->until_ms);
    params_text(params, hold->reason);
    params_text(params, slice_str(hold_then_word(hold->then)));
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_queue_release(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                             struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    step(unit, &require, id);
    step(unit, &require_idle, id);
    step(unit, &require_held, id);
    add_event(unit, id, "decided", "release");
    params_text(step(unit, &decide, id), SLICE("release"));
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_queue_reject(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    step(unit, &require, id);
    step(unit, &require_idle, id);
    add_event(unit, id, "decided", "reject");
    params_text(step(unit, &decide, id), SLICE("reject"));
    return provision_run(unit, actor, refusal);
}
