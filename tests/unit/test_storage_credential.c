/*
 * credential: what is made verifies, and nothing else does; every hash that libxcrypt knows is taken; one that makes no
 * sense is a no; and the SCRAM keys are those of RFC 7677's example.
 *
 * secret_random() is wrapped (see Makefile.inc), so that the salt can be the example's.
 */
#include <crypt.h>

#include "core/secret.h"
#include "storage/credential.h"
#include "tests/unit/in_task.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const unsigned char *salt; /* of 16 bytes; NULL: truly random */

void __real_secret_random(void *out, size_t n);
void __wrap_secret_random(void *out, size_t n);
void __wrap_secret_random(void *out, size_t n)
{
    if (salt && n == 16)
        memcpy(out, salt, n);
    else
        __real_secret_random(out, n);
}

static int setup(void **state)
{
    (void)state;
    in_task_begin(2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    in_task_end();
    return 0;
}

/* ------------------------------------------------------------------ making */

static AWAITS bool make(struct slice password, struct slice *hash, struct slice *scram)
{
    struct credential made;
    bool ok = credential_make(arena, password, &made);

    *hash = made.hash;
    *scram = made.scram_sha256;
    return ok && !made.scram_sha1.p;
}

static void made_verifies(void *arg)
{
    static char longest[CREDENTIAL_PASSWORD_MAX];
    const struct slice passwords[] = {SLICE("pencil"),     SLICE("x"),
                                      SLICE("  spaces "),  SLICE("p\xc3\xa4ssw\xc3\xb6rt"),
                                      SLICE("$y$j9T$,=:"), slice_of(longest, sizeof longest)};
    struct slice hash, scram, other;

    (void)arg;
    memset(longest, 'p', sizeof longest);
    for (unsigned i = 0; i < COUNT(passwords); i++) {
        expect(make(passwords[i], &hash, &scram));
        expect(hash.n > 3 && memcmp(hash.p, "$y$", 3) == 0);
        expect(credential_verify(hash, passwords[i]));
        expect(!credential_verify(hash, slice_of(passwords[i].p, passwords[i].n - 1)));
        expect(make(passwords[i], &other, &scram)); /* salted: the same twice is not the same */
        expect(!slice_equal(hash, other));
    }
    longest[sizeof longest - 1] = 'q'; /* its last byte counts */
    expect(!credential_verify(hash, slice_of(longest, sizeof longest)));
}

static void test_what_is_made_verifies(void **state)
{
    (void)state;
    in_task(made_verifies);
}

static void not_made(void *arg)
{
    static char too_long[CREDENTIAL_PASSWORD_MAX + 1];
    struct slice hash, scram;

    (void)arg;
    memset(too_long, 'p', sizeof too_long);
    expect(!make(SLICE(""), &hash, &scram));
    expect(!make((struct slice){NULL, 0}, &hash, &scram));
    expect(!make(SLICE("pen\0cil"), &hash, &scram));
    expect(!make(slice_of(too_long, sizeof too_long), &hash, &scram));

    expect(make(SLICE("pen"), &hash, &scram));
    expect(!credential_verify(hash, SLICE("pen\0cil"))); /* nothing is cut at a NUL */
    expect(!credential_verify(hash, SLICE("pen\0")));
    expect(!credential_verify(hash, SLICE("")));
    expect(!credential_verify(hash, slice_of(too_long, sizeof too_long)));
}

static void test_passwords_that_are_none(void **state)
{
    (void)state;
    in_task(not_made);
}

/* ------------------------------------------------------------------ verifying */

/* Accounts come from other systems with hashes of other kinds. */
static void other_kinds(void *arg)
{
    static const char *const prefixes[] = {"$y$", "$2b$", "$6$", "$5$", "$1$"};
    struct crypt_data *data = arena_alloc(arena, sizeof *data);
    unsigned tried = 0;

    (void)arg;
    for (unsigned i = 0; i < COUNT(prefixes); i++) {
        char setting[CRYPT_GENSALT_OUTPUT_SIZE];
        struct slice hash;

        if (!crypt_gensalt_rn(prefixes[i], 0, NULL, 0, setting, sizeof setting))
            continue; /* a library without it */
        hash = slice_str(arena_strdup(arena, crypt_r("pencil", setting, data)));
        expect(hash.p[0] == '$');
        expect(credential_verify(hash, SLICE("pencil")));
        expect(!credential_verify(hash, SLICE("Pencil")));
        expect(!credential_verify(hash, SLICE("pencil ")));
        tried++;
    }
    expect(tried >= 4);
}

static void test_hashes_of_other_kinds(void **state)
{
    (void)state;
    in_task(other_kinds);
}

static void no_hash_fits(void *arg)
{
    static char endless[1000];
    const struct slice malformed[] = {
        {NULL, 0},           SLICE(""),        SLICE("*"),        SLICE("*0"),
        SLICE("*1"),         SLICE("!"),       SLICE("pencil"),   SLICE("$"),
        SLICE("$$"),         SLICE("$y$"),     SLICE("$y$j9T$"),  SLICE("$y$j9T$salt$"),
        SLICE("$6$"),        SLICE("$6$salt"), SLICE("$6$salt$"), SLICE("$unknown$salt$hash"),
        SLICE("$2b$99$abc"), SLICE(":"),       SLICE("\xff\xfe"), slice_of(endless, sizeof endless)};
    struct slice hash, scram;

    (void)arg;
    memset(endless, '$', sizeof endless);
    for (unsigned i = 0; i < COUNT(malformed); i++) {
        expect(!credential_verify(malformed[i], SLICE("pencil")));
        expect(!credential_verify(malformed[i], malformed[i].p ? malformed[i] : SLICE("x")));
    }
    /* A good one that was cut, or has something behind it. */
    expect(make(SLICE("pencil"), &hash, &scram));
    expect(!credential_verify(slice_of(hash.p, hash.n - 1), SLICE("pencil")));
    expect(!credential_verify(slice_str(arena_printf(arena, "%s.", hash.p)), SLICE("pencil")));
    expect(!credential_verify(scram, SLICE("pencil")));
}

static void test_hashes_that_make_no_sense(void **state)
{
    (void)state;
    in_task(no_hash_fits);
}

/* ------------------------------------------------------------------ SCRAM */

#define CLIENT_FIRST "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define SERVER_FIRST "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define CLIENT_FINAL "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define CLIENT_PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_SIGNATURE "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

/*
 * RFC 7677 section 3 publishes the messages, not the keys; but the keys must make that server's signature, and must
 * take that client's proof: H(proof XOR HMAC(StoredKey, AuthMessage)) is StoredKey (RFC 5802 section 3).
 */
static void example(void *arg)
{
    const struct slice auth = SLICE(CLIENT_FIRST "," SERVER_FIRST "," CLIENT_FINAL);
    struct slice hash, scram, decoded, stored, server, proof;
    unsigned char client_key[SECRET_SHA256_SIZE], out[SECRET_SHA256_SIZE];
    const char *keys = NULL, *colon = NULL;

    (void)arg;
    expect(secret_base64_decode(arena, SLICE("W22ZaJ0SNY7soEsUEjb6gQ=="), &decoded) && decoded.n == 16);
    salt = (const unsigned char *)decoded.p;
    expect(make(SLICE("pencil"), &hash, &scram));
    salt = NULL;

    expect(strncmp(scram.p, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$", 44) == 0); /* RFC 5803's form */
    keys = scram.p + 44;
    colon = strchr(keys, ':');
    expect(colon && colon + 1 + 44 == scram.p + scram.n);
    expect(secret_base64_decode(arena, slice_of(keys, (size_t)(colon - keys)), &stored) && stored.n == sizeof out);
    expect(secret_base64_decode(arena, slice_str(colon + 1), &server) && server.n == sizeof out);

    secret_hmac_sha256(server, auth, out);
    expect(slice_equal(secret_base64(arena, slice_of((char *)out, sizeof out)), SLICE(SERVER_SIGNATURE)));

    expect(secret_base64_decode(arena, SLICE(CLIENT_PROOF), &proof) && proof.n == sizeof out);
    secret_hmac_sha256(stored, auth, client_key);
    for (unsigned i = 0; i < sizeof client_key; i++)
        client_key[i] ^= (unsigned char)proof.p[i];
    secret_sha256(slice_of((char *)client_key, sizeof client_key), out);
    expect(secret_equal(slice_of((char *)out, sizeof out), stored));
}

static void test_the_example_of_rfc_7677(void **state)
{
    (void)state;
    in_task(example);
}

/*
 * In RFC 5803's form, from a salt of its own; that the keys are right: tests/e2e/test_scram.py, with clients that
 * others made.
 */
static void sha1(void *arg)
{
    struct credential made;

    (void)arg;
    credential_want_sha1(true);
    bool ok = credential_make(arena, SLICE("pencil"), &made);
    credential_want_sha1(false);
    expect(ok && strncmp(made.scram_sha1.p, "SCRAM-SHA-1$4096:", 17) == 0);
    expect(made.scram_sha1.n == 17 + 24 + 1 + 28 + 1 + 28);
    expect(memcmp(made.scram_sha1.p + 17, made.scram_sha256.p + 19, 24) != 0);
}

static void test_keys_for_sha1(void **state)
{
    (void)state;
    in_task(sha1);
}

static void many(void *arg)
{
    struct slice hash, scram;

    expect(make(SLICE("pencil"), &hash, &scram));
    *(struct slice *)arg = scram;
}

static void test_each_salt_is_new(void **state)
{
    struct slice made[6];

    (void)state;
    for (unsigned i = 0; i < COUNT(made); i++)
        begin_task(many, &made[i]); /* side by side, on two threads */
    run_tasks();
    for (unsigned i = 0; i < COUNT(made); i++)
        for (unsigned j = 0; j < i; j++)
            assert_false(slice_equal(made[i], made[j]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made_verifies),   cmocka_unit_test(test_passwords_that_are_none),
        cmocka_unit_test(test_hashes_of_other_kinds),   cmocka_unit_test(test_hashes_that_make_no_sense),
        cmocka_unit_test(test_the_example_of_rfc_7677), cmocka_unit_test(test_each_salt_is_new),
        cmocka_unit_test(test_keys_for_sha1),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
