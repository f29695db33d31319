/*
 * accept_batch: the transaction that makes messages ours.
 *
 * One INSERT per table with array parameters, whatever the number of messages, so the cost of a message falls as load
 * rises.  Steps, in this order: messages, their bodies, queue entries, what grants were used for
 * (accept_usage.c), which delays are told of (accept_delayed.c), copies of what was sent (sent_copy.c), UIDs (which locks the mailboxes, as late as possible),
 * mailbox items, entries that are filed with their notice (file.c), events (accept_event.c).
 *
 * UIDs are taken by adding to uidnext and counting back from it in the next statement.  A mailbox that is gone joins
 * to nothing, its UID becomes null, and the NOT NULL constraint refuses the whole: nothing is lost silently.
 *
 * UNCERTAIN is resolved by doing it again.  Looking whether the rows are there would not do: the server may still be at
 * work on a transaction whose connection we lost, and commit after we looked.  The same transaction with the same ids
 * waits for the first at the primary key: if it is refused there the first was committed, else it is the one.
 */
#include "storage/accept_batch.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "storage/accept_delayed.h"
#include "storage/accept_event.h"
#include "storage/accept_order.h"
#include "storage/accept_usage.h"
#include "storage/accept_waiting.h"
#include "storage/body.h"
#include "storage/carry_copy.h"
#include "storage/db.h"
#include "storage/drill.h"
#include "storage/file.h"
#include "storage/name.h"
#include "storage/queue.h"
#include "storage/sent_copy.h"

#define CONFLICT_TRIES 10

static const struct db_statement insert_messages = {
    "accept_messages",
    "insert into message (cell, id, customer_id, account_id, sender, size, eight_bit, received_at, client, helo, protocol, tls,"
    "                     parameters)"
    " select cell, id, customer, nullif(account, 0), sender, size, eight, at, client, helo, protocol, tls, parameters"
    "   from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[],"
    "               $7::boolean[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])"
    "        u (cell, id, customer, account, sender, size, eight, at, client, helo, protocol, tls, parameters)"};
static const struct db_statement insert_bodies = {
    "accept_bodies",
    "insert into message_body (cell, message_id, seq, data)"
    " select cell, id, 0, data from unnest($1::smallint[], $2::bigint[], $3::bytea[]) u (cell, id, data)"};
static const struct db_statement insert_entries = {
    "accept_entries",
    "insert into queue_entry (cell, id, message_id, recipient, domain_id, destination, due_at, expires_at, account_id,"
    "                         shown, worker, lease_until, parameters, delay_at, held_until, held_by, held_reason, held_then,"
    "                         deliver_by, priority, sender, customer_id, held_approval, quarantined)"
    " select cell, id, message_id, recipient, nullif(domain_id, 0), destination, coalesce(due_at, now()), expires_at,"
    "        nullif(account_id, 0), shown, case when waiting then null else $11::smallint end,"
    "        case when waiting then null else now() + $12::integer * interval '1 ms' end,"
    "        parameters, case when waiting then delay_at end, held_until, held_by, held_reason, held_then, deliver_by, priority,"
    "        sender, customer_id, held_how & 1 <> 0, held_how & 2 <> 0"
    "   from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[],"
    "               $8::bigint[], $9::boolean[], $10::boolean[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::text[],"
    "               $17::text[], $18::text[], $19::timestamptz[], $20::timestamptz[],"
    "               $21::smallint[], $22::text[], $23::bigint[], $24::smallint[])"
    "        u (cell, id, message_id, recipient, domain_id, destination, expires_at, account_id, shown, waiting,"
    "           parameters, delay_at, held_until, held_by, held_reason, held_then, deliver_by, due_at, priority,"
    "           sender, customer_id, held_how)"};
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

struct batch {
    struct arena *arena;
    struct accept_message **messages;
    unsigned count;
    struct accept_place *entries, *items; /* items: by mailbox */
    unsigned entry_count, item_count;
    struct mailbox_share {
        int64_t id;
        int32_t n;
    } * shares; /* how many items go into each mailbox, by id */
    unsigned share_count;
    unsigned uid_step, file_step; /* file_step: 0 is none */
};

/* ------------------------------------------------------------------ sorting out */

