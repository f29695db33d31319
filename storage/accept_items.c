/*
 * accept_items: what of a batch goes into mailboxes.
 *
 * UIDs are taken by adding to uidnext, which locks the mailboxes (as late as possible), and counting back from it in
 * the next statement.  A mailbox that is gone joins to nothing, its UID becomes null, and the NOT NULL constraint
 * refuses the whole: nothing is lost silently.
 */
#include "storage/accept_items.h"

#include <stdlib.h>

#include "core/id.h"
#include "storage/carry_keyword.h"

static const struct db_statement take_uids = {
    "accept_uids", "update mailbox m set uidnext = m.uidnext + u.n, modseq = m.modseq + 1"
                   "  from unnest($1::smallint[], $2::bigint[], $3::integer[]) u (cell, id, n)"
                   " where m.cell = u.cell and m.id = u.id returning m.id, m.uidnext - u.n, m.uidvalidity"};
static const struct db_statement insert_items = {
    "accept_items",
    "insert into mailbox_message (cell, mailbox_id, uid, message_id, flags, keywords, internal_at, size, modseq)"
    " select u.cell, u.mailbox_id, m.uidnext - u.below, u.message_id, u.flags,"
    "        coalesce(string_to_array(u.keywords, ' '), '{}'), u.internal_at, u.size, m.modseq"
    "   from unnest($1::smallint[], $2::bigint[], $3::integer[], $4::bigint[], $5::integer[], $6::text[],"
    "               $7::timestamptz[], $8::bigint[])"
    "        u (cell, mailbox_id, below, message_id, flags, keywords, internal_at, size)"
    "   left join mailbox m on m.cell = u.cell and m.id = u.mailbox_id"};
static const struct db_statement find_uids = {"accept_find_uids",
                                              "select mm.mailbox_id, mm.message_id, mm.uid, m.uidvalidity"
                                              "  from unnest($1::smallint[], $2::bigint[]) u (cell, id)"
                                              "  join mailbox_message mm on mm.cell = u.cell and mm.message_id = u.id"
                                              "  join mailbox m on m.cell = mm.cell and m.id = mm.mailbox_id"};

static int by_mailbox(const void *a, const void *b)
{
    const struct accept_place *x = a, *y = b;
    int64_t mx = x->recipient->mailbox_id, my = y->recipient->mailbox_id;

    if (mx != my)
        return mx < my ? -1 : 1;
    return x->message->id < y->message->id ? -1 : x->message->id > y->message->id;
}

/* Two addresses of one account in an outage are two queue entries, but one copy in its INBOX. */
static void one_copy_each(struct accept_items *items)
{
    unsigned kept = 0;

    qsort(items->list, items->count, sizeof *items->list, by_mailbox);
    for (unsigned i = 0; i < items->count; i++)
        if (!kept || by_mailbox(&items->list[kept - 1], &items->list[i]) != 0)
            items->list[kept++] = items->list[i];
    items->count = kept;
}

void accept_items_sort(struct arena *arena, struct accept_items *items)
{
    one_copy_each(items);
    items->shares = arena_array(arena, items->count, sizeof *items->shares);
    for (unsigned i = 0; i < items->count; i++) {
        int64_t id = items->list[i].recipient->mailbox_id;

        if (!items->share_count || items->shares[items->share_count - 1].id != id)
            items->shares[items->share_count++].id = id;
        items->shares[items->share_count - 1].n++;
    }
}

/* Of those that a client gives those that are his to give. */
static struct slice joined(struct arena *arena, const struct slice *keywords, unsigned count)
{
    const struct slice *words = carry_keyword_others(arena, keywords, &count);
    char *text = NULL;

    for (unsigned i = 0; i < count; i++)
        text = text ? arena_printf(arena, "%s %.*s", text, SLICE_ARG(words[i])) : arena_slicedup(arena, words[i]);
    return slice_str(text);
}

