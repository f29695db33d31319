/*
 * deletion: a reader has deleted his copy of mail that the primary does not have yet.
 *
 * Deleted is what the account has no copy of any more: expunged by IMAP, removed by POP3, or gone with its mailbox. 
 * Moving it to Trash is filing; emptying Trash is deleting.  So it is asked, after the items are gone and in the same
 * transaction, whether another copy is left.  Two sessions that each remove one of two copies at the same moment may
 * each still see the other's: then it is delivered, which is the harmless error.
 *
 * Whether a mailbox's domain wants anything but delivery comes from the cache; only then are entries looked for, so
 * that deleting costs others nothing.  The entries are read first, for their events need ids from here; the transaction
 * locks them and decides anew about each.
 *
 *     waiting           unless-deleted: the entry goes, event "cancelled"
 *                       ask: it is held by 'reader' until deleted_hold_days are over, and then what deleted_then says
 *     a worker has it   it may be on the wire: it is delivered, and an event says so
 *     held              by somebody else, whose decision it stays; by a drill: as waiting
 *
 * The message is listed for release by the step that removes the item (storage/mailbox_write.c).
 */
#include "storage/deletion.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/cache.h"
#include "storage/continuity_policy.h"
#include "storage/db.h"

#define ENTRIES_MAX (4 * DELETION_ITEMS_MAX) /* several addresses of one account */
#define DAY_MS (24 * 60 * 60 * (int64_t)1000)

/* The mailbox's account and domain never change. */
static const struct db_statement domain_of = {"deletion_domain",
                                              "select a.domain_id from mailbox b join account a on a.id = b.account_id"
                                              " where b.cell = $1::smallint and b.id = $2::bigint"};

#define ENTRIES                                                                                                        \
    "select distinct q.id from mailbox b"                                                                              \
    "  join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"                                              \
    "  join queue_entry q on q.cell + 0 = i.cell and q.message_id = i.message_id"                                      \
    "                    and q.account_id = b.account_id and q.shown"                                                  \
    " where b.cell = $1::smallint and b.id = $2::bigint"
static const struct db_statement some_entries = {"deletion_some",
                                                 ENTRIES " and i.uid = any($4::bigint[]) order by 1 limit $3::integer"};
static const struct db_statement all_entries = {"deletion_all", ENTRIES " order by 1 limit $3::integer"};

#define GONE                                                                                                           \
    " q.shown and not exists (select from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id" \
    "    where b.cell = $1::smallint and b.account_id = q.account_id and i.message_id = q.message_id)"
/* A drill holds nothing of its own will: it is an outage. */
#define OURS " (q.held_until is null or q.held_by = 'drill')"
static const struct db_statement lock = {
    "deletion_lock",
    "select id from queue_entry where id = any($2::bigint[]) and cell + 0 = $1::smallint order by id for update"};
static const struct db_statement event = {
    "deletion_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select q.cell, e.event_id, $4::timestamptz, q.message_id, q.recipient,"
    "        case when q.worker is not null then 'deleted' else $5::text end,"
    "        case when q.worker is not null then 'by its reader, while it was being sent: delivered all the same'"
    "             else $6::text end"
    "   from unnest($2::bigint[], $3::bigint[]) e (id, event_id)"
    "   join queue_entry q on q.id = e.id and q.cell + 0 = $1::smallint"
    "  where (q.worker is not null or" OURS ") and" GONE};
static const struct db_statement hold = {
    "deletion_hold",
    "update queue_entry q set held_until = $3::timestamptz, held_by = 'reader', held_then = $4::text,"
    "       held_reason = 'deleted by its reader',"
    "       expires_at = q.expires_at + ($3::timestamptz - coalesce(q.held_until, now())),"
    "       delay_at = q.delay_at + ($3::timestamptz - coalesce(q.held_until, now()))"
    " where q.id = any($2::bigint[]) and q.cell + 0 = $1::smallint and coalesce(q.worker, -1) = -1 and" OURS " and" GONE};
