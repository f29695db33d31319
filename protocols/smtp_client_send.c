/*
 * smtp_client_send: one message over an open connection (RFC 5321 3.3).
 *
 * The dialogue is a row of steps: MAIL, a RCPT for each recipient, DATA.  To a server with CHUNKING there is no DATA;
 * the content goes by BDAT when the others are answered (smtp_client_chunk.c).  With PIPELINING (RFC 2920) all of them
 * are written at once and then read one by one; without, each is written when the one before was answered.  Either way
 * on_reply() sees the same replies in the same order, so the two differ in nothing but time.
 *
 * A recipient is open until something decides about it: its own RCPT, or what happens to the transaction.  What
 * decides: MAIL, DATA and the final dot decide for all that are open; a connection that goes decides AWAY or CUT
 * for all before the final dot and UNCERTAIN after it.
 *
 * Hard cases
 *   - DATA was pipelined and is answered 354 although no recipient was accepted: a lone dot ends it (RFC 2920 3.1).
 *     If MAIL had been refused before, the server is out of step, and a dot would make an empty message of it: we go.
 *   - 452 to RCPT after others were accepted is "enough for one transaction" (RFC 5321 4.5.3.1.10): AGAIN.  With none
 *     accepted before it is what it says, LATER, so AGAIN always makes progress.
 *   - The content cannot be read to its end: the connection is dropped without the final dot, or in a chunk.
 *
 * What a server cannot carry is not begun (smtp_client_fit.c).
 *
 * Memory: a piece of the content and its encoded form; more is not made while STREAM_OUTPUT_HIGH bytes wait to be sent.
 */
#include <stdlib.h>

#define LOG_MODULE "smtp-client"
#include "core/idn.h"
#include "core/log.h"
#include "protocols/smtp_client_auth.h"
#include "protocols/smtp_client_chunk.h"
#include "protocols/smtp_parameter.h"
#include "relay/retry.h"

struct transaction {
    struct smtp_client *client;
    struct arena *arena;
    struct smtp_client_message *message;
    unsigned accepted; /* recipients that got 2xx and are open */
    bool mail_refused;
    bool utf8;     /* it goes with SMTPUTF8 */
    bool chunking; /* BDAT */
};

/* ------------------------------------------------------------------ deciding */

static void decide_all(struct transaction *t, enum smtp_client_outcome outcome, struct slice reply, struct slice status)
{
    smtp_client_decide_all(t->message, outcome, reply, status);
    t->accepted = 0;
}

static enum smtp_client_outcome outcome_of(enum retry_verdict verdict)
{
    switch (verdict) {
    case RETRY_VERDICT_ACCEPTED: return SMTP_CLIENT_DELIVERED;
    case RETRY_VERDICT_LATER: return SMTP_CLIENT_LATER;
    case RETRY_VERDICT_REFUSED: return SMTP_CLIENT_REFUSED;
    case RETRY_VERDICT_AWAY: return SMTP_CLIENT_AWAY;
    }
    abort();
}

static enum retry_verdict verdict(const struct transaction *t, enum retry_stage stage)
{
    return smtp_client_verdict(t->client, stage);
}

static struct slice words(const struct transaction *t)
{
    return arena_slice(t->arena, slice_of(t->client->reply.text, t->client->reply.text_size));
}

static struct slice status(const struct transaction *t, enum retry_stage stage)
{
    return arena_slice(t->arena, retry_status(stage, verdict(t, stage), t->client->reply.enhanced));
}

/* The connection went, or the server said that it will.  What was to go in another transaction has none now. */
static void lose(struct transaction *t, enum smtp_client_outcome outcome, const char *when)
{
    struct slice reply =
        t->client->broken ? slice_str(arena_printf(t->arena, "%s %s", t->client->trouble, when)) : words(t);

    decide_all(t, outcome, reply, SLICE("4.4.2"));
    for (unsigned i = 0; i < t->message->count; i++)
        if (t->message->recipients[i].outcome == SMTP_CLIENT_AGAIN)
            smtp_client_decide(&t->message->recipients[i], SMTP_CLIENT_CUT, reply, SLICE("4.4.2"));
    if (!t->client->broken) { /* 421: it closes; so do we */
        t->client->broken = true;
        t->client->trouble = "the server closed the session";
    }
}

