/*
 * What an administrator does to queue entries.
 *
 * An action is some statements of one transaction: lock the entries, record an event for each, change them.  All of
 * them look for the same entries (QUEUE_ACT_APPLIES), which the lock keeps as they are; those that a worker has, and
 * those that the action does not fit, are left out by all.  Whoever asks for one entry finds out before why it would
 * be (provision_queue.c).  What its owner has released by moving it to his INBOX is his from then on, though it is held
 * for some moments yet: to return or to cancel it would be both to deliver and to refuse it.
 *
 * Holding, releasing, rejecting and expiring move held_until and held_then, so that a decision has the road of a hold whose time
 * has come (storage/hold.c): the process of the API sends nothing.  Lifetime and delay notice stand still while an
 * entry is held.
 *
 * To retry moves the destination, too: it is tried with the oldest of what waits for it, which need not be this entry;
 * if it answers, all goes.  During an outage mail is not what a primary is tried with, so its probe is asked for, as
 * ETRN does.
 *
 * A redirected entry remembers where it came from, and still counts as its domain's: the domain cannot be deleted under
 * it.
 */
#include "storage/queue_act.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/carry_keyword.h"
#include "storage/db.h"
#include "storage/maintenance.h"
#include "storage/queue_internal.h"

/* $1 cells, $2 ids, $3 the action. */
#define THESE QUEUE_ENTRIES " and" QUEUE_ACT_APPLIES
#define OF_THESE " from (select q.cell, q.id" THESE ") t where " QUEUE_SAME
#define MOVED(to)                                                                                                      \
    " expires_at = expires_at + (" to " - coalesce(held_until, now())),"                                               \
    " delay_at = delay_at + (" to " - coalesce(held_until, now()))"

static const struct db_statement lock = {"queue_act_lock",
                                         "select q.id" THESE " order by q.cell, q.id for update of q"};
static const struct db_statement event = {
    "queue_act_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select q.cell, u.event_id, $5::timestamptz, q.message_id, q.recipient, $6::text, $7::text" QUEUE_ENTRIES_WITH(
        "$4::bigint[]", "event_id") " and" QUEUE_ACT_APPLIES};
static const struct db_statement hold = {
    "queue_act_hold",
    "update queue_entry h set held_until = $4::timestamptz, held_by = 'administrator', held_reason = $5::text,"
    "   suspension_id = null,"
    "   held_then = $6::text, held_approval = $7::boolean, quarantined = $8::boolean," MOVED("$4::timestamptz")
        OF_THESE};
static const struct db_statement decide = {
    "queue_act_decide",
    "update queue_entry h set held_until = now(), held_then = $4::text, held_by = coalesce(held_by, 'administrator'),"
    "   held_reason = coalesce(held_reason, 'rejected')," MOVED("now()") OF_THESE};
static const struct db_statement expire = {"queue_act_expire",
                                           "update queue_entry h set held_until = now()," MOVED("now()") OF_THESE};
/* Since it was accepted (core/id.h): it goes before what came later. */
static const struct db_statement due = {
    "queue_act_due", "update queue_entry h set due_at = least(h.due_at, " QUEUE_ACCEPTED("h") ")" OF_THESE};
static const struct db_statement probe = {
    "queue_act_probe",
    "update outage o set probe_wanted_at = now() from (select distinct q.cell, q.domain_id" THESE ") t"
    " where o.cell = t.cell and o.domain_id = t.domain_id and o.ended_at is null"};
static const struct db_statement wake = {
    "queue_act_wake",
    "insert into destination (cell, key, due_at) select distinct q.cell, q.destination, now()" THESE
    "   and not exists (select from outage o where o.cell = q.cell and o.domain_id = q.domain_id and o.ended_at is null"
    "                      and q.destination = 'domain:' || q.domain_id) order by 1, 2"
    " on conflict (cell, key) do update set due_at = least(destination.due_at, excluded.due_at)"};
static const struct db_statement redirect = {
    "queue_act_redirect",
    "update queue_entry h set destination = coalesce($4::text, h.redirected_from, h.destination), due_at = now(),"
    "   redirected_from = case when $4::text is not null then coalesce(h.redirected_from, h.destination) end" OF_THESE};
static const struct db_statement priority = {"queue_act_priority",
                                             "update queue_entry h set priority = $4::smallint" OF_THESE};
/* Copies that were shown are not to be delivered any more (storage/carry_copy.h). */
#define COPIES_OF_THESE                                                                                                \
    THESE " join mailbox b on b.cell = q.cell and b.account_id = q.account_id"                                         \
          " join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id and i.message_id = q.message_id"
