/*
 * held_folder: what is shown, and what is not any longer.
 *
 * Nothing tells of a hold that begins or ends: there are many ways for it (the door, an administrator, time, a bounce,
 * a deadline), and each would have to know about folders, and could forget.  Instead the worker that holds the cell
 * compares, each second, what is held with what the folders show: what was accepted lately at once, the rest in pages.
 * A crash between two looks leaves a difference, and the next look finds it.
 *
 * Showing is one transaction: lock the entries, make the folders that are missing, take UIDs, add the items (see
 * storage/show.c).  One message for several addresses of one account is one item.  A reader who has a mailbox of the
 * folder's name keeps it, and the folder gets another.
 *
 * A look at entries goes by the index of what is held, over all cells, and one at items by that of items in such
 * folders; both are empty where nothing is held.
 */
#include "storage/held_folder.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/held_folder_rows.h"
#include "storage/hint.h"
#include "storage/maintenance.h"
#include "storage/queue_internal.h"

#define PAGE "2000"
#define CLEAN_PAGE 5000
#define SHOW_MAX 500

/* Entries q with their owner's account a, and the role of the folder that shows them. */
#define OWNED                                                                                                          \
    " join message m on m.cell = q.cell and m.id = q.message_id"                                                       \
    " join account a on a.cell = q.cell and a.id = " HELD_FOLDER_OWNER(                                                \
        "q", "m") " join continuity_policy p on p.domain_id = a.domain_id"
#define WANTED                                                                                                         \
    HELD_FOLDER_HELD("q")                                                                                              \
    " and not q.shown"                                                                                                 \
    " and case when q.quarantined then p.show_quarantine else p.show_held end"                                         \
    " and not exists (select from mailbox f join mailbox_message i on i.cell = f.cell and i.mailbox_id = f.id"         \
    "                  where f.cell = q.cell and f.account_id = a.id and f.role = " HELD_FOLDER_ROLE(                  \
        "q") "                    and i.message_id = q.message_id)"

static const struct db_statement look = {
    "held_folder_look",
    "select q.cell, q.id, last.id from (select max(id) as id, count(*) as n from (select id from queue_entry"
    "   where worker is null and held_by is not null and (held_by is not null, id) > (true, $2::bigint)"
    "   order by held_by is not null, id limit " PAGE ") page) last"
    " left join lateral (select q.cell, q.id from queue_entry q" OWNED
    "   where q.worker is null and q.held_by is not null and (q.held_by is not null, q.id) > (true, $2::bigint)"
    "     and (q.held_by is not null, q.id) <= (true, last.id)"
    "     and q.cell = any($1::smallint[]) and " WANTED
    "   order by q.id limit $3::integer) q on true where last.n > 0"};

/* $1 cells, $2 entries, $3 an id for a folder, $4 an id for an event: of each. */
#define THESE QUEUE_ENTRIES_WITH("$3::bigint[], $4::bigint[]", "folder_id, event_id") OWNED " where " WANTED
#define ITEMS                                                                                                          \
    "(select distinct on (a.id, q.quarantined, q.message_id) q.cell, a.id as account_id, " HELD_FOLDER_ROLE(           \
        "q") " as role, q.message_id, q.recipient, u.folder_id, u.event_id" THESE                                      \
             " order by a.id, q.quarantined, q.message_id, q.id)"

static const struct db_statement lock = {"held_folder_lock", "select q.id" QUEUE_ENTRIES " where " HELD_FOLDER_HELD(
                                                                 "q") " order by q.cell, q.id for update of q"};
static const struct db_statement make = {
    "held_folder_make",
    "insert into mailbox (cell, id, account_id, name, role)"
    " select distinct on (t.account_id, t.role) t.cell, t.folder_id, t.account_id,"
    "   initcap(t.role) || case when exists (select from mailbox o where o.cell = t.cell and o.account_id = t.account_id"
    "                                           and o.name = initcap(t.role)) then ' by the relay' else '' end, t.role"
    "   from " ITEMS " t where not exists (select from mailbox f where f.cell = t.cell and f.account_id = t.account_id"
    "                                         and f.role = t.role) on conflict do nothing"};
static const struct db_statement subscribe = {
    "held_folder_subscribe",
    "insert into subscription (cell, account_id, name) select f.cell, f.account_id, f.name from mailbox f"
    " where f.cell = any($1::smallint[]) and f.id = any($2::bigint[]) on conflict do nothing"};
static const struct db_statement uids = {
    "held_folder_uids",
    "update mailbox f set uidnext = f.uidnext + w.n, modseq = f.modseq + 1"
    "  from (select t.cell, t.account_id, t.role, count(*) as n from " ITEMS " t group by 1, 2, 3) w"
    " where f.cell = w.cell and f.account_id = w.account_id and f.role = w.role returning f.id"};