static void add_uids(struct arena *arena, struct accept_items *items, struct db_unit *unit)
{
    unsigned n = items->share_count;
    int16_t *cells = arena_array(arena, n, sizeof *cells);
    int64_t *ids = arena_array(arena, n, sizeof *ids);
    int32_t *shares = arena_array(arena, n, sizeof *shares);
    struct params *p;

    for (unsigned i = 0; i < n; i++) {
        cells[i] = (int16_t)id_cell(items->shares[i].id);
        ids[i] = items->shares[i].id;
        shares[i] = items->shares[i].n;
    }
    items->uid_step = unit->count;
    p = db_unit_add(unit, &take_uids);
    params_int16s(p, cells, n);
    params_int64s(p, ids, n);
    params_int32s(p, shares, n);
}

void accept_items_add(struct arena *arena, struct accept_items *items, struct db_unit *unit)
{
    unsigned n = items->count, share = 0;
    int16_t *cells = arena_array(arena, n, sizeof *cells);
    int64_t *mailboxes = arena_array(arena, n, sizeof *mailboxes), *messages = arena_array(arena, n, sizeof *messages);
    int64_t *times = arena_array(arena, n, sizeof *times), *sizes = arena_array(arena, n, sizeof *sizes);
    int32_t *below = arena_array(arena, n, sizeof *below), *flags = arena_array(arena, n, sizeof *flags), left = 0;
    struct slice *keywords = arena_array(arena, n, sizeof *keywords);
    struct params *p;

    if (!n)
        return;
    add_uids(arena, items, unit);
    for (unsigned i = 0; i < n; i++) {
        const struct accept_message *m = items->list[i].message;
        const struct accept_recipient *r = items->list[i].recipient;

        if (!left)
            left = items->shares[share++].n;
        cells[i] = (int16_t)m->cell;
        mailboxes[i] = r->mailbox_id;
        below[i] = left--; /* its UID is that much below the new uidnext */
        messages[i] = m->id;
        flags[i] = (int32_t)r->flags;
        keywords[i] = r->queue ? SLICE(CARRY_HELD) : joined(arena, r->keywords, r->keyword_count);
        times[i] = r->internal_ms ? r->internal_ms : m->received_ms;
        sizes[i] = (int64_t)(m->prefix.n + spool_size(m->spool));
    }
    p = db_unit_add(unit, &insert_items);
    params_int16s(p, cells, n);
    params_int64s(p, mailboxes, n);
    params_int32s(p, below, n);
    params_int64s(p, messages, n);
    params_int32s(p, flags, n);
    params_texts(p, keywords, n);
    params_times(p, times, n);
    params_int64s(p, sizes, n);
}

/* ------------------------------------------------------------------ which UIDs they took */

void accept_items_took(struct accept_items *items, const struct db_unit *unit)
{
    const struct rows *rows;

    if (!items->count)
        return;
    rows = unit->steps[items->uid_step].rows;
    for (unsigned row = 0; row < rows_count(rows); row++) {
        int64_t mailbox = row_int64(rows, row, 0), uid = row_int64(rows, row, 1);

        for (unsigned i = 0; i < items->count; i++)
            if (items->list[i].recipient->mailbox_id == mailbox) {
                items->list[i].recipient->uid = uid++;
                items->list[i].recipient->uidvalidity = row_int64(rows, row, 2);
            }
    }
}

AWAITS void accept_items_find(struct arena *arena, struct accept_message *const *messages, unsigned count,
                              struct accept_items *items)
{
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    int64_t *ids = arena_array(arena, count, sizeof *ids);
    struct params params;
    struct rows *rows;

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)messages[i]->cell;
        ids[i] = messages[i]->id;
    }
    params_init(&params, arena);
    params_int16s(&params, cells, count);
    params_int64s(&params, ids, count);
    if (db_read(arena, &find_uids, &params, &rows) != DB_FOUND)
        return;
    for (unsigned row = 0; row < rows_count(rows); row++)
        for (unsigned i = 0; i < items->count; i++)
            if (items->list[i].recipient->mailbox_id == row_int64(rows, row, 0) &&
                items->list[i].message->id == row_int64(rows, row, 1)) {
                items->list[i].recipient->uid = row_int64(rows, row, 2);
                items->list[i].recipient->uidvalidity = row_int64(rows, row, 3);
            }
}
