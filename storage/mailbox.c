/*
 * mailbox: reading what IMAP and POP3 see.  Changes are in mailbox_tree.c and mailbox_write.c.
 *
 * A mailbox's cell is in its id.  An account's mailboxes are in the account's cell, which is in the account's id.
 */
#include "storage/mailbox.h"

#include <stdlib.h>

#include "core/id.h"
#include "storage/db.h"

#define MAILBOX_COLUMNS "id, account_id, name, uidvalidity, uidnext, modseq, special_use, role"

static const struct db_statement list_all = {
    "mailbox_list", "select " MAILBOX_COLUMNS " from mailbox where cell = $1::smallint and account_id = $2::bigint"
                    " order by name <> 'INBOX', name collate \"C\""};
static const struct db_statement find_one = {
    "mailbox_find", "select " MAILBOX_COLUMNS " from mailbox"
                    " where cell = $1::smallint and account_id = $2::bigint and name = $3::text"};
static const struct db_statement get_one = {
    "mailbox_get", "select " MAILBOX_COLUMNS " from mailbox where cell = $1::smallint and id = $2::bigint"};
static const struct db_statement count_items = {
    "mailbox_count", "select count(*), count(*) filter (where flags & 1 = 0), count(*) filter (where flags & 8 <> 0),"
                     "       coalesce(sum(size), 0)::bigint"
                     "  from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint"};
static const struct db_statement list_items = {
    "mailbox_items", "select uid, message_id, flags, array_to_string(keywords, ' '), internal_at, modseq, size"
                     "  from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint and uid > $3::bigint"
                     " order by uid limit $4::integer"};
static const struct db_statement list_changed = {
    "mailbox_changed",
    "select uid, message_id, flags, array_to_string(keywords, ' '), internal_at, modseq, size"
    "  from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint and uid > $3::bigint"
    "   and modseq > $5::bigint order by uid limit $4::integer"};
static const struct db_statement list_uids = {
    "mailbox_uids",
    "select uid from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint order by uid"};

static struct params begin(struct arena *arena, int64_t id)
{
    struct params params;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(id));
    params_int64(&params, id);
    return params;
}

static struct mailbox mailbox_of(const struct rows *rows, unsigned row)
{
    return (struct mailbox){
        .id = row_int64(rows, row, 0),
        .account_id = row_int64(rows, row, 1),
        .name = row_text(rows, row, 2),
        .uidvalidity = row_int64(rows, row, 3),
        .uidnext = row_int64(rows, row, 4),
        .modseq = row_int64(rows, row, 5),
        .special_use = row_text(rows, row, 6),
        .role = slice_equal(row_text(rows, row, 7), SLICE("held"))         ? MAILBOX_HELD
                : slice_equal(row_text(rows, row, 7), SLICE("quarantine")) ? MAILBOX_QUARANTINE
                                                                           : MAILBOX_ORDINARY,
    };
}

enum db_status mailbox_list(struct arena *arena, int64_t account_id, struct mailbox **out, unsigned *count)
{
    struct params params = begin(arena, account_id);
    struct rows *rows;
    enum db_status status = db_read(arena, &list_all, &params, &rows);

    *count = 0;
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = mailbox_of(rows, i);
    return DB_FOUND;
}

enum db_status mailbox_find(struct arena *arena, int64_t account_id, struct slice name, struct mailbox *out)
{
    struct params params = begin(arena, account_id);
    struct rows *rows;
    enum db_status status;

    params_text(&params, slice_equal_nocase(name, SLICE("INBOX")) ? SLICE("INBOX") : name);
    status = db_read(arena, &find_one, &params, &rows);
    if (status == DB_FOUND)
        *out = mailbox_of(rows, 0);
    return status;
}

enum db_status mailbox_by_id(struct arena *arena, int64_t mailbox_id, struct mailbox *out)
{
    struct params params = begin(arena, mailbox_id);
    struct rows *rows;
    enum db_status status = db_read(arena, &get_one, &params, &rows);

    if (status == DB_FOUND)
        *out = mailbox_of(rows, 0);
    return status;
}

enum db_status mailbox_count(int64_t mailbox_id, struct mailbox_counts *out)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params = begin(arena, mailbox_id);
    struct rows *rows;
    enum db_status status = db_read(arena, &count_items, &params, &rows);

    if (status == DB_FOUND)
        *out = (struct mailbox_counts){(uint64_t)row_int64(rows, 0, 0), (uint64_t)row_int64(rows, 0, 1),
                                       (uint64_t)row_int64(rows, 0, 2), (uint64_t)row_int64(rows, 0, 3)};
    arena_free(&arena);
    return status;
}

/* Keywords come joined by spaces, which no keyword contains. */
static void split_keywords(struct arena *arena, struct slice text, struct mailbox_item *item)
{
    unsigned count = text.n ? 1 : 0;

    for (size_t i = 0; i < text.n; i++)
        count += text.p[i] == ' ';
    item->keywords = arena_array(arena, count, sizeof *item->keywords);
    while (text.n) {
        const char *space = memchr(text.p, ' ', text.n);
        size_t n = space ? (size_t)(space - text.p) : text.n;

        item->keywords[item->keyword_count++] = slice_of(text.p, n);
        text = slice_skip(text, n + 1);
    }
}

enum db_status mailbox_items(struct arena *arena, int64_t mailbox_id, int64_t after_uid, int64_t since_modseq,
                             unsigned limit, struct mailbox_item **out, unsigned *count)
{
    struct params params = begin(arena, mailbox_id);
    struct rows *rows;
    enum db_status status;

    *count = 0;
    params_int64(&params, after_uid);
    params_int32(&params, limit < INT32_MAX ? (int32_t)limit : INT32_MAX);
    if (since_modseq)
        params_int64(&params, since_modseq);
    status = db_read(arena, since_modseq ? &list_changed : &list_items, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++) {
        struct mailbox_item *item = &(*out)[i];

        item->uid = row_int64(rows, i, 0);
        item->message_id = row_int64(rows, i, 1);
        item->flags = (unsigned)row_int64(rows, i, 2);
        split_keywords(arena, row_text(rows, i, 3), item);
        item->internal_ms = row_time(rows, i, 4);
        item->modseq = row_int64(rows, i, 5);
        item->size = (uint64_t)row_int64(rows, i, 6);
    }
    return DB_FOUND;
}

enum db_status mailbox_uids(struct arena *arena, int64_t mailbox_id, int64_t **out, unsigned *count)
{
    struct params params = begin(arena, mailbox_id);
    struct rows *rows;
    enum db_status status = db_read(arena, &list_uids, &params, &rows);

    *count = 0;
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = row_int64(rows, i, 0);
    return DB_FOUND;
}
