/*
 * carry: the list of work.
 *
 * Beginning is one update that moves due_at ahead and writes down whose turn it is (holder): whoever finds due_at in
 * the past has it, and has it alone until then.  Nobody holds a lock while a primary is talked to.  A worker that dies
 * leaves the row to the next one, who finds in attempts that somebody may have been here, and in carry_place what he has
 * done.  One that comes back late, when another has begun, finds that it is not his turn, whatever he wants to write.
 *
 * A reader goes on reading while his copies are carried.  What is told to the primary is what carry_copies() read;
 * carry_done() compares, and a copy that is not as it was, or is new, makes the row due once more.
 *
 * Accounts are found one after the other by an index of what waits, from where the last look ended, ACCOUNTS_MAX at most
 * and ACCOUNTS_WALKED that have nothing due: so a look costs the same whatever waits.  Rejected: to read what is due in
 * the order of its time, where one account with very much hides all others.
 *
 * Without a way into the mailboxes what was made here stays here, and only what was sent is of use to anybody
 * (daemon/carry_send.c).
 */
#include "storage/carry.h"

#include <string.h>

#include "core/id.h"
#include "storage/carry_copy.h"
#include "storage/carry_place.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

#define ACCOUNTS_MAX 16
#define CERTAIN_WAIT_MS 5000
#define ACCOUNTS_WALKED 1000

/*
 * From ($2, $3) on, cell by cell.  The last row, whose first column is null, is where the walk ended; there is none if
 * that was the end.  The orders are those of the index carry_waiting, so that no other one will do.
 */
static const struct db_statement due_accounts = {
    "carry_accounts",
    "with recursive first as materialized ("
    "  select k.cell, k.account_id from unnest($1::smallint[]) c (cell) cross join lateral ("
    "      select k.cell, k.account_id from carry k where k.cell = c.cell and k.state = 'waiting'"
    "       order by k.account_id, k.due_at limit 1) k),"
    " walk as ("
    "  select $2::smallint as cell, $3::bigint as account_id, 0 as n"
    "  union all"
    "  select k.cell, k.account_id, w.n + 1 from walk w cross join lateral ("
    "      (select k.cell, k.account_id from carry k"
    "        where k.cell = w.cell and k.account_id > w.account_id and k.state = 'waiting'"
    "        order by k.account_id, k.due_at limit 1)"
    "      union all"
    "      (select f.cell, f.account_id from first f where f.cell > w.cell order by f.cell limit 1)"
    "      limit 1) k"
    "   where w.n < $5::integer),"
    " due as materialized ("
    "  select w.cell, w.account_id, w.n, k.domain_id from walk w cross join lateral ("
    "      select k.domain_id from carry k where k.cell = w.cell and k.account_id = w.account_id and k.state = 'waiting'"
    "         and k.due_at <= now() order by k.due_at, k.message_id limit 1) k"
    "   where w.n > 0 and w.cell = any($1::smallint[])"
    "     and not exists (select from outage o where o.cell = w.cell and o.domain_id = k.domain_id and o.ended_at is null)"
    "   order by w.n limit $4::integer)"
    " (select d.account_id, d.cell, d.domain_id, a.customer_id, a.address from due d left join account a"
    "     on a.id = d.account_id order by d.n)"
    " union all"
    " (select null, w.cell, w.account_id, null, null from ("
    "     (select d.cell, d.account_id from due d where (select count(*) from due) = $4::integer order by d.n desc limit 1)"
    "     union all (select cell, account_id from walk where n = $5::integer)) w limit 1)"};
static const struct db_statement due_items = {
    "carry_items",
    "select k.message_id, k.kind, k.made_at, coalesce(x.size, 0), coalesce(x.protocol <> 'IMAP', false), k.attempts,"
    "       exists (select from carry_place p where p.cell = k.cell and p.account_id = k.account_id"
    "                and p.message_id = k.message_id), x.id is null and (k.kind <> 'mailbox'"
    "           or not exists (select from mailbox b where b.cell = k.cell and b.id = k.message_id))"
    "  from (select * from carry where cell = $1::smallint and account_id = $2::bigint and state = 'waiting'"
    "           and due_at <= now() order by due_at, message_id limit $3::integer) k"
    "  left join message x on x.cell = k.cell and x.id = k.message_id order by k.due_at, k.message_id"};
#define THIS " where cell = $1::smallint and account_id = $2::bigint and message_id = $3::bigint"
#define HELD THIS " and state = 'waiting' and holder = $4::bigint"
static const struct db_statement begin = {
    "carry_begin", "update carry set due_at = now() + $5::integer * interval '1 ms', attempts = attempts + 1,"
                   "       holder = $4::bigint, sent_as = coalesce(sent_as, $6::bigint)" THIS
                   "   and state = 'waiting' and (due_at <= now() or holder = $4::bigint) returning sent_as"};
