/*
 * imap_session: the life of an IMAP session: running commands, waiting, ending.  How a command is gathered from lines
 * and literals is imap_gather.c.
 *
 * Between commands nothing is paused; while a command runs the stream is, and pipelined commands wait in its buffer.
 */
#include "protocols/imap_session.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "imap"
#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"

#define WRITE_TIMEOUT_MS 60000
#define SESSION_MEMORY (64 * 1024)
#define COMMAND_MEMORY (4 * 1024 * 1024)
#define POLL_MS 20000 /* while idling: what a lost hint would have told */

/* ------------------------------------------------------------------ the end */

static void session_free(struct imap_session *session)
{
    loop_timer_clear(&session->hold);
    loop_timer_clear(&session->login_timer);
    loop_timer_clear(&session->poll);
    imap_fetch_drop(session);
    imap_selected_drop(session);
    sasl_attempt_free(&session->attempt);
    spool_unref(&session->append);
    if (session->registered)
        server_session_remove(&session->server);
    log_debug("session over");
    log_set_context(NULL);
    stream_close(&session->stream);
    arena_free(&session->message);
    arena_free(&session->command);
    arena_free(&session->arena);
    imap_gather_drop(session);
    free(session);
}

static void set_paused(struct imap_session *session, bool paused)
{
    if (!session->stream || session->paused == paused)
        return;
    session->paused = paused;
    if (paused)
        stream_pause(session->stream);
    else
        stream_resume(session->stream);
}

static void idle_refresh(struct imap_session *session);

static void on_poll(void *arg)
{
    struct imap_session *session = arg;

    log_set_context(&session->server.context);
    session->changed = true;
    imap_session_settle(session);
    log_set_context(NULL);
}

void imap_session_settle(struct imap_session *session)
{
    if (session->running)
        return;
    while (session->produce && session->stream && !session->running && !session->closing &&
           stream_output_pending(session->stream) < STREAM_OUTPUT_LOW)
        session->produce(session);
    if (session->running || (session->held && session->stream))
        return;
    if (session->stream && server_draining() && !session->produce)
        imap_bye(session, "Server is shutting down");
    if (!session->stream || session->closing) {
        session_free(session);
        return;
    }
    if (session->idling && session->changed && stream_output_pending(session->stream) < STREAM_OUTPUT_HIGH) {
        idle_refresh(session);
        return;
    }
    set_paused(session, session->produce || stream_output_pending(session->stream) >= STREAM_OUTPUT_HIGH);
}

/* ------------------------------------------------------------------ running */

static AWAITS void task_main(void *arg)
{
    struct imap_session *session = arg;

    log_set_context(&session->server.context);
    session->began_ms = clock_steady_ms();
    if (session->stream) /* else the client went while we waited for a stack */
        session->running(session);
    session->running = NULL;
    imap_session_settle(session);
    log_set_context(NULL);
}

void imap_session_run(struct imap_session *session, AWAITS void (*fn)(struct imap_session *session))
{
    if (!task_start(server_tasks(), task_main, session)) {
        log_warn("no task for a command");
        imap_bye(session, "Too busy, try again later");
        return;
    }
    session->running = fn;
    set_paused(session, true);
}

static AWAITS void finish(struct imap_session *session)
{
    if (session->state == IMAP_SELECTED && !session->closing) /* nothing is news after BYE */
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
    session->produce = NULL;
    imap_session_run(session, finish);
}

AWAITS void imap_session_command(struct imap_session *session)
{
    session->reply = NULL;
    session->uid = false;
    session->may_expunge = true;
    imap_command_run(session);
    spool_unref(&session->append);
    if (!session->produce && !session->held && !session->attempt)
        finish(session);
}

static AWAITS void refresh(struct imap_session *session)
{
    if (session->state == IMAP_SELECTED)
        imap_selected_refresh(session, true);
    arena_reset(session->command);
}

static void idle_refresh(struct imap_session *session)
{
    session->changed = false;
    loop_timer_set(&session->poll, POLL_MS, on_poll, session);
    imap_session_run(session, refresh);
}

static void on_hold_over(void *arg)
{
    struct imap_session *session = arg;
    void (*after)(struct imap_session *) = session->held;

    log_set_context(&session->server.context);
    session->held = NULL;
    after(session);
    if (!session->closing)
        imap_session_finish(session);
    imap_session_settle(session);
    log_set_context(NULL);
}

