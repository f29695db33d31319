/*
 * Streams over socket pairs and loopback: lines, limits, raw bytes, TLS, endings, and the driven half.
 *
 * Time limits appear as values given to the stream, never as assertions about how long something took; the
 * loop is run until what is awaited has happened, and a watchdog ends a test that waits in vain.
 */
#include <arpa/inet.h>
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
static void run_idle(void)
{
    for (unsigned i = 0; i < 50; i++)
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
}

static int serve_limited(struct peer *p, const struct stream_limits *limits)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    p->stream = stream_serve(pair[0], NULL, limits, &handler, p);
    return pair[1];
}

static int serve(struct peer *p)
{
    return serve_limited(p, &patient);
}

static void send_text(int fd, const char *text, size_t n)
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
static int receive_all(int fd, char *out, size_t size)
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

static void part(struct peer *p, int fd)
{
    stream_abort(&p->stream);
    run_idle();
    close(fd);
}

/* ------------------------------------------------------------------ lines */

static void lines_byte_by_byte(void **state)
{
    static const char text[] = "ONE\r\n\r\ntwo\nth\rree\r\nfo\0ur\r\nfive\r\r\nsix";
    struct peer p = {0};
    int fd = serve(&p);

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        send_text(fd, text + i, 1);
    run_until(p.lines == 6);
    run_idle();
    assert_string_equal(p.seen, "L(ONE)L()B(two)B(th\rree)L(fo)B(five\r)");
    SEND(fd, "!\r\n");
    run_until(p.lines == 7);
    assert_non_null(strstr(p.seen, "L(six!)"));
    part(&p, fd);
}

static void line_limit(void **state)
{
    static const struct stream_limits limits = {10, 60000, 60000};
    struct peer p = {0};
    int fd = serve_limited(&p, &limits);

    (void)state;
    SEND(fd, "12345678\r\n");  /* 10 with its end: the longest */
    SEND(fd, "123456789\r\n"); /* 11 */
    SEND(fd, "ok\r\n");
    run_until(p.lines == 2);
    assert_string_equal(p.seen, "L(12345678)XL(ok)");
    part(&p, fd);
}

static void endless_line_takes_no_memory(void **state)
{
    struct peer p = {0};
    int fd = serve(&p);
    char junk[4096];

    (void)state;
    memset(junk, 'x', sizeof junk);
    for (unsigned i = 0; i < 1000; i++) {
        send_text(fd, junk, sizeof junk);
        assert_true(evbuffer_get_length(p.stream->input) <= STREAM_INPUT_MAX);
    }
    run_idle();
    assert_string_equal(p.seen, "");
    assert_int_equal(evbuffer_get_length(p.stream->input), 0);
    SEND(fd, "\r\nnext\r\n");
    run_until(p.lines == 1);
    assert_string_equal(p.seen, "XL(next)");
    part(&p, fd);
}

static void pipelining_is_fair(void **state)
{
    unsigned order = 0;
    struct peer greedy = {.clock = &order}, modest = {.clock = &order};
    int fd = serve(&greedy), other = serve(&modest);
    char many[6000];

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        memcpy(many + 6 * i, "NOOP\r\n", 6);
    assert_int_equal(send(fd, many, sizeof many, 0), sizeof many);
    assert_int_equal(send(other, "NOOP\r\n", 6, 0), 6);
    run_until(greedy.lines == 1000 && modest.lines == 1);
    assert_true(modest.first_line_at < greedy.last_line_at);
    assert_true(modest.first_line_at <= 100);
    part(&greedy, fd);
    part(&modest, other);
}

static void pause_holds_lines_back(void **state)
{
    struct peer p = {.pause_each = true};
    int fd = serve(&p);

    (void)state;
    SEND(fd, "one\r\ntwo\r\n");
    run_until(p.lines == 1);
    run_idle();
    assert_int_equal(p.lines, 1);
    assert_true(stream_input_pending(p.stream));
    stream_resume(p.stream);
    assert_int_equal(p.lines, 1); /* in a later turn */
    run_until(p.lines == 2);
    assert_false(stream_input_pending(p.stream));
    part(&p, fd);
}

