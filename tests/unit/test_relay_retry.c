/*
 * retry: the classification held against its table for every code at every stage, the back-off at its bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/retry.h"

static const enum retry_stage stages[] = {RETRY_STAGE_GREETING,  RETRY_STAGE_HELLO, RETRY_STAGE_MAIL,
                                          RETRY_STAGE_RECIPIENT, RETRY_STAGE_DATA,  RETRY_STAGE_END};
#define STAGES (sizeof stages / sizeof stages[0])

/* The table of the essay, once more, as one expression. */
static enum retry_verdict expected(enum retry_stage stage, unsigned code)
{
    bool early = stage == RETRY_STAGE_GREETING || stage == RETRY_STAGE_HELLO;

    if (code == 421)
        return RETRY_VERDICT_AWAY;
    if (stage == RETRY_STAGE_DATA ? code == 354 : code >= 200 && code < 300)
        return RETRY_VERDICT_ACCEPTED;
    if (early)
        return RETRY_VERDICT_AWAY;
    if (code >= 500 && code < 600 && !(stage == RETRY_STAGE_RECIPIENT && code == 552) &&
        !(stage == RETRY_STAGE_MAIL && code == 503))
        return RETRY_VERDICT_REFUSED;
    return RETRY_VERDICT_LATER;
}

static void test_every_code_at_every_stage(void **state)
{
    (void)state;
    for (size_t s = 0; s < STAGES; s++)
        for (unsigned code = 0; code < 1000; code++)
            assert_int_equal(retry_classify(stages[s], code, SLICE("")), expected(stages[s], code));
}

static void test_enhanced_code_does_not_override(void **state)
{
    (void)state;
    assert_int_equal(retry_classify(RETRY_STAGE_RECIPIENT, 450, SLICE("5.1.1")), RETRY_VERDICT_LATER);
    assert_int_equal(retry_classify(RETRY_STAGE_RECIPIENT, 550, SLICE("4.1.1")), RETRY_VERDICT_REFUSED);
    assert_int_equal(retry_classify(RETRY_STAGE_END, 250, SLICE("5.0.0")), RETRY_VERDICT_ACCEPTED);
}

static void test_552_is_too_many_recipients_unless_it_is_the_mailbox(void **state)
{
    (void)state;
    assert_int_equal(retry_classify(RETRY_STAGE_RECIPIENT, 552, SLICE("5.5.3")), RETRY_VERDICT_LATER);
    assert_int_equal(retry_classify(RETRY_STAGE_RECIPIENT, 552, SLICE("5.2.2")), RETRY_VERDICT_REFUSED);
    assert_int_equal(retry_classify(RETRY_STAGE_END, 552, SLICE("5.3.4")), RETRY_VERDICT_REFUSED);
}

static void test_status_has_the_class_of_the_verdict(void **state)
{
    static const char *const given[] = {"", "2.1.5", "4.2.2", "5.1.1"};

    (void)state;
    for (size_t s = 0; s < STAGES; s++)
        for (size_t g = 0; g < 4; g++) {
            struct slice enhanced = slice_str(given[g]);

            assert_int_equal(retry_status(stages[s], RETRY_VERDICT_ACCEPTED, enhanced).p[0], '2');
            assert_int_equal(retry_status(stages[s], RETRY_VERDICT_LATER, enhanced).p[0], '4');
            assert_int_equal(retry_status(stages[s], RETRY_VERDICT_AWAY, enhanced).p[0], '4');
            assert_int_equal(retry_status(stages[s], RETRY_VERDICT_REFUSED, enhanced).p[0], '5');
        }
    assert_true(
        slice_equal(retry_status(RETRY_STAGE_RECIPIENT, RETRY_VERDICT_REFUSED, SLICE("5.7.1")), SLICE("5.7.1")));
}

static void test_backoff_doubles_up_to_its_bound(void **state)
{
    static const uint64_t without_jitter[] = {300, 300, 600, 1200, 2400, 3600, 3600};

    (void)state;
    for (unsigned attempt = 0; attempt < 7; attempt++)
        assert_int_equal(retry_backoff(300, 3600, attempt, 0), without_jitter[attempt]);
    assert_int_equal(retry_backoff(300, 3600, UINT32_MAX, 0), 3600);
    assert_int_equal(retry_backoff(7200, 3600, 1, 0), 3600);
    assert_int_equal(retry_backoff(UINT32_MAX, UINT64_MAX / 2, 200, 0), UINT64_MAX / 2);
}

static void test_backoff_jitter_takes_a_fifth_at_most(void **state)
{
    (void)state;
    for (unsigned attempt = 1; attempt < 8; attempt++)
        for (uint64_t random = 0; random <= UINT32_MAX; random += UINT32_MAX / 7) {
            uint64_t whole = retry_backoff(1000, 60000, attempt, 0);
            uint64_t wait = retry_backoff(1000, 60000, attempt, (uint32_t)random);

            assert_in_range(wait, whole - whole / 5, whole);
        }
    assert_int_equal(retry_backoff(0, 0, 1, UINT32_MAX), 1);
}

static void test_due_is_not_past_the_lifetime(void **state)
{
    (void)state;
    assert_int_equal(retry_due(1000, 1000000, 300, 3600, 1, 0), 1300);
    assert_int_equal(retry_due(1000, 1200, 300, 3600, 1, 0), 1200);
    assert_int_equal(retry_due(1000, 900, 300, 3600, 1, 0), 1000);
    assert_false(retry_expired(999, 1000));
    assert_true(retry_expired(1000, 1000));
}

/*
 * Not before it has waited as long as was asked for, and not longer each time; somebody who calls it greylisting for
 * ever is like others.
 */
static void test_greylists_are_not_met_too_early(void **state)
{
    (void)state;
    for (unsigned attempt = 1; attempt <= RETRY_GREYLIST_MAX; attempt++) {
        assert_int_equal(retry_due_greylisted(1000, 1000000, 300, 3600, attempt, 0), 1300);
        assert_in_range(retry_due_greylisted(1000, 1000000, 300, 3600, attempt, UINT32_MAX), 1370, 1375);
    }
    assert_int_equal(retry_due_greylisted(1000, 1000000, 300, 3600, RETRY_GREYLIST_MAX + 1, 0),
                     retry_due(1000, 1000000, 300, 3600, RETRY_GREYLIST_MAX + 1, 0));
    assert_int_equal(retry_due_greylisted(1000, 1200, 300, 3600, 1, 0), 1200);
    assert_int_equal(retry_due_greylisted(1000, 900, 300, 3600, 1, 0), 1000);
    assert_int_equal(retry_due_greylisted(1000, 9000, 300, 200, 1, 0), 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_at_every_stage),
        cmocka_unit_test(test_enhanced_code_does_not_override),
        cmocka_unit_test(test_552_is_too_many_recipients_unless_it_is_the_mailbox),
        cmocka_unit_test(test_status_has_the_class_of_the_verdict),
        cmocka_unit_test(test_backoff_doubles_up_to_its_bound),
        cmocka_unit_test(test_backoff_jitter_takes_a_fifth_at_most),
        cmocka_unit_test(test_due_is_not_past_the_lifetime),
        cmocka_unit_test(test_greylists_are_not_met_too_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
