/*
 * smtp_notice: tells senders who asked for it (NOTIFY=SUCCESS) that their message is in a mailbox here, or was sent on
 * to the several that an alias stands for.
 *
 * Delivery is when the message can be read (RFC 3461 5.2.3), which is when it is accepted; so the notice is accepted
 * in the same transaction, one for each stored copy.  What goes into the queue is none of this: the runner tells of it
 * when it is delivered, even if it can be read here meanwhile.
 *
 * Only a transaction with such a recipient looks anything up.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_session.h"
#include "relay/notice.h"

/* The recipients of this copy who have it in their mailbox; the array has room for all.  How many. */
static unsigned gather_delivered(const struct smtp_session *session, const struct accept_message *message,
                                 struct dsn_recipient *out)
{
    const struct smtp_transaction *transaction = session->transaction;
    int64_t customer_id = message->customer_id;
    unsigned count = 0;

    for (const struct smtp_recipient *r = transaction->recipients; r; r = r->next)
        if (r->customer_id == customer_id && r->mailbox_id && !r->destination.n &&
            !smtp_hold_is(session, r, message->received_ms) && /* else it is told when it is filed */
            notice_wanted(transaction->sender.address, &r->envelope, DSN_DELIVERED))
            out[count++] =
                (struct dsn_recipient){.address = r->address, .original = r->envelope.orcpt, .status = SLICE("2.1.5")};
    return count;
}

static unsigned gather_expanded(const struct smtp_session *session, struct dsn_recipient *out)
{
    const struct smtp_transaction *transaction = session->transaction;
    unsigned count = 0;

    for (const struct smtp_recipient *r = transaction->recipients; r && transaction->sender.address.n; r = r->next)
        if (r->tell_expanded)
            out[count++] =
                (struct dsn_recipient){.address = r->original, .original = r->envelope.orcpt, .status = SLICE("2.1.5")};
    return count;
}

/* Behind the Return-Path line, which is the first. */
static struct slice without_return_path(struct slice prefix)
{
    const char *end = memchr(prefix.p, '\n', prefix.n);
    return end ? slice_skip(prefix, (size_t)(end - prefix.p) + 1) : prefix;
}

/* A notice about this copy, behind all that there is. */
static AWAITS bool add(struct smtp_session *session, enum dsn_action action, const struct dsn_recipient *recipients,
                       unsigned recipient_count, unsigned copy, struct accept_message **messages, unsigned *count)
{
    const struct notice_settings settings = {session->settings->hostname, session->settings->default_route,
                                             session->settings->queue_lifetime_ms};
    const struct accept_message *message = &(*messages)[copy];
    struct arena *arena = session->transaction_arena;
    struct accept_message *more, *all;
    unsigned more_count;
    struct notice notice = {
        .message_id = message->id,
        .customer_id = message->customer_id,
        .received_ms = message->received_ms,
        .sender = session->transaction->sender.address,
        .envelope = session->transaction->envelope,
        .client = message->client,
        .helo = message->helo,
        .action = action,
        .recipients = recipients,
        .count = recipient_count,
        .prefix = without_return_path(message->prefix),
        .spool = message->spool,
    };

    switch (notice_make(arena, &settings, &notice, &more, &more_count)) {
    case NOTICE_MADE: break;
    case NOTICE_NOBODY:
        log_info("no notice: the sender cannot be reached", log_id("message", notice.message_id),
                 log_slice("sender", notice.sender));
        return true;
    case NOTICE_LATER: return false;
    }
    all = arena_array(arena, *count + more_count, sizeof(*all));
    memcpy(all, *messages, *count * sizeof(*all));
    memcpy(all + *count, more, more_count * sizeof(*all));
    *messages = all;
    *count += more_count;
    return true;
}

bool smtp_notice_add(struct smtp_session *session, struct accept_message **messages, unsigned *count)
{
    unsigned copies = *count, n;

    for (unsigned i = 0; i < copies; i++) {
        struct dsn_recipient *delivered =
            arena_array(session->transaction_arena, (*messages)[i].recipient_count, sizeof(*delivered));

        n = gather_delivered(session, &(*messages)[i], delivered);
        if (n && !add(session, DSN_DELIVERED, delivered, n, i, messages, count))
            return false;
    }
    struct dsn_recipient *expanded =
        arena_array(session->transaction_arena, session->transaction->recipient_count, sizeof(*expanded));
    n = gather_expanded(session, expanded);
    return !n || add(session, DSN_EXPANDED, expanded, n, 0, messages, count);
}
