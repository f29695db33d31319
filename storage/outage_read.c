/*
 * outage_read: the flags of copies that are removed.
 *
 * Only of mail that was shown in an outage: its entry in the queue says so, or the row of carry that its delivery leaves.
 * And only while there is an outage in the cell that is not counted, so that deleting costs others a look into the cache.
 *
 * Rejected: an event for each message that is read, which is a write for each \Seen; to count only what is left, which
 * calls all unread that POP3 has collected.
 */
#include "storage/outage_read.h"

#include "core/id.h"
#include "storage/cache.h"
#include "storage/db.h"

#define WANTED_AGE_MS 1000 /* outage_report does not tell of its changes */

static const struct db_statement wanted = {"outage_read_wanted", "select" OUTAGE_READ_COUNTS};

#define KEEP(which)                                                                                                    \
    "insert into outage_read as r (cell, message_id, account_id, flags)"                                               \
    " select i.cell, i.message_id, b.account_id, bit_or(i.flags & 3)"                                                  \
    "   from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"                              \
    "  where b.cell = $1::smallint and b.id = $2::bigint and i.flags & 3 <> 0" which                                   \
    "    and (exists (select from queue_entry q where q.message_id = i.message_id and q.cell + 0 = i.cell"             \
    "                    and q.account_id = b.account_id and q.shown)"                                                 \
    "      or exists (select from carry k where k.cell = i.cell and k.account_id = b.account_id"                       \
    "                    and k.message_id = i.message_id))"                                                            \
    "  group by 1, 2, 3 order by 1, 2, 3"                                                                              \
    " on conflict (cell, message_id, account_id) do update set flags = r.flags | excluded.flags"

static const struct db_statement keep_some = {
    "outage_read_some", KEEP(" and i.uid = any($3::bigint[]) and (not $4::boolean or i.flags & 8 <> 0)")};
static const struct db_statement keep_all = {"outage_read_all", KEEP("")};

bool outage_read_wanted(int64_t mailbox_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows = NULL;
    bool yes;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(mailbox_id));
    yes = cache_read(arena, &wanted, &params, WANTED_AGE_MS, &rows) == DB_FOUND && row_bool(rows, 0, 0);
    arena_free(&arena);
    return yes;
}

void outage_read_add(struct db_unit *unit, int64_t mailbox_id, const int64_t *uids, unsigned count, bool only_deleted)
{
    struct params *p = db_unit_add(unit, uids ? &keep_some : &keep_all);

    params_int16(p, (int16_t)id_cell(mailbox_id));
    params_int64(p, mailbox_id);
    if (uids) {
        params_int64s(p, uids, count);
        params_bool(p, only_deleted);
    }
}
