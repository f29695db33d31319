/*
 * outage_report: what is to be done when an outage has ended.
 *
 * A large outage is millions of events among those of the whole cell.  So ending it is one row, and all that grows with
 * it is done here, in pages of events (by id) and of messages (by the time at which they were stored); how far that is
 * stands in outage_report, written by the transaction of the page, so that no page counts twice and a worker that dies
 * leaves nothing half done.  A page that takes longer than a statement may is halved, one that does not is doubled:
 * however slow the database is, it goes on.
 *
 * What was sent: each row of sent_copy of the outage, once, whenever it comes: one whose transaction was on its way when
 * the outage ended is found by the next look.  What was made (APPENDed): by the time at which it was stored, not by
 * INTERNALDATE, which a client says; a second look a minute later finds what was on its way.  Two seconds are added, as
 * nobody who reads mail can know to the second that the outage is over.
 *
 * What is here since an earlier outage: copies that are not as they were told, or of which there was nothing to tell
 * and is now.  Their rows of carry are kept as long as the copies; the domain's are gone through, and wait once more.
 *
 * Mailboxes, also empty ones: by the time at which they were made, which is in their ids.  Those of an account's own
 * beginning (INBOX, Sent and so on) are none that anybody has made.
 *
 * Without a way into the mailboxes what was made stays here.
 *
 * Rejected: counters in the outage's row, which each acceptance and delivery would have to lock; a longer time limit
 * for this statement, which would be too short for somebody.
 */
#include "storage/outage_report.h"

#include "core/id.h"
#include "storage/carry_keyword.h"
#include "storage/db.h"

#define LIST_MAX 200
#define PAGE_MIN 20
#define PAGE_MAX 2000

/* A minute: no transaction takes as long. */
static const struct db_statement list = {
    "outage_report_list",
    "select w.outage_id, w.counted_to is not null, w.sent, w.looking, w.due and not w.looking and not w.looked_again,"
    "       w.looked_again and not w.looking and w.kept_account is null and w.mailboxes_to is null,"
    "       w.kept_account is not null, w.mailboxes_to is not null"
    "  from (select r.*, now() >= r.ended_at + interval '1 minute' as due,"
    "               exists (select from sent_copy s where s.cell = r.cell and s.outage_id = r.outage_id"
    "                          and s.submitted and not s.collected) as sent"
    "          from outage_report r where r.cell = any($1::smallint[])) w"
    " where w.counted_to is not null or w.sent or w.looking or w.due or w.looked_again or w.kept_account is not null"
    "    or w.mailboxes_to is not null"
    " order by w.due, w.outage_id limit $2::integer"};
static const struct db_statement count_page = {
    "outage_count", "select outage_count($1::bigint, $2::smallint, $3::bigint, $4::integer)"};
/* As sent, also what its mail program had filed before, which is found as made, too. */
static const struct db_statement list_sent = {
    "outage_report_sent",
    "with next as (select s.account_id, s.digest, s.message_id from sent_copy s"
    "   where s.cell = $1::smallint and s.outage_id = $2::bigint and s.submitted and not s.collected"
    "   order by s.account_id, s.digest limit $3::integer for update),"
    " marked as (update sent_copy s set collected = true from next"
    "   where s.cell = $1::smallint and s.account_id = next.account_id and s.digest = next.digest),"
    " listed as (insert into carry (cell, account_id, message_id, domain_id, kind, state, due_at)"
    "   select distinct o.cell, a.id, next.message_id, a.domain_id, 'sent', 'waiting', now()"
    "     from next join outage o on o.cell = $1::smallint and o.id = $2::bigint"
    "     join account a on a.id = next.account_id and (a.domain_id = o.domain_id or a.id = o.account_id)"
    "    where exists (select from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    "                   where b.cell = o.cell and b.account_id = a.id and i.message_id = next.message_id)"
    "    order by 1, 2, 3 on conflict (cell, account_id, message_id)"
    "    do update set kind = 'sent' where carry.kind = 'made' and carry.state = 'waiting')"
    " select count(*) from next"};
