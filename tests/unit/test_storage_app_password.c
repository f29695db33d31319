/* app_password: the form of the secrets.  Finding them is in tests/e2e/test_app_passwords.py. */
#include "storage/app_password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void test_made_is_recognised(void **state)
{
    char text[APP_PASSWORD_TEXT_SIZE], other[APP_PASSWORD_TEXT_SIZE], typed[64];
    unsigned char digest[SECRET_SHA256_SIZE], again[SECRET_SHA256_SIZE], plain[SECRET_SHA256_SIZE];

    (void)state;
    app_password_make(text, digest);
    assert_int_equal(strlen(text), APP_PASSWORD_TEXT_SIZE - 1);
    assert_true(app_password_digest(slice_str(text), again));
    assert_memory_equal(digest, again, sizeof digest);
    secret_sha256(slice_str(text), plain); /* of the letters, not of the text as it is shown */
    assert_memory_not_equal(digest, plain, sizeof digest);

    for (unsigned i = 0; i < sizeof text; i++)
        typed[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i] == '-' ? ' ' : text[i];
    assert_true(app_password_digest(slice_str(typed), again));
    assert_memory_equal(digest, again, sizeof digest);

    app_password_make(other, again);
    assert_string_not_equal(text, other);
    assert_memory_not_equal(digest, again, sizeof digest);
}

static void test_other_passwords_are_none(void **state)
{
    static const struct slice none[] = {
        {NULL, 0},
        SLICE(""),
        SLICE("-"),
        SLICE("pencil"),
        SLICE("abcd-efgh-jkmn-pqrs-tuv"),
        SLICE("abcd-efgh-jkmn-pqrs-tuvwx"),
        SLICE("abcd-efgh-jkmn-pqrs-tuv1"), /* looks like an l */
        SLICE("abcd-efgh-jkmn-pqrs-tuvo"),
        SLICE("abcd_efgh_jkmn_pqrs_tuvw"),
        SLICE("abcd-efgh-jkmn-pqrs-tuv\0"),
        SLICE("abcd-efgh-jkmn-pqrs-tuv\xc3\xa4"),
    };
    unsigned char digest[SECRET_SHA256_SIZE];

    (void)state;
    assert_true(app_password_digest(SLICE("abcd-efgh-jkmn-pqrs-tuvw"), digest));
    assert_true(app_password_digest(SLICE("abcdefghjkmnpqrstuvw"), digest));
    for (unsigned i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(app_password_digest(none[i], digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_is_recognised),
        cmocka_unit_test(test_other_passwords_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
