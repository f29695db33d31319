/*
 * breaker: properties that hold for any sending, over drawn histories, held against a model that keeps every hour;
 * and the examples that the essay promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/breaker.h"

#define HOUR BREAKER_HOUR_MS
#define DAY (24 * HOUR)
#define BEGIN (INT64_C(20000) * DAY)

static const struct breaker_policy policy = {.enabled = true, .least = {100, 500, 50}, .factor = 4, .countries = 2};

static uint64_t state = 42;

static uint32_t draw(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)(state >> 33) % below;
}

static void sent(struct breaker_pattern *pattern, int64_t at, uint32_t messages, uint32_t recipients, uint32_t failures)
{
    const uint32_t more[BREAKER_HOURLY] = {messages, recipients, failures};

    breaker_advance(pattern, at);
    breaker_add(pattern, more);
}

static bool tripped(const struct breaker_pattern *pattern, int64_t at, struct breaker_trip *trip)
{
    struct breaker_pattern now = *pattern;

    breaker_advance(&now, at);
    return breaker_judge(&now, &policy, 0, at, trip);
}

/* ------------------------------------------------------------------ examples */

static void test_a_young_account_has_the_least(void **unused)
{
    struct breaker_pattern pattern = {0};
    struct breaker_trip trip;

    (void)unused;
    sent(&pattern, BEGIN, 100, 100, 0);
    assert_false(tripped(&pattern, BEGIN, &trip));
    sent(&pattern, BEGIN + 1, 1, 1, 0);
    assert_true(tripped(&pattern, BEGIN + 1, &trip));
    assert_int_equal(trip.measure, BREAKER_MESSAGES);
    assert_int_equal(trip.value, 101);
    assert_int_equal(trip.limit, 100);
}

/* Who sends a newsletter each Monday is not stopped on the next; what he may send grows with it, and goes again. */
static void test_a_weekly_newsletter(void **unused)
{
    struct breaker_pattern pattern = {0};
    struct breaker_trip trip;
    int64_t at = BEGIN;

    (void)unused;
    for (unsigned week = 0; week < 20; week++, at += 7 * DAY) {
        sent(&pattern, at, 80, 400, 3);
        assert_false(tripped(&pattern, at, &trip));
        for (unsigned day = 1; day < 7; day++)
            sent(&pattern, at + day * DAY, 3, 3, 0);
    }
    breaker_advance(&pattern, at);
    assert_in_range(breaker_limit(&pattern, &policy, BREAKER_RECIPIENTS), 1200, 1600);
    breaker_advance(&pattern, at + 365 * DAY);
    assert_int_equal(breaker_limit(&pattern, &policy, BREAKER_RECIPIENTS), 500);
}

/* The turn of the hour brings nobody twice the number. */
static void test_the_turn_of_the_hour(void **unused)
{
    struct breaker_pattern pattern = {0};
    struct breaker_trip trip;

    (void)unused;
    sent(&pattern, BEGIN + HOUR - 1000, 100, 100, 0);
    sent(&pattern, BEGIN + HOUR + 1000, 1, 1, 0);
    assert_false(tripped(&pattern, BEGIN + HOUR + 1000, &trip));
    sent(&pattern, BEGIN + HOUR + 1000, 50, 50, 0);
    assert_true(tripped(&pattern, BEGIN + HOUR + 1000, &trip));
    assert_false(tripped(&pattern, BEGIN + 2 * HOUR, &trip));
}

/* However slowly he goes about it: on one day there is one limit. */
static void test_a_day_has_one_limit(void **unused)
{
    struct breaker_pattern pattern = {0};
    uint32_t limit;

    (void)unused;
    for (unsigned d = 0; d < 3; d++) {
        int64_t day = BEGIN + d * DAY;

        breaker_advance(&pattern, day);
        limit = breaker_limit(&pattern, &policy, BREAKER_MESSAGES);
        for (unsigned h = 0; h < 24; h += 2) { /* the hour between leaves nothing of the one before */
            sent(&pattern, day + h * HOUR, limit, 0, 0);
            assert_int_equal(breaker_limit(&pattern, &policy, BREAKER_MESSAGES), limit);
        }
        breaker_advance(&pattern, day + DAY);
        assert_in_range(breaker_limit(&pattern, &policy, BREAKER_MESSAGES), limit, 4 * limit);
    }
}

static void test_failures_have_a_share(void **unused)
{
    struct breaker_pattern pattern = {0};
    struct breaker_trip trip;

    (void)unused;
    sent(&pattern, BEGIN, 1, 400, 60);
    assert_false(tripped(&pattern, BEGIN, &trip));
    sent(&pattern, BEGIN, 0, 0, 40);
    assert_true(tripped(&pattern, BEGIN, &trip));
    assert_int_equal(trip.measure, BREAKER_FAILURES);
    assert_int_equal(trip.value, 100);
}

/* Late, when nothing is sent any more: those of the day's busiest hour. */
static void test_late_failures_have_a_share(void **unused)
{
    struct breaker_pattern pattern = {0};
    struct breaker_trip trip;

    (void)unused;
    sent(&pattern, BEGIN, 1, 400, 0);
    sent(&pattern, BEGIN + 3 * HOUR, 0, 0, 60);
    assert_false(tripped(&pattern, BEGIN + 3 * HOUR, &trip));
    sent(&pattern, BEGIN + 3 * HOUR, 0, 0, 40);
    assert_true(tripped(&pattern, BEGIN + 3 * HOUR, &trip));
    assert_int_equal(trip.measure, BREAKER_FAILURES);
}

