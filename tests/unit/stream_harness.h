#ifndef TESTS_UNIT_STREAM_HARNESS_H
#define TESTS_UNIT_STREAM_HARNESS_H
/*
 * What the tests of streams share: a served connection that writes down what it saw, and its client's side.
 *
 * Time limits appear as values given to the stream, never as assertions about how long something took; the
 * loop is run until what is awaited has happened, and a watchdog ends a test that waits in vain.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/stream_internal.h"

#define WATCHDOG_MS 20000

/* What a served connection saw, and what it should do. */
struct peer {
    struct stream *stream;
    char seen
        [8192]; /* one letter and the text per callback: "L(text)", "B(text)" bare, "X" too long, "D(bytes)", "T" TLS */
    size_t used;
    unsigned lines, drained, ended, tls_up;
    size_t raw_bytes;
    enum stream_end end;
    bool echo, pause_each, close_after_first, resume_at_drain;
    unsigned raw_after; /* switch to raw for that many bytes after a line "DATA" */
    unsigned raw_left;
    struct tls *start_tls; /* at a line "STARTTLS" */
    unsigned *clock;       /* shared between peers: order of events */
    unsigned first_line_at, last_line_at;
};

static void see(struct peer *p, const char *kind, const char *text, size_t n)
{
    p->used += (size_t)snprintf(p->seen + p->used, sizeof p->seen - p->used, "%s", kind);
    if (text && p->used + n + 3 < sizeof p->seen)
        p->used += (size_t)snprintf(p->seen + p->used, sizeof p->seen - p->used, "(%.*s)", (int)n, text);
}

static void on_line(void *arg, char *line, size_t length, bool bare)
{
    struct peer *p = arg;

    assert_int_equal(line[length], '\0');
    line[length] = '\0'; /* writable */
    p->lines++;
    if (p->clock) {
        p->last_line_at = ++*p->clock;
        if (p->lines == 1)
            p->first_line_at = p->last_line_at;
    }
    if (p->used + length < 4096)
        see(p, bare ? "B" : "L", line, length);
    if (p->echo) {
        stream_write(p->stream, slice_of(line, length));
        stream_write(p->stream, SLICE("\r\n"));
    }
    if (p->raw_after && strcmp(line, "DATA") == 0) {
        p->raw_left = p->raw_after;
        stream_mode_raw(p->stream);
    }
    if (p->start_tls && strcmp(line, "STARTTLS") == 0) {
        stream_write(p->stream, SLICE("220 go\r\n"));
        stream_start_tls(p->stream, p->start_tls);
    }
    if (p->pause_each)
        stream_pause(p->stream);
    if (p->close_after_first) {
        stream_write(p->stream, SLICE("bye\r\n"));
        stream_close(&p->stream);
    }
}

static void on_line_too_long(void *arg)
{
    see(arg, "X", NULL, 0);
}

static void on_data(void *arg, struct evbuffer *input)
{
    struct peer *p = arg;
    char bytes[64];

    if (!p->raw_after) { /* a sink */
        p->raw_bytes += evbuffer_get_length(input);
        evbuffer_drain(input, evbuffer_get_length(input));
        if (p->pause_each)
            stream_pause(p->stream);
        return;
    }
    int n = evbuffer_remove(input, bytes, p->raw_left < sizeof bytes ? p->raw_left : sizeof bytes);
    see(p, "D", bytes, (size_t)n);
    p->raw_left -= (unsigned)n;
    if (p->raw_left == 0)
        stream_mode_line(p->stream);
}

static void on_drain(void *arg)
{
    struct peer *p = arg;

    p->drained++;
    if (p->resume_at_drain)
        stream_resume(p->stream);
}

static void on_tls(void *arg)
{
    ((struct peer *)arg)->tls_up++;
    see(arg, "T", NULL, 0);
}

static void on_end(void *arg, enum stream_end end)
{
    struct peer *p = arg;

    p->ended++;
    p->end = end;
}

static const struct stream_handler handler = {on_line, on_line_too_long, on_data, on_drain, on_tls, on_end};
static const struct stream_limits patient = {1000, 60000, 60000};

/* ------------------------------------------------------------------ scaffolding */

static bool watchdog_rang;

static void on_watchdog(void *arg)
{
    (void)arg;
    watchdog_rang = true;
}

/* Runs the loop until the condition holds. */
#define run_until(condition)                                                                                           \
    do {                                                                                                               \
        struct loop_timer watchdog_ = {0};                                                                             \
        watchdog_rang = false;                                                                                         \
        loop_timer_set(&watchdog_, WATCHDOG_MS, on_watchdog, NULL);                                                    \
        while (!(condition) && !watchdog_rang)                                                                         \
            event_base_loop(loop_base(), EVLOOP_ONCE);                                                                 \
        loop_timer_clear(&watchdog_);                                                                                  \
        if (watchdog_rang)                                                                                             \
            fail_msg("waited in vain for: %s", #condition);                                                            \
    } while (0)

/* Everything that is due now, timers that ring later excepted. */
static inline void run_idle(void)
{
    for (unsigned i = 0; i < 50; i++)
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
}

static inline int serve_limited(struct peer *p, const struct stream_limits *limits)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    p->stream = stream_serve(pair[0], NULL, limits, &handler, p);
    return pair[1];
}

static inline int serve(struct peer *p)
{
    return serve_limited(p, &patient);
}

static inline void send_text(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

        if (sent > 0) {
            text += sent;
            n -= (size_t)sent;
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
}
#define SEND(fd, literal) send_text(fd, literal, sizeof(literal) - 1)

/* Reads until EOF or reset; the error, 0 for EOF. */
static inline int receive_all(int fd, char *out, size_t size)
{
    size_t used = 0;
    ssize_t n;

    for (;;) {
        n = recv(fd, out + used, size - 1 - used, 0);
        if (n == 0)
            break;
        if (n > 0)
            used += (size_t)n;
        else if (errno != EAGAIN)
            return errno;
        else
            event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    out[used] = '\0';
    return 0;
}

static inline void part(struct peer *p, int fd)
{
    stream_abort(&p->stream);
    run_idle();
    close(fd);
}

static inline int stream_setup(void **state)
{
    (void)state;
    log_init("test_core_stream");
    log_set_level(NULL, LOG_LEVEL_NONE);
    loop_init();
    return 0;
}

static inline int stream_teardown(void **state)
{
    (void)state;
    run_idle();
    loop_done();
    return 0;
}

#endif