static void pause_pushes_back(void **state)
{
    struct peer p = {.pause_each = true};
    int fd = serve(&p);
    char junk[4096];
    unsigned full = 0;

    (void)state;
    SEND(fd, "stop\r\n");
    run_until(p.lines == 1);
    memset(junk, 'x', sizeof junk);
    while (full < 50) { /* until the kernel's buffers are full and nobody takes from them */
        if (send(fd, junk, sizeof junk, 0) < 0)
            full++;
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    assert_int_equal(evbuffer_get_length(p.stream->input), 0);
    part(&p, fd);
}

static void raw_and_back(void **state)
{
    static const char text[] = "DATA\r\n12345QUIT\r\nDATA\r\n1\r\n4\nlast\r\n";
    struct peer p = {.raw_after = 5};
    int fd = serve(&p);

    (void)state;
    SEND(fd, "DATA\r\n12345QUIT\r\nDATA\r\n1\r\n4\nlast\r\n");
    run_until(p.lines == 4);
    assert_string_equal(p.seen, "L(DATA)D(12345)L(QUIT)L(DATA)D(1\r\n4\n)L(last)");
    p.used = 0;
    for (size_t i = 0; i < sizeof text - 1; i++)
        send_text(fd, text + i, 1);
    run_until(p.lines == 8);
    assert_string_equal(p.seen, "L(DATA)D(1)D(2)D(3)D(4)D(5)L(QUIT)L(DATA)D(1)D(\r)D(\n)D(4)D(\n)L(last)");
    part(&p, fd);
}

/* ------------------------------------------------------------------ endings */

static void half_closed_client_gets_its_replies(void **state)
{
    struct peer p = {.echo = true, .pause_each = true};
    int fd = serve(&p);
    char got[100];

    (void)state;
    SEND(fd, "one\r\ntwo\r\nthree\r\nrest");
    shutdown(fd, SHUT_WR);
    for (unsigned i = 1; i <= 3; i++) {
        run_until(p.lines == i);
        assert_int_equal(p.ended, 0);
        stream_resume(p.stream);
    }
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_EOF);
    stream_close(&p.stream);
    assert_int_equal(receive_all(fd, got, sizeof got), 0);
    assert_string_equal(got, "one\r\ntwo\r\nthree\r\n");
    assert_int_equal(p.ended, 1);
    close(fd);
}

static void close_in_callback_delivers_the_last_words(void **state)
{
    struct peer p = {.close_after_first = true};
    int fd = serve(&p);
    char got[100], many[60000];

    (void)state;
    memset(many, '\n', sizeof many);
    memcpy(many, "first\r\n", 7);
    send_text(fd, many, sizeof many); /* unread input must not make the kernel reset */
    assert_int_equal(receive_all(fd, got, sizeof got), 0);
    assert_string_equal(got, "bye\r\n");
    assert_int_equal(stream_closing(), 1); /* it lingers until the peer closes */
    assert_int_equal(p.lines, 1);
    assert_int_equal(p.ended, 0);
    close(fd);
    run_until(stream_closing() == 0);
}

static void silence_ends_it_but_words_still_go_out(void **state)
{
    static const struct stream_limits hasty = {1000, 20, 60000};
    struct peer p = {0};
    int fd = serve_limited(&p, &hasty);
    char got[100];

    (void)state;
    SEND(fd, "partial");
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_TIMEOUT);
    stream_write(p.stream, SLICE("too slow\r\n"));
    stream_close(&p.stream);
    assert_int_equal(receive_all(fd, got, sizeof got), 0);
    assert_string_equal(got, "too slow\r\n");
    close(fd);
    run_idle();
}

static void trickling_is_silence(void **state)
{
    static const struct stream_limits hasty = {1000, 50, 60000};
    struct peer p = {0};
    int fd = serve_limited(&p, &hasty);
    uint64_t last = 0;

    (void)state;
    while (!p.ended) { /* a byte a millisecond, never a line */
        if (clock_steady_ms() != last) {
            assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
            last = clock_steady_ms();
        }
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    assert_int_equal(p.end, STREAM_END_TIMEOUT);
    part(&p, fd);
}

static void paused_streams_do_not_time_out(void **state)
{
    static const struct stream_limits hasty = {1000, 1, 60000};
    struct peer p = {0}, other = {0};
    int fd = serve(&p), second;

    (void)state;
    stream_pause(p.stream);
    stream_set_limits(p.stream, &hasty);
    second = serve_limited(&other, &hasty);
    run_until(other.ended); /* the same limit, not paused */
    run_idle();
    assert_int_equal(p.ended, 0);
    stream_resume(p.stream);
    run_until(p.ended);
    part(&p, fd);
    part(&other, second);
}

static void stuck_reader_times_out(void **state)
{
    static const struct stream_limits hasty = {1000, 60000, 20};
    struct peer p = {0};
    int fd = serve_limited(&p, &hasty);
    static char much[4 * 1024 * 1024];

    (void)state;
    stream_pause(p.stream); /* as a session does that streams a body */
    stream_write(p.stream, slice_of(much, sizeof much));
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_TIMEOUT);
    assert_int_equal(stream_output_pending(p.stream), 0);
    part(&p, fd);
}

