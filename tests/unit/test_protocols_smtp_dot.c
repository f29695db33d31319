/*
 * smtp_dot: the end of DATA, and everything that must not be taken for it.  Each case is fed whole and one byte
 * at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "protocols/smtp_dot.h"

struct collected {
    char bytes[4096];
    size_t n;
};

static void collect(void *arg, struct slice bytes)
{
    struct collected *collected = arg;
    assert_true(bytes.n > 0);
    assert_true(collected->n + bytes.n <= sizeof(collected->bytes));
    memcpy(collected->bytes + collected->n, bytes.p, bytes.n);
    collected->n += bytes.n;
}

/* Returns how much was consumed; *ended tells whether DATA ended. */
static size_t feed(struct smtp_dot *dot, struct slice input, size_t step, struct collected *out, bool *ended)
{
    size_t consumed = 0;
    *ended = false;
    while (consumed < input.n && !*ended) {
        size_t n = input.n - consumed < step ? input.n - consumed : step;
        struct slice piece = slice_of(input.p + consumed, n);
        *ended = smtp_dot_feed(dot, &piece, collect, out);
        consumed += n - piece.n;
    }
    return consumed;
}

static void check(struct slice input, struct slice content, bool ends, size_t rest, bool bare, bool nul)
{
    static const size_t steps[] = {100000, 1, 2, 3, 7};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct smtp_dot dot = {0};
        struct collected out = {.n = 0};
        bool ended;
        size_t consumed = feed(&dot, input, steps[i], &out, &ended);
        if (ended != ends || input.n - consumed != rest || dot.bare != bare || dot.nul != nul)
            fail_msg("\"%.*s\" in steps of %zu: ended %d, rest %zu, bare %d, nul %d", SLICE_ARG(input), steps[i], ended,
                     input.n - consumed, dot.bare, dot.nul);
        if (!slice_equal(slice_of(out.bytes, out.n), content))
            fail_msg("\"%.*s\" in steps of %zu: content \"%.*s\"", SLICE_ARG(input), steps[i], (int)out.n, out.bytes);
    }
}

static void test_end(void **state)
{
    (void)state;
    check(SLICE("a\r\n.\r\n"), SLICE("a\r\n"), true, 0, false, false);
    check(SLICE(".\r\n"), SLICE(""), true, 0, false, false);
    check(SLICE("\r\n.\r\n"), SLICE("\r\n"), true, 0, false, false);
    check(SLICE("a\r\n.\r\nQUIT\r\n"), SLICE("a\r\n"), true, 6, false, false);
    check(SLICE("a: b\r\n\r\nbody\r\n.\r\n.\r\n"), SLICE("a: b\r\n\r\nbody\r\n"), true, 3, false, false);
    check(SLICE("a\r\n"), SLICE("a\r\n"), false, 0, false, false);
    check(SLICE("a\r\n."), SLICE("a\r\n"), false, 0, false, false);
    check(SLICE("a\r\n.\r"), SLICE("a\r\n"), false, 0, false, false);
}

static void test_stuffing(void **state)
{
    (void)state;
    check(SLICE("..\r\n.\r\n"), SLICE(".\r\n"), true, 0, false, false);
    check(SLICE("...\r\n.\r\n"), SLICE("..\r\n"), true, 0, false, false);
    check(SLICE(".a\r\n.\r\n"), SLICE("a\r\n"), true, 0, false, false);
    check(SLICE("a.b\r\n..c\r\n.\r\n"), SLICE("a.b\r\n.c\r\n"), true, 0, false, false);
    check(SLICE("\r\n..\r\n.\r\n"), SLICE("\r\n.\r\n"), true, 0, false, false);
    check(SLICE("a\r\n\r\n..\r\nb\r\n.\r\n"), SLICE("a\r\n\r\n.\r\nb\r\n"), true, 0, false, false);
}

