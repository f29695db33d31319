/* core/pattern and relay/content_match: which rule a message falls under, and that nobody waits for a pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/clock.h"
#include "core/pattern.h"
#include "relay/content_match.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static enum pattern_answer match(const char *text, struct slice subject)
{
    char why[PATTERN_WHY_SIZE];
    struct pattern *pattern = pattern_new(slice_str(text), why);
    enum pattern_answer answer;

    assert_non_null(pattern);
    answer = pattern_match(pattern, subject);
    pattern_free(&pattern);
    assert_null(pattern);
    return answer;
}

static void patterns(void **state)
{
    static const char *const bad[] = {"(", "[", "\\C", "((a{99}){99}){99}", "(?<!a*)b", "a{2,1}"};
    char why[PATTERN_WHY_SIZE], many[PATTERN_MAX_BYTES + 2], as[2000];

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        why[0] = '\0';
        assert_null(pattern_new(slice_str(bad[i]), why));
        assert_true(strlen(why) > 5);
    }
    memset(many, 'a', sizeof many);
    assert_null(pattern_new(slice_of(many, PATTERN_MAX_BYTES + 1), why));
    assert_int_equal(match("casino", SLICE("the CASINO")), PATTERN_MATCHES);
    assert_int_equal(match("^casino", SLICE("the casino")), PATTERN_DIFFERS);
    assert_int_equal(match("^$", SLICE("")), PATTERN_MATCHES);
    assert_int_equal(match("^$", (struct slice){NULL, 0}), PATTERN_MATCHES);
    assert_int_equal(match("grün", SLICE("GRÜN")), PATTERN_MATCHES);
    assert_int_equal(match("a.b", SLICE("a\xff"
                                        "b")),
                     PATTERN_DIFFERS); /* no UTF-8 */
    assert_int_equal(match("b$", SLICE("a\xff"
                                       "b")),
                     PATTERN_MATCHES);
    memset(as, 'a', sizeof as);
    uint64_t began = clock_steady_ms();
    assert_int_equal(match("^(a|aa|aaa?)+$b", slice_of(as, sizeof as)), PATTERN_DIFFERS); /* it sees that there is no b */
    assert_int_equal(match("^(a|aa|aaa?)+[^a]c?$", slice_of(as, sizeof as)), PATTERN_TOO_HARD);
    assert_true(clock_steady_ms() - began < 2000);
}

static struct content_rule rule(bool outgoing, const char *const texts[CONTENT_PATTERNS])
{
    char why[PATTERN_WHY_SIZE];
    struct content_rule made = {.outgoing = outgoing, .size_over = -1, .header = SLICE("Subject")};

    for (unsigned i = 0; i < CONTENT_PATTERNS; i++)
        if (texts[i])
            assert_non_null(made.compiled[i] = pattern_new(slice_str(texts[i]), why));
    return made;
}

static void done(struct content_rule *made)
{
    for (unsigned i = 0; i < CONTENT_PATTERNS; i++)
        pattern_free(&made->compiled[i]);
}

static const struct content_field fields[] = {{SLICE("Subject"), SLICE("first")}, {SLICE("SUBJECT"), SLICE("second")}};
static const struct content_part parts[] = {{SLICE("a.txt"), SLICE("text/plain")},
                                            {SLICE("b.exe"), SLICE("application/zip")},
                                            {{NULL, 0}, SLICE("image/png")}};
static const struct content_message message = {SLICE("joe@a.test"), 500, fields, 2, parts, 3};

static bool fits(const char *header, const char *sender, const char *recipient, const char *name, const char *type,
                 int64_t size_over)
{
    struct content_rule made = rule(false, (const char *const[]){header, sender, recipient, name, type});
    struct content_match asked;
    bool found;

    made.size_over = size_over;
    content_match_begin(arena, &made, 1, &message, &asked);
    found = content_match_find(&asked, false, SLICE("a.test"), SLICE("ann@b.test")) != NULL;
    assert_int_equal(content_match_find(&asked, false, SLICE("a.test"), SLICE("ann@b.test")) != NULL, found);
    assert_null(content_match_find(&asked, true, SLICE("a.test"), SLICE("ann@b.test")));
    done(&made);
    return found;
}

