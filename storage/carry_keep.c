/*
 * carry_keep: copies of delivered mail go when their time is over.
 *
 * One transaction for many rows of one cell: lock the rows of carry, raise the modseq of the mailboxes, list the
 * messages for release, remove the copies, remove the rows.  The lock is a statement of its own, so that the later ones
 * agree about which they are.  A copy whose account has another entry of the same message that still waits (two
 * addresses) stays until that has ended, and the row with it.
 *
 * A row whose copies are gone already, by their reader's hand or with the account, goes when its time comes.
 */
#include "storage/carry_keep.h"

#define LOG_MODULE "carry"
#include "core/arena.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/hint.h"
#include "storage/maintenance.h"
#include "storage/outage_read.h"

#define ROWS_AT_ONCE 200
#define ROWS_A_RUN 5000

#define OVER(alias)                                                                                                    \
    " " alias ".state = 'kept' and " alias ".due_at <= now()"                                                          \
    " and not exists (select from queue_entry q where q.cell + 0 = " alias ".cell and q.message_id = " alias           \
    ".message_id"                                                                                                      \
    "                    and q.account_id = " alias ".account_id)"
#define THESE                                                                                                          \
    " from unnest($2::bigint[], $3::bigint[]) u (account_id, message_id)"                                              \
    " join carry k on k.cell = $1::smallint and k.account_id = u.account_id and k.message_id = u.message_id and" OVER( \
        "k")
#define COPIES                                                                                                         \
    THESE " join mailbox b on b.cell = k.cell and b.account_id = k.account_id"                                         \
          " join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id and i.message_id = k.message_id"

static const struct db_statement due = {"carry_keep_due",
                                        "select k.cell, k.account_id, k.message_id from carry k"
                                        " where k.cell = any($1::smallint[]) and" OVER(
                                            "k") " order by k.cell, k.account_id, k.message_id limit $2::integer"};
static const struct db_statement lock = {"carry_keep_lock", "select k.message_id" THESE
                                                            " order by k.account_id, k.message_id for update of k"};
static const struct db_statement bump = {
    "carry_keep_bump",
    "update mailbox m set modseq = m.modseq + 1"
    "  from (select x.cell, x.id from mailbox x where x.cell = $1::smallint and x.id in (select b.id" COPIES
    ") order by x.id for update) w where m.cell = w.cell and m.id = w.id returning m.id"};
/* With copy_keep_days 0 they go before their outage is counted. */
static const struct db_statement read = {
    "carry_keep_read", "insert into outage_read as r (cell, message_id, account_id, flags)"
                       " select i.cell, i.message_id, k.account_id, bit_or(i.flags & 3)" COPIES
                       "  where i.flags & 3 <> 0 and" OUTAGE_READ_COUNTS " group by 1, 2, 3 order by 1, 2, 3"
                       " on conflict (cell, message_id, account_id) do update set flags = r.flags | excluded.flags"};
static const struct db_statement release = {"carry_keep_release", "insert into message_release (cell, message_id)"
                                                                  " select distinct i.cell, i.message_id" COPIES
                                                                  " order by 1, 2" RELEASE_LISTED};
static const struct db_statement expunge = {
    "carry_keep_expunge", "delete from mailbox_message c using (select i.cell, i.mailbox_id, i.uid" COPIES ") w"
                          " where c.cell = w.cell and c.mailbox_id = w.mailbox_id and c.uid = w.uid"};
static const struct db_statement end = {
    "carry_keep_end", "delete from carry c using (select k.cell, k.account_id, k.message_id" THESE ") w"
                      " where c.cell = w.cell and c.account_id = w.account_id and c.message_id = w.message_id"};

static AWAITS bool forget(unsigned cell, const int64_t *accounts, const int64_t *messages, unsigned count)
{
    static const struct db_statement *const steps[] = {&lock, &bump, &read, &release, &expunge, &end};
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    bool done;

    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct params *p = db_unit_add(unit, steps[i]);

        params_int16(p, (int16_t)cell);
        params_int64s(p, accounts, count);
        params_int64s(p, messages, count);
    }
    done = db_unit_run(unit) == DB_DONE;
    if (done)
        for (unsigned i = 0; i < rows_count(unit->steps[1].rows); i++)
            hint_mailbox_changed(row_int64(unit->steps[1].rows, i, 0));
    else
        log_info("left for the next run", log_str("what", "copies whose time is over"),
                 log_str("error", unit->error.message));
    arena_free(&arena);
    return done;
}

/* True: there may be more. */
static AWAITS bool forget_some(const int16_t *cells, unsigned cell_count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows;
    bool more = false;

    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, ROWS_AT_ONCE);
    if (db_read(arena, &due, &params, &rows) == DB_FOUND) {
        unsigned count = rows_count(rows);
        int64_t *accounts = arena_array(arena, count, sizeof *accounts);
        int64_t *messages = arena_array(arena, count, sizeof *messages);

        more = count == ROWS_AT_ONCE;
        for (unsigned i = 0; i < count;) {
            unsigned cell = (unsigned)row_int64(rows, i, 0), n = 0;

            for (; i < count && (unsigned)row_int64(rows, i, 0) == cell; i++, n++) {
                accounts[n] = row_int64(rows, i, 1);
                messages[n] = row_int64(rows, i, 2);
            }
            if (!forget(cell, accounts, messages, n))
                more = false;
        }
    }
    arena_free(&arena);
    return more;
}

void carry_keep_run(const int16_t *cells, unsigned cell_count)
{
    for (unsigned done = 0; done < ROWS_A_RUN && forget_some(cells, cell_count); done += ROWS_AT_ONCE)
        ;
}