static const struct db_statement extend = {
    "carry_extend",
    "update carry set due_at = greatest(due_at, now() + $5::integer * interval '1 ms')" HELD " returning 1"};
static const struct db_statement done = {
    "carry_done",
    "update carry k set note = $8::text, attempts = 0, holder = null,"
    "       state = case when n.changed then 'waiting' else 'kept' end,"
    "       due_at = case when n.changed then now() else now() + make_interval(days => coalesce("
    "           (select p.copy_keep_days from continuity_policy p where p.domain_id = k.domain_id), $9::integer)) end"
    "  from (select not $10::boolean and exists (select from mailbox b"
    "      join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    "     where b.cell = $1::smallint and b.account_id = $2::bigint and i.message_id = $3::bigint"
    "       and not exists (select from unnest($5::bigint[], $6::bigint[], $7::bigint[]) u (mailbox_id, uid, modseq)"
    "           where u.mailbox_id = i.mailbox_id and u.uid = i.uid and u.modseq = i.modseq)"
    "       and not exists (select from carry_place p where p.cell = $1::smallint and p.account_id = $2::bigint"
    "           and p.message_id = $3::bigint and p.mailbox_id = i.mailbox_id and p.uid = i.uid"
    "           and p.modseq = i.modseq)) as changed) n"
    " where k.cell = $1::smallint and k.account_id = $2::bigint and k.message_id = $3::bigint and k.state = 'waiting'"
    "   and k.holder = $4::bigint returning 1"};
static const struct db_statement forget = {"carry_forget", "delete from carry" HELD " returning 1"};
static const struct db_statement put_off = {
    "carry_put_off",
    "update carry set due_at = now() + $5::bigint * interval '1 ms', note = $6::text, holder = null" HELD " returning 1"};
/* What somebody has begun is not due. */
static const struct db_statement put_off_all = {
    "carry_put_off_all", "update carry set due_at = now() + $3::bigint * interval '1 ms', note = $4::text"
                         " where cell = $1::smallint and account_id = $2::bigint and state = 'waiting' and due_at <= now()"};
static const struct db_statement drop_account = {
    "carry_drop_account",
    "delete from carry k where k.cell = $1::smallint and k.account_id = $2::bigint and k.state = 'waiting'"
    "   and k.message_id in (select message_id from carry where cell = $1::smallint and account_id = $2::bigint"
    "     and state = 'waiting' and due_at <= now() order by due_at, message_id limit 1000)"
    "   and not exists (select from account where id = $2::bigint)"};
static const struct db_statement mailbox = {"carry_mailbox",
                                            "select name from mailbox where cell = $1::smallint and id = $2::bigint"};
static const struct db_statement sent = {"carry_sent",
                                         "select 1 from message where cell = $1::smallint and id = $2::bigint"};

static struct params *step(struct db_unit *unit, const struct db_statement *statement, const struct carry_item *item)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)id_cell(item->account_id));
    params_int64(p, item->account_id);
    params_int64(p, item->message_id);
    params_int64(p, item->holder);
    return p;
}

/* Of a statement that says whether it found its row. */
static enum db_write held(const struct db_unit *unit, enum db_write written)
{
    return written == DB_DONE && !rows_count(unit->steps[0].rows) ? DB_REFUSED : written;
}

/* ------------------------------------------------------------------ reading */

/* Rows of an account that is gone; nobody would begin them. */
static AWAITS void drop(int64_t account_id, unsigned cell)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &drop_account);

    params_int16(p, (int16_t)cell);
    params_int64(p, account_id);
    if (db_unit_run(unit) != DB_DONE) {
        /* the next round comes by */
    }
    arena_free(&arena);
}

enum db_status carry_accounts(struct arena *arena, const int16_t *cells, unsigned cell_count, struct carry_account **out,
                              unsigned *count)
{
    static int64_t after_cell = -1, after_account;
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int16(&params, (int16_t)after_cell);
    params_int64(&params, after_account);
    params_int32(&params, ACCOUNTS_MAX);
    params_int32(&params, ACCOUNTS_WALKED);
    status = db_read(arena, &due_accounts, &params, &rows);
    if (status == DB_FAILED)
        return status;
    after_cell = -1;
    after_account = 0;
    *out = arena_array(arena, rows_count(rows) + 1, sizeof **out);
    for (unsigned i = 0; i < rows_count(rows); i++) {
        if (row_is_null(rows, i, 0)) {
            after_cell = row_int64(rows, i, 1);
            after_account = row_int64(rows, i, 2);
        } else if (row_is_null(rows, i, 3)) {
            drop(row_int64(rows, i, 0), (unsigned)row_int64(rows, i, 1));
        } else {
            (*out)[(*count)++] = (struct carry_account){row_int64(rows, i, 0), row_int64(rows, i, 2),
                                                        row_int64(rows, i, 3), row_text(rows, i, 4)};
        }
    }
    return *count ? DB_FOUND : DB_NONE;
}

