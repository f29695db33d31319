/*
 * show: puts queue entries into their readers' INBOXes.
 *
 * One transaction in one cell: lock the entries, take UIDs, add mailbox rows, mark the entries, record the event.  The
 * lock comes first and in a statement of its own, so that the later ones, which see a newer snapshot, work on entries
 * that nobody can deliver or show meanwhile; one that was delivered before is no longer there and is passed over.
 *
 * One message for two addresses of one account is two entries but one copy: the set below is distinct by
 * (INBOX, message), and leaves out what the INBOX has.
 *
 * Whether the INBOX has the message is asked by message; the order is that of the index mailbox_message_message, so that
 * no other one will do.  A planner that had not heard yet of what has just come read all of the INBOX for each entry:
 * 50,000 that waited took minutes.
 *
 * A copy says by its keyword that it is still to be delivered (storage/carry_copy.h).
 *
 * UIDs are taken by adding the number of new rows to uidnext and counting back from there: two statements that need no
 * answer in between, so the whole is one round trip.
 */
#include "storage/show.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/carry_keyword.h"
#include "storage/db.h"
#include "storage/hint.h"

#define SHOW_TRIES 5

#define SHOW_SET                                                                                                       \
    "(select distinct on (a.inbox_id, q.message_id) a.inbox_id, q.message_id, q.id"                                    \
    "   from queue_entry q join account a on a.id = q.account_id"                                                      \
    "  where q.id = any($2::bigint[]) and q.cell + 0 = $1::smallint and not q.shown"                                   \
    "    and not exists (select from (select mm.mailbox_id from mailbox_message mm where mm.cell = $1::smallint"       \
    "                       and mm.message_id >= q.message_id and mm.message_id <= q.message_id"                       \
    "                       order by mm.message_id limit 100000) k where k.mailbox_id = a.inbox_id)"                   \
    "  order by a.inbox_id, q.message_id, q.id)"

static const struct db_statement show_lock = {
    "show_lock", "select id from queue_entry where id = any($2::bigint[]) and cell + 0 = $1::smallint and not shown"
                 "   and account_id is not null order by id for update"};
static const struct db_statement show_uids = {
    "show_uids", "update mailbox m set uidnext = m.uidnext + w.n, modseq = m.modseq + 1"
                 "  from (select inbox_id, count(*) as n from " SHOW_SET " s group by inbox_id) w"
                 " where m.cell = $1::smallint and m.id = w.inbox_id returning m.id"};
static const struct db_statement show_insert = {
    "show_insert",
    "insert into mailbox_message (cell, mailbox_id, uid, message_id, keywords, internal_at, size, modseq)"
    " select $1::smallint, s.inbox_id,"
    "        m.uidnext - count(*) over (partition by s.inbox_id)"
    "          + row_number() over (partition by s.inbox_id order by s.id) - 1,"
    "        s.message_id, array['" CARRY_HELD "'], x.received_at, x.size, m.modseq"
    "   from " SHOW_SET " s"
    "   join mailbox m on m.cell = $1::smallint and m.id = s.inbox_id"
    "   join message x on x.cell = $1::smallint and x.id = s.message_id"};
static const struct db_statement show_event = {
    "show_event", "insert into event (cell, id, at, message_id, recipient, kind, detail)"
                  " select q.cell, e.event_id, $4::timestamptz, q.message_id, q.recipient, 'held', 'readable in INBOX'"
                  "   from unnest($2::bigint[], $3::bigint[]) e (id, event_id)"
                  "   join queue_entry q on q.id = e.id and q.cell + 0 = $1::smallint"
                  "  where not q.shown and q.account_id is not null"};
static const struct db_statement show_mark = {
    "show_mark", "update queue_entry set shown = true where id = any($2::bigint[]) and cell + 0 = $1::smallint"
                 "   and account_id is not null and not shown"};

static struct params *step(struct db_unit *unit, const struct db_statement *statement, unsigned cell,
                           const int64_t *ids, unsigned count)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)cell);
    params_int64s(p, ids, count);
    return p;
}

static AWAITS enum db_write show_once(struct arena *arena, unsigned cell, const int64_t *ids, unsigned count,
                                      unsigned *shown)
{
    struct db_unit *unit = db_unit_new(arena);
    int64_t *events = arena_array(arena, count, sizeof *events);
    struct params *p;
    enum db_write written;

    for (unsigned i = 0; i < count; i++)
        events[i] = id_make(cell);
    step(unit, &show_lock, cell, ids, count);
    step(unit, &show_uids, cell, ids, count);
    step(unit, &show_insert, cell, ids, count);
    p = step(unit, &show_event, cell, ids, count);
    params_int64s(p, events, count);
    params_time(p, clock_now_ms());
    step(unit, &show_mark, cell, ids, count);
    written = db_unit_run(unit);
    if (written != DB_DONE)
        return written;
    *shown = rows_affected(unit->steps[4].rows);
    for (unsigned i = 0; i < rows_count(unit->steps[1].rows); i++)
        hint_mailbox_changed(row_int64(unit->steps[1].rows, i, 0));
    return DB_DONE;
}

enum db_write show_entries(unsigned cell, const int64_t *entry_ids, unsigned count, unsigned *shown)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_CONFLICT;

    *shown = 0;
    for (unsigned tries = 0; tries < SHOW_TRIES && written == DB_CONFLICT; tries++) {
        arena_reset(arena);
        written = show_once(arena, cell, entry_ids, count, shown);
    }
    arena_free(&arena);
    return written;
}
