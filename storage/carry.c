/*
 * carry: the list of work, and what is known of each piece.
 *
 * Beginning is one update that moves due_at ahead: whoever finds it in the past has it, and has it alone until then.
 * Nobody holds a lock while a primary is talked to.  A worker that dies leaves the row to the next one, who finds in
 * attempts that somebody may have been here and looks before he does anything.
 *
 * A reader goes on reading while his copies are carried.  What is told to the primary is what carry_copies() read;
 * carry_done() compares, and a copy that is not as it was, or is new, makes the row due once more.
 *
 * Without a way into the mailboxes what was made here stays here, and only what was sent is of use to anybody
 * (daemon/carry_send.c).
 */
#include "storage/carry.h"

#include <string.h>

#include "core/id.h"
#include "storage/carry_copy.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

static const struct db_statement due_accounts = {
    "carry_accounts", "select k.account_id, k.domain_id, a.customer_id, a.address from ("
                      "   select distinct cell, account_id, domain_id from carry"
                      "    where cell = any($1::smallint[]) and state = 'waiting' and due_at <= now()) k"
                      "  join account a on a.id = k.account_id"
                      " where not exists (select from outage o"
                      "    where o.cell = k.cell and o.domain_id = k.domain_id and o.ended_at is null)"
                      " order by k.account_id limit $2::integer"};
static const struct db_statement due_items = {
    "carry_items",
    "select k.message_id, k.kind, k.made_at, x.size, x.protocol <> 'IMAP', k.attempts"
    "  from carry k join message x on x.cell = k.cell and x.id = k.message_id"
    " where k.cell = $1::smallint and k.account_id = $2::bigint and k.state = 'waiting' and k.due_at <= now()"
    " order by k.message_id limit $3::integer"};
static const struct db_statement begin = {
    "carry_begin",
    "update carry set due_at = now() + $4::integer * interval '1 ms',"
    "       attempts = attempts + case when $6::boolean then 0 else 1 end, sent_as = coalesce(sent_as, $5::bigint)"
    " where cell = $1::smallint and account_id = $2::bigint and message_id = $3::bigint and state = 'waiting'"
    "   and (due_at <= now() or $6::boolean) returning sent_as"};
static const struct db_statement copies = {
    "carry_copies",
    "select i.mailbox_id, i.uid, i.modseq, b.name, b.special_use, i.flags,"
    "       array_to_string(array_remove(array_remove(i.keywords, '" CARRY_HELD "'), '" CARRY_DELIVERED "'), ' '),"
    "       i.internal_at"
    "  from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    " where b.cell = $1::smallint and b.account_id = $2::bigint and i.message_id = $3::bigint"
    " order by b.name <> 'INBOX', i.mailbox_id, i.uid limit 50"};
static const struct db_statement done = {
    "carry_done",
    "update carry k set note = $7::text, attempts = 0,"
    "       state = case when n.changed then 'waiting' else 'kept' end,"
    "       due_at = case when n.changed then now() else now() + make_interval(days => coalesce("
    "           (select p.copy_keep_days from continuity_policy p where p.domain_id = k.domain_id), $8::integer)) end"
    "  from (select exists (select from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    "     where b.cell = $1::smallint and b.account_id = $2::bigint and i.message_id = $3::bigint"
    "       and not exists (select from unnest($4::bigint[], $5::bigint[], $6::bigint[]) u (mailbox_id, uid, modseq)"
    "           where u.mailbox_id = i.mailbox_id and u.uid = i.uid and u.modseq = i.modseq)) as changed) n"
    " where k.cell = $1::smallint and k.account_id = $2::bigint and k.message_id = $3::bigint and k.state = 'waiting'"};
static const struct db_statement forget = {
    "carry_forget",
    "delete from carry where cell = $1::smallint and account_id = $2::bigint and message_id = $3::bigint"};
