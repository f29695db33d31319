/*
 * oauth_message and oauth_token: what clients and authorization servers say.  Asking them is in
 * tests/e2e/test_oauth.py.
 */
#include "protocols/oauth.h"
#include "protocols/oauth_message.h"
#include "protocols/oauth_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

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

/* ------------------------------------------------------------------ messages */

static void test_oauthbearer(void **state)
{
    static const struct {
        struct slice in;
        const char *account, *token; /* token NULL: it makes no sense */
    } rows[] = {
        /* RFC 7628 section 4.1 */
        {SLICE(
             "n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"),
         "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="},
        {SLICE("n,,\1auth=Bearer a\1\1"), "", "a"},
        {SLICE("y,,\1auth=bearer   a.b-c_d~e+f/g=\1\1"), "", "a.b-c_d~e+f/g="},
        {SLICE("n,a=a=2Cb=3Dc,\1auth=Bearer a\1\1"), "a,b=c", "a"},
        {SLICE("n,,\1x=\1auth=Bearer a\1y=z z\r\n\1\1"), "", "a"},
        {SLICE(""), NULL, NULL},
        {SLICE("\1"), NULL, NULL},
        {SLICE("n,,"), NULL, NULL},
        {SLICE("n,,\1"), NULL, NULL},
        {SLICE("n,,\1\1"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer a\1"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer a"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer a\1\1\1"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer a\1\1x"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer a\1auth=Bearer b\1\1"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer \1\1"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer =\1\1"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer a b\1\1"), NULL, NULL},
        {SLICE("n,,\1auth=Bearer a\0b\1\1"), NULL, NULL},
        {SLICE("n,,\1auth=Basic a\1\1"), NULL, NULL},
        {SLICE("n,,\1=x\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("n,,\1x1=x\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("n,,\1x=\x7f\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("p=tls-unique,,\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("x,,\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("n,b=x,\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("n,a=,\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("n,a=a=b,\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("n,a=a=2,\1auth=Bearer a\1\1"), NULL, NULL},
        {SLICE("n,a=a\0b,\1auth=Bearer a\1\1"), NULL, NULL},
    };

    (void)state;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct oauth_message out;
        bool good = oauth_message_bearer(arena, rows[i].in, &out);

        if (good != (rows[i].token != NULL))
            fail_msg("%u: %s", i, rows[i].in.p);
        assert_true(!good || (slice_equal(out.account, slice_str(rows[i].account)) &&
                              slice_equal(out.token, slice_str(rows[i].token))));
    }
}

static void test_xoauth2(void **state)
{
    static const struct slice wrong[] = {
        SLICE(""),
        SLICE("user="),
        SLICE("user=a\1"),
        SLICE("user=\1auth=Bearer a\1\1"),
        SLICE("user=a\1auth=Bearer a\1"),
        SLICE("user=a\1auth=Bearer a\1\1\1"),
        SLICE("user=a\1auth=Bearer \1\1"),
        SLICE("user=a\0b\1auth=Bearer a\1\1"),
        SLICE("auth=Bearer a\1\1"),
        SLICE("n,,\1auth=Bearer a\1\1"),
        SLICE("user=a\1auth=Bearer a\1x"),
    };
    static char endless[OAUTH_MESSAGE_MAX + 1];
    struct oauth_message out;

    (void)state;
    assert_true(oauth_message_xoauth2(
        SLICE("user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\1\1"), &out));
    assert_true(slice_equal(out.account, SLICE("someuser@example.com")));
    assert_true(slice_equal(out.token, SLICE("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")));
    for (unsigned i = 0; i < COUNT(wrong); i++)
        assert_false(oauth_message_xoauth2(wrong[i], &out));
    memset(endless, 'a', sizeof endless);
    memcpy(endless, "user=a\1auth=Bearer ", 19);
    endless[sizeof endless - 1] = endless[sizeof endless - 2] = '\1';
    assert_false(oauth_message_xoauth2(slice_of(endless, sizeof endless), &out));
}

/* ------------------------------------------------------------------ JWTs: RFC 7515, appendices A.2 and A.3 */

#define CLAIMS "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RS256                                                                                                          \
    "eyJhbGciOiJSUzI1NiJ9." CLAIMS ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc"    \
    "_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L"    \
    "07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9F"    \
    "s98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define ES256                                                                                                          \
    "eyJhbGciOiJFUzI1NiJ9." CLAIMS ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3"   \
    "-Kg6NU1Q"
#define MODULUS                                                                                                        \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-p"  \
    "CgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Cap"   \
    "Hg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54"   \
    "h4FRWyuXpoQ"
#define RSA_KEY "{\"kty\":\"RSA\",\"n\":\"" MODULUS "\",\"e\":\"AQAB\""
#define EC_KEY                                                                                                         \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                         \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""

static enum oauth_signature verify(const char *token, const char *keys_text)
{
    const char *why;
    struct oauth_keys *keys = oauth_keys_parse(slice_str(keys_text), &why);
    struct oauth_jwt jwt;
    enum oauth_signature result;

    assert_non_null(keys);
    why = oauth_jwt_parse(arena, slice_str(token), &jwt);
    if (why)
        fail_msg("%s", why);
    result = oauth_jwt_verify(&jwt, keys);
    oauth_keys_free(&keys);
    return result;
}

static void test_signatures(void **state)
{
    char *spoilt = arena_strdup(arena, ES256);

    (void)state;
    assert_int_equal(verify(RS256, "{\"keys\":[" RSA_KEY "}]}"), OAUTH_SIGNATURE_GOOD);
    assert_int_equal(verify(ES256, "{\"keys\":[" EC_KEY "}]}"), OAUTH_SIGNATURE_GOOD);
    assert_int_equal(
        verify(ES256, "{\"keys\":[7," RSA_KEY "}," EC_KEY ",\"kid\":\"x\",\"use\":\"sig\",\"alg\":\"ES256\"}]}"),
        OAUTH_SIGNATURE_GOOD);
    assert_int_equal(verify(ES256, "{\"keys\":[" RSA_KEY "}]}"),
                     OAUTH_SIGNATURE_NO_KEY); /* the algorithm is the key's */
    assert_int_equal(verify(RS256, "{\"keys\":[" EC_KEY "}]}"), OAUTH_SIGNATURE_NO_KEY);
    spoilt[strlen(spoilt) - 10] ^= 1;
    assert_int_equal(verify(spoilt, "{\"keys\":[" EC_KEY "}]}"), OAUTH_SIGNATURE_BAD);
    spoilt = arena_strdup(arena, ES256);
    spoilt[30] = 'Q'; /* the claims */
    assert_int_equal(verify(spoilt, "{\"keys\":[" EC_KEY "}]}"), OAUTH_SIGNATURE_BAD);
    /* {"alg":"ES256","kid":"a"} */
    assert_int_equal(verify("eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.e30.AAAA", "{\"keys\":[" EC_KEY ",\"kid\":\"b\"}]}"),
                     OAUTH_SIGNATURE_NO_KEY);
    assert_int_equal(verify("eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.e30.AAAA", "{\"keys\":[" EC_KEY ",\"kid\":\"a\"}]}"),
                     OAUTH_SIGNATURE_BAD);
}

static void test_what_is_no_key(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[{}]}",
        "{\"keys\":[" EC_KEY "}]} more",
        "{\"keys\":[" EC_KEY "}",
        "{\"keys\":[" EC_KEY ",\"use\":\"enc\"}]}",
        "{\"keys\":[" EC_KEY ",\"alg\":\"ES384\"}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" MODULUS "\",\"e\":\"\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}", /* not on the curve */
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}]}",
    };
    const char *why;

    (void)state;
    for (unsigned i = 0; i < COUNT(wrong); i++)
        if (oauth_keys_parse(slice_str(wrong[i]), &why))
            fail_msg("%s", wrong[i]);
}