static void drain_is_told_once(void **state)
{
    struct peer p = {0};
    int fd = serve(&p);
    static char much[1024 * 1024], got[64 * 1024];

    (void)state;
    stream_write(p.stream, slice_of(much, sizeof much));
    run_idle();
    assert_int_equal(p.drained, 0);
    while (!p.drained) {
        if (recv(fd, got, sizeof got, 0) < 0)
            assert_int_equal(errno, EAGAIN);
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    assert_true(stream_output_pending(p.stream) < STREAM_OUTPUT_LOW);
    run_idle();
    assert_int_equal(p.drained, 1);
    part(&p, fd);
}

/* A client pipelines behind a command with a long answer: on_drain resumes, and the line that lies here must come. */
static void resumed_by_drain(void **state)
{
    struct peer p = {.pause_each = true, .resume_at_drain = true};
    int fd = serve(&p);
    static char much[1024 * 1024], got[64 * 1024];

    (void)state;
    SEND(fd, "one\r\ntwo\r\n");
    run_until(p.lines == 1);
    stream_write(p.stream, slice_of(much, sizeof much));
    while (p.lines == 1 && !p.drained) {
        if (recv(fd, got, sizeof got, 0) < 0)
            assert_int_equal(errno, EAGAIN);
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    run_until(p.lines == 2);
    part(&p, fd);
}

static void writing_to_a_vanished_peer_is_an_error(void **state)
{
    struct peer p = {0};
    int fd = serve(&p);

    (void)state;
    stream_pause(p.stream);
    close(fd);
    stream_write(p.stream, SLICE("hello\r\n"));
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_ERROR);
    stream_close(&p.stream);
    run_idle();
}

/* ------------------------------------------------------------------ loopback, tasks and TLS */

static struct tls *server_tls, *opportunistic, *verifying;
static struct task_pool *pool;

static int tls_setup(void **state)
{
    char directory[] = "/tmp/stream-XXXXXX", certificate[64], key[64], error[256] = "";

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(certificate, sizeof certificate, "%s/c.pem", directory);
    snprintf(key, sizeof key, "%s/k.pem", directory);
    assert_true(tls_make_self_signed("mail.example.test", certificate, key, error, sizeof error));
    assert_null(tls_server_new(key, key, error, sizeof error));
    assert_non_null(strstr(error, key));
    assert_null(tls_server_new("/nonexistent", key, error, sizeof error));
    assert_non_null(strstr(error, "/nonexistent"));
    server_tls = tls_server_new(certificate, key, error, sizeof error);
    opportunistic = tls_client_new(false, error, sizeof error);
    verifying = tls_client_new(true, error, sizeof error);
    assert_true(server_tls && opportunistic && verifying);
    unlink(certificate);
    unlink(key);
    rmdir(directory);
    pool = task_pool_new("test", 4, 4);
    return 0;
}

static int tls_teardown(void **state)
{
    (void)state;
    tls_unref(&server_tls);
    tls_unref(&opportunistic);
    tls_unref(&verifying);
    task_pool_free(&pool);
    return 0;
}

/* A listener that serves one connection with `peer`. */
static struct sockaddr_in server_address;
static struct event *accept_event;
static struct tls *accept_tls;

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct peer *p = arg;
    int client = accept(fd, NULL, NULL);

    (void)what;
    assert_true(client >= 0);
    p->stream = stream_serve(client, accept_tls, &patient, &handler, p);
}

static int listen_for(struct peer *p, struct tls *tls)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = sizeof server_address;

    server_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&server_address, sizeof server_address), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&server_address, &length), 0);
    accept_tls = tls;
    accept_event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_accept, p);
    event_add(accept_event, NULL);
    return fd;
}

static void listen_no_more(struct peer *p, int fd)
{
    event_free(accept_event);
    close(fd);
    stream_abort(&p->stream);
    run_idle();
}