static const struct db_statement cancel = {
    "deletion_cancel",
    "delete from queue_entry q where q.id = any($2::bigint[]) and q.cell + 0 = $1::smallint and coalesce(q.worker, -1) = -1"
    "   and" OURS " and" GONE};

static struct params begin(struct arena *arena, int64_t mailbox_id)
{
    struct params params;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(mailbox_id));
    params_int64(&params, mailbox_id);
    return params;
}

/* NONE: mail is delivered, whatever its reader does. */
static AWAITS enum db_status policy_of(struct arena *arena, int64_t mailbox_id, struct deletion *out)
{
    struct params params = begin(arena, mailbox_id);
    struct continuity_policy policy;
    struct rows *rows = NULL;
    enum db_status status = cache_read(arena, &domain_of, &params, 0, &rows);

    if (status != DB_FOUND)
        return status;
    if (continuity_policy_of(arena, row_int64(rows, 0, 0), &policy) != DB_FOUND)
        return DB_FAILED;
    *out = (struct deletion){
        .ask = policy.deleted_mail == CONTINUITY_DELETED_ASK,
        .until_ms = clock_now_ms() + policy.deleted_hold_days * DAY_MS,
        .then = policy.deleted_then == CONTINUITY_THEN_REJECT ? "reject" : "release",
    };
    return policy.deleted_mail == CONTINUITY_DELETED_DELIVER ? DB_NONE : DB_FOUND;
}

enum db_status deletion_find(struct arena *arena, int64_t mailbox_id, const int64_t *uids, unsigned count,
                             struct deletion *out)
{
    struct params params = begin(arena, mailbox_id);
    struct rows *rows = NULL;
    enum db_status status;

    *out = (struct deletion){0};
    status = policy_of(arena, mailbox_id, out);
    if (status != DB_FOUND)
        return status;
    params_int32(&params, ENTRIES_MAX);
    if (uids)
        params_int64s(&params, uids, count);
    status = db_read(arena, uids ? &some_entries : &all_entries, &params, &rows);
    if (status != DB_FOUND)
        return status;
    out->count = rows_count(rows);
    out->many = !uids && out->count == ENTRIES_MAX;
    out->entries = arena_array(arena, out->count, sizeof *out->entries);
    for (unsigned i = 0; i < out->count; i++)
        out->entries[i] = row_int64(rows, i, 0);
    return DB_FOUND;
}

static struct params *step(struct db_unit *unit, const struct db_statement *statement, unsigned cell,
                           const struct deletion *deletion)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)cell);
    params_int64s(p, deletion->entries, deletion->count);
    return p;
}

void deletion_add(struct db_unit *unit, int64_t mailbox_id, const struct deletion *deletion)
{
    int64_t *events = arena_array(unit->arena, deletion->count, sizeof *events);
    unsigned cell = id_cell(mailbox_id);
    char until[CLOCK_RFC3339_SIZE];
    struct params *p;

    for (unsigned i = 0; i < deletion->count; i++)
        events[i] = id_make(cell);
    step(unit, &lock, cell, deletion);
    p = step(unit, &event, cell, deletion);
    params_int64s(p, events, deletion->count);
    params_time(p, clock_now_ms());
    params_text(p, deletion->ask ? SLICE("held") : SLICE("cancelled"));
    params_text(p, deletion->ask ? slice_str(arena_printf(unit->arena, "until %s, then %s: deleted by its reader",
                                                          clock_rfc3339(deletion->until_ms, until), deletion->then))
                                 : SLICE("not delivered: deleted by its reader"));
    if (deletion->ask) {
        p = step(unit, &hold, cell, deletion);
        params_time(p, deletion->until_ms);
        params_text(p, slice_str(deletion->then));
    } else {
        step(unit, &cancel, cell, deletion);
    }
}
