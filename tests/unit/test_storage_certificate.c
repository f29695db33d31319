/* certificate: the forms of a fingerprint.  Whose a certificate is, is in tests/e2e/test_certificates.py. */
#include "storage/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_fingerprints(void **state)
{
    static const char *const wrong[] = {
        "",      "ab",     HEX "0",  HEX ":", ":" HEX,
        "g" HEX, HEX "00", "01::23", " " HEX, "0:123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    struct arena *arena = arena_new(SIZE_MAX);
    char colons[96] = "", large[65] = "";
    struct slice out;

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        snprintf(colons + 3 * i, 4, "%.2s%s", &HEX[2 * i], i < 31 ? ":" : "");
    for (unsigned i = 0; i < 64; i++)
        large[i] = HEX[i] >= 'a' ? (char)(HEX[i] - 32) : HEX[i];
    assert_true(certificate_fingerprint(arena, slice_str(colons), &out) && slice_equal(out, SLICE(HEX)));
    assert_true(certificate_fingerprint(arena, slice_str(large), &out) && slice_equal(out, SLICE(HEX)));
    assert_true(certificate_fingerprint(arena, SLICE(HEX), &out) && slice_equal(out, SLICE(HEX)));
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(certificate_fingerprint(arena, slice_str(wrong[i]), &out));
    assert_false(certificate_fingerprint(arena, slice_of(HEX "\0", 65), &out));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fingerprints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