void imap_session_hold(struct imap_session *session, unsigned ms, void (*after)(struct imap_session *session))
{
    if (!session->stream)
        return;
    session->held = after;
    set_paused(session, true);
    loop_timer_set(&session->hold, ms, on_hold_over, session);
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
    log_set_context(&session->server.context);
    if (session->attempt)
        imap_auth_on_line(session, slice_of(line, length));
    else if (session->idling)
        idle_done(session, slice_of(line, length));
    else if (length || session->pending_count)
        imap_gather_line(session, line, length);
    imap_session_settle(session);
    log_set_context(NULL);
}

static void on_line_too_long(void *arg)
{
    struct imap_session *session = arg;

    log_set_context(&session->server.context);
    imap_bye(session, "[TOOBIG] That line is too long");
    imap_session_settle(session);
    log_set_context(NULL);
}

/* ------------------------------------------------------------------ time, and other events */

static void set_limits(struct imap_session *session)
{
    unsigned silence = session->state == IMAP_NOT_AUTHENTICATED ? session->settings->login_timeout_ms
                                                                : session->settings->imap_timeout_ms;

    if (session->stream)
        stream_set_limits(session->stream, &(struct stream_limits){IMAP_LINE_MAX, silence, WRITE_TIMEOUT_MS});
}

void imap_session_logged_in(struct imap_session *session, const char *mechanism)
{
    session->state = IMAP_AUTHENTICATED;
    loop_timer_clear(&session->login_timer);
    set_limits(session);
    log_info("login", log_slice("account", session->account.address), log_str("mechanism", mechanism),
             log_str("tls", stream_is_tls(session->stream) ? "yes" : "no"));
    imap_reply(session, "OK [CAPABILITY %s] Logged in", imap_capabilities(session));
}

static void on_login_timeout(void *arg)
{
    struct imap_session *session = arg;

    log_set_context(&session->server.context);
    session->held = NULL;
    loop_timer_clear(&session->hold);
    imap_bye(session, "Too slow to log in");
    imap_session_settle(session);
    log_set_context(NULL);
}

static void on_drain(void *arg)
{
    struct imap_session *session = arg;

    log_set_context(&session->server.context);
    imap_session_settle(session);
    log_set_context(NULL);
}

static void greet(struct imap_session *session)
{
    session->greeted = true;
    stream_printf(session->stream, "* OK [CAPABILITY %s] %s IMAP server ready\r\n", imap_capabilities(session),
                  session->settings->hostname);
}

/* After STARTTLS the client speaks next, and must ask for CAPABILITY again (RFC 3501 6.2.1). */
static void on_tls(void *arg)
{
    struct imap_session *session = arg;

    log_set_context(&session->server.context);
    server_log_tls(session->stream);
    if (!session->greeted)
        greet(session);
    log_set_context(NULL);
}

static void on_end(void *arg, enum stream_end end)
{
    struct imap_session *session = arg;

    log_set_context(&session->server.context);
    if (end == STREAM_END_TIMEOUT && session->stream)
        stream_printf(session->stream, "* BYE Autologout: nothing was said for too long\r\n");
    stream_close(&session->stream);
    if (!session->running)
        session_free(session);
    log_set_context(NULL);
}

static void on_shutdown(struct server_session *server)
{
    on_drain(server);
}

static const struct stream_handler handler = {
    .on_line = on_line,
    .on_line_too_long = on_line_too_long,
    .on_data = imap_gather_data,
    .on_drain = on_drain,
    .on_tls = on_tls,
    .on_end = on_end,
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
    session->stream = stream_serve(fd, implicit_tls ? settings->tls : NULL,
                                   &(struct stream_limits){IMAP_LINE_MAX, settings->login_timeout_ms, WRITE_TIMEOUT_MS},
                                   &handler, session);
    server_set_addresses(session->stream, via);
    session->server.shutdown = on_shutdown;
    snprintf(session->peer, sizeof session->peer, "%s", stream_peer(session->stream));
    session->registered = server_session_add(&session->server, SERVER_IMAP, session->peer);
    stream_set_session(session->stream, session->server.context.session);
    log_set_context(&session->server.context);
    if (!session->registered) {
        imap_bye(session, server_refuse(&session->server, session->command));
    } else {
        loop_timer_set(&session->login_timer, settings->login_timeout_ms, on_login_timeout, session);
        if (!implicit_tls || !settings->tls)
            greet(session); /* otherwise when TLS is up: what is offered depends on it */
    }
    imap_session_settle(session);
    log_set_context(NULL);
}
