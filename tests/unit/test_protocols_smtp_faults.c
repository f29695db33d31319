/*
 * SMTP sessions that meet a fault: at each await the database answers FOUND, NONE, FAILED or UNCERTAIN, late, or after
 * the client has gone, and the outcome is always a 4xx or a correct reply, never a 250 without a committed message.
 */
#include "tests/unit/smtp_harness.h"

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

    begin(SMTP_ROLE_MX); /* whether he may be urgent cannot be found out */
    world.directory_away = true;
    world.wait_ms = 1;
    ask("MAIL FROM:<joe@outside.test> MT-PRIORITY=3", "451 4.3.0");
    ask("RCPT TO:<alice@hosted.test>", "503");
    ask("MAIL FROM:<joe@outside.test> MT-PRIORITY=-3", "250");
    quit();

    begin(SMTP_ROLE_SUBMISSION);
    ask("AUTH PLAIN eWVz", "235 2.7.0");
    world.directory_away = true;
    ask("MAIL FROM:<alice@hosted.test>", "451 4.3.0");
    world.directory_away = false;
    ask("MAIL FROM:<alice@hosted.test>", "250");
    quit();
}

static void test_learned_away(void **state)
{
    (void)state;
    begin(SMTP_ROLE_MX);
    ask("MAIL FROM:<joe@outside.test>", "250");
    for (world.wait_ms = 0; world.wait_ms < 2; world.wait_ms++) {
        world.learned_away = true;
        ask("RCPT TO:<fresh@learning.test>", "451 4.3.0");
        world.learned_away = false;
        ask("RCPT TO:<fresh@learning.test>", "250");
    }
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
    /* A notice that was asked for and cannot be made is no reason to lose it. */
    ask("MAIL FROM:<bob@other.test>", "250");
    ask("RCPT TO:<alice@hosted.test> NOTIFY=SUCCESS", "250");
    ask("DATA", "354");
    world.directory_away = true;
    ask("Subject: x\r\n.", "451 4.3.0");
    world.directory_away = false;
    assert_int_equal(world.commits, commits);
    world.node_dead = true;
    ask("MAIL FROM:<joe@outside.test>", "250");
    ask("RCPT TO:<alice@hosted.test>", "250");
    ask("DATA", "354");
    ask(".", "451 4.3.0");
    assert_int_equal(world.commits, commits);
    quit();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory_away),
        cmocka_unit_test(test_learned_away),
        cmocka_unit_test(test_commit),
        cmocka_unit_test(test_client_vanishes),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
