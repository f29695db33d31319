/*
 * imap_auth: LOGIN, AUTHENTICATE (RFC 3501 6.2, RFC 4959), STARTTLS.
 *
 * AUTHENTICATE spans several lines: while session->attempt is set, lines are the client's responses.  A failed login is
 * answered late, by a timer; after LOGIN_FAILURES_MAX of them the connection ends.
 */
#include "core/secret.h"
#include "protocols/imap_session.h"
#include "storage/guard.h"

#define LOG_MODULE "imap"
#include "core/log.h"

#define LOGIN_FAILURES_MAX 3
#define LOGIN_DELAY_MS 1000

static void refuse(void *arg)
{
    struct imap_session *session = arg;

    if (session->login_failures >= LOGIN_FAILURES_MAX)
        imap_bye(session, "Too many failed logins");
    imap_reply(session, "NO [AUTHENTICATIONFAILED] Authentication failed");
    if (!session->common.closing)
        imap_session_finish(session);
}

static void denied(struct imap_session *session, struct slice login)
{
    session->login_failures++;
    log_info("login failed", log_slice("login", login), log_int("failures", session->login_failures));
    session_hold(
        &session->common,
        guard_delay(LOGIN_DELAY_MS << (session->login_failures - 1), session->common.peer, session->common.began_ms),
        refuse);
}

/* RFC 5530's code for what is temporary: a client keeps its password. */
static void banned(struct imap_session *session)
{
    imap_reply(session, "NO [UNAVAILABLE] Too many failed logins from your address, try again later");
}

/* login = "LOGIN" SP userid SP password */
AWAITS void imap_command_login(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    struct slice user, password;

    if (!imap_take_char(c, ' ') || !imap_take_astring(c, &user) || !imap_take_char(c, ' ') ||
        !imap_take_astring(c, &password) || !imap_at_end(c)) {
        imap_bad(session, "LOGIN wants a name and a password");
        return;
    }
    if (!stream_is_tls(session->common.stream)) {
        imap_reply(session, "NO [PRIVACYREQUIRED] Passwords are taken over TLS only");
        return;
    }
    switch (sasl_password(&(struct sasl_client){.service = "imap", .peer = session->common.peer, .tls = true},
                          session->arena, user, password, &session->account)) {
    case SASL_RESULT_OK:
        if (session->common.stream)
            imap_session_logged_in(session, "LOGIN");
        return;
    case SASL_RESULT_UNAVAILABLE: imap_unavailable(session); return;
    case SASL_RESULT_BANNED: banned(session); return;
    case SASL_RESULT_CHALLENGE:
    case SASL_RESULT_DENIED:
    case SASL_RESULT_MALFORMED:
    case SASL_RESULT_NO_MECHANISM: denied(session, user); return;
    }
}

/* ------------------------------------------------------------------ AUTHENTICATE */

static void drop_attempt(struct imap_session *session)
{
    sasl_attempt_free(&session->attempt);
}

static void step_done(struct imap_session *session, enum sasl_result result, struct slice challenge)
{
    struct slice text;

    if (!session->common.stream) {
        drop_attempt(session);
        return;
    }
    switch (result) {
    case SASL_RESULT_CHALLENGE:
        text = secret_base64(session->command, challenge);
        imap_printf(session, "+ %.*s\r\n", SLICE_ARG(text));
        return;
    case SASL_RESULT_OK:
        sasl_attempt_account(session->attempt, session->arena, &session->account);
        drop_attempt(session);
        imap_session_logged_in(session, "AUTHENTICATE");
        return;
    case SASL_RESULT_DENIED:
        drop_attempt(session);
        denied(session, SLICE(""));
        return;
    case SASL_RESULT_MALFORMED:
        drop_attempt(session);
        imap_bad(session, "That response makes no sense");
        return;
    case SASL_RESULT_NO_MECHANISM:
        drop_attempt(session);
        imap_reply(session, "NO Unknown mechanism, or one that needs TLS");
        return;
    case SASL_RESULT_UNAVAILABLE:
        drop_attempt(session);
        imap_unavailable(session);
        return;
    case SASL_RESULT_BANNED:
        drop_attempt(session);
        banned(session);
        return;
    }
}

/* authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]; the session goes on in imap_auth_on_line(). */
AWAITS void imap_command_authenticate(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    struct slice mechanism, encoded, initial = {NULL, 0}, challenge;
    struct sasl_client client;
    enum sasl_result result;

    if (!imap_take_char(c, ' ') || !imap_take_atom(c, &mechanism)) {
        imap_bad(session, "AUTHENTICATE wants a mechanism");
        return;
    }
    if (imap_take_char(c, ' ')) {
        encoded = slice_of(c->p, (size_t)(c->end - c->p));
        c->p = c->end;
        if (slice_equal(encoded, SLICE("=")))
            initial = SLICE("");
        else if (!encoded.n || !secret_base64_decode(session->command, encoded, &initial)) {
            imap_bad(session, "The initial response is not base64");
            return;
        }
    }
    if (!imap_at_end(c)) {
        imap_bad(session, "AUTHENTICATE wants a mechanism and no more");
        return;
    }
    if (!imap_keep_tag(session))
        return;
    sasl_describe_client(&client, session->command, "imap", session->common.peer, session->common.stream);
    session->attempt = sasl_attempt_new(&client);
    result = sasl_attempt_begin(session->attempt, session->command, mechanism, initial, &challenge);
    step_done(session, result, challenge);
}

static AWAITS void attempt_step(void *arg)
{
    struct imap_session *session = arg;
    struct slice challenge;
    enum sasl_result result =
        sasl_attempt_continue(session->attempt, session->command, session->attempt_input, &challenge);

    step_done(session, result, challenge);
    if (!session->attempt && !session->common.held && session->reply) {
        imap_printf(session, "%.*s %s\r\n", SLICE_ARG(session->tag), session->reply);
        session->reply = NULL;
    }
}

void imap_auth_on_line(struct imap_session *session, struct slice line)
{
    arena_reset(session->command);
    if (slice_equal(line, SLICE("*"))) {
        drop_attempt(session);
        imap_bad(session, "Authentication cancelled");
        imap_session_finish(session);
        return;
    }
    if (!secret_base64_decode(session->command, line, &session->attempt_input)) {
        drop_attempt(session);
        imap_bad(session, "The response is not base64");
        imap_session_finish(session);
        return;
    }
    session_run(&session->common, attempt_step);
}

/* ------------------------------------------------------------------ STARTTLS */

/* The OK goes out in clear; what the client sent behind STARTTLS is dropped (RFC 3501 6.2.1, stream_start_tls). */
void imap_command_starttls(struct imap_session *session)
{
    if (!imap_at_end(&session->cursor)) {
        imap_bad(session, "STARTTLS takes no argument");
        return;
    }
    if (stream_is_tls(session->common.stream) || !session->settings->tls) {
        imap_bad(session, "TLS is not to be had here, or is up already");
        return;
    }
    imap_printf(session, "%.*s OK Begin TLS now\r\n", SLICE_ARG(session->tag));
    stream_start_tls(session->common.stream, session->settings->tls);
}
