/*
 * accept_batch: the transaction that makes messages ours.
 *
 * One INSERT per table with array parameters, whatever the number of messages, so the cost of a message falls as load
 * rises.  Steps, in this order: messages, their bodies, queue entries (accept_queue.c), what grants were used for
 * (accept_usage.c), which delays are told of (accept_delayed.c), copies of what was sent (sent_copy.c), UIDs and
 * mailbox items (accept_items.c), entries that are filed with their notice (file.c), events (accept_event.c).
 *
 * UNCERTAIN is resolved by doing it again.  Looking whether the rows are there would not do: the server may still be at
 * work on a transaction whose connection we lost, and commit after we looked.  The same transaction with the same ids
 * waits for the first at the primary key: if it is refused there the first was committed, else it is the one.
 */
#include "storage/accept_batch.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/accept_delayed.h"
#include "storage/accept_event.h"
#include "storage/accept_items.h"
#include "storage/accept_order.h"
#include "storage/accept_queue.h"
#include "storage/accept_usage.h"
#include "storage/accept_waiting.h"
#include "storage/body.h"
#include "storage/db.h"
#include "storage/drill.h"
#include "storage/file.h"
#include "storage/sent_copy.h"

#define CONFLICT_TRIES 10

static const struct db_statement insert_messages = {
    "accept_messages",
    "insert into message (cell, id, customer_id, account_id, sender, size, eight_bit, received_at, client, helo,"
    "                     protocol, tls, parameters)"
    " select cell, id, customer, nullif(account, 0), sender, size, eight, at, client, helo, protocol, tls, parameters"
    "   from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[],"
    "               $7::boolean[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])"
    "        u (cell, id, customer, account, sender, size, eight, at, client, helo, protocol, tls, parameters)"};
static const struct db_statement insert_bodies = {
    "accept_bodies",
    "insert into message_body (cell, message_id, seq, data)"
    " select cell, id, 0, data from unnest($1::smallint[], $2::bigint[], $3::bytea[]) u (cell, id, data)"};
struct batch {
    struct arena *arena;
    struct accept_message **messages;
    unsigned count;
    struct accept_place *entries;
    unsigned entry_count;
    struct accept_items items;
    unsigned file_step; /* 0: none */
};

/* ------------------------------------------------------------------ sorting out */

static void sort_out(struct batch *b)
{
    unsigned recipients = 0;

    for (unsigned i = 0; i < b->count; i++)
        recipients += b->messages[i]->recipient_count;
    b->entries = arena_array(b->arena, recipients, sizeof *b->entries);
    b->items.list = arena_array(b->arena, recipients, sizeof *b->items.list);
    for (unsigned i = 0; i < b->count; i++)
        for (unsigned j = 0; j < b->messages[i]->recipient_count; j++) {
            struct accept_place place = {b->messages[i], &b->messages[i]->recipients[j]};

            if (place.recipient->queue) {
                place.recipient->entry_id = id_make(place.message->cell);
                b->entries[b->entry_count++] = place;
            }
            if (place.recipient->mailbox_id)
                b->items.list[b->items.count++] = place;
        }
    accept_items_sort(b->arena, &b->items);
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

/* ------------------------------------------------------------------ running */

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
            accept_items_find(b->arena, b->messages, b->count, &b->items);
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
    if (written == DB_DONE)
        accept_items_took(&b->items, unit);
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
        accept_queue_add(b.arena, b.entries, b.entry_count, unit);
        accept_waiting_add(b.arena, messages, count, unit);
        accept_usage_add(b.arena, messages, count, unit);
        accept_delayed_add(b.arena, messages, count, unit);
        sent_copy_add(b.arena, messages, count, unit);
        accept_items_add(b.arena, &b.items, unit);
        add_filed(&b, unit);
        accept_event_add(b.arena, messages, count, b.items.list, b.items.count, unit);
        written = run_to_the_end(&b, unit);
    }
    arena_free(&b.arena);
    return written;
}
