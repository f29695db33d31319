/*
 * imap_client: dialogues with a scripted server (imap_server.h): sign-in, look-ups, changes, APPEND in both forms; and
 * servers that refuse, hang up, say nonsense or nothing.
 */
#include "tests/unit/imap_server.h"

/* ------------------------------------------------------------------ signing in */

static enum imap_client_answer answered;
static bool refused;

static void sign_in(struct imap_client *client, struct arena *arena)
{
    (void)arena;
    answered = imap_client_login(client, SLICE("ann"), SLICE("secret \xc3\xa4"), SLICE(""), &refused);
}

static void sign_in_as(struct imap_client *client, struct arena *arena)
{
    (void)arena;
    answered = imap_client_login(client, SLICE("m"), SLICE("p"), SLICE("ann"), &refused);
}

static void sign_in_plainly(struct imap_client *client, struct arena *arena)
{
    (void)arena;
    answered = imap_client_login(client, SLICE("ann"), SLICE("a\"b\\c"), SLICE(""), &refused);
}

static void test_starttls_and_plain(void **state)
{
    static const struct line script[] = {
        {"P1 STARTTLS", "TLS"},
        {"P2 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nP2 OK\r\n"},
        {"P3 AUTHENTICATE PLAIN", "+ \r\n"},
        {"AGFubgBzZWNyZXQgw6Q=", "* CAPABILITY IMAP4rev1 MOVE\r\nP3 OK in\r\n"},
    };
    struct job job = {.run = sign_in};

    (void)state;
    for (server.fed = 0; server.fed < 2; server.fed++) {
        job.done = false;
        PLAY(&job, script, false, "* OK [CAPABILITY " CAPABLE "] hi\r\n");
        assert_true(job.open);
        assert_int_equal(answered, IMAP_CLIENT_OK);
    }
    server.fed = 0;
}

static void test_implicit_tls_as_another(void **state)
{
    static const struct line script[] = {
        {"P1 CAPABILITY", "* CAPABILITY " CAPABLE "\r\nP1 OK\r\n"},
        {"P2 AUTHENTICATE PLAIN YW5uAG0AcA==", "P2 OK in\r\n"},
        {"P3 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP3 OK\r\n"},
    };
    struct job job = {.run = sign_in_as};

    (void)state;
    PLAY(&job, script, true, "* OK hi\r\n");
    assert_int_equal(answered, IMAP_CLIENT_OK);
}

static void test_login(void **state)
{
    static const struct line script[] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n"},
        {"P2 LOGIN \"ann\" \"a\\\"b\\\\c\"", "P2 OK [CAPABILITY IMAP4rev1] in\r\n"},
    };
    static const struct line disabled[] = {{"P1 CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nP1 OK\r\n"}};
    static const struct line wrong[] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n"},
        {"P2 LOGIN \"ann\" \"a\\\"b\\\\c\"", "P2 NO [AUTHENTICATIONFAILED] no\r\n"},
    };
    static const struct line busy[] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n"},
        {"P2 LOGIN \"ann\" \"a\\\"b\\\\c\"", "P2 NO [UNAVAILABLE] later\r\n"},
    };
    struct job job = {.run = sign_in_plainly};

    (void)state;
    PLAY(&job, script, true, "* OK hi\r\n");
    assert_int_equal(answered, IMAP_CLIENT_OK);
    job.done = false;
    PLAY(&job, disabled, true, "* OK hi\r\n");
    assert_true(answered == IMAP_CLIENT_NO && !refused);
    job.done = false;
    PLAY(&job, wrong, true, "* OK hi\r\n");
    assert_true(answered == IMAP_CLIENT_NO && refused);
    job.done = false;
    PLAY(&job, busy, true, "* OK hi\r\n");
    assert_true(answered == IMAP_CLIENT_NO && !refused);
    job = (struct job){.run = sign_in}; /* 8-bit, and there is no PLAIN */
    PLAY(&job, disabled, true, "* OK hi\r\n");
    assert_true(answered == IMAP_CLIENT_NO && !refused);
}

