/*
 * dsn: a known answer, whole; then hostile input, of which no byte may break the form.
 *
 * That mail programs understand it is shown end to end, by Python's email package (tests/e2e/test_delivery.py).
 */
#define _GNU_SOURCE 1 /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/dsn.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 22);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct dsn sample(const struct dsn_recipient *recipients, unsigned count, struct slice header)
{
    return (struct dsn){
        .reporting_mta = SLICE("mail.test"),
        .sender = SLICE("ann@a.test"),
        .client = "192.0.2.7",
        .helo = "relay.a.test",
        .message_id = 1,
        .dsn_id = 2,
        .arrival_ms = 0,
        .now_ms = 86400000,
        .recipients = recipients,
        .count = count,
        .header = header,
    };
}

/* Whole; what stands for the message that is returned is the caller's. */
static struct slice build(const struct dsn *dsn)
{
    struct dsn_text text = dsn_build(arena, dsn);

    return slice_str(arena_printf(arena, "%.*s%.*s", SLICE_ARG(text.head), SLICE_ARG(text.tail)));
}

static void test_known_answer(void **state)
{
    static const struct dsn_recipient recipients[] = {
        {.address = {"bob@b.test", 10},
         .status = {"5.1.1", 5},
         .diagnostic = {"550 5.1.1 no such user", 22},
         .remote = {"mx.b.test", 9},
         .attempt_ms = 3600000},
        {.address = {"eve@e.test", 10}, .status = {"4.4.7", 5}, .diagnostic = {"delivery time expired", 21}},
    };
    static const char answer[] = "From: Mail Delivery System <MAILER-DAEMON@mail.test>\r\n"
                                 "To: <ann@a.test>\r\n"
                                 "Subject: Undelivered mail returned to sender\r\n"
                                 "Date: Fri, 02 Jan 1970 00:00:00 +0000\r\n"
                                 "Message-ID: <0000000000002@mail.test>\r\n"
                                 "Auto-Submitted: auto-replied\r\n"
                                 "MIME-Version: 1.0\r\n"
                                 "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                                 " boundary=\"=_0000000000002.0000000000001\"\r\n"
                                 "\r\n"
                                 "This is a delivery report in MIME format (RFC 6522).\r\n"
                                 "\r\n"
                                 "--=_0000000000002.0000000000001\r\n"
                                 "Content-Type: text/plain; charset=us-ascii\r\n"
                                 "\r\n"
                                 "This is the mail system at mail.test.\r\n"
                                 "\r\n"
                                 "Your message could not be delivered to the recipients below. It has been given up\r\n"
                                 "and will not be tried again. The header of your message is attached.\r\n"
                                 "\r\n"
                                 "  Recipient: bob@b.test\r\n"
                                 "  Refused by: mx.b.test\r\n"
                                 "  Reason: 550 5.1.1 no such user\r\n"
                                 "\r\n"
                                 "  Recipient: eve@e.test\r\n"
                                 "  Reason: delivery time expired\r\n"
                                 "\r\n"
                                 "The message is known here as 0000000000001.\r\n"
                                 "\r\n"
                                 "--=_0000000000002.0000000000001\r\n"
                                 "Content-Type: message/delivery-status\r\n"
                                 "\r\n"
                                 "Reporting-MTA: dns; mail.test\r\n"
                                 "Received-From-MTA: dns; relay.a.test (192.0.2.7)\r\n"
                                 "Arrival-Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"
                                 "\r\n"
                                 "Final-Recipient: rfc822; bob@b.test\r\n"
                                 "Action: failed\r\n"
                                 "Status: 5.1.1\r\n"
                                 "Remote-MTA: dns; mx.b.test\r\n"
                                 "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
                                 "Last-Attempt-Date: Thu, 01 Jan 1970 01:00:00 +0000\r\n"
                                 "\r\n"
                                 "Final-Recipient: rfc822; eve@e.test\r\n"
                                 "Action: failed\r\n"
                                 "Status: 4.4.7\r\n"
                                 "Diagnostic-Code: x-posthouse; delivery time expired\r\n"
                                 "\r\n"
                                 "--=_0000000000002.0000000000001\r\n"
                                 "Content-Type: text/rfc822-headers\r\n"
                                 "\r\n"
                                 "Subject: hello\r\n"
                                 "To: bob@b.test\r\n"
                                 "\r\n"
                                 "--=_0000000000002.0000000000001--\r\n";
    struct dsn dsn = sample(recipients, 2, SLICE("Subject: hello\r\nTo: bob@b.test\r\n\r\nThe body.\r\n"));
    struct slice built = build(&dsn);

    (void)state;
    assert_string_equal(arena_slicedup(arena, built), answer);
}

