/*
 * The SMTP session over a real connection, with a directory and a store of the test's own: at each await the database
 * answers FOUND, NONE, FAILED or UNCERTAIN, late, or after the client has gone, and the outcome is always a
 * 4xx or a correct reply, never a 250 without a committed message.
 *
 * Client and server share the thread: the client writes, then runs the loop until the reply is there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/loop.h"
#include "core/spool.h"
#include "protocols/sasl.h"
#include "protocols/server.h"
#include "storage/accept.h"
#include "storage/directory.h"
#include "storage/directory_grant.h"
#include "storage/node.h"

#define DEADLINE_MS 20000

/* ------------------------------------------------------------------ the directory and the store */

static struct {
    bool directory_away;
    bool network; /* 127.0.0.1 is in a network of customer 1 */
    bool outage;  /* relayed.test's primary is away */
    bool node_dead;
    enum db_write commit;
    unsigned wait_ms; /* each answer comes that late */
    unsigned lookups, commits;
} world;

static struct accepted_copy {
    unsigned cell, recipient_count;
    int64_t customer_id, account_id;
    char sender[100], content[8192];
    struct accept_recipient recipients[8];
    char addresses[8][100], destinations[8][100];
} copies[4];
static unsigned copy_count;

static void late(void)
{
    if (world.wait_ms)
        task_sleep(world.wait_ms);
}

static const struct directory_account accounts[] = {
    {.id = 100, .customer_id = 1, .inbox_id = 1000, .cell = 10, .address = {"alice@hosted.test", 17}, .state = DIRECTORY_ACTIVE},
    {.id = 200, .customer_id = 2, .inbox_id = 2000, .cell = 20, .address = {"bob@other.test", 14}, .state = DIRECTORY_ACTIVE},
    {.id = 300, .customer_id = 3, .inbox_id = 3000, .cell = 30, .address = {"carol@relayed.test", 18}, .state = DIRECTORY_ACTIVE},
    {.id = 101, .customer_id = 1, .inbox_id = 1001, .cell = 10, .address = {"gone@hosted.test", 16}, .state = DIRECTORY_SUSPENDED},
};

static void find_domain(struct slice name, struct directory_recipient *out)
{
    out->has_domain = true;
    out->domain.customer_active = true;
    if (slice_equal_nocase(name, SLICE("hosted.test"))) {
        out->domain.id = 11, out->domain.customer_id = 1, out->domain.cell = 10;
    } else if (slice_equal_nocase(name, SLICE("other.test"))) {
        out->domain.id = 12, out->domain.customer_id = 2, out->domain.cell = 20;
    } else if (slice_equal_nocase(name, SLICE("relayed.test"))) {
        out->domain.id = 13, out->domain.customer_id = 3, out->domain.cell = 30;
        out->domain.kind = DIRECTORY_RELAY;
        out->domain.outage_id = world.outage ? 77 : 0;
    } else {
        out->has_domain = false;
    }
}

enum db_status directory_recipient(struct arena *arena, struct slice address, struct directory_recipient *out)
{
    const char *at = memrchr(address.p, '@', address.n);
    (void)arena;
    world.lookups++;
    late();
    if (world.directory_away)
        return DB_FAILED;
    *out = (struct directory_recipient){0};
    find_domain(slice_skip(address, (size_t)(at - address.p) + 1), out);
    if (slice_equal_nocase(address, SLICE("al@hosted.test"))) /* an alias */
        address = accounts[0].address;
    for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
        if (slice_equal_nocase(address, accounts[i].address)) {
            out->has_account = true;
            out->account = accounts[i];
        }
    }
    return DB_FOUND;
}

enum db_status directory_account(struct arena *arena, struct slice login, struct directory_account *out)
{
    struct directory_recipient found;
    if (directory_recipient(arena, login, &found) == DB_FAILED)
        return DB_FAILED;
    *out = found.account;
    return found.has_account ? DB_FOUND : DB_NONE;
}

enum db_status directory_domain(struct arena *arena, struct slice name, struct directory_domain *out)
{
    struct directory_recipient found = {0};
    (void)arena;
    late();
    if (world.directory_away)
        return DB_FAILED;
    find_domain(name, &found);
    *out = found.domain;
    return found.has_domain ? DB_FOUND : DB_NONE;
}

enum db_status directory_network(struct arena *arena, const char *client, struct directory_network *out)
{
    (void)arena;
    assert_string_equal(client, "127.0.0.1");
    late();
    if (world.directory_away)
        return DB_FAILED;
    *out = (struct directory_network){5, 1, 10, true};
    return world.network ? DB_FOUND : DB_NONE;
}

