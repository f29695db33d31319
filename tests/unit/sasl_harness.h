#ifndef TESTS_UNIT_SASL_HARNESS_H
#define TESTS_UNIT_SASL_HARNESS_H
/*
 * What the tests of protocols/sasl share: a directory that answers what the test says, and a SCRAM client.
 *
 * The functions of storage that sasl.c calls are defined here; the linker takes these.  The client is our own, by RFC
 * 5802, from the primitives of core/secret, which test_core_secret holds against published vectors.
 */
#include "core/secret.h"
#include "protocols/oauth.h"
#include "protocols/sasl.h"
#include "storage/app_password.h"
#include "storage/certificate.h"
#include "storage/credential.h"
#include "storage/credential_upgrade.h"
#include "storage/guard.h"
#include "storage/installation.h"
#include "storage/stand_in.h"
#include "tests/unit/in_task.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NAME "ann@example.test"
#define PEER "192.0.2.7"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define NONE ((struct slice){NULL, 0})

/* What the fakes answer and what they were asked. */
static struct {
    enum db_status account, salt_key, stand_in;
    enum directory_state state;
    bool no_scram;
    unsigned look_ups, verified, stood_in, upgrades, app_look_ups, marks;
    unsigned failures;       /* counted */
    const char *banned;      /* this name is, or "": the address */
    bool app_failed;         /* app passwords cannot be looked for */
    const char *app_refused; /* the app password may not be used, because */
    const char *salt_key_bytes;
    enum db_status certificate;         /* whose it is */
    const char *certificate_of, *asked; /* the account; as whom the client wanted to sign in */
    struct slice certificate_addresses; /* what was asked with, between blanks */
    unsigned certificate_marks;
    bool oauth;                        /* it is offered */
    enum oauth_answer token;           /* whose it is can be told, and is certificate_of */
    bool sha1;                         /* SCRAM-SHA-1 is wanted */
    const struct tls_binding *binding; /* of the connection */
} fake;

static const char *keys, *sha1_keys; /* of "pencil" */

enum db_status directory_account(struct arena *into, struct slice login, struct directory_account *out)
{
    fake.look_ups++;
    task_sleep(0); /* it waits, under libsasl */
    if (fake.account != DB_FOUND)
        return fake.account;
    if (!slice_equal_nocase(login, SLICE(NAME)))
        return DB_NONE;
    *out = (struct directory_account){
        .id = 17,
        .inbox_id = 18,
        .cell = 3,
        .address = arena_slice(into, SLICE(NAME)),
        .state = fake.state,
        .password_hash = arena_slice(into, SLICE("hash of pencil")),
        .scram_sha256 = fake.no_scram ? NONE : slice_str(arena_strdup(into, keys)),
        .scram_sha1 = fake.sha1 && !fake.no_scram ? slice_str(arena_strdup(into, sha1_keys)) : NONE};
    return DB_FOUND;
}

/* Someone's, whose password is "pencil", too. */
enum db_status stand_in_hash(struct arena *into, struct slice name, struct slice *hash)
{
    (void)name;
    task_sleep(0);
    *hash = fake.stand_in == DB_FOUND ? arena_slice(into, SLICE("another's")) : NONE;
    return fake.stand_in;
}

enum db_status installation_salt_key(struct slice *out)
{
    *out = slice_str(fake.salt_key_bytes);
    return fake.salt_key;
}

bool oauth_offered(void)
{
    return fake.oauth;
}

const char *oauth_scope(void)
{
    return "mail";
}

enum oauth_answer oauth_verify(struct arena *into, struct slice token, struct slice *account)
{
    task_sleep(0);
    if (fake.token == OAUTH_YES && !slice_equal(token, SLICE("good.token-1")))
        return OAUTH_NO;
    *account = fake.token == OAUTH_YES ? arena_slice(into, slice_str(fake.certificate_of)) : (struct slice){NULL, 0};
    return fake.token;
}

bool credential_wants_sha1(void)
{
    return fake.sha1;
}

bool credential_verify(struct slice hash, struct slice password)
{
    fake.verified++;
    fake.stood_in += slice_equal(hash, SLICE("another's"));
    return hash.p && slice_equal(password, SLICE("pencil")); /* also another's: that must count for nothing */
}

#define APP_PASSWORD "abcd-efgh-jkmn-pqrs-tuvw"

/* Ann's; for IMAP. */
enum db_status app_password_find(struct arena *into, int64_t account_id, struct slice text, const char *scope,
                                 const char *client, struct app_password *out)
{
    (void)into;
    fake.app_look_ups++;
    *out = (struct app_password){.id = 99, .label = SLICE("phone"), .mark = true, .refused = fake.app_refused};
    if (strcmp(client, PEER) != 0)
        abort();
    if (fake.app_failed)
        return DB_FAILED;
    if (account_id != 17 || !slice_equal(text, SLICE(APP_PASSWORD)))
        return DB_NONE;
    if (strcmp(scope, "imap") != 0)
        out->refused = "not for this service";
    return DB_FOUND;
}

