/* Streams over loopback: the driven half, in tasks, and TLS from the beginning and by STARTTLS, good and refused. */
#include <arpa/inet.h>

#include "core/stream_race.h"
#include "tests/unit/stream_harness.h"

static struct tls *server_tls, *opportunistic, *verifying;
static struct task_pool *pool;

static int tls_setup(void **state)
{
    char directory[] = "/tmp/stream-XXXXXX", certificate[64], key[64], error[256] = "";

    assert_int_equal(stream_setup(state), 0);
    assert_non_null(mkdtemp(directory));
    snprintf(certificate, sizeof certificate, "%s/c.pem", directory);
    snprintf(key, sizeof key, "%s/k.pem", directory);
    assert_true(tls_make_self_signed("mail.example.test", certificate, key, error, sizeof error));
    assert_null(tls_server_new(&(struct tls_server_settings){key, key, NULL, false}, error, sizeof error));
    assert_non_null(strstr(error, key));
    assert_null(tls_server_new(&(struct tls_server_settings){"/nonexistent", key, NULL, false}, error, sizeof error));
    assert_non_null(strstr(error, "/nonexistent"));
    server_tls = tls_server_new(&(struct tls_server_settings){certificate, key, NULL, false}, error, sizeof error);
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
    run_idle();
    tls_unref(&server_tls);
    tls_unref(&opportunistic);
    tls_unref(&verifying);
    task_pool_free(&pool);
    return stream_teardown(state);
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
    struct stream_target target = {.address = (struct sockaddr *)&server_address, .length = sizeof server_address};
    struct stream *stream = NULL;
    struct arena *arena = arena_new(100000);
    unsigned winner;

    c->status = stream_race(&target, 1, WATCHDOG_MS, &stream, &winner);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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

    return cmocka_run_group_tests(tests, tls_setup, tls_teardown);
}