static void test_what_is_no_jwt(void **state)
{
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a..c",
        "e30.e30.AAAA.AAAA",
        "e30.e30.AAA=",
        "e30.e30.A",
        "e30.e30.AA+A",
        " e30.e30.AAAA",
        "e30.e30.AAAA",                                    /* {}: no algorithm */
        "eyJhbGciOiJub25lIn0.e30.AAAA",                    /* {"alg":"none"} */
        "eyJhbGciOiJIUzI1NiJ9.e30.AAAA",                   /* {"alg":"HS256"} */
        "eyJhbGciOiJFUzI1NiIsImNyaXQiOlsieCJdfQ.e30.AAAA", /* {"alg":"ES256","crit":["x"]} */
        "W10.e30.AAAA",                                    /* [] */
    };
    struct oauth_jwt jwt;

    (void)state;
    for (unsigned i = 0; i < COUNT(wrong); i++)
        if (!oauth_jwt_parse(arena, slice_str(wrong[i]), &jwt))
            fail_msg("%s", wrong[i]);
    assert_false(oauth_token_is_jwt(SLICE("opaque")));
    assert_false(oauth_token_is_jwt(SLICE("a.b")));
    assert_true(oauth_token_is_jwt(SLICE("a.b.c")));
}

/* ------------------------------------------------------------------ claims */