/* ------------------------------------------------------------------ commands */

static void write_parameters(struct transaction *t, struct slice parameters)
{
    stream_printf(t->client->stream, "%s%.*s\r\n", parameters.n ? " " : "", SLICE_ARG(parameters));
}

static struct slice address_on_wire(struct transaction *t, struct slice address)
{
    return t->utf8 ? idn_address_unicode(t->arena, address) : address;
}

static void write_mail(struct transaction *t, size_t size)
{
    const struct smtp_client_features *features = &t->client->features;
    struct envelope_mail envelope = *t->message->envelope;
    struct slice sender = address_on_wire(t, t->message->sender);

    envelope.utf8 = t->utf8;
    stream_printf(t->client->stream, "MAIL FROM:<%.*s>%s", SLICE_ARG(sender), t->client->signed_in ? " AUTH=<>" : "");
    if (features->size)
        stream_printf(t->client->stream, " SIZE=%zu", size);
    if (features->eight_bit && (t->message->eight_bit || t->message->envelope->utf8))
        stream_printf(t->client->stream, " BODY=8BITMIME");
    write_parameters(t, smtp_parameter_print_mail(t->arena, &envelope, features->envelope));
}

/* An ORCPT of type utf-8 is kept in ASCII; with SMTPUTF8 it should be UTF-8 (RFC 6533 section 3). */
static struct envelope_rcpt envelope_on_wire(struct transaction *t, const struct envelope_rcpt *envelope)
{
    static const struct slice type = {"utf-8;", 6};
    struct envelope_rcpt out = *envelope;

    if (!t->utf8 || out.orcpt.n <= type.n || !slice_equal_nocase(slice_of(out.orcpt.p, type.n), type) ||
        !idn_unescape(t->arena, envelope->orcpt, false, &out.orcpt))
        return *envelope;
    return out;
}

static void write_recipient(struct transaction *t, const struct smtp_client_recipient *recipient)
{
    struct envelope_rcpt envelope = envelope_on_wire(t, recipient->envelope);
    struct slice address = address_on_wire(t, recipient->address);

    stream_printf(t->client->stream, "RCPT TO:<%.*s>", SLICE_ARG(address));
    write_parameters(t, smtp_parameter_print_rcpt(t->arena, &envelope, t->client->features.envelope));
}

/* step 0: MAIL, 1 to count: RCPT, count + 1: DATA.  Recipients who are withheld have none. */
static bool has_step(const struct transaction *t, unsigned step)
{
    return step == 0 || step > t->message->count || !t->message->recipients[step - 1].withheld;
}

static void write_step(struct transaction *t, unsigned step, size_t size)
{
    if (step == 0)
        write_mail(t, size);
    else if (step <= t->message->count)
        write_recipient(t, &t->message->recipients[step - 1]);
    else
        stream_printf(t->client->stream, "DATA\r\n");
}

static void on_mail(struct transaction *t)
{
    enum retry_verdict v = verdict(t, RETRY_STAGE_MAIL);

    t->mail_refused = v != RETRY_VERDICT_ACCEPTED;
    if (t->mail_refused)
        decide_all(t, outcome_of(v), words(t), status(t, RETRY_STAGE_MAIL));
}

static void on_recipient(struct transaction *t, struct smtp_client_recipient *recipient)
{
    enum retry_verdict v = verdict(t, RETRY_STAGE_RECIPIENT);
    unsigned code = t->client->reply.code;

    if (!smtp_client_is_open(recipient)) /* MAIL was refused; this is the 503 that follows */
        return;
    if (v == RETRY_VERDICT_ACCEPTED) {
        t->accepted++;
        return;
    }
    if (v == RETRY_VERDICT_LATER && (code == 452 || code == 552) && t->accepted)
        smtp_client_decide(recipient, SMTP_CLIENT_AGAIN, words(t), SLICE("4.5.3"));
    else
        smtp_client_decide(recipient, outcome_of(v), words(t), status(t, RETRY_STAGE_RECIPIENT));
}