enum db_status directory_grants_of_account(struct arena *arena, const struct directory_account *account, int64_t at_ms,
                                           struct directory_grants *out)
{
    (void)arena, (void)account, (void)at_ms;
    late();
    *out = (struct directory_grants){0};
    return world.directory_away ? DB_FAILED : DB_FOUND;
}

enum db_status directory_grants_of_client(struct arena *arena, const char *client, int64_t at_ms,
                                          struct directory_grants *out)
{
    (void)arena, (void)client, (void)at_ms;
    late();
    *out = (struct directory_grants){0};
    return world.directory_away ? DB_FAILED : DB_FOUND;
}

bool node_alive(void)
{
    return !world.node_dead;
}

static void keep_copy(const struct accept_message *message)
{
    struct accepted_copy *copy = &copies[copy_count++];
    char buffer[sizeof(copy->content)];
    struct slice body;

    *copy = (struct accepted_copy){.cell = message->cell, .recipient_count = message->recipient_count};
    copy->customer_id = message->customer_id;
    copy->account_id = message->account_id;
    snprintf(copy->sender, sizeof(copy->sender), "%.*s", SLICE_ARG(message->sender));
    assert_true(spool_read(message->spool, 0, sizeof(buffer), buffer, &body));
    snprintf(copy->content, sizeof(copy->content), "%.*s%.*s", SLICE_ARG(message->prefix), SLICE_ARG(body));
    for (unsigned i = 0; i < message->recipient_count; i++) {
        copy->recipients[i] = message->recipients[i];
        snprintf(copy->addresses[i], 100, "%.*s", SLICE_ARG(message->recipients[i].address));
        snprintf(copy->destinations[i], 100, "%.*s", SLICE_ARG(message->recipients[i].destination));
    }
}

enum db_write accept_commit(struct accept_message *messages, unsigned count)
{
    world.commits++;
    late();
    if (world.commit == DB_DONE)
        for (unsigned i = 0; i < count; i++)
            keep_copy(&messages[i]);
    return world.commit;
}

/* ------------------------------------------------------------------ SASL: one password, PLAIN without the Cyrus */

struct sasl_attempt {
    int unused;
};

const char *sasl_mechanisms(bool tls)
{
    return tls ? "SCRAM-SHA-256 PLAIN LOGIN" : "SCRAM-SHA-256";
}

struct sasl_attempt *sasl_attempt_new(const char *service, bool tls)
{
    (void)service, (void)tls;
    return calloc(1, sizeof(struct sasl_attempt));
}

void sasl_attempt_free(struct sasl_attempt **attempt)
{
    free(*attempt);
    *attempt = NULL;
}

/* The response is "away", "no", "data" (success with data), or anything else: success. */
enum sasl_result sasl_attempt_begin(struct sasl_attempt *attempt, struct arena *arena, struct slice mechanism,
                                    struct slice initial, struct slice *challenge)
{
    (void)mechanism;
    if (initial.p)
        return sasl_attempt_continue(attempt, arena, initial, challenge);
    *challenge = SLICE("who?");
    return SASL_RESULT_CHALLENGE;
}

enum sasl_result sasl_attempt_continue(struct sasl_attempt *attempt, struct arena *arena, struct slice response,
                                       struct slice *challenge)
{
    (void)attempt, (void)arena;
    late();
    if (slice_equal(response, SLICE("away")))
        return SASL_RESULT_UNAVAILABLE;
    if (slice_equal(response, SLICE("no")))
        return SASL_RESULT_DENIED;
    if (slice_equal(response, SLICE("data")))
        *challenge = SLICE("v=proof");
    return SASL_RESULT_OK;
}

void sasl_attempt_account(const struct sasl_attempt *attempt, struct arena *arena, struct directory_account *out)
{
    (void)attempt, (void)arena;
    *out = accounts[0];
}

/* ------------------------------------------------------------------ the client */

static struct server_settings settings = {
    .references = 1,
    .hostname = "mx.test",
    .message_size_max = 4096,
    .recipients_max = 5,
    .errors_max = 10,
    .smtp_timeout_ms = 60000,
    .received_max = 10,
    .queue_lifetime_ms = 1000,
    .default_route = false,
};

static struct client {
    int fd;
    char text[65536];
    size_t n, seen;
    bool closed;
} client;

static void give_up(void *arg)
{
    (void)arg;
    fail_msg("waited too long; after \"%s\"", client.text + client.seen);
}

static void connect_client(enum smtp_role role)
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
    smtp_serve(accepted, role, false, &settings);
}

static void drop_client(void)
{
    struct linger reset = {1, 0};
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(client.fd);
    client.fd = -1;
}