static const struct db_statement put_off = {
    "carry_put_off", "update carry set due_at = now() + $4::bigint * interval '1 ms', note = $5::text"
                     " where cell = $1::smallint and account_id = $2::bigint and state = 'waiting'"
                     "   and case when $3::bigint = 0 then due_at <= now() else message_id = $3::bigint end"};
static const struct db_statement sent = {"carry_sent",
                                         "select 1 from message where cell = $1::smallint and id = $2::bigint"};
static struct params *step(struct db_unit *unit, const struct db_statement *statement, int64_t account_id,
                           int64_t message_id)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)id_cell(account_id));
    params_int64(p, account_id);
    params_int64(p, message_id);
    return p;
}

/* ------------------------------------------------------------------ reading */

enum db_status carry_accounts(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                              struct carry_account **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, (int32_t)limit);
    status = db_read(arena, &due_accounts, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); ++*count)
        (*out)[*count] = (struct carry_account){row_int64(rows, *count, 0), row_int64(rows, *count, 1),
                                                row_int64(rows, *count, 2), row_text(rows, *count, 3)};
    return DB_FOUND;
}

static enum carry_kind kind_of(struct slice word)
{
    return slice_equal(word, SLICE("made"))   ? CARRY_KIND_MADE
           : slice_equal(word, SLICE("sent")) ? CARRY_KIND_SENT
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
        };
    return DB_FOUND;
}

/* Keywords come joined by spaces, which no keyword contains. */
static void split(struct arena *arena, struct slice text, struct carry_copy *copy)
{
    copy->keywords = arena_array(arena, text.n + 1, sizeof *copy->keywords);
    while (text.n) {
        const char *space = memchr(text.p, ' ', text.n);
        size_t n = space ? (size_t)(space - text.p) : text.n;

        copy->keywords[copy->keyword_count++] = slice_of(text.p, n);
        text = slice_skip(text, n + 1);
    }
}

enum db_status carry_copies(struct arena *arena, const struct carry_item *item, struct carry_copy **out,
                            unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(item->account_id));
    params_int64(&params, item->account_id);
    params_int64(&params, item->message_id);
    status = db_read(arena, &copies, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); ++*count) {
        struct carry_copy *copy = &(*out)[*count];

        *copy = (struct carry_copy){
            .mailbox_id = row_int64(rows, *count, 0),
            .uid = row_int64(rows, *count, 1),
            .modseq = row_int64(rows, *count, 2),
            .mailbox = row_text(rows, *count, 3),
            .special_use = row_text(rows, *count, 4),
            .flags = (unsigned)row_int64(rows, *count, 5),
            .internal_ms = row_time(rows, *count, 7),
        };
        split(arena, row_text(rows, *count, 6), copy);
    }
    return DB_FOUND;
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

enum db_write carry_begin(struct carry_item *item, unsigned lease_ms, bool again)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = step(unit, &begin, item->account_id, item->message_id);
    enum db_write written;

    params_int32(p, (int32_t)lease_ms);
    params_int64(p, id_make(id_cell(item->account_id)));
    params_bool(p, again);
    written = db_unit_run(unit);
    if (written == DB_DONE && !rows_count(unit->steps[0].rows))
        written = DB_REFUSED;
    else if (written == DB_DONE)
        item->sent_as = row_int64(unit->steps[0].rows, 0, 0);
    arena_free(&arena);
    return written;
}

enum db_write carry_done(const struct carry_item *item, const struct carry_copy *list, unsigned count,
                         struct slice note)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int64_t *columns[3];
    struct params *p = step(unit, &done, item->account_id, item->message_id);
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
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}

enum db_write carry_forget(const struct carry_item *item)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    step(unit, &forget, item->account_id, item->message_id);
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}

enum db_write carry_put_off(int64_t account_id, int64_t message_id, uint64_t delay_ms, struct slice note)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = step(unit, &put_off, account_id, message_id);
    enum db_write written;

    params_int64(p, (int64_t)delay_ms);
    params_text(p, note);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}