/* What the client task is to do and what it met. */
struct client {
    bool implicit_tls, starttls, half_close;
    struct tls *tls;
    const char *send;
    size_t bulk; /* bytes sent before `send` */
    unsigned read;
    enum stream_status status;
    char got[200];
    bool encrypted, done;
};

static enum stream_status converse(struct client *c, struct stream *stream, struct arena *arena)
{
    enum stream_status status = STREAM_OK;
    struct slice line;

    if (c->implicit_tls)
        status = stream_connect_tls(stream, c->tls, "mail.example.test", WATCHDOG_MS);
    if (status == STREAM_OK && c->starttls) {
        stream_write(stream, SLICE("STARTTLS\r\nINJECTED\r\n"));
        status = stream_read_line(stream, arena, 1000, WATCHDOG_MS, &line);
        if (status == STREAM_OK)
            status = stream_connect_tls(stream, c->tls, "mail.example.test", WATCHDOG_MS);
    }
    for (size_t sent = 0; status == STREAM_OK && sent < c->bulk; sent += 1000) {
        stream_printf(stream, "%01000d", 0);
        status = stream_flush(stream, STREAM_OUTPUT_LOW, WATCHDOG_MS);
    }
    if (status == STREAM_OK && c->send) {
        stream_write(stream, slice_str(c->send));
        status = stream_flush(stream, 0, WATCHDOG_MS);
    }
    c->encrypted = stream_is_tls(stream);
    for (unsigned i = 0; status == STREAM_OK && i < c->read; i++) {
        status = stream_read_line(stream, arena, 1000, WATCHDOG_MS, &line);
        if (status == STREAM_OK)
            snprintf(c->got + strlen(c->got), sizeof c->got - strlen(c->got), "%.*s|", SLICE_ARG(line));
    }
    return status;
}

static void client_task(void *arg)
{
    struct client *c = arg;
    struct stream *stream = NULL;
    struct arena *arena = arena_new(100000);

    c->status =
        stream_connect((struct sockaddr *)&server_address, sizeof server_address, NULL, 0, WATCHDOG_MS, &stream);
    if (c->status == STREAM_OK) {
        c->status = converse(c, stream, arena);
        stream_close(&stream);
    }
    arena_free(&arena);
    c->done = true;
}

static void run_client(struct client *c)
{
    assert_true(task_start(pool, client_task, c));
    run_until(c->done);
    run_idle();
}

static void driven_in_clear(void **state)
{
    struct peer p = {.echo = true};
    struct client c = {.send = "one\r\ntwo\n", .read = 2};
    int fd = listen_for(&p, NULL);

    (void)state;
    run_client(&c);
    assert_int_equal(c.status, STREAM_OK);
    assert_string_equal(c.got, "one|two|");
    assert_string_equal(stream_peer(p.stream), "127.0.0.1");
    assert_string_equal(stream_local(p.stream), "127.0.0.1");
    assert_null(stream_tls_version(p.stream));
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_EOF);
    listen_no_more(&p, fd);
}

static void driven_refused(void **state)
{
    struct peer p = {0};
    struct client c = {0};

    (void)state;
    listen_no_more(&p, listen_for(&p, NULL)); /* a port where nobody listens any more */
    run_client(&c);
    assert_int_equal(c.status, STREAM_REFUSED);
}

static void implicit_tls(void **state)
{
    struct peer p = {.echo = true};
    struct client c = {.implicit_tls = true, .tls = opportunistic, .send = "one\r\ntwo\r\n", .read = 2};
    int fd = listen_for(&p, server_tls);

    (void)state;
    run_client(&c);
    assert_int_equal(c.status, STREAM_OK);
    assert_true(c.encrypted);
    assert_string_equal(c.got, "one|two|");
    assert_string_equal(p.seen, "TL(one)L(two)");
    assert_string_equal(stream_tls_version(p.stream), "TLSv1.3");
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_EOF);
    listen_no_more(&p, fd);
}

static void starttls_drops_what_was_injected(void **state)
{
    struct peer p = {.echo = false, .start_tls = server_tls};
    struct client c = {.starttls = true, .tls = opportunistic, .send = "secret\r\n", .read = 0};
    int fd = listen_for(&p, NULL);

    (void)state;
    run_client(&c);
    assert_int_equal(c.status, STREAM_OK);
    run_until(p.lines == 2);
    assert_string_equal(p.seen, "L(STARTTLS)TL(secret)");
    listen_no_more(&p, fd);
}

