/*
 * mailbox_write: changes to what is in mailboxes: STORE, COPY, MOVE, EXPUNGE.  Mailboxes themselves: mailbox_tree.c.
 *
 * Every change to items first updates their mailbox's row (a new modseq, or UIDs): that row's lock makes changes to one
 * mailbox follow each other, so a session that has seen modseq M has seen every change up to M.  Two mailboxes (COPY)
 * are locked in the order of their ids.
 *
 * COPY locks its source rows, so an item that is being expunged either is gone, and is not copied, or waits; the
 * purge of bodies (storage/maintenance) relies on that.  What EXPUNGE takes away is noted in message_release.
 *
 * What EXPUNGE takes away may be mail that is still to be delivered: storage/deletion.h; and have been read in
 * an outage: storage/outage_read.h.
 */
#include "storage/mailbox_write.h"
#include "core/id.h"
#include "storage/carry_keyword.h"
#include "storage/db.h"
#include "storage/deletion.h"
#include "storage/hint.h"
#include "storage/mailbox.h"
#include "storage/maintenance.h"
#include "storage/outage_read.h"

#define CONFLICT_TRIES 10

static const struct db_statement lock_mailbox = {
    "mailbox_lock", "select id from mailbox where cell = $1::smallint and id = $2::bigint for update"};
static const struct db_statement bump = {
    "mailbox_bump",
    "update mailbox set modseq = modseq + 1 where cell = $1::smallint and id = $2::bigint returning modseq"};
/*
 * how: 0 set, 1 add, 2 remove.  Keywords are compared as they are written.  What delivery says by keyword
 * (storage/carry_copy.h) is no client's to say: who sets all flags anew may not have heard of it, or not lately.
 */
#define DELIVERYS "array['" CARRY_HELD "', '" CARRY_DELIVERED "']"
#define SET_ANEW "($6::text[] || array(select k from unnest(i.keywords) k where k = any (" DELIVERYS ")))"
static const struct db_statement store = {
    "mailbox_store",
    "update mailbox_message i set modseq = m.modseq,"
    "   flags = case $4::smallint when 0 then $5::integer when 1 then i.flags | $5::integer else i.flags & ~$5::integer end,"
    "   keywords = case $4::smallint when 0 then " SET_ANEW
    "       when 1 then i.keywords || array(select k from unnest($6::text[]) k where k <> all(i.keywords))"
    "       else array(select k from unnest(i.keywords) k where k <> all($6::text[])) end"
    "  from mailbox m"
    " where m.cell = $1::smallint and m.id = $2::bigint and i.cell = $1::smallint and i.mailbox_id = $2::bigint"
    "   and i.uid = any($3::bigint[])"
    /* those that would not change are not written: clients like to flag a whole mailbox as read */
    "   and case $4::smallint when 0 then i.flags <> $5::integer or i.keywords <> " SET_ANEW
    "       when 1 then i.flags & $5::integer <> $5::integer or not i.keywords @> $6::text[]"
    "       else i.flags & $5::integer <> 0 or i.keywords && $6::text[] end"};
static const struct db_statement lock_sources = {
    "mailbox_lock_sources", "select uid from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint"
                            "   and uid = any($3::bigint[]) order by uid for share"};
static const struct db_statement copy_uids = {
    "mailbox_copy_uids",
    "update mailbox m set uidnext = m.uidnext + s.n, modseq = m.modseq + 1"
    "  from (select count(*) as n from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint"
    "           and uid = any($3::bigint[])) s"
    " where m.cell = $1::smallint and m.id = $4::bigint returning m.uidnext - s.n, s.n"};
static const struct db_statement copy_items = {
    "mailbox_copy_items",
    "insert into mailbox_message (cell, mailbox_id, uid, message_id, flags, keywords, internal_at, size, modseq)"
    " select i.cell, m.id, m.uidnext - count(*) over () + row_number() over (order by i.uid) - 1, i.message_id, i.flags,"
    "        i.keywords, i.internal_at, i.size, m.modseq"
    "   from mailbox_message i join mailbox m on m.cell = i.cell and m.id = $4::bigint"
    "  where i.cell = $1::smallint and i.mailbox_id = $2::bigint and i.uid = any($3::bigint[])"};
static const struct db_statement release_some = {
    "mailbox_release_some",
    "insert into message_release (cell, message_id) select distinct cell, message_id from mailbox_message"
    "  where cell = $1::smallint and mailbox_id = $2::bigint and uid = any($3::bigint[])"
    "    and (not $4::boolean or flags & 8 <> 0) order by 1, 2" RELEASE_LISTED};
static const struct db_statement expunge = {
    "mailbox_expunge", "delete from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint"
                       "   and uid = any($3::bigint[]) and (not $4::boolean or flags & 8 <> 0)"};
/* Of a MOVE, after its copy: what could not be copied, because the target ($4) is gone, stays. */
static const struct db_statement release_moved = {
    "mailbox_release_moved",
    "insert into message_release (cell, message_id) select distinct cell, message_id from mailbox_message"
    "  where cell = $1::smallint and mailbox_id = $2::bigint and uid = any($3::bigint[])"
    "    and exists (select from mailbox where cell = $1::smallint and id = $4::bigint) order by 1, 2" RELEASE_LISTED};
static const struct db_statement expunge_moved = {
    "mailbox_expunge_moved", "delete from mailbox_message where cell = $1::smallint and mailbox_id = $2::bigint"
                             "   and uid = any($3::bigint[])"
                             "   and exists (select from mailbox where cell = $1::smallint and id = $4::bigint)"};

