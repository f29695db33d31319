/*
 * smtp_session: the SMTP server's dialogue, from accept() to close: RFC 5321, and 2920, 3207, 4954 for its order.
 *
 * A normal run.  The stream hands over a line (smtp_session.on_line); the line is parsed, its verb chooses a row of
 * the table in smtp_commands.c, the command answers into session->replies.  Commands that must look something up (MAIL,
 * RCPT, AUTH, the end of data) copy what they need into session->line and call smtp_session_run(): the stream
 * is paused, a task runs the rest, and when it ends settle() sends the replies and resumes.
 *
 * A hard run.  The client pipelines MAIL, RCPT, RCPT, DATA and disappears while the second RCPT waits for the
 * database.  Nothing is cancelled: the wait ends, the reply is written, the task ends, the stream is resumed
 * and hands over DATA, whose 354 goes nowhere; then the stream tells its end, and since no task runs the
 * session is freed.  Had the connection broken while the task ran, session->stream would be NULL: replies are
 * dropped, and the task's end frees the session.
 *
 * Invariants: at most one task per session; while one runs, or an answer is held back, the stream is paused,
 * so no other callback but its end can come; nothing but settle() frees a session, and nothing touches it
 * afterwards.
 *
 * Limits: bad commands, refused recipients, failed AUTHs end the session with 421; output that a client does
 * not read stops its input; silence ends it (RFC 5321 4.5.3.2.7).
 */
#include "protocols/smtp_session.h"

#include <event2/buffer.h>
#include <stdlib.h>

#define LOG_MODULE "smtp"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/secret.h"
#include "protocols/smtp_counters.h"

#define REPLIES_MAX 4096

struct smtp_counters smtp_counters;

/* ------------------------------------------------------------------ life and death */

static void session_free(struct smtp_session *session)
{
    log_set_context(&session->server.context);
    log_debug("session over");
    log_set_context(NULL);
    if (session->registered)
        server_session_remove(&session->server);
    smtp_auth_drop(session);
    smtp_session_reset(session);
    loop_timer_clear(&session->hold);
    screen_dns_free(&session->screen);
    if (session->stream)
        stream_close(&session->stream);
    evbuffer_free(session->replies);
    arena_free(&session->command);
    arena_free(&session->transaction_arena);
    arena_free(&session->arena);
    free(session);
}

static void flush(struct smtp_session *session)
{
    stream_write_buffer(session->stream, session->replies);
}

static void settle(struct smtp_session *session)
{
    if (session->running || (session->held && session->stream))
        return;
    if (!session->stream) {
        session_free(session);
        return;
    }
    if (server_draining() && !session->closing && !session->receiving)
        smtp_reply_goodbye(session, 421, "4.3.2", "Service shutting down");
    if (session->closing) {
        flush(session);
        session_free(session);
        return;
    }
    if (!stream_input_pending(session->stream) || evbuffer_get_length(session->replies) > REPLIES_MAX)
        flush(session);
    if (stream_output_pending(session->stream) > STREAM_OUTPUT_HIGH) {
        session->paused = true; /* on_drain comes back here */
        stream_pause(session->stream);
    } else if (session->paused) {
        session->paused = false;
        stream_resume(session->stream);
    }
}

static void task_main(void *arg)
{
    struct smtp_session *session = arg;

    log_set_context(&session->server.context);
    session->began_ms = clock_steady_ms();
    if (session->stream) /* else the client went while we waited for a stack */
        session->running(session);
    session->running = NULL;
    settle(session);
    log_set_context(NULL);
}

void smtp_session_run(struct smtp_session *session, void (*command)(struct smtp_session *session))
{
    if (!task_start(server_tasks(), task_main, session)) {
        smtp_reply_goodbye(session, 421, "4.3.2", "Too busy, try again later");
        return;
    }
    session->running = command;
    session->paused = true;
    stream_pause(session->stream);
}

static void on_hold_over(void *arg)
{
    struct smtp_session *session = arg;
    session->held = false;
    settle(session);
}

void smtp_session_hold(struct smtp_session *session, unsigned ms)
{
    if (!session->stream)
        return;
    session->held = session->paused = true;
    stream_pause(session->stream);
    loop_timer_set(&session->hold, ms, on_hold_over, session);
}

/* ------------------------------------------------------------------ state */

void smtp_session_reset(struct smtp_session *session)
{
    if (!session->transaction)
        return;
    spool_unref(&session->transaction->spool);
    session->transaction = NULL;
    arena_reset(session->transaction_arena);
}

void smtp_session_forget(struct smtp_session *session)
{
    smtp_session_reset(session);
    smtp_auth_drop(session);
    session->greeted = session->esmtp = session->authenticated = false;
    session->helo = (struct slice){"", 0};
    session->account = (struct directory_account){0};
}

/* ------------------------------------------------------------------ events of the stream */

static void dispatch(struct smtp_session *session, struct slice line, bool bare)
{
    /* Section 2.3.8: a bare CR or LF ends nothing.  It is refused with the whole line, so that client and we never
     * disagree about where a command ends. */
    if (bare) {
        smtp_auth_drop(session);
        smtp_reply_error(session, 500, "5.5.2", "Lines end in CRLF, and contain neither CR nor LF");
        return;
    }
    if (session->attempt) {
        smtp_auth_on_line(session, line);
        return;
    }
    const struct smtp_fault *fault = smtp_parse_command(line, &session->line);
    if (fault)
        smtp_reply_fault(session, fault);
    else
        smtp_commands_run(session);
}

