/*
 * accept_order: mail of an outage goes into an INBOX behind what was accepted before it.
 *
 * UIDs are given in the order in which mail is filed.  While an outage is open accept_commit() files new mail in the
 * transaction that accepts it; but at its beginning thousands of older messages may wait to be shown, and what was
 * accepted in the instant it opened is found half a second later (outage_show()).  So it is asked first whether the
 * domain has anything that is not shown yet: if so the new entry joins it, and is shown in its turn.  So does mail for
 * an account of the last minute: what was accepted while the account was being made is given to it by the next tick.
 *
 * The question comes before the transaction and sees all that was answered with 250 before this message ended: who has
 * waited for one answer before he sent the next finds both in that order.  Two messages that end at the same time have
 * none.
 *
 * It costs one index probe for each domain, in outages only.  If it cannot be answered nothing is filed now.
 * Rejected: to let outage_show() file everything in an outage: then the usual message waits for its tick.
 */
#include "storage/accept_order.h"

#include "storage/db.h"

/* Whose accounts: those that have older mail in their domain, or have just been made. */
static const struct db_statement behind = {
    "accept_order",
    "select u.account_id from (select distinct * from unnest($1::smallint[], $2::bigint[], $3::bigint[])) u"
    "                          (cell, domain_id, account_id)"
    " where exists (select from queue_entry q where q.cell = u.cell and q.domain_id = u.domain_id"
    "                  and not q.shown and q.account_id is not null and q.held_until is null)"
    "    or exists (select from account a where a.id = u.account_id and a.created_at > now() - interval '1 minute')"};

static bool is_shown_at_once(const struct accept_recipient *r)
{
    return r->queue && r->mailbox_id && r->domain_id;
}

static bool is_among(const struct rows *rows, int64_t account_id)
{
    for (unsigned i = 0; i < rows_count(rows); i++)
        if (row_int64(rows, i, 0) == account_id)
            return true;
    return false;
}

AWAITS void accept_order(struct arena *arena, struct accept_message *const *messages, unsigned count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;
    unsigned all = 0, n = 0;

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++)
            all += is_shown_at_once(&messages[i]->recipients[j]);
    if (!all)
        return;
    int16_t *cells = arena_array(arena, all, sizeof *cells);
    int64_t *domains = arena_array(arena, all, sizeof *domains), *accounts = arena_array(arena, all, sizeof *accounts);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++)
            if (is_shown_at_once(&messages[i]->recipients[j])) {
                cells[n] = (int16_t)messages[i]->cell;
                accounts[n] = messages[i]->recipients[j].account_id;
                domains[n++] = messages[i]->recipients[j].domain_id;
            }
    params_init(&params, arena);
    params_int16s(&params, cells, n);
    params_int64s(&params, domains, n);
    params_int64s(&params, accounts, n);
    status = db_read(arena, &behind, &params, &rows);
    if (status == DB_NONE)
        return;
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++) {
            struct accept_recipient *r = &messages[i]->recipients[j];

            if (is_shown_at_once(r) && (status == DB_FAILED || is_among(rows, r->account_id)))
                r->mailbox_id = 0;
        }
}
