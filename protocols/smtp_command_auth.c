/*
 * smtp_command_auth: AUTH, RFC 4954.
 *
 *     auth-command     = "AUTH" SP sasl-mech [SP initial-response] *(CRLF [base64]) [CRLF cancel-response] CRLF
 *     initial-response = base64 / "="
 *     cancel-response  = "*"
 *
 * While session->attempt exists the client's lines are responses, not commands.  Each round is a task, because
 * SASL asks the database; between rounds the exchange is data.  Mechanisms whose last server message goes with
 * success (SCRAM) send it as one more 334, for SMTP's 235 has no room for it; the client answers with an
 * empty line, and only then is it signed in (section 4: "MUST send the 235 reply after").
 *
 * A failure is answered late, each in a session later than the one before, and a few of them end it: guessing
 * gets slow, and a person who mistypes does not notice.  "The account store is away" is 454 and no failure.
 */
#include <stdio.h>

#define LOG_MODULE "smtp"
#include "core/log.h"
#include "core/secret.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "storage/guard.h"

#define FAILURES_MAX 5
#define FIRST_DELAY_MS 1000 /* doubled each time */

/* With XCLIENT the TLS connection is the proxy's, not the client's. */
void smtp_auth_client(struct smtp_session *session, struct sasl_client *client)
{
    sasl_describe_client(client, session->command, "smtp", session->peer, session->stream);
    if (session->told)
        client->certificate = NULL, client->binding = NULL;
}

void smtp_auth_drop(struct smtp_session *session)
{
    sasl_attempt_free(&session->attempt);
    session->attempt_ok = false;
}

static void refuse(struct smtp_session *session, unsigned code, const char *enhanced, const char *text)
{
    smtp_auth_drop(session);
    smtp_reply_error(session, code, enhanced, text);
}

static void denied(struct smtp_session *session)
{
    smtp_auth_drop(session);
    smtp_counters.auth_failed++;
    session->attempts_failed++;
    log_info("authentication failed", log_str("mechanism", session->mechanism),
             log_int("failures", session->attempts_failed));
    smtp_session_hold(session,
                      guard_delay(FIRST_DELAY_MS << (session->attempts_failed - 1), session->peer, session->began_ms));
    if (session->attempts_failed >= FAILURES_MAX)
        smtp_reply_goodbye(session, 421, "4.7.0", "Too many failed authentications");
    else
        smtp_reply(session, 535, "5.7.8", "Authentication credentials invalid");
}

static void succeeded(struct smtp_session *session)
{
    sasl_attempt_account(session->attempt, session->arena, &session->account);
    smtp_auth_drop(session);
    session->authenticated = true;
    smtp_counters.auth_succeeded++;
    log_info("authenticated", log_slice("account", session->account.address), log_str("mechanism", session->mechanism));
    smtp_reply(session, 235, "2.7.0", "Authentication successful");
}

static void challenge_client(struct smtp_session *session, struct slice challenge)
{
    struct slice text = secret_base64(session->command, challenge);
    smtp_reply(session, 334, NULL, "%.*s", SLICE_ARG(text));
}

static void answer(struct smtp_session *session, enum sasl_result result, struct slice challenge)
{
    switch (result) {
    case SASL_RESULT_CHALLENGE: challenge_client(session, challenge); return;
    case SASL_RESULT_OK:
        if (!challenge.p) {
            succeeded(session);
            return;
        }
        session->attempt_ok = true;
        challenge_client(session, challenge);
        return;
    case SASL_RESULT_DENIED: denied(session); return;
    case SASL_RESULT_MALFORMED: refuse(session, 501, "5.5.2", "Malformed authentication data"); return;
    case SASL_RESULT_NO_MECHANISM:
        refuse(session, 504, "5.5.4",
               stream_is_tls(session->stream) ? "Mechanism not supported"
                                              : "Mechanism not supported, or not without TLS: STARTTLS first");
        return;
    case SASL_RESULT_BANNED: /* RFC 4954 section 6: 454 says that the credentials may be right */
        smtp_auth_drop(session);
        smtp_reply(session, 454, "4.7.0", "Too many failed logins from your address, try again later");
        return;
    case SASL_RESULT_UNAVAILABLE:
        smtp_auth_drop(session);
        smtp_reply(session, 454, "4.7.0", "Temporary authentication failure, try again later");
        return;
    }
}

/* ------------------------------------------------------------------ rounds, in a task */

static AWAITS void begin(struct smtp_session *session)
{
    struct slice challenge = {0};
    struct sasl_client client;

    smtp_auth_client(session, &client);
    session->attempt = sasl_attempt_new(&client);
    enum sasl_result result = sasl_attempt_begin(session->attempt, session->command, slice_str(session->mechanism),
                                                 session->response, &challenge);
    if (session->stream)
        answer(session, result, challenge);
}

static AWAITS void proceed(struct smtp_session *session)
{
    struct slice challenge = {0};
    enum sasl_result result = sasl_attempt_continue(session->attempt, session->command, session->response, &challenge);
    if (session->stream)
        answer(session, result, challenge);
}

/* ------------------------------------------------------------------ lines, on the loop */

/* Into session->response, wiped with the command. */
static bool decode(struct smtp_session *session, struct slice text)
{
    struct slice plain;
    if (!secret_base64_decode(session->command, text, &plain))
        return false;
    session->response = secret_slice(session->command, plain);
    secret_wipe((char *)plain.p, plain.n);
    return true;
}

void smtp_auth_on_line(struct smtp_session *session, struct slice line)
{
    if (slice_equal(line, SLICE("*"))) {
        refuse(session, 501, "5.7.0", "Authentication cancelled");
        return;
    }
    if (session->attempt_ok) {
        if (line.n)
            refuse(session, 501, "5.5.2", "An empty response was due");
        else
            succeeded(session);
        return;
    }
    if (!decode(session, line)) {
        refuse(session, 501, "5.5.2", "That is not base64");
        return;
    }
    smtp_session_run(session, proceed);
}

void smtp_command_auth(struct smtp_session *session, struct slice arguments)
{
    struct smtp_auth auth;

    if (session->role == SMTP_ROLE_MX) {
        smtp_reply_error(session, 502, "5.5.1", "AUTH is for the submission ports");
        return;
    }
    if (!session->esmtp) {
        smtp_reply_error(session, 503, "5.5.1", "EHLO first");
        return;
    }
    if (session->authenticated) {
        smtp_reply_error(session, 503, "5.5.1", "Already authenticated");
        return;
    }
    if (session->transaction) {
        smtp_reply_error(session, 503, "5.5.1", "AUTH is not allowed within a mail transaction");
        return;
    }
    const struct smtp_fault *fault = smtp_parse_auth(arguments, &auth);
    if (fault) {
        smtp_reply_fault(session, fault);
        return;
    }
    session->response = (struct slice){0};
    if (auth.initial.p && slice_equal(auth.initial, SLICE("=")))
        session->response = (struct slice){"", 0};
    else if (auth.initial.p && !decode(session, auth.initial)) {
        smtp_reply_error(session, 501, "5.5.2", "That is not base64");
        return;
    }
    snprintf(session->mechanism, sizeof(session->mechanism), "%.*s", SLICE_ARG(auth.mechanism));
    smtp_session_run(session, begin);
}