static const struct db_statement list_made = {
    "outage_report_made",
    "with r as materialized (select * from outage_report where cell = $1::smallint and outage_id = $2::bigint"
    "   and looking for update),"
    " page as materialized (select x.received_at, x.id, x.protocol, x.account_id from message x"
    "   where x.cell = $1::smallint and x.received_at >= (select looked_at from r)"
    "     and (x.received_at, x.id) > ((select looked_at from r), (select looked_to from r))"
    "     and x.received_at <= (select ended_at + interval '2 seconds' from r)"
    "   order by x.received_at, x.id limit $3::integer),"
    " listed as (insert into carry (cell, account_id, message_id, domain_id, kind, state, due_at)"
    "   select o.cell, a.id, page.id, a.domain_id, 'made', 'waiting', now()"
    "     from page join outage o on o.cell = $1::smallint and o.id = $2::bigint"
    "     join account a on a.id = page.account_id and (a.domain_id = o.domain_id or a.id = o.account_id)"
    "     join imap_access m on m.domain_id = a.domain_id"
    "    where page.protocol = 'IMAP'"
    "      and exists (select from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    "                   where b.cell = o.cell and b.account_id = a.id and i.message_id = page.id)"
    "    order by 1, 2, 3 on conflict (cell, account_id, message_id) do nothing),"
    " last as (select received_at, id from page order by received_at desc, id desc limit 1)"
    " update outage_report t set looking = (select count(*) from page) = $3::integer,"
    "        looked_at = coalesce((select received_at from last), t.looked_at),"
    "        looked_to = coalesce((select id from last), t.looked_to)"
    "   from r where t.cell = r.cell and t.outage_id = r.outage_id returning t.looking"};
/* A copy in INBOX without flags is as it was delivered.  What has a note could not be found, and will not be now. */
static const struct db_statement list_kept = {
    "outage_report_kept",
    "with r as materialized (select t.cell, t.outage_id, t.kept_account, t.kept_message, o.account_id,"
    "          coalesce(o.domain_id, (select domain_id from account where id = o.account_id)) as domain_id"
    "   from outage_report t join outage o on o.cell = t.cell and o.id = t.outage_id"
    "  where t.cell = $1::smallint and t.outage_id = $2::bigint and t.kept_account is not null for update of t),"
    " page as materialized (select k.account_id, k.message_id, k.note from carry k"
    "   where k.cell = $1::smallint and k.domain_id = (select domain_id from r) and k.state = 'kept'"
    "     and (k.account_id, k.message_id)"
    "         > ((select greatest(kept_account, account_id) from r), (select kept_message from r))"
    "     and k.account_id <= (select coalesce(account_id, 9223372036854775807) from r)"
    "   order by k.account_id, k.message_id limit $3::integer),"
    " changed as materialized (select k.cell, k.account_id, k.message_id from page"
    "   join carry k on k.cell = $1::smallint and k.account_id = page.account_id and k.message_id = page.message_id"
    "  where page.note is null and exists (select from imap_access m where m.domain_id = (select domain_id from r))"
    "    and exists (select from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    "          left join carry_place p on p.cell = b.cell and p.account_id = b.account_id"
    "                and p.message_id = i.message_id and p.mailbox_id = i.mailbox_id and p.uid = i.uid"
    "         where b.cell = $1::smallint and b.account_id = page.account_id and i.message_id = page.message_id"
    "           and p.modseq is distinct from i.modseq"
    "           and (p.modseq is not null or b.name <> 'INBOX' or i.flags <> 0"
    "                or not i.keywords <@ array['" CARRY_HELD "', '" CARRY_DELIVERED "']"
    "                or exists (select from carry_place l where l.cell = $1::smallint"
    "                     and l.account_id = page.account_id and l.message_id = page.message_id"
    "                     and not exists (select from mailbox_message j where j.cell = l.cell"
    "                                        and j.mailbox_id = l.mailbox_id and j.uid = l.uid))))"
    "  order by 2, 3 for update of k),"
    " listed as (update carry k set state = 'waiting', due_at = now() from changed c"
    "   where k.cell = c.cell and k.account_id = c.account_id and k.message_id = c.message_id and k.state = 'kept'),"
    " last as (select account_id, message_id from page order by account_id desc, message_id desc limit 1)"
    " update outage_report t set kept_message = coalesce((select message_id from last), 0),"
    "        kept_account = case when (select count(*) from page) = $3::integer then (select account_id from last) end"
    "   from r where t.cell = r.cell and t.outage_id = r.outage_id returning t.kept_account is not null"};
static const struct db_statement list_mailboxes = {
    "outage_report_mailboxes",
    "with r as materialized (select t.cell, t.outage_id, t.mailboxes_to, t.ended_at from outage_report t"
    "   where t.cell = $1::smallint and t.outage_id = $2::bigint and t.mailboxes_to is not null for update),"
    " o as materialized (select o.*, outage_first_event(o) as first from outage o"
    "   where o.cell = $1::smallint and o.id = $2::bigint),"
    " page as materialized (select b.id, b.account_id, b.name, b.special_use, b.role from mailbox b"
    "   where b.cell = $1::smallint and b.id >= (select first from o) and b.id > (select mailboxes_to from r)"
    "     and b.id < (select ((extract(epoch from ended_at) * 1000)::bigint - 1704067200000 + 2000) << 22 from r)"
    "   order by b.id limit $3::integer),"
    " listed as (insert into carry (cell, account_id, message_id, domain_id, kind, state, due_at)"
    "   select o.cell, a.id, page.id, a.domain_id, 'mailbox', 'waiting', now()"
    "     from page cross join o"
    "     join account a on a.id = page.account_id and (a.domain_id = o.domain_id or a.id = o.account_id)"
    "     join imap_access m on m.domain_id = a.domain_id"
    "    where page.name <> 'INBOX' and page.special_use is null and page.role is null"
    "    order by 1, 2, 3 on conflict (cell, account_id, message_id) do nothing)"
    " update outage_report t set mailboxes_to = case when (select count(*) from page) = $3::integer"
    "                                                 then (select max(id) from page) end"
    "   from r where t.cell = r.cell and t.outage_id = r.outage_id returning t.mailboxes_to is not null"};
