/*
 * DKIM: canonical forms (RFC 6376 3.4.5), and the shape of the field.  That it verifies:
 * tests/e2e/test_tlsrpt_dkim.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/dkim.h"

static void check(struct arena *arena, struct slice made, const char *expected)
{
    assert_string_equal(arena_slicedup(arena, made), expected);
}

static void test_relaxed(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);

    (void)state;
    /* The example of 3.4.5. */
    check(arena, dkim_relaxed_header(arena, SLICE("A: X\r\n")), "a:X\r\n");
    check(arena, dkim_relaxed_header(arena, SLICE("B : Y\t\r\n\tZ  \r\n")), "b:Y Z\r\n");
    check(arena, dkim_relaxed_body(arena, SLICE(" C \r\nD \t E\r\n\r\n\r\n")), " C\r\nD E\r\n");
    check(arena, dkim_relaxed_header(arena, SLICE("Subject:\r\n")), "subject:\r\n");
    check(arena, dkim_relaxed_header(arena, SLICE("no colon")), "no colon:\r\n");
    check(arena, dkim_relaxed_body(arena, SLICE("")), "");
    check(arena, dkim_relaxed_body(arena, SLICE("\r\n \r\n\r\n")), "");
    check(arena, dkim_relaxed_body(arena, SLICE("no end")), "no end\r\n");
    check(arena, dkim_relaxed_body(arena, SLICE("a\r\n\r\nb\t\t\r\n")), "a\r\n\r\nb\r\n");
    arena_free(&arena);
}

static void test_keys_that_are_none(void **state)
{
    char error[300];

    (void)state;
    assert_null(secret_signer_load("/nowhere/key.pem", error, sizeof error));
    assert_non_null(strstr(error, "cannot be read"));
    assert_null(secret_signer_load("/dev/null", error, sizeof error));
    assert_non_null(strstr(error, "holds no private key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_relaxed), cmocka_unit_test(test_keys_that_are_none)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
