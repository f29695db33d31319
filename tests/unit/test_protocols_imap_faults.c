/*
 * IMAP commands and a database that gives every other answer than the one hoped for: NONE, FAILED, REFUSED, CONFLICT,
 * UNDONE, UNCERTAIN.  Never an OK without a change that is durable, always a tagged answer, and the session goes on.
 */
#include "tests/unit/imap_client.h"

static void login_meets_a_fault(void **state)
{
    (void)state;
    connect_client();
    fake.login = SASL_RESULT_UNAVAILABLE;
    say("a AUTHENTICATE FAKE\r\n");
    expect("a NO [UNAVAILABLE] The database is away, try again later\r\n");
    fake.login = SASL_RESULT_NO_MECHANISM;
    say("b AUTHENTICATE FAKE\r\n");
    expect("b NO Unknown mechanism, or one that needs TLS\r\n");
    fake.login = SASL_RESULT_MALFORMED;
    say("c AUTHENTICATE FAKE Yw==\r\n");
    expect("+ bW9yZT8=\r\n");
    say("eWVz\r\n");
    expect("c BAD That response makes no sense\r\n");
    say("d SELECT INBOX\r\n");
    expect("d BAD Log in first\r\n");
    fake.login = SASL_RESULT_OK;
    say("e AUTHENTICATE FAKE\r\n");
    expect("] Logged in\r\n");
    part();
}

/* Reads: which answer is bent, how, for which command, and what the client is told at last. */
static void reads(void **state)
{
    static const struct {
        enum db_status *answer, status;
        const char *command, *reply;
    } cases[] = {
        {&fake.find, DB_NONE, "x COPY 1 a", "x NO [TRYCREATE] There is no such mailbox\r\n"},
        {&fake.find, DB_FAILED, "x COPY 1 a", "x NO [UNAVAILABLE] "},
        {&fake.find, DB_FAILED, "x MOVE 1 a", "x NO [UNAVAILABLE] "},
        {&fake.find, DB_NONE, "x DELETE a", "x NO [NONEXISTENT] "},
        {&fake.find, DB_FAILED, "x DELETE a", "x NO [UNAVAILABLE] "},
        {&fake.find, DB_FAILED, "x RENAME a b", "x NO [UNAVAILABLE] "},
        {&fake.find, DB_FAILED, "x SUBSCRIBE a", "x NO [UNAVAILABLE] "},
        {&fake.find, DB_NONE, "x STATUS a (MESSAGES)", "x NO [NONEXISTENT] "},
        {&fake.find, DB_FAILED, "x STATUS a (MESSAGES)", "x NO [UNAVAILABLE] "},
        {&fake.count, DB_FAILED, "x STATUS a (MESSAGES)", "x NO [UNAVAILABLE] "},
        {&fake.find, DB_NONE, "x APPEND a {4+}\r\na: b", "x NO [TRYCREATE] "},
        {&fake.find, DB_FAILED, "x APPEND a {4+}\r\na: b", "x NO [UNAVAILABLE] "},
        {&fake.list, DB_FAILED, "x LIST \"\" *", "x NO [UNAVAILABLE] "},
        {&fake.subscriptions, DB_FAILED, "x LSUB \"\" *", "x NO [UNAVAILABLE] "},
        {&fake.list, DB_FAILED, "x LSUB \"\" *", "x NO [UNAVAILABLE] "},
        {&fake.body, DB_NONE, "x FETCH 1:2 BODY.PEEK[]", "x NO [EXPUNGEISSUED] "},
        {&fake.body, DB_FAILED, "x FETCH 1:2 BODY.PEEK[]", "x NO [UNAVAILABLE] "},
        {&fake.body, DB_FAILED, "x FETCH 1:2 ENVELOPE", "x NO [UNAVAILABLE] "},
        {&fake.body, DB_NONE, "x SEARCH BODY x", "* SEARCH\r\n* 4 EXISTS\r\nx OK SEARCH completed\r\n"},
        {&fake.body, DB_FAILED, "x SEARCH BODY x", "x NO [UNAVAILABLE] "},
        {&fake.body, DB_FAILED, "x SEARCH NOT BODY x", "x NO [UNAVAILABLE] "},
        {&fake.by_id, DB_FAILED, "x STORE 1 +FLAGS \\Seen", "x NO [UNAVAILABLE] "},
        {&fake.by_id, DB_FAILED, "x NOOP", "x OK completed\r\n"},
        {&fake.items, DB_FAILED, "x NOOP", "x OK completed\r\n"},
        {&fake.find, DB_NONE, "x SELECT a", "x NO [NONEXISTENT] "},
        {&fake.find, DB_FAILED, "x SELECT a", "x NO [UNAVAILABLE] "},
        {&fake.items, DB_FAILED, "x SELECT a", "x NO [UNAVAILABLE] "},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fresh(state);
        log_in_and_select();
        fake_add(128); /* something that the refresh could tell */
        *cases[i].answer = cases[i].status;
        say(cases[i].command);
        say("\r\n");
        expect(cases[i].reply);
        *cases[i].answer = DB_FOUND;
        say("y NOOP\r\n");
        expect("y OK completed\r\n");
        part();
    }
}