static void test_servers_that_do_not_serve(void **state)
{
    static const struct line none[] = {{"P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n"}};
    static const struct line mute[] = {{"P1 CAPABILITY", NULL}};
    static const struct line tls[] = {{"P1 STARTTLS", "TLS"}};
    static const struct line no[] = {{"P1 STARTTLS", "P1 NO not now\r\n"}};
    struct job job = {0};

    (void)state;
    PLAY(&job, none, false, "* OK hi\r\n");
    assert_string_equal(job.why, "STARTTLS is not offered");
    job = (struct job){0};
    serve_script(NULL, 0, false, "* PREAUTH hi\r\n");
    play(&job);
    serve_no_more();
    assert_false(job.open);
    job = (struct job){0};
    serve_script(NULL, 0, false, "220 smtp.example.test\r\n");
    play(&job);
    serve_no_more();
    assert_string_equal(job.why, "not an IMAP response");
    job = (struct job){.timeout_ms = 50};
    PLAY(&job, mute, false, "* OK hi\r\n");
    assert_string_equal(job.why, "timed out");
    /* a deadline holds from the beginning: 10 seconds would be too long for the test, too */
    job = (struct job){.deadline = clock_steady_ms() + 100};
    PLAY(&job, mute, false, "* OK hi\r\n");
    assert_string_equal(job.why, "timed out");
    job.deadline = clock_steady_ms();
    serve_script(NULL, 0, false, "");
    play(&job);
    serve_no_more();
    assert_false(job.open);
    assert_true(clock_steady_ms() < job.deadline + 9000);
    job = (struct job){0};
    PLAY(&job, no, false, "* OK [CAPABILITY " CAPABLE "] hi\r\n");
    assert_string_equal(job.why, "not now");
    job = (struct job){.verify = true};
    PLAY(&job, tls, false, "* OK [CAPABILITY " CAPABLE "] hi\r\n");
    assert_false(job.open);
}

/* ------------------------------------------------------------------ commands */

static void look(struct imap_client *client, struct arena *arena)
{
    struct imap_client_mailboxes mailboxes;
    struct imap_client_item items[4];
    uint32_t uids[4];
    struct imap_client_uid to;
    unsigned count, found;

    assert_int_equal(imap_client_list(client, arena, &mailboxes), IMAP_CLIENT_OK);
    assert_int_equal(mailboxes.count, 3);
    assert_int_equal(mailboxes.separator, '.');
    assert_true(slice_equal(mailboxes.prefix, SLICE("INBOX.")));
    assert_true(slice_equal(mailboxes.list[1].use, SLICE("\\Sent")));
    assert_true(slice_equal(mailboxes.list[2].name, SLICE("a\"b")));
    assert_int_equal(imap_client_select(client, SLICE("a\"b"), false), IMAP_CLIENT_OK);
    assert_int_equal(imap_client_validity(client), 3);
    assert_int_equal(imap_client_search_id(client, SLICE("<x@y>"), 7, 8, uids, 4, &count), IMAP_CLIENT_OK);
    assert_int_equal(count, 0);
    assert_int_equal(imap_client_search_id(client, SLICE("<x@y>"), 0, 0, uids, 4, &count), IMAP_CLIENT_OK);
    assert_int_equal(count, 2);
    assert_int_equal(imap_client_fetch(client, uids, count, items, &found), IMAP_CLIENT_OK);
    assert_int_equal(found, 1);
    assert_int_equal(items[0].uid, 9);
    assert_int_equal(items[0].size, 200);
    assert_int_equal(imap_client_search_size(client, 200, uids, 4, &count), IMAP_CLIENT_OK);
    assert_int_equal(count, 0);
    struct slice keywords[] = {SLICE("$Label"), SLICE("no]"), SLICE("a b")};
    assert_int_equal(imap_client_store(client, 9, MAILBOX_SEEN | MAILBOX_FLAGGED, keywords, 3), IMAP_CLIENT_OK);
    assert_int_equal(imap_client_move(client, 9, SLICE("x"), &to), IMAP_CLIENT_NO);
    assert_string_equal(imap_client_text(client), "[TRYCREATE] none");
    assert_string_equal(imap_client_code(client), "TRYCREATE");
    assert_int_equal(imap_client_create(client, SLICE("x")), IMAP_CLIENT_OK);
    assert_int_equal(imap_client_move(client, 9, SLICE("x"), &to), IMAP_CLIENT_OK);
    assert_int_equal(to.uid, 4);
    assert_int_equal(to.validity, 5);
    assert_int_equal(
        imap_client_search_trace(client, SLICE("0anz"), (const uint32_t[]){9, 12}, 2, uids, 4, &count), IMAP_CLIENT_OK);
    assert_int_equal(count, 1);
    assert_int_equal(uids[0], 12);
    assert_int_equal(imap_client_copy(client, 9, SLICE("x"), &to), IMAP_CLIENT_LOST);
    assert_int_equal(imap_client_select(client, SLICE("x"), true), IMAP_CLIENT_LOST);
}

