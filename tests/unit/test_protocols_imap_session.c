/*
 * The life of an IMAP session: gathering, one command at a time, news of the mailbox, slow readers, and every way to
 * end. What it does when the database gives other answers than it hopes for is in test_protocols_imap_faults.c.
 */
#include "tests/unit/imap_client.h"

static void hint(void)
{
    assert_non_null(fake.watch);
    fake.watch->fn(7, fake.watch->arg);
}

/* ------------------------------------------------------------------ dialogues */

static void one_byte_at_a_time(void **state)
{
    static const char dialogue[] = "b SELECT INBOX\r\nc FETCH 2 (UID BODY.PEEK[HEADER])\r\n"
                                   "d APPEND {5+}\r\nINBOX {6+}\r\nA: b\r\n\r\ne LOGOUT\r\n";

    (void)state;
    connect_client();
    say("a AUTHENTICATE FAKE Yw==\r\n");
    expect("+ bW9yZT8=\r\n");
    say("eWVz\r\n");
    expect("] Logged in\r\n");
    for (const char *p = dialogue; *p; p++) {
        assert_int_equal(send(client, p, 1, MSG_NOSIGNAL), 1);
        turn(1);
    }
    expect("b OK [READ-WRITE] SELECT completed\r\n");
    expect("* 2 FETCH (UID 20 BODY[HEADER] {15}\r\nSubject: 20\r\n\r\n)\r\nc OK FETCH completed\r\n");
    expect("* 4 EXISTS\r\nd OK [APPENDUID 1700000000 40] APPEND completed\r\n");
    expect("* BYE Good-bye\r\ne OK LOGOUT completed\r\n");
    expect("");
    part();
}

static void news_are_told_where_they_may_be(void **state)
{
    (void)state;
    log_in_and_select();
    fake_drop(10);
    fake_add(128);
    say("a FETCH 1:3 UID\r\n"); /* numbers stay while a FETCH, STORE or SEARCH by numbers runs (7.4.1) */
    expect("* 1 FETCH (UID 10)\r\n* 2 FETCH (UID 20)\r\n* 3 FETCH (UID 30)\r\n* 4 EXISTS\r\na OK FETCH completed\r\n");
    say("b SEARCH UID 1:*\r\n");
    expect("* SEARCH 1 2 3 4\r\nb OK SEARCH completed\r\n");
    say("c STORE 2 +FLAGS.SILENT (\\Seen)\r\n");
    expect("\r\n");
    assert_string_equal(got, "c OK STORE completed\r\n");
    say("d UID FETCH 20 UID\r\n");
    expect("* 2 FETCH (UID 20)\r\n* 1 EXPUNGE\r\n* 3 EXISTS\r\nd OK FETCH completed\r\n");
    say("e FETCH 1 (UID FLAGS)\r\n");
    expect("* 1 FETCH (UID 20 FLAGS (\\Seen))\r\ne OK FETCH completed\r\n");
    part();
}

static void idling(void **state)
{
    (void)state;
    log_in_and_select();
    say("a IDLE\r\n");
    expect("+ idling\r\n");
    turn(5);
    fake_add(128);
    hint();
    expect("* 4 EXISTS\r\n");
    fake_drop(20);
    hint();
    expect("* 2 EXPUNGE\r\n* 3 EXISTS\r\n");
    say("DONE\r\nb NOOP\r\n");
    expect("a OK IDLE completed\r\nb OK completed\r\n");
    hint(); /* between commands: kept for the next one */
    turn(5);
    assert_int_equal(recv(client, got, sizeof got, 0), -1);
    part();
}

static void idling_asks_a_database_that_is_away_in_time(void **state)
{
    unsigned before;

    (void)state;
    log_in_and_select();
    say("a IDLE\r\n");
    expect("+ idling\r\n");
    turn(5);
    fake.by_id = DB_FAILED;
    before = fake.looks;
    hint();
    turn(100);
    assert_int_equal(fake.looks, before + 1); /* the next is the timer's */
    fake.by_id = DB_FOUND;
    fake_add(128);
    hint();
    expect("* 4 EXISTS\r\n");
    part();
}