#define NOW INT64_C(1700000000) /* s */
#define GOOD "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1700000600,\"scope\":\"x mail\",\"email\":\"ann@example.test\""

static void test_claims(void **state)
{
    static const struct {
        bool introspected;
        const char *json, *why; /* NULL: good */
    } rows[] = {
        {false, GOOD "}", NULL},
        {true, GOOD ",\"active\":true}", NULL},
        {true, GOOD "}", "not active"},
        {true, GOOD ",\"active\":\"true\"}", "not active"},
        {true, "{\"active\":false}", "not active"},
        {false, GOOD ",\"aud\":[\"b\",\"a\"]}", NULL},
        {false, GOOD ",\"aud\":[\"b\",7]}", "for another audience"},
        {false, GOOD ",\"aud\":7}", "for another audience"},
        {false, GOOD ",\"iss\":\"j\"}", "of another issuer"},
        {false, GOOD ",\"iss\":[\"i\"]}", "of another issuer"},
        {false, GOOD ",\"exp\":1699999941}", NULL}, /* a minute is allowed to clocks */
        {false, GOOD ",\"exp\":1699999939}", "expired"},
        {false, GOOD ",\"exp\":1699999939.5}", "expired"},
        {false, GOOD ",\"exp\":\"1700000600\"}", "its times make no sense"},
        {false, GOOD ",\"exp\":-1}", "its times make no sense"},
        {false, GOOD ",\"exp\":1e300}", "its times make no sense"},
        {false, GOOD ",\"exp\":null}", "its times make no sense"},
        {false, GOOD ",\"nbf\":1700000059}", NULL},
        {false, GOOD ",\"nbf\":1700000061}", "not valid yet"},
        {false, GOOD ",\"scope\":\"mailer\"}", "without the scope"},
        {false, GOOD ",\"scope\":[\"mail\"]}", "without the scope"},
        {false, GOOD ",\"scope\":\"mail\"}", NULL},
        {false, GOOD ",\"email_verified\":true}", NULL},
        {false, GOOD ",\"email_verified\":false}", "its address is not verified"},
        {false, GOOD ",\"email\":\"\"}", "names no account"},
        {false, GOOD ",\"email\":\"a\\u0000b\"}", "names no account"},
        {false, GOOD ",\"email\":[\"ann@example.test\"]}", "names no account"},
        {false, "{\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mail\",\"email\":\"x\"}", "expired"},
        {true, "{\"active\":true,\"iss\":\"i\",\"aud\":\"a\",\"scope\":\"mail\",\"email\":\"x\"}", NULL},
        {false, "[]", "no JSON"},
        {false, "", "no JSON"},
        {false, GOOD, "no JSON"},
        {false, GOOD ",\"x\":[[[[[[[[[[]]]]]]]]]]}", "no JSON"},
        {false, GOOD ",\"x\":\"\xff\"}", "no JSON"},
    };
    const struct oauth_rules rules = {"i", "a", "mail", "email"}, any = {"", "", "", "sub"};
    struct slice account;
    int64_t expires;

    (void)state;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        const char *why = oauth_claims_judge(arena, slice_str(rows[i].json), rows[i].introspected, &rules, NOW * 1000,
                                             &account, &expires);

        if ((why == NULL) != (rows[i].why == NULL) || (why && strcmp(why, rows[i].why) != 0))
            fail_msg("%s: %s", rows[i].json, why ? why : "good");
        assert_true((account.p != NULL) == (why == NULL));
    }
    assert_null(oauth_claims_judge(arena, SLICE("{\"active\":true,\"sub\":\"x\"}"), true, &any, NOW * 1000, &account,
                                   &expires));
    assert_true(slice_equal(account, SLICE("x")) && expires == INT64_MAX);
}

static void test_addresses(void **state)
{
    static const char *const good[] = {"https://issuer.test", "https://issuer.test/x?y", "http://127.0.0.1:8080/x",
                                       "http://localhost/", "http://[::1]"};
    static const char *const wrong[] = {"",
                                        "https://",
                                        "http://issuer.test/",
                                        "http://localhost.issuer.test/",
                                        "ftp://localhost/",
                                        "http://127.0.0.1.issuer.test/",
                                        "HTTPS",
                                        "/etc/keys",
                                        "http://127.0.0.1@issuer.test/"};

    (void)state;
    for (unsigned i = 0; i < COUNT(good); i++)
        assert_true(oauth_url_valid(good[i]));
    for (unsigned i = 0; i < COUNT(wrong); i++)
        assert_false(oauth_url_valid(wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oauthbearer),    cmocka_unit_test(test_xoauth2),        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_what_is_no_key), cmocka_unit_test(test_what_is_no_jwt), cmocka_unit_test(test_claims),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
