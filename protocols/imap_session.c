/*
 * imap_session: the life of an IMAP session: gathering commands, running them, ending.
 *
 * Gathering.  Lines come from the stream; one that ends in "{n}" or "{n+}" is followed by n bytes, taken in raw mode.
 * All of a command is kept in `pending`, at most IMAP_COMMAND_MAX, but for APPEND's message, which goes into a spool.
 * When a line ends without a literal the command is complete and is run in a task.
 *
 * A synchronizing literal that is too long is refused before it is sent; a non-synchronizing one (RFC 7888) cannot
 * be, so the connection ends: to swallow it would let anybody keep us busy for nothing.
 *
 * Between commands nothing is paused; while a command runs the stream is, and pipelined commands wait in its buffer.
 */
#include "protocols/imap_session.h"

#include <event2/buffer.h>
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
    if (session->pending)
        secret_wipe(session->pending, session->pending_room); /* LOGIN */
    free(session->pending);
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

static AWAITS void run_command(struct imap_session *session)
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

/* ------------------------------------------------------------------ gathering */

static void pending_add(struct imap_session *session, const char *bytes, size_t n)
{
    if (session->pending_count + n > session->pending_room) {
        size_t room = (session->pending_count + n) * 2;
        char *larger = malloc(room);

        if (!larger)
            abort();
        if (session->pending) {
            memcpy(larger, session->pending, session->pending_count);
            secret_wipe(session->pending, session->pending_count);
            free(session->pending);
        }
        session->pending = larger;
        session->pending_room = room;
    }
    memcpy(session->pending + session->pending_count, bytes, n);
    session->pending_count += n;
}

/* Does the line end in "{n}" or "{n+}"? */
static bool ends_in_literal(const char *line, size_t n, uint64_t *size, bool *synchronizing)
{
    size_t i;

    if (n < 3 || line[n - 1] != '}')
        return false;
    i = n - 2;
    *synchronizing = line[i] != '+';
    if (!*synchronizing)
        i--;
    *size = 0;
    for (uint64_t place = 1; line[i] >= '0' && line[i] <= '9'; i--, place *= 10) {
        if (place > UINT64_C(1000000000000))
            return false;
        *size += place * (uint64_t)(line[i] - '0');
        if (i == 0)
            return false;
    }
    return line[i] == '{' && line[i + 1] >= '0' && line[i + 1] <= '9';
}

static struct slice pending_tag(const struct imap_session *session)
{
    struct imap_cursor c = {session->pending, session->pending + session->pending_count, NULL};
    struct slice tag;

    return imap_take_tag(&c, &tag) ? tag : SLICE("*");
}

/*
 * A synchronizing literal is refused by not asking for it; the other kind comes all the same, and the client with it
 * goes.
 */
static void refuse_literal(struct imap_session *session, bool synchronizing, const char *status, const char *why)
{
    struct slice tag = pending_tag(session);

    if (!synchronizing) {
        imap_bye(session, why);
        return;
    }
    stream_printf(session->stream, "%.*s %s %s\r\n", SLICE_ARG(tag), status, why);
    session->pending_count = 0;
    session->literals = 0;
    spool_unref(&session->append);
}

static void begin_literal(struct imap_session *session, uint64_t size, bool synchronizing)
{
    uint64_t limit = IMAP_COMMAND_MAX - session->pending_count;

    if (session->append) {
        refuse_literal(session, synchronizing, "BAD", "APPEND takes one message at a time");
        return;
    }
    /* the message is the first literal, or the second where the mailbox's name was one */
    if (session->literals++ < 2 && imap_append_expects(session)) {
        session->append = spool_new();
        limit = session->settings->message_size_max;
    }
    if (size > limit) {
        refuse_literal(session, synchronizing, "NO", "[TOOBIG] That literal is too long");
        return;
    }
    if (synchronizing)
        stream_printf(session->stream, "+ Go ahead\r\n");
    session->literal_left = size;
    if (size)
        stream_mode_raw(session->stream);
}

static void on_command_line(struct imap_session *session, const char *line, size_t length)
{
    uint64_t size;
    bool synchronizing;

    if (session->pending_count + length + 2 > IMAP_COMMAND_MAX) {
        imap_bye(session, "[TOOBIG] That command is too long");
        return;
    }
    pending_add(session, line, length);
    if (ends_in_literal(line, length, &size, &synchronizing)) {
        pending_add(session, "\r\n", 2);
        begin_literal(session, size, synchronizing);
        return;
    }
    arena_reset(session->command);
    session->cursor = (struct imap_cursor){NULL, NULL, session->command};
    session->cursor.p = secret_slice(session->command, slice_of(session->pending, session->pending_count)).p;
    session->cursor.end = session->cursor.p + session->pending_count;
    secret_wipe(session->pending, session->pending_count);
    session->pending_count = 0;
    session->literals = 0;
    imap_session_run(session, run_command);
}

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
        on_command_line(session, line, length);
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

static void on_data(void *arg, struct evbuffer *input)
{
    struct imap_session *session = arg;

    while (session->literal_left && evbuffer_get_length(input)) {
        size_t n = evbuffer_get_contiguous_space(input);
        const char *bytes;

        if (n > session->literal_left)
            n = (size_t)session->literal_left;
        bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)n);
        if (!session->append)
            pending_add(session, bytes, n);
        else
            (void)!spool_append(session->append, slice_of(bytes, n)); /* the command will see that the spool failed */
        evbuffer_drain(input, n);
        session->literal_left -= n;
    }
    if (!session->literal_left)
        stream_mode_line(session->stream);
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
    .on_data = on_data,
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
