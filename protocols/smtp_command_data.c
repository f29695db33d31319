/*
 * smtp_command_data: DATA, and the bytes that follow it.
 *
 *     data = "DATA" CRLF                                                (RFC 5321 4.1.1.4)
 *
 * After 354 the stream is raw: bytes go through the dot machine (smtp_dot.c) into the spool as they come, and nothing
 * of the message stays in the session.  The spool writes to disk beyond its memory, synchronously, which is the
 * back-pressure.
 *
 * A message that is wrong (too long, bare CR or LF, NUL, looping, no room) is read to its end all the same,
 * without being kept, because only there the client listens for an answer.  A client that goes on to send twice what
 * is allowed is hung up on.  So is one that trickles: after GRACE_MS DATA must have come at SLOWEST on average.
 *
 * Two filters may stand before the spool: what is sent as BODY=BINARYMIME becomes a message of lines (mime_binary.c),
 * and a submitted message loses its Bcc (smtp_fields.c).  The size that counts for limits is that of what came.
 *
 * Lines of the message may be longer than the 1,000 octets of section 4.5.3.1.6, unless a setting says how long they
 * may be, and 8-bit whether BODY said so or not: both are everywhere in real mail, are kept as they came, and harm
 * nobody here.
 */
#include <event2/buffer.h>

#define LOG_MODULE "smtp"
#include "core/clock.h"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"

#define PIECES 16
#define GRACE_MS (10 * 60 * 1000)
#define SLOWEST 128 /* octets per second */

static void spool(void *arg, struct slice bytes)
{
    struct smtp_transaction *transaction = arg;

    if (transaction->spool && !spool_failed(transaction->spool) && !spool_append(transaction->spool, bytes))
        log_error("no room in the spool", log_int("size", (int64_t)transaction->size));
}

static void filter(void *arg, struct slice bytes)
{
    struct smtp_session *session = arg;
    struct smtp_transaction *transaction = session->transaction;

    if (session->role == SMTP_ROLE_SUBMISSION)
        smtp_fields_feed(&transaction->fields, bytes, spool, transaction);
    else
        spool(transaction, bytes);
}

static void keep(void *arg, struct slice bytes)
{
    struct smtp_session *session = arg;
    struct smtp_transaction *transaction = session->transaction;

    transaction->size += bytes.n;
    if (transaction->size > transaction->size_max)
        spool_unref(&transaction->spool); /* the rest is counted, not kept */
    smtp_header_feed(&transaction->header, bytes);
    if (transaction->binary)
        mime_binary_feed(transaction->binary, bytes, filter, session);
    else
        filter(session, bytes);
}

/* Bytes that need not be lines: the dot machine is asked only for what it counts in the header. */
static void feed_binary(struct smtp_session *session, struct slice *bytes)
{
    if (!session->transaction->dot.body)
        smtp_dot_feed(&session->transaction->dot, bytes, keep, session);
    else
        keep(session, *bytes);
}

bool smtp_data_feed(struct smtp_session *session, struct slice *bytes)
{
    struct smtp_transaction *transaction = session->transaction;

    if (transaction->binary) {
        feed_binary(session, bytes);
        return false;
    }
    if (session->settings->normalize_newlines)
        return smtp_newline_feed(&transaction->newline, &transaction->dot, bytes, keep, session);
    return smtp_dot_feed(&transaction->dot, bytes, keep, session);
}

void smtp_data_finish(struct smtp_session *session)
{
    struct smtp_transaction *transaction = session->transaction;

    if (transaction->binary) {
        mime_binary_finish(transaction->binary, filter, session);
        if (mime_binary_converted(transaction->binary))
            log_info("binary parts converted", log_slice("sender", transaction->sender.address),
                     log_int("fields", mime_binary_converted(transaction->binary)));
    } else if (transaction->chunked) {
        smtp_newline_finish(&transaction->newline, &transaction->dot, keep, session);
        smtp_dot_finish(&transaction->dot);
    }
    if (transaction->newline.repaired)
        log_info("bare CR or LF repaired", log_slice("sender", transaction->sender.address));
    smtp_header_finish(&transaction->header);
    if (session->role == SMTP_ROLE_SUBMISSION)
        smtp_fields_finish(&transaction->fields, spool, transaction);
}

static void count(struct smtp_session *session, unsigned code, const char *reason)
{
    if (code < 500)
        smtp_counters.messages_deferred++;
    else
        smtp_counters.messages_refused++;
    log_info("message refused", log_slice("sender", session->transaction->sender.address), log_str("reason", reason),
             log_int("size", (int64_t)session->transaction->size));
}

static void refuse(struct smtp_session *session, unsigned code, const char *enhanced, const char *reason,
                   const char *text)
{
    count(session, code, reason);
    smtp_reply(session, code, enhanced, "%s", text);
}

static void too_big(struct smtp_session *session)
{
    count(session, 552, "too-big");
    smtp_refuse_too_big(session);
}

static bool line_too_long(const struct smtp_session *session)
{
    const struct smtp_transaction *transaction = session->transaction;
    size_t most = session->settings->line_length_max;

    return most && !transaction->binary && transaction->dot.longest > most;
}

/* True, and answered. */
static bool binary_refused(struct smtp_session *session)
{
    switch (mime_binary_fault(session->transaction->binary)) {
    case MIME_BINARY_FINE: return false;
    case MIME_BINARY_UNDECLARED:
        refuse(session, 554, "5.6.0", "binary-undeclared",
               "NUL, or CR or LF alone, outside of parts that say they are binary");
        break;
    case MIME_BINARY_SIGNED:
        refuse(session, 554, "5.6.2", "binary-signed",
               "A signed part would have to be converted; sign it without binary");
        break;
    case MIME_BINARY_MALFORMED:
        refuse(session, 554, "5.6.0", "binary-malformed",
               "The MIME structure is not clear enough to convert binary parts");
        break;
    }
    return true;
}

