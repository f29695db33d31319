/*
 * screen: what a policy and a client's facts come to: scores, names, who is put off, and the words of the refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/screen.h"

static struct arena *arena;
static struct screen_hit hits[] = {
    {"bl.test", "see bl.test/1", 3}, {"other.test", "", 2}, {"wl.test", "a friend", -4}, {"more.test", "", 1}};

static const struct {
    struct client_policy policy;
    unsigned hits;
    enum screen_name name;
    int score;
    unsigned code; /* 0: not refused */
    const char *reason, *says;
    bool greylists;
} cases[] = {
    /* nothing is asked */
    {{0}, 2, SCREEN_NAME_NONE, 5, 0, NULL, NULL, false},
    /* the threshold, and what adds up */
    {{.refuses = true, .refuse_at = 4}, 1, SCREEN_NAME_NOT_ASKED, 3, 0, NULL, NULL, false},
    {{.refuses = true, .refuse_at = 3},
     1,
     SCREEN_NAME_NOT_ASKED,
     3,
     550,
     "dns-list",
     "it is listed in bl.test (see bl.test/1)",
     false},
    {{.refuses = true, .refuse_at = 5},
     2,
     SCREEN_NAME_NOT_ASKED,
     5,
     550,
     "dns-list",
     "bl.test (see bl.test/1), other.test",
     false},
    {{.refuses = true, .refuse_at = 5}, 3, SCREEN_NAME_NOT_ASKED, 1, 0, NULL, NULL, false},
    {{.refuses = true, .refuse_at = 2},
     4,
     SCREEN_NAME_NOT_ASKED,
     2,
     550,
     "dns-list",
     "bl.test (see bl.test/1), other.test, more.test",
     false},
    {{.refuses = true, .refuse_at = 0}, 0, SCREEN_NAME_NOT_ASKED, 0, 550, "score", "it is not known here", false},
    {{.refuses = true, .refuse_at = 0}, 0, SCREEN_NAME_NONE, 0, 550, "score", "it is not known here", false},
    /* the name counts only if the policy says so, and not if it could not be found out */
    {{.refuses = true, .refuse_at = 2, .reverse_score = 2}, 0, SCREEN_NAME_NONE, 0, 0, NULL, NULL, false},
    {{.refuses = true, .refuse_at = 2, .reverse_name = CLIENT_POLICY_NAME_SCORE, .reverse_score = 2},
     0,
     SCREEN_NAME_NONE,
     2,
     550,
     "reverse-name",
     "it has no name in DNS (PTR)",
     false},
    {{.refuses = true, .refuse_at = 2, .reverse_name = CLIENT_POLICY_NAME_SCORE, .reverse_score = 2},
     0,
     SCREEN_NAME_UNCONFIRMED,
     2,
     550,
     "reverse-name",
     "its name in DNS (PTR) does not lead back to it",
     false},
    {{.refuses = true, .refuse_at = 2, .reverse_name = CLIENT_POLICY_NAME_SCORE, .reverse_score = 2},
     0,
     SCREEN_NAME_FAILED,
     0,
     0,
     NULL,
     NULL,
     false},
    {{.refuses = true, .refuse_at = 2, .reverse_name = CLIENT_POLICY_NAME_SCORE, .reverse_score = 2},
     0,
     SCREEN_NAME_CONFIRMED,
     0,
     0,
     NULL,
     NULL,
     false},
    /* or is required */
    {{.reverse_name = CLIENT_POLICY_NAME_REQUIRE}, 0, SCREEN_NAME_CONFIRMED, 0, 0, NULL, NULL, false},
    {{.reverse_name = CLIENT_POLICY_NAME_REQUIRE},
     0,
     SCREEN_NAME_NONE,
     0,
     550,
     "reverse-name",
     "it has no name",
     false},
    {{.reverse_name = CLIENT_POLICY_NAME_REQUIRE},
     0,
     SCREEN_NAME_UNCONFIRMED,
     0,
     550,
     "reverse-name",
     "does not lead back",
     false},
    {{.reverse_name = CLIENT_POLICY_NAME_REQUIRE},
     0,
     SCREEN_NAME_FAILED,
     0,
     451,
     "reverse-name-unknown",
     "try again later",
     false},
    /* who is put off */
    {{.greylist = CLIENT_POLICY_GREYLIST_ALWAYS, .greylist_at = 100}, 3, SCREEN_NAME_NOT_ASKED, 1, 0, NULL, NULL, true},
    {{.greylist = CLIENT_POLICY_GREYLIST_SUSPECTS, .greylist_at = 3}, 1, SCREEN_NAME_NOT_ASKED, 3, 0, NULL, NULL, true},
    {{.greylist = CLIENT_POLICY_GREYLIST_SUSPECTS, .greylist_at = 4},
     1,
     SCREEN_NAME_NOT_ASKED,
     3,
     0,
     NULL,
     NULL,
     false},
};

static void test_cases(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct screen_facts facts = {
            .client = "192.0.2.1", .hits = hits, .hit_count = cases[i].hits, .name = cases[i].name};
        struct authorize_decision decision = {0};
        bool refused = screen_refuses(arena, SLICE("ann@example.test"), &cases[i].policy, &facts, &decision);

        if (screen_score(&cases[i].policy, &facts) != cases[i].score || refused != (cases[i].code != 0) ||
            screen_greylists(&cases[i].policy, &facts) != cases[i].greylists)
            fail_msg("case %u: %d", i, screen_score(&cases[i].policy, &facts));
        if (!refused)
            continue;
        assert_int_equal(decision.verdict, AUTHORIZE_DENIED);
        assert_int_equal(decision.code, cases[i].code);
        assert_string_equal(decision.reason, cases[i].reason);
        assert_int_equal(decision.enhanced[0] - '0', decision.code / 100);
        if (strncmp(decision.text, "<ann@example.test>: ", 20) != 0 || !strstr(decision.text, "192.0.2.1") ||
            !strstr(decision.text, cases[i].says))
            fail_msg("case %u: %s", i, decision.text);
    }
}

static void test_put_off(void **state)
{
    struct authorize_decision decision;

    (void)state;
    screen_put_off(arena, SLICE("ann@example.test"), 300, &decision);
    assert_int_equal(decision.code, 451);
    assert_string_equal(decision.enhanced, "4.7.1");
    assert_string_equal(decision.reason, "greylisted");
    assert_string_equal(decision.text, "<ann@example.test>: greylisted, try again in 300 seconds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_put_off)};
    int failed;

    arena = arena_new(1000000);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
