/*
 * smtp_accept: the end of data: one transaction that makes the message ours, then 250.
 *
 * Recipients are gathered by the customer whose mail this becomes: the recipient's for our domains, the
 * sender's for outside.  Each customer gets a stored copy of its own, in its cell, with its own id and
 * Received line: what one customer's account, retention and deletion do then never touches another's.  All copies
 * go in one accept_commit(), so that 250 means all of them and 451 means none; with them go the notices that
 * senders asked for of delivery into a mailbox (smtp_notice.c), so that these are sent exactly once.
 *
 * Which answer: DONE is 250.  REFUSED (an account was deleted since RCPT), CONFLICT and UNDONE changed nothing:
 * 451, and the client's next attempt learns more at RCPT.  UNCERTAIN is 451, too: rather twice than lost.
 */
#include "storage/accept.h"

#define LOG_MODULE "smtp"
#include "core/clock.h"
#include "core/id.h"
#include "core/idn.h"
#include "core/log.h"
#include "protocols/mime.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_parameter.h"
#include "protocols/smtp_sent.h"
#include "protocols/smtp_session.h"
#include "relay/notice.h"
#include "storage/delivery_policy.h"
#include "storage/node.h"

static unsigned recipients_of(const struct smtp_transaction *transaction, int64_t customer_id)
{
    unsigned count = 0;
    for (const struct smtp_recipient *r = transaction->recipients; r; r = r->next)
        count += r->customer_id == customer_id;
    return count;
}

static struct accept_recipient make_recipient(const struct smtp_session *session, const struct smtp_recipient *from,
                                              int64_t now_ms)
{
    const struct server_settings *settings = session->settings;
    bool readable = from->mailbox_id != 0 || (smtp_hold_is(session, from, now_ms) && from->account_id);
    struct delivery_times times = {.lifetime_ms = settings->queue_lifetime_ms,
                                   .delay_notice_ms = settings->delay_notice_ms};

    delivery_policy_apply(from->address, &times);
    struct accept_recipient out = {
        .address = from->address,
        .original = from->expanded ? from->original : (struct slice){NULL, 0},
        .mailbox_id = from->mailbox_id,
        .internal_ms = now_ms,
        .queue = from->destination.n > 0,
        .destination = from->destination,
        .domain_id = from->domain_id,
        .account_id = from->account_id,
        .parameters = smtp_parameter_print_rcpt(session->transaction_arena, &from->envelope, ENVELOPE_ALL),
        .waiting = from->waiting,
        .expires_ms = now_ms + times.lifetime_ms,
        .deliver_by_ms = envelope_deadline(&session->transaction->envelope, now_ms),
        .delay_ms = notice_delay_at(session->transaction->sender.address, &from->envelope, readable, now_ms,
                                    times.delay_notice_ms),
    };

    smtp_hold_apply(session, from, now_ms, &out);
    return out;
}

static void begin_message(const struct smtp_session *session, const struct smtp_recipient *recipient, int64_t now_ms,
                          struct slice missing, struct accept_message *out)
{
    struct smtp_transaction *transaction = session->transaction;
    struct arena *arena = session->transaction_arena;

    out->cell = recipient->cell;
    out->customer_id = recipient->customer_id;
    out->account_id = session->authenticated ? session->account.id : 0;
    out->sender = transaction->sender.address;
    out->parameters = smtp_parameter_print_mail(arena, &transaction->envelope, ENVELOPE_ALL);
    out->eight_bit = transaction->eight_bit;
    out->priority = transaction->envelope.priority;
    out->received_ms = now_ms;
    out->client = session->peer;
    out->helo = session->helo.p;
    out->protocol = smtp_trace_protocol(session);
    out->grant_id = recipient->grant ? recipient->grant->id : 0;
    out->tls = stream_is_tls(session->stream) ? arena_printf(arena, "%s %s", stream_tls_version(session->stream),
                                                             stream_tls_cipher(session->stream))
                                              : NULL;
    struct slice trace = smtp_trace(arena, session, out->id, now_ms,
                                    transaction->recipient_count == 1 ? recipient->original : (struct slice){0});
    out->prefix = slice_str(arena_printf(arena, "%.*s%.*s", SLICE_ARG(trace), SLICE_ARG(missing)));
    out->spool = transaction->spool;
    out->recipients = arena_array(arena, recipients_of(transaction, out->customer_id), sizeof(*out->recipients));
}

/*
 * Does the message itself need SMTPUTF8 (RFC 6531 3.4)?  Its recipients are asked one by one when they are sent to.  A
 * message whose sender did not say so goes as it came: raw 8-bit headers are older than SMTPUTF8.
 */
static bool needs_utf8(const struct smtp_session *session)
{
    const struct smtp_transaction *transaction = session->transaction;
    struct slice content;

    if (!transaction->utf8)
        return false;
    if (!idn_is_ascii(transaction->sender.address) || transaction->header.eight_bit)
        return true;
    if (!transaction->header.eight_bit_after || !spool_map(transaction->spool, &content))
        return transaction->header.eight_bit_after; /* it cannot be looked at: as it was declared */
    return mime_headers_eight_bit(mime_parse(session->command, content));
}

/* What the header has to say to the next hops. */
static void note_header(struct smtp_session *session)
{
    struct smtp_transaction *transaction = session->transaction;

    transaction->envelope.utf8 = needs_utf8(session);
    /* RFC 8689 4.1: the field is ignored where the parameter was given. */
    transaction->envelope.tls_optional = transaction->header.tls_optional && !transaction->envelope.require_tls;
}