static void turn(void)
{
    event_base_loop(loop_base(), EVLOOP_ONCE);
}

static void pull(void)
{
    ssize_t got = read(client.fd, client.text + client.n, sizeof(client.text) - client.n - 1);
    if (got > 0)
        client.n += (size_t)got;
    else if (got == 0 || errno != EAGAIN)
        client.closed = true;
}

static void tick(void *arg)
{
    loop_timer_set(arg, 1, tick, arg);
}

/* A few turns of the loop, whether something happens or not. */
static void turns(unsigned n)
{
    struct loop_timer ticker = {0};
    tick(&ticker);
    while (n--)
        turn();
    loop_timer_clear(&ticker);
}

static void until(bool (*condition)(void))
{
    struct loop_timer deadline = {0};
    loop_timer_set(&deadline, DEADLINE_MS, give_up, NULL);
    while (!condition())
        turns(1);
    loop_timer_clear(&deadline);
}

static bool has_reply(void)
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

static bool nobody_left(void)
{
    return server_session_count(SERVER_SMTP) == 0;
}

static void say(const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(write(client.fd, text, n), (ssize_t)n);
}

/* The next reply must begin with this. */
static void expect(const char *begins)
{
    until(has_reply);
    const char *line = client.text + client.seen, *end;
    while ((end = strstr(line, "\r\n")) && line[3] != ' ')
        line = end + 2;
    if (!end || strncmp(line, begins, strlen(begins)) != 0)
        fail_msg("expected \"%s\", got \"%s\"", begins, client.text + client.seen);
    client.seen = (size_t)(end + 2 - client.text);
}

static void begin(enum smtp_role role)
{
    memset(&world, 0, sizeof(world));
    memset(copies, 0, sizeof(copies));
    copy_count = 0;
    connect_client(role);
    expect("220 mx.test ");
    say("EHLO client.test\r\n");
    expect("250 ");
}

static void finish(void)
{
    if (client.fd >= 0)
        close(client.fd);
    until(nobody_left);
    turns(10); /* the stream lingers until it has seen our end */
    assert_int_equal(task_pool_busy(server_tasks()), 0);
}

static void quit(void)
{
    say("QUIT\r\n");
    expect("221 2.0.0");
    finish();
}

static void ask(const char *command, const char *reply)
{
    char line[1000];
    snprintf(line, sizeof(line), "%s\r\n", command);
    say(line);
    expect(reply);
}

/* ------------------------------------------------------------------ tests */

static void test_local(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test> BODY=8BITMIME", "250 2.1.0");
    assert_int_equal(world.lookups, 0);
    ask("RCPT TO:<alice@hosted.test>", "250 2.1.5");
    ask("DATA", "354 ");
    ask("Subject: x\r\n\r\n..dot\r\n.", "250 2.0.0 Ok: queued as ");
    assert_int_equal(copy_count, 1);
    assert_int_equal(copies[0].cell, 10);
    assert_int_equal(copies[0].customer_id, 1);
    assert_int_equal(copies[0].account_id, 0);
    assert_int_equal(copies[0].recipients[0].mailbox_id, 1000);
    assert_false(copies[0].recipients[0].queue);
    const char *content = copies[0].content;
    assert_ptr_equal(strstr(content, "Return-Path: <joe@outside.test>\r\nReceived: from client.test ([127.0.0.1])\r\n"
                                     "\tby mx.test with ESMTP\r\n\tid "),
                     content);
    assert_non_null(strstr(content, " for <alice@hosted.test>;\r\n\t"));
    assert_non_null(strstr(content, " +0000\r\nSubject: x\r\n\r\n.dot\r\n"));
    quit();
}

static void test_several_customers(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<>", "250");
    ask("RCPT TO:<alice@hosted.test>", "250");
    ask("RCPT TO:<bob@other.test>", "250");
    ask("RCPT TO:<Al@Hosted.Test>", "250"); /* alice again */
    ask("RCPT TO:<carol@relayed.test>", "250");
    ask("RCPT TO:<dave@relayed.test>", "250");
    ask("RCPT TO:<dave@relayed.test>", "250");
    ask("DATA", "354");
    ask(".", "250 2.0.0");
    assert_int_equal(world.commits, 1);
    assert_int_equal(copy_count, 3);
    assert_int_equal(copies[0].recipient_count, 1);
    assert_int_equal(copies[1].recipient_count, 1);
    assert_int_equal(copies[1].customer_id, 2);
    assert_int_equal(copies[2].recipient_count, 2);
    assert_string_equal(copies[2].addresses[1], "dave@relayed.test");
    assert_string_equal(copies[2].destinations[0], "domain:13");
    assert_int_equal(copies[2].recipients[0].account_id, 300);
    assert_int_equal(copies[2].recipients[0].mailbox_id, 0);
    assert_false(copies[2].recipients[0].waiting);
    assert_int_equal(copies[2].recipients[1].account_id, 0);
    assert_null(strstr(copies[0].content, " for <")); /* would tell one of the other */
    quit();
}

