/*
 * smtp_command_bdat: BDAT, a message in chunks of known size (RFC 3030).
 *
 *     bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CRLF             (section 2)
 *
 * The octets follow the command at once, without an invitation, whatever we think of it.  So each chunk is read to its
 * end even if it is unwanted, and only then answered: else its content would be taken for commands.  For the same
 * reason a BDAT whose size cannot be read, or is beyond all measure, ends the session.
 *
 * The chunks together obey the rules of DATA (smtp_command_data.c), but that dots mean nothing: the message is made of
 * lines, unless MAIL said BODY=BINARYMIME (section 3).  A line may go over the edge of a chunk, and so may its CRLF.
 * The last line need not end in CRLF; it is kept as it came.
 *
 * After the first chunk only BDAT, NOOP and what ends the transaction make sense: RCPT and DATA are refused.  A chunk
 * that is refused spoils the message: what follows is dropped with 503 up to RSET, EHLO or the chunk that says LAST,
 * which closes the transaction.  These 503 are counted like any bad command, so that nobody can send refused chunks
 * for ever.
 *
 * A sign of life is asked as in DATA: a chunk may not trickle.  Chunks that do not come at all are silence between
 * commands.
 */
#include <event2/buffer.h>

#define LOG_MODULE "smtp"
#include "core/clock.h"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"

static const struct smtp_fault *not_now(const struct smtp_session *session)
{
    static const struct smtp_fault failed = {503, "5.5.1", "An earlier command has spoiled this message; RSET"};
    const struct smtp_fault *fault = smtp_data_not_now(session);

    if (fault)
        return fault;
    return session->transaction->failed ? &failed : NULL;
}

static void unwanted_chunk(struct smtp_session *session, const struct smtp_chunk *chunk)
{
    if (chunk->last && session->transaction && session->transaction->chunked)
        smtp_session_reset(session);
    if (chunk->fault->code == 554) /* all recipients were refused, and told so */
        smtp_reply(session, chunk->fault->code, chunk->fault->enhanced, "%s", chunk->fault->text);
    else
        smtp_reply_fault(session, chunk->fault);
}

/* All octets of the chunk are here. */
static void end_of_chunk(struct smtp_session *session)
{
    const struct smtp_chunk *chunk = &session->chunk;
    struct smtp_transaction *transaction = session->transaction;

    if (chunk->fault) {
        unwanted_chunk(session, chunk);
        return;
    }
    if (chunk->last)
        smtp_data_finish(session);
    if (smtp_data_refused(session)) {
        transaction->failed = true;
        if (chunk->last)
            smtp_session_reset(session);
        return;
    }
    if (chunk->last)
        smtp_session_run(session, smtp_accept);
    else
        smtp_reply(session, 250, "2.0.0", "Ok: %llu octets", (unsigned long long)chunk->size);
}

static void take(struct smtp_session *session, struct evbuffer *input)
{
    struct smtp_chunk *chunk = &session->chunk;

    while (chunk->left && evbuffer_get_length(input)) {
        struct evbuffer_iovec piece;
        evbuffer_peek(input, -1, NULL, &piece, 1);
        size_t n = piece.iov_len < chunk->left ? piece.iov_len : (size_t)chunk->left;
        struct slice bytes = slice_of(piece.iov_base, n);
        if (!chunk->fault)
            smtp_data_feed(session, &bytes);
        evbuffer_drain(input, n);
        chunk->left -= n;
    }
}

void smtp_bdat_on_input(struct smtp_session *session, struct evbuffer *input)
{
    const struct smtp_chunk *chunk = &session->chunk;

    take(session, input);
    if (!chunk->left) {
        session->receiving = session->chunking = false;
        stream_mode_line(session->stream);
        end_of_chunk(session);
    } else if (smtp_data_trickles(chunk->began_ms, chunk->size - chunk->left)) {
        smtp_reply_goodbye(session, 421, "4.4.2", "Too slow, closing connection");
    }
}

void smtp_command_bdat(struct smtp_session *session, struct slice arguments)
{
    struct smtp_bdat bdat;
    const struct smtp_fault *fault = smtp_parse_bdat(arguments, &bdat);

    if (fault) {
        smtp_reply_goodbye(session, fault->code, fault->enhanced, fault->text);
        return;
    }
    if (bdat.size / 2 > session->settings->message_size_max) {
        log_info("message refused", log_str("reason", "flood"));
        smtp_counters.messages_refused++;
        smtp_reply_goodbye(session, 552, "5.3.4", "Message far too big, closing connection");
        return;
    }
    session->chunk = (struct smtp_chunk){bdat.size, bdat.size, bdat.last, not_now(session), clock_steady_ms()};
    if (!session->chunk.fault && !session->transaction->chunked) {
        smtp_data_begin(session);
        session->transaction->chunked = session->transaction->dot.chunked = true;
    }
    if (!bdat.size) {
        end_of_chunk(session);
        return;
    }
    session->receiving = session->chunking = true;
    stream_mode_raw(session->stream);
}