static enum carry_kind kind_of(struct slice word)
{
    return slice_equal(word, SLICE("made"))      ? CARRY_KIND_MADE
           : slice_equal(word, SLICE("sent"))    ? CARRY_KIND_SENT
           : slice_equal(word, SLICE("mailbox")) ? CARRY_KIND_MAILBOX
                                                 : CARRY_KIND_DELIVERED;
}

enum db_status carry_items(struct arena *arena, int64_t account_id, unsigned limit, struct carry_item **out,
                           unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(account_id));
    params_int64(&params, account_id);
    params_int32(&params, (int32_t)limit);
    status = db_read(arena, &due_items, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); ++*count)
        (*out)[*count] = (struct carry_item){
            .account_id = account_id,
            .message_id = row_int64(rows, *count, 0),
            .kind = kind_of(row_text(rows, *count, 1)),
            .made_ms = row_time(rows, *count, 2),
            .size = (uint64_t)row_int64(rows, *count, 3),
            .traced = row_bool(rows, *count, 4),
            .attempts = (unsigned)row_int64(rows, *count, 5),
            .placed = row_bool(rows, *count, 6),
            .gone = row_bool(rows, *count, 7),
        };
    return DB_FOUND;
}

enum db_status carry_mailbox_name(struct arena *arena, const struct carry_item *item, struct slice *out)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(item->account_id));
    params_int64(&params, item->message_id);
    status = db_read(arena, &mailbox, &params, &rows);
    if (status == DB_FOUND)
        *out = row_text(rows, 0, 0);
    return status;
}

enum db_status carry_sent(int64_t message_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(message_id));
    params_int64(&params, message_id);
    status = db_read(arena, &sent, &params, &rows);
    arena_free(&arena);
    return status;
}

/* ------------------------------------------------------------------ writing */

enum db_write carry_begin(struct carry_item *item, unsigned lease_ms)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p;
    enum db_write written;

    item->holder = id_make(id_cell(item->account_id));
    p = step(unit, &begin, item);
    params_int32(p, (int32_t)lease_ms);
    params_int64(p, id_make(id_cell(item->account_id)));
    written = db_unit_run(unit);
    if (written == DB_UNCERTAIN && db_certain_wait(CERTAIN_WAIT_MS))
        written = db_unit_run(unit); /* it may be ours already: the number says so */
    written = held(unit, written);
    if (written == DB_DONE)
        item->sent_as = row_int64(unit->steps[0].rows, 0, 0);
    arena_free(&arena);
    return written;
}

enum db_write carry_extend(const struct carry_item *item, unsigned lease_ms)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    params_int32(step(unit, &extend, item), (int32_t)lease_ms);
    written = held(unit, db_unit_run(unit));
    arena_free(&arena);
    return written;
}

enum db_write carry_done(const struct carry_item *item, const struct carry_copy *list, unsigned count, bool final,
                         struct slice note)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int64_t *columns[3];
    struct params *p = step(unit, &done, item);
    enum db_write written;

    for (unsigned i = 0; i < 3; i++)
        columns[i] = arena_array(arena, count + 1, sizeof **columns);
    for (unsigned i = 0; i < count; i++) {
        columns[0][i] = list[i].mailbox_id;
        columns[1][i] = list[i].uid;
        columns[2][i] = list[i].modseq;
    }
    for (unsigned i = 0; i < 3; i++)
        params_int64s(p, columns[i], count);
    params_text(p, note);
    params_int32(p, CARRY_COPY_KEEP_DAYS);
    params_bool(p, final);
    written = held(unit, queue_run_patiently(unit));
    arena_free(&arena);
    return written;
}

enum db_write carry_forget(const struct carry_item *item)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    step(unit, &forget, item);
    written = held(unit, queue_run_patiently(unit));
    arena_free(&arena);
    return written;
}

enum db_write carry_put_off(const struct carry_item *item, uint64_t delay_ms, struct slice note)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = step(unit, &put_off, item);
    enum db_write written;

    params_int64(p, (int64_t)delay_ms);
    params_text(p, note);
    written = held(unit, db_unit_run(unit));
    arena_free(&arena);
    return written;
}

enum db_write carry_put_off_all(int64_t account_id, uint64_t delay_ms, struct slice note)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &put_off_all);
    enum db_write written;

    params_int16(p, (int16_t)id_cell(account_id));
    params_int64(p, account_id);
    params_int64(p, (int64_t)delay_ms);
    params_text(p, note);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}