/* One message for each customer.  Returns how many.  *missing: what was put before their headers. */
static unsigned gather(const struct smtp_session *session, struct accept_message *messages, struct slice *missing)
{
    int64_t now_ms = clock_now_ms();
    unsigned count = 0, i;

    *missing = (struct slice){"", 0};

    for (const struct smtp_recipient *r = session->transaction->recipients; r; r = r->next) {
        for (i = 0; i < count && messages[i].customer_id != r->customer_id; i++)
            ;
        struct accept_message *message = &messages[i];
        if (i == count) {
            message->id = id_make(r->cell);
            if (!count)
                *missing = smtp_trace_missing(session->transaction_arena, session, message->id, now_ms);
            begin_message(session, r, now_ms, *missing, message);
            count++;
        }
        message->recipients[message->recipient_count++] = make_recipient(session, r, now_ms);
    }
    return count;
}

/* What is used of grants with limits: the message once for each, whatever number of copies is stored. */
static void count_usage(const struct smtp_session *session, struct accept_message *message)
{
    const struct smtp_transaction *transaction = session->transaction;
    struct accept_usage *list = arena_array(session->transaction_arena, transaction->recipient_count, sizeof(*list));
    unsigned count = 0, i;

    for (const struct smtp_recipient *r = transaction->recipients; r; r = r->next) {
        if (!r->first || !r->grant || !r->grant->counted)
            continue;
        for (i = 0; i < count && list[i].grant_id != r->grant->id; i++)
            ;
        if (i == count)
            list[count++] =
                (struct accept_usage){r->grant->cell, r->grant->id, r->grant->counted_for, 0, transaction->size};
        list[i].recipients++;
    }
    message->usage = list;
    message->usage_count = count;
}

static void accepted(struct smtp_session *session, const struct accept_message *messages, unsigned count)
{
    const struct smtp_transaction *transaction = session->transaction;
    const struct directory_grant *by = transaction->recipients->grant;
    char id[ID_TEXT_SIZE], grant[ID_TEXT_SIZE];

    for (unsigned i = 0; i < count; i++)
        log_info("message accepted", log_id("message", messages[i].id), log_slice("sender", messages[i].sender),
                 log_int("recipients", messages[i].recipient_count), log_int("size", (int64_t)transaction->size),
                 log_str("protocol", messages[i].protocol), log_int("priority", messages[i].priority),
                 log_str("grant", by ? id_print(by->id, grant) : transaction->recipients->reason));
    smtp_counters.messages_accepted++;
    smtp_counters.recipients_accepted += transaction->recipient_count;
    smtp_reply(session, 250, "2.0.0", "Ok: queued as %s%s", id_print(messages[0].id, id),
               smtp_hold_words(session, messages, count));
}

static void deferred(struct smtp_session *session, const char *reason)
{
    smtp_counters.messages_deferred++;
    log_warn("message not accepted", log_slice("sender", session->transaction->sender.address),
             log_str("reason", reason));
    smtp_reply(session, 451, "4.3.0", "Temporary failure, try again later");
}

/*
 * With the copy in Sent and the notices.  *count: how many messages there are without these; 0: no next hop takes it, and
 * that is answered.
 */
static AWAITS enum db_write commit_once(struct smtp_session *session, struct accept_message **messages, unsigned *count)
{
    struct slice missing;

    *messages = arena_array(session->transaction_arena, session->transaction->target_count, sizeof(**messages));
    *count = gather(session, *messages, &missing);
    switch (smtp_next_size(session, *messages, *count)) {
    case SMTP_FITS: break;
    case SMTP_FITS_NOT: *count = 0; return DB_UNDONE;
    case SMTP_FITS_UNKNOWN: return DB_UNDONE;
    }
    unsigned with_copy = *count, all;
    count_usage(session, *messages);
    if (!smtp_sent_add(session, missing, messages, &with_copy))
        return DB_UNDONE;
    all = with_copy;
    enum db_write written =
        smtp_notice_add(session, messages, &all) ? accept_commit(*messages, all) : DB_UNDONE;
    notice_done(*messages + with_copy, all - with_copy);
    return written;
}

static AWAITS void commit(struct smtp_session *session)
{
    struct accept_message *messages;
    unsigned count;

    note_header(session);
    if (!smtp_policy_apply(session))
        return;
    enum db_write written = commit_once(session, &messages, &count);
    if (written == DB_REFUSED && session->authenticated) /* its mail program has just filed what it sends */
        written = commit_once(session, &messages, &count);
    if (written != DB_DONE)
        smtp_policy_take_back(session);
    if (!count)
        return;
    switch (written) {
    case DB_DONE: accepted(session, messages, count); return;
    case DB_REFUSED: deferred(session, "a recipient is gone"); return;
    case DB_CONFLICT: deferred(session, "conflict"); return;
    case DB_UNDONE: deferred(session, "database"); return;
    case DB_UNCERTAIN: deferred(session, "uncertain"); return;
    }
}

AWAITS void smtp_accept(struct smtp_session *session)
{
    if (!node_alive())
        deferred(session, "this worker has no number"); /* no ids can be made */
    else if (smtp_author_permitted(session) && smtp_limit_permitted(session))
        commit(session);
    smtp_limit_done(session);
    smtp_session_reset(session);
}