static const char *const when_step[] = {"after MAIL", "after RCPT", "after DATA"};

/* True: the content may go. */
static AWAITS bool ask(struct transaction *t, size_t size)
{
    struct smtp_client *client = t->client;
    unsigned data = t->message->count + 1, last = t->chunking ? data - 1 : data;
    bool pipelining = client->features.pipelining;

    for (unsigned step = 0; pipelining && step <= last; step++)
        if (has_step(t, step))
            write_step(t, step, size);
    for (unsigned step = 0; step <= last; step++) {
        if (!has_step(t, step))
            continue;
        if (!pipelining && (t->mail_refused || (step == data && !t->accepted)))
            return false;
        if (!pipelining)
            write_step(t, step, size);
        if (!smtp_client_await(client, client->settings.reply_timeout_ms, NULL) || client->reply.code == 421) {
            lose(t, step == 0 ? SMTP_CLIENT_AWAY : SMTP_CLIENT_CUT, when_step[step == 0 ? 0 : step < data ? 1 : 2]);
            return false;
        }
        if (step == 0)
            on_mail(t);
        else if (step < data)
            on_recipient(t, &t->message->recipients[step - 1]);
    }
    if (t->chunking)
        return t->accepted > 0;
    if (verdict(t, RETRY_STAGE_DATA) == RETRY_VERDICT_ACCEPTED) {
        client->broken = t->mail_refused;
        client->trouble = "DATA was accepted after MAIL had been refused";
        return !t->mail_refused;
    }
    decide_all(t, outcome_of(verdict(t, RETRY_STAGE_DATA)), words(t), status(t, RETRY_STAGE_DATA));
    return false;
}

/* ------------------------------------------------------------------ content */

size_t smtp_client_content_size(const struct smtp_client_message *m)
{
    return m->prefix.n + spool_size(m->spool) - m->offset;
}

struct slice smtp_client_content_at(const struct smtp_client_message *m, size_t position, char *buffer, bool *failed)
{
    struct slice piece = {NULL, 0};

    if (position < m->prefix.n) {
        piece = slice_skip(m->prefix, position);
        piece.n = piece.n < SMTP_CLIENT_PIECE ? piece.n : SMTP_CLIENT_PIECE;
        return piece;
    }
    *failed = !spool_read(m->spool, m->offset + position - m->prefix.n, SMTP_CLIENT_PIECE, buffer, &piece);
    return piece;
}

/* Everything but the final dot. */
static AWAITS bool write_content(struct transaction *t, char *buffer, char *encoded, struct smtp_client_body *body)
{
    struct smtp_client *client = t->client;
    bool failed = false;
    struct slice piece;

    for (size_t at = 0; (piece = smtp_client_content_at(t->message, at, buffer, &failed)).n && !failed; at += piece.n) {
        stream_write(client->stream, slice_of(encoded, smtp_client_body_encode(body, piece, encoded)));
        if (stream_output_pending(client->stream) < STREAM_OUTPUT_HIGH)
            continue;
        enum stream_status flushed = stream_flush(client->stream, STREAM_OUTPUT_LOW, client->settings.reply_timeout_ms);
        if (flushed != STREAM_OK) {
            client->trouble = stream_status_text(flushed);
            return false;
        }
    }
    if (failed)
        client->trouble = "the message could not be read from the spool";
    return !failed;
}

/* A server that cuts the content off may have said why before: 421, 552. */
static AWAITS void lose_in_content(struct transaction *t)
{
    const char *trouble = t->client->trouble;
    enum retry_verdict v;

    if (smtp_client_await(t->client, 1, NULL) && (v = verdict(t, RETRY_STAGE_END)) != RETRY_VERDICT_ACCEPTED &&
        v != RETRY_VERDICT_AWAY)
        decide_all(t, outcome_of(v), words(t), status(t, RETRY_STAGE_END));
    t->client->broken = true;
    t->client->trouble = trouble;
    lose(t, SMTP_CLIENT_CUT, "while sending the message");
}

