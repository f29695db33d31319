/*
 * mailbox_tree: mailboxes come, go and get other names: CREATE, DELETE, RENAME.  What is in them: mailbox_write.c.
 *
 * The tree is in the names, with '/' between levels: creating makes the superiors that are missing, renaming takes the
 * inferiors along.  INBOX stays for ever; to rename it moves what is in it.  What DELETE takes away is treated as by
 * EXPUNGE.
 *
 * UIDVALIDITY of a new mailbox comes from a sequence (schema/), so it is larger than that of any earlier one (RFC 3501
 * 2.3.1.1).
 *
 * How many mailboxes an account may have is asked after they are made, in the same transaction.  Two that are made at
 * once may each not see the other and both pass: one too many harms nobody, as the limit only keeps a client from
 * making for ever.
 */
#include <string.h>

#include "core/id.h"
#include "storage/db.h"
#include "storage/deletion.h"
#include "storage/hint.h"
#include "storage/mailbox.h"
#include "storage/mailbox_write.h"
#include "storage/maintenance.h"
#include "storage/outage_read.h"

static const struct db_statement create = {"mailbox_create",
                                           "insert into mailbox (cell, id, account_id, name)"
                                           " values ($1::smallint, $2::bigint, $3::bigint, $4::text)"};
static const struct db_statement create_superior = {"mailbox_create_superior",
                                                    "insert into mailbox (cell, id, account_id, name)"
                                                    " values ($1::smallint, $2::bigint, $3::bigint, $4::text)"
                                                    " on conflict (cell, account_id, name) do nothing"};
/* $3: what this transaction would make, as far as it was missing */
static const struct db_statement limit = {
    "mailbox_limit",
    "select refuse('mailboxes_max')"
    " where (select count(*) from mailbox where cell = $1::smallint and account_id = $2::bigint and role is null)"
    "         > $4::integer"
    "   and exists (select from mailbox where cell = $1::smallint and id = any($3::bigint[]))"};
static const struct db_statement release_all = {
    "mailbox_release_all", "insert into message_release (cell, message_id)"
                           " select distinct cell, message_id from mailbox_message"
                           "  where cell = $1::smallint and mailbox_id = $2::bigint order by 1, 2" RELEASE_LISTED};
static const struct db_statement delete_items = {
    "mailbox_delete_items", "delete from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint"};
static const struct db_statement some_uids = {"mailbox_some_uids",
                                              "select uid from mailbox_message where cell = $1::smallint"
                                              "   and mailbox_id = $2::bigint order by uid limit $3::integer"};
static const struct db_statement delete_mailbox = {"mailbox_delete",
                                                   "delete from mailbox where cell = $1::smallint and id = $2::bigint"};
static const struct db_statement rename_one = {
    "mailbox_rename", "update mailbox set name = $4::text || substr(name, length($3::text) + 1)"
                      " where cell = $1::smallint and account_id = $2::bigint"
                      "   and (name = $3::text or starts_with(name, $3::text || '/'))"};
static const struct db_statement take_inbox_uids = {
    "mailbox_inbox_uids",
    "update mailbox m set uidnext = m.uidnext + (select count(*) from mailbox_message i where i.cell = $1::smallint"
    "           and i.mailbox_id = $2::bigint), modseq = m.modseq + 1"
    " where m.cell = $1::smallint and m.id = $3::bigint"};
static const struct db_statement move_inbox = {
    "mailbox_move_inbox",
    "insert into mailbox_message (cell, mailbox_id, uid, message_id, flags, keywords, internal_at, size, modseq)"
    " select i.cell, m.id, m.uidnext - count(*) over () + row_number() over (order by i.uid) - 1, i.message_id, i.flags,"
    "        i.keywords, i.internal_at, i.size, m.modseq"
    "   from mailbox_message i join mailbox m on m.cell = i.cell and m.id = $3::bigint"
    "  where i.cell = $1::smallint and i.mailbox_id = $2::bigint"};

/* ------------------------------------------------------------------ CREATE */

/* What a transaction makes: the name and those of its superiors that are missing. */
struct making {
    struct db_unit *unit;
    int64_t account_id;
    int64_t ids[DB_UNIT_MAX];
    unsigned count;
};

static int64_t add_create(struct making *m, const struct db_statement *statement, struct slice name)
{
    struct params *p = db_unit_add(m->unit, statement);
    int64_t id = id_make(id_cell(m->account_id));

    params_int16(p, (int16_t)id_cell(m->account_id));
    params_int64(p, id);
    params_int64(p, m->account_id);
    params_text(p, name);
    m->ids[m->count++] = id;
    return id;
}

/* "a/b/c": a and a/b, those that are missing.  Depth is bounded by DB_UNIT_MAX. */
static bool add_superiors(struct making *m, struct slice name)
{
    for (size_t i = 1; i < name.n; i++)
        if (name.p[i] == '/') {
            if (m->unit->count == DB_UNIT_MAX - 6)
                return false;
            if (!slice_equal(slice_of(name.p, i), SLICE("INBOX")))
                add_create(m, &create_superior, slice_of(name.p, i));
        }
    return true;
}

static void add_limit(struct making *m, unsigned max)
{
    struct params *p = mailbox_step(m->unit, &limit, m->account_id);

    params_int64s(p, m->ids, m->count);
    params_int32(p, max < INT32_MAX ? (int32_t)max : INT32_MAX);
}

