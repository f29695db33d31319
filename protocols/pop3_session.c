/*
 * pop3_session: the POP3 server's dialogue, from accept() to close: RFC 1939, with 2449 (CAPA, response codes,
 * pipelining), 2595 (STLS), 3206 (SYS and AUTH codes), 5034 (AUTH).
 *
 * A normal run.  The stream hands over a line; it is parsed, pop3_commands.c answers at once or, when the database is
 * needed, pop3_session_run() pauses the stream and starts a task.  The task ends in settle(), which resumes.
 *
 * Long answers (RETR, TOP, LIST, UIDL) are *produced*: a helping is queued, and when the client has taken most of it
 * the stream says so (on_drain) and the next helping is made.  So a task never waits for the client, a message never
 * stands in memory as a whole, and a client that stops reading costs one helping until the write time-out.
 *
 * A hard run.  The client asks for a message of 50 MB, reads 300 KB and vanishes while a task reads the third
 * chunk.  on_end closes the stream and leaves session->stream NULL; the task ends, finds nobody to write to, and
 * settle() frees the session.  Nothing was deleted: only QUIT deletes (RFC 1939 section 6).
 *
 * Invariants: at most one task per session; while one runs, an answer is held back or a response is being
 * produced, the stream is paused, so lines cannot come.  Only settle() and on_end() free, and nothing
 * touches the session afterwards.
 *
 * Sessions do not lock the maildrop (RFC 1939 section 4 asks for it so that message numbers stay valid): the
 * numbers are of a list made at login, and what another session expunged meanwhile is answered with -ERR.
 */
#include "protocols/pop3_session.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "pop3"
#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"

#define WRITE_TIMEOUT_MS (5 * 60 * 1000)
#define REPLY_MAX 512 /* RFC 2449 section 4 */

/* ------------------------------------------------------------------ life and death */

static void session_free(struct pop3_session *session)
{
    if (session->registered)
        server_session_remove(&session->server);
    pop3_auth_drop(session);
    loop_timer_clear(&session->hold);
    loop_timer_clear(&session->login_timer);
    stream_close(&session->stream);
    free(session->items);
    arena_free(&session->command);
    arena_free(&session->arena);
    free(session);
    log_set_context(NULL);
}

static void set_paused(struct pop3_session *session, bool paused)
{
    if (session->paused == paused)
        return;
    session->paused = paused;
    if (paused)
        stream_pause(session->stream);
    else
        stream_resume(session->stream);
}

/* Makes the next helping when there is room for it. */
static void produce(struct pop3_session *session)
{
    while (session->produce && session->stream && !session->running && !session->closing &&
           stream_output_pending(session->stream) < STREAM_OUTPUT_LOW)
        session->produce(session);
}

void pop3_session_settle(struct pop3_session *session)
{
    if (session->running)
        return;
    produce(session);
    if (session->running || (session->held && session->stream))
        return;
    if (session->stream && server_draining() && !session->closing && !session->produce)
        pop3_goodbye(session, "SYS/TEMP", "Server is shutting down");
    if (!session->stream || session->closing) {
        session_free(session);
        return;
    }
    set_paused(session, session->produce || stream_output_pending(session->stream) >= STREAM_OUTPUT_HIGH);
}

static void task_main(void *arg)
{
    struct pop3_session *session = arg;

    log_set_context(&session->server.context);
    session->began_ms = clock_steady_ms();
    if (session->stream) /* else the client went while we waited for a stack */
        session->running(session);
    session->running = NULL;
    pop3_session_settle(session);
    log_set_context(NULL);
}

void pop3_session_run(struct pop3_session *session, void (*command)(struct pop3_session *session))
{
    if (!task_start(server_tasks(), task_main, session)) {
        log_warn("no task for a command");
        if (session->produce)
            pop3_session_break(session);
        else
            pop3_goodbye(session, "SYS/TEMP", "Too busy, try again later");
        return;
    }
    session->running = command;
    set_paused(session, true);
}

static void on_hold_over(void *arg)
{
    struct pop3_session *session = arg;
    void (*after)(struct pop3_session *) = session->held;

    log_set_context(&session->server.context);
    session->held = NULL;
    after(session);
    pop3_session_settle(session);
    log_set_context(NULL);
}

void pop3_session_hold(struct pop3_session *session, unsigned ms, void (*after)(struct pop3_session *session))
{
    if (!session->stream)
        return;
    session->held = after;
    set_paused(session, true);
    loop_timer_set(&session->hold, ms, on_hold_over, session);
}

void pop3_session_break(struct pop3_session *session)
{
    session->produce = NULL;
    session->closing = true;
    stream_abort(&session->stream);
}

/* ------------------------------------------------------------------ replies */