static void hold_back(struct transaction *t, const char *when)
{
    t->client->broken = true;
    t->client->trouble = "held back";
    lose(t, SMTP_CLIENT_CUT, when);
}

/* All is written; the reply decides. */
static AWAITS void await_end(struct transaction *t, const char *uncertain)
{
    struct smtp_client *client = t->client;

    if (!smtp_client_await(client, client->settings.end_timeout_ms, NULL)) {
        /* The dot, or the last chunk, is the last of what was written: if anything was left here, it has not gone. */
        if (stream_output_lost(client->stream) || stream_output_pending(client->stream))
            lose(t, SMTP_CLIENT_CUT, "while sending the message");
        else
            lose(t, SMTP_CLIENT_UNCERTAIN, uncertain);
        return;
    }
    if (client->reply.code == 421) {
        lose(t, SMTP_CLIENT_CUT, "");
        return;
    }
    /* RFC 5321 4.1.1.4 has it over either way; Postfix leaves it open after a refusal by smtpd_end_of_data_restrictions. */
    client->dirty = verdict(t, RETRY_STAGE_END) != RETRY_VERDICT_ACCEPTED;
    decide_all(t, outcome_of(verdict(t, RETRY_STAGE_END)), words(t), status(t, RETRY_STAGE_END));
}

static AWAITS void send_content(struct transaction *t, char *buffer, char *encoded)
{
    struct smtp_client *client = t->client;
    struct smtp_client_body body = SMTP_CLIENT_BODY_INIT;

    if (t->accepted && !write_content(t, buffer, encoded, &body)) {
        lose_in_content(t);
        return;
    }
    if (t->accepted && t->message->may_finish && !t->message->may_finish(t->message->arg)) {
        hold_back(t, "before the final dot");
        return;
    }
    stream_write(client->stream, slice_of(encoded, smtp_client_body_end(&body, encoded)));
    await_end(t, "after the final dot; it may have been taken");
}

static AWAITS void send_chunk(struct transaction *t)
{
    switch (smtp_client_chunk_send(t->client, t->message)) {
    case SMTP_CLIENT_CHUNK_SENT: await_end(t, "after the last chunk; it may have been taken"); break;
    case SMTP_CLIENT_CHUNK_LOST: lose_in_content(t); break;
    case SMTP_CLIENT_CHUNK_HELD: hold_back(t, "before the end of the last chunk"); break;
    }
}

/* ------------------------------------------------------------------ a transaction */

/* Ends what an earlier transaction left open. */
static AWAITS bool clean(struct smtp_client *client)
{
    if (!client->dirty)
        return true;
    stream_printf(client->stream, "RSET\r\n");
    if (!smtp_client_await(client, client->settings.reply_timeout_ms, NULL))
        return false;
    client->dirty = client->reply.code != 250;
    return !client->dirty;
}

void smtp_client_send(struct smtp_client *client, struct arena *arena, struct smtp_client_message *message)
{
    struct transaction t = {.client = client, .arena = arena, .message = message};
    size_t size = smtp_client_content_size(message);
    char *buffer;
    bool wanted;

    t.chunking = client->settings.chunking && client->features.chunking;
    for (unsigned i = 0; i < message->count; i++) {
        message->recipients[i].reply = (struct slice){NULL, 0};
        message->recipients[i].withheld = false;
        message->recipients[i].by = client->features.envelope & ENVELOPE_DELIVERBY;
        message->recipients[i].dsn = client->features.envelope & ENVELOPE_DSN;
    }
    if (!smtp_client_fits(client, arena, message, size, &t.utf8))
        return;
    if (!clean(client)) {
        lose(&t, SMTP_CLIENT_AWAY, "after RSET");
        return;
    }
    client->dirty = true;
    client->mails++;
    wanted = ask(&t, size);
    if (!wanted)
        return;
    if (t.chunking) {
        send_chunk(&t);
        return;
    }
    buffer = malloc(SMTP_CLIENT_PIECE + SMTP_CLIENT_ENCODED);
    if (!buffer)
        abort();
    send_content(&t, buffer, buffer + SMTP_CLIENT_PIECE);
    free(buffer);
}