static const struct db_statement event = {
    "held_folder_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select t.cell, t.event_id, $5::timestamptz, t.message_id, t.recipient, 'held', 'readable in ' || f.name"
    "   from " ITEMS " t join mailbox f on f.cell = t.cell and f.account_id = t.account_id and f.role = t.role"};
static const struct db_statement insert = {
    "held_folder_insert",
    "insert into mailbox_message (cell, mailbox_id, uid, message_id, internal_at, size, modseq, held)"
    " select t.cell, f.id, f.uidnext - count(*) over (partition by f.id)"
    "          + row_number() over (partition by f.id order by t.message_id) - 1,"
    "        t.message_id, x.received_at, x.size, f.modseq, true"
    "   from " ITEMS " t join mailbox f on f.cell = t.cell and f.account_id = t.account_id and f.role = t.role"
    "   join message x on x.cell = t.cell and x.id = t.message_id"};

static struct params *step(struct db_unit *unit, const struct db_statement *statement, const int16_t *cells,
                           const int64_t *ids, unsigned count)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16s(p, cells, count);
    params_int64s(p, ids, count);
    return p;
}

static AWAITS enum db_write show_these(struct arena *arena, const int16_t *cells, const int64_t *ids, unsigned count)
{
    static const struct db_statement *const steps[] = {&make, &uids, &event, &insert};
    struct db_unit *unit = db_unit_new(arena);
    int64_t *folders = arena_array(arena, count, sizeof *folders), *events = arena_array(arena, count, sizeof *events);
    unsigned uid_step = 0;
    enum db_write written;

    for (unsigned i = 0; i < count; i++) {
        folders[i] = id_make((unsigned)cells[i]);
        events[i] = id_make((unsigned)cells[i]);
    }
    step(unit, &lock, cells, ids, count);
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct params *p = step(unit, steps[i], cells, ids, count);

        params_int64s(p, folders, count);
        params_int64s(p, events, count);
        if (steps[i] == &event)
            params_time(p, clock_now_ms());
        if (steps[i] == &uids)
            uid_step = unit->count - 1;
        if (steps[i] == &make)
            step(unit, &subscribe, cells, folders, count);
    }
    written = queue_run_patiently(unit);
    for (unsigned i = 0; written == DB_DONE && i < rows_count(unit->steps[uid_step].rows); i++)
        hint_mailbox_changed(row_int64(unit->steps[uid_step].rows, i, 0));
    return written;
}