/* What other servers were found to take for the end (2023), and mixtures. */
static void test_smuggling(void **state)
{
    (void)state;
    check(SLICE("a\n.\nMAIL"), SLICE("a\n.\nMAIL"), false, 0, true, false);
    check(SLICE("a\n.\r\nMAIL"), SLICE("a\n.\r\nMAIL"), false, 0, true, false);
    check(SLICE("a\r\n.\nMAIL"), SLICE("a\r\n\nMAIL"), false, 0, true, false);
    check(SLICE("a\r.\r\nMAIL"), SLICE("a\r.\r\nMAIL"), false, 0, true, false);
    check(SLICE("a\r.\rMAIL"), SLICE("a\r.\rMAIL"), false, 0, true, false);
    check(SLICE("a\r\n.\rMAIL"), SLICE("a\r\n\rMAIL"), false, 0, true, false);
    check(SLICE("a\r\n.\r\r\nMAIL"), SLICE("a\r\n\r\r\nMAIL"), false, 0, true, false);
    check(SLICE("a\r\r\n.\r\n"), SLICE("a\r\r\n"), true, 0, true, false);
    check(SLICE("a\n\r\n.\r\n"), SLICE("a\n\r\n"), true, 0, true, false);
    check(SLICE("a\r\n\x00.\r\nb"), SLICE("a\r\n\x00.\r\nb"), false, 0, false, true);
    check(SLICE("a\r\n.\x00\r\nb"), SLICE("a\r\n\x00\r\nb"), false, 0, false, true);
    check(SLICE("\n.\n"), SLICE("\n.\n"), false, 0, true, false);
    check(SLICE("\r.\r\n"), SLICE("\r.\r\n"), false, 0, true, false);
    check(SLICE("x\r\n\r\nbody\nmore\r\n.\r\n"), SLICE("x\r\n\r\nbody\nmore\r\n"), true, 0, true, false);
    check(SLICE("x\r\n\r\nbo\0dy\r\n.\r\n"), SLICE("x\r\n\r\nbo\0dy\r\n"), true, 0, false, true);
}

static void test_received(void **state)
{
    static const struct {
        const char *text;
        unsigned received;
    } cases[] = {
        {"Received: from a\r\n by b\r\nReceived: c\r\nSubject: x\r\n\r\nReceived: body\r\n.\r\n", 2},
        {"rEcEiVeD:\r\nReceived-SPF: x\r\nX-Received: y\r\n Received: folded\r\n.\r\n", 1},
        {"Received\r\n: x\r\nReceived : y\r\n.\r\n", 0},
        {"..Received: stuffed\r\n.\r\n", 0},
        {"\r\nReceived: body\r\n.\r\n", 0},
        {"Receive", 0},
        {"Received:", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t step = 1; step < 20; step++) {
            struct smtp_dot dot = {0};
            struct collected out = {.n = 0};
            bool ended;
            feed(&dot, slice_str(cases[i].text), step, &out, &ended);
            if (dot.hops.received != cases[i].received)
                fail_msg("case %zu in steps of %zu: %u", i, step, dot.hops.received);
        }
    }
}

/* BDAT: dots are content, the edges of pieces mean nothing, and a CR at the very end is alone. */
static void test_chunked(void **state)
{
    static const struct {
        const char *content;
        bool bare;
        unsigned received;
    } cases[] = {
        {"", false, 0},      {"Received: a\r\n\r\n.\r\n..\r\nab", false, 1},
        {".\r\n", false, 0}, {"\r\n.\r\nReceived: b\r\n", false, 0},
        {"a\nb", true, 0},   {"a\r", true, 0},
        {"\r", true, 0},     {"a\rb\r\n", true, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice content = slice_str(cases[i].content);
        for (size_t step = 1; step < 4; step++) {
            struct smtp_dot dot = {.chunked = true};
            struct collected out = {.n = 0};
            bool ended;
            assert_int_equal(feed(&dot, content, step, &out, &ended), content.n);
            smtp_dot_finish(&dot);
            assert_false(ended);
            assert_int_equal(dot.bare, cases[i].bare);
            assert_int_equal(dot.hops.received, cases[i].received);
            assert_true(slice_equal(slice_of(out.bytes, out.n), content));
        }
    }
}

/* Octets with the CRLF; a doubled dot counts once, what ends DATA not at all. */
static void test_longest(void **state)
{
    static const struct {
        const char *text;
        bool chunked;
        size_t longest;
    } cases[] = {
        {"A: b\r\n\r\nlonger line\r\n.\r\n", false, 13},
        {"A: the longest\r\n\r\nx\r\n.\r\n", false, 16},
        {"\r\n...\r\nx\r\n.\r\n", false, 4},
        {"\r\nno end", false, 6},
        {".\r\n", false, 0},
        {"\r\n...\r\n", true, 5},
        {"\r\n1234567", true, 7},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 20; step++) {
            struct smtp_dot dot = {.chunked = cases[i].chunked};
            struct collected out = {.n = 0};
            bool ended;

            feed(&dot, slice_str(cases[i].text), step, &out, &ended);
            if (dot.longest != cases[i].longest)
                fail_msg("case %zu in steps of %zu: %zu", i, step, dot.longest);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked),   cmocka_unit_test(test_end),      cmocka_unit_test(test_stuffing),
        cmocka_unit_test(test_smuggling), cmocka_unit_test(test_received),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
