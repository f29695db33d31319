/*
 * accept_queue: the entries of a batch, one for each recipient whose mail is to go on.
 *
 * An entry is either leased to the worker that accepts it, in whose memory it goes on at once, or it waits in the
 * database: for a time, for a decision, or since its destination is known to be away.  Its sender and customer are the
 * message's, repeated here for the lists of the queue (storage/queue_list.c).
 */
#include "storage/accept_queue.h"

#include "core/id.h"
#include "storage/name.h"
#include "storage/queue.h"

static const struct db_statement insert_entries = {
    "accept_entries",
    "insert into queue_entry (cell, id, message_id, recipient, domain_id, destination, due_at, expires_at, account_id,"
    "                         shown, worker, lease_until, parameters, delay_at, held_until, held_by, held_reason,"
    "                         held_then, deliver_by, priority, sender, customer_id, held_approval, quarantined)"
    " select cell, id, message_id, recipient, nullif(domain_id, 0), destination, coalesce(due_at, now()), expires_at,"
    "        nullif(account_id, 0), shown, case when waiting then null else $11::smallint end,"
    "        case when waiting then null else now() + $12::integer * interval '1 ms' end,"
    "        parameters, case when waiting then delay_at end, held_until, held_by, held_reason, held_then, deliver_by,"
    "        priority, sender, customer_id, held_how & 1 <> 0, held_how & 2 <> 0"
    "   from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[],"
    "               $7::timestamptz[], $8::bigint[], $9::boolean[], $10::boolean[], $13::text[], $14::timestamptz[],"
    "               $15::timestamptz[], $16::text[], $17::text[], $18::text[], $19::timestamptz[], $20::timestamptz[],"
    "               $21::smallint[], $22::text[], $23::bigint[], $24::smallint[])"
    "        u (cell, id, message_id, recipient, domain_id, destination, expires_at, account_id, shown, waiting,"
    "           parameters, delay_at, held_until, held_by, held_reason, held_then, deliver_by, due_at, priority,"
    "           sender, customer_id, held_how)"};

struct columns {
    int16_t *cells, *priorities, *how;
    int64_t *ids, *messages, *domains, *accounts, *customers;
    int64_t *expires, *delays, *held, *deadlines, *due;
    struct slice *recipients, *destinations, *parameters, *senders;
    struct slice *held_by, *reasons, *then;
    bool *shown, *waiting;
};

static void make_columns(struct arena *arena, unsigned n, struct columns *c)
{
    c->cells = arena_array(arena, n, sizeof *c->cells);
    c->priorities = arena_array(arena, n, sizeof *c->priorities);
    c->how = arena_array(arena, n, sizeof *c->how);
    c->ids = arena_array(arena, n, sizeof *c->ids);
    c->messages = arena_array(arena, n, sizeof *c->messages);
    c->domains = arena_array(arena, n, sizeof *c->domains);
    c->accounts = arena_array(arena, n, sizeof *c->accounts);
    c->customers = arena_array(arena, n, sizeof *c->customers);
    c->expires = arena_array(arena, n, sizeof *c->expires);
    c->delays = arena_array(arena, n, sizeof *c->delays);
    c->held = arena_array(arena, n, sizeof *c->held);
    c->deadlines = arena_array(arena, n, sizeof *c->deadlines);
    c->due = arena_array(arena, n, sizeof *c->due);
    c->recipients = arena_array(arena, n, sizeof *c->recipients);
    c->destinations = arena_array(arena, n, sizeof *c->destinations);
    c->parameters = arena_array(arena, n, sizeof *c->parameters);
    c->senders = arena_array(arena, n, sizeof *c->senders);
    c->held_by = arena_array(arena, n, sizeof *c->held_by);
    c->reasons = arena_array(arena, n, sizeof *c->reasons);
    c->then = arena_array(arena, n, sizeof *c->then);
    c->shown = arena_array(arena, n, sizeof *c->shown);
    c->waiting = arena_array(arena, n, sizeof *c->waiting);
}

static int64_t or_null(int64_t ms)
{
    return ms ? ms : INT64_MIN;
}

static void fill_hold(const struct accept_recipient *r, unsigned i, struct columns *c)
{
    bool held = r->hold.until_ms != 0;

    c->held[i] = or_null(r->hold.until_ms);
    c->how[i] = (int16_t)((r->hold.approval ? 1 : 0) | (r->hold.quarantine ? 2 : 0));
    c->held_by[i] = slice_str(held ? hold_by_word(r->hold.by) : NULL);
    c->reasons[i] = held ? r->hold.reason : (struct slice){NULL, 0};
    c->then[i] = slice_str(held ? hold_then_word(r->hold.then) : NULL);
}

static void fill_in(struct arena *arena, const struct accept_place *entries, unsigned i, struct columns *c)
{
    const struct accept_recipient *r = entries[i].recipient;
    const struct accept_message *m = entries[i].message;

    c->cells[i] = (int16_t)m->cell;
    c->ids[i] = r->entry_id;
    c->messages[i] = m->id;
    c->recipients[i] = r->address;
    c->domains[i] = r->domain_id;
    c->destinations[i] = r->destination;
    c->expires[i] = r->expires_ms;
    c->accounts[i] = r->account_id;
    c->shown[i] = r->mailbox_id != 0;
    c->waiting[i] = r->waiting;
    c->parameters[i] = r->parameters;
    c->delays[i] = or_null(r->delay_ms);
    c->deadlines[i] = or_null(r->deliver_by_ms);
    c->priorities[i] = (int16_t)m->priority;
    c->senders[i] =
        i && m == entries[i - 1].message ? c->senders[i - 1] : name_key(arena, m->sender.p ? m->sender : SLICE(""));
    c->customers[i] = m->customer_id;
    c->due[i] = or_null(r->due_ms);
    fill_hold(r, i, c);
}

void accept_queue_add(struct arena *arena, const struct accept_place *entries, unsigned n, struct db_unit *unit)
{
    struct columns c;
    struct params *p;

    if (!n)
        return;
    make_columns(arena, n, &c);
    for (unsigned i = 0; i < n; i++)
        fill_in(arena, entries, i, &c);
    p = db_unit_add(unit, &insert_entries);
    params_int16s(p, c.cells, n);
    params_int64s(p, c.ids, n);
    params_int64s(p, c.messages, n);
    params_texts(p, c.recipients, n);
    params_int64s(p, c.domains, n);
    params_texts(p, c.destinations, n);
    params_times(p, c.expires, n);
    params_int64s(p, c.accounts, n);
    params_bools(p, c.shown, n);
    params_bools(p, c.waiting, n);
    params_int16(p, (int16_t)id_worker());
    params_int32(p, QUEUE_LEASE_MS);
    params_texts(p, c.parameters, n);
    params_times(p, c.delays, n);
    params_times(p, c.held, n);
    params_texts(p, c.held_by, n);
    params_texts(p, c.reasons, n);
    params_texts(p, c.then, n);
    params_times(p, c.deadlines, n);
    params_times(p, c.due, n);
    params_int16s(p, c.priorities, n);
    params_texts(p, c.senders, n);
    params_int64s(p, c.customers, n);
    params_int16s(p, c.how, n);
}
