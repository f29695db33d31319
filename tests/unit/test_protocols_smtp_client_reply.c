/*
 * smtp_client_reply: what servers answer, well-formed and not; and the body encoder, whole and byte by byte.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/smtp_client_body.h"
#include "protocols/smtp_client_reply.h"

/* lines: separated by '\n' */
static enum smtp_client_step feed(struct smtp_client_reply *reply, const char *lines)
{
    enum smtp_client_step step = SMTP_CLIENT_GARBAGE;

    smtp_client_reply_init(reply);
    for (const char *at = lines, *end;; at = end + 1) {
        end = strchrnul(at, '\n');
        step = smtp_client_reply_line(reply, slice_of(at, (size_t)(end - at)));
        if (!*end || step != SMTP_CLIENT_MORE)
            return step;
    }
}

static void test_replies(void **state)
{
    static const struct {
        const char *lines;
        enum smtp_client_step step;
        unsigned code;
        const char *enhanced, *text;
    } table[] = {
        {"250 2.1.5 Ok", SMTP_CLIENT_DONE, 250, "2.1.5", "250 2.1.5 Ok"},
        {"250", SMTP_CLIENT_DONE, 250, "", "250"},
        {"250 ", SMTP_CLIENT_DONE, 250, "", "250"},
        {"354 go on", SMTP_CLIENT_DONE, 354, "", "354 go on"},
        {"250-one\n250 two", SMTP_CLIENT_DONE, 250, "", "250 one two"},
        {"550-5.1.1 no\n550 5.1.1 such user", SMTP_CLIENT_DONE, 550, "5.1.1", "550 5.1.1 no 5.1.1 such user"},
        {"550-not here\n550 5.1.1 gone", SMTP_CLIENT_DONE, 550, "5.1.1", "550 not here 5.1.1 gone"},
        {"250-", SMTP_CLIENT_MORE, 250, "", "250"},
        {"550 5.12.345 x", SMTP_CLIENT_DONE, 550, "5.12.345", "550 5.12.345 x"},
        {"550 5.1.1", SMTP_CLIENT_DONE, 550, "5.1.1", "550 5.1.1"},
        {"550 4.1.1 class differs", SMTP_CLIENT_DONE, 550, "", "550 4.1.1 class differs"},
        {"550 5.1 x", SMTP_CLIENT_DONE, 550, "", "550 5.1 x"},
        {"550 5.1.1234 x", SMTP_CLIENT_DONE, 550, "", "550 5.1.1234 x"},
        {"550 5.1.1x", SMTP_CLIENT_DONE, 550, "", "550 5.1.1x"},
        {"354 3.0.0 x", SMTP_CLIENT_DONE, 354, "", "354 3.0.0 x"},
        {"550 caf\xc3\xa9\tx\x01\x7f", SMTP_CLIENT_DONE, 550, "", "550 caf?? x??"},
        {"250-one\n251 two", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"250-one\nhello", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"25", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"2500 x", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"250x", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"150 x", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"650 x", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"269 x", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"2a0 x", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {" 250 x", SMTP_CLIENT_GARBAGE, 0, "", ""},
        {"HTTP/1.1 400 Bad Request", SMTP_CLIENT_GARBAGE, 0, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct smtp_client_reply reply;

        assert_int_equal(feed(&reply, table[i].lines), table[i].step);
        if (table[i].step == SMTP_CLIENT_GARBAGE)
            continue;
        assert_int_equal(reply.code, table[i].code);
        assert_string_equal(reply.text, table[i].text);
        assert_int_equal(reply.text_size, strlen(table[i].text));
        assert_true(slice_equal(reply.enhanced, slice_str(table[i].enhanced)));
    }
}

static void test_long_replies_are_bounded(void **state)
{
    struct smtp_client_reply reply;
    char line[3000];
    unsigned lines = 1;

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "250-", 4);
    smtp_client_reply_init(&reply);
    while (smtp_client_reply_line(&reply, slice_of(line, sizeof line)) == SMTP_CLIENT_MORE)
        lines++;
    assert_int_equal(lines, SMTP_CLIENT_LINES_MAX);
    assert_int_equal(reply.text_size, SMTP_CLIENT_TEXT_MAX);
    assert_int_equal(reply.text[SMTP_CLIENT_TEXT_MAX], '\0');
}

static void test_features(void **state)
{
    static const char *const lines[] = {"250-PIPELINING is our name",
                                        "250-pipelining",
                                        "250-SIZE 1000",
                                        "250-8bitmime",
                                        "250-STARTTLS",
                                        "250-X-STARTTLS",
                                        "250 HELP"};
    struct smtp_client_features f = {0};

    (void)state;
    smtp_client_features_line(&f, 0, slice_str(lines[0]));
    assert_false(f.pipelining);
    for (unsigned i = 1; i < 7; i++)
        smtp_client_features_line(&f, i, slice_str(lines[i]));
    assert_true(f.pipelining && f.eight_bit && f.starttls && f.size);
    assert_int_equal(f.size_max, 1000);
    smtp_client_features_line(&f, 1, SLICE("250-SIZE"));
    assert_int_equal(f.size_max, 0);
    smtp_client_features_line(&f, 1, SLICE("250-SIZE 99999999999999999999999"));
    assert_int_equal(f.size_max, 0);
    smtp_client_features_line(&f, 1, SLICE("250-SIZE lots"));
    assert_int_equal(f.size_max, 0);
    smtp_client_features_line(&f, 1, SLICE("25"));
    assert_int_equal(f.envelope, 0);
    smtp_client_features_line(&f, 1, SLICE("250-deliverby 240"));
    assert_int_equal(f.envelope, ENVELOPE_DELIVERBY);
    assert_int_equal(f.by_min, 240);
    smtp_client_features_line(&f, 1, SLICE("250-DELIVERBY"));
    assert_int_equal(f.by_min, 0);
    smtp_client_features_line(&f, 1, SLICE("250-MT-PRIORITY MIXER"));
    assert_int_equal(f.envelope, ENVELOPE_DELIVERBY | ENVELOPE_MT_PRIORITY);
    assert_false(f.chunking);
    smtp_client_features_line(&f, 1, SLICE("250 chunking"));
    assert_true(f.chunking);
}

static void test_limits(void **state)
{
    struct smtp_client_features f = {0};

    (void)state;
    smtp_client_features_line(&f, 1, SLICE("250-LIMITS RCPTMAX=20 mailmax=5  RcptDomainMax=1 OTHER=3 RCPT"));
    assert_int_equal(f.recipients_max, 20);
    assert_int_equal(f.mail_max, 5);
    assert_int_equal(f.domains_max, 1);
    smtp_client_features_line(&f, 1,
                              SLICE("250-LIMITS RCPTMAX=99999999999999999999 MAILMAX=4294967296 RCPTDOMAINMAX=x"));
    assert_int_equal(f.recipients_max, 0);
    assert_int_equal(f.mail_max, UINT32_MAX);
    assert_int_equal(f.domains_max, 0);
    f.mail_max = f.recipients_max = 7;
    smtp_client_features_line(&f, 1, SLICE("250-LIMITS RCPTMAX=0 MAILMAX=007 RCPTDOMAINMAX="));
    assert_int_equal(f.recipients_max, 0);
    assert_int_equal(f.mail_max, 0);
    smtp_client_features_line(&f, 1, SLICE("250-LIMITS"));
    smtp_client_features_line(&f, 1, SLICE("250-LIMITS ="));
}

static void encode(const char *in, size_t step, bool chunked, char *out)
{
    struct smtp_client_body body = {.chunked = chunked};
    size_t n = strlen(in), at = 0;

    for (size_t i = 0; i < n; i += step) {
        size_t piece = n - i < step ? n - i : step;
        size_t made = smtp_client_body_encode(&body, slice_of(in + i, piece), out + at);

        assert_in_range(made, 0, 2 * piece + 2);
        at += made;
    }
    at += smtp_client_body_end(&body, out + at);
    out[at] = '\0';
}

static void test_bodies(void **state)
{
    static const struct {
        const char *in, *out;
    } table[] = {
        {"", ".\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a", "a\r\n.\r\n"},
        {".", "..\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {"a\r\n.b\r\nc.\r\n", "a\r\n..b\r\nc.\r\n.\r\n"},
        {"a\r\n..\r\n", "a\r\n...\r\n.\r\n"},
        {"\r\n", "\r\n.\r\n"},
        /* smuggling: no form of a bare line end reaches the next hop as one */
        {"a\n.\r\nMAIL", "a\r\n..\r\nMAIL\r\n.\r\n"},
        {"a\n.\nMAIL", "a\r\n..\r\nMAIL\r\n.\r\n"},
        {"a\r\n.\nMAIL", "a\r\n..\r\nMAIL\r\n.\r\n"},
        {"a\r.\r\n", "a .\r\n.\r\n"},
        {"a\r.\rMAIL", "a . MAIL\r\n.\r\n"},
        {"a\r\r\nb", "a \r\nb\r\n.\r\n"},
        {"a\r", "a\r\n.\r\n"},
    };
    char out[100];

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (size_t step = 1; step < 12; step++) {
            encode(table[i].in, step, false, out);
            assert_string_equal(out, table[i].out);
        }
}

static size_t counted(const char *in, size_t step, bool *clean)
{
    struct smtp_client_body_size size = {0};
    size_t n = strlen(in);

    for (size_t i = 0; i < n; i += step)
        smtp_client_body_count(&size, slice_of(in + i, n - i < step ? n - i : step));
    return smtp_client_body_counted(&size, clean);
}

/* BDAT: the same lines, without dots of its own. */
static void test_chunked_bodies(void **state)
{
    static const struct {
        const char *in, *out;
    } table[] = {
        {"", ""},
        {"a\r\n", "a\r\n"},
        {"a", "a\r\n"},
        {".\r\n..\r\n.a", ".\r\n..\r\n.a\r\n"},
        {"a\n.\rb\r\r\n", "a\r\n. b \r\n"},
        {"a\r", "a\r\n"},
        {"\r\n\r\n", "\r\n\r\n"},
        {"\r\r\n\n\r", " \r\n\r\n\r\n"},
    };
    char out[100];
    bool clean;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (size_t step = 1; step < 12; step++) {
            encode(table[i].in, step, true, out);
            assert_string_equal(out, table[i].out);
            assert_int_equal(counted(table[i].in, step, &clean), strlen(out));
            assert_int_equal(clean, strcmp(table[i].in, out) == 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies), cmocka_unit_test(test_long_replies_are_bounded),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_features),
        cmocka_unit_test(test_bodies),  cmocka_unit_test(test_chunked_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
