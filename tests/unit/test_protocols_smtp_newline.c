/*
 * smtp_newline: what is repaired, and that nothing ends DATA that did not end it before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "protocols/smtp_newline.h"

struct collected {
    char bytes[4096];
    size_t n;
};

static void collect(void *arg, struct slice bytes)
{
    struct collected *out = arg;
    assert_true(out->n + bytes.n <= sizeof(out->bytes));
    memcpy(out->bytes + out->n, bytes.p, bytes.n);
    out->n += bytes.n;
}

static void check(struct slice input, struct slice content, bool chunked, bool ends, size_t rest, bool repaired)
{
    for (size_t step = 1; step < 8; step++) {
        struct smtp_newline newline = {0};
        struct smtp_dot dot = {.chunked = chunked};
        struct collected out = {.n = 0};
        size_t consumed = 0;
        bool ended = false;
        while (consumed < input.n && !ended) {
            struct slice piece = slice_of(input.p + consumed, input.n - consumed < step ? input.n - consumed : step);
            size_t n = piece.n;
            ended = smtp_newline_feed(&newline, &dot, &piece, collect, &out);
            consumed += n - piece.n;
        }
        if (chunked) {
            smtp_newline_finish(&newline, &dot, collect, &out);
            smtp_dot_finish(&dot);
        }
        if (ended != ends || input.n - consumed != rest || newline.repaired != repaired || dot.bare)
            fail_msg("\"%.*s\" in steps of %zu: ended %d, rest %zu, repaired %d, bare %d", SLICE_ARG(input), step,
                     ended, input.n - consumed, newline.repaired, dot.bare);
        if (!slice_equal(slice_of(out.bytes, out.n), content))
            fail_msg("\"%.*s\" in steps of %zu: content \"%.*s\"", SLICE_ARG(input), step, (int)out.n, out.bytes);
    }
}

static void test_nothing_to_repair(void **state)
{
    (void)state;
    check(SLICE("a\r\n.\r\nQUIT\r\n"), SLICE("a\r\n"), false, true, 6, false);
    check(SLICE(".\r\n"), SLICE(""), false, true, 0, false);
    check(SLICE("..\r\n.a\r\n.\r\n"), SLICE(".\r\na\r\n"), false, true, 0, false);
    check(SLICE("a\r\n"), SLICE("a\r\n"), false, false, 0, false);
}

static void test_repair(void **state)
{
    (void)state;
    check(SLICE("a: b\nc: d\n\nbody\n\r\n.\r\n"), SLICE("a: b\r\nc: d\r\n\r\nbody\r\n\r\n"), false, true, 0, true);
    check(SLICE("a\rb\r\n.\r\n"), SLICE("a b\r\n"), false, true, 0, true);
    check(SLICE("a\r\r\n.\r\n"), SLICE("a \r\n"), false, true, 0, true);
    check(SLICE("\n\n\r\n.\r\n"), SLICE("\r\n\r\n\r\n"), false, true, 0, true);
}

/* Dots behind a bare LF, and what other servers were found to take for the end (2023). */
static void test_smuggling(void **state)
{
    (void)state;
    check(SLICE("a\n.\nMAIL\r\n.\r\n"), SLICE("a\r\n.\r\nMAIL\r\n"), false, true, 0, true);
    check(SLICE("a\n.\r\nMAIL\r\n.\r\n"), SLICE("a\r\n.\r\nMAIL\r\n"), false, true, 0, true);
    check(SLICE("a\r\n.\nMAIL\r\n.\r\n"), SLICE("a\r\n.\r\nMAIL\r\n"), false, true, 0, true);
    check(SLICE("a\r.\rMAIL\r\n.\r\n"), SLICE("a . MAIL\r\n"), false, true, 0, true);
    check(SLICE("a\r\n.\r\r\nMAIL\r\n.\r\n"), SLICE("a\r\n \r\nMAIL\r\n"), false, true, 0, true);
    check(SLICE("a\r\n.\rMAIL\r\n.\r\n"), SLICE("a\r\n MAIL\r\n"), false, true, 0, true);
    check(SLICE("a\n..b\n.c\r\n.\r\n"), SLICE("a\r\n..b\r\n.c\r\n"), false, true, 0, true);
    check(SLICE(".\nMAIL\r\n.\r\n"), SLICE(".\r\nMAIL\r\n"), false, true, 0, true);
}

static void test_chunked(void **state)
{
    (void)state;
    check(SLICE("a\n.\n.\r\n..\r\n"), SLICE("a\r\n.\r\n.\r\n..\r\n"), true, false, 0, true);
    check(SLICE(".\n"), SLICE(".\r\n"), true, false, 0, true);
    check(SLICE("a\r"), SLICE("a "), true, false, 0, true);
    check(SLICE("a\r\n.\r\n"), SLICE("a\r\n.\r\n"), true, false, 0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_repair),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_chunked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
