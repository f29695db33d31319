/*
 * verify: the table of its essay, every combination of what is known, when, and whether anybody can be asked; and which
 * replies say that an address does not exist.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/verify.h"

#define NOW INT64_C(1000000)

static void test_replies(void **state)
{
    static const struct {
        unsigned code;
        const char *enhanced;
        enum verify_told told;
    } cases[] = {
        {250, "2.1.5", VERIFY_EXISTS},    {251, "", VERIFY_EXISTS},         {252, "", VERIFY_EXISTS},
        {550, "5.1.1", VERIFY_NOT_THERE}, {550, "", VERIFY_NOT_THERE},      {551, "", VERIFY_NOT_THERE},
        {553, "", VERIFY_NOT_THERE},      {553, "5.1.3", VERIFY_NOT_THERE}, {556, "5.1.10", VERIFY_NOT_THERE},
        {550, "5.2.1", VERIFY_NOT_THERE}, {554, "5.1.1", VERIFY_NOT_THERE}, {550, "5.7.1", VERIFY_UNTOLD},
        {550, "5.1.7", VERIFY_UNTOLD},    {550, "5.1.8", VERIFY_UNTOLD},    {552, "5.2.2", VERIFY_UNTOLD},
        {554, "", VERIFY_UNTOLD},         {552, "", VERIFY_UNTOLD},         {450, "4.1.1", VERIFY_UNTOLD},
        {451, "", VERIFY_UNTOLD},         {450, "5.1.1", VERIFY_UNTOLD},    {503, "", VERIFY_UNTOLD},
        {354, "", VERIFY_UNTOLD},         {550, "5.6.7", VERIFY_NOT_THERE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (verify_reply(cases[i].code, slice_str(cases[i].enhanced)) != cases[i].told)
            fail_msg("%u %s", cases[i].code, cases[i].enhanced);
}

static void test_what_is_known(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        bool known = bits & 1, valid = bits & 2, in_time = bits & 4, all = bits & 8, all_in_time = bits & 16,
             away = bits & 32;
        struct learned learned = {.known = known,
                                  .valid = valid,
                                  .learned_ms = in_time ? NOW - 100 : NOW - 2000,
                                  .until_ms = in_time ? NOW + 900 : NOW,
                                  .accepts_all = all,
                                  .all_until_ms = all_in_time ? NOW + 1 : NOW};
        enum directory_existence existence, once = known ? valid ? DIRECTORY_EXISTED : DIRECTORY_NOT_THERE
                                                   : all ? DIRECTORY_EXISTED
                                                         : DIRECTORY_UNKNOWN;
        enum verify_next next = verify_known(&learned, away, NOW, &existence);

        if (away) {
            assert_int_equal(next, VERIFY_ANSWERED);
            assert_int_equal(existence, once);
        } else if (known && in_time) {
            assert_int_equal(next, VERIFY_ANSWERED);
            assert_int_equal(existence, valid ? DIRECTORY_EXISTS : DIRECTORY_NOT_THERE);
        } else if (all && all_in_time) {
            assert_int_equal(next, VERIFY_ANSWERED);
            assert_int_equal(existence, DIRECTORY_EXISTS);
        } else {
            assert_int_equal(next, VERIFY_ASK);
        }
        assert_int_equal(verify_asked(&learned, VERIFY_EXISTS), DIRECTORY_EXISTS);
        assert_int_equal(verify_asked(&learned, VERIFY_NOT_THERE), DIRECTORY_NOT_THERE);
        assert_int_equal(verify_asked(&learned, VERIFY_UNTOLD), once);
    }
}

static void test_refresh(void **state)
{
    struct learned learned = {.known = true, .valid = true, .learned_ms = NOW - 760, .until_ms = NOW + 240};
    enum directory_existence existence;
    (void)state;
    assert_int_equal(verify_known(&learned, false, NOW, &existence), VERIFY_REFRESH);
    assert_int_equal(existence, DIRECTORY_EXISTS);
    assert_int_equal(verify_known(&learned, true, NOW, &existence), VERIFY_ANSWERED);
    learned.valid = false; /* who does not exist is not kept so for ever */
    assert_int_equal(verify_known(&learned, false, NOW, &existence), VERIFY_ANSWERED);
    learned.valid = true;
    learned.learned_ms = NOW - 700;
    learned.until_ms = NOW + 300;
    assert_int_equal(verify_known(&learned, false, NOW, &existence), VERIFY_ANSWERED);
}

static void test_whose_business(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        bool learns = bits & 1, relay = bits & 2, split = bits & 4, account = bits & 8, closed = bits & 16,
             listed = bits & 32;
        bool expansion = bits & 64, active = bits & 128;
        struct directory_recipient found = {
            .has_domain = true,
            .domain = {.kind = relay ? DIRECTORY_RELAY : DIRECTORY_HOSTED,
                       .elsewhere = split,
                       .customer_active = active,
                       .valid = learns ? DIRECTORY_VALID_LEARNED : DIRECTORY_VALID_LISTED},
            .has_account = account,
            .account.state = closed ? DIRECTORY_CLOSED : DIRECTORY_SUSPENDED,
            .listed = listed,
            .has_expansion = expansion,
        };
        bool goes_on = relay || (split && !account), known = listed || (account && !closed);
        assert_int_equal(verify_wanted(&found), learns && active && goes_on && !known && !expansion);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_what_is_known),
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_whose_business),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