static void conditions(void **state)
{
    (void)state;
    assert_true(fits("second", NULL, NULL, NULL, NULL, -1)); /* any of its fields */
    assert_false(fits("third", NULL, NULL, NULL, NULL, -1));
    assert_true(fits(NULL, "joe@", NULL, NULL, NULL, -1));
    assert_true(fits(NULL, NULL, "^ann@", NULL, NULL, -1));
    assert_false(fits(NULL, NULL, "^bob@", NULL, NULL, -1));
    assert_true(fits(NULL, NULL, NULL, "exe$", "zip$", -1));
    assert_false(fits(NULL, NULL, NULL, "txt$", "zip$", -1)); /* of one and the same */
    assert_false(fits(NULL, NULL, NULL, "^$", NULL, -1));     /* that has no name is not one that is empty */
    assert_true(fits(NULL, NULL, NULL, NULL, "^image/", -1));
    assert_true(fits(NULL, NULL, NULL, NULL, NULL, 499));
    assert_false(fits(NULL, NULL, NULL, NULL, NULL, 500));
    assert_false(fits("first", "nobody", NULL, NULL, NULL, -1)); /* all must hold */
}

static void order_and_domains(void **state)
{
    struct content_rule rules[3] = {rule(false, (const char *const[CONTENT_PATTERNS]){"."}),
                                    rule(false, (const char *const[CONTENT_PATTERNS]){"."}),
                                    rule(true, (const char *const[CONTENT_PATTERNS]){"."})};
    struct content_match asked;

    (void)state;
    rules[0].domain_id = 1;
    rules[0].domain = SLICE("b.test");
    rules[2].domain_id = 2;
    rules[2].domain = SLICE("a.test");
    content_match_begin(arena, rules, 3, &message, &asked);
    assert_ptr_equal(content_match_find(&asked, false, SLICE("a.test"), SLICE("ann@b.test")), &rules[0]);
    assert_ptr_equal(content_match_find(&asked, false, SLICE("a.test"), SLICE("ann@c.test")), &rules[1]);
    assert_ptr_equal(content_match_find(&asked, true, SLICE("a.test"), SLICE("ann@c.test")), &rules[2]);
    assert_null(content_match_find(&asked, true, SLICE("c.test"), SLICE("ann@c.test")));
    assert_true(content_match_wants_fields(rules, 3));
    assert_false(content_match_wants_parts(rules, 3));
    for (unsigned i = 0; i < 3; i++)
        done(&rules[i]);
}

static void time_is_over(void **state)
{
    struct content_rule made = rule(false, (const char *const[CONTENT_PATTERNS]){"."});
    struct content_match asked;

    (void)state;
    content_match_begin(arena, &made, 1, &message, &asked);
    while (!clock_work_ms())
        continue;
    asked.give_up_ms = 1;
    assert_null(content_match_find(&asked, false, SLICE("a.test"), SLICE("ann@b.test")));
    assert_int_equal(asked.too_hard, 2); /* both fields */
    done(&made);
}

/* Others had the processor: a machine that is busy is not a pattern that is slow. */
static void time_of_others(void **state)
{
    static const struct timespec longer = {0, 60000000};
    struct content_rule made = rule(false, (const char *const[CONTENT_PATTERNS]){"."});
    struct content_match asked;

    (void)state;
    content_match_begin(arena, &made, 1, &message, &asked);
    nanosleep(&longer, NULL);
    assert_non_null(content_match_find(&asked, false, SLICE("a.test"), SLICE("ann@b.test")));
    done(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(order_and_domains, setup, teardown),
        cmocka_unit_test_setup_teardown(time_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(time_is_over, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
