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

void accept_queue_add(struct arena *arena, const struct accept_place *entries, unsigned n, struct db_unit *unit)
{
    int16_t *cells = arena_array(arena, n, sizeof *cells), *priorities = arena_array(arena, n, sizeof *priorities),
            *how = arena_array(arena, n, sizeof *how);
    int64_t *ids = arena_array(arena, n, sizeof *ids), *messages = arena_array(arena, n, sizeof *messages);
    int64_t *domains = arena_array(arena, n, sizeof *domains), *expires = arena_array(arena, n, sizeof *expires);
    int64_t *accounts = arena_array(arena, n, sizeof *accounts);
    struct slice *recipients = arena_array(arena, n, sizeof *recipients);
    struct slice *destinations = arena_array(arena, n, sizeof *destinations);
    struct slice *parameters = arena_array(arena, n, sizeof *parameters);
    int64_t *delays = arena_array(arena, n, sizeof *delays), *held = arena_array(arena, n, sizeof *held);
    int64_t *deadlines = arena_array(arena, n, sizeof *deadlines), *due = arena_array(arena, n, sizeof *due);
    struct slice *held_by = arena_array(arena, n, sizeof *held_by), *then = arena_array(arena, n, sizeof *then);
    struct slice *reasons = arena_array(arena, n, sizeof *reasons);
    bool *shown = arena_array(arena, n, sizeof *shown), *waiting = arena_array(arena, n, sizeof *waiting);
    struct slice *senders = arena_array(arena, n, sizeof *senders);
    int64_t *customers = arena_array(arena, n, sizeof *customers);
    struct params *p;

    if (!n)
        return;
    for (unsigned i = 0; i < n; i++) {
        const struct accept_recipient *r = entries[i].recipient;
        const struct accept_message *m = entries[i].message;

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
        senders[i] =
            i && m == entries[i - 1].message ? senders[i - 1] : name_key(arena, m->sender.p ? m->sender : SLICE(""));
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