static void reply(struct pop3_session *session, const char *status, const char *code, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
static void reply(struct pop3_session *session, const char *status, const char *code, const char *format, va_list args)
{
    char text[REPLY_MAX - 40];

    if (!session->stream)
        return;
    vsnprintf(text, sizeof text, format, args);
    stream_printf(session->stream, "%s %s%s%s%s\r\n", status, code ? "[" : "", code ? code : "", code ? "] " : "",
                  text);
}

void pop3_ok(struct pop3_session *session, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    reply(session, "+OK", NULL, format, args);
    va_end(args);
}

void pop3_err(struct pop3_session *session, const char *code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    reply(session, "-ERR", code, format, args);
    va_end(args);
}

void pop3_fault(struct pop3_session *session, const char *text)
{
    if (++session->errors > session->settings->errors_max)
        pop3_goodbye(session, NULL, "Too many bad commands");
    else
        pop3_err(session, NULL, "%s", text);
}

void pop3_goodbye(struct pop3_session *session, const char *code, const char *text)
{
    pop3_err(session, code, "%s", text);
    session->produce = NULL;
    session->closing = true;
}

/* ------------------------------------------------------------------ time and length */

void pop3_session_limits(struct pop3_session *session)
{
    unsigned silence = session->settings->pop3_timeout_ms;

    if (session->state == POP3_AUTHORIZATION && session->settings->login_timeout_ms < silence)
        silence = session->settings->login_timeout_ms;
    if (session->stream)
        stream_set_limits(
            session->stream,
            &(struct stream_limits){session->attempt ? POP3_AUTH_LINE_MAX : POP3_LINE_MAX, silence, WRITE_TIMEOUT_MS});
}

void pop3_session_logged_in(struct pop3_session *session)
{
    session->state = POP3_TRANSACTION;
    loop_timer_clear(&session->login_timer);
    pop3_session_limits(session);
}

/* A client that says something now and then, but never who it is. */
static void on_login_timeout(void *arg)
{
    struct pop3_session *session = arg;

    log_set_context(&session->server.context);
    log_info("no login in time");
    session->held = NULL;
    loop_timer_clear(&session->hold);
    pop3_goodbye(session, NULL, "Too slow to log in");
    pop3_session_settle(session);
    log_set_context(NULL);
}

/* ------------------------------------------------------------------ events of the stream */

static void on_line(void *arg, char *line, size_t length, bool bare)
{
    struct pop3_session *session = arg;
    struct slice copy;
    const char *fault;

    (void)bare; /* a line may end in LF alone; CR within it is refused by the parser */
    log_set_context(&session->server.context);
    arena_reset(session->command);
    copy = secret_slice(session->command, slice_of(line, length)); /* for the task; wiped: passwords */
    if (session->attempt) {
        pop3_auth_on_line(session, copy);
    } else {
        fault = pop3_parse(copy, &session->line);
        if (fault)
            pop3_fault(session, fault);
        else
            pop3_command_run(session);
    }
    pop3_session_settle(session);
    log_set_context(NULL);
}

static void on_line_too_long(void *arg)
{
    struct pop3_session *session = arg;

    log_set_context(&session->server.context);
    pop3_auth_drop(session);
    pop3_fault(session, "Line too long");
    pop3_session_settle(session);
    log_set_context(NULL);
}

static void on_drain(void *arg)
{
    struct pop3_session *session = arg;

    log_set_context(&session->server.context);
    pop3_session_settle(session);
    log_set_context(NULL);
}

static void on_tls(void *arg)
{
    struct pop3_session *session = arg;

    log_set_context(&session->server.context);
    server_log_tls(session->stream);
    log_set_context(NULL);
}

/* RFC 1939 section 3: at the autologout timer the connection is closed without a response, and nothing is removed. */
static void on_end(void *arg, enum stream_end end)
{
    static const char *const reasons[] = {
        [STREAM_END_EOF] = "closed by the client",
        [STREAM_END_TIMEOUT] = "timed out",
        [STREAM_END_ERROR] = "broken",
    };
    struct pop3_session *session = arg;

    log_set_context(&session->server.context);
    log_debug("connection over", log_str("reason", reasons[end]));
    stream_close(&session->stream);
    if (!session->running)
        session_free(session);
    log_set_context(NULL);
}

/* At a boundary now, unless something is being answered: then settle() sees that we drain. */
static void on_shutdown(struct server_session *server)
{
    struct pop3_session *session = (struct pop3_session *)server;

    log_set_context(&session->server.context);
    pop3_session_settle(session);
    log_set_context(NULL);
}

static void ignore_data(void *arg, struct evbuffer *input)
{
    (void)arg;
    evbuffer_drain(input, evbuffer_get_length(input)); /* raw mode is never used here */
}

static const struct stream_handler handler = {
    .on_line = on_line,
    .on_line_too_long = on_line_too_long,
    .on_data = ignore_data,
    .on_drain = on_drain,
    .on_tls = on_tls,
    .on_end = on_end,
};

void pop3_serve(int fd, bool implicit_tls, const struct proxy_header *via, struct server_settings *settings)
{
    struct pop3_session *session = calloc(1, sizeof *session);

    if (!session)
        abort();
    session->settings = settings;
    session->arena = arena_new(POP3_SESSION_MEMORY);
    session->command = arena_new(POP3_COMMAND_MEMORY);
    session->stream = stream_serve(fd, implicit_tls ? settings->tls : NULL,
                                   &(struct stream_limits){POP3_LINE_MAX, settings->login_timeout_ms, WRITE_TIMEOUT_MS},
                                   &handler, session);
    server_set_addresses(session->stream, via);
    pop3_session_limits(session);
    session->server.shutdown = on_shutdown;
    snprintf(session->peer, sizeof session->peer, "%s", stream_peer(session->stream));
    session->registered = server_session_add(&session->server, SERVER_POP3, session->peer);
    stream_set_session(session->stream, session->server.context.session);
    log_set_context(&session->server.context);
    if (!session->registered) {
        pop3_goodbye(session, "SYS/TEMP", server_refuse(&session->server, session->command));
    } else {
        log_debug("connection");
        loop_timer_set(&session->login_timer, settings->login_timeout_ms, on_login_timeout, session);
        pop3_ok(session, "%s POP3 server ready", settings->hostname);
    }
    pop3_session_settle(session);
    log_set_context(NULL);
}
