#ifndef TESTS_UNIT_IMAP_CLIENT_H
#define TESTS_UNIT_IMAP_CLIENT_H
/*
 * The client of the tests of the IMAP session, on the other end of a socket pair, and the group's set-up; behind the
 * session stands imap_fakes.h.
 */
#include "tests/unit/imap_fakes.h"

static struct server_settings settings;
static struct task_pool *pool;
static int client;
static char got[2048];          /* what the last expect() received, its tail */
static char waiting[64 * 1024]; /* received, not looked at yet */
static size_t waiting_at, waiting_end;
static bool watchdog_rang;

static void on_watchdog(void *arg)
{
    (void)arg;
    watchdog_rang = true;
}

static void turn(unsigned times)
{
    while (times--)
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
}

/* One byte; as recv() tells it. */
static ssize_t next_byte(char *out)
{
    if (waiting_at == waiting_end) {
        ssize_t n = recv(client, waiting, sizeof waiting, 0);

        if (n <= 0)
            return n;
        waiting_at = 0;
        waiting_end = (size_t)n;
    }
    *out = waiting[waiting_at++];
    return 1;
}

/* Receives until what came since the last call ends in `end`; "" waits for the server to close. */
static void expect(const char *end)
{
    struct loop_timer watchdog = {0};
    size_t used = 0, n = strlen(end);
    ssize_t r;

    watchdog_rang = false;
    loop_timer_set(&watchdog, WATCHDOG_MS, on_watchdog, NULL);
    for (;;) {
        if (used == sizeof got - 1) {
            memmove(got, got + 1024, used - 1024);
            used -= 1024;
        }
        r = next_byte(got + used);
        got[used + (r > 0)] = '\0';
        if (watchdog_rang)
            fail_msg("expected \"%s\", got \"%s\"", end, got);
        if (r == 0 || (r < 0 && errno == ECONNRESET))
            break;
        if (r < 0) {
            turn(1);
            continue;
        }
        used++;
        if (n > 0 && used >= n && memcmp(got + used - n, end, n) == 0)
            break;
    }
    loop_timer_clear(&watchdog);
    if (n > 0 && (r == 0 || r < 0))
        fail_msg("expected \"%s\", closed after \"%s\"", end, got);
}

static void say(const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void connect_client(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    client = pair[1];
    waiting_at = waiting_end = 0;
    imap_serve(pair[0], false, NULL, &settings);
    expect("IMAP server ready\r\n");
}

static void log_in(void)
{
    connect_client();
    say("l AUTHENTICATE FAKE\r\n");
    expect("] Logged in\r\n");
}

static void log_in_and_select(void)
{
    log_in();
    say("s SELECT INBOX\r\n");
    expect("s OK [READ-WRITE] SELECT completed\r\n");
}

static void part(void)
{
    close(client);
    turn(20);
    assert_int_equal(server_session_count(SERVER_IMAP), 0);
    assert_int_equal(task_pool_busy(pool), 0);
    assert_null(fake.watch);
}

static int fresh(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake); /* FOUND and DONE */
    fake.login = SASL_RESULT_OK;
    fake.uidnext = 10;
    for (unsigned i = 0; i < 3; i++)
        fake_add(128);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    log_init("test_protocols_imap");
    log_set_level(NULL, LOG_LEVEL_NONE);
    loop_init();
    pool = task_pool_new("test", 2, 2);
    server_set_tasks(pool);
    settings = (struct server_settings){
        .hostname = "mail.example.test",
        .errors_max = 50,
        .message_size_max = 1024 * 1024,
        .imap_timeout_ms = WATCHDOG_MS,
        .login_timeout_ms = WATCHDOG_MS,
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    while (stream_closing() > 0)
        turn(1);
    task_pool_free(&pool);
    loop_done();
    return 0;
}

#endif