static void test_outage(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.outage = true;
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<carol@relayed.test>", "250");
    ask("RCPT TO:<dave@relayed.test>", "250");
    ask("DATA", "354");
    ask(".", "250");
    assert_true(copies[0].recipients[0].queue && copies[0].recipients[0].waiting);
    assert_int_equal(copies[0].recipients[0].mailbox_id, 3000);
    assert_true(copies[0].recipients[1].queue && copies[0].recipients[1].waiting);
    assert_int_equal(copies[0].recipients[1].mailbox_id, 0);
    quit();
}

static void test_refusals(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<nobody@hosted.test>", "550 5.1.1 <nobody@hosted.test>: ");
    ask("RCPT TO:<gone@hosted.test>", "550 5.2.1");
    ask("RCPT TO:<joe@outside.test>", "550 5.7.1 <joe@outside.test>: relaying denied: 127.0.0.1 ");
    ask("RCPT TO:<Postmaster>", "550 5.1.1 <postmaster@mx.test>");
    ask("DATA", "554 5.5.1");
    quit();
}

static void test_network(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.network = true;
    ask("MAIL FROM:<anybody@hosted.test>", "250");
    ask("RCPT TO:<joe@outside.test>", "250 2.1.5");
    ask("RCPT TO:<Postmaster>", "550 5.1.1"); /* never relayed: it would come back to us */
    ask("DATA", "354");
    ask(".", "250");
    assert_int_equal(copies[0].customer_id, 1);
    assert_int_equal(copies[0].cell, 10);
    assert_string_equal(copies[0].destinations[0], "mx:outside.test");
    ask("MAIL FROM:<bob@other.test>", "250");
    ask("RCPT TO:<joe@outside.test>", "550 5.7.1");
    ask("RSET", "250");
    ask("MAIL FROM:<>", "250");
    ask("RCPT TO:<joe@outside.test>", "250");
    quit();
}

static void test_directory_away(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.directory_away = true;
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<alice@hosted.test>", "451 4.3.0");
    world.directory_away = false;
    ask("RCPT TO:<alice@hosted.test>", "250");
    quit();

    begin(SMTP_ROLE_SUBMISSION);
    ask("AUTH PLAIN eWVz", "235 2.7.0");
    world.directory_away = true;
    ask("MAIL FROM:<alice@hosted.test>", "451 4.3.0");
    world.directory_away = false;
    ask("MAIL FROM:<alice@hosted.test>", "250");
    quit();
}

static void test_commit(void **state)
{
    static const struct {
        enum db_write commit;
        const char *reply;
    } cases[] = {
        {DB_DONE, "250 2.0.0"},   {DB_REFUSED, "451 4.3.0"},   {DB_CONFLICT, "451 4.3.0"},
        {DB_UNDONE, "451 4.3.0"}, {DB_UNCERTAIN, "451 4.3.0"},
    };
    (void)state;
    begin(SMTP_ROLE_MX);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world.commit = cases[i].commit;
        world.wait_ms = i % 2;
        ask("MAIL FROM:<joe@outside.test>", "250");
        ask("RCPT TO:<alice@hosted.test>", "250");
        ask("DATA", "354");
        ask("Subject: x\r\n.", cases[i].reply);
        assert_int_equal(copy_count, 1);
        ask("DATA", "503"); /* the transaction is over in any case */
    }
    unsigned commits = world.commits;
    world.commit = DB_DONE;
    world.node_dead = true;
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<alice@hosted.test>", "250");
    ask("DATA", "354");
    ask(".", "451 4.3.0");
    assert_int_equal(world.commits, commits);
    quit();
}

/* A pipelined group, with answers that come late: replies in order, and the same as one by one. */
static void test_pipelined(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    world.wait_ms = 2;
    say("MAIL FROM:<joe@outside.test>\r\nRCPT TO:<alice@hosted.test>\r\nRCPT TO:<nobody@hosted.test>\r\n"
        "RCPT TO:<bob@other.test>\r\nDATA\r\n");
    expect("250 2.1.0");
    expect("250 2.1.5");
    expect("550 5.1.1");
    expect("250 2.1.5");
    expect("354");
    say("x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<alice@hosted.test>\r\nRSET\r\nNOOP\r\nQUIT\r\n");
    expect("250 2.0.0 Ok: queued");
    expect("250 2.1.0");
    expect("250 2.1.5");
    expect("250 2.0.0");
    expect("250 2.0.0");
    expect("221");
    assert_int_equal(copy_count, 2);
    finish();
}

