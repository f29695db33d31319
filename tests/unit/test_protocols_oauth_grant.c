/*
 * oauth_grant: what a token server is asked, and what of its answers is a token.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/oauth_grant.h"

static void test_forms(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct oauth_grant grant = {SLICE("id"), SLICE("s &="), {NULL, 0}, SLICE("a b")};

    (void)state;
    assert_true(slice_equal(oauth_grant_form(arena, &grant),
                            SLICE("grant_type=client_credentials&client_id=id&client_secret=s%20%26%3D&scope=a%20b")));
    grant = (struct oauth_grant){SLICE("id"), {NULL, 0}, SLICE("r/1"), {NULL, 0}};
    assert_true(slice_equal(oauth_grant_form(arena, &grant),
                            SLICE("grant_type=refresh_token&client_id=id&refresh_token=r%2F1")));
    arena_free(&arena);
}

static void test_answers(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *token, *refresh; /* token NULL: none, and refresh is a part of why */
        int64_t lifetime_s;
    } table[] = {
        {200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":3600}", "t", NULL, 3600},
        {200, "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"60\",\"refresh_token\":\"r\"}", "t",
         "r", 60},
        {200, "{\"access_token\":\"t\",\"token_type\":\"BEARER\"}", "t", NULL, 600},
        {200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":-5}", "t", NULL, 1},
        {200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":1e300}", "t", NULL, 86400},
        {200, "{\"access_token\":\"t\"}", NULL, "not of type Bearer", 0},
        {200, "{\"access_token\":\"t\",\"token_type\":\"mac\"}", NULL, "not of type Bearer", 0},
        {200, "{\"access_token\":\"\",\"token_type\":\"Bearer\"}", NULL, "cannot be used", 0},
        {200, "{\"access_token\":7,\"token_type\":\"Bearer\"}", NULL, "cannot be used", 0},
        {200, "{\"access_token\":\"a b\",\"token_type\":\"Bearer\"}", NULL, "cannot be used", 0},
        {200, "{\"access_token\":\"a\\u0001\",\"token_type\":\"Bearer\"}", NULL, "cannot be used", 0},
        {200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"refresh_token\":\"a b\"}", NULL, "cannot be used",
         0},
        {200, "[]", NULL, "no JSON object", 0},
        {200, "", NULL, "no JSON object", 0},
        {200, "{\"access_token\":\"t\"", NULL, "no JSON object", 0},
        {400, "{\"error\":\"invalid_grant\",\"error_description\":\"secret\"}", NULL, "says invalid_grant (400)", 0},
        {400, "{\"error\":\"the secret is SECRET\"}", NULL, "answers with status 400", 0},
        {400, "{\"error\":7}", NULL, "answers with status 400", 0},
        {500, "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", NULL, "answers with status 500", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct oauth_granted out;
        const char *why = oauth_grant_read(arena, table[i].status, slice_str(table[i].body), &out);

        if (!table[i].token) {
            if (!why || !strstr(why, table[i].refresh) || strstr(why, "ecret"))
                fail_msg("%s: %s", table[i].body, why ? why : "taken");
        } else if (why || !slice_equal(out.token, slice_str(table[i].token)) || out.lifetime_s != table[i].lifetime_s ||
                   (table[i].refresh ? !slice_equal(out.refresh_token, slice_str(table[i].refresh))
                                     : out.refresh_token.p != NULL)) {
            fail_msg("%s: %s", table[i].body, why ? why : "taken otherwise");
        }
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
