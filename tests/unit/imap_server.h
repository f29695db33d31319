#ifndef TESTS_UNIT_IMAP_SERVER_H
#define TESTS_UNIT_IMAP_SERVER_H
/*
 * A scripted IMAP server over loopback and TLS, for tests of protocols/imap_client.
 *
 * A script is a row of lines that are expected and what is answered; "TLS" turns to TLS, "BYE" hangs up, a NULL answer
 * is silence.
 */
#include <arpa/inet.h>

#include "core/dns.h"
#include "protocols/imap_client.h"
#include "storage/mailbox.h"
#include "tests/unit/stream_harness.h"

#define CAPABLE "IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS MOVE NAMESPACE SPECIAL-USE LIST-EXTENDED"

struct line {
    const char *expect, *answer;
};

static struct server {
    struct stream *stream;
    const struct line *script;
    unsigned at, count, fed; /* fed: answers go one byte at a time */
    char wrong[2000];
    bool implicit, ended;
    const char *greeting;
    int fd;
    struct event *accepting;
    struct sockaddr_in address;
} server;

static struct tls *server_tls, *opportunistic, *verifying;
static struct task_pool *pool;

static void say(const char *text)
{
    if (server.fed)
        for (; *text; text++)
            stream_write(server.stream, slice_of(text, 1));
    else
        stream_write(server.stream, slice_str(text));
}

static void on_script_line(void *arg, char *line, size_t length, bool bare)
{
    const struct line *next = &server.script[server.at];

    (void)arg;
    (void)length;
    (void)bare;
    if (server.at == server.count) {
        if (!strstr(line, "LOGOUT"))
            snprintf(server.wrong, sizeof server.wrong, "unexpected: %s", line);
        return;
    }
    server.at++;
    if (strcmp(line, next->expect) != 0)
        snprintf(server.wrong, sizeof server.wrong, "expected %s, got %s", next->expect, line);
    if (!next->answer)
        return;
    if (strcmp(next->answer, "BYE") == 0) {
        stream_close(&server.stream);
    } else if (strcmp(next->answer, "TLS") == 0) {
        say("P1 OK go\r\n* OK [CAPABILITY forged] injected\r\n");
        stream_start_tls(server.stream, server_tls);
    } else {
        say(next->answer);
    }
}

static void on_server_tls(void *arg)
{
    (void)arg;
    if (server.implicit)
        say(server.greeting);
}

static void on_server_end(void *arg, enum stream_end end)
{
    (void)arg;
    (void)end;
    server.ended = true;
}

static const struct stream_handler script_handler = {on_script_line, on_line_too_long, on_data,
                                                     on_drain,       on_server_tls,    on_server_end};

static void on_script_accept(evutil_socket_t fd, short what, void *arg)
{
    int client = accept(fd, NULL, NULL);

    (void)what;
    (void)arg;
    assert_true(client >= 0);
    server.stream = stream_serve(client, server.implicit ? server_tls : NULL, &patient, &script_handler, NULL);
    if (!server.implicit)
        say(server.greeting);
}

static void serve_script(const struct line *script, unsigned count, bool implicit, const char *greeting)
{
    socklen_t length = sizeof server.address;
    unsigned fed = server.fed;

    server = (struct server){.script = script, .count = count, .implicit = implicit, .greeting = greeting, .fed = fed};
    server.fd = socket(AF_INET, SOCK_STREAM, 0);
    server.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(server.fd, (struct sockaddr *)&server.address, sizeof server.address), 0);
    assert_int_equal(listen(server.fd, 5), 0);
    assert_int_equal(getsockname(server.fd, (struct sockaddr *)&server.address, &length), 0);
    server.accepting = event_new(loop_base(), server.fd, EV_READ | EV_PERSIST, on_script_accept, NULL);
    event_add(server.accepting, NULL);
}

static void serve_no_more(void)
{
    event_free(server.accepting);
    close(server.fd);
    if (server.stream)
        stream_abort(&server.stream);
    run_idle();
    assert_string_equal(server.wrong, "");
    assert_int_equal(server.at, server.count);
}

struct job {
    void (*run)(struct imap_client *client, struct arena *arena);
    bool verify, open, done;
    unsigned timeout_ms;
    uint64_t deadline;
    char why[200];
};

static void job_task(void *arg)
{
    struct job *job = arg;
    struct arena *arena = arena_new(SIZE_MAX);
    struct imap_client_settings settings = {.tls = job->verify ? verifying : opportunistic,
                                            .verify = job->verify,
                                            .implicit_tls = server.implicit,
                                            .connect_timeout_ms = 10000,
                                            .reply_timeout_ms = job->timeout_ms,
                                            .deadline = job->deadline};
    struct dns_address address = {.length = sizeof server.address};
    struct imap_client *client = NULL;
    struct slice why = {NULL, 0};

    memcpy(&address.address, &server.address, sizeof server.address);
    job->open = imap_client_open(&settings, arena, &address, 1, ntohs(server.address.sin_port), "mail.example.test",
                                 &client, &why);
    snprintf(job->why, sizeof job->why, "%.*s", SLICE_ARG(why));
    if (job->open && job->run)
        job->run(client, arena);
    imap_client_quit(&client);
    arena_free(&arena);
    job->done = true;
}

static void play(struct job *job)
{
    if (!job->timeout_ms)
        job->timeout_ms = 10000;
    assert_true(task_start(pool, job_task, job));
    run_until(job->done);
}

#define PLAY(job, script, implicit, greeting)                                                                          \
    do {                                                                                                               \
        serve_script(script, sizeof script / sizeof *script, implicit, greeting);                                      \
        play(job);                                                                                                     \
        serve_no_more();                                                                                               \
    } while (0)

static int setup(void **state)
{
    char directory[] = "/tmp/imap-client-XXXXXX", certificate[64], key[64], error[256] = "";

    assert_int_equal(stream_setup(state), 0);
    assert_non_null(mkdtemp(directory));
    snprintf(certificate, sizeof certificate, "%s/c.pem", directory);
    snprintf(key, sizeof key, "%s/k.pem", directory);
    assert_true(tls_make_self_signed("mail.example.test", certificate, key, error, sizeof error));
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

static int teardown(void **state)
{
    run_idle();
    tls_unref(&server_tls);
    tls_unref(&opportunistic);
    tls_unref(&verifying);
    task_pool_free(&pool);
    return stream_teardown(state);
}

#endif