struct params *mailbox_step(struct db_unit *unit, const struct db_statement *statement, int64_t id)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)id_cell(id));
    params_int64(p, id);
    return p;
}

enum db_write mailbox_run(struct db_unit *unit)
{
    enum db_write written = DB_CONFLICT;

    for (unsigned tries = 0; tries < CONFLICT_TRIES && written == DB_CONFLICT; tries++)
        written = db_unit_run(unit);
    return written;
}

void mailbox_lock(struct db_unit *unit, int64_t mailbox_id)
{
    mailbox_step(unit, &lock_mailbox, mailbox_id);
}

void mailbox_bump(struct db_unit *unit, int64_t mailbox_id)
{
    mailbox_step(unit, &bump, mailbox_id);
}

enum db_write mailbox_store(int64_t mailbox_id, const int64_t *uids, unsigned count, enum mailbox_store how,
                            unsigned flags, const struct slice *keywords, unsigned keyword_count, int64_t *modseq)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    const struct slice *his = carry_keyword_others(arena, keywords, &keyword_count);
    enum db_write written;
    struct params *p;

    mailbox_bump(unit, mailbox_id);
    p = mailbox_step(unit, &store, mailbox_id);
    params_int64s(p, uids, count);
    params_int16(p, (int16_t)how);
    params_int32(p, (int32_t)flags);
    params_texts(p, his, keyword_count);
    written = mailbox_run(unit);
    if (written == DB_DONE && rows_count(unit->steps[0].rows)) {
        *modseq = row_int64(unit->steps[0].rows, 0, 0);
        hint_mailbox_changed(mailbox_id);
    } else if (written == DB_DONE) {
        written = DB_REFUSED; /* the mailbox is gone */
    }
    arena_free(&arena);
    return written;
}

static struct params *step_uids(struct db_unit *unit, const struct db_statement *statement, int64_t mailbox_id,
                                const int64_t *uids, unsigned count)
{
    struct params *p = mailbox_step(unit, statement, mailbox_id);

    params_int64s(p, uids, count);
    return p;
}

unsigned mailbox_copy_add(struct db_unit *unit, const struct mailbox_copying *c)
{
    unsigned last;

    mailbox_lock(unit, c->from_id < c->to_id ? c->from_id : c->to_id);
    mailbox_lock(unit, c->from_id < c->to_id ? c->to_id : c->from_id);
    step_uids(unit, &lock_sources, c->from_id, c->uids, c->count);
    last = unit->count;
    params_int64(step_uids(unit, &copy_uids, c->from_id, c->uids, c->count), c->to_id);
    params_int64(step_uids(unit, &copy_items, c->from_id, c->uids, c->count), c->to_id);
    if (c->move) {
        mailbox_bump(unit, c->from_id);
        params_int64(step_uids(unit, &release_moved, c->from_id, c->uids, c->count), c->to_id);
        params_int64(step_uids(unit, &expunge_moved, c->from_id, c->uids, c->count), c->to_id);
    }
    return last;
}

bool mailbox_copy_done(const struct db_unit *unit, unsigned step, struct mailbox_copying *c)
{
    if (!rows_count(unit->steps[step].rows))
        return false;
    c->first_uid = row_int64(unit->steps[step].rows, 0, 0);
    c->copied = (unsigned)row_int64(unit->steps[step].rows, 0, 1);
    hint_mailbox_changed(c->to_id);
    if (c->move)
        hint_mailbox_changed(c->from_id);
    return true;
}

enum db_write mailbox_copy(struct mailbox_copying *copying)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    unsigned step = mailbox_copy_add(unit, copying);
    enum db_write written = mailbox_run(unit);

    copying->copied = 0;
    if (written == DB_DONE && !mailbox_copy_done(unit, step, copying))
        written = DB_REFUSED; /* the target is gone */
    arena_free(&arena);
    return written;
}

enum db_write mailbox_run_removal(struct db_unit *unit, int64_t mailbox_id, enum db_status deletes,
                                  const struct deletion *deletion)
{
    enum db_write written = DB_UNDONE;

    if (deletes == DB_FOUND)
        deletion_add(unit, mailbox_id, deletion);
    if (deletes != DB_FAILED)
        written = mailbox_run(unit);
    if (written == DB_DONE)
        hint_mailbox_changed(mailbox_id);
    return written;
}

static AWAITS enum db_write expunge_some(int64_t mailbox_id, const int64_t *uids, unsigned count, bool only_deleted)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    bool counted = outage_read_wanted(mailbox_id);
    enum db_status deletes;
    enum db_write written;
    struct deletion deletion;

    deletes = deletion_find(arena, mailbox_id, uids, count, &deletion);
    mailbox_bump(unit, mailbox_id);
    if (counted)
        outage_read_add(unit, mailbox_id, uids, count, only_deleted);
    params_bool(step_uids(unit, &release_some, mailbox_id, uids, count), only_deleted);
    params_bool(step_uids(unit, &expunge, mailbox_id, uids, count), only_deleted);
    written = mailbox_run_removal(unit, mailbox_id, deletes, &deletion);
    arena_free(&arena);
    return written;
}

/* In parts, as the domain's policy is applied to each message in the transaction that removes it. */
enum db_write mailbox_expunge(int64_t mailbox_id, const int64_t *uids, unsigned count, bool only_deleted)
{
    enum db_write written = DB_DONE;

    for (unsigned at = 0; at < count && written == DB_DONE; at += DELETION_ITEMS_MAX)
        written = expunge_some(mailbox_id, uids + at, count - at < DELETION_ITEMS_MAX ? count - at : DELETION_ITEMS_MAX,
                               only_deleted);
    return written;
}