static bool contains(struct slice text, const char *words)
{
    return memmem(text.p, text.n, words, strlen(words)) != NULL;
}

/* 7-bit, CRLF only, lines of at most 998. */
static void assert_wire_form(struct slice text)
{
    size_t column = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\r') {
            assert_true(i + 1 < text.n && text.p[i + 1] == '\n');
            column = 0;
            i++;
            continue;
        }
        assert_true(text.p[i] == '\t' || (text.p[i] >= ' ' && text.p[i] <= '~'));
        assert_true(++column <= 998);
    }
    assert_int_equal(column, 0);
}

static void test_header_that_is_not_plain(void **state)
{
    static const struct {
        struct slice header;
        const char *expected;
    } table[] = {
        {{"Subject: gr\xc3\xbc\xc3\x9f\r\n\r\n", 20}, "Subject: gr=C3=BC=C3=9F\r\n"},
        {{"Subject: a=b\x01 \r\n\r\n", 18}, "Subject: a=3Db=01=20\r\n"},
        {{"A: b\nC: d\n\nbody", 15}, "A: b=0AC: d=0A\r\n"},
        {{"A: \0\r\r\n", 7}, "A: =00=0D\r\n"},
        {{"no end", 6}, "no end\r\n"},
        {{"", 0}, "\r\n"},
    };
    struct dsn_recipient recipient = {
        .address = SLICE("b@b.test"), .status = SLICE("5.0.0"), .diagnostic = SLICE("no")};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct dsn dsn = sample(&recipient, 1, table[i].header);
        struct slice built = build(&dsn);

        assert_wire_form(built);
        assert_true(contains(built, table[i].expected));
        assert_false(contains(built, "body"));
    }
}

static void test_hostile_words(void **state)
{
    static char long_word[5000], long_header[70000];
    struct dsn_recipient recipients[] = {
        {.address = SLICE("a\r\nBcc: x@y.test"), .status = SLICE("5.0.0"), .diagnostic = SLICE("no\r\n\r\n--=_evil")},
        {.address = slice_of(long_word, sizeof long_word),
         .status = SLICE("5.0.0"),
         .diagnostic = slice_of(long_word, sizeof long_word),
         .remote = SLICE("mx\nX: y")},
        {.address = SLICE("\xff\xfe\x00@b.test"), .status = SLICE("5.0.0"), .diagnostic = SLICE("")},
    };
    struct dsn dsn;
    struct slice built;

    (void)state;
    memset(long_word, 'w', sizeof long_word);
    memset(long_header, 'h', sizeof long_header);
    dsn = sample(recipients, 3, slice_of(long_header, sizeof long_header));
    dsn.sender = SLICE("ann\r\nX-Evil: yes@a.test");
    built = build(&dsn);
    assert_wire_form(built);
    assert_false(contains(built, "\r\nBcc"));
    assert_false(contains(built, "\r\nX-Evil"));
    assert_false(contains(built, "\r\n--=_evil"));
    assert_in_range(built.n, 1, 3 * 70000);
}