static void test_countries(void **unused)
{
    struct breaker_pattern pattern = {0};
    struct breaker_trip trip;

    (void)unused;
    assert_false(breaker_judge(&pattern, &policy, 2, BEGIN, &trip));
    assert_true(breaker_judge(&pattern, &policy, 3, BEGIN, &trip));
    assert_int_equal(trip.measure, BREAKER_COUNTRIES);
}

static void test_not_enabled(void **unused)
{
    struct breaker_policy off = policy;
    struct breaker_pattern pattern = {0};
    struct breaker_trip trip;

    (void)unused;
    off.enabled = false;
    sent(&pattern, BEGIN, 5000, 5000, 5000);
    assert_false(breaker_judge(&pattern, &off, 9, BEGIN, &trip));
}

/* ------------------------------------------------------------------ properties */

#define HOURS 2000

/* Each hour's number, as it was, and what follows from them by the words of the essay. */
static uint32_t model[HOURS];

static uint32_t model_value(int64_t at)
{
    int64_t hour = (at - BEGIN) / HOUR, into = (at - BEGIN) % HOUR;
    uint64_t before = hour ? model[hour - 1] : 0;

    return (uint32_t)(model[hour] + before * (uint64_t)(HOUR - into) / (uint64_t)HOUR);
}

static void test_against_every_hour(void **unused)
{
    (void)unused;
    for (unsigned run = 0; run < 50; run++) {
        struct breaker_pattern pattern = {0};
        int64_t at = BEGIN;

        memset(model, 0, sizeof model);
        while ((at += 1 + draw(draw(4) ? 20 * 60 * 1000 : 3 * 86400 * 1000)) < BEGIN + HOURS * HOUR) {
            uint32_t n = draw(1000), usual = 0;

            sent(&pattern, at, n, 0, 0);
            model[(at - BEGIN) / HOUR] += n;
            assert_int_equal(breaker_value(&pattern, BREAKER_MESSAGES, at), model_value(at));
            for (int64_t h = 0; h < (at - BEGIN) / DAY * 24; h++)
                usual = model[h] > usual ? model[h] : usual;
            assert_true(pattern.usual[BREAKER_MESSAGES] <= usual); /* it is of days that were, and only decays */
        }
    }
}

/* Who never sends more in an hour than is usual is never stopped; nothing is ever beyond its bound. */
static void test_the_usual_is_let_go(void **unused)
{
    (void)unused;
    for (unsigned run = 0; run < 50; run++) {
        struct breaker_pattern pattern = {0};
        struct breaker_trip trip;
        uint32_t most = 1 + draw(100);

        for (int64_t at = BEGIN; at < BEGIN + 60 * DAY; at += HOUR / 2 + draw(HOUR)) {
            sent(&pattern, at, draw(most / 4 + 1), draw(most + 1), draw(10));
            assert_false(tripped(&pattern, at, &trip));
        }
    }
}

static void test_bounds(void **unused)
{
    static const uint32_t all[BREAKER_HOURLY] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    struct breaker_policy wide = policy;
    struct breaker_pattern pattern = {0}, same;
    struct breaker_trip trip;

    (void)unused;
    wide.factor = UINT32_MAX;
    for (unsigned i = 0; i < 1000; i++) {
        int64_t at = BEGIN + i * (HOUR + draw(5) * DAY);

        breaker_advance(&pattern, at);
        breaker_add(&pattern, all);
        breaker_add(&pattern, all);
        for (unsigned m = 0; m < BREAKER_HOURLY; m++) {
            assert_true(pattern.now[m] <= BREAKER_MOST && pattern.usual[m] <= BREAKER_MOST &&
                        pattern.day[m] <= BREAKER_MOST);
            assert_true(breaker_value(&pattern, (enum breaker_measure)m, at) <= BREAKER_MOST);
            assert_true(breaker_limit(&pattern, &wide, (enum breaker_measure)m) <= BREAKER_MOST);
        }
        (void)breaker_judge(&pattern, &wide, UINT32_MAX, at, &trip);
    }
    same = pattern;
    breaker_advance(&pattern, BEGIN); /* the clock went back */
    assert_memory_equal(&pattern, &same, sizeof same);
    breaker_advance(&pattern, BEGIN + INT64_C(4000000) * DAY);
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        assert_int_equal(pattern.usual[m] + pattern.now[m] + pattern.before[m] + pattern.day[m], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_young_account_has_the_least),
        cmocka_unit_test(test_a_weekly_newsletter),
        cmocka_unit_test(test_the_turn_of_the_hour),
        cmocka_unit_test(test_a_day_has_one_limit),
        cmocka_unit_test(test_failures_have_a_share),
        cmocka_unit_test(test_late_failures_have_a_share),
        cmocka_unit_test(test_countries),
        cmocka_unit_test(test_not_enabled),
        cmocka_unit_test(test_against_every_hour),
        cmocka_unit_test(test_the_usual_is_let_go),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
