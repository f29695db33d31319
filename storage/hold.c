/*
 * hold: what becomes of held entries when their time has come.
 *
 * Releasing is one transaction for many entries: lock them, record the event, make them wait like any other, and wake
 * their destinations.  The lock is a statement of its own, so that the later ones, which see a newer snapshot, agree
 * about which they are; one that an administrator decided about meanwhile is left out by all of them.  Nothing is
 * leased for it: the process that dies in between has done all of it or nothing.
 *
 * While an entry is held its lifetime, and the time until a delay is told of, stand still: expires_at and delay_at
 * are what they will be if it is released at held_until, and whoever moves held_until moves them.  So they lie ahead,
 * and those who look for what is over do not come by.
 *
 * Discarding is the same, and the entry is gone with its reference to the message; copies of it that its reader has say
 * no longer that it is to be delivered.
 *
 * An entry that is to be rejected is claimed, as it takes a report to its sender (daemon/runner_expiry.c).  It stays
 * held while it is leased, and so is found again should that worker die.
 */
#include "storage/hold.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/carry_copy.h"
#include "storage/carry_keyword.h"
#include "storage/db.h"
#include "storage/maintenance.h"
#include "storage/queue_internal.h"

#define DUE(then) " q.held_until <= now() and q.worker is null and q.held_then = '" then "'"
#define THESE(then) QUEUE_ENTRIES " and" OVER(then)
#define OVER(then)                                                                                                     \
    " coalesce(q.held_until, 'infinity') <= now() and " QUEUE_ENTRY_NOBODYS " and q.held_then = '" then "'"

#define READ(then)                                                                                                     \
    "select q.cell, q.id from queue_entry q where q.cell = any($1::smallint[]) and" DUE(                               \
        then) " order by q.held_until limit $2::integer"

/* Of an account in a drill it is not released, but held by that (storage/drill_run.c); what is in the INBOX goes. */
#define IN_DRILL                                                                                                       \
    "(q.held_by <> 'drill' and not q.shown and exists (select from absence b join outage o on o.cell = b.cell and"     \
    "   o.id = b.outage_id where b.cell = q.cell and b.account_id = q.account_id and b.ends_at > now()"                \
    "   and o.ended_at is null))"
static const struct db_statement due_read = {
    "hold_due_read", "select q.cell, q.id from queue_entry q where q.cell = any($1::smallint[]) and" DUE(
                         "release") " and not " IN_DRILL " order by q.held_until limit $2::integer"};
static const struct db_statement lock = {"hold_lock",
                                         "select q.id" THESE("release") " order by q.cell, q.id for update of q"};
static const struct db_statement event = {
    "hold_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select q.cell, u.event_id, $4::timestamptz, q.message_id, q.recipient, 'released', q.held_reason" QUEUE_ENTRIES_WITH(
        "$3::bigint[]", "event_id") " and" OVER("release")};
static const struct db_statement wake = {
    "hold_wake",
    "insert into destination (cell, key, due_at)"
    " select distinct q.cell, q.destination, now()" THESE(
        "release") " order by 1, 2"
                   " on conflict (cell, key) do update set due_at = least(destination.due_at, excluded.due_at)"
                   "  where destination.failures = 0"};
static const struct db_statement release = {
    "hold_release", "update queue_entry h set held_until = null, held_by = null, held_reason = null, held_then = null,"
                    "       suspension_id = null, similar_id = null, held_approval = false, quarantined = false,"
                    "       expires_at = h.expires_at + (greatest(h.due_at, now()) - h.held_until),"
                    "       delay_at = h.delay_at + (greatest(h.due_at, now()) - h.held_until)"
                    "  from (select q.cell, q.id" THESE("release") ") t where " QUEUE_SAME};
static const struct db_statement rejected_read = {"hold_rejected_read", READ("reject")};

static const struct db_statement discarded_read = {"hold_discarded_read", READ("discard")};
static const struct db_statement discard_lock = {
    "hold_discard_lock", "select q.id" THESE("discard") " order by q.cell, q.id for update of q"};
static const struct db_statement discard_event = {
    "hold_discard_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select q.cell, u.event_id, $4::timestamptz, q.message_id, q.recipient, 'discarded', q.held_reason" QUEUE_ENTRIES_WITH(
        "$3::bigint[]", "event_id") " and" OVER("discard")};
#define COPIES                                                                                                         \
    THESE("discard")                                                                                                   \
    " join mailbox b on b.cell = q.cell and b.account_id = q.account_id"                                               \
    " join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id and i.message_id = q.message_id"
static const struct db_statement discard_bump = {
    "hold_discard_bump",
    "update mailbox m set modseq = m.modseq + 1 from (select k.cell, k.id from mailbox k"
    "   where (k.cell, k.id) in (select b.cell, b.id" COPIES ") order by k.cell, k.id for update) w"
    " where m.cell = w.cell and m.id = w.id returning m.id"};
static const struct db_statement discard_mark = {
    "hold_discard_mark",
    "update mailbox_message c set modseq = w.modseq, keywords = array_remove(c.keywords, '" CARRY_HELD "')"
    "  from (select distinct i.cell, i.mailbox_id, i.uid, b.modseq" COPIES ") w"
    " where c.cell = w.cell and c.mailbox_id = w.mailbox_id and c.uid = w.uid"};
static const struct db_statement discard_message = {
    "hold_discard_message", "insert into message_release (cell, message_id) select distinct q.cell, q.message_id" THESE(
                                "discard") " order by 1, 2" RELEASE_LISTED};
static const struct db_statement discard_entry = {
    "hold_discard_entry",
    "delete from queue_entry h using (select q.cell, q.id" THESE("discard") ") t where " QUEUE_SAME};

