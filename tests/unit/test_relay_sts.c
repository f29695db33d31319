/*
 * sts: records, policies and names, as RFC 8461 has them and as strangers may write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/sts.h"

static void test_record(void **state)
{
    static const struct {
        const char *texts[3];
        const char *id; /* NULL: none */
    } cases[] = {
        {{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
        {{"v=STSv1;id=1"}, "1"},
        {{"v=STSv1 ; id=1 ; more=x"}, "1"},
        {{"v=spf1 -all", "v=STSv1; id=a1;", "other"}, "a1"},
        {{"v=STSv1; id=12345678901234567890123456789012"}, "12345678901234567890123456789012"},
        {{"v=STSv1; id=123456789012345678901234567890123"}, NULL},
        {{"v=STSv1; id=1", "v=STSv1; id=1"}, NULL}, /* more than one: none */
        {{"v=STSv1; id=1; id=2"}, NULL},
        {{"v=STSv1;"}, NULL},
        {{"v=STSv1"}, NULL},
        {{"id=1; v=STSv1;"}, NULL},
        {{"v=STSv2; id=1;"}, NULL},
        {{"V=STSv1; id=1;"}, NULL},
        {{"v=STSv1; id=;"}, NULL},
        {{"v=STSv1; id=a-b;"}, NULL},
        {{""}, NULL},
        {{NULL}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice texts[3];
        unsigned count = 0;
        char id[STS_ID_SIZE];

        while (count < 3 && cases[i].texts[count]) {
            texts[count] = slice_str(cases[i].texts[count]);
            count++;
        }
        assert_int_equal(sts_record_parse(texts, count, id), cases[i].id != NULL);
        if (cases[i].id)
            assert_string_equal(id, cases[i].id);
    }
}

#define HEAD "version: STSv1\n"

static void test_policy(void **state)
{
    static const struct {
        const char *body, *as; /* mode, max_age, patterns; NULL: no policy */
    } cases[] = {
        {HEAD "mode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n",
         "enforce 604800 mail.example.com *.example.net"},
        {"version: STSv1\r\nmode: testing\r\nmx: Mail.Example.COM\r\nmax_age: 1\r\n", "testing 1 mail.example.com"},
        {"max_age:86400\nmx:a.b\nmode:enforce\nversion:STSv1", "enforce 86400 a.b"},
        {HEAD "mode: none\nmax_age: 86400\n", "none 86400"},
        {HEAD "mode: enforce \nmx: \ta.b  \nmax_age: 5\nx-new: whatever\n\n", "enforce 5 a.b"},
        {HEAD "mode: enforce\nmode: none\nmx: a.b\nmax_age: 5\nmax_age: 6\nversion: STSv9", "enforce 5 a.b"},
        {HEAD "mode: enforce\nmx: a.b\nmax_age: 9999999999\n", "enforce 31557600 a.b"},
        {HEAD "mode: enforce\nmax_age: 5\n", NULL},
        {HEAD "mode: enforced\nmx: a.b\nmax_age: 5\n", NULL},
        {HEAD "mx: a.b\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx: a.b\n", NULL},
        {HEAD "mode: enforce\nmx: a.b\nmax_age: -5\n", NULL},
        {HEAD "mode: enforce\nmx: a.b\nmax_age: 99999999999\n", NULL},
        {HEAD "mode: enforce\nmx: a.b\nmax_age: \n", NULL},
        {HEAD "mode: enforce\nmx: *\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx: *.\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx: *a.b\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx: a.*.b\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx: a..b\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx: .b\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx: a b\nmax_age: 5\n", NULL},
        {HEAD "mode: enforce\nmx:\nmax_age: 5\n", NULL},
        {"version: STSv2\nmode: enforce\nmx: a.b\nmax_age: 5\n", NULL},
        {"mode: enforce\nmx: a.b\nmax_age: 5\n", NULL},
        {"<html>not found</html>", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new(100000);
        struct sts_policy policy;
        bool valid = sts_policy_parse(arena, slice_str(cases[i].body), &policy);
        char as[300];

        assert_int_equal(valid, cases[i].as != NULL);
        if (valid) {
            int used = snprintf(as, sizeof as, "%s %u", sts_mode_word(policy.mode), policy.max_age);

            for (unsigned j = 0; j < policy.mx_count; j++)
                used += snprintf(as + used, sizeof as - (size_t)used, " %s", policy.mx[j]);
            assert_string_equal(as, cases[i].as);
        }
        arena_free(&arena);
    }
}

static void test_bounds(void **state)
{
    struct arena *arena = arena_new(1000000);
    char *body = arena_alloc(arena, STS_BODY_MAX + 100);
    struct sts_policy policy;
    int used = sprintf(body, HEAD "mode: enforce\nmax_age: 5\n");

    (void)state;
    for (unsigned i = 0; i < STS_PATTERNS_MAX; i++)
        used += sprintf(body + used, "mx: a.b\n");
    assert_true(sts_policy_parse(arena, slice_of(body, (size_t)used), &policy));
    assert_int_equal(policy.mx_count, STS_PATTERNS_MAX);
    used += sprintf(body + used, "mx: a.b\n");
    assert_false(sts_policy_parse(arena, slice_of(body, (size_t)used), &policy));
    memset(body, '\n', STS_BODY_MAX + 1);
    assert_false(sts_policy_parse(arena, slice_of(body, STS_BODY_MAX + 1), &policy));
    arena_free(&arena);
}

static void test_names(void **state)
{
    static const char *const mx[] = {"mail.example.com", "*.example.net"};
    static const struct sts_policy policy = {STS_ENFORCE, 1, mx, 2};
    static const struct {
        const char *host;
        bool named;
    } cases[] = {
        {"mail.example.com", true},    {"MAIL.example.COM", true},   {"a.example.net", true},
        {"A.EXAMPLE.NET", true},       {"a.b.example.net", false},   {"example.net", false},
        {".example.net", false},       {"other.example.com", false}, {"example.com", false},
        {"mail.example.com.x", false}, {"aexample.net", false},      {"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(sts_policy_names(&policy, cases[i].host), cases[i].named);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