static void pipelined_commands_wait_their_turn(void **state)
{
    struct task_wait wait = TASK_WAIT_INIT;

    (void)state;
    log_in();
    fake.hang = &wait;
    say("a SELECT INBOX\r\nb NOOP\r\nc FETCH 1 UID\r\nd NOOP\r\n");
    turn(20);
    assert_int_equal(task_pool_busy(pool), 1);
    assert_int_equal(recv(client, got, sizeof got, 0), -1);
    fake.hang = NULL;
    task_wake(&wait);
    expect("a OK [READ-WRITE] SELECT completed\r\n");
    expect("b OK completed\r\n* 1 FETCH (UID 10)\r\nc OK FETCH completed\r\nd OK completed\r\n");
    part();
}

static void denied_is_answered_before_anything_else(void **state)
{
    (void)state;
    fake.login = SASL_RESULT_DENIED;
    connect_client();
    say("a AUTHENTICATE FAKE\r\nb NOOP\r\n");
    expect("\r\n");
    assert_string_equal(got, "a NO [AUTHENTICATIONFAILED] Authentication failed\r\n");
    expect("b OK completed\r\n");
    part();
}

/* ------------------------------------------------------------------ who reads slowly, or not at all */

static void a_slow_reader_holds_little(void **state)
{
    unsigned read;

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        fake_add(200 * 1024);
    log_in_and_select();
    say("a UID FETCH 40:* BODY.PEEK[]\r\nb NOOP\r\n");
    turn(400);
    read = fake.bodies;
    assert_in_range(read, 1, 6); /* what the socket and one helping hold */
    expect("a OK FETCH completed\r\nb OK completed\r\n");
    assert_int_equal(fake.bodies, 40);
    part();
}

static void vanishes_in_the_middle_of_a_message(void **state)
{
    (void)state;
    fake_add(900 * 1024); /* from a spool */
    log_in_and_select();
    say("a FETCH 4 BODY.PEEK[]\r\n");
    expect("{921600}\r\n");
    part();
}

static void vanishes_while_a_task_waits(void **state)
{
    static const char *const commands[] = {
        "a SELECT INBOX\r\n",
        "a FETCH 1 BODY[]\r\n",
        "a FETCH 1 BODY.PEEK[]\r\n",
        "a SEARCH BODY x\r\n",
        "a NOOP\r\n",
        "a STORE 1 +FLAGS \\Seen\r\n",
        "a LIST \"\" *\r\n",
        "a APPEND INBOX {4+}\r\na: b\r\n",
        "a IDLE\r\n",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct task_wait wait = TASK_WAIT_INIT;

        log_in_and_select();
        fake.hang = &wait;
        say(commands[i]);
        turn(20);
        assert_int_equal(task_pool_busy(pool), 1);
        close(client);
        turn(20);
        assert_int_equal(server_session_count(SERVER_IMAP), 1); /* no cancellation */
        fake.hang = NULL;
        task_wake(&wait);
        turn(50);
        assert_int_equal(server_session_count(SERVER_IMAP), 0);
        assert_int_equal(task_pool_busy(pool), 0);
    }
}

static void vanishes_while_it_logs_in(void **state)
{
    struct task_wait wait = TASK_WAIT_INIT;

    (void)state;
    fake.hang = &wait;
    connect_client();
    say("a AUTHENTICATE FAKE\r\n");
    turn(20);
    close(client);
    turn(20);
    fake.hang = NULL;
    task_wake(&wait);
    turn(50);
    assert_int_equal(server_session_count(SERVER_IMAP), 0);
    fake.login = SASL_RESULT_DENIED; /* and while the answer is held back */
    connect_client();
    say("a AUTHENTICATE FAKE\r\n");
    turn(20);
    close(client);
    while (server_session_count(SERVER_IMAP) > 0) /* nothing is read until the answer has gone */
        turn(1);
    assert_int_equal(task_pool_busy(pool), 0);
}

static void vanishes_in_the_middle_of_a_literal(void **state)
{
    (void)state;
    log_in();
    say("a APPEND INBOX {1000}\r\n");
    expect("+ Go ahead\r\n");
    say("half of it");
    turn(5);
    part();
}