static void test_long_diagnostics_are_folded(void **state)
{
    struct slice words = slice_str(arena_printf(arena, "550 %0*d %0*d %0*d", 60, 1, 60, 2, 60, 3));
    struct dsn_recipient recipient = {
        .address = SLICE("b@b.test"), .status = SLICE("5.0.0"), .diagnostic = words, .remote = SLICE("mx.test")};
    struct dsn dsn = sample(&recipient, 1, SLICE("A: b\r\n"));
    struct slice built = build(&dsn);

    (void)state;
    assert_true(contains(built, "Diagnostic-Code: smtp; 550\r\n 000"));
    assert_wire_form(built);
}

/* RFC 3464 2.2.4 and 2.3.8. */
static void test_where_it_came_from(void **state)
{
    static const struct {
        const char *client, *helo, *field;
    } table[] = {
        {"2001:db8::1", "[IPv6:2001:db8::1]", "Received-From-MTA: dns; [IPv6:2001:db8::1] (2001:db8::1)\r\n"},
        {"192.0.2.1", "a.test (b) c", NULL},
        {"192.0.2.1", "a.test\r\nX-Evil: yes", NULL},
        {"192.0.2.1", "", NULL},
        {"192.0.2.1", NULL, NULL},
        {NULL, "a.test", NULL},
    };
    struct dsn_recipient recipient = {.address = SLICE("b@b.test"), .status = SLICE("2.1.5")};
    struct dsn dsn = sample(&recipient, 1, SLICE("A: b\r\n"));

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        dsn.client = table[i].client;
        dsn.helo = table[i].helo;
        struct slice built = build(&dsn);

        assert_int_equal(contains(built, "Received-From-MTA"), table[i].field != NULL);
        assert_true(!table[i].field || contains(built, table[i].field));
        assert_false(contains(built, "X-Evil") || contains(built, "Final-Log-ID"));
    }
    dsn.action = DSN_DELIVERED;
    assert_true(contains(build(&dsn), "Status: 2.1.5\r\nFinal-Log-ID: 0000000000001\r\n"));
}

/* RFC 6533: types and addresses; in ASCII but for the address that it goes to. */
static void test_utf8(void **state)
{
    static const struct dsn_recipient recipients[] = {
        {.address = {"\xce\xb4@xn--bcher-kva.test", 21},
         .status = {"5.6.7", 5},
         .original = {"utf-8;\\x{3B4}\\x{2B}x@b.test", 27}},
        {.address = {"ann@xn--bcher-kva.test", 22}, .status = {"5.1.1", 5}},
    };
    struct dsn dsn = sample(recipients, 2, SLICE("Subject: \xce\xb4\r\n\r\n"));
    struct slice text;

    (void)state;
    dsn.utf8 = true;
    text = build(&dsn);
    for (size_t i = 0; i < text.n; i++)
        assert_true((unsigned char)text.p[i] < 0x80);
    assert_true(
        contains(text, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"));
    assert_true(
        contains(text, "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: quoted-printable"));
    assert_true(contains(text, "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: quoted-printable"));
    assert_true(contains(text, "Original-Recipient: utf-8; =CE=B4+x@b.test\r\n"));
    assert_true(contains(text, "Final-Recipient: utf-8; =CE=B4@b=C3=BCcher.test\r\n"));
    assert_true(contains(text, "Final-Recipient: rfc822; ann@xn--bcher-kva.test\r\n"));
    dsn.sender = SLICE("\xce\xb4@xn--bcher-kva.test");
    dsn.content = SLICE("Subject: \xce\xb4\r\n\r\n\xce\xb4\r\n");
    text = build(&dsn);
    assert_true(contains(text, "To: <\xce\xb4@b\xc3\xbc"
                               "cher.test>\r\n"));
    assert_true(contains(text, "Content-Type: message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                               "Subject: =CE=B4\r\n\r\n=CE=B4\r\n"));
    /* Where there is nothing but ASCII the types are the old ones. */
    dsn = sample(recipients + 1, 1, SLICE("Subject: x\r\n\r\n"));
    text = build(&dsn);
    assert_true(contains(text, "Content-Type: message/delivery-status\r\n\r\n"));
    assert_true(contains(text, "Content-Type: text/rfc822-headers\r\n\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_known_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(test_where_it_came_from, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_that_is_not_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_diagnostics_are_folded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
