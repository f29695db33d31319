#ifndef TESTS_UNIT_SMTP_HARNESS_H
#define TESTS_UNIT_SMTP_HARNESS_H
/*
 * A client of SMTP sessions over a real connection.  Client and server share the thread: the client writes, then runs
 * the loop until the reply is there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/loop.h"
#include "protocols/server.h"
#include "tests/unit/smtp_world.h"

#define DEADLINE_MS 20000

static struct server_settings settings = {
    .hostname = "mx.test",
    .message_size_max = 4096,
    .recipients_max = 5,
    .errors_max = 10,
    .smtp_timeout_ms = 60000,
    .received_max = 10,
    .own_received_max = 5,
    .header_size_max = 65536,
    .header_fields_max = 1000,
    .queue_lifetime_ms = 1000,
    .future_release_max_ms = 100000,
    .default_route = false,
};

static struct client {
    int fd;
    char text[65536];
    size_t n, seen;
    bool closed;
} client;

static inline void give_up(void *arg)
{
    (void)arg;
    fail_msg("waited too long; after \"%s\"", client.text + client.seen);
}

static inline void connect_client(enum smtp_role role)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), accepted;

    memset(&client, 0, sizeof(client));
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    client.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, length), 0);
    accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    close(listener);
    fcntl(accepted, F_SETFL, O_NONBLOCK);
    fcntl(client.fd, F_SETFL, O_NONBLOCK);
    smtp_serve(accepted, role, false, NULL, &settings);
}

static inline void drop_client(void)
{
    struct linger reset = {1, 0};
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(client.fd);
    client.fd = -1;
}

static inline void turn(void)
{
    event_base_loop(loop_base(), EVLOOP_ONCE);
}

static inline void pull(void)
{
    ssize_t got = read(client.fd, client.text + client.n, sizeof(client.text) - client.n - 1);
    if (got > 0)
        client.n += (size_t)got;
    else if (got == 0 || errno != EAGAIN)
        client.closed = true;
}

static inline void tick(void *arg)
{
    loop_timer_set(arg, 1, tick, arg);
}

/* A few turns of the loop, whether something happens or not. */
static inline void turns(unsigned n)
{
    struct loop_timer ticker = {0};
    tick(&ticker);
    while (n--)
        turn();
    loop_timer_clear(&ticker);
}

static inline void until(bool (*condition)(void))
{
    struct loop_timer deadline = {0};
    loop_timer_set(&deadline, DEADLINE_MS, give_up, NULL);
    while (!condition())
        turns(1);
    loop_timer_clear(&deadline);
}

static inline bool has_reply(void)
{
    pull();
    /* a whole reply: a line whose fourth octet is a blank */
    const char *line = client.text + client.seen, *end;
    while ((end = strstr(line, "\r\n"))) {
        if (end - line >= 4 && line[3] == ' ')
            return true;
        line = end + 2;
    }
    return client.closed;
}

static inline bool nobody_left(void)
{
    return server_session_count(SERVER_SMTP) == 0;
}

static inline void say(const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(write(client.fd, text, n), (ssize_t)n);
}

/* The next reply must begin with this. */
static inline void expect(const char *begins)
{
    until(has_reply);
    const char *line = client.text + client.seen, *end;
    while ((end = strstr(line, "\r\n")) && line[3] != ' ')
        line = end + 2;
    if (!end || strncmp(line, begins, strlen(begins)) != 0)
        fail_msg("expected \"%s\", got \"%s\"", begins, client.text + client.seen);
    client.seen = (size_t)(end + 2 - client.text);
}

static inline void begin(enum smtp_role role)
{
    memset(&world, 0, sizeof(world));
    memset(copies, 0, sizeof(copies));
    copy_count = 0;
    connect_client(role);
    expect("220 mx.test ");
    say("EHLO client.test\r\n");
    expect("250 ");
}

static inline void finish(void)
{
    if (client.fd >= 0)
        close(client.fd);
    until(nobody_left);
    turns(10); /* the stream lingers until it has seen our end */
    assert_int_equal(task_pool_busy(server_tasks()), 0);
}

static inline void quit(void)
{
    say("QUIT\r\n");
    expect("221 2.0.0");
    finish();
}

static inline void ask(const char *command, const char *reply)
{
    char line[1000];
    snprintf(line, sizeof(line), "%s\r\n", command);
    say(line);
    expect(reply);
}

static inline int group_setup(void **state)
{
    (void)state;
    loop_init();
    server_set_tasks(task_pool_new("test", 8, 8));
    return 0;
}

static inline int group_teardown(void **state)
{
    struct task_pool *pool = server_tasks();
    (void)state;
    task_pool_free(&pool);
    loop_done();
    return 0;
}

#endif
