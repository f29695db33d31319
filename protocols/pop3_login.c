/*
 * pop3_login: USER and PASS, AUTH.
 *
 * USER and PASS need TLS: without it they are refused, and with no [AUTH] code, since the password is
 * not what is wrong.  USER is answered +OK whatever the name is: who exists is nobody's business.
 *
 * AUTH (RFC 5034): SASL over base64 lines.  A challenge goes as "+ BASE64"; "*" cancels; data that comes with success
 * goes as one more challenge, to be answered with an empty line, because +OK has no room for it (section 4).
 *
 * A wrong password is answered a time after it came that grows with each (1, 2, 4, 8 s), by a timer and not in a task:
 * guessing costs the guesser time, and costs us a paused connection.  After LOGIN_FAILURES_MAX the session ends.
 */
#include "protocols/pop3_session.h"
#include "storage/guard.h"

#define LOG_MODULE "pop3"
#include "core/log.h"
#include "core/secret.h"

#define LOGIN_FAILURES_MAX 5
#define LOGIN_DELAY_MS 1000

/* ------------------------------------------------------------------ outcomes, common to both ways */

static void refuse(void *arg)
{
    struct pop3_session *session = arg;

    if (session->login_failures >= LOGIN_FAILURES_MAX)
        pop3_goodbye(session, "AUTH", "Too many failed logins");
    else
        pop3_err(session, "AUTH", "Authentication failed");
}

static void denied(struct pop3_session *session, struct slice login)
{
    session->login_failures++;
    log_info("login failed", log_slice("login", login), log_int("failures", session->login_failures));
    session_hold(
        &session->common,
        guard_delay(LOGIN_DELAY_MS << (session->login_failures - 1), session->common.peer, session->common.began_ms),
        refuse);
}

static void unavailable(struct pop3_session *session)
{
    pop3_err(session, "SYS/TEMP", "Authentication is not possible now, try again later");
}

/* RFC 3206 section 4: SYS/TEMP, not AUTH, so that a client keeps its password. */
static void banned(struct pop3_session *session)
{
    pop3_err(session, "SYS/TEMP", "Too many failed logins from your address, try again later");
}

static AWAITS void logged_in(struct pop3_session *session, const char *how)
{
    log_info("login", log_slice("account", session->account.address), log_str("mechanism", how),
             log_str("tls", stream_is_tls(session->common.stream) ? "yes" : "no"));
    pop3_maildrop_open(session);
}

/* ------------------------------------------------------------------ USER, PASS (RFC 1939 section 7) */

static bool clear_text_refused(struct pop3_session *session)
{
    if (stream_is_tls(session->common.stream))
        return false;
    pop3_fault(session, session->settings->tls ? "Passwords are taken over TLS only: STLS first"
                                               : "Passwords are not taken in clear");
    return true;
}

void pop3_command_user(struct pop3_session *session)
{
    if (clear_text_refused(session))
        return;
    arena_reset(session->arena);
    session->user = arena_slice(session->arena, session->line.text);
    pop3_ok(session, "Send the password");
}

static AWAITS void pass(void *arg)
{
    struct pop3_session *session = arg;
    struct slice user = session->user;
    const struct sasl_client client = {.service = "pop3", .peer = session->common.peer, .tls = true};
    enum sasl_result result = sasl_password(&client, session->command, user, session->line.text, &session->account);

    session->user = (struct slice){0};
    if (!session->common.stream)
        return;
    switch (result) {
    case SASL_RESULT_OK: logged_in(session, "PASS"); return;
    case SASL_RESULT_UNAVAILABLE: unavailable(session); return;
    case SASL_RESULT_BANNED: banned(session); return;
    case SASL_RESULT_CHALLENGE:
    case SASL_RESULT_MALFORMED:
    case SASL_RESULT_NO_MECHANISM:
    case SASL_RESULT_DENIED: denied(session, user); return;
    }
}

