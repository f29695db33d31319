/*
 * imap_session: the life of an IMAP session: lines, running commands, idling, ending.  Whose turn it is and for how long
 * is session.c; how a command is gathered from lines and literals is imap_gather.c.
 */
#include "protocols/imap_session.h"

#include <stdlib.h>

#define LOG_MODULE "imap"
#include "core/log.h"
#include "core/secret.h"

#define WRITE_TIMEOUT_MS 60000
#define SESSION_MEMORY (64 * 1024)
#define COMMAND_MEMORY (4 * 1024 * 1024)
#define POLL_MS 20000 /* while idling: what a lost hint would have told */

/* ------------------------------------------------------------------ the end */

static void drop(void *arg)
{
    struct imap_session *session = arg;

    loop_timer_clear(&session->poll);
    imap_fetch_drop(session);
    imap_selected_drop(session);
    sasl_attempt_free(&session->attempt);
    spool_unref(&session->append);
    log_debug("session over");
    arena_free(&session->message);
    arena_free(&session->command);
    arena_free(&session->arena);
    imap_gather_drop(session);
}

static void goodbye(void *arg, enum session_goodbye why)
{
    switch (why) {
    case SESSION_SHUTDOWN: imap_bye(arg, "Server is shutting down"); return;
    case SESSION_BUSY:
        log_warn("no task for a command");
        imap_bye(arg, "Too busy, try again later");
        return;
    case SESSION_LOGIN_TIMEOUT: imap_bye(arg, "Too slow to log in"); return;
    }
}

/* ------------------------------------------------------------------ running */

static AWAITS void finish(void *arg)
{
    struct imap_session *session = arg;

    if (session->state == IMAP_SELECTED && !session->common.closing) /* nothing is news after BYE */
        imap_selected_refresh(session, session->may_expunge);
    if (session->reply) {
        imap_printf(session, "%.*s %s\r\n", SLICE_ARG(session->tag), session->reply);
        session->reply = NULL;
        session->tag = (struct slice){NULL, 0};
    }
    arena_reset(session->command);
    arena_reset(session->message);
}

void imap_session_finish(struct imap_session *session)
{
    session->common.produce = NULL;
    session_run(&session->common, finish);
}

AWAITS void imap_session_command(void *arg)
{
    struct imap_session *session = arg;

    session->reply = NULL;
    session->uid = false;
    session->may_expunge = true;
    imap_command_run(session);
    spool_unref(&session->append);
    if (!session->common.produce && !session->common.held && !session->attempt)
        finish(session);
}

/* ------------------------------------------------------------------ IDLE (RFC 2177) */

static AWAITS void refresh(void *arg)
{
    struct imap_session *session = arg;

    if (session->state == IMAP_SELECTED)
        imap_selected_refresh(session, true);
    arena_reset(session->command);
}

static void on_poll(void *arg)
{
    struct imap_session *session = arg;

    session_enter(&session->common);
    session->changed = true;
    session_leave(&session->common);
}

static void at_rest(void *arg)
{
    struct imap_session *session = arg;

    if (!session->idling || !session->changed || stream_output_pending(session->common.stream) >= STREAM_OUTPUT_HIGH)
        return;
    session->changed = false;
    loop_timer_set(&session->poll, POLL_MS, on_poll, session);
    session_run(&session->common, refresh);
}

/* ------------------------------------------------------------------ lines */

static void idle_done(struct imap_session *session, struct slice line)
{
    session->idling = false;
    loop_timer_clear(&session->poll);
    if (slice_equal_nocase(line, SLICE("DONE")))
        imap_reply(session, "OK IDLE completed");
    else
        imap_bad(session, "DONE was expected");
    imap_session_finish(session);
}

static void on_line(void *arg, char *line, size_t length, bool bare)
{
    struct imap_session *session = arg;

    (void)bare; /* a line may end in LF alone; a CR within it is in no token */
    session_enter(&session->common);
    if (session->attempt)
        imap_auth_on_line(session, slice_of(line, length));
    else if (session->idling)
        idle_done(session, slice_of(line, length));
    else if (length || session->pending_count)
        imap_gather_line(session, line, length);
    session_leave(&session->common);
}

static void on_line_too_long(void *arg)
{
    struct imap_session *session = arg;

    session_enter(&session->common);
    imap_bye(session, "[TOOBIG] That line is too long");
    session_leave(&session->common);
}

/* ------------------------------------------------------------------ time, and other events */

static void set_limits(struct imap_session *session)
{
    unsigned silence = session->state == IMAP_NOT_AUTHENTICATED ? session->settings->login_timeout_ms
                                                                : session->settings->imap_timeout_ms;

    if (session->common.stream)
        stream_set_limits(session->common.stream, &(struct stream_limits){IMAP_LINE_MAX, silence, WRITE_TIMEOUT_MS});
}

void imap_session_logged_in(struct imap_session *session, const char *mechanism)
{
    session->state = IMAP_AUTHENTICATED;
    session_logged_in(&session->common);
    set_limits(session);
    log_info("login", log_slice("account", session->account.address), log_str("mechanism", mechanism),
             log_str("tls", stream_is_tls(session->common.stream) ? "yes" : "no"));
    imap_reply(session, "OK [CAPABILITY %s] Logged in", imap_capabilities(session));
}

static void greet(struct imap_session *session)
{
    session->greeted = true;
    stream_printf(session->common.stream, "* OK [CAPABILITY %s] %s IMAP server ready\r\n", imap_capabilities(session),
                  session->settings->hostname);
}

/* After STARTTLS the client speaks next, and must ask for CAPABILITY again (RFC 3501 6.2.1). */
static void on_tls(void *arg)
{
    struct imap_session *session = arg;

    session_enter(&session->common);
    server_log_tls(session->common.stream);
    if (!session->greeted)
        greet(session);
    log_set_context(NULL);
}

static void on_end(void *arg, enum stream_end end)
{
    struct imap_session *session = arg;

    session_enter(&session->common);
    if (end == STREAM_END_TIMEOUT && session->common.stream)
        stream_printf(session->common.stream, "* BYE Autologout: nothing was said for too long\r\n");
    session_ended(&session->common);
}

static const struct stream_handler handler = {
    .on_line = on_line,
    .on_line_too_long = on_line_too_long,
    .on_data = imap_gather_data,
    .on_drain = session_on_drain,
    .on_tls = on_tls,
    .on_end = on_end,
};

static const struct session_kind kind = {
    .protocol = SERVER_IMAP,
    .line_max = IMAP_LINE_MAX,
    .write_timeout_ms = WRITE_TIMEOUT_MS,
    .handler = &handler,
    .goodbye = goodbye,
    .at_rest = at_rest,
    .drop = drop,
};

void imap_serve(int fd, bool implicit_tls, const struct proxy_header *via, struct server_settings *settings)
{
    struct imap_session *session = calloc(1, sizeof *session);

    if (!session)
        abort();
    session->settings = settings;
    session->state = IMAP_NOT_AUTHENTICATED;
    session->arena = arena_new(SESSION_MEMORY);
    session->command = arena_new(COMMAND_MEMORY);
    session->message = arena_new(COMMAND_MEMORY);
    if (!session_begin(&session->common, &kind, fd, implicit_tls, via, settings))
        imap_bye(session, server_refuse(&session->common.server, session->command));
    else if (!implicit_tls || !settings->tls)
        greet(session); /* otherwise when TLS is up: what is offered depends on it */
    session_leave(&session->common);
}