static void verification_refuses_a_stranger(void **state)
{
    struct peer p = {0};
    struct client c = {.implicit_tls = true, .tls = verifying};
    int fd = listen_for(&p, server_tls);

    (void)state;
    run_client(&c);
    assert_int_equal(c.status, STREAM_BROKEN);
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_ERROR);
    listen_no_more(&p, fd);
}

static void junk_instead_of_tls(void **state)
{
    struct peer p = {0};
    struct client c = {.send = "EHLO there, is this clear?\r\n"};
    int fd = listen_for(&p, server_tls);

    (void)state;
    run_client(&c);
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_ERROR);
    assert_int_equal(p.lines, 0);
    listen_no_more(&p, fd);
}

/* A sink that pauses after each helping: what OpenSSL has decrypted already must not be forgotten. */
static void bulk_over_tls_with_pauses(void **state)
{
    struct peer p = {.pause_each = true};
    struct client c = {.implicit_tls = true, .tls = opportunistic, .bulk = 1000000};
    int fd = listen_for(&p, server_tls);

    (void)state;
    assert_true(task_start(pool, client_task, &c));
    run_until(p.tls_up);
    stream_mode_raw(p.stream);
    while (p.raw_bytes < c.bulk) {
        size_t before = p.raw_bytes;

        run_until(p.raw_bytes > before);
        stream_resume(p.stream);
    }
    assert_int_equal(p.raw_bytes, c.bulk);
    run_until(c.done);
    assert_int_equal(c.status, STREAM_OK);
    listen_no_more(&p, fd);
}

static void implicit_tls_refusal_reaches_the_client(void **state)
{
    struct peer p = {0};
    struct client c = {.implicit_tls = true, .tls = opportunistic, .read = 1};
    int fd = listen_for(&p, server_tls);

    (void)state;
    assert_true(task_start(pool, client_task, &c));
    run_until(p.stream);
    stream_write(p.stream, SLICE("421 too many\r\n")); /* before the handshake has begun */
    stream_close(&p.stream);
    run_until(c.done);
    assert_int_equal(c.status, STREAM_OK);
    assert_string_equal(c.got, "421 too many|");
    listen_no_more(&p, fd);
}

/* Its owner has last words and closes, but the peer never shakes hands: that must not take the write timeout. */
static void closed_without_a_handshake(void **state)
{
    static const struct stream_limits hasty = {1000, 20, 60000};
    struct peer p = {0};
    char got[100];
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    p.stream = stream_serve(pair[0], server_tls, &hasty, &handler, &p);
    stream_write(p.stream, SLICE("421 too slow\r\n"));
    stream_close(&p.stream);
    run_until(stream_closing() == 0);
    receive_all(pair[1], got, sizeof got);
    assert_string_equal(got, "");
    close(pair[1]);
}

static int setup(void **state)
{
    (void)state;
    log_init("test_core_stream");
    log_set_level(NULL, LOG_LEVEL_NONE);
    loop_init();
    return tls_setup(state);
}

static int teardown(void **state)
{
    run_idle();
    tls_teardown(state);
    loop_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_byte_by_byte),
        cmocka_unit_test(line_limit),
        cmocka_unit_test(endless_line_takes_no_memory),
        cmocka_unit_test(pipelining_is_fair),
        cmocka_unit_test(pause_holds_lines_back),
        cmocka_unit_test(pause_pushes_back),
        cmocka_unit_test(raw_and_back),
        cmocka_unit_test(half_closed_client_gets_its_replies),
        cmocka_unit_test(close_in_callback_delivers_the_last_words),
        cmocka_unit_test(silence_ends_it_but_words_still_go_out),
        cmocka_unit_test(trickling_is_silence),
        cmocka_unit_test(paused_streams_do_not_time_out),
        cmocka_unit_test(stuck_reader_times_out),
        cmocka_unit_test(drain_is_told_once),
        cmocka_unit_test(resumed_by_drain),
        cmocka_unit_test(writing_to_a_vanished_peer_is_an_error),
        cmocka_unit_test(driven_in_clear),
        cmocka_unit_test(driven_refused),
        cmocka_unit_test(implicit_tls),
        cmocka_unit_test(starttls_drops_what_was_injected),
        cmocka_unit_test(verification_refuses_a_stranger),
        cmocka_unit_test(junk_instead_of_tls),
        cmocka_unit_test(bulk_over_tls_with_pauses),
        cmocka_unit_test(closed_without_a_handshake),
        cmocka_unit_test(implicit_tls_refusal_reaches_the_client),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