void pop3_command_pass(struct pop3_session *session)
{
    if (clear_text_refused(session))
        return;
    if (session->user.n == 0)
        pop3_fault(session, "USER first");
    else
        session_run(&session->common, pass);
}

/* ------------------------------------------------------------------ AUTH (RFC 5034) */

void pop3_auth_drop(struct pop3_session *session)
{
    if (!session->attempt)
        return;
    sasl_attempt_free(&session->attempt);
    session->attempt_ok = false;
    pop3_session_limits(session);
}

static AWAITS void auth_succeeded(void *arg)
{
    struct pop3_session *session = arg;

    sasl_attempt_account(session->attempt, session->command, &session->account);
    pop3_auth_drop(session);
    logged_in(session, "AUTH");
}

static void send_challenge(struct pop3_session *session, struct slice challenge)
{
    struct slice text = secret_base64(session->command, challenge);

    stream_printf(session->common.stream, "+ %.*s\r\n", SLICE_ARG(text));
}

static AWAITS void auth_step_done(struct pop3_session *session, enum sasl_result result, struct slice challenge)
{
    if (!session->common.stream) {
        sasl_attempt_free(&session->attempt);
        return;
    }
    switch (result) {
    case SASL_RESULT_OK:
        if (!challenge.p) {
            auth_succeeded(session);
            return;
        }
        session->attempt_ok = true;
        send_challenge(session, challenge);
        return;
    case SASL_RESULT_CHALLENGE: send_challenge(session, challenge); return;
    case SASL_RESULT_DENIED:
        pop3_auth_drop(session);
        denied(session, SLICE(""));
        return;
    case SASL_RESULT_MALFORMED:
        pop3_auth_drop(session);
        pop3_fault(session, "Malformed response");
        return;
    case SASL_RESULT_NO_MECHANISM:
        pop3_auth_drop(session);
        pop3_fault(session, stream_is_tls(session->common.stream) ? "Unknown mechanism"
                                                                  : "Unknown mechanism, or one that needs TLS");
        return;
    case SASL_RESULT_UNAVAILABLE:
        pop3_auth_drop(session);
        unavailable(session);
        return;
    case SASL_RESULT_BANNED:
        pop3_auth_drop(session);
        banned(session);
        return;
    }
}

static AWAITS void auth_begin(void *arg)
{
    struct pop3_session *session = arg;
    struct slice challenge = {0};
    enum sasl_result result =
        sasl_attempt_begin(session->attempt, session->command, session->line.text, session->line.initial, &challenge);

    auth_step_done(session, result, challenge);
}

static AWAITS void auth_continue(void *arg)
{
    struct pop3_session *session = arg;
    struct slice challenge = {0};
    enum sasl_result result =
        sasl_attempt_continue(session->attempt, session->command, session->line.initial, &challenge);

    auth_step_done(session, result, challenge);
}

void pop3_command_auth(struct pop3_session *session)
{
    struct slice encoded = session->line.initial;
    struct sasl_client client;

    if (encoded.n > 0 && !secret_base64_decode(session->command, encoded, &session->line.initial)) {
        pop3_fault(session, "Not base64");
        return;
    }
    sasl_describe_client(&client, session->command, "pop3", session->common.peer, session->common.stream);
    session->attempt = sasl_attempt_new(&client);
    pop3_session_limits(session);
    session_run(&session->common, auth_begin);
}

void pop3_auth_on_line(struct pop3_session *session, struct slice line)
{
    if (slice_equal(line, SLICE("*"))) {
        pop3_auth_drop(session);
        pop3_err(session, NULL, "Authentication cancelled");
        return;
    }
    if (!secret_base64_decode(session->command, line, &session->line.initial)) {
        pop3_auth_drop(session);
        pop3_fault(session, "Not base64");
        return;
    }
    if (!session->attempt_ok) {
        session_run(&session->common, auth_continue);
    } else if (line.n == 0) {
        session_run(&session->common, auth_succeeded);
    } else {
        pop3_auth_drop(session);
        pop3_fault(session, "An empty line was expected");
    }
}
