/* credential_prepare: SASLprep.  That passwords are stored and compared so: tests/e2e/test_auth.py. */
#include "storage/credential_prepare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_what_becomes_of_it(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: prohibited */
    } rows[] = {
        /* RFC 4013 section 3 */
        {"I\xc2\xadX", "IX"},
        {"user", "user"},
        {"USER", "USER"},
        {"\xc2\xaa", "a"},
        {"\xe2\x85\xa8", "IX"},
        {"\a", NULL},
        {"\xd8\xa7"
         "1",
         NULL},
        /* its sections 2.1 to 2.5 */
        {"a\xc2\xa0z", "a z"},                       /* no-break space */
        {"a\xe2\x80\x8d", "a"},                      /* zero width joiner, which is mapped to nothing */
        {"e\xcc\x81t\xc3\xa9", "\xc3\xa9t\xc3\xa9"}, /* e and acute accent, in two ways */
        {"\xef\xac\x81", "fi"},                      /* a ligature */
        {"p\xc3\xa4ssw\xc3\xb6rt", "p\xc3\xa4ssw\xc3\xb6rt"},
        {"\xd8\xa7\xd8\xa8", "\xd8\xa7\xd8\xa8"}, /* from right to left, all of it */
        {"a\xe2\x80\xae", NULL},                  /* right-to-left override */
        {"\xef\xbf\xbd", NULL},                   /* replacement character */
        {"\xee\x80\x80", NULL},                   /* private use */
        {"\xf0\x9f\x98\x80", NULL},               /* a face, of which Unicode 3.2 knows nothing */
        {"\xc2\xad", NULL},                       /* nothing is left */
        {"\xff", NULL},
        {"a\xc3", NULL},
        {"\xed\xa0\x80", NULL}, /* half of a surrogate pair */
        {"  blanks ", "  blanks "},
    };
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice out;

    (void)state;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        bool good = credential_prepare(arena, slice_str(rows[i].in), &out);

        if (good != (rows[i].out != NULL) || (good && !slice_equal(out, slice_str(rows[i].out))))
            fail_msg("%u: %s", i, rows[i].in);
    }
    arena_free(&arena);
}

static void test_lengths(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    char text[600];
    struct slice out;

    (void)state;
    for (unsigned i = 0; i < 254; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    assert_true(credential_prepare(arena, slice_of(text, 254), &out) && out.n == 254);
    for (unsigned i = 0; i + 3 < 508; i += 3)
        memcpy(text + i, "\xef\xb7\xba", 3); /* becomes 33 bytes each */
    assert_false(credential_prepare(arena, slice_of(text, 507), &out));
    memset(text, '\xc3', sizeof text);
    assert_false(credential_prepare(arena, slice_of(text, sizeof text), &out));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_becomes_of_it), cmocka_unit_test(test_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