static void writes(void **state)
{
    static const struct {
        enum db_write *answer;
        const char *command, *refused; /* what REFUSED means; NULL: the same as the others */
    } cases[] = {
        {&fake.create, "x CREATE a", "x NO [ALREADYEXISTS] "},
        {&fake.rename, "x RENAME a b", "x NO [ALREADYEXISTS] "},
        {&fake.subscribe, "x SUBSCRIBE a", "x NO [LIMIT] "},
        {&fake.unsubscribe, "x UNSUBSCRIBE a", "x NO [CANNOT] "},
        {&fake.remove, "x DELETE a", "x NO [INUSE] "},
        {&fake.store, "x STORE 1 +FLAGS (\\Seen)", NULL},
        {&fake.store, "x FETCH 1 BODY[]", NULL}, /* it would set \Seen */
        {&fake.copy, "x COPY 1 a", "x NO [TRYCREATE] "},
        {&fake.copy, "x MOVE 1 a", "x NO [TRYCREATE] "},
        {&fake.expunge, "x EXPUNGE", NULL},
        {&fake.expunge, "x UID EXPUNGE 30", NULL},
        {&fake.expunge, "x CLOSE", NULL},
        {&fake.accept, "x APPEND a {4+}\r\na: b", "x NO [TRYCREATE] "},
    };
    static const enum db_write answers[] = {DB_REFUSED, DB_CONFLICT, DB_UNDONE, DB_UNCERTAIN};

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (unsigned k = 0; k < sizeof answers / sizeof answers[0]; k++) {
            fresh(state);
            fake.item[2].flags = MAILBOX_DELETED;
            log_in_and_select();
            *cases[i].answer = answers[k];
            say(cases[i].command);
            say("\r\n");
            expect(answers[k] == DB_REFUSED && cases[i].refused ? cases[i].refused : "x NO [UNAVAILABLE] ");
            *cases[i].answer = DB_DONE;
            say("y NOOP\r\n");
            expect("y OK completed\r\n");
            assert_null(strstr(got, "EXPUNGE"));
            part();
        }
}

/* The folders of held mail: what is refused, and what a release that was not made is answered. */
static void held_mail(void **state)
{
    static const struct {
        enum db_write answer;
        enum held_folder_refusal refusal;
        const char *command, *reply;
    } cases[] = {
        {DB_DONE, 0, "x MOVE 1 INBOX", "* OK [COPYUID 1700000000 10 200] Moved\r\n* 1 EXPUNGE\r\n"},
        {DB_DONE, 0, "x COPY 1 INBOX", "x OK [COPYUID 1700000000 10 200] COPY completed\r\n"},
        {DB_REFUSED, HELD_FOLDER_FORBIDDEN, "x MOVE 1 INBOX", "x NO [NOPERM] "},
        {DB_REFUSED, HELD_FOLDER_FORBIDDEN, "x COPY 1 INBOX", "x NO [NOPERM] "},
        {DB_REFUSED, HELD_FOLDER_OVER, "x UID MOVE 10 INBOX", "x NO [EXPUNGEISSUED] "},
        {DB_REFUSED, HELD_FOLDER_GONE, "x MOVE 1 INBOX", "x NO [NONEXISTENT] "},
        {DB_CONFLICT, 0, "x MOVE 1 INBOX", "x NO [UNAVAILABLE] "},
        {DB_UNDONE, 0, "x MOVE 1 INBOX", "x NO [UNAVAILABLE] "},
        {DB_UNCERTAIN, 0, "x MOVE 1 INBOX", "x NO [UNAVAILABLE] "},
        {DB_DONE, 0, "x MOVE 1 Held", "x NO [CANNOT] "},
        {DB_DONE, 0, "x COPY 1 Held", "x NO [CANNOT] "},
        {DB_DONE, 0, "x DELETE Held", "x NO [CANNOT] "},
        {DB_DONE, 0, "x RENAME Held b", "x NO [CANNOT] "},
        {DB_DONE, 0, "x APPEND Held {4+}\r\na: b", "x NO [CANNOT] "},
        {DB_DONE, 0, "x EXPUNGE", "x NO [CANNOT] "},
        {DB_DONE, 0, "x UID EXPUNGE 30", "x NO [CANNOT] "},
        {DB_DONE, 0, "x CLOSE", "x OK CLOSE completed\r\n"},
        {DB_DONE, 0, "x STORE 1 +FLAGS (\\Seen)", "x OK STORE completed\r\n"},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fresh(state);
        fake.role = MAILBOX_HELD;
        fake.item[2].flags = MAILBOX_DELETED;
        log_in();
        say("s SELECT Held\r\n");
        expect("s OK [READ-WRITE] SELECT completed\r\n");
        fake.release = cases[i].answer;
        fake.release_refusal = cases[i].refusal;
        say(cases[i].command);
        say("\r\n");
        expect(cases[i].reply);
        say("y NOOP\r\n");
        expect("y OK completed\r\n");
        assert_int_equal(fake.item_count, i == 0 ? 2 : 3);
        part();
    }
}