/* The connection breaks while a task waits: it runs to its end, and the session goes with it. */
static void test_client_vanishes(void **state)
{
    static const char *const last[] = {"RCPT TO:<alice@hosted.test>\r\n", "DATA\r\n", "DATA\r\nx\r\n",
                                       "DATA\r\nx\r\n.\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        begin(SMTP_ROLE_MX);
        ask("MAIL FROM:<joe@outside.test>", "250");
        ask("RCPT TO:<alice@hosted.test>", "250");
        world.wait_ms = 20;
        say(last[i]);
        turns(3);
        drop_client();
        finish();
    }
}

static void test_recipients_max(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    for (unsigned i = 0; i < 5; i++) {
        char command[100];
        snprintf(command, sizeof(command), "RCPT TO:<user%u@relayed.test>", i);
        ask(command, "250");
    }
    ask("RCPT TO:<alice@hosted.test>", "452 4.5.3");
    ask("DATA", "354");
    ask(".", "250");
    ask("MAIL FROM:<joe@outside.test>", "250");
    for (unsigned i = 0; i < 5; i++)
        ask("RCPT TO:<nobody@hosted.test>", "550 5.1.1");
    ask("RCPT TO:<nobody@hosted.test>", "421 4.7.0"); /* guessing */
    finish();
}

static void test_auth(void **state)
{
    (void)state;
    begin(SMTP_ROLE_SUBMISSION);
    ask("MAIL FROM:<alice@hosted.test>", "530 5.7.0");
    ask("AUTH PLAIN YXdheQ==", "454 4.7.0"); /* away */
    ask("AUTH PLAIN bm8=", "535 5.7.8");
    ask("AUTH SCRAM-SHA-256", "334 d2hvPw==");
    ask("ZGF0YQ==", "334 dj1wcm9vZg=="); /* success with data */
    ask("", "235 2.7.0");
    ask("AUTH PLAIN =", "503");
    ask("MAIL FROM:<bob@other.test>", "550 5.7.1 alice@hosted.test may not send as <bob@other.test>");
    ask("MAIL FROM:<al@hosted.test>", "250");
    ask("RCPT TO:<joe@outside.test>", "250");
    ask("DATA", "354");
    ask(".", "250");
    assert_int_equal(copies[0].account_id, 100);
    assert_int_equal(copies[0].customer_id, 1);
    assert_non_null(strstr(copies[0].content, "with ESMTPA\r\n"));
    quit();
}

static void test_auth_data_refused(void **state)
{
    (void)state;
    begin(SMTP_ROLE_SUBMISSION);
    ask("AUTH SCRAM-SHA-256 ZGF0YQ==", "334 ");
    ask("*", "501");
    ask("MAIL FROM:<alice@hosted.test>", "530");
    ask("AUTH SCRAM-SHA-256 ZGF0YQ==", "334 ");
    ask("ZGF0YQ==", "501");
    ask("MAIL FROM:<alice@hosted.test>", "530");
    quit();
}

static void test_bytewise(void **state)
{
    static const char dialogue[] = "MAIL FROM:<joe@outside.test>\r\nRCPT TO:<alice@hosted.test>\r\nDATA\r\n"
                                   "Subject: x\r\n\r\nline\r\n..\r\n.\r\nQUIT\r\n";
    (void)state;
    begin(SMTP_ROLE_MX);
    for (size_t i = 0; i + 1 < sizeof(dialogue); i++) {
        char byte[2] = {dialogue[i], '\0'};
        say(byte);
        turns(1);
    }
    expect("250 2.1.0");
    expect("250 2.1.5");
    expect("354");
    expect("250 2.0.0");
    expect("221");
    assert_non_null(strstr(copies[0].content, "\r\nSubject: x\r\n\r\nline\r\n.\r\n"));
    finish();
}

static int group_setup(void **state)
{
    (void)state;
    loop_init();
    server_set_tasks(task_pool_new("test", 8, 8));
    return 0;
}

static int group_teardown(void **state)
{
    struct task_pool *pool = server_tasks();
    (void)state;
    task_pool_free(&pool);
    loop_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_several_customers),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_directory_away),
        cmocka_unit_test(test_commit),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_client_vanishes),
        cmocka_unit_test(test_recipients_max),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_auth_data_refused),
        cmocka_unit_test(test_bytewise),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