void app_password_mark_used(struct arena *into, int64_t id)
{
    (void)into;
    expect(id == 99);
    fake.marks++;
}

enum db_status certificate_find(struct arena *into, const struct certificate_question *question,
                                struct certificate *out)
{
    const char *addresses = "";

    task_sleep(0);
    fake.asked = arena_slicedup(arena, question->account);
    for (unsigned i = 0; i < question->address_count; i++)
        addresses = arena_printf(arena, "%s%s%.*s", addresses, i ? " " : "", SLICE_ARG(question->addresses[i]));
    fake.certificate_addresses = slice_str(addresses);
    *out = (struct certificate){77, SLICE(""), SLICE("laptop"), true};
    if (fake.certificate == DB_FOUND)
        out->account = arena_slice(into, slice_str(fake.certificate_of));
    return fake.certificate;
}

void certificate_mark_used(struct arena *into, int64_t id)
{
    (void)into;
    expect(id == 77);
    fake.certificate_marks++;
}

static inline struct sasl_attempt *new_attempt(const char *service, bool tls)
{
    return sasl_attempt_new(
        &(struct sasl_client){.service = service, .peer = PEER, .tls = tls, .binding = fake.binding});
}

static inline enum sasl_result password(struct slice login, struct slice secret, struct directory_account *out)
{
    return sasl_password(&(struct sasl_client){.service = "imap", .peer = PEER, .tls = true}, arena, login, secret,
                         out);
}

bool guard_banned(const char *client, struct slice name)
{
    if (strcmp(client, PEER) != 0)
        abort();
    return fake.banned && (!*fake.banned || slice_equal(name, slice_str(fake.banned)));
}

void guard_failed(const char *client, struct slice name)
{
    (void)client, (void)name;
    fake.failures++;
}

/* Called at each success; what it does is tested in test_storage_credential.c and tests/e2e/test_password_hashes.py. */
void credential_upgrade(const struct directory_account *account, struct slice password)
{
    expect(slice_equal(account->password_hash, SLICE("hash of pencil")) && slice_equal(password, SLICE("pencil")));
    fake.upgrades++;
}

static int setup_all(void **state)
{
    (void)state;
    in_task_begin(1);
    sasl_start("mx.example.test");
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    sasl_stop();
    in_task_end();
    return 0;
}

/* ------------------------------------------------------------------ a SCRAM client */

struct scram {
    bool sha1; /* else SHA-256 */
    const char *user, *password, *nonce;
    const char *gs2;      /* NULL: "n,,", no channel binding */
    struct slice binding; /* what the client mixes in */
    const char *first_bare, *server_first;
    struct slice server_nonce, salt;
};

static inline struct slice hmac(enum secret_digest digest, struct slice key, struct slice text)
{
    unsigned char *out = arena_alloc(arena, SECRET_DIGEST_MAX);

    secret_hmac(digest, key, text, out);
    return slice_of((char *)out, secret_digest_size(digest));
}

static inline struct slice hashed(enum secret_digest digest, struct slice in)
{
    unsigned char *out = arena_alloc(arena, SECRET_DIGEST_MAX);

    if (!secret_digest(digest, in, SLICE(""), out))
        abort();
    return slice_of((char *)out, secret_digest_size(digest));
}

static inline struct slice salted_password(enum secret_digest digest, const char *password, struct slice salt)
{
    unsigned char *out = arena_alloc(arena, SECRET_DIGEST_MAX);

    secret_pbkdf2(digest, slice_str(password), salt, CREDENTIAL_SCRAM_ITERATIONS, out);
    return slice_of((char *)out, secret_digest_size(digest));
}

static inline const char *keys_of(enum secret_digest digest, const char *password)
{
    struct slice salt, salted;

    if (!secret_base64_decode(arena, SLICE(SALT), &salt))
        abort();
    salted = salted_password(digest, password, salt);
    return arena_printf(arena, "SCRAM-SHA-%s$%u:" SALT "$%s:%s", digest == SECRET_SHA1 ? "1" : "256",
                        CREDENTIAL_SCRAM_ITERATIONS,
                        secret_base64(arena, hashed(digest, hmac(digest, salted, SLICE("Client Key")))).p,
                        secret_base64(arena, hmac(digest, salted, SLICE("Server Key"))).p);
}