static int by_mailbox(const void *a, const void *b)
{
    const struct accept_place *x = a, *y = b;
    int64_t mx = x->recipient->mailbox_id, my = y->recipient->mailbox_id;

    if (mx != my)
        return mx < my ? -1 : 1;
    return x->message->id < y->message->id ? -1 : x->message->id > y->message->id;
}

/* Two addresses of one account in an outage are two queue entries, but one copy in its INBOX. */
static void one_copy_each(struct batch *b)
{
    unsigned kept = 0;

    qsort(b->items, b->item_count, sizeof *b->items, by_mailbox);
    for (unsigned i = 0; i < b->item_count; i++)
        if (!kept || by_mailbox(&b->items[kept - 1], &b->items[i]) != 0)
            b->items[kept++] = b->items[i];
    b->item_count = kept;
}

static void sort_out(struct batch *b)
{
    unsigned recipients = 0;

    for (unsigned i = 0; i < b->count; i++)
        recipients += b->messages[i]->recipient_count;
    b->entries = arena_array(b->arena, recipients, sizeof *b->entries);
    b->items = arena_array(b->arena, recipients, sizeof *b->items);
    b->shares = arena_array(b->arena, recipients, sizeof *b->shares);
    for (unsigned i = 0; i < b->count; i++)
        for (unsigned j = 0; j < b->messages[i]->recipient_count; j++) {
            struct accept_place place = {b->messages[i], &b->messages[i]->recipients[j]};

            if (place.recipient->queue) {
                place.recipient->entry_id = id_make(place.message->cell);
                b->entries[b->entry_count++] = place;
            }
            if (place.recipient->mailbox_id)
                b->items[b->item_count++] = place;
        }
    one_copy_each(b);
    for (unsigned i = 0; i < b->item_count; i++) {
        int64_t id = b->items[i].recipient->mailbox_id;

        if (!b->share_count || b->shares[b->share_count - 1].id != id)
            b->shares[b->share_count++].id = id;
        b->shares[b->share_count - 1].n++;
    }
}

/* ------------------------------------------------------------------ columns */

static void add_messages(const struct batch *b, struct db_unit *unit)
{
    unsigned n = b->count;
    int16_t *cells = arena_array(b->arena, n, sizeof *cells);
    int64_t *ids = arena_array(b->arena, n, sizeof *ids);
    int64_t *customers = arena_array(b->arena, n, sizeof *customers),
            *accounts = arena_array(b->arena, n, sizeof *accounts);
    int64_t *sizes = arena_array(b->arena, n, sizeof *sizes), *times = arena_array(b->arena, n, sizeof *times);
    bool *eight = arena_array(b->arena, n, sizeof *eight);
    struct slice *text[6];
    struct params *p = db_unit_add(unit, &insert_messages);

    for (unsigned t = 0; t < 6; t++)
        text[t] = arena_array(b->arena, n, sizeof *text[t]);
    for (unsigned i = 0; i < n; i++) {
        const struct accept_message *m = b->messages[i];

        cells[i] = (int16_t)m->cell;
        ids[i] = m->id;
        customers[i] = m->customer_id;
        accounts[i] = m->account_id;
        sizes[i] = (int64_t)(m->prefix.n + spool_size(m->spool));
        times[i] = m->received_ms;
        eight[i] = m->eight_bit;
        text[0][i] = m->sender.p ? m->sender : SLICE("");
        text[1][i] = slice_str(m->client);
        text[2][i] = slice_str(m->helo);
        text[3][i] = slice_str(m->protocol);
        text[4][i] = slice_str(m->tls);
        text[5][i] = m->parameters;
    }
    params_int16s(p, cells, n);
    params_int64s(p, ids, n);
    params_int64s(p, customers, n);
    params_int64s(p, accounts, n);
    params_texts(p, text[0], n);
    params_int64s(p, sizes, n);
    params_bools(p, eight, n);
    params_times(p, times, n);
    for (unsigned t = 1; t < 6; t++)
        params_texts(p, text[t], n);
}