const char *hold_by_word(enum hold_by by)
{
    switch (by) {
    case HOLD_BY_SENDER: return "sender";
    case HOLD_BY_LIMIT: return "limit";
    case HOLD_BY_ADMINISTRATOR: return "administrator";
    case HOLD_BY_SUSPENSION: return "suspension";
    case HOLD_BY_READER: return "reader";
    case HOLD_BY_COMPROMISED: return "compromised";
    case HOLD_BY_RULE: return "rule";
    case HOLD_BY_BREAKER: return "breaker";
    case HOLD_BY_DRILL: return "drill";
    case HOLD_BY_OUTGOING_RULE: return "outgoing-rule";
    }
    return "";
}

const char *hold_then_word(enum hold_then then)
{
    switch (then) {
    case HOLD_THEN_RELEASE: return "release";
    case HOLD_THEN_REJECT: return "reject";
    case HOLD_THEN_DISCARD: return "discard";
    }
    return "";
}

bool hold_by_parse(struct slice word, enum hold_by *out)
{
    *out = slice_equal(word, SLICE("limit"))           ? HOLD_BY_LIMIT
           : slice_equal(word, SLICE("administrator")) ? HOLD_BY_ADMINISTRATOR
           : slice_equal(word, SLICE("suspension"))    ? HOLD_BY_SUSPENSION
           : slice_equal(word, SLICE("reader"))        ? HOLD_BY_READER
           : slice_equal(word, SLICE("compromised"))   ? HOLD_BY_COMPROMISED
           : slice_equal(word, SLICE("rule"))          ? HOLD_BY_RULE
           : slice_equal(word, SLICE("breaker"))       ? HOLD_BY_BREAKER
           : slice_equal(word, SLICE("drill"))         ? HOLD_BY_DRILL
           : slice_equal(word, SLICE("outgoing-rule")) ? HOLD_BY_OUTGOING_RULE
                                                       : HOLD_BY_SENDER;
    return slice_equal(word, slice_str(hold_by_word(*out)));
}

bool hold_then_parse(struct slice word, enum hold_then *out)
{
    *out = slice_equal(word, SLICE("reject"))    ? HOLD_THEN_REJECT
           : slice_equal(word, SLICE("discard")) ? HOLD_THEN_DISCARD
                                                 : HOLD_THEN_RELEASE;
    return slice_equal(word, slice_str(hold_then_word(*out)));
}

struct slice hold_detail(struct arena *arena, const struct hold *hold)
{
    char until[CLOCK_RFC3339_SIZE];

    return slice_str(arena_printf(arena, "%s%suntil %s, then %s: %.*s", hold->quarantine ? "in quarantine, " : "",
                                  hold->approval ? "for approval, " : "", clock_rfc3339(hold->until_ms, until),
                                  hold_then_word(hold->then), SLICE_ARG(hold->reason)));
}

#define STEPS 6
static const struct db_statement *const releasing[STEPS] = {&lock, &event, &wake, &release};
static const struct db_statement *const discarding[STEPS] = {&discard_lock, &discard_event,   &discard_bump,
                                                             &discard_mark, &discard_message, &discard_entry};

static AWAITS enum db_write end_these(struct arena *arena, const struct db_statement *const steps[STEPS],
                                      const int16_t *cells, const int64_t *ids, unsigned count)
{
    struct db_unit *unit = db_unit_new(arena);
    int64_t *events = arena_array(arena, count, sizeof *events);
    enum db_write written;

    for (unsigned i = 0; i < count; i++)
        events[i] = id_make((unsigned)cells[i]);
    for (unsigned i = 0; i < STEPS && steps[i]; i++) {
        struct params *p = db_unit_add(unit, steps[i]);

        params_int16s(p, cells, count);
        params_int64s(p, ids, count);
        if (i == 1) {
            params_int64s(p, events, count);
            params_time(p, clock_now_ms());
        }
    }
    written = queue_run_patiently(unit);
    for (unsigned i = 0; i < unit->count && written == DB_DONE; i++)
        if (steps[i] == &discard_bump)
            carry_copy_tell(unit->steps[i].rows);
    return written;
}

static AWAITS enum db_write end_due(const struct db_statement *read, const struct db_statement *const steps[STEPS],
                                    const int16_t *cells, unsigned cell_count, unsigned limit, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    struct params params;
    struct rows *rows;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, (int32_t)limit);
    switch (db_read(arena, read, &params, &rows)) {
    case DB_FOUND: {
        unsigned found = rows_count(rows);
        int16_t *of = arena_array(arena, found, sizeof *of);
        int64_t *ids = arena_array(arena, found, sizeof *ids);

        for (unsigned i = 0; i < found; i++) {
            of[i] = (int16_t)row_int64(rows, i, 0);
            ids[i] = row_int64(rows, i, 1);
        }
        written = end_these(arena, steps, of, ids, found);
        *count = found;
        break;
    }
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

enum db_write hold_release_due(const int16_t *cells, unsigned cell_count, unsigned limit, unsigned *count)
{
    return end_due(&due_read, releasing, cells, cell_count, limit, count);
}

enum db_write hold_discard_due(const int16_t *cells, unsigned cell_count, unsigned limit, unsigned *count)
{
    return end_due(&discarded_read, discarding, cells, cell_count, limit, count);
}

enum db_status hold_claim_rejected(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                   struct queue_entry **out, unsigned *count)
{
    return queue_claim_listed(arena, &rejected_read, QUEUE_CLAIMING_REJECTED, cells, cell_count, limit, out, count);
}
