/*
 * smtp_header: what the header says to relays.  Each case is fed whole and in small pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocols/smtp_header.h"

static void check(const char *in, bool tls_optional)
{
    static const size_t steps[] = {100000, 1, 2, 3, 7};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct smtp_header header = {0};

        for (struct slice rest = slice_str(in); rest.n;) {
            size_t n = rest.n < steps[i] ? rest.n : steps[i];
            smtp_header_feed(&header, slice_of(rest.p, n));
            rest = slice_skip(rest, n);
        }
        smtp_header_finish(&header);
        if (header.tls_optional != tls_optional)
            fail_msg("\"%s\" in steps of %zu: %d", in, steps[i], header.tls_optional);
    }
}

static void test_tls_required(void **state)
{
    (void)state;
    check("TLS-Required: No\r\n\r\n", true);
    check("To: a\r\ntls-required:no\r\nX: y\r\n\r\nbody\r\n", true);
    check("TLS-Required:\r\n No \t\r\n\r\n", true);
    check("TLS-Required : No\r\n\r\n", true);
    check("TLS-Required: Yes\r\nTLS-Required: No\r\n\r\n", true);
    check("TLS-Required: No", true);
    check("TLS-Required: No\r\n", true);
    check("", false);
    check("TLS-Required: Yes\r\n\r\n", false);
    check("TLS-Required: No, thanks\r\n\r\n", false);
    check("TLS-Required:\r\n\r\nNo\r\n", false);
    check("X-TLS-Required: No\r\n\r\n", false);
    check("TLS-Required\r\n: No\r\n\r\n", false);
    check("Subject: x\r\n TLS-Required: No\r\n\r\n", false);
    check("To: a\r\n\r\nTLS-Required: No\r\n", false);
    check("\r\nTLS-Required: No\r\n", false);
    check("TLS-Required:                                                             No\r\n\r\n", false);
}

static void test_eight_bit(void **state)
{
    static const struct {
        const char *in;
        bool before, after;
    } cases[] = {
        {"Subject: x\r\n\r\nx", false, false},
        {"Subject: \xc3\xbc\r\n\r\nx", true, false},
        {"Subject: x\r\n\r\n\xc3\xbc", false, true},
        {"X: \xff", true, false},
        {"\r\n\xff", false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 8; step++) {
            struct smtp_header header = {0};

            for (struct slice rest = slice_str(cases[i].in); rest.n; rest = slice_skip(rest, step))
                smtp_header_feed(&header, slice_of(rest.p, rest.n < step ? rest.n : step));
            smtp_header_finish(&header);
            assert_int_equal(header.eight_bit, cases[i].before);
            assert_int_equal(header.eight_bit_after, cases[i].after);
        }
}

static void test_no_header(void **state)
{
    static const struct {
        const char *in;
        bool missing;
    } cases[] = {
        {"Subject: x\r\n\r\nx", false},
        {"Subject:x", false},
        {"Subject \t: x\r\n", false},
        {"\xef\xbb\xbfSubject: x\r\n\r\n", false},
        {"From ann Mon Nov 23 20:25:14 2026\r\nSubject: x\r\n\r\n", false},
        {">From ann\r\nSubject: x\r\n\r\n", false},
        {"\r\nx", false},
        {"\r\n x: y\r\n", false},
        {"", false},
        {" Subject: x\r\nTo: y\r\n\r\n", true},
        {"\tSubject: x\r\n", true},
        {": x\r\n", true},
        {"x", true},
        {"Hello world\r\nSubject: x\r\n\r\n", true},
        {"Dear Bob, the result: none\r\n", true},
        {"Hello\r\nTo: x\r\n", true},
        {"Received: x\r\nHello world\r\n", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 8; step++) {
            struct smtp_header header = {0};

            for (struct slice rest = slice_str(cases[i].in); rest.n;) {
                size_t n = rest.n < step ? rest.n : step;
                smtp_header_feed(&header, slice_of(rest.p, n));
                rest = slice_skip(rest, n);
            }
            smtp_header_finish(&header);
            if (header.missing != cases[i].missing)
                fail_msg("\"%s\" in steps of %zu: %d", cases[i].in, step, header.missing);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_required),
        cmocka_unit_test(test_eight_bit),
        cmocka_unit_test(test_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
