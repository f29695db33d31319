#ifndef TESTS_UNIT_POP3_HARNESS_H
#define TESTS_UNIT_POP3_HARNESS_H
/*
 * What the tests of POP3 sessions share: a client on a socket pair, and a storage that answers what the test says: at
 * each await FOUND, NONE, FAILED, UNCERTAIN, or nothing until the client has gone.
 *
 * The functions of storage and SASL that a session calls are defined here; the linker takes these.
 */
#include <errno.h>
#include <event2/event.h>
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

#include "core/log.h"
#include "core/loop.h"
#include "core/stream.h"
#include "protocols/sasl.h"
#include "protocols/server.h"
#include "storage/body.h"
#include "storage/guard.h"
#include "storage/mailbox.h"

#define WATCHDOG_MS 20000
#define CHUNK (256 * 1024)

/* What the fakes answer and what they were asked. */
static struct {
    enum sasl_result login;
    enum db_status inbox, items, body;
    unsigned count;    /* of messages, UIDs 10, 20, 30 ... */
    uint64_t size;     /* of each */
    uint64_t fails_at; /* offset from which body_read() says FAILED; 0: never */
    enum db_write expunge[4];
    unsigned expunges;
    int64_t expunged[8], seen[8];
    unsigned expunged_count, seen_count, chunks;
    struct task_wait *hang; /* body_read() waits for it */
} fake;

void sasl_describe_client(struct sasl_client *client, struct arena *arena, const char *service, const char *peer,
                          const struct stream *stream)
{
    (void)arena;
    *client = (struct sasl_client){.service = service, .peer = peer, .tls = stream_is_tls(stream)};
}

const char *sasl_mechanisms(const struct sasl_client *client)
{
    return client->tls ? "FAKE PLAIN" : "FAKE";
}

struct sasl_attempt {
    int unused;
};

unsigned guard_delay(unsigned least_ms, const char *client, uint64_t began_ms)
{
    (void)client;
    (void)began_ms;
    return least_ms;
}

struct sasl_attempt *sasl_attempt_new(const struct sasl_client *client)
{
    assert_string_equal(client->service, "pop3");
    return calloc(1, sizeof(struct sasl_attempt));
}

void sasl_attempt_free(struct sasl_attempt **attempt)
{
    free(*attempt);
    *attempt = NULL;
}

/* "c": a challenge; "s": success with data; else what the test says. */
enum sasl_result sasl_attempt_begin(struct sasl_attempt *attempt, struct arena *arena, struct slice mechanism,
                                    struct slice initial, struct slice *challenge)
{
    (void)attempt, (void)arena, (void)mechanism;
    *challenge = (struct slice){0};
    if (slice_equal(initial, SLICE("c"))) {
        *challenge = SLICE("more?");
        return SASL_RESULT_CHALLENGE;
    }
    if (slice_equal(initial, SLICE("s")))
        *challenge = SLICE("data");
    return fake.login;
}

enum sasl_result sasl_attempt_continue(struct sasl_attempt *attempt, struct arena *arena, struct slice response,
                                       struct slice *challenge)
{
    (void)attempt, (void)arena;
    assert_true(slice_equal(response, SLICE("yes")));
    *challenge = (struct slice){0};
    return fake.login;
}

void sasl_attempt_account(const struct sasl_attempt *attempt, struct arena *arena, struct directory_account *out)
{
    (void)attempt;
    *out = (struct directory_account){.id = 1, .inbox_id = 7, .address = arena_slice(arena, SLICE("ann@example.test"))};
}

enum sasl_result sasl_password(const struct sasl_client *client, struct arena *arena, struct slice login,
                               struct slice password, struct directory_account *out)
{
    (void)client, (void)arena, (void)login, (void)password, (void)out;
    fail(); /* never in clear */
    return SASL_RESULT_DENIED;
}

enum db_status mailbox_by_id(struct arena *arena, int64_t mailbox_id, struct mailbox *out)
{
    (void)arena;
    *out = (struct mailbox){.id = mailbox_id, .uidvalidity = 1700000000};
    return fake.inbox;
}

enum db_status mailbox_items(struct arena *arena, int64_t mailbox_id, int64_t after_uid, int64_t since_modseq,
                             unsigned limit, struct mailbox_item **out, unsigned *count)
{
    assert_int_equal(mailbox_id, 7);
    assert_int_equal(since_modseq, 0);
    *out = arena_array(arena, fake.count + 1, sizeof **out);
    *count = 0;
    for (unsigned i = 1; i <= fake.count && *count < limit; i++)
        if (10 * i > (unsigned)after_uid)
            (*out)[(*count)++] = (struct mailbox_item){.uid = 10 * i, .message_id = 100 + i, .size = fake.size};
    return fake.items;
}

enum db_write mailbox_expunge(int64_t mailbox_id, const int64_t *uids, unsigned count, bool only_deleted)
{
    assert_int_equal(mailbox_id, 7);
    assert_false(only_deleted);
    fake.expunged_count = count;
    memcpy(fake.expunged, uids, count * sizeof *uids);
    return fake.expunge[fake.expunges++];
}

