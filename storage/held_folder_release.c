/*
 * held_folder: the owner's release.
 *
 * To move a message from Held or Quarantine to the INBOX is to release it.  It goes the road of an administrator's
 * decision (storage/queue_act.c): the end of the hold is moved to now, and the worker that holds the cell does the
 * rest, so that reports and delivery are as for any other.  What is different is that the INBOX has it at once:
 * `shown` says so, and neither an outage nor the filing (storage/file.c) puts it there again.
 *
 * One transaction: the entries, which must all be held yet, the copies, an event for each entry (and, of what a primary
 * is yet to get, that it is readable, as an outage counts it) and a row of the audit log for each message, in the
 * account's name.  What may not be released is found out before, and once more by the lock.  A session may be older than
 * its account's suspension: that is asked, too.
 */
#include "storage/held_folder.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/carry_keyword.h"
#include "storage/db.h"
#include "storage/held_folder_rows.h"
#include "storage/hint.h"
#include "storage/mailbox.h"
#include "storage/mailbox_write.h"
#include "storage/queue_internal.h"

#define STATUS_DONE 200

/* The owner receives it, and nobody has held it that he must not overrule. */
#define MAY "(q.account_id is not distinct from f.account_id and q.held_by in ('limit', 'rule'))"

static const struct db_statement look = {
    "held_folder_entries",
    "select i.uid, i.message_id, q.id, coalesce(" MAY ", false)"
    "       and coalesce(p.owner_may_release in ('both', f.role), false)"
    "       and a.state <> 'suspended' and u.state = 'active'"
    "  from mailbox f join mailbox_message i on i.cell = f.cell and i.mailbox_id = f.id and i.uid = any($3::bigint[])"
    "  join account a on a.id = f.account_id join customer u on u.id = a.customer_id"
    "  left join continuity_policy p on p.domain_id = a.domain_id"
    "  left join lateral (select q.* from queue_entry q join message m on m.cell = q.cell and m.id = q.message_id"
    "              where q.cell + 0 = i.cell and q.message_id = i.message_id and " HELD_FOLDER_HELD(
        "q") "                and " HELD_FOLDER_ROLE("q") " = f.role"
                                                          "                and " HELD_FOLDER_OWNER(
                                                              "q",
                                                              "m") " = f.account_id) q on true"
                                                                   " where f.cell = $1::smallint and f.id = $2::bigint order by i.uid"};

#define THESE " q.id = any($2::bigint[]) and q.cell + 0 = $1::smallint" /* storage/queue_internal.h */
static const struct db_statement lock = {"held_folder_release_lock",
                                         "select q.id from queue_entry q where" THESE " order by q.id for update"};
static const struct db_statement require = {
    "held_folder_release_require",
    "select refuse('held_folder_over') from (select count(*) as n from queue_entry q where" THESE
    " and " HELD_FOLDER_HELD("q") " and q.held_by in ('limit', 'rule')) t where t.n <> $3::integer"};
static const struct db_statement event = {
    "held_folder_release_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select q.cell, k.id, $4::timestamptz, q.message_id, q.recipient, k.kind, k.detail"
    "   from unnest($2::bigint[], $3::bigint[], $6::bigint[]) e (id, decided_id, held_id)"
    "   join queue_entry q on q.id = e.id and q.cell + 0 = $1::smallint"
    "   cross join lateral (values (e.decided_id, 'decided', $5::text),"
    "     (case when q.destination <> 'mailbox' then e.held_id end, 'held', 'readable in INBOX')) k (id, kind, detail)"
    "  where k.id is not null"};
static const struct db_statement decide = {
    "held_folder_release",
    "update queue_entry q set held_until = now(), held_then = 'release', shown = true,"
    "   expires_at = q.expires_at + (now() - q.held_until), delay_at = q.delay_at + (now() - q.held_until) where" THESE};
/* What still goes to a primary says so, as what an outage has shown does; when it is there storage/carry_copy.h has it. */
static const struct db_statement mark = {
    "held_folder_release_mark",
    "update mailbox_message c set keywords = c.keywords || array['" CARRY_HELD "']"
    " where c.cell = $1::smallint and c.mailbox_id = $3::bigint and not c.keywords @> array['" CARRY_HELD "']"
    "   and c.message_id in (select q.message_id from queue_entry q where" THESE " and q.destination <> 'mailbox')"};
/* Behind the copying: else what was decided would be filed by nobody, as it is shown. */
static const struct db_statement there = {
    "held_folder_release_there",
    "select refuse('held_folder_over') from (select count(distinct message_id) as n from mailbox_message"
    "   where cell = $1::smallint and mailbox_id = $2::bigint and message_id = any($3::bigint[])) t where t.n <> $4::integer"};
static const struct db_statement audit = {
    "held_folder_audit",
    "insert into audit_log (id, token_id, method, path, status, detail)"
    " select u.id, 0, $3::text, u.path, $4::integer, $5::text from unnest($1::bigint[], $2::text[]) u (id, path)"};

struct release {
    struct arena *arena;
    const struct directory_account *account;
    const char *peer;
    struct mailbox_copying *copying;
    int16_t cell;
    int64_t *entries, *messages;
    unsigned entry_count, message_count;
};