static const struct db_statement copies_bump = {
    "queue_act_copies_bump",
    "update mailbox m set modseq = m.modseq + 1 from (select k.cell, k.id from mailbox k"
    "   where (k.cell, k.id) in (select b.cell, b.id" COPIES_OF_THESE ") order by k.cell, k.id for update) w"
    " where m.cell = w.cell and m.id = w.id"};
static const struct db_statement copies_mark = {
    "queue_act_copies_mark",
    "update mailbox_message c set modseq = w.modseq, keywords = array_remove(c.keywords, '" CARRY_HELD "')"
    "  from (select distinct i.cell, i.mailbox_id, i.uid, b.modseq" COPIES_OF_THESE ") w"
    " where c.cell = w.cell and c.mailbox_id = w.mailbox_id and c.uid = w.uid"};
static const struct db_statement release_message = {
    "queue_act_release_message",
    "insert into message_release (cell, message_id) select distinct q.cell, q.message_id" THESE
    " order by 1, 2" RELEASE_LISTED};
static const struct db_statement remove_entry = {
    "queue_act_remove", "delete from queue_entry h using (select q.cell, q.id" THESE ") t where " QUEUE_SAME};

static const char *const words[] = {"retry", "hold", "release", "reject", "expire", "cancel", "redirect", "priority"};

const char *queue_act_word(enum queue_act_kind kind)
{
    return words[kind];
}

bool queue_act_parse(struct slice word, enum queue_act_kind *out)
{
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(word, slice_str(words[i]))) {
            *out = (enum queue_act_kind)i;
            return true;
        }
    return false;
}

struct these {
    struct db_unit *unit;
    const int16_t *cells;
    const int64_t *ids;
    unsigned count;
    const char *word;
};

static struct params *step(const struct these *these, const struct db_statement *statement)
{
    struct params *params = db_unit_add(these->unit, statement);

    params_int16s(params, these->cells, these->count);
    params_int64s(params, these->ids, these->count);
    params_text(params, slice_str(these->word));
    return params;
}

static void add_events(const struct these *these, const char *kind, struct slice detail)
{
    int64_t *events = arena_array(these->unit->arena, these->count, sizeof *events);
    struct params *params = step(these, &event);

    for (unsigned i = 0; i < these->count; i++)
        events[i] = id_make(id_cell(these->ids[i]));
    params_int64s(params, events, these->count);
    params_time(params, clock_now_ms());
    params_text(params, slice_str(kind));
    params_text(params, detail);
}

static void add_hold(const struct these *these, const struct queue_act *act)
{
    struct params *params;

    add_events(these, "held", hold_detail(these->unit->arena, &act->hold));
    params = step(these, &hold);
    params_time(params, act->hold.until_ms);
    params_text(params, act->hold.reason);
    params_text(params, slice_str(hold_then_word(act->hold.then)));
    params_bool(params, act->hold.approval);
    params_bool(params, act->hold.quarantine);
}

static void add_decision(const struct these *these, enum hold_then then)
{
    add_events(these, "decided", slice_str(hold_then_word(then)));
    params_text(step(these, &decide), slice_str(hold_then_word(then)));
}

void queue_act_add(struct db_unit *unit, const struct queue_act *act, const int16_t *cells, const int64_t *ids,
                   unsigned count)
{
    const struct these these = {unit, cells, ids, count, queue_act_word(act->kind)};

    step(&these, &lock);
    switch (act->kind) {
    case QUEUE_ACT_RETRY:
        add_events(&these, "retried", SLICE("at once, as an administrator wants"));
        step(&these, &due);
        step(&these, &probe);
        step(&these, &wake);
        break;
    case QUEUE_ACT_HOLD: add_hold(&these, act); break;
    case QUEUE_ACT_RELEASE: add_decision(&these, HOLD_THEN_RELEASE); break;
    case QUEUE_ACT_REJECT: add_decision(&these, HOLD_THEN_REJECT); break;
    case QUEUE_ACT_EXPIRE:
        add_events(&these, "decided", SLICE("expire: at once what its hold says"));
        step(&these, &expire);
        break;
    case QUEUE_ACT_CANCEL:
        add_events(&these, "cancelled", SLICE("by an administrator; nobody is told"));
        step(&these, &copies_bump);
        step(&these, &copies_mark);
        step(&these, &release_message);
        step(&these, &remove_entry);
        break;
    case QUEUE_ACT_REDIRECT:
        add_events(&these, "redirected", act->destination.p ? act->destination : SLICE("back"));
        params_text(step(&these, &redirect), act->destination);
        step(&these, &wake);
        break;
    case QUEUE_ACT_PRIORITY:
        add_events(&these, "priority", slice_str(arena_printf(unit->arena, "%d", act->priority)));
        params_int16(step(&these, &priority), (int16_t)act->priority);
        break;
    }
}