/* Bodies of one chunk; longer ones are there already (accept_commit). */
static bool add_bodies(const struct batch *b, struct db_unit *unit)
{
    int16_t *cells = arena_array(b->arena, b->count, sizeof *cells);
    int64_t *ids = arena_array(b->arena, b->count, sizeof *ids);
    struct slice *data = arena_array(b->arena, b->count, sizeof *data);
    unsigned n = 0;
    struct params *p;

    for (unsigned i = 0; i < b->count; i++) {
        const struct accept_message *m = b->messages[i];
        size_t size = m->prefix.n + spool_size(m->spool), at = m->prefix.n;
        char *plain;

        if (size > BODY_CHUNK || !size)
            continue;
        plain = arena_alloc(b->arena, size);
        if (m->prefix.n)
            memcpy(plain, m->prefix.p, m->prefix.n);
        while (at < size) {
            struct slice part;

            if (!spool_read(m->spool, at - m->prefix.n, size - at, plain + at, &part) || !part.n)
                return false;
            if (part.p != plain + at)
                memcpy(plain + at, part.p, part.n);
            at += part.n;
        }
        cells[n] = (int16_t)m->cell;
        ids[n] = m->id;
        data[n++] = body_pack(b->arena, slice_of(plain, size));
    }
    if (!n)
        return true;
    p = db_unit_add(unit, &insert_bodies);
    params_int16s(p, cells, n);
    params_int64s(p, ids, n);
    params_bytess(p, data, n);
    return true;
}

static void add_entries(const struct batch *b, struct db_unit *unit)
{
    unsigned n = b->entry_count;
    int16_t *cells = arena_array(b->arena, n, sizeof *cells),
            *priorities = arena_array(b->arena, n, sizeof *priorities), *how = arena_array(b->arena, n, sizeof *how);
    int64_t *ids = arena_array(b->arena, n, sizeof *ids), *messages = arena_array(b->arena, n, sizeof *messages);
    int64_t *domains = arena_array(b->arena, n, sizeof *domains), *expires = arena_array(b->arena, n, sizeof *expires);
    int64_t *accounts = arena_array(b->arena, n, sizeof *accounts);
    struct slice *recipients = arena_array(b->arena, n, sizeof *recipients);
    struct slice *destinations = arena_array(b->arena, n, sizeof *destinations);
    struct slice *parameters = arena_array(b->arena, n, sizeof *parameters);
    int64_t *delays = arena_array(b->arena, n, sizeof *delays), *held = arena_array(b->arena, n, sizeof *held);
    int64_t *deadlines = arena_array(b->arena, n, sizeof *deadlines), *due = arena_array(b->arena, n, sizeof *due);
    struct slice *held_by = arena_array(b->arena, n, sizeof *held_by), *then = arena_array(b->arena, n, sizeof *then);
    struct slice *reasons = arena_array(b->arena, n, sizeof *reasons);
    bool *shown = arena_array(b->arena, n, sizeof *shown), *waiting = arena_array(b->arena, n, sizeof *waiting);
    struct slice *senders = arena_array(b->arena, n, sizeof *senders);
    int64_t *customers = arena_array(b->arena, n, sizeof *customers);
    struct params *p;

    if (!n)
        return;
    for (unsigned i = 0; i < n; i++) {
        const struct accept_recipient *r = b->entries[i].recipient;
        const struct accept_message *m = b->entries[i].message;

        cells[i] = (int16_t)m->cell;
        ids[i] = r->entry_id;
        messages[i] = m->id;
        recipients[i] = r->address;
        domains[i] = r->domain_id;
        destinations[i] = r->destination;
        expires[i] = r->expires_ms;
        accounts[i] = r->account_id;
        shown[i] = r->mailbox_id != 0;
        waiting[i] = r->waiting;
        parameters[i] = r->parameters;
        delays[i] = r->delay_ms ? r->delay_ms : INT64_MIN; /* null */
        deadlines[i] = r->deliver_by_ms ? r->deliver_by_ms : INT64_MIN;
        priorities[i] = (int16_t)m->priority;
        senders[i] = i && m == b->entries[i - 1].message ? senders[i - 1]
                                                         : name_key(b->arena, m->sender.p ? m->sender : SLICE(""));
        customers[i] = m->customer_id;
        due[i] = r->due_ms ? r->due_ms : INT64_MIN;
        held[i] = r->hold.until_ms ? r->hold.until_ms : INT64_MIN;
        how[i] = (int16_t)((r->hold.approval ? 1 : 0) | (r->hold.quarantine ? 2 : 0));
        held_by[i] = slice_str(r->hold.until_ms ? hold_by_word(r->hold.by) : NULL);
        reasons[i] = r->hold.until_ms ? r->hold.reason : (struct slice){NULL, 0};
        then[i] = slice_str(r->hold.until_ms ? hold_then_word(r->hold.then) : NULL);
    }
    p = db_unit_add(unit, &insert_entries);
    params_int16s(p, cells, n);
    params_int64s(p, ids, n);
    params_int64s(p, messages, n);
    params_texts(p, recipients, n);
    params_int64s(p, domains, n);
    params_texts(p, destinations, n);
    params_times(p, expires, n);
    params_int64s(p, accounts, n);
    params_bools(p, shown, n);
    params_bools(p, waiting, n);
    params_int16(p, (int16_t)id_worker());
    params_int32(p, QUEUE_LEASE_MS);
    params_texts(p, parameters, n);
    params_times(p, delays, n);
    params_times(p, held, n);
    params_texts(p, held_by, n);
    params_texts(p, reasons, n);
    params_texts(p, then, n);
    params_times(p, deadlines, n);
    params_times(p, due, n);
    params_int16s(p, priorities, n);
    params_texts(p, senders, n);
    params_int64s(p, customers, n);
    params_int16s(p, how, n);
}