static struct params *step(struct db_unit *unit, const struct db_statement *statement, const struct release *r)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, r->cell);
    params_int64s(p, r->entries, r->entry_count);
    return p;
}

static void add_event(struct db_unit *unit, const struct release *r)
{
    int64_t *ids = arena_array(r->arena, r->entry_count, sizeof *ids);
    int64_t *held = arena_array(r->arena, r->entry_count, sizeof *held);
    struct params *p = step(unit, &event, r);

    for (unsigned i = 0; i < r->entry_count; i++) {
        ids[i] = id_make((unsigned)r->cell);
        held[i] = id_make((unsigned)r->cell);
    }
    params_int64s(p, ids, r->entry_count);
    params_time(p, clock_now_ms());
    params_text(
        p, slice_str(arena_printf(r->arena, "release: %.*s has moved it to INBOX", SLICE_ARG(r->account->address))));
    params_int64s(p, held, r->entry_count);
}

static void add_audit(struct db_unit *unit, const struct release *r)
{
    int64_t *ids = arena_array(r->arena, r->message_count, sizeof *ids);
    struct slice *paths = arena_array(r->arena, r->message_count, sizeof *paths);
    struct params *p = db_unit_add(unit, &audit);
    char text[ID_TEXT_SIZE];

    for (unsigned i = 0; i < r->message_count; i++) {
        ids[i] = id_make(0);
        paths[i] = slice_str(arena_printf(r->arena, "/v1/messages/%s", id_print(r->messages[i], text)));
    }
    params_int64s(p, ids, r->message_count);
    params_texts(p, paths, r->message_count);
    params_text(p, slice_str(r->copying->move ? "MOVE" : "COPY"));
    params_int32(p, STATUS_DONE);
    params_text(p, slice_str(arena_printf(r->arena, "release by %.*s from %s", SLICE_ARG(r->account->address),
                                          r->peer ? r->peer : "nowhere")));
}

static void add_there(struct db_unit *unit, const struct release *r)
{
    struct params *p = db_unit_add(unit, &there);

    params_int16(p, r->cell);
    params_int64(p, r->account->inbox_id);
    params_int64s(p, r->messages, r->message_count);
    params_int32(p, (int32_t)r->message_count);
}

/* FOUND: r has all that is to be released.  NONE: *refusal says why not. */
static AWAITS enum db_status find_entries(struct release *r, enum held_folder_refusal *refusal)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, r->arena);
    params_int16(&params, r->cell);
    params_int64(&params, r->copying->from_id);
    params_int64s(&params, r->copying->uids, r->copying->count);
    *refusal = HELD_FOLDER_OVER;
    status = db_read(r->arena, &look, &params, &rows);
    if (status != DB_FOUND)
        return status;
    r->entries = arena_array(r->arena, rows_count(rows), sizeof *r->entries);
    r->messages = arena_array(r->arena, rows_count(rows), sizeof *r->messages);
    for (unsigned i = 0; i < rows_count(rows); i++) {
        if (row_is_null(rows, i, 2))
            return DB_NONE;
        if (!row_bool(rows, i, 3)) {
            *refusal = HELD_FOLDER_FORBIDDEN;
            return DB_NONE;
        }
        r->entries[r->entry_count++] = row_int64(rows, i, 2);
        if (!r->message_count || r->messages[r->message_count - 1] != row_int64(rows, i, 1))
            r->messages[r->message_count++] = row_int64(rows, i, 1);
    }
    return r->message_count == r->copying->count ? DB_FOUND : DB_NONE;
}

static AWAITS enum db_write release(struct release *r, enum held_folder_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(r->arena);
    enum db_write written;
    unsigned copy_step;

    switch (find_entries(r, refusal)) {
    case DB_FOUND: break;
    case DB_NONE: return DB_REFUSED;
    case DB_FAILED: return DB_UNDONE;
    }
    step(unit, &lock, r);
    params_int32(step(unit, &require, r), (int32_t)r->entry_count);
    add_event(unit, r);
    step(unit, &decide, r);
    add_audit(unit, r);
    copy_step = mailbox_copy_add(unit, r->copying);
    params_int64(step(unit, &mark, r), r->account->inbox_id);
    add_there(unit, r);
    written = queue_run_patiently(unit);
    if (written == DB_REFUSED)
        *refusal = HELD_FOLDER_OVER;
    if (written == DB_DONE && !mailbox_copy_done(unit, copy_step, r->copying))
        *refusal = HELD_FOLDER_GONE;
    return written == DB_DONE && !r->copying->copied ? DB_REFUSED : written;
}

enum db_write held_folder_release(const struct directory_account *account, const char *peer,
                                  struct mailbox_copying *copying, enum held_folder_refusal *refusal)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct release r = {.arena = arena,
                        .account = account,
                        .peer = peer,
                        .copying = copying,
                        .cell = (int16_t)id_cell(copying->from_id)};
    enum db_write written;

    copying->copied = 0;
    written = release(&r, refusal);
    arena_free(&arena);
    return written;
}
