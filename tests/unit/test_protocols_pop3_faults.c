/*
 * POP3 sessions that meet a fault: at each await FOUND, NONE, FAILED, UNCERTAIN, or nothing until the client has gone;
 * no stack left, silence, chatter without a login, and a server that shuts down.
 */
#include "tests/unit/pop3_harness.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
