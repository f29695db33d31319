/*
 * session: running commands in tasks, holding answers back, producing long ones, and the end, for IMAP and POP3.
 *
 * A hard run.  The client asks for a message of 50 MB, reads 300 KB and vanishes while a task reads the third chunk.
 * session_ended() closes the stream and leaves NULL; the task ends, finds nobody to write to, and session_settle()
 * frees the session.
 *
 * SMTP is not served by this: its replies are gathered, so that those to pipelined commands leave together, and its
 * session settles by sending them (smtp_session.c).
 */
#include "protocols/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"

void session_enter(const struct session *session)
{
    log_set_context(&session->server.context);
}

void session_leave(struct session *session)
{
    session_settle(session);
    log_set_context(NULL);
}

static void set_paused(struct session *session, bool paused)
{
    if (!session->stream || session->paused == paused)
        return;
    session->paused = paused;
    if (paused)
        stream_pause(session->stream);
    else
        stream_resume(session->stream);
}

/* ------------------------------------------------------------------ the end */

static void end(struct session *session)
{
    loop_timer_clear(&session->hold);
    loop_timer_clear(&session->login_timer);
    if (session->registered)
        server_session_remove(&session->server);
    stream_close(&session->stream);
    session->kind->drop(session);
    log_set_context(NULL);
    free(session);
}

void session_ended(struct session *session)
{
    stream_close(&session->stream);
    session_leave(session);
}

/* ------------------------------------------------------------------ whose turn it is */

void session_settle(struct session *session)
{
    if (session->running)
        return;
    while (session->produce && session->stream && !session->running && !session->closing &&
           stream_output_pending(session->stream) < STREAM_OUTPUT_LOW)
        session->produce(session);
    if (session->running || (session->held && session->stream))
        return;
    if (session->stream && server_draining() && !session->closing && !session->produce)
        session->kind->goodbye(session, SESSION_SHUTDOWN);
    if (session->stream && !session->closing && session->kind->at_rest)
        session->kind->at_rest(session);
    if (session->running)
        return;
    if (!session->stream || session->closing) {
        end(session);
        return;
    }
    set_paused(session, session->produce || stream_output_pending(session->stream) >= STREAM_OUTPUT_HIGH);
}

static AWAITS void task_main(void *arg)
{
    struct session *session = arg;

    session_enter(session);
    session->began_ms = clock_steady_ms();
    if (session->stream) /* else the client went while we waited for a stack */
        session->running(session);
    session->running = NULL;
    session_leave(session);
}

void session_run(struct session *session, AWAITS void (*fn)(void *session))
{
    if (!task_start(server_tasks(), task_main, session)) {
        session->kind->goodbye(session, SESSION_BUSY);
        return;
    }
    session->running = fn;
    set_paused(session, true);
}

static void on_hold_over(void *arg)
{
    struct session *session = arg;
    void (*after)(void *) = session->held;

    session_enter(session);
    session->held = NULL;
    after(session);
    session_leave(session);
}

void session_hold(struct session *session, unsigned ms, void (*after)(void *session))
{
    if (!session->stream)
        return;
    session->held = after;
    set_paused(session, true);
    loop_timer_set(&session->hold, ms, on_hold_over, session);
}

void session_on_drain(void *arg)
{
    session_enter(arg);
    session_leave(arg);
}

/* ------------------------------------------------------------------ the beginning */

static void on_shutdown(struct server_session *server)
{
    session_on_drain(server);
}

static void on_login_timeout(void *arg)
{
    struct session *session = arg;

    session_enter(session);
    session->held = NULL;
    loop_timer_clear(&session->hold);
    session->kind->goodbye(session, SESSION_LOGIN_TIMEOUT);
    session_leave(session);
}

bool session_begin(struct session *session, const struct session_kind *kind, int fd, bool implicit_tls,
                   const struct proxy_header *via, const struct server_settings *settings)
{
    const struct stream_limits limits = {kind->line_max, settings->login_timeout_ms, kind->write_timeout_ms};

    session->kind = kind;
    session->stream = stream_serve(fd, implicit_tls ? settings->tls : NULL, &limits, kind->handler, session);
    server_set_addresses(session->stream, via);
    session->server.shutdown = on_shutdown;
    snprintf(session->peer, sizeof session->peer, "%s", stream_peer(session->stream));
    session->registered = server_session_add(&session->server, kind->protocol, session->peer);
    stream_set_session(session->stream, session->server.context.session);
    session_enter(session);
    if (session->registered)
        loop_timer_set(&session->login_timer, settings->login_timeout_ms, on_login_timeout, session);
    return session->registered;
}

void session_logged_in(struct session *session)
{
    loop_timer_clear(&session->login_timer);
}
