/*
 * file: queue entries into mailboxes.
 *
 * The lock comes first and in a statement of its own: the later ones, which see a newer snapshot, agree about which
 * entries are still ours.  UIDs are taken by adding to uidnext and counting back from it (as in show.c).  An account
 * that is gone, or takes no mail, joins to nothing: its mailbox becomes null, and the NOT NULL constraint refuses the
 * whole, so nothing is lost silently.  What its owner has released is in his INBOX already (`shown`): it only ends.
 *
 * INTERNALDATE is the time of filing (RFC 3501 2.3.3: of final delivery), not of acceptance.
 */
#include "storage/file.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/hint.h"
#include "storage/maintenance.h"
#include "storage/queue_internal.h"

#define FILE_PATIENCE_MS 60000
#define FILE_PAUSE_MS 50

#define THESE QUEUE_ENTRIES " and " QUEUE_ENTRY_OF("$3::smallint")

static const struct db_statement lock = {"file_lock", "select q.id" THESE " order by q.cell, q.id for update of q"};
static const struct db_statement uids = {
    "file_uids", "update mailbox m set uidnext = m.uidnext + w.n, modseq = m.modseq + 1"
                 "  from (select q.cell, a.inbox_id, count(*) as n" THESE
                 "          join account a on a.id = q.account_id where not q.shown group by q.cell, a.inbox_id) w"
                 " where m.cell = w.cell and m.id = w.inbox_id returning m.id"};
static const struct db_statement insert = {
    "file_insert",
    "insert into mailbox_message (cell, mailbox_id, uid, message_id, internal_at, size, modseq)"
    " select q.cell, m.id,"
    "        m.uidnext - count(*) over (partition by m.id) + row_number() over (partition by m.id order by q.id) - 1,"
    "        q.message_id, now(), x.size, m.modseq" THESE "   join message x on x.cell = q.cell and x.id = q.message_id"
    "   left join (account a join customer c on c.id = a.customer_id and c.state = 'active')"
    "          on a.id = q.account_id and a.state in ('active', 'receive-only')"
    "   left join mailbox m on m.cell = q.cell and m.id = a.inbox_id where not q.shown"};
static const struct db_statement event = {
    "file_event", "insert into event (cell, id, at, message_id, recipient, kind)"
                  " select q.cell, e.event_id, $5::timestamptz, q.message_id, q.recipient, 'filed'" THESE
                  "   join unnest($2::bigint[], $4::bigint[]) e (id, event_id) on e.id = q.id"};
static const struct db_statement listing = {
    "file_listing", "insert into message_release (cell, message_id) select distinct q.cell, q.message_id" THESE
                    "  order by 1, 2" RELEASE_LISTED};
static const struct db_statement end = {
    "file_end", "delete from queue_entry q using " QUEUE_LIST("$1::smallint[], $2::bigint[]",
                                                              "cell, id") " where " QUEUE_ENTRY_IS
                                                                          " and " QUEUE_ENTRY_OF("$3::smallint")};

unsigned file_add(struct db_unit *unit, const int64_t *entry_ids, unsigned count)
{
    static const struct db_statement *const steps[] = {&lock, &uids, &insert, &event, &listing, &end};
    int16_t *cells = arena_array(unit->arena, count, sizeof *cells);
    int64_t *events = arena_array(unit->arena, count, sizeof *events);
    unsigned uid_step = unit->count + 1;

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)id_cell(entry_ids[i]);
        events[i] = id_make(id_cell(entry_ids[i]));
    }
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct params *p = db_unit_add(unit, steps[i]);

        params_int16s(p, cells, count);
        params_int64s(p, entry_ids, count);
        params_int16(p, (int16_t)id_worker());
        if (steps[i] == &event) {
            params_int64s(p, events, count);
            params_time(p, clock_now_ms());
        }
    }
    return uid_step;
}

void file_tell(const struct rows *rows)
{
    for (unsigned i = 0; i < rows_count(rows); i++)
        hint_mailbox_changed(row_int64(rows, i, 0));
}

enum db_write file_entries(const int64_t *entry_ids, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    unsigned uid_step = file_add(unit, entry_ids, count);
    uint64_t give_up = clock_steady_ms() + FILE_PATIENCE_MS, now;
    enum db_write written = queue_run_patiently(unit);
    bool doubtful;

    /* Once more, until there is an answer: what was done is not done again, what was not is. */
    doubtful = written == DB_UNCERTAIN;
    while (doubtful && (written == DB_UNCERTAIN || written == DB_UNDONE) && (now = clock_steady_ms()) < give_up) {
        db_certain_wait((unsigned)(give_up - now));
        task_sleep(FILE_PAUSE_MS);
        written = queue_run_patiently(unit);
    }
    if (written == DB_DONE)
        file_tell(unit->steps[uid_step].rows);
    arena_free(&arena);
    return written;
}