/* ------------------------------------------------------------------ limits of time and place */

static void sleep_on(void *arg)
{
    task_wait((struct task_wait *)arg);
}

static void no_stack_left(void **state)
{
    struct task_wait waits[4] = {0};

    (void)state;
    connect_client();
    for (unsigned i = 0; i < 4; i++) /* 2 stacks, 2 in the queue */
        assert_true(task_start(pool, sleep_on, &waits[i]));
    say("a NOOP\r\n");
    expect("* BYE Too busy, try again later\r\n");
    expect("");
    for (unsigned i = 0; i < 4; i++)
        task_wake(&waits[i]);
    part();
}

/* What is news while a client idles is looked up in a task, too; who cannot have one is told, and gone. */
static void no_stack_left_while_idling(void **state)
{
    struct task_wait waits[4] = {0};

    (void)state;
    log_in_and_select();
    say("a IDLE\r\n");
    expect("+ idling\r\n");
    turn(5);
    for (unsigned i = 0; i < 4; i++)
        assert_true(task_start(pool, sleep_on, &waits[i]));
    hint();
    expect("* BYE Too busy, try again later\r\n");
    expect("");
    for (unsigned i = 0; i < 4; i++)
        task_wake(&waits[i]);
    part();
}

static void silence_ends_a_session(void **state)
{
    (void)state;
    settings.imap_timeout_ms = 50;
    log_in();
    expect("");
    assert_string_equal(got, "* BYE Autologout: nothing was said for too long\r\n");
    settings.imap_timeout_ms = WATCHDOG_MS;
    part();
}

static void talker_without_a_login_is_ended(void **state)
{
    (void)state;
    settings.login_timeout_ms = 200;
    connect_client();
    while (server_session_count(SERVER_IMAP) > 0) {
        send(client, "a NOOP\r\n", 8, MSG_NOSIGNAL);
        turn(1);
        while (recv(client, got, sizeof got, 0) > 0)
            ;
    }
    settings.login_timeout_ms = WATCHDOG_MS;
    part();
}

static void draining_says_good_bye(void **state) /* last: a process drains once */
{
    struct task_wait wait = TASK_WAIT_INIT;
    int quiet;

    (void)state;
    log_in_and_select();
    say("a IDLE\r\n");
    expect("+ idling\r\n");
    turn(5);
    quiet = client;
    log_in_and_select();
    fake.hang = &wait;
    say("b FETCH 1 BODY.PEEK[]\r\nc NOOP\r\n");
    turn(20);
    server_drain();
    fake.hang = NULL;
    task_wake(&wait);
    expect("b OK FETCH completed\r\n* BYE Server is shutting down\r\n"); /* what was begun comes whole */
    expect("");
    close(client);
    client = quiet;
    expect("* BYE Server is shutting down\r\n");
    expect("");
    part();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_byte_at_a_time, fresh),
        cmocka_unit_test_setup(news_are_told_where_they_may_be, fresh),
        cmocka_unit_test_setup(idling, fresh),
        cmocka_unit_test_setup(idling_asks_a_database_that_is_away_in_time, fresh),
        cmocka_unit_test_setup(pipelined_commands_wait_their_turn, fresh),
        cmocka_unit_test_setup(denied_is_answered_before_anything_else, fresh),
        cmocka_unit_test_setup(a_slow_reader_holds_little, fresh),
        cmocka_unit_test_setup(vanishes_in_the_middle_of_a_message, fresh),
        cmocka_unit_test_setup(vanishes_while_a_task_waits, fresh),
        cmocka_unit_test_setup(vanishes_while_it_logs_in, fresh),
        cmocka_unit_test_setup(vanishes_in_the_middle_of_a_literal, fresh),
        cmocka_unit_test_setup(no_stack_left, fresh),
        cmocka_unit_test_setup(no_stack_left_while_idling, fresh),
        cmocka_unit_test_setup(silence_ends_a_session, fresh),
        cmocka_unit_test_setup(talker_without_a_login_is_ended, fresh),
        cmocka_unit_test_setup(draining_says_good_bye, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
