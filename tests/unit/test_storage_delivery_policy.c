/*
 * delivery_policy: what is set wins over the settings, and the first time between tries is never longer than the
 * longest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/delivery_policy.h"

#define NOT DELIVERY_POLICY_NOT_SET

static const struct {
    int32_t lifetime, delay_notice, retry_first, retry_max;
    struct delivery_times expected;
} cases[] = {
    {NOT, NOT, NOT, NOT, {432000000, 14400000, 300000, 3600000}},
    {60, NOT, NOT, NOT, {60000, 14400000, 300000, 3600000}},
    {2592000, 2592000, 86400, 604800, {2592000000, 2592000000, 86400000, 604800000}},
    {NOT, 0, NOT, NOT, {432000000, 0, 300000, 3600000}},
    {NOT, NOT, 1, NOT, {432000000, 14400000, 1000, 3600000}},
    {NOT, NOT, NOT, 7200, {432000000, 14400000, 300000, 7200000}},
    {NOT, NOT, 7200, NOT, {432000000, 14400000, 7200000, 7200000}}, /* longer than the setting's longest */
    {NOT, NOT, NOT, 10, {432000000, 14400000, 10000, 10000}},       /* shorter than the setting's first */
    {NOT, NOT, 5, 10, {432000000, 14400000, 5000, 10000}},
};

static void test_merge(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct delivery_policy policy = {.lifetime = cases[i].lifetime,
                                         .delay_notice = cases[i].delay_notice,
                                         .retry_first = cases[i].retry_first,
                                         .retry_max = cases[i].retry_max};
        struct delivery_times times = {432000000, 14400000, 300000, 3600000};

        delivery_policy_merge(&policy, &times);
        assert_int_equal(times.lifetime_ms, cases[i].expected.lifetime_ms);
        assert_int_equal(times.delay_notice_ms, cases[i].expected.delay_notice_ms);
        assert_int_equal(times.retry_first_ms, cases[i].expected.retry_first_ms);
        assert_int_equal(times.retry_max_ms, cases[i].expected.retry_max_ms);
    }
}

static void test_without_policies_the_settings_stay(void **state)
{
    struct delivery_times times = {1, 2, 3, 4};

    (void)state;
    delivery_policy_apply(SLICE("joe@example.com"), &times);
    delivery_policy_apply(SLICE("example.com"), &times);
    delivery_policy_apply(SLICE(""), &times);
    assert_int_equal(times.lifetime_ms, 1);
    assert_int_equal(times.retry_max_ms, 4);
    struct delivery_limits limits = {100, 0};

    delivery_policy_limit(SLICE("joe@example.com"), &limits);
    assert_int_equal(limits.recipients, 100);
    assert_int_equal(limits.messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_without_policies_the_settings_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
