/*
 * relay/health: every outcome in every state with every count, against the table; and the walks that matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/health.h"

#define MOST 3 /* of each limit */

/* The table of health.c, written again by rule instead of by state. */
static enum health_state expected(struct health h, enum health_outcome outcome, const struct health_limits *l)
{
    bool away = h.state == HEALTH_DOWN, outage = away || h.state == HEALTH_RECOVERING;

    switch (outcome) {
    case HEALTH_UNREACHABLE: return HEALTH_DOWN;
    case HEALTH_DRAINED: return h.state == HEALTH_DEGRADED || h.weak >= l->down_after ? HEALTH_DEGRADED : HEALTH_UP;
    case HEALTH_FAILED: return outage || h.failures + 1 >= l->down_after ? HEALTH_DOWN : h.state;
    case HEALTH_GOOD:
        if (outage)
            return HEALTH_RECOVERING;
        return h.state == HEALTH_UP || h.successes + 1 >= l->up_after ? HEALTH_UP : HEALTH_DEGRADED;
    case HEALTH_WEAK: break;
    }
    if (outage)
        return HEALTH_RECOVERING;
    return h.state == HEALTH_DEGRADED || h.weak + 1 >= l->down_after ? HEALTH_DEGRADED : HEALTH_UP;
}

static void check(struct health h, enum health_outcome outcome, const struct health_limits *l)
{
    struct health next = health_next(h, outcome, l), again;

    if (next.state != expected(h, outcome, l))
        fail_msg("%s, %u failures, %u weak, %u successes; outcome %u; limits %u %u: %s", health_word(h.state),
                 h.failures, h.weak, h.successes, outcome, l->down_after, l->up_after, health_word(next.state));
    assert_true(next.failures <= l->down_after && next.weak <= l->down_after && next.successes <= MOST);
    assert_true((next.failures > 0) + (next.weak > 0) + (next.successes > 0) <= 1 || outcome == HEALTH_DRAINED);
    /* What is met again and again comes to rest: who watches is told once. */
    for (unsigned i = 0; i < 2 * MOST; i++)
        next = health_next(next, outcome, l);
    again = health_next(next, outcome, l);
    assert_true(health_equal(&next, &again));
}

static void test_every_step(void **state)
{
    (void)state;
    for (unsigned down = 1; down <= MOST; down++)
        for (unsigned up = 1; up <= MOST; up++)
            for (unsigned s = 0; s < HEALTH_STATES; s++)
                for (unsigned kind = 0; kind < 3; kind++)
                    for (unsigned n = 0; n <= (kind == 2 ? up : down); n++)
                        for (unsigned o = 0; o < HEALTH_OUTCOMES; o++) {
                            const struct health_limits l = {down, up};
                            struct health h = {(enum health_state)s, kind == 0 ? n : 0, kind == 1 ? n : 0,
                                               kind == 2 ? n : 0};

                            check(h, (enum health_outcome)o, &l);
                        }
}

/* g, w, f, u, d: outcomes; the states afterwards: U, D(egraded), A(way), R. */
static void test_walks(void **state)
{
    static const struct {
        const char *outcomes, *states;
    } walks[] = {
        {"gggg", "UUUU"},   {"u", "A"},           {"ffgff", "UUUUU"},     {"fff", "UUA"},         {"ugd", "ARU"},
        {"ugwwd", "ARRRU"}, {"ugwwwd", "ARRRRD"}, {"ugwwwgd", "ARRRRRU"}, {"uggggd", "ARRRRU"},   {"ugu", "ARA"},
        {"ugf", "ARA"},     {"www", "UUD"},       {"wwgwwg", "UUUUUU"},   {"wwwgwgg", "UUDDDDU"}, {"wwwfff", "UUDDDA"},
        {"uw", "AR"},       {"uud", "AAU"},       {"wfwfwf", "UUUUUU"},
    };
    static const char outcomes[] = "gwfud", states[] = "UDAR";
    const struct health_limits limits = {3, 2};

    (void)state;
    for (unsigned i = 0; i < sizeof walks / sizeof *walks; i++) {
        struct health h = {0};

        for (unsigned j = 0; walks[i].outcomes[j]; j++) {
            unsigned outcome = 0;

            while (outcomes[outcome] != walks[i].outcomes[j])
                outcome++;
            h = health_next(h, (enum health_outcome)outcome, &limits);
            if (states[h.state] != walks[i].states[j])
                fail_msg("%s: %c after %u", walks[i].outcomes, states[h.state], j + 1);
        }
    }
}

static void test_words(void **state)
{
    enum health_state found;

    (void)state;
    for (unsigned i = 0; i < HEALTH_STATES; i++) {
        assert_true(health_state_of(slice_str(health_word((enum health_state)i)), &found));
        assert_int_equal(found, i);
    }
    assert_false(health_state_of(SLICE("away"), &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step),
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