static const struct db_statement look_again = {
    "outage_report_again",
    "update outage_report r set looking = true, looked_again = true, looked_to = 0, kept_account = 0, kept_message = 0,"
    "       mailboxes_to = 0,"
    "       looked_at = greatest(o.started_at, r.ended_at - interval '1 minute')"
    "  from outage o where r.cell = $1::smallint and r.outage_id = $2::bigint and o.cell = r.cell and o.id = r.outage_id"
    "   and not r.looking and not r.looked_again"};
static const struct db_statement finish = {
    "outage_report_end",
    "delete from outage_report r where r.cell = $1::smallint and r.outage_id = $2::bigint"
    "   and r.counted_to is null and r.looked_again and not r.looking and r.kept_account is null"
    "   and r.mailboxes_to is null"
    "   and not exists (select from sent_copy s where s.cell = r.cell and s.outage_id = r.outage_id and s.submitted"
    "                      and not s.collected)"};

static unsigned page = PAGE_MAX;

AWAITS enum db_status outage_report_list(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                         struct outage_report **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, LIST_MAX);
    status = db_read(arena, &list, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); ++*count)
        (*out)[*count] = (struct outage_report){
            .outage_id = row_int64(rows, *count, 0),
            .counting = row_bool(rows, *count, 1),
            .sent = row_bool(rows, *count, 2),
            .looking = row_bool(rows, *count, 3),
            .again = row_bool(rows, *count, 4),
            .last = row_bool(rows, *count, 5),
            .kept = row_bool(rows, *count, 6),
            .mailboxes = row_bool(rows, *count, 7),
        };
    return DB_FOUND;
}

static struct params *step(struct db_unit *unit, const struct db_statement *statement, int64_t outage_id)
{
    struct params *p = db_unit_add(unit, statement);

    if (statement == &count_page) /* what is told has an id */
        params_int64(p, id_make(id_cell(outage_id)));
    params_int16(p, (int16_t)id_cell(outage_id));
    params_int64(p, outage_id);
    return p;
}

static AWAITS enum db_write run(const struct db_statement *statement, int64_t outage_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    step(unit, statement, outage_id);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

/* *more is set, if there may be another page; never taken back. */
static AWAITS enum db_write run_page(const struct db_statement *statement, int64_t outage_id, bool *more)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    unsigned size = page;
    enum db_write written;

    params_int32(step(unit, statement, outage_id), (int32_t)size);
    written = db_unit_run(unit);
    if (written == DB_DONE) {
        const struct rows *rows = unit->steps[0].rows;

        if (statement == &list_sent)
            *more |= row_int64(rows, 0, 0) == size;
        else
            *more |= rows_count(rows) && row_bool(rows, 0, 0);
        page = 2 * size < PAGE_MAX ? 2 * size : PAGE_MAX;
    } else {
        page = size / 2 > PAGE_MIN ? size / 2 : PAGE_MIN;
    }
    arena_free(&arena);
    return written;
}

/* What fails keeps nothing else from being done. */
AWAITS enum db_write outage_report_step(const struct outage_report *report, bool *more)
{
    enum db_write sent = DB_DONE, made = DB_DONE, kept = DB_DONE, mailboxes = DB_DONE;
    enum db_write counted = DB_DONE, rest = DB_DONE;

    *more = false;
    if (report->sent)
        sent = run_page(&list_sent, report->outage_id, more);
    if (report->looking)
        made = run_page(&list_made, report->outage_id, more);
    if (report->kept)
        kept = run_page(&list_kept, report->outage_id, more);
    if (report->mailboxes)
        mailboxes = run_page(&list_mailboxes, report->outage_id, more);
    if (report->counting)
        counted = run_page(&count_page, report->outage_id, more);
    if (report->again)
        rest = run(&look_again, report->outage_id);
    if (report->last && !*more)
        rest = run(&finish, report->outage_id);
    return sent == DB_DONE && made == DB_DONE && kept == DB_DONE && mailboxes == DB_DONE && counted == DB_DONE &&
                   rest == DB_DONE
               ? DB_DONE
               : DB_UNDONE;
}

AWAITS enum db_write outage_report_begin(int64_t outage_id)
{
    const struct outage_report report = {
        .outage_id = outage_id, .counting = true, .sent = true, .looking = true, .kept = true, .mailboxes = true};
    bool more;

    return outage_report_step(&report, &more);
}