static void test_commands(void **state)
{
    static const struct line script[] = {
        {"P1 CAPABILITY", "* CAPABILITY " CAPABLE "\r\nP1 OK\r\n"},
        {"P2 NAMESPACE", "* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\r\nP2 OK\r\n"},
        {"P3 LIST \"\" \"*\" RETURN (SPECIAL-USE)",
         "* LIST () \".\" INBOX\r\n* LIST (\\Sent) \".\" \"INBOX.Sent\"\r\n* LIST () \".\" {3}\r\na\"b\r\nP3 OK\r\n"},
        {"P4 SELECT \"a\\\"b\"", "* 3 EXISTS\r\n* OK [UIDVALIDITY 3] x\r\nP4 OK [READ-WRITE]\r\n"},
        {"P5 UID SEARCH UID 7:8 HEADER Message-ID \"<x@y>\"", "* SEARCH\r\nP5 OK\r\n"},
        {"P6 UID SEARCH HEADER Message-ID \"<x@y>\"", "* SEARCH 9 12\r\nP6 OK\r\n"},
        {"P7 UID FETCH 9,12 (UID RFC822.SIZE FLAGS)", "* 1 FETCH (UID 9 RFC822.SIZE 200 FLAGS ())\r\nP7 OK\r\n"},
        {"P8 UID SEARCH LARGER 199 SMALLER 201", "* SEARCH\r\nP8 OK\r\n"},
        {"P9 UID STORE 9 +FLAGS.SILENT (\\Seen \\Flagged $Label)", "P9 OK\r\n"},
        {"P10 UID MOVE 9 \"x\"", "P10 NO [TRYCREATE] none\r\n"},
        {"P11 CREATE \"x\"", "P11 OK\r\n"},
        {"P12 SUBSCRIBE \"x\"", "P12 NO why\r\n"},
        {"P13 UID MOVE 9 \"x\"", "* OK [COPYUID 5 9 4] moved\r\n* 1 EXPUNGE\r\nP13 OK\r\n"},
        {"P14 UID SEARCH UID 9,12 HEADER Received \"0anz\"", "* SEARCH 12\r\nP14 OK\r\n"},
        {"P15 UID COPY 9 \"x\"", "* BYE tired\r\n"},
    };
    struct job job = {.run = look};

    (void)state;
    for (server.fed = 0; server.fed < 2; server.fed++) {
        job.done = false;
        PLAY(&job, script, true, "* OK hi\r\n");
        assert_true(job.open);
    }
    server.fed = 0;
}