static AWAITS enum db_write run_names(struct db_unit *unit, enum mailbox_refusal *refusal)
{
    enum db_write written = mailbox_run(unit);

    if (written == DB_REFUSED)
        *refusal = strcmp(unit->error.constraint, "mailboxes_max") == 0       ? MAILBOX_TOO_MANY
                   : strcmp(unit->error.constraint, "mailbox_name_form") == 0 ? MAILBOX_NAME
                                                                              : MAILBOX_EXISTS;
    return written;
}

enum db_write mailbox_create(int64_t account_id, struct slice name, unsigned max, int64_t *id,
                             enum mailbox_refusal *refusal)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct making making = {.unit = db_unit_new(arena), .account_id = account_id};
    enum db_write written = DB_REFUSED;

    *refusal = MAILBOX_NAME;
    if (add_superiors(&making, name)) {
        *id = add_create(&making, &create, name);
        add_limit(&making, max);
        written = run_names(making.unit, refusal);
    }
    arena_free(&arena);
    return written;
}

/* ------------------------------------------------------------------ DELETE */

/* A mailbox with very much that is still to be delivered is emptied before it goes.  NONE: it is empty. */
static AWAITS enum db_status read_some(struct arena *arena, int64_t mailbox_id, int64_t *uids, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(mailbox_id));
    params_int64(&params, mailbox_id);
    params_int32(&params, DELETION_ITEMS_MAX);
    status = db_read(arena, &some_uids, &params, &rows);
    *count = status == DB_FOUND ? rows_count(rows) : 0;
    for (unsigned i = 0; i < *count; i++)
        uids[i] = row_int64(rows, i, 0);
    return status;
}

static AWAITS enum db_write empty(int64_t mailbox_id)
{
    enum db_write written = DB_DONE;
    bool more = true;

    while (more && written == DB_DONE) {
        struct arena *arena = arena_new(SIZE_MAX);
        int64_t *uids = arena_array(arena, DELETION_ITEMS_MAX, sizeof *uids); /* a task's stack is small */
        unsigned count;

        switch (read_some(arena, mailbox_id, uids, &count)) {
        case DB_FOUND: written = mailbox_expunge(mailbox_id, uids, count, false); break;
        case DB_NONE: more = false; break;
        case DB_FAILED: written = DB_UNDONE; break;
        }
        arena_free(&arena);
    }
    return written;
}

static AWAITS enum db_write delete_once(int64_t mailbox_id, bool *many)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    bool counted = outage_read_wanted(mailbox_id);
    enum db_status deletes;
    enum db_write written;
    struct deletion deletion;

    deletes = deletion_find(arena, mailbox_id, NULL, 0, &deletion);
    *many = deletes == DB_FOUND && deletion.many;
    if (*many) {
        arena_free(&arena);
        return DB_UNDONE;
    }
    mailbox_lock(unit, mailbox_id);
    if (counted)
        outage_read_add(unit, mailbox_id, NULL, 0, false);
    mailbox_step(unit, &release_all, mailbox_id);
    mailbox_step(unit, &delete_items, mailbox_id);
    mailbox_step(unit, &delete_mailbox, mailbox_id);
    written = mailbox_run_removal(unit, mailbox_id, deletes, &deletion);
    arena_free(&arena);
    return written;
}

enum db_write mailbox_delete(int64_t mailbox_id)
{
    bool many;
    enum db_write written = delete_once(mailbox_id, &many);

    if (!many)
        return written;
    written = empty(mailbox_id);
    return written == DB_DONE ? delete_once(mailbox_id, &many) : written;
}

/* ------------------------------------------------------------------ RENAME */

/* INBOX itself stays, empty. */
static AWAITS enum db_write rename_inbox(struct making *m, struct slice to, unsigned max, enum mailbox_refusal *refusal)
{
    struct db_unit *unit = m->unit;
    struct mailbox inbox;
    enum db_write written;
    int64_t id;

    switch (mailbox_find(unit->arena, m->account_id, SLICE("INBOX"), &inbox)) {
    case DB_FOUND: break;
    case DB_NONE: return DB_UNDONE; /* every account has one */
    case DB_FAILED: return DB_UNDONE;
    }
    mailbox_bump(unit, inbox.id);
    id = add_create(m, &create, to);
    params_int64(mailbox_step(unit, &take_inbox_uids, inbox.id), id);
    params_int64(mailbox_step(unit, &move_inbox, inbox.id), id);
    mailbox_step(unit, &delete_items, inbox.id);
    add_limit(m, max);
    written = run_names(unit, refusal);
    if (written == DB_DONE)
        hint_mailbox_changed(inbox.id);
    return written;
}

static AWAITS enum db_write rename_other(struct making *m, struct slice from, struct slice to, unsigned max,
                                         enum mailbox_refusal *refusal)
{
    struct params *p = mailbox_step(m->unit, &rename_one, m->account_id);

    params_text(p, from);
    params_text(p, to);
    add_limit(m, max);
    return run_names(m->unit, refusal);
}

enum db_write mailbox_rename(int64_t account_id, struct slice from, struct slice to, unsigned max,
                             enum mailbox_refusal *refusal)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct making making = {.unit = db_unit_new(arena), .account_id = account_id};
    enum db_write written = DB_REFUSED;

    *refusal = MAILBOX_NAME;
    if (!add_superiors(&making, to))
        written = DB_REFUSED;
    else if (slice_equal_nocase(from, SLICE("INBOX")))
        written = rename_inbox(&making, to, max, refusal);
    else
        written = rename_other(&making, from, to, max, refusal);
    arena_free(&arena);
    return written;
}
