/*
 * carry_place: where at the primary each copy has been put.
 *
 * A row is written when something has been done there that must not be done twice: at once after an APPEND, else with
 * the end of the message.  Between an APPEND and its row there is the time in which nobody knows; who comes after such
 * an end (carry.attempts) looks for the message before he appends it, and carry_taken() keeps him from taking another
 * copy's for it.  The row says which modseq of the copy was told: a copy that has changed since is told again, at its
 * place; one that its reader has moved here is moved there.
 *
 * UIDs mean nothing without the UIDVALIDITY that they were told with (RFC 3501 2.3.1.1): who uses one compares.
 */
#include "storage/carry_place.h"

#include <string.h>

#include "core/id.h"
#include "storage/carry_keyword.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

static const struct db_statement copies = {
    "carry_copies",
    "select c.mailbox_id, c.uid, c.modseq, c.name, c.special_use, c.flags,"
    "       array_to_string(array_remove(array_remove(c.keywords, '" CARRY_HELD "'), '" CARRY_DELIVERED "'), ' '),"
    "       c.internal_at, c.target, coalesce(c.uid_validity, 0), coalesce(c.uid_there, 0), c.total, c.in_inbox,"
    "       count(*) over ()"
    "  from (select i.*, b.name, b.special_use, p.target, p.uid_validity, p.uid_there, p.modseq as told,"
    "               count(*) over () as total, bool_or(b.name = 'INBOX') over () as in_inbox"
    "          from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    "          left join carry_place p on p.cell = b.cell and p.account_id = b.account_id and p.message_id = i.message_id"
    "                and p.mailbox_id = i.mailbox_id and p.uid = i.uid"
    "         where b.cell = $1::smallint and b.account_id = $2::bigint and i.message_id = $3::bigint) c"
    " where c.told is distinct from c.modseq"
    " order by c.name <> 'INBOX', c.mailbox_id, c.uid limit $4::integer"};
static const struct db_statement left_places = {
    "carry_left",
    "select p.mailbox_id, p.uid, p.target, p.uid_validity, p.uid_there from carry_place p"
    " where p.cell = $1::smallint and p.account_id = $2::bigint and p.message_id = $3::bigint"
    "   and not exists (select from mailbox_message i where i.cell = p.cell and i.mailbox_id = p.mailbox_id and i.uid = p.uid)"
    " order by p.mailbox_id, p.uid limit $4::integer"};
static const struct db_statement place = {
    "carry_place",
    "insert into carry_place (cell, account_id, message_id, mailbox_id, uid, modseq, target, uid_validity, uid_there)"
    " select k.cell, k.account_id, k.message_id, u.mailbox_id, u.uid, u.modseq, u.target, u.uid_validity, u.uid_there"
    "   from unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[])"
    "        u (mailbox_id, uid, modseq, target, uid_validity, uid_there)"
    "   join carry k on k.cell = $1::smallint and k.account_id = $2::bigint and k.message_id = $3::bigint"
    "  order by u.mailbox_id, u.uid on conflict (cell, account_id, message_id, mailbox_id, uid)"
    "  do update set modseq = excluded.modseq, target = excluded.target, uid_validity = excluded.uid_validity,"
    "                uid_there = excluded.uid_there"};
static const struct db_statement drop_left = {
    "carry_left_drop", "delete from carry_place where cell = $1::smallint and account_id = $2::bigint"
                       "   and message_id = $3::bigint and mailbox_id = $4::bigint and uid = $5::bigint"};
static const struct db_statement taken_places = {
    "carry_taken",
    "select p.uid_there from carry_place p where p.cell = $1::smallint and p.account_id = $2::bigint"
    "   and p.target = $3::text and p.uid_validity in ($4::bigint, 0) and p.uid_there = any($5::bigint[])"
    "   and (p.message_id <> $6::bigint or ($7::bigint <> 0 and (p.mailbox_id, p.uid) <> ($7::bigint, $8::bigint)))"};

static void add_message(struct params *p, const struct carry_item *item)
{
    params_int16(p, (int16_t)id_cell(item->account_id));
    params_int64(p, item->account_id);
    params_int64(p, item->message_id);
}

/* ------------------------------------------------------------------ reading */

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

static struct carry_spot spot(const struct rows *rows, unsigned row, unsigned column)
{
    return (struct carry_spot){row_text(rows, row, column), (uint32_t)row_int64(rows, row, column + 1),
                               (uint32_t)row_int64(rows, row, column + 2)};
}

