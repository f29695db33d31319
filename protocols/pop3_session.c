/*
 * pop3_session: the POP3 server's dialogue, from accept() to close: RFC 1939, with 2449 (CAPA, response codes,
 * pipelining), 2595 (STLS), 3206 (SYS and AUTH codes), 5034 (AUTH).
 *
 * A normal run.  The stream hands over a line; it is parsed, pop3_commands.c answers at once or, when the database is
 * needed, session_run() pauses the stream and starts a task.  The task ends in session_settle(), which resumes.
 *
 * Long answers (RETR, TOP, LIST, UIDL) are *produced*: a helping is queued, and when the client has taken most of it
 * the stream says so and the next helping is made.  So a task never waits for the client, a message never stands in
 * memory as a whole, and a client that stops reading costs one helping until the write time-out.  One that vanishes
 * has deleted nothing: only QUIT deletes (RFC 1939 section 6).
 *
 * Sessions do not lock the maildrop (RFC 1939 section 4 asks for it so that message numbers stay valid): the
 * numbers are of a list made at login, and what another session expunged meanwhile is answered with -ERR.
 */
#include "protocols/pop3_session.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "pop3"
#include "core/log.h"
#include "core/secret.h"

#define WRITE_TIMEOUT_MS (5 * 60 * 1000)
#define REPLY_MAX 512 /* RFC 2449 section 4 */

/* ------------------------------------------------------------------ the end */

static void drop(void *arg)
{
    struct pop3_session *session = arg;

    pop3_auth_drop(session);
    free(session->items);
    arena_free(&session->command);
    arena_free(&session->arena);
}

static void goodbye(void *arg, enum session_goodbye why)
{
    struct pop3_session *session = arg;

    switch (why) {
    case SESSION_SHUTDOWN: pop3_goodbye(session, "SYS/TEMP", "Server is shutting down"); return;
    case SESSION_BUSY:
        log_warn("no task for a command");
        if (session->common.produce)
            pop3_session_break(session);
        else
            pop3_goodbye(session, "SYS/TEMP", "Too busy, try again later");
        return;
    case SESSION_LOGIN_TIMEOUT: /* a client that says something now and then, but never who it is */
        log_info("no login in time");
        pop3_goodbye(session, NULL, "Too slow to log in");
        return;
    }
}

void pop3_session_break(struct pop3_session *session)
{
    session->common.produce = NULL;
    session->common.closing = true;
    stream_abort(&session->common.stream);
}

/* ------------------------------------------------------------------ replies */

static void reply(struct pop3_session *session, const char *status, const char *code, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
static void reply(struct pop3_session *session, const char *status, const char *code, const char *format, va_list args)
{
    char text[REPLY_MAX - 40];

    if (!session->common.stream)
        return;
    vsnprintf(text, sizeof text, format, args);
    stream_printf(session->common.stream, "%s %s%s%s%s\r\n", status, code ? "[" : "", code ? code : "",
                  code ? "] " : "", text);
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
    session->common.produce = NULL;
    session->common.closing = true;
}

/* ------------------------------------------------------------------ time and length */

void pop3_session_limits(struct pop3_session *session)
{
    unsigned silence = session->settings->pop3_timeout_ms;

    if (session->state == POP3_AUTHORIZATION && session->settings->login_timeout_ms < silence)
        silence = session->settings->login_timeout_ms;
    if (session->common.stream)
        stream_set_limits(
            session->common.stream,
            &(struct stream_limits){session->attempt ? POP3_AUTH_LINE_MAX : POP3_LINE_MAX, silence, WRITE_TIMEOUT_MS});
}

void pop3_session_logged_in(struct pop3_session *session)
{
    session->state = POP3_TRANSACTION;
    session_logged_in(&session->common);
    pop3_session_limits(session);
}

/* ------------------------------------------------------------------ events of the stream */

static void on_line(void *arg, char *line, size_t length, bool bare)
{
    struct pop3_session *session = arg;
    struct slice copy;
    const char *fault;

    (void)bare; /* a line may end in LF alone; CR within it is refused by the parser */
    session_enter(&session->common);
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
    session_leave(&session->common);
}

static void on_line_too_long(void *arg)
{
    struct pop3_session *session = arg;

    session_enter(&session->common);
    pop3_auth_drop(session);
    pop3_fault(session, "Line too long");
    session_leave(&session->common);
}

static void on_tls(void *arg)
{
    struct pop3_session *session = arg;

    session_enter(&session->common);
    server_log_tls(session->common.stream);
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

    session_enter(&session->common);
    log_debug("connection over", log_str("reason", reasons[end]));
    session_ended(&session->common);
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
    .on_drain = session_on_drain,
    .on_tls = on_tls,
    .on_end = on_end,
};

static const struct session_kind kind = {
    .protocol = SERVER_POP3,
    .line_max = POP3_LINE_MAX,
    .write_timeout_ms = WRITE_TIMEOUT_MS,
    .handler = &handler,
    .goodbye = goodbye,
    .drop = drop,
};

void pop3_serve(int fd, bool implicit_tls, const struct proxy_header *via, struct server_settings *settings)
{
    struct pop3_session *session = calloc(1, sizeof *session);

    if (!session)
        abort();
    session->settings = settings;
    session->arena = arena_new(POP3_SESSION_MEMORY);
    session->command = arena_new(POP3_COMMAND_MEMORY);
    if (!session_begin(&session->common, &kind, fd, implicit_tls, via, settings)) {
        pop3_goodbye(session, "SYS/TEMP", server_refuse(&session->common.server, session->command));
    } else {
        log_debug("connection");
        pop3_session_limits(session);
        pop3_ok(session, "%s POP3 server ready", settings->hostname);
    }
    session_leave(&session->common);
}
