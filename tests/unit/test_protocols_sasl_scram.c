/*
 * sasl: the dialogue of SCRAM-SHA-256 (RFC 5802, RFC 7677): good, wrong, unknown, barred, malformed, spoilt at each
 * place.
 */
#include "tests/unit/sasl_harness.h"

static void scram_good(void *arg)
{
    struct slice signature, data;
    struct scram scram;

    (void)arg;
    for (unsigned tls = 0; tls < 2; tls++) {
        fake.look_ups = 0;
        expect(scram_login(NAME, "pencil", tls, &scram, &signature, &data) == SASL_RESULT_OK);
        expect(slice_equal(data, signature)); /* the server knows the keys, too */
        expect(slice_equal(secret_base64(arena, scram.salt), SLICE(SALT)));
        expect(fake.look_ups == 1 && fake.verified == 0);
    }
}

static void test_scram(void **state)
{
    (void)state;
    in_task(scram_good);
}

static void scram_wrong(void *arg)
{
    struct slice signature, data;
    struct scram scram;

    (void)arg;
    expect(scram_login(NAME, "Pencil", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(slice_equal(secret_base64(arena, scram.salt), SLICE(SALT)));
    expect(scram_login(NAME, "", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
}

static void test_scram_wrong_password(void **state)
{
    (void)state;
    in_task(scram_wrong);
}

/*
 * The salt of who does not exist is always the same, differs by name and by installation, and is not in capitals' way.
 */
static void scram_unknown(void *arg)
{
    struct slice signature, data, salt;
    struct scram scram;

    (void)arg;
    expect(scram_login("nobody@example.test", "pencil", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(scram.salt.n == 16);
    salt = scram.salt;
    expect(scram_login("nobody@example.test", "other", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(slice_equal(scram.salt, salt));
    expect(scram_login("NoBody@Example.TEST", "other", false, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(slice_equal(scram.salt, salt));
    expect(scram_login("nobody2@example.test", "pencil", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(!slice_equal(scram.salt, salt));
    fake.salt_key_bytes = "another installation's";
    expect(scram_login("nobody@example.test", "pencil", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(!slice_equal(scram.salt, salt));
}

static void test_scram_unknown_account(void **state)
{
    (void)state;
    in_task(scram_unknown);
}

/* Suspended, or with a password that has no SCRAM keys: as if there were none. */
static void scram_barred(void *arg)
{
    struct slice signature, data;
    struct scram scram;

    (void)arg;
    fake.state = DIRECTORY_SUSPENDED;
    expect(scram_login(NAME, "pencil", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(!slice_equal(secret_base64(arena, scram.salt), SLICE(SALT)));
    fake.state = DIRECTORY_ACTIVE;
    fake.no_scram = true;
    expect(scram_login(NAME, "pencil", true, &scram, &signature, &data) == SASL_RESULT_DENIED);
    expect(one_step("PLAIN", true, SLICE("\0" NAME "\0pencil")) == SASL_RESULT_OK); /* which needs none */
}

static void test_scram_barred_account(void **state)
{
    (void)state;
    in_task(scram_barred);
}

static void scram_malformed_first(void *arg)
{
    static const char *const firsts[] = {"n",
                                         "n,",
                                         "n,,",
                                         "n,,n=",
                                         "n,,n=" NAME,
                                         "n,,r=abc",
                                         "y,,n=" NAME,
                                         "x,,n=" NAME ",r=abc",
                                         "n=" NAME ",r=abc",
                                         "n,,m=x,n=" NAME ",r=abc",
                                         "n,,n=a=b,r=abc",
                                         "\xff\xfe\xfd"};

    (void)arg;
    for (unsigned i = 0; i < COUNT(firsts); i++) {
        enum sasl_result result = one_step("SCRAM-SHA-256", true, slice_str(firsts[i]));

        if (result != SASL_RESULT_MALFORMED && result != SASL_RESULT_DENIED)
            snprintf(failure, sizeof failure, "\"%s\" gives %d", firsts[i], (int)result);
    }
    expect(fake.verified == 0);
}

static void test_scram_first_message_malformed(void **state)
{
    (void)state;
    in_task(scram_malformed_first);
}

/* The last message, mended or broken: what stands for its good proof and nonce. */
static enum sasl_result scram_last(const char *gs2, const char *(*spoil)(const char *good))
{
    struct sasl_attempt *attempt = new_attempt("pop3", true);
    struct scram scram = {.user = NAME, .password = "pencil", .nonce = "rOprNGfwEbeRWgbNEkqO", .gs2 = gs2};
    struct slice data, signature;
    enum sasl_result result = sasl_attempt_begin(attempt, arena, SLICE("SCRAM-SHA-256"), scram_first(&scram), &data);

    if (result == SASL_RESULT_CHALLENGE && scram_take(&scram, data))
        result = scram_end(
            attempt,
            sasl_attempt_continue(attempt, arena,
                                  slice_str(spoil(scram_final(&scram, scram.server_nonce, &signature).p)), &data));
    sasl_attempt_free(&attempt);
    return result;
}

static const char *unspoilt(const char *good)
{
    return good;
}

static const char *no_proof(const char *good)
{
    return arena_slicedup(arena, slice_of(good, (size_t)(strstr(good, ",p=") - good)));
}

static const char *empty_proof(const char *good)
{
    return arena_slicedup(arena, slice_of(good, (size_t)(strstr(good, ",p=") - good) + 3));
}

static const char *short_proof(const char *good)
{
    return arena_printf(arena, "%sAAAA", empty_proof(good));
}

static const char *no_base64(const char *good)
{
    return arena_printf(arena, "%s****************", empty_proof(good));
}

static const char *one_bit(const char *good)
{
    char *bad = arena_strdup(arena, good);
    char *proof = strstr(bad, ",p=") + 3;

    *proof = *proof == 'A' ? 'B' : 'A';
    return bad;
}

static const char *other_nonce(const char *good)
{
    char *bad = arena_strdup(arena, good);
    char *nonce = strstr(bad, ",r=") + 3;

    nonce[30] = nonce[30] == 'x' ? 'y' : 'x';
    return bad;
}

static const char *other_binding(const char *good)
{
    return arena_printf(arena, "c=eSws%s", good + 6); /* "y,," where the first message said "n,," */
}

static const char *nothing_at_all(const char *good)
{
    (void)good;
    return "";
}

static const char *once_more(const char *good)
{
    (void)good;
    return "n,,n=" NAME ",r=rOprNGfwEbeRWgbNEkqO";
}

static void scram_spoilt(void *arg)
{
    static const char *(*const spoilers[])(const char *) = {
        no_proof, empty_proof, short_proof, no_base64, one_bit, other_nonce, other_binding, nothing_at_all, once_more};

    (void)arg;
    expect(scram_last(NULL, unspoilt) == SASL_RESULT_OK);
    expect(scram_last("y,,", unspoilt) == SASL_RESULT_OK); /* could bind, and sees that we do not offer it */
    expect(scram_last("p=tls-unique,,", unspoilt) !=
           SASL_RESULT_OK); /* insists on what is not offered (RFC 5802 section 6) */
    expect(scram_last("n,a=bob@example.test,", unspoilt) == SASL_RESULT_DENIED); /* as somebody else */
    for (unsigned i = 0; i < COUNT(spoilers); i++) {
        enum sasl_result result = scram_last(NULL, spoilers[i]);

        if (result != SASL_RESULT_MALFORMED && result != SASL_RESULT_DENIED)
            snprintf(failure, sizeof failure, "spoiler %u gives %d", i, (int)result);
    }
}

static void test_scram_last_message_spoilt(void **state)
{
    (void)state;
    in_task(scram_spoilt);
}

/* ------------------------------------------------------------------ channel binding (RFC 5802 section 6) */

static const struct tls_binding connection = {"tls-exporter", "thirty-two octets of a connection", 32};
static const struct tls_binding another = {"tls-exporter", "THIRTY-TWO OCTETS OF A CONNECTION", 32};

static enum sasl_result bound(const char *mechanism, const char *gs2, const struct tls_binding *mixed,
                              const char *password)
{
    struct sasl_attempt *attempt = new_attempt("smtp", true);
    struct scram scram = {.user = NAME,
                          .password = password,
                          .nonce = "rOprNGfwEbeRWgbNEkqO",
                          .gs2 = gs2,
                          .sha1 = strstr(mechanism, "SHA-1") != NULL};
    struct slice data, signature;
    enum sasl_result result;

    if (mixed)
        scram.binding = slice_of((const char *)mixed->bytes, mixed->size);
    result = sasl_attempt_begin(attempt, arena, slice_str(mechanism), scram_first(&scram), &data);
    if (result == SASL_RESULT_CHALLENGE && scram_take(&scram, data))
        result = scram_end(
            attempt, sasl_attempt_continue(attempt, arena, scram_final(&scram, scram.server_nonce, &signature), &data));
    sasl_attempt_free(&attempt);
    return result;
}

static bool no(enum sasl_result result)
{
    return result == SASL_RESULT_DENIED || result == SASL_RESULT_MALFORMED;
}

#define PLUS "SCRAM-SHA-256-PLUS"
#define EXPORTER "p=tls-exporter,,"

static void binding(void *arg)
{
    (void)arg;
    fake.binding = &connection;
    expect(bound(PLUS, EXPORTER, &connection, "pencil") == SASL_RESULT_OK);
    expect(bound("scram-sha-256-plus", EXPORTER, &connection, "pencil") == SASL_RESULT_OK);
    expect(bound(PLUS, EXPORTER, &connection, "Pencil") == SASL_RESULT_DENIED);
    expect(no(bound(PLUS, EXPORTER, &another, "pencil"))); /* somebody stands between */
    expect(no(bound(PLUS, EXPORTER, NULL, "pencil")));
    expect(no(bound(PLUS, "p=tls-unique,,", &connection, "pencil")));
    expect(no(bound(PLUS, "n,,", NULL, "pencil"))); /* chose it, and does not bind */
    expect(no(bound(PLUS, "y,,", NULL, "pencil")));
    expect(no(bound("SCRAM-SHA-256", "y,,", NULL, "pencil"))); /* somebody has told it that we do not offer it */
    expect(bound("SCRAM-SHA-256", "n,,", NULL, "pencil") == SASL_RESULT_OK);
    fake.binding = NULL;
    expect(bound(PLUS, EXPORTER, &connection, "pencil") == SASL_RESULT_NO_MECHANISM);
    expect(bound("SCRAM-SHA-256", "y,,", NULL, "pencil") == SASL_RESULT_OK);
}

static void test_channel_binding(void **state)
{
    (void)state;
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = true, .binding = &connection}),
                        PLUS " SCRAM-SHA-256 PLAIN LOGIN");
    in_task(binding);
}

/* ------------------------------------------------------------------ SHA-1 */

static void with_sha1(void *arg)
{
    (void)arg;
    fake.binding = &connection;
    expect(bound("SCRAM-SHA-1", "n,,", NULL, "pencil") == SASL_RESULT_NO_MECHANISM);
    expect(bound("SCRAM-SHA-1-PLUS", EXPORTER, &connection, "pencil") == SASL_RESULT_NO_MECHANISM);
    fake.sha1 = true;
    expect(bound("SCRAM-SHA-1", "n,,", NULL, "pencil") == SASL_RESULT_OK);
    expect(bound("SCRAM-SHA-1", "n,,", NULL, "Pencil") == SASL_RESULT_DENIED);
    expect(bound("SCRAM-SHA-1-PLUS", EXPORTER, &connection, "pencil") == SASL_RESULT_OK);
    expect(no(bound("SCRAM-SHA-1-PLUS", EXPORTER, &another, "pencil")));
    expect(no(bound("SCRAM-SHA-1-PLUS", "n,,", NULL, "pencil")));
    expect(bound("SCRAM-SHA-256", "n,,", NULL, "pencil") == SASL_RESULT_OK); /* both kinds of keys are there */
    fake.no_scram = true;                                                    /* not made yet */
    expect(bound("SCRAM-SHA-1", "n,,", NULL, "pencil") == SASL_RESULT_DENIED);
    fake.salt_key = DB_FAILED;
    expect(bound("SCRAM-SHA-1", "n,,", NULL, "pencil") == SASL_RESULT_UNAVAILABLE);
}

static void test_sha1_where_it_is_wanted(void **state)
{
    (void)state;
    in_task(with_sha1);
    fake.sha1 = true;
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = true, .binding = &connection}),
                        PLUS " SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
    assert_string_equal(sasl_mechanisms(&(struct sasl_client){.tls = false}), "SCRAM-SHA-256 SCRAM-SHA-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_scram),
        TEST(test_scram_wrong_password),
        TEST(test_scram_unknown_account),
        TEST(test_scram_barred_account),
        TEST(test_scram_first_message_malformed),
        TEST(test_scram_last_message_spoilt),
        TEST(test_channel_binding),
        TEST(test_sha1_where_it_is_wanted),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