bool smtp_data_refused(struct smtp_session *session)
{
    const struct smtp_transaction *transaction = session->transaction;

    /* A header that is too long for mime_binary is first of all too long. */
    if (transaction->binary && transaction->dot.header <= session->settings->header_size_max && binary_refused(session))
        return true;
    if (!transaction->binary && transaction->dot.bare)
        refuse(session, 554, "5.6.0", "bare-cr-lf", "The message has a CR or LF alone; lines end in CRLF");
    else if (!transaction->binary && transaction->dot.nul)
        refuse(session, 554, "5.6.0", "nul", "The message has a NUL character");
    else if (!transaction->spool)
        too_big(session);
    else if (spool_failed(transaction->spool))
        refuse(session, 452, "4.3.1", "spool-failed", "Insufficient storage, try again later");
    else if (transaction->dot.hops.received > session->settings->received_max)
        refuse(session, 554, "5.4.6", "loop", "Too many Received fields: the message is going in circles");
    else if (transaction->dot.hops.own > session->settings->own_received_max)
        refuse(session, 554, "5.4.6", "loop-here", "This server has had the message too often: it is going in circles");
    else if (line_too_long(session))
        refuse(session, 554, "5.6.0", "line-too-long",
               arena_printf(session->command, "The message has a line of more than %zu octets",
                            session->settings->line_length_max));
    else if (transaction->dot.header > session->settings->header_size_max)
        refuse(session, 552, "5.3.4", "header-too-big", "Message header too big");
    else if (transaction->dot.fields > session->settings->header_fields_max)
        refuse(session, 552, "5.3.4", "too-many-fields", "Message header has too many fields");
    else
        return false;
    return true;
}

/* The whole message is here. */
static void end_of_data(struct smtp_session *session)
{
    smtp_data_finish(session);
    if (smtp_data_refused(session))
        smtp_session_reset(session);
    else
        smtp_session_run(session, smtp_accept);
}

static bool is_flooding(const struct smtp_session *session)
{
    return session->transaction->size / 2 > session->settings->message_size_max;
}

bool smtp_data_trickles(uint64_t began_ms, uint64_t received)
{
    uint64_t ms = clock_steady_ms() - began_ms;
    return ms > GRACE_MS && received < ms / 1000 * SLOWEST;
}

void smtp_data_on_input(struct smtp_session *session, struct evbuffer *input)
{
    struct evbuffer_iovec pieces[PIECES];
    bool ended = false;

    while (!ended && evbuffer_get_length(input)) {
        int count = evbuffer_peek(input, -1, NULL, pieces, PIECES);
        size_t consumed = 0;
        for (int i = 0; i < count && i < PIECES && !ended; i++) {
            struct slice piece = slice_of(pieces[i].iov_base, pieces[i].iov_len);
            ended = smtp_data_feed(session, &piece);
            consumed += pieces[i].iov_len - piece.n;
        }
        evbuffer_drain(input, consumed);
    }
    if (ended) {
        session->receiving = false;
        stream_mode_line(session->stream);
        end_of_data(session);
    } else if (is_flooding(session)) {
        log_info("message refused", log_str("reason", "flood"));
        smtp_counters.messages_refused++;
        smtp_reply_goodbye(session, 552, "5.3.4", "Message far too big, closing connection");
    } else if (smtp_data_trickles(session->transaction->data_began_ms, session->transaction->size)) {
        smtp_reply_goodbye(session, 421, "4.4.2", "Too slow, closing connection");
    }
}

const struct smtp_fault *smtp_data_not_now(const struct smtp_session *session)
{
    static const struct smtp_fault no_mail = {503, "5.5.1", "MAIL first"};
    static const struct smtp_fault no_rcpt = {503, "5.5.1", "RCPT first"};
    static const struct smtp_fault none_valid = {554, "5.5.1", "No valid recipients"};
    const struct smtp_transaction *transaction = session->transaction;

    if (!transaction)
        return &no_mail;
    if (transaction->recipient_count)
        return NULL;
    /* RFC 2920 section 3.1: a pipelining client learns here that none of its recipients was taken. */
    return transaction->rcpt_seen ? &none_valid : &no_rcpt;
}

void smtp_data_begin(struct smtp_session *session)
{
    session->transaction->spool = spool_new();
    session->transaction->dot.hops.name = slice_str(session->settings->hostname);
    session->transaction->data_began_ms = clock_steady_ms();
}

void smtp_command_data(struct smtp_session *session, struct slice arguments)
{
    const struct smtp_fault *fault = smtp_data_not_now(session);

    if (arguments.n) {
        smtp_reply_error(session, 501, "5.5.4", "DATA takes no argument");
        return;
    }
    if (fault && fault->code == 554) { /* no mistake of the client's */
        smtp_reply(session, fault->code, fault->enhanced, "%s", fault->text);
        return;
    }
    if (fault) {
        smtp_reply_fault(session, fault);
        return;
    }
    if (session->transaction->chunked ||
        session->transaction->binary) { /* RFC 3030 sections 2, 3: only RSET helps now */
        session->transaction->failed = true;
        smtp_reply_error(session, 503, "5.5.1",
                         session->transaction->chunked ? "DATA is not allowed after BDAT"
                                                       : "BODY=BINARYMIME is sent by BDAT");
        return;
    }
    smtp_data_begin(session);
    session->receiving = true;
    smtp_reply(session, 354, NULL, "End data with <CR><LF>.<CR><LF>");
    stream_write_buffer(session->stream, session->replies);
    stream_mode_raw(session->stream);
}