/* *after: the last that was looked at; as it was if there is none. */
static AWAITS enum db_write show_after(const int16_t *cells, unsigned cell_count, int64_t *after, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    struct params params;
    struct rows *rows = NULL;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int64(&params, *after);
    params_int32(&params, SHOW_MAX);
    switch (db_read_page(arena, &look, &params, &rows)) {
    case DB_FOUND: {
        unsigned found = row_is_null(rows, 0, 1) ? 0 : rows_count(rows);
        int16_t *of = arena_array(arena, found + 1, sizeof *of);
        int64_t *ids = arena_array(arena, found + 1, sizeof *ids);

        for (unsigned i = 0; i < found; i++) {
            of[i] = (int16_t)row_int64(rows, i, 0);
            ids[i] = row_int64(rows, i, 1);
        }
        written = found ? show_these(arena, of, ids, found) : DB_DONE;
        *count = found;
        if (written == DB_DONE)
            *after = found == SHOW_MAX ? ids[found - 1] : row_int64(rows, 0, 2);
        break;
    }
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

enum db_write held_folder_show_new(const int16_t *cells, unsigned cell_count, int64_t since_ms, unsigned *count)
{
    int64_t after = id_at(since_ms);

    return show_after(cells, cell_count, &after, count);
}

enum db_write held_folder_show(const int16_t *cells, unsigned cell_count, struct held_folder_walk *walk,
                               unsigned *count)
{
    int64_t before = walk->entry_id;
    enum db_write written = show_after(cells, cell_count, &walk->entry_id, count);

    if (written == DB_DONE && walk->entry_id == before)
        walk->entry_id = 0; /* the end: from the beginning */
    return written;
}

/* ------------------------------------------------------------------ what is over */

static const struct db_statement look_over = {
    "held_folder_look_over",
    "select i.cell, i.mailbox_id, i.uid, not (coalesce(case f.role when 'held' then p.show_held else p.show_quarantine end,"
    "   false) and exists (select from queue_entry q join message m on m.cell = q.cell and m.id = q.message_id"
    "     where q.cell + 0 = i.cell and q.message_id = i.message_id and " HELD_FOLDER_HELD("q") "       and " HELD_FOLDER_ROLE("q") " = f.role and " HELD_FOLDER_OWNER(
        "q", "m") " = f.account_id))"
                  "  from (select * from mailbox_message where held and cell = any($1::smallint[])"
                  "           and (cell, mailbox_id, uid) > ($2::smallint, $3::bigint, $4::bigint)"
                  "         order by cell, mailbox_id, uid limit $5::integer) i"
                  "  join mailbox f on f.cell = i.cell and f.id = i.mailbox_id join account a on a.id = f.account_id"
                  "  left join continuity_policy p on p.domain_id = a.domain_id order by i.cell, i.mailbox_id, i.uid"};

#define ITEMS_OF " from unnest($1::smallint[], $2::bigint[], $3::bigint[]) u (cell, mailbox_id, uid)"
static const struct db_statement bump = {
    "held_folder_bump", "update mailbox f set modseq = f.modseq + 1 from (select distinct u.cell, u.mailbox_id" ITEMS_OF
                        ") w where f.cell = w.cell and f.id = w.mailbox_id returning f.id"};
static const struct db_statement listing = {
    "held_folder_listing",
    "insert into message_release (cell, message_id) select distinct i.cell, i.message_id" ITEMS_OF
    "  join mailbox_message i on i.cell = u.cell and i.mailbox_id = u.mailbox_id and i.uid = u.uid"
    " order by 1, 2" RELEASE_LISTED};
static const struct db_statement remove_items = {
    "held_folder_remove", "delete from mailbox_message i using (select u.cell, u.mailbox_id, u.uid" ITEMS_OF
                          ") u where i.cell = u.cell and i.mailbox_id = u.mailbox_id and i.uid = u.uid and i.held"};

static AWAITS enum db_write remove_these(struct arena *arena, const struct rows *rows, unsigned *count)
{
    static const struct db_statement *const steps[] = {&bump, &listing, &remove_items};
    struct db_unit *unit = db_unit_new(arena);
    unsigned all = rows_count(rows);
    int16_t *cells = arena_array(arena, all, sizeof *cells);
    int64_t *mailboxes = arena_array(arena, all, sizeof *mailboxes), *of = arena_array(arena, all, sizeof *of);
    enum db_write written;

    for (unsigned i = 0; i < all; i++) {
        if (!row_bool(rows, i, 3))
            continue;
        cells[*count] = (int16_t)row_int64(rows, i, 0);
        mailboxes[*count] = row_int64(rows, i, 1);
        of[(*count)++] = row_int64(rows, i, 2);
    }
    if (!*count)
        return DB_DONE;
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++)
        params_int64s(step(unit, steps[i], cells, mailboxes, *count), of, *count);
    written = queue_run_patiently(unit);
    for (unsigned i = 0; written == DB_DONE && i < rows_count(unit->steps[0].rows); i++)
        hint_mailbox_changed(row_int64(unit->steps[0].rows, i, 0));
    return written;
}

enum db_write held_folder_clean(const int16_t *cells, unsigned cell_count, struct held_folder_walk *walk,
                                unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    struct params params;
    struct rows *rows = NULL;
    unsigned last;

    *count = 0;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int16(&params, (int16_t)walk->cell);
    params_int64(&params, walk->mailbox_id);
    params_int64(&params, walk->uid);
    params_int32(&params, CLEAN_PAGE);
    switch (db_read(arena, &look_over, &params, &rows)) {
    case DB_FOUND:
        written = remove_these(arena, rows, count);
        last = rows_count(rows) - 1;
        walk->cell = last + 1 == CLEAN_PAGE ? row_int64(rows, last, 0) : 0;
        walk->mailbox_id = last + 1 == CLEAN_PAGE ? row_int64(rows, last, 1) : 0;
        walk->uid = last + 1 == CLEAN_PAGE ? row_int64(rows, last, 2) : 0;
        break;
    case DB_NONE:
        walk->cell = walk->mailbox_id = walk->uid = 0;
        written = DB_DONE;
        break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

/* The subscription is to a folder that the reader did not make, and goes with it. */
static const struct db_statement drop = {
    "held_folder_drop",
    "with gone as (delete from mailbox f using account a where f.cell = any($1::smallint[]) and f.role is not null"
    "   and a.id = f.account_id"
    "   and not exists (select from mailbox_message i where i.cell = f.cell and i.mailbox_id = f.id)"
    "   and not exists (select from continuity_policy p where p.domain_id = a.domain_id"
    "                     and case f.role when 'held' then p.show_held else p.show_quarantine end)"
    "  returning f.cell, f.account_id, f.name)"
    " delete from subscription s using gone g where s.cell = g.cell and s.account_id = g.account_id and s.name = g.name"};

enum db_write held_folder_drop(const int16_t *cells, unsigned cell_count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    params_int16s(db_unit_add(unit, &drop), cells, cell_count);
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}
