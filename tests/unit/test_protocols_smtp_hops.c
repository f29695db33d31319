/*
 * smtp_hops: Received fields counted, and those by us.  By way of smtp_dot, in pieces of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "protocols/smtp_dot.h"

static void drop(void *arg, struct slice bytes)
{
    (void)arg;
    (void)bytes;
}

static void test_counts(void **state)
{
    static const struct {
        const char *text;
        unsigned received, own;
    } cases[] = {
        {"Received: from a by mx.example.test with ESMTP; Mon\r\n", 1, 1},
        {"Received: from a\r\n\tby MX.Example.TEST\r\n\twith ESMTP; Mon\r\n", 1, 1},
        {"Received: from a\r\n\tBY\r\n mx.example.test\r\n", 1, 1},
        {"Received: by mx.example.test;Mon\r\n", 1, 1},
        {"Received: by mx.example.test(comment);Mon\r\n", 1, 1},
        {"Received: by (by us) mx.example.test\r\n", 1, 1},
        {"received:by mx.example.test\r\nRECEIVED:\r\n by mx.example.test\r\nReceived: by other.test\r\n", 3, 2},
        {"Received: by mx.example.test by mx.example.test\r\n", 1, 1}, /* once a field */
        {"Received: by mx.example.test.\r\n", 1, 0},
        {"Received: by a.mx.example.test\r\n", 1, 0},
        {"Received: by mx.example\r\n", 1, 0},
        {"Received: by\tmx.example.test\r\n", 1, 1},
        {"Received: bymx.example.test\r\n", 1, 0},
        {"Received: from mx.example.test by other.test\r\n", 1, 0},
        {"Received: from a (by mx.example.test) by other.test\r\n", 1, 0},
        {"Received: from a (a (b) by mx.example.test \\) by mx.example.test) by other.test\r\n", 1, 0},
        {"Received: from \"by mx.example.test\\\" by mx.example.test\" by other.test\r\n", 1, 0},
        {"Received: from a by other.test; by mx.example.test\r\n", 1, 0},
        {"X-Received: by mx.example.test\r\n by mx.example.test\r\n", 0, 0},
        {"Received-SPF: by mx.example.test\r\n", 0, 0},
        {"Received : by mx.example.test\r\n", 0, 0},
        {"Recei\r\n ved: by mx.example.test\r\n", 0, 0},
        {"Subject: x\r\n Received: by mx.example.test\r\n", 0, 0},
        {"Received: (never closed\r\nReceived: by mx.example.test\r\n", 2, 1},
        {" Received: by mx.example.test\r\n", 0, 0},
        {"\r\nReceived: by mx.example.test\r\n", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 20; step++) {
            struct smtp_dot dot = {.hops.name = SLICE("mx.example.test")};
            struct slice rest = slice_str(cases[i].text);
            while (rest.n) {
                struct slice piece = slice_of(rest.p, rest.n < step ? rest.n : step);
                rest = slice_skip(rest, piece.n);
                smtp_dot_feed(&dot, &piece, drop, NULL);
            }
            if (dot.hops.received != cases[i].received || dot.hops.own != cases[i].own)
                fail_msg("\"%s\" in steps of %zu: %u, %u", cases[i].text, step, dot.hops.received, dot.hops.own);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