static void a_worker_without_a_lease_takes_no_mail(void **state)
{
    (void)state;
    fake.node_dead = true;
    log_in();
    say("a APPEND INBOX {4+}\r\na: b\r\n");
    expect("a NO [UNAVAILABLE] The database is away, try again later\r\n");
    assert_int_equal(fake.item_count, 3);
    part();
}

/* What was done is told when the database can be asked again. */
static void news_survive_a_fault(void **state)
{
    (void)state;
    fake.item[1].flags = MAILBOX_DELETED;
    log_in_and_select();
    fake.uids = DB_FAILED;
    say("a EXPUNGE\r\n");
    expect("\r\n");
    assert_string_equal(got, "a OK EXPUNGE completed\r\n");
    fake.uids = DB_FOUND;
    fake.count = DB_FAILED;
    say("b NOOP\r\n");
    expect("\r\n");
    assert_string_equal(got, "b OK completed\r\n");
    fake.count = DB_FOUND;
    say("c NOOP\r\n");
    expect("c OK completed\r\n");
    assert_string_equal(got, "* 2 EXPUNGE\r\n* 2 EXISTS\r\nc OK completed\r\n");
    part();
}

/* EXPUNGE only of numbers that the client was told of. */
static void what_comes_and_goes_at_once(void **state)
{
    (void)state;
    log_in_and_select();
    fake_add(128);
    fake.vanishes = true;
    say("a NOOP\r\n");
    expect("a OK completed\r\n");
    assert_string_equal(got, "* 4 EXISTS\r\n* 4 EXPUNGE\r\n* 3 EXISTS\r\na OK completed\r\n");
    part();
}

static void what_is_new_is_told_although_the_rest_fails(void **state)
{
    (void)state;
    log_in_and_select();
    fake_add(128);
    fake.count = DB_FAILED;
    say("a NOOP\r\n");
    expect("a OK completed\r\n");
    assert_string_equal(got, "* 4 EXISTS\r\na OK completed\r\n");
    fake.count = DB_FOUND;
    say("b FETCH 4 UID\r\n");
    expect("* 4 FETCH (UID ");
    part();
}

static void the_mailbox_goes_away(void **state)
{
    (void)state;
    log_in_and_select();
    fake.by_id = DB_NONE;
    say("a NOOP\r\n");
    expect("* BYE The mailbox was deleted\r\n");
    expect("");
    part();
}

static void a_move_is_told_before_what_it_removes(void **state)
{
    (void)state;
    log_in_and_select();
    say("a MOVE 1:2 a\r\n");
    expect("* OK [COPYUID 1700000000 10,20 100:101] Moved\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n* 1 EXISTS\r\n"
           "a OK MOVE completed\r\n");
    part();
}

static void logout_does_not_ask(void **state)
{
    (void)state;
    log_in_and_select();
    fake.by_id = DB_FAILED;
    fake.looks = 0;
    say("a LOGOUT\r\n");
    expect("");
    assert_string_equal(got, "* BYE Good-bye\r\na OK LOGOUT completed\r\n");
    assert_int_equal(fake.looks, 0);
    part();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(login_meets_a_fault, fresh),
        cmocka_unit_test_setup(reads, fresh),
        cmocka_unit_test_setup(writes, fresh),
        cmocka_unit_test_setup(held_mail, fresh),
        cmocka_unit_test_setup(a_worker_without_a_lease_takes_no_mail, fresh),
        cmocka_unit_test_setup(news_survive_a_fault, fresh),
        cmocka_unit_test_setup(what_comes_and_goes_at_once, fresh),
        cmocka_unit_test_setup(what_is_new_is_told_although_the_rest_fails, fresh),
        cmocka_unit_test_setup(the_mailbox_goes_away, fresh),
        cmocka_unit_test_setup(a_move_is_told_before_what_it_removes, fresh),
        cmocka_unit_test_setup(logout_does_not_ask, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