static void on_line(void *arg, char *line, size_t length, bool bare)
{
    struct smtp_session *session = arg;

    log_set_context(&session->server.context);
    arena_reset(session->command);
    /* A copy that a task may keep, and that is wiped: it may carry a password. */
    dispatch(session, secret_slice(session->command, slice_of(line, length)), bare);
    settle(session);
    log_set_context(NULL);
}

static void on_line_too_long(void *arg)
{
    struct smtp_session *session = arg;

    log_set_context(&session->server.context);
    arena_reset(session->command);
    if (session->attempt) { /* RFC 4954 section 4 */
        smtp_auth_drop(session);
        smtp_reply_error(session, 500, "5.5.6", "Authentication exchange line is too long");
    } else {
        smtp_reply_error(session, 500, "5.5.2", "Line too long");
    }
    settle(session);
    log_set_context(NULL);
}

/*
 * Section 3.1 and 4.3.1: the client waits for the greeting.  Who does not reads no replies, as no mail server does and
 * much malware does.
 */
static void on_early_talk(struct smtp_session *session)
{
    session->silent = false;
    smtp_screen_early_talker(session);
}

static void on_data(void *arg, struct evbuffer *input)
{
    struct smtp_session *session = arg;

    log_set_context(&session->server.context);
    arena_reset(session->command);
    if (session->silent)
        on_early_talk(session);
    else if (session->chunking)
        smtp_bdat_on_input(session, input);
    else
        smtp_data_on_input(session, input);
    settle(session);
    log_set_context(NULL);
}

static void on_drain(void *arg)
{
    settle(arg);
}

static void greet(struct smtp_session *session)
{
    smtp_reply(session, 220, NULL, "%s ESMTP Posthouse", session->settings->hostname);
}

static void on_silence_over(void *arg)
{
    struct smtp_session *session = arg;

    log_set_context(&session->server.context);
    session->silent = false;
    stream_mode_line(session->stream);
    greet(session);
    settle(session);
    log_set_context(NULL);
}

/* Raw mode, so that a single byte is noticed. */
static void greet_after_silence(struct smtp_session *session)
{
    session->silent = true;
    stream_mode_raw(session->stream);
    loop_timer_set(&session->hold, session->settings->greeting_delay_ms, on_silence_over, session);
}

static void on_tls(void *arg)
{
    struct smtp_session *session = arg;

    log_set_context(&session->server.context);
    server_log_tls(session->stream);
    /* After STARTTLS the client speaks first (RFC 3207 section 4.2); with implicit TLS the greeting comes now. */
    if (session->implicit_tls)
        greet(session);
    smtp_session_forget(session);
    settle(session);
    log_set_context(NULL);
}

static void on_end(void *arg, enum stream_end end)
{
    struct smtp_session *session = arg;

    log_set_context(&session->server.context);
    switch (end) {
    case STREAM_END_TIMEOUT: /* never while a task runs: the stream is paused then */
        smtp_reply_goodbye(session, 421, "4.4.2", "Timeout, closing connection");
        flush(session);
        break;
    case STREAM_END_EOF:
    case STREAM_END_ERROR:
        if (session->receiving)
            log_info("connection lost during DATA");
        break;
    }
    stream_close(&session->stream); /* a task may be at work with session->command: nothing is reset here */
    settle(session);
    log_set_context(NULL);
}

/* Section 3.8 and 4.3.2: asked to end; what is under way is answered first. */
static void on_shutdown(struct server_session *server)
{
    struct smtp_session *session = (struct smtp_session *)server;
    settle(session);
}

static const struct stream_handler handler = {on_line, on_line_too_long, on_data, on_drain, on_tls, on_end};

/* ------------------------------------------------------------------ accept */

void smtp_serve(int fd, enum smtp_role role, bool implicit_tls, const struct proxy_header *via,
                struct server_settings *settings)
{
    struct smtp_session *session = calloc(1, sizeof(*session));
    struct stream_limits limits = {
        .line_max = role != SMTP_ROLE_MX ? SMTP_AUTH_LINE_MAX : SMTP_LINE_MAX,
        .read_timeout_ms = settings->smtp_timeout_ms,
        .write_timeout_ms = settings->smtp_timeout_ms,
    };

    if (!session)
        abort();
    session->settings = settings;
    session->role = role;
    session->implicit_tls = implicit_tls;
    session->replies = evbuffer_new();
    session->arena = arena_new(SMTP_SESSION_MEMORY);
    session->command = arena_new(SMTP_COMMAND_MEMORY);
    session->transaction_arena = arena_new(SMTP_TRANSACTION_MEMORY);
    session->stream = stream_serve(fd, implicit_tls ? settings->tls : NULL, &limits, &handler, session);
    server_set_addresses(session->stream, via);
    session->peer = arena_strdup(session->arena, stream_peer(session->stream)); /* outlives the stream */
    session->may_xclient = cidr_list_contains(&settings->xclient_networks, stream_peer_address(session->stream));
    session->server.shutdown = on_shutdown;
    smtp_session_forget(session);
    session->registered = server_session_add(&session->server, SERVER_SMTP, session->peer);
    stream_set_session(session->stream, session->server.context.session);

    log_set_context(&session->server.context);
    if (session->registered) {
        smtp_counters.connections++;
        log_debug("session begins");
        if (!session->may_xclient) /* else it is about others that it brings mail */
            smtp_screen_begin(session);
        if (role == SMTP_ROLE_MX && !implicit_tls && settings->greeting_delay_ms)
            greet_after_silence(session);
        else if (!implicit_tls)
            greet(session);
    } else {
        smtp_screen_not_served(session);
    }
    settle(session);
    log_set_context(NULL);
}
