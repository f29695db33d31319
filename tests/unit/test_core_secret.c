/* secret: comparison, copies that are wiped, digests and keys against published vectors, base64 that is strict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/secret.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_equal_means_every_byte(void **state)
{
    char a[64], b[64];

    (void)state;
    memset(a, 'x', sizeof a);
    memcpy(b, a, sizeof b);
    assert_true(secret_equal(slice_of(a, sizeof a), slice_of(b, sizeof b)));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 1;
        assert_false(secret_equal(slice_of(a, sizeof a), slice_of(b, sizeof b)));
        b[i] ^= 1;
    }
    assert_false(secret_equal(slice_of(a, 63), slice_of(b, 64))); /* a prefix is not it */
    assert_false(secret_equal(slice_of(a, 0), slice_of(b, 1)));
    assert_true(secret_equal(SLICE(""), (struct slice){NULL, 0}));
    assert_true(secret_equal(SLICE("a\0b"), SLICE("a\0b"))); /* NUL is a byte like others */
    assert_false(secret_equal(SLICE("a\0b"), SLICE("a\0c")));
}

static void test_wipe_wipes_what_it_is_given(void **state)
{
    char bytes[16];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    secret_wipe(bytes + 4, 8);
    for (unsigned i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], i >= 4 && i < 12 ? 0 : 'x');
    secret_wipe(bytes, 0);
    assert_int_equal(bytes[0], 'x');
}

static struct slice watched;
static unsigned left_over, looked;

/* Runs after the secret's own clean-up, being older, and while the arena's memory is still there. */
static void on_look(void *arg)
{
    (void)arg;
    looked++;
    for (size_t i = 0; i < watched.n; i++)
        left_over += watched.p[i] != '\0';
}

static void test_a_copy_is_wiped_with_its_arena(void **state)
{
    char original[] = "correct horse battery staple";
    struct arena *arena = arena_new(SIZE_MAX);

    (void)state;
    left_over = looked = 0;
    for (unsigned round = 0; round < 2; round++) { /* when the arena is reset, and when it goes */
        arena_on_done(arena, on_look, NULL);
        watched = secret_slice(arena, slice_of(original, sizeof original - 1));
        assert_true(watched.p != original);
        assert_true(slice_equal(watched, SLICE("correct horse battery staple")));
        assert_int_equal(watched.p[watched.n], '\0');
        if (round == 0)
            arena_reset(arena);
        else
            arena_free(&arena);
        assert_int_equal(looked, round + 1);
        assert_int_equal(left_over, 0);
        assert_string_equal(original, "correct horse battery staple"); /* the caller's is the caller's */
    }
}

static void test_a_copy_has_its_own_bytes(void **state)
{
    char original[] = "secret";
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice copy = secret_slice(arena, slice_of(original, 6)), empty = secret_slice(arena, SLICE(""));

    (void)state;
    secret_wipe(original, sizeof original);
    assert_true(slice_equal(copy, SLICE("secret")));
    assert_non_null(empty.p);
    assert_int_equal(empty.n, 0);
    arena_free(&arena);
}

static void test_random_bytes_differ(void **state)
{
    unsigned char a[32] = {0}, b[32] = {0}, zero[32] = {0};

    (void)state;
    secret_random(a, sizeof a);
    secret_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, zero, sizeof a);
    secret_random(zero, 0);
}

static struct slice hex(struct arena *arena, const unsigned char *bytes)
{
    char *out = arena_alloc(arena, 2 * SECRET_SHA256_SIZE + 1);

    for (unsigned i = 0; i < SECRET_SHA256_SIZE; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    return slice_of(out, 2 * SECRET_SHA256_SIZE);
}

#define assert_hex(bytes, text) assert_string_equal(hex(arena, bytes).p, text)

static void test_published_vectors(void **state)
{
    struct arena *arena = arena_new(SIZE_MAX);
    unsigned char out[SECRET_SHA256_SIZE];

    (void)state;
    /* FIPS 180-4's examples */
    secret_sha256(SLICE(""), out);
    assert_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    secret_sha256(SLICE("abc"), out);
    assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /* RFC 4231, test case 2 */
    secret_hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"), out);
    assert_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    /* RFC 7914 section 11: the first 32 of its 64 bytes, which are PBKDF2's first block */
    secret_pbkdf2(SECRET_SHA256, SLICE("passwd"), SLICE("salt"), 1, out);
    assert_hex(out, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    secret_pbkdf2(SECRET_SHA256, SLICE("Password"), SLICE("NaCl"), 80000, out);
    assert_hex(out, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
    unsigned char sha1[20];
    /* RFC 2202, test case 2 of HMAC-SHA-1; RFC 6070, 4,096 iterations */
    secret_hmac(SECRET_SHA1, SLICE("Jefe"), SLICE("what do ya want for nothing?"), sha1);
    assert_memory_equal(sha1, "\xef\xfc\xdf\x6a\xe5\xeb\x2f\xa2\xd2\x74\x16\xd5\xf1\x84\xdf\x9c\x25\x9a\x7c\x79", 20);
    secret_pbkdf2(SECRET_SHA1, SLICE("password"), SLICE("salt"), 4096, sha1);
    assert_memory_equal(sha1, "\x4b\x00\x79\x01\xb7\x65\x48\x9a\xbe\xad\x49\xd9\x26\xf7\x21\xd0\x65\xa4\x29\xc1", 20);
    arena_free(&arena);
}

/* RFC 4648 section 10 */
static void test_base64_both_ways(void **state)
{
    static const struct {
        const char *plain, *coded;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"}};
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice out;

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        assert_string_equal(secret_base64(arena, slice_str(cases[i].plain)).p, cases[i].coded);
        assert_true(secret_base64_decode(arena, slice_str(cases[i].coded), &out));
        assert_true(slice_equal(out, slice_str(cases[i].plain)));
        assert_non_null(out.p); /* empty, not absent */
    }
    assert_true(secret_base64_decode(arena, SLICE("AGEAYg=="), &out)); /* PLAIN is full of NULs */
    assert_true(slice_equal(out, SLICE("\0a\0b")));
    arena_free(&arena);
}

static void test_base64_that_is_none(void **state)
{
    static const char *const cases[] = {"Z",    "Zg",      "Zg=",          "=",      "==",       "===",
                                        "====", "Z===",    "Zg==Zg==",     "Zm9v=",  "Zm=v",     "Zm9v\n",
                                        " Zm9", "Zm9v ",   "Zm9v\r\nZm9v", "Zm9\tv", "Zm9v----", "Zm9_",
                                        "Zm9-", "Zm9\xc3", "Zm9*",         "*",      "Zg==\r\n", "Zm9v Zm9v   "};
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice out;

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++)
        if (secret_base64_decode(arena, slice_str(cases[i]), &out))
            fail_msg("taken: \"%s\"", cases[i]);
    assert_false(secret_base64_decode(arena, SLICE("Zm\0v"), &out));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_means_every_byte),
        cmocka_unit_test(test_wipe_wipes_what_it_is_given),
        cmocka_unit_test(test_a_copy_is_wiped_with_its_arena),
        cmocka_unit_test(test_a_copy_has_its_own_bytes),
        cmocka_unit_test(test_random_bytes_differ),
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_base64_both_ways),
        cmocka_unit_test(test_base64_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
