/*
 * The grammar of SMTP commands and addresses, by tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "protocols/smtp_parse.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void assert_slice(struct slice got, const char *expected, const char *input)
{
    if (!slice_equal(got, slice_str(expected)))
        fail_msg("%s: got \"%.*s\", expected \"%s\"", input, SLICE_ARG(got), expected);
}

static void assert_fault(const struct smtp_fault *fault, unsigned code, const char *enhanced, const char *input)
{
    if (!code && fault)
        fail_msg("%s: refused: %u %s %s", input, fault->code, fault->enhanced, fault->text);
    if (code && !fault)
        fail_msg("%s: accepted, expected %u", input, code);
    if (code && (fault->code != code || strcmp(fault->enhanced, enhanced) != 0))
        fail_msg("%s: got %u %s, expected %u %s", input, fault->code, fault->enhanced, code, enhanced);
}

/* ------------------------------------------------------------------ command lines */

static void test_command(void **state)
{
    static const struct {
        const char *line;
        enum smtp_verb verb;
        const char *arguments;
    } cases[] = {
        {"NOOP", SMTP_VERB_NOOP, ""},
        {"noop", SMTP_VERB_NOOP, ""},
        {"Mail FROM:<a@b>", SMTP_VERB_MAIL, "FROM:<a@b>"},
        {"MAIL  \tFROM:<a@b> \t ", SMTP_VERB_MAIL, "FROM:<a@b>"},
        {"QUIT   ", SMTP_VERB_QUIT, ""},
        {"AUTH PLAIN =", SMTP_VERB_AUTH, "PLAIN ="},
        {"DATA", SMTP_VERB_DATA, ""},
        {"EHLO x", SMTP_VERB_EHLO, "x"},
        {"HELO x", SMTP_VERB_HELO, "x"},
        {"EXPN list", SMTP_VERB_EXPN, "list"},
        {"HELP", SMTP_VERB_HELP, ""},
        {"RCPT TO:<x@y>", SMTP_VERB_RCPT, "TO:<x@y>"},
        {"RSET", SMTP_VERB_RSET, ""},
        {"STARTTLS", SMTP_VERB_STARTTLS, ""},
        {"VRFY x", SMTP_VERB_VRFY, "x"},
        {"", SMTP_VERB_UNKNOWN, ""},
        {" NOOP", SMTP_VERB_UNKNOWN, "NOOP"},
        {"NOOPS", SMTP_VERB_UNKNOWN, ""},
        {"NOO", SMTP_VERB_UNKNOWN, ""},
        {"GET / HTTP/1.1", SMTP_VERB_UNKNOWN, "/ HTTP/1.1"},
        {"STARTTLSX", SMTP_VERB_UNKNOWN, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_command command;
        assert_fault(smtp_parse_command(slice_str(cases[i].line), &command), 0, NULL, cases[i].line);
        assert_int_equal(command.verb, cases[i].verb);
        assert_slice(command.arguments, cases[i].arguments, cases[i].line);
    }
}

static void test_command_control(void **state)
{
    struct smtp_command command;
    (void)state;
    assert_fault(smtp_parse_command(SLICE("NOOP \0"), &command), 500, "5.5.2", "NUL");
    assert_fault(smtp_parse_command(SLICE("NO\0OP"), &command), 500, "5.5.2", "NUL inside");
    assert_fault(smtp_parse_command(SLICE("NOOP\rRSET"), &command), 500, "5.5.2", "CR");
    assert_fault(smtp_parse_command(SLICE("\x16\x03\x01"), &command), 500, "5.5.2", "a TLS hello");
    assert_fault(smtp_parse_command(SLICE("NOOP \x7f"), &command), 500, "5.5.2", "DEL");
}

/* ------------------------------------------------------------------ addresses */

static void test_path(void **state)
{
    static const struct {
        const char *path, *address; /* address NULL: refused */
    } cases[] = {
        {"<a@b>", "a@b"},
        {"<alice@Example.TEST>", "alice@example.test"},
        {"<Alice@example.test>", "Alice@example.test"},
        {"<a.b+c@x-y.example>", "a.b+c@x-y.example"},
        {"<!#$%&'*+-/=?^_`{|}~@a.b>", "!#$%&'*+-/=?^_`{|}~@a.b"},
        {"<\"abc\"@a.b>", "abc@a.b"},
        {"<\"a.b\"@a.b>", "a.b@a.b"},
        {"<\"a b\"@a.b>", "\"a b\"@a.b"},
        {"<\"a\\b\"@a.b>", "ab@a.b"},
        {"<\"a\\\"b\"@a.b>", "\"a\\\"b\"@a.b"},
        {"<\"\\\\\"@a.b>", "\"\\\\\"@a.b"},
        {"<\"a@b\"@a.b>", "\"a@b\"@a.b"},
        {"<\"<>\"@a.b>", "\"<>\"@a.b"},
        {"<\"\"@a.b>", "\"\"@a.b"},
        {"<\".a\"@a.b>", "\".a\"@a.b"},
        {"<@one,@two.example:c@d>", "c@d"},
        {"<@one:c@d>", "c@d"},
        {"<a@[192.0.2.1]>", "a@[192.0.2.1]"},
        {"<a@[IPv6:2001:DB8::1]>", "a@[ipv6:2001:db8::1]"},
        {"<a@[ipv6:::1]>", "a@[ipv6:::1]"},
        {"<a@my_host.example>", "a@my_host.example"},
        {"<a@1.example>", "a@1.example"},
        {"<>", NULL},
        {"a@b", NULL},
        {"<a@b", NULL},
        {"a@b>", NULL},
        {"<a>", NULL},
        {"<a@>", NULL},
        {"<@b>", NULL},
        {"<@>", NULL},
        {"<a@@b>", NULL},
        {"<a@b@c>", NULL},
        {"<a..b@c>", NULL},
        {"<.a@c>", NULL},
        {"<a.@c>", NULL},
        {"<a b@c>", NULL},
        {"< a@c>", NULL},
        {"<a@c >", NULL},
        {"<a@c.>", NULL},
        {"<a@.c>", NULL},
        {"<a@c..d>", NULL},
        {"<a@-c>", NULL},
        {"<a@c->", NULL},
        {"<a@c,d>", NULL},
        {"<a,b@c>", NULL},
        {"<\"a@b>", NULL},
        {"<\"a\\\"@b>", NULL},
        {"<\"a\"b@c>", NULL},
        {"<\"a\tb\"@c>", NULL},
        {"<j\xfcrgen@example.test>", NULL}, /* Latin-1 */
        {"<a@[192.0.2.256]>", NULL},
        {"<a@[192.0.2]>", NULL},
        {"<a@[2001:db8::1]>", NULL},
        {"<a@[IPv6:2001:db8::1::2]>", NULL},
        {"<a@[IPv6:fe80::1%eth0]>", NULL},
        {"<a@[x400:c=us]>", NULL},
        {"<a@[]>", NULL},
        {"<a@[192.0.2.1>", NULL},
        {"<@one,two:c@d>", NULL},
        {"<@one,:c@d>", NULL},
        {"<@one c@d>", NULL},
        {"<\"a\"@b>c", NULL},
        {"<<a@b>>", NULL},
        {"<a@b><c@d>", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct envelope_rcpt envelope;
        struct smtp_path path;
        const char *line = arena_printf(arena, "TO:%s", cases[i].path);
        const struct smtp_fault *fault = smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope);
        assert_fault(fault, cases[i].address ? 0 : 501, "5.1.3", line);
        if (!fault)
            assert_slice(path.address, cases[i].address, line);
    }
}

/* RFC 6531 3.3: the local part as it came, the domain in A-labels; 553 where MAIL had no SMTPUTF8 (3.5). */
static void test_international(void **state)
{
    static const struct {
        const char *path, *address; /* NULL: no address at all */
    } cases[] = {
        {"<J\xc3\xbcrgen@example.test>", "J\xc3\xbcrgen@example.test"},
        {"<\"j\xc3\xbcrgen\"@example.test>", "j\xc3\xbcrgen@example.test"},
        {"<\"j\xc3\xbc rgen\"@example.test>", "\"j\xc3\xbc rgen\"@example.test"},
        {"<a@B\xc3\x9c"
         "cher.Example>",
         "a@xn--bcher-kva.example"},
        {"<@b\xc3\xbc"
         "cher.example:j\xc3\xbc@x>",
         "j\xc3\xbc@x"},
        {"<j\xc3\xbc@[192.0.2.1]>", "j\xc3\xbc@[192.0.2.1]"},
        {"<j\xfc@x>", NULL},
        {"<j\xc3@x>", NULL},
        {"<j\xc0\xaf@x>", NULL},
        {"<j\xed\xa0\x80@x>", NULL},
        {"<\"\\\xc3\xbc\"@x>", NULL}, /* quoted-pairSMTP is ASCII */
        {"<a@-\xc3\xbc>", NULL},
        {"<a@\xe2\x80\xae.test>", NULL},
        {"<a@b\xe3\x80\x82"
         "c>",
         NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct envelope_rcpt envelope;
        struct smtp_path path;
        const char *line = arena_printf(arena, "TO:%s", cases[i].path);
        const struct smtp_fault *fault = smtp_parse_rcpt(arena, slice_str(line), true, &path, &envelope);
        assert_fault(fault, cases[i].address ? 0 : 501, "5.1.3", line);
        if (!fault)
            assert_slice(path.address, cases[i].address, line);
        if (!fault)
            assert_fault(smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope), path.international ? 553 : 0,
                         "5.6.7", line);
    }
    assert_null(smtp_parse_vrfy(SLICE("j\xc3\xbcrgen SMTPUTF8")));
    assert_null(smtp_parse_vrfy(SLICE("joe")));
    assert_non_null(smtp_parse_vrfy(SLICE("j\xfcrgen")));
    assert_non_null(smtp_parse_vrfy(SLICE("SMTPUTF8")));
    assert_non_null(smtp_parse_vrfy(SLICE("")));
    assert_false(smtp_is_domain(SLICE("b\xc3\xbc"
                                      "cher.example")));
}

static void test_path_parts(void **state)
{
    struct envelope_rcpt envelope;
    struct smtp_path path;
    (void)state;
    assert_null(smtp_parse_rcpt(arena, SLICE("TO:<@x:\"A b\"@Example.TEST>"), false, &path, &envelope));
    assert_slice(path.local, "\"A b\"", "local part");
    assert_slice(path.domain, "example.test", "domain");
    assert_false(path.literal);
    assert_null(smtp_parse_rcpt(arena, SLICE("TO:<a@[127.0.0.1]>"), false, &path, &envelope));
    assert_slice(path.domain, "[127.0.0.1]", "literal");
    assert_true(path.literal);
}

static void test_path_limits(void **state)
{
    char label[65], domain[300] = "", line[800];
    struct envelope_rcpt envelope;
    struct smtp_path path;
    (void)state;

    memset(label, 'l', 64);
    label[63] = '\0';
    snprintf(line, sizeof(line), "TO:<a@%s>", label);
    assert_fault(smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope), 0, NULL, "label of 63");
    label[63] = 'l';
    label[64] = '\0';
    snprintf(line, sizeof(line), "TO:<a@%s>", label);
    assert_fault(smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope), 501, "5.1.3", "label of 64");

    for (unsigned i = 0; i < 127; i++)
        strcat(domain, "a.");
    strcat(domain, "a");
    assert_int_equal(strlen(domain), 255);
    snprintf(line, sizeof(line), "TO:<a@%s>", domain);
    assert_fault(smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope), 0, NULL, "domain of 255");
    snprintf(line, sizeof(line), "TO:<a@%sb>", domain);
    assert_fault(smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope), 501, "5.1.3", "domain of 256");

    snprintf(line, sizeof(line), "TO:<%s%s%s@b>", label, label, label);
    assert_fault(smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope), 0, NULL, "local part of 192");
}

