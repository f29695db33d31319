/*
 * smtp_command_mail: MAIL opens a transaction.
 *
 *     mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF        (RFC 5321 4.1.1.2)
 *
 * On port 25 any sender will do, and nothing is looked up, unless the message is to go before others (MT-PRIORITY).
 * A submission's sender must be permitted to the account (relay/permit.h), which is looked up anew for each message.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_session.h"

static void reply_unavailable(struct smtp_session *session)
{
    smtp_session_reset(session);
    smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later");
}

/* RFC 6710 4.1: a stranger's message goes before nobody's.  False: it was answered. */
static AWAITS bool lower_priority(struct smtp_session *session)
{
    struct smtp_transaction *transaction = session->transaction;
    bool known = false;

    if (!permit_known(session->command, &transaction->permit, &known)) {
        reply_unavailable(session);
        return false;
    }
    if (known)
        return true;
    log_info("priority lowered", log_slice("sender", transaction->sender.address),
             log_int("from", transaction->envelope.priority));
    transaction->envelope.priority = 0;
    smtp_reply(session, 250, "2.3.6",
               "0 is the priority of this message: a higher one is for clients that are known here");
    return false;
}

/* On port 25 it waits for nothing, but to find out whether a stranger asks for priority. */
static AWAITS void mail(struct smtp_session *session)
{
    struct permit *permit = &session->transaction->permit;
    struct authorize_decision decision;

    if (!smtp_screen_message(session)) {
        smtp_session_reset(session);
        return;
    }
    if (!permit_sender(session->command, permit, &decision)) {
        reply_unavailable(session);
        return;
    }
    if (decision.verdict != AUTHORIZE_ALLOWED) {
        log_info("sender refused", log_slice("sender", permit->sender), log_str("reason", decision.reason));
        smtp_refuse(session, "MAIL", slice_of(NULL, 0), 0, &decision);
        smtp_session_reset(session);
        return;
    }
    if (session->transaction->envelope.priority > 0 && !lower_priority(session))
        return;
    smtp_reply(session, decision.code, decision.enhanced, "%s", decision.text);
}

/* The fingerprint; behind XCLIENT the proxy's is not the client's. */
static struct slice certificate_of(struct smtp_session *session)
{
    struct tls_peer peer;

    if (session->told || !stream_tls_peer(session->stream, session->command, &peer))
        return slice_of("", 0);
    return arena_slice(session->transaction_arena, slice_str(peer.fingerprint));
}

/* What decides about the sender, and later about each recipient. */
static struct permit make_permit(struct smtp_session *session, const struct smtp_mail *parsed)
{
    return (struct permit){
        .arena = session->transaction_arena,
        .role = session->role == SMTP_ROLE_MX ? AUTHORIZE_MX : AUTHORIZE_SUBMISSION,
        .peer = session->peer,
        .account = session->authenticated ? &session->account : NULL,
        .certificate = session->role == SMTP_ROLE_MX ? certificate_of(session) : slice_of("", 0),
        .tls = stream_is_tls(session->stream),
        .literals = session->settings->address_literals,
        .at_ms = INT64_MIN,
        .sender = parsed->sender.address,
        .sender_domain = parsed->sender.domain,
        .size = parsed->size,
        .size_max = session->settings->message_size_max,
    };
}

/* The parameters that EHLO has offered: AUTH to submitters, REQUIRETLS under TLS, which no proxy's word can replace. */
static unsigned where(const struct smtp_session *session)
{
    return (session->role == SMTP_ROLE_SUBMISSION ? SMTP_PARAMETER_SUBMISSION : 0) |
           (stream_is_tls(session->stream) ? SMTP_PARAMETER_TLS : 0);
}

static void free_binary(void *arg)
{
    struct mime_binary *binary = arg;

    mime_binary_free(&binary);
}

/* What comes is stored as 8BITMIME, whatever the next hop offers: mime_binary.c. */
static void expect_binary(struct smtp_session *session, struct smtp_transaction *transaction)
{
    transaction->binary = mime_binary_new(session->settings->header_size_max);
    arena_on_done(session->transaction_arena, free_binary, transaction->binary);
    transaction->eight_bit = true;
}

void smtp_command_mail(struct smtp_session *session, struct slice arguments)
{
    struct smtp_mail parsed;

    if (!session->greeted) {
        smtp_reply_error(session, 503, "5.5.1", "EHLO first");
        return;
    }
    if (session->transaction) {
        smtp_reply_error(session, 503, "5.5.1", "A transaction is open already");
        return;
    }
    if (session->role == SMTP_ROLE_SUBMISSION && !session->authenticated) {
        smtp_reply_error(session, 530, "5.7.0", "Authentication required");
        return;
    }
    arena_reset(session->transaction_arena);
    const struct smtp_fault *fault = smtp_parse_mail(session->transaction_arena, arguments, where(session), &parsed);
    if (!fault)
        fault = smtp_hold_check(session, &parsed.envelope);
    if (fault) {
        smtp_reply_fault(session, fault);
        return;
    }

    struct smtp_transaction *transaction = arena_alloc(session->transaction_arena, sizeof(*transaction));
    transaction->sender = parsed.sender;
    transaction->envelope = parsed.envelope;
    transaction->eight_bit = parsed.eight_bit;
    transaction->utf8 = parsed.envelope.utf8;
    if (parsed.binary)
        expect_binary(session, transaction);
    transaction->tail = &transaction->recipients;
    transaction->permit = make_permit(session, &parsed);
    transaction->size_max = session->settings->message_size_max;
    session->transaction = transaction;
    if (session->role == SMTP_ROLE_SUBMISSION || parsed.envelope.priority > 0)
        smtp_session_run(session, mail);
    else
        mail(session);
}
