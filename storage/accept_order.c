/*
 * accept_order: mail of an outage goes into an INBOX behind what was accepted before it.
 *
 * UIDs are given in the order in which mail is filed.  While an outage is open accept_commit() files new mail in the
 * transaction that accepts it; but at its beginning thousands of older messages may wait to be shown, and what was
 * accepted in the instant it opened is found half a second later (outage_show()).  So before the transaction what waits
 * for the same readers is shown (storage/show_older.c), and the new message follows it, with its 250.
 *
 * It costs one index probe for each recipient, in outages only, and a twelfth of a millisecond for each older message,
 * once.  Where more waits for one reader than show_older() takes, the new message goes before the rest: that it can be
 * read at once is worth more than its place.
 *
 * What is not filed now is shown by the next tick, and there in its turn: mail for an account of the last minute, as
 * what was accepted while the account was being made is given to it by that tick; and all if older mail could not be
 * shown.
 *
 * The look sees all that was answered with 250 before this message ended: who has waited for one answer before he sent
 * the next finds both in that order.  Two messages that end at the same time have none.
 *
 * Rejected: to let outage_show() file everything in an outage: then the usual message waits for its tick.  To let new
 * mail wait as long as the domain has anything that is not shown: 50,000 messages take seconds.
 */
#include "storage/accept_order.h"

#include "storage/show_older.h"

static bool is_shown_at_once(const struct accept_recipient *r)
{
    return r->queue && r->mailbox_id && r->domain_id;
}

AWAITS void accept_order(struct arena *arena, struct accept_message *const *messages, unsigned count)
{
    struct accept_recipient **recipients;
    struct show_reader *readers;
    enum db_write written;
    unsigned all = 0, n = 0, shown;

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++)
            all += is_shown_at_once(&messages[i]->recipients[j]);
    if (!all)
        return;
    recipients = arena_array(arena, all, sizeof *recipients);
    readers = arena_array(arena, all, sizeof *readers);
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i]->recipient_count; j++) {
            struct accept_recipient *r = &messages[i]->recipients[j];

            if (is_shown_at_once(r)) {
                readers[n] = (struct show_reader){.account_id = r->account_id, .domain_id = r->domain_id};
                recipients[n++] = r;
            }
        }
    written = show_older(arena, readers, n, &shown);
    for (unsigned i = 0; i < n; i++)
        if (written != DB_DONE || readers[i].young)
            recipients[i]->mailbox_id = 0;
}