/* ------------------------------------------------------------------ MAIL, RCPT and their parameters */

static void test_mail(void **state)
{
    static const struct {
        const char *arguments;
        bool auth;
        unsigned code;
        const char *enhanced, *address;
        uint64_t size;
        bool eight_bit;
    } cases[] = {
        {"FROM:<>", false, 0, NULL, "", 0, false},
        {"from:<a@b>", false, 0, NULL, "a@b", 0, false},
        {"FROM: <a@b>", false, 0, NULL, "a@b", 0, false},
        {"FROM:<a@b> SIZE=0", false, 0, NULL, "a@b", 0, false},
        {"FROM:<a@b> SIZE=1000 BODY=8BITMIME", false, 0, NULL, "a@b", 1000, true},
        {"FROM:<a@b>  body=7bit\tsize=5", false, 0, NULL, "a@b", 5, false},
        {"FROM:<a@b> SIZE=18446744073709551615", false, 0, NULL, "a@b", UINT64_MAX, false},
        {"FROM:<a@b> SIZE=18446744073709551616", false, 0, NULL, "a@b", UINT64_MAX, false},
        {"FROM:<a@b> SIZE=99999999999999999999", false, 0, NULL, "a@b", UINT64_MAX, false},
        {"FROM:<a@b> SIZE=00000000000000000007", false, 0, NULL, "a@b", 7, false},
        {"FROM:<a@b> AUTH=<>", true, 0, NULL, "a@b", 0, false},
        {"FROM:<a@b> AUTH=e+3Dmc2@example.com", true, 0, NULL, "a@b", 0, false},
        {"FROM:<> BODY=8BITMIME", false, 0, NULL, "", 0, true},
        {"", false, 501, "5.5.4", NULL, 0, false},
        {"<a@b>", false, 501, "5.5.4", NULL, 0, false},
        {"TO:<a@b>", false, 501, "5.5.4", NULL, 0, false},
        {"FROM <a@b>", false, 501, "5.5.4", NULL, 0, false},
        {"FROM :<a@b>", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:", false, 501, "5.1.7", NULL, 0, false},
        {"FROM:a@b", false, 501, "5.1.7", NULL, 0, false},
        {"FROM:<a@b>SIZE=1", false, 501, "5.1.7", NULL, 0, false},
        {"FROM:<>BODY=7BIT", false, 501, "5.1.7", NULL, 0, false},
        {"FROM:<a@b> SIZE", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> SIZE=", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> SIZE=-1", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> SIZE=1k", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> SIZE=123456789012345678901", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> SIZE=1 SIZE=2", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> SIZE=1=2", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> BODY", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> BODY=BINARY", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> BODY=binaryMIME", false, 0, NULL, "a@b", 0, false},
        {"FROM:<a@b> AUTH=<>", false, 555, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> AUTH", true, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> AUTH=+3", true, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> AUTH=+zz", true, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> RET=HDRS ENVID=a+2Bb SIZE=5", false, 0, NULL, "a@b", 5, false},
        {"FROM:<a@b>RET=HDRS", false, 501, "5.1.7", NULL, 0, false},
        {"FROM:<a@b> SMTPUTF8", false, 0, NULL, "a@b", 0, false},
        {"FROM:<a@b> SMTPUTF8=yes", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<\xc3\xa9@B\xc3\xbc"
         "cher.test> SIZE=1 SMTPUTF8",
         false, 0, NULL, "\xc3\xa9@xn--bcher-kva.test", 1, false},
        {"FROM:<\xc3\xa9@b>", false, 550, "5.6.7", NULL, 0, false},
        {"FROM:<a@b\xc3\xbc"
         "cher.test>",
         false, 550, "5.6.7", NULL, 0, false},
        {"FROM:<a@b> <c@d>", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> -x=1", false, 501, "5.5.4", NULL, 0, false},
        {"FROM:<a@b> SIZE=1\xc3\xa4", false, 501, "5.5.4", NULL, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_mail mail;
        const char *line = cases[i].arguments;
        const struct smtp_fault *fault = smtp_parse_mail(arena, slice_str(line), cases[i].auth, &mail);
        assert_fault(fault, cases[i].code, cases[i].enhanced, line);
        if (fault)
            continue;
        assert_non_null(mail.sender.address.p);
        assert_slice(mail.sender.address, cases[i].address, line);
        assert_true(mail.size == cases[i].size);
        assert_int_equal(mail.eight_bit, cases[i].eight_bit);
    }
}

static void test_bdat(void **state)
{
    static const struct {
        const char *arguments;
        bool good;
        uint64_t size;
        bool last;
    } cases[] = {
        {"0", true, 0, false},         {"86 LAST", true, 86, true},
        {"86\t last", true, 86, true}, {"18446744073709551616 LAST", true, UINT64_MAX, true},
        {"", false, 0, false},         {"LAST", false, 0, false},
        {"-1", false, 0, false},       {"1k", false, 0, false},
        {"86LAST", false, 0, false},   {"86 LAST LAST", false, 0, false},
        {"86 FIRST", false, 0, false}, {"123456789012345678901", false, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_bdat bdat;
        const struct smtp_fault *fault = smtp_parse_bdat(slice_str(cases[i].arguments), &bdat);
        assert_fault(fault, cases[i].good ? 0 : 501, cases[i].good ? NULL : "5.5.4", cases[i].arguments);
        if (fault)
            continue;
        assert_true(bdat.size == cases[i].size);
        assert_int_equal(bdat.last, cases[i].last);
    }
}

static void test_rcpt(void **state)
{
    static const struct {
        const char *arguments;
        unsigned code;
        const char *enhanced, *address;
    } cases[] = {
        {"TO:<a@b>", 0, NULL, "a@b"},
        {"to: <a@b>", 0, NULL, "a@b"},
        {"TO:<Postmaster>", 0, NULL, "postmaster"},
        {"TO:<POSTMASTER>", 0, NULL, "postmaster"},
        {"TO:<Postmaster@Example.Test>", 0, NULL, "Postmaster@example.test"},
        {"", 501, "5.5.4", NULL},
        {"FROM:<a@b>", 501, "5.5.4", NULL},
        {"TO:", 501, "5.1.3", NULL},
        {"TO:<>", 501, "5.1.3", NULL},
        {"TO:<abuse>", 501, "5.1.3", NULL},
        {"TO:<a@b>x", 501, "5.1.3", NULL},
        {"TO:<a@b> NOTIFY=NEVER", 0, NULL, "a@b"},
        {"TO:<Postmaster> ORCPT=rfc822;Postmaster notify=failure", 0, NULL, "postmaster"},
        {"TO:<a@b>NOTIFY=NEVER", 501, "5.1.3", NULL},
        {"TO:<a@b> SIZE=5", 555, "5.5.4", NULL},
        {"TO:<a@b> <c@d>", 501, "5.5.4", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct envelope_rcpt envelope;
        struct smtp_path path;
        const char *line = cases[i].arguments;
        const struct smtp_fault *fault = smtp_parse_rcpt(arena, slice_str(line), false, &path, &envelope);
        assert_fault(fault, cases[i].code, cases[i].enhanced, line);
        if (!fault)
            assert_slice(path.address, cases[i].address, line);
    }
}

/* ------------------------------------------------------------------ EHLO and AUTH */

static void test_helo(void **state)
{
    static const struct {
        const char *arguments;
        unsigned code;
    } cases[] = {
        {"client.example", 0},
        {"[192.0.2.1]", 0},
        {"my_pc", 0},
        {"(odd)", 0},
        {"", 501},
        {"two words", 501},
        {"b\xc3\xbc"
         "cher",
         501},
    };
    struct slice name;
    char line[300];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_fault(smtp_parse_helo(slice_str(cases[i].arguments), &name), cases[i].code, "5.5.4", cases[i].arguments);
    memset(line, 'x', sizeof(line));
    assert_fault(smtp_parse_helo(slice_of(line, 255), &name), 0, NULL, "255 letters");
    assert_fault(smtp_parse_helo(slice_of(line, 256), &name), 501, "5.5.4", "256 letters");
}

static void test_auth(void **state)
{
    static const struct {
        const char *arguments;
        unsigned code;
        const char *mechanism, *initial; /* initial NULL: none */
    } cases[] = {
        {"PLAIN", 0, "PLAIN", NULL},  {"scram-sha-256", 0, "scram-sha-256", NULL},
        {"PLAIN =", 0, "PLAIN", "="}, {"PLAIN AGEAYg==", 0, "PLAIN", "AGEAYg=="},
        {"", 501, NULL, NULL},        {"PLAIN a b", 501, NULL, NULL},
        {"PLAIN/2", 501, NULL, NULL}, {"ABCDEFGHIJKLMNOPQRSTU", 501, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_auth auth;
        const char *line = cases[i].arguments;
        const struct smtp_fault *fault = smtp_parse_auth(slice_str(line), &auth);
        assert_fault(fault, cases[i].code, "5.5.4", line);
        if (fault)
            continue;
        assert_slice(auth.mechanism, cases[i].mechanism, line);
        assert_int_equal(auth.initial.p != NULL, cases[i].initial != NULL);
        if (cases[i].initial)
            assert_slice(auth.initial, cases[i].initial, line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_command_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_path_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_international, setup, teardown),
        cmocka_unit_test_setup_teardown(test_path_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mail, setup, teardown),
        cmocka_unit_test(test_bdat),
        cmocka_unit_test_setup_teardown(test_rcpt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_helo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