static struct slice joined(struct arena *arena, const struct slice *words, unsigned count)
{
    char *text = NULL;

    for (unsigned i = 0; i < count; i++)
        text = text ? arena_printf(arena, "%s %.*s", text, SLICE_ARG(words[i])) : arena_slicedup(arena, words[i]);
    return slice_str(text);
}

static void add_uids(struct batch *b, struct db_unit *unit)
{
    unsigned n = b->share_count;
    int16_t *cells = arena_array(b->arena, n, sizeof *cells);
    int64_t *ids = arena_array(b->arena, n, sizeof *ids);
    int32_t *shares = arena_array(b->arena, n, sizeof *shares);
    struct params *p;

    for (unsigned i = 0; i < n; i++) {
        cells[i] = (int16_t)id_cell(b->shares[i].id);
        ids[i] = b->shares[i].id;
        shares[i] = b->shares[i].n;
    }
    b->uid_step = unit->count;
    p = db_unit_add(unit, &take_uids);
    params_int16s(p, cells, n);
    params_int64s(p, ids, n);
    params_int32s(p, shares, n);
}

static void add_items(struct batch *b, struct db_unit *unit)
{
    unsigned n = b->item_count, share = 0;
    int16_t *cells = arena_array(b->arena, n, sizeof *cells);
    int64_t *mailboxes = arena_array(b->arena, n, sizeof *mailboxes),
            *messages = arena_array(b->arena, n, sizeof *messages);
    int64_t *times = arena_array(b->arena, n, sizeof *times), *sizes = arena_array(b->arena, n, sizeof *sizes);
    int32_t *below = arena_array(b->arena, n, sizeof *below), *flags = arena_array(b->arena, n, sizeof *flags),
            left = 0;
    struct slice *keywords = arena_array(b->arena, n, sizeof *keywords);
    struct params *p;

    if (!n)
        return;
    add_uids(b, unit);
    for (unsigned i = 0; i < n; i++) {
        const struct accept_message *m = b->items[i].message;
        const struct accept_recipient *r = b->items[i].recipient;

        if (!left)
            left = b->shares[share++].n;
        cells[i] = (int16_t)m->cell;
        mailboxes[i] = r->mailbox_id;
        below[i] = left--; /* its UID is that much below the new uidnext */
        messages[i] = m->id;
        flags[i] = (int32_t)r->flags;
        keywords[i] = r->queue ? SLICE(CARRY_HELD) : joined(b->arena, r->keywords, r->keyword_count);
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

/* ------------------------------------------------------------------ running */

static void fill_uids(struct batch *b, const struct rows *rows)
{
    for (unsigned row = 0; row < rows_count(rows); row++) {
        int64_t mailbox = row_int64(rows, row, 0), uid = row_int64(rows, row, 1);

        for (unsigned i = 0; i < b->item_count; i++)
            if (b->items[i].recipient->mailbox_id == mailbox) {
                b->items[i].recipient->uid = uid++;
                b->items[i].recipient->uidvalidity = row_int64(rows, row, 2);
            }
    }
}

/* The transaction had been committed before: what UIDs did it take?  Should that fail, 0 stays: "unknown". */
static AWAITS void find_lost_uids(struct batch *b)
{
    int16_t *cells = arena_array(b->arena, b->count, sizeof *cells);
    int64_t *ids = arena_array(b->arena, b->count, sizeof *ids);
    struct params params;
    struct rows *rows;

    for (unsigned i = 0; i < b->count; i++) {
        cells[i] = (int16_t)b->messages[i]->cell;
        ids[i] = b->messages[i]->id;
    }
    params_init(&params, b->arena);
    params_int16s(&params, cells, b->count);
    params_int64s(&params, ids, b->count);
    if (db_read(b->arena, &find_uids, &params, &rows) != DB_FOUND)
        return;
    for (unsigned row = 0; row < rows_count(rows); row++)
        for (unsigned i = 0; i < b->item_count; i++)
            if (b->items[i].recipient->mailbox_id == row_int64(rows, row, 0) &&
                b->items[i].message->id == row_int64(rows, row, 1)) {
                b->items[i].recipient->uid = row_int64(rows, row, 2);
                b->items[i].recipient->uidvalidity = row_int64(rows, row, 3);
            }
}

/* Runs until it is known how it ended. */
static AWAITS enum db_write run_to_the_end(struct batch *b, struct db_unit *unit)
{
    uint64_t give_up = clock_steady_ms() + ACCEPT_PATIENCE_MS, now;
    bool doubtful = false; /* it may be committed already */
    unsigned conflicts = 0;
    enum db_write written;

    for (;;) {
        written = db_unit_run(unit);
        if (written == DB_REFUSED && doubtful && strcmp(unit->error.constraint, "message_pkey") == 0) {
            find_lost_uids(b);
            return DB_DONE;
        }
        if (written == DB_UNCERTAIN)
            doubtful = true;
        else if (written == DB_CONFLICT ? ++conflicts > CONFLICT_TRIES : written != DB_UNDONE || !doubtful)
            break;
        now = clock_steady_ms();
        if (now >= give_up)
            return doubtful ? DB_UNCERTAIN : written;
        if (doubtful) {
            db_certain_wait((unsigned)(give_up - now));
            task_sleep(20); /* a server that refuses at once must not make this a busy loop */
        }
    }
    if (written == DB_DONE && b->item_count)
        fill_uids(b, unit->steps[b->uid_step].rows);
    if (written == DB_DONE && b->file_step)
        file_tell(unit->steps[b->file_step].rows);
    return written;
}

/* What was in the queue and goes into mailboxes together with the notices of it. */
static void add_filed(struct batch *b, struct db_unit *unit)
{
    unsigned all = 0, n = 0;

    for (unsigned i = 0; i < b->count; i++)
        all += b->messages[i]->filed_count;
    if (!all)
        return;
    int64_t *ids = arena_array(b->arena, all, sizeof *ids);
    for (unsigned i = 0; i < b->count; i++)
        for (unsigned j = 0; j < b->messages[i]->filed_count; j++)
            ids[n++] = b->messages[i]->filed[j];
    b->file_step = file_add(unit, ids, n);
}

enum db_write accept_batch_run(struct accept_message **messages, unsigned count)
{
    struct batch b = {.arena = arena_new(SIZE_MAX), .messages = messages, .count = count};
    struct db_unit *unit = db_unit_new(b.arena);
    enum db_write written = DB_UNDONE;

    drill_apply(b.arena, messages, count);
    accept_order(b.arena, messages, count);
    sort_out(&b);
    add_messages(&b, unit);
    if (add_bodies(&b, unit)) {
        add_entries(&b, unit);
        accept_waiting_add(b.arena, messages, count, unit);
        accept_usage_add(b.arena, messages, count, unit);
        accept_delayed_add(b.arena, messages, count, unit);
        sent_copy_add(b.arena, messages, count, unit);
        add_items(&b, unit);
        add_filed(&b, unit);
        accept_event_add(b.arena, messages, count, b.items, b.item_count, unit);
        written = run_to_the_end(&b, unit);
    }
    arena_free(&b.arena);
    return written;
}
