/*
 * POP3 sessions over socket pairs, with a storage that answers what the test says: at each await FOUND, NONE, FAILED,
 * UNCERTAIN, or nothing until the client has gone.
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

const char *sasl_mechanisms(bool tls)
{
    return tls ? "FAKE PLAIN" : "FAKE";
}

struct sasl_attempt {
    int unused;
};

struct sasl_attempt *sasl_attempt_new(const char *service, bool tls)
{
    (void)tls;
    assert_string_equal(service, "pop");
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

enum sasl_result sasl_password(struct arena *arena, struct slice login, struct slice password,
                               struct directory_account *out)
{
    (void)arena, (void)login, (void)password, (void)out;
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

/* A message is lines of a dot and 61 letters, so that stuffing makes each one longer, but for the second: it is empty. */
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

static void on_watchdog(void *arg)
{
    (void)arg;
    watchdog_rang = true;
}

static void run_once(void)
{
    event_base_loop(loop_base(), EVLOOP_NONBLOCK);
}

static void connect_client(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    client = pair[1];
    got_count = waiting_at = waiting_end = 0;
    pop3_serve(pair[0], false, &settings);
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

static void say(const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void say_bytewise(const char *text)
{
    for (; *text; text++) {
        assert_int_equal(send(client, text, 1, MSG_NOSIGNAL), 1);
        run_once();
    }
}

static void part(void)
{
    close(client);
    for (unsigned i = 0; i < 20; i++)
        run_once();
    assert_int_equal(server_session_count(SERVER_POP3), 0);
    assert_int_equal(task_pool_busy(pool), 0);
}

static void log_in(void)
{
    connect_client();
    expect("+OK mail.example.test POP3 server ready\r\n");
    say("AUTH FAKE\r\n");
    expect(" messages\r\n");
}

/* ------------------------------------------------------------------ dialogues */

static void one_byte_at_a_time(void **state)
{
    (void)state;
    connect_client();
    expect("ready\r\n");
    say_bytewise("AUTH FAKE Yw==\r\n");
    expect("+ bW9yZT8=\r\n");
    say_bytewise("eWVz\r\n");
    expect("+OK 3 messages\r\n");
    say_bytewise("STAT\r\nLIST\r\nUIDL 3\r\nTOP 1 0\r\nDELE 3\r\nQUIT\r\n");
    expect("+OK 3 384\r\n+OK 3 messages (384 octets)\r\n1 128\r\n2 128\r\n3 128\r\n.\r\n+OK 3 1700000000.30\r\n");
    expect("\r\n.\r\n+OK Message 3 deleted\r\n");
    expect("+OK Bye, 1 messages deleted\r\n");
    expect("");
    part();
}

static void success_with_data(void **state)
{
    (void)state;
    connect_client();
    expect("ready\r\n");
    say("AUTH FAKE cw==\r\n");
    expect("+ ZGF0YQ==\r\n");
    say("\r\nSTAT\r\n");
    expect("+OK 3 messages\r\n+OK 3 384\r\n");
    part();
}

static void large_message_in_helpings(void **state)
{
    uint64_t wire = 10 * 1024 * 1024 + 10 * 1024 * 1024 / 64 - 1;
    unsigned helpings;

    (void)state;
    fake.size = 10 * 1024 * 1024;
    log_in();
    say("RETR 2\r\nSTAT\r\n");
    expect("+OK 10485760 octets\r\n");
    for (unsigned i = 0; i < 200; i++)
        run_once();
    helpings = fake.chunks;
    assert_in_range(helpings, 1, 4); /* nobody reads: what the socket and one helping hold */
    got_count = 0;
    expect("\r\n.\r\n+OK 3 31457280\r\n");
    assert_int_equal(got_count, wire + strlen(".\r\n+OK 3 31457280\r\n"));
    assert_int_equal(fake.chunks, 40);
    say("DELE 1\r\nQUIT\r\n");
    expect("deleted\r\n");
    expect("deleted\r\n");
    expect("");
    assert_int_equal(fake.expunged_count, 1);
    assert_int_equal(fake.expunged[0], 10);
    assert_int_equal(fake.seen_count, 1);
    assert_int_equal(fake.seen[0], 20);
    part();
}

static void top_reads_no_more_than_it_needs(void **state)
{
    (void)state;
    fake.size = 10 * 1024 * 1024;
    log_in();
    say("TOP 1 5\r\nNOOP\r\n");
    expect("\r\n.\r\n+OK Nothing done\r\n");
    assert_int_equal(fake.chunks, 1);
    part();
}

static void empty_message(void **state)
{
    (void)state;
    fake.size = 0;
    log_in();
    say("RETR 1\r\nTOP 1 3\r\n");
    expect("+OK 0 octets\r\n.\r\n+OK Top of message follows\r\n.\r\n");
    assert_int_equal(fake.chunks, 0);
    part();
}

/* ------------------------------------------------------------------ faults */

static void login_meets_a_fault(void **state)
{
    (void)state;
    connect_client();
    expect("ready\r\n");
    fake.login = SASL_RESULT_UNAVAILABLE;
    say("AUTH FAKE\r\n");
    expect("-ERR [SYS/TEMP] Authentication is not possible now, try again later\r\n");
    fake.login = SASL_RESULT_OK;
    fake.inbox = DB_FAILED;
    say("AUTH FAKE\r\n");
    expect("-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later\r\n");
    fake.inbox = DB_NONE;
    say("AUTH FAKE\r\n");
    expect("-ERR [SYS/PERM] There is no mailbox\r\n");
    fake.inbox = DB_FOUND;
    fake.items = DB_FAILED;
    say("AUTH FAKE\r\nSTAT\r\n");
    expect("-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later\r\n-ERR Log in first\r\n");
    fake.items = DB_FOUND;
    say("AUTH FAKE\r\n");
    expect("+OK 3 messages\r\n");
    part();
}

static void denied_is_answered_before_anything_else(void **state)
{
    (void)state;
    fake.login = SASL_RESULT_DENIED;
    connect_client();
    expect("ready\r\n");
    say("AUTH FAKE\r\nCAPA\r\n");
    expect("\r\n");
    assert_string_equal(got, "-ERR [AUTH] Authentication failed\r\n");
    expect("\r\n.\r\n");
    part();
}

static void message_meets_a_fault_before_it_begins(void **state)
{
    (void)state;
    log_in();
    fake.body = DB_FAILED;
    say("RETR 1\r\n");
    expect("-ERR [SYS/TEMP] The message cannot be read now, try again later\r\n");
    fake.body = DB_NONE;
    say("RETR 1\r\n");
    expect("-ERR Message 1 was removed by another session\r\n");
    fake.body = DB_FOUND;
    say("RETR 1\r\n");
    expect("\r\n.\r\n");
    part();
}

static void message_breaks_off(void **state)
{
    (void)state;
    fake.size = 10 * 1024 * 1024;
    fake.fails_at = 2 * 1024 * 1024;
    log_in();
    say("RETR 1\r\n");
    expect(""); /* closed, and what came does not end like a message */
    assert_null(strstr(got, "\r\n.\r\n"));
    part();
}

static void quit_meets_faults(void **state)
{
    static const struct {
        enum db_write results[4];
        const char *reply;
    } cases[] = {
        {{DB_DONE}, "+OK Bye, 2 messages deleted\r\n"},
        {{DB_CONFLICT, DB_CONFLICT, DB_DONE}, "+OK Bye, 2 messages deleted\r\n"},
        {{DB_CONFLICT, DB_CONFLICT, DB_CONFLICT}, "-ERR [SYS/TEMP] Deleted messages were not removed\r\n"},
        {{DB_UNDONE}, "-ERR [SYS/TEMP] Deleted messages were not removed\r\n"},
        {{DB_REFUSED}, "-ERR [SYS/TEMP] Deleted messages were not removed\r\n"},
        {{DB_UNCERTAIN}, "-ERR [SYS/TEMP] Deleted messages may not have been removed\r\n"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake.expunges = 0;
        memcpy(fake.expunge, cases[i].results, sizeof fake.expunge);
        log_in();
        say("DELE 1\r\nDELE 2\r\nRSET\r\nDELE 3\r\nDELE 1\r\nQUIT\r\n");
        expect(cases[i].reply);
        expect("");
        assert_int_equal(fake.expunged_count, 2);
        assert_int_equal(fake.expunged[0], 10);
        assert_int_equal(fake.expunged[1], 30);
        part();
    }
}

static void client_vanishes_while_a_task_waits(void **state)
{
    struct task_wait wait = TASK_WAIT_INIT;

    (void)state;
    fake.hang = &wait;
    fake.size = 10 * 1024 * 1024;
    log_in();
    say("RETR 1\r\nSTAT\r\n");
    for (unsigned i = 0; i < 20; i++)
        run_once();
    assert_int_equal(task_pool_busy(pool), 1);
    close(client);
    for (unsigned i = 0; i < 20; i++)
        run_once();
    assert_int_equal(server_session_count(SERVER_POP3), 1); /* no cancellation */
    fake.hang = NULL;
    task_wake(&wait);
    for (unsigned i = 0; i < 200 && server_session_count(SERVER_POP3); i++)
        run_once();
    assert_int_equal(server_session_count(SERVER_POP3), 0);
    assert_int_equal(task_pool_busy(pool), 0);
}

static void vanishes_in_the_middle_of_a_message(void **state)
{
    (void)state;
    fake.size = 10 * 1024 * 1024;
    log_in();
    say("RETR 1\r\n");
    expect("octets\r\n");
    part();
}

static void sleep_on(void *arg)
{
    task_wait((struct task_wait *)arg);
}

static void no_stack_left(void **state)
{
    struct task_wait waits[4] = {0};

    (void)state;
    connect_client();
    expect("ready\r\n");
    for (unsigned i = 0; i < 4; i++) /* 2 stacks, 2 in the queue */
        assert_true(task_start(pool, sleep_on, &waits[i]));
    say("AUTH FAKE\r\n");
    expect("-ERR [SYS/TEMP] Too busy, try again later\r\n");
    expect("");
    for (unsigned i = 0; i < 4; i++)
        task_wake(&waits[i]);
    part();
}

static void silent_client_is_told_nothing(void **state)
{
    (void)state;
    settings.pop3_timeout_ms = 50;
    log_in();
    expect("");
    assert_string_equal(got, "");
    assert_int_equal(fake.expunges, 0);
    settings.pop3_timeout_ms = WATCHDOG_MS;
    part();
}

static void talker_without_a_login_is_ended(void **state)
{
    (void)state;
    settings.login_timeout_ms = 200;
    connect_client();
    expect("ready\r\n");
    while (server_session_count(SERVER_POP3) > 0) {
        send(client, "CAPA\r\n", 6, MSG_NOSIGNAL);
        run_once();
        while (recv(client, got, sizeof got, 0) > 0)
            ;
    }
    settings.login_timeout_ms = WATCHDOG_MS;
    part();
}

static void draining_says_good_bye(void **state) /* last: a process drains once */
{
    int idle;
    struct task_wait wait = TASK_WAIT_INIT;

    (void)state;
    log_in();
    idle = client;
    fake.hang = &wait;
    log_in();
    say("RETR 1\r\nSTAT\r\n");
    for (unsigned i = 0; i < 20; i++)
        run_once();
    server_drain();
    fake.hang = NULL;
    task_wake(&wait);
    expect("\r\n.\r\n"); /* a message that was begun comes whole */
    expect("-ERR [SYS/TEMP] Server is shutting down\r\n");
    expect("");
    close(client);
    client = idle;
    expect("-ERR [SYS/TEMP] Server is shutting down\r\n");
    expect("");
    part();
}

/* ------------------------------------------------------------------ all */

static int fresh(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.login = SASL_RESULT_OK;
    fake.count = 3;
    fake.size = 128;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    log_init("test_protocols_pop3_session");
    log_set_level(NULL, LOG_LEVEL_NONE);
    loop_init();
    pool = task_pool_new("test", 2, 2);
    server_set_tasks(pool);
    settings = (struct server_settings){
        .references = 1,
        .hostname = "mail.example.test",
        .errors_max = 10,
        .pop3_timeout_ms = WATCHDOG_MS,
        .login_timeout_ms = WATCHDOG_MS,
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    while (stream_closing() > 0)
        run_once();
    task_pool_free(&pool);
    loop_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_byte_at_a_time, fresh),
        cmocka_unit_test_setup(success_with_data, fresh),
        cmocka_unit_test_setup(large_message_in_helpings, fresh),
        cmocka_unit_test_setup(top_reads_no_more_than_it_needs, fresh),
        cmocka_unit_test_setup(empty_message, fresh),
        cmocka_unit_test_setup(login_meets_a_fault, fresh),
        cmocka_unit_test_setup(denied_is_answered_before_anything_else, fresh),
        cmocka_unit_test_setup(message_meets_a_fault_before_it_begins, fresh),
        cmocka_unit_test_setup(message_breaks_off, fresh),
        cmocka_unit_test_setup(quit_meets_faults, fresh),
        cmocka_unit_test_setup(client_vanishes_while_a_task_waits, fresh),
        cmocka_unit_test_setup(vanishes_in_the_middle_of_a_message, fresh),
        cmocka_unit_test_setup(no_stack_left, fresh),
        cmocka_unit_test_setup(silent_client_is_told_nothing, fresh),
        cmocka_unit_test_setup(talker_without_a_login_is_ended, fresh),
        cmocka_unit_test_setup(draining_says_good_bye, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