enum db_write mailbox_store(int64_t mailbox_id, const int64_t *uids, unsigned count, enum mailbox_store how,
                            unsigned flags, const struct slice *keywords, unsigned keyword_count, int64_t *modseq)
{
    (void)mailbox_id, (void)keywords, (void)keyword_count;
    assert_int_equal(how, MAILBOX_STORE_ADD);
    assert_int_equal(flags, MAILBOX_SEEN);
    fake.seen_count = count;
    memcpy(fake.seen, uids, count * sizeof *uids);
    *modseq = 1;
    return DB_DONE;
}

/*
 * A message is lines of a dot and 61 letters, so that stuffing makes each one longer, but for the second: it is empty.
 */
enum db_status body_read(struct arena *arena, int64_t message_id, uint64_t offset, struct slice *out)
{
    uint64_t end = (offset / CHUNK + 1) * CHUNK;
    char *bytes;

    (void)message_id;
    if (fake.hang)
        task_wait(fake.hang);
    fake.chunks++;
    if (fake.body != DB_FOUND || (fake.fails_at && offset >= fake.fails_at)) {
        *out = (struct slice){0};
        return fake.body != DB_FOUND ? fake.body : DB_FAILED;
    }
    end = end < fake.size ? end : fake.size;
    bytes = arena_alloc(arena, end - offset + 1);
    for (uint64_t i = offset; i < end; i++)
        bytes[i - offset] = i == 64        ? '\r'
                            : i == 65      ? '\n'
                            : i % 64 == 0  ? '.'
                            : i % 64 == 62 ? '\r'
                            : i % 64 == 63 ? '\n'
                                           : 'x';
    *out = slice_of(bytes, end - offset);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ scaffolding */

static struct server_settings settings;
static struct task_pool *pool;
static int client;
static char got[1024];
static char waiting[64 * 1024]; /* received, not looked at yet */
static size_t waiting_at, waiting_end;
static size_t got_count; /* bytes received in this session; `got` has the last group */

static bool watchdog_rang;

static inline void on_watchdog(void *arg)
{
    (void)arg;
    watchdog_rang = true;
}

static inline void run_once(void)
{
    event_base_loop(loop_base(), EVLOOP_NONBLOCK);
}

static inline void connect_client(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    client = pair[1];
    got_count = waiting_at = waiting_end = 0;
    pop3_serve(pair[0], false, NULL, &settings);
}

/* One byte; as recv() tells it. */
static inline ssize_t next_byte(char *out)
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
static inline void expect(const char *end)
{
    struct loop_timer watchdog = {0};
    size_t used = 0, n = strlen(end);

    watchdog_rang = false;
    loop_timer_set(&watchdog, WATCHDOG_MS, on_watchdog, NULL);
    for (;;) {
        ssize_t r = next_byte(got + used);

        if (watchdog_rang)
            fail_msg("expected \"%s\", got \"%.*s\"", end, (int)used, got);
        if (r == 0 || (r < 0 && errno == ECONNRESET)) {
            got[used] = '\0';
            if (n > 0)
                fail_msg("expected \"%s\", closed after \"%s\"", end, got);
            break;
        }
        if (r < 0) {
            run_once();
            continue;
        }
        got_count++;
        if (++used == sizeof got - 1) { /* keep the tail */
            memmove(got, got + 512, used - 512);
            used -= 512;
        }
        got[used] = '\0';
        if (n > 0 && used >= n && memcmp(got + used - n, end, n) == 0)
            break;
    }
    loop_timer_clear(&watchdog);
}

static inline void say(const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void say_bytewise(const char *text)
{
    for (; *text; text++) {
        assert_int_equal(send(client, text, 1, MSG_NOSIGNAL), 1);
        run_once();
    }
}

static inline void part(void)
{
    close(client);
    for (unsigned i = 0; i < 20; i++)
        run_once();
    assert_int_equal(server_session_count(SERVER_POP3), 0);
    assert_int_equal(task_pool_busy(pool), 0);
}

static inline void log_in(void)
{
    connect_client();
    expect("+OK mail.example.test POP3 server ready\r\n");
    say("AUTH FAKE\r\n");
    expect(" messages\r\n");
}

static inline int fresh(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.login = SASL_RESULT_OK;
    fake.count = 3;
    fake.size = 128;
    return 0;
}

static inline int setup(void **state)
{
    (void)state;
    log_init("test_protocols_pop3_session");
    log_set_level(NULL, LOG_LEVEL_NONE);
    loop_init();
    pool = task_pool_new("test", 2, 2);
    server_set_tasks(pool);
    settings = (struct server_settings){
        .hostname = "mail.example.test",
        .errors_max = 10,
        .pop3_timeout_ms = WATCHDOG_MS,
        .login_timeout_ms = WATCHDOG_MS,
    };
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    while (stream_closing() > 0)
        run_once();
    task_pool_free(&pool);
    loop_done();
    return 0;
}

#endif