static void move_by_hand(struct imap_client *client, struct arena *arena)
{
    struct imap_client_uid to;

    (void)arena;
    assert_int_equal(imap_client_move(client, 9, SLICE("x"), &to), IMAP_CLIENT_OK);
}

static void test_move_without_move(void **state)
{
    static const struct line script[] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1 UIDPLUS\r\nP1 OK\r\n"},
        {"P2 UID COPY 9 \"x\"", "P2 OK [COPYUID 5 9 4]\r\n"},
        {"P3 UID STORE 9 +FLAGS.SILENT (\\Deleted)", "P3 OK\r\n"},
        {"P4 UID EXPUNGE 9", "* 1 EXPUNGE\r\nP4 OK\r\n"},
    };
    struct job job = {.run = move_by_hand};

    (void)state;
    PLAY(&job, script, true, "* OK hi\r\n");
}

static const char content[] = "Subject: x\r\n\r\nhello\r\n";

static bool read_content(void *arg, uint64_t offset, struct slice *out)
{
    size_t most = *(size_t *)arg;

    if (offset >= most)
        return false;
    *out = slice_of(content + offset, 5 < most - offset ? 5 : most - offset);
    return true;
}

static size_t readable;
static struct imap_client_uid appended;

static void append(struct imap_client *client, struct arena *arena)
{
    struct imap_client_append a = {.raw = SLICE("Sent"),
                                   .flags = MAILBOX_SEEN,
                                   .internal_ms = 0,
                                   .size = sizeof content - 1,
                                   .read = read_content,
                                   .arg = &readable};

    (void)arena;
    answered = imap_client_append(client, &a, &appended);
}

static void test_append(void **state)
{
    static const struct line at_once[] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1 LITERAL+\r\nP1 OK\r\n"},
        {"P2 APPEND \"Sent\" (\\Seen) \" 1-Jan-1970 00:00:00 +0000\" {21+}", NULL},
        {"Subject: x", NULL},
        {"", NULL},
        {"hello", NULL},
        {"", "P2 OK [APPENDUID 1 2] done\r\n"},
    };
    static const struct line asked[] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n"},
        {"P2 APPEND \"Sent\" (\\Seen) \" 1-Jan-1970 00:00:00 +0000\" {21}", "+ go\r\n"},
        {"Subject: x", NULL},
        {"", NULL},
        {"hello", NULL},
        {"", "P2 OK done\r\n"},
    };
    static const struct line not [] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n"},
        {"P2 APPEND \"Sent\" (\\Seen) \" 1-Jan-1970 00:00:00 +0000\" {21}", "P2 NO [OVERQUOTA] full\r\n"},
    };
    static const struct line cut[] = {
        {"P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n"},
        {"P2 APPEND \"Sent\" (\\Seen) \" 1-Jan-1970 00:00:00 +0000\" {21}", "BYE"},
    };
    struct job job = {.run = append};

    (void)state;
    readable = sizeof content - 1;
    PLAY(&job, at_once, true, "* OK hi\r\n");
    assert_int_equal(answered, IMAP_CLIENT_OK);
    job.done = false;
    PLAY(&job, asked, true, "* OK hi\r\n");
    assert_int_equal(answered, IMAP_CLIENT_OK);
    job.done = false;
    PLAY(&job, not, true, "* OK hi\r\n");
    assert_int_equal(answered, IMAP_CLIENT_NO);
    job.done = false;
    PLAY(&job, cut, true, "* OK hi\r\n");
    assert_int_equal(answered, IMAP_CLIENT_LOST);
    readable = 10; /* then it cannot be read */
    job.done = false;
    serve_script(asked, 2, true, "* OK hi\r\n");
    play(&job);
    serve_no_more();
    assert_int_equal(answered, IMAP_CLIENT_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starttls_and_plain),
        cmocka_unit_test(test_implicit_tls_as_another),
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_servers_that_do_not_serve),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_move_without_move),
        cmocka_unit_test(test_append),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
