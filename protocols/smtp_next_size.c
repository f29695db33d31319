/*
 * smtp_next_size: at the end of data, is there a next hop that takes as much?
 *
 * At RCPT only what MAIL has declared could be asked (relay/next_size.h).  Now the size is known, with our Received
 * line, which is what a next hop is going to be told.  A message is refused when nobody would take it, 552 5.3.4; if
 * it is for one recipient who can have it, it is taken, and returned for the others: SMTP has one reply for all of
 * them.
 */
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "relay/next_size.h"

/* As it is sent: without Return-Path, the first line. */
static uint64_t size_of(const struct accept_message *message)
{
    const char *end = message->prefix.n ? memchr(message->prefix.p, '\n', message->prefix.n) : NULL;

    return message->prefix.n + spool_size(message->spool) - (end ? (size_t)(end + 1 - message->prefix.p) : 0);
}

AWAITS enum smtp_fits smtp_next_size(struct smtp_session *session, const struct accept_message *messages,
                                     unsigned count)
{
    struct smtp_transaction *transaction = session->transaction;
    struct slice *destinations = arena_array(session->command, transaction->target_count, sizeof *destinations);
    struct authorize_decision decision;
    uint64_t size = UINT64_MAX, most;
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++) {
        size = size_of(&messages[i]) < size ? size_of(&messages[i]) : size;
        for (unsigned j = 0; j < messages[i].recipient_count; j++) {
            const struct accept_recipient *recipient = &messages[i].recipients[j];

            if (!recipient->queue)
                return SMTP_FITS;
            destinations[n++] = recipient->destination;
        }
    }
    if (size < NEXT_SIZE_FLOOR)
        return SMTP_FITS;
    if (!next_size_most(session->command, destinations, n, &most))
        return SMTP_FITS_UNKNOWN;
    if (!next_size_refuses(session->command, transaction->recipients->original, size, most, &decision))
        return SMTP_FITS;
    smtp_counters.messages_refused++;
    transaction->permit.size = size;
    smtp_refuse(session, "DATA", transaction->recipients->original, transaction->recipients->cell, &decision);
    return SMTP_FITS_NOT;
}
