/*
 * authorize_limit: what the end of data says of a grant's limits.  Those of RCPT are in test_relay_authorize.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/authorize.h"

static void test_message(void **state)
{
    static const struct {
        enum directory_limit at_limit;
        uint64_t messages, recipients, bytes; /* used; the limits are 10, 100 and 1000 */
        unsigned taken, held;
        uint64_t size;
        unsigned code;
        const char *limit; /* code 250: held by it */
    } cases[] = {
        {DIRECTORY_LIMIT_DEFER, 9, 0, 0, 1, 0, 1, 250, NULL},
        {DIRECTORY_LIMIT_DEFER, 10, 0, 0, 1, 0, 1, 451, "messages_per_hour"},
        {DIRECTORY_LIMIT_REFUSE, 10, 0, 0, 1, 0, 1, 550, "messages_per_hour"},
        {DIRECTORY_LIMIT_DEFER, 0, 90, 0, 10, 0, 1, 250, NULL},
        {DIRECTORY_LIMIT_DEFER, 0, 90, 0, 11, 0, 1, 451, "recipients_per_minute"},
        {DIRECTORY_LIMIT_DEFER, 0, 0, 900, 1, 0, 100, 250, NULL},
        {DIRECTORY_LIMIT_REFUSE, 0, 0, 900, 1, 0, 101, 550, "bytes_per_day"},
        {DIRECTORY_LIMIT_HOLD, 9, 0, 0, 1, 0, 1, 250, NULL},
        {DIRECTORY_LIMIT_HOLD, 10, 0, 0, 1, 0, 1, 250, "messages_per_hour"},
        {DIRECTORY_LIMIT_HOLD, 99, 0, 0, 1, 0, 1, 250, "messages_per_hour"},
        {DIRECTORY_LIMIT_HOLD, 100, 0, 0, 1, 0, 1, 451, "messages_per_hour"},
        {DIRECTORY_LIMIT_HOLD, 0, 95, 0, 10, 5, 1, 250, NULL}, /* the five others fit */
        {DIRECTORY_LIMIT_HOLD, 0, 96, 0, 10, 5, 1, 250, "recipients_per_minute"},
        {DIRECTORY_LIMIT_HOLD, 10, 0, 0, 3, 3, 1, 250, NULL}, /* all are held already */
        {DIRECTORY_LIMIT_HOLD, 100, 0, 0, 3, 3, 1, 451, "messages_per_hour"},
        {DIRECTORY_LIMIT_HOLD, 0, 995, 0, 6, 6, 1, 451, "recipients_per_minute"},
        {DIRECTORY_LIMIT_HOLD, 0, 0, 0, 1, 0, 10001, 451, "bytes_per_day"},
    };
    struct arena *arena = arena_new(65536);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct directory_grant grant = {.id = 1, .counted = true, .at_limit = cases[i].at_limit};
        struct authorize_decision decision;

        grant.limits = (struct directory_amounts){{0, 10, 0}, {100, 0, 0}, 1000};
        grant.used = (struct directory_amounts){{0, cases[i].messages, 0}, {cases[i].recipients, 0, 0}, cases[i].bytes};
        authorize_message(arena, &grant, cases[i].taken, cases[i].held, cases[i].size, &decision);
        if (decision.code != cases[i].code)
            fail_msg("case %zu: %u %s", i, decision.code, decision.text);
        assert_int_equal(decision.verdict, cases[i].code == 250 ? AUTHORIZE_ALLOWED : AUTHORIZE_DENIED);
        assert_int_equal(decision.held, cases[i].code == 250 && cases[i].limit);
        assert_string_equal(decision.limit ? decision.limit : "", cases[i].limit ? cases[i].limit : "");
        assert_ptr_equal(decision.grant, &grant);
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_message)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