static AWAITS enum db_status read_left(struct arena *arena, const struct carry_item *item, struct carry_copies *out)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    add_message(&params, item);
    params_int32(&params, CARRY_COPIES_MAX);
    status = db_read(arena, &left_places, &params, &rows);
    if (status == DB_FAILED)
        return status;
    out->left = arena_array(arena, rows_count(rows) + 1, sizeof *out->left);
    for (; out->left_count < rows_count(rows); out->left_count++)
        out->left[out->left_count] = (struct carry_left){
            row_int64(rows, out->left_count, 0), row_int64(rows, out->left_count, 1), spot(rows, out->left_count, 2)};
    return status;
}

enum db_status carry_copies(struct arena *arena, const struct carry_item *item, struct carry_copies *out)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *out = (struct carry_copies){0};
    params_init(&params, arena);
    add_message(&params, item);
    params_int32(&params, CARRY_COPIES_MAX);
    status = db_read(arena, &copies, &params, &rows);
    if (status != DB_FOUND)
        return status;
    out->list = arena_array(arena, rows_count(rows), sizeof *out->list);
    out->total = (unsigned)row_int64(rows, 0, 11);
    out->in_inbox = row_bool(rows, 0, 12);
    out->untold = (unsigned)row_int64(rows, 0, 13);
    for (; out->count < rows_count(rows); out->count++) {
        struct carry_copy *copy = &out->list[out->count];

        *copy = (struct carry_copy){
            .mailbox_id = row_int64(rows, out->count, 0),
            .uid = row_int64(rows, out->count, 1),
            .modseq = row_int64(rows, out->count, 2),
            .mailbox = row_text(rows, out->count, 3),
            .special_use = row_text(rows, out->count, 4),
            .flags = (unsigned)row_int64(rows, out->count, 5),
            .internal_ms = row_time(rows, out->count, 7),
            .there = spot(rows, out->count, 8),
        };
        split(arena, row_text(rows, out->count, 6), copy);
    }
    return item->placed && read_left(arena, item, out) == DB_FAILED ? DB_FAILED : DB_FOUND;
}

enum db_status carry_taken(const struct carry_item *item, const struct carry_copy *copy, struct slice mailbox,
                           uint32_t validity, const uint32_t *uids, unsigned count, bool taken[])
{
    struct arena *arena = arena_new(SIZE_MAX);
    int64_t *wide = arena_array(arena, count + 1, sizeof *wide);
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    for (unsigned i = 0; i < count; i++) {
        wide[i] = uids[i];
        taken[i] = false;
    }
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(item->account_id));
    params_int64(&params, item->account_id);
    params_text(&params, mailbox);
    params_int64(&params, validity);
    params_int64s(&params, wide, count);
    params_int64(&params, item->message_id);
    params_int64(&params, copy ? copy->mailbox_id : 0);
    params_int64(&params, copy ? copy->uid : 0);
    status = db_read(arena, &taken_places, &params, &rows);
    for (unsigned i = 0; status == DB_FOUND && i < rows_count(rows); i++)
        for (unsigned k = 0; k < count; k++)
            taken[k] |= wide[k] == row_int64(rows, i, 0);
    arena_free(&arena);
    return status == DB_FAILED ? DB_FAILED : DB_FOUND;
}

/* ------------------------------------------------------------------ writing */

enum db_write carry_place(const struct carry_item *item, const struct carry_copy *list, unsigned count,
                          const struct carry_left *left)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &place);
    int64_t *columns[5];
    struct slice *targets = arena_array(arena, count + 1, sizeof *targets);
    enum db_write written;

    for (unsigned i = 0; i < 5; i++)
        columns[i] = arena_array(arena, count + 1, sizeof **columns);
    for (unsigned i = 0; i < count; i++) {
        columns[0][i] = list[i].mailbox_id;
        columns[1][i] = list[i].uid;
        columns[2][i] = list[i].modseq;
        targets[i] = list[i].there.mailbox;
        columns[3][i] = list[i].there.validity;
        columns[4][i] = list[i].there.uid;
    }
    add_message(p, item);
    for (unsigned i = 0; i < 3; i++)
        params_int64s(p, columns[i], count);
    params_texts(p, targets, count);
    params_int64s(p, columns[3], count);
    params_int64s(p, columns[4], count);
    if (left) {
        p = db_unit_add(unit, &drop_left);
        add_message(p, item);
        params_int64(p, left->mailbox_id);
        params_int64(p, left->uid);
    }
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}