static inline struct slice scram_first(struct scram *scram)
{
    scram->first_bare = arena_printf(arena, "n=%s,r=%s", scram->user, scram->nonce);
    return slice_str(arena_printf(arena, "%s%s", scram->gs2 ? scram->gs2 : "n,,", scram->first_bare));
}

/* "r=...,s=...,i=4096" (RFC 5802 5.1); the server's nonce begins with the client's. */
static inline bool scram_take(struct scram *scram, struct slice challenge)
{
    const char *salt, *iterations;
    size_t nonce = strlen(scram->nonce);

    scram->server_first = arena_slicedup(arena, challenge);
    salt = strstr(scram->server_first, ",s=");
    iterations = strstr(scram->server_first, ",i=");
    if (strncmp(scram->server_first, "r=", 2) != 0 || !salt || !iterations || strcmp(iterations, ",i=4096") != 0)
        return false;
    scram->server_nonce = slice_of(scram->server_first + 2, (size_t)(salt - scram->server_first - 2));
    return scram->server_nonce.n > nonce + 8 && memcmp(scram->server_nonce.p, scram->nonce, nonce) == 0 &&
           secret_base64_decode(arena, slice_of(salt + 3, (size_t)(iterations - salt - 3)), &scram->salt);
}

/* The last message; *signature: what the server must prove that it knows. */
static inline struct slice scram_final(const struct scram *scram, struct slice nonce, struct slice *signature)
{
    enum secret_digest digest = scram->sha1 ? SECRET_SHA1 : SECRET_SHA256;
    struct slice salted = salted_password(digest, scram->password, scram->salt);
    struct slice client_key = hmac(digest, salted, SLICE("Client Key"));
    char *input = arena_alloc(arena, 200);
    size_t n = (size_t)snprintf(input, 200, "%s", scram->gs2 ? scram->gs2 : "n,,");

    memcpy(input + n, scram->binding.n ? scram->binding.p : "", scram->binding.n);
    const char *final = arena_printf(arena, "c=%s,r=%.*s",
                                     secret_base64(arena, slice_of(input, n + scram->binding.n)).p, SLICE_ARG(nonce));
    struct slice auth = slice_str(arena_printf(arena, "%s,%s,%s", scram->first_bare, scram->server_first, final));
    struct slice proof = hmac(digest, hashed(digest, client_key), auth);
    char *mixed = arena_slicedup(arena, proof);

    for (size_t i = 0; i < proof.n; i++)
        mixed[i] ^= client_key.p[i];
    *signature = slice_str(arena_printf(
        arena, "v=%s", secret_base64(arena, hmac(digest, hmac(digest, salted, SLICE("Server Key")), auth)).p));
    return slice_str(arena_printf(arena, "%s,p=%s", final, secret_base64(arena, slice_of(mixed, proof.n)).p));
}

/*
 * libsasl sends the server's signature as one more challenge, which is answered by nothing (RFC 4422 section 5,
 * without success data).
 */
static inline enum sasl_result scram_end(struct sasl_attempt *attempt, enum sasl_result result)
{
    struct slice data;

    return result == SASL_RESULT_CHALLENGE ? sasl_attempt_continue(attempt, arena, SLICE(""), &data) : result;
}

/* A whole exchange.  *data: the server's last message. */
static inline enum sasl_result scram_login(const char *user, const char *password, bool tls, struct scram *scram,
                                           struct slice *signature, struct slice *data)
{
    struct sasl_attempt *attempt = new_attempt("smtp", tls);
    enum sasl_result result;

    *scram = (struct scram){.user = user, .password = password, .nonce = "rOprNGfwEbeRWgbNEkqO"};
    result = sasl_attempt_begin(attempt, arena, SLICE("SCRAM-SHA-256"), scram_first(scram), data);
    if (result == SASL_RESULT_CHALLENGE && !scram_take(scram, *data))
        result = SASL_RESULT_NO_MECHANISM; /* no test expects it here */
    if (result == SASL_RESULT_CHALLENGE)
        result = scram_end(
            attempt, sasl_attempt_continue(attempt, arena, scram_final(scram, scram->server_nonce, signature), data));
    sasl_attempt_free(&attempt);
    return result;
}

static int setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.salt_key_bytes = "a key of this installation";
    keys = keys_of(SECRET_SHA256, "pencil");
    sha1_keys = keys_of(SECRET_SHA1, "pencil");
    return 0;
}

static inline enum sasl_result one_step(const char *mechanism, bool tls, struct slice message)
{
    struct sasl_attempt *attempt = new_attempt("imap", tls);
    struct slice challenge;
    enum sasl_result result = sasl_attempt_begin(attempt, arena, slice_str(mechanism), message, &challenge);

    sasl_attempt_free(&attempt);
    return result;
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

#endif
