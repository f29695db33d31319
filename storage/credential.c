/*
 * credential: passwords at rest.
 *
 * Two forms are made from a password and stored side by side: a crypt(3) hash for mechanisms that hand us the password
 * (PLAIN, LOGIN, USER/PASS), and SCRAM-SHA-256 keys for those that do not.  yescrypt is memory-hard; SCRAM cannot be, which
 * is the price of not sending passwords.
 *
 * The work is done on offload's threads with copies that are wiped there.  Verifying against no hash does the same work
 * with a made-up one, so that an unknown account costs what a wrong password costs; and a hash of another system that is cheaper than
 * ours does that work besides its own.
 */
#include "storage/credential.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "core/offload.h"
#include "core/secret.h"
#include "storage/credential_scheme.h"

#define SCRAM_SALT 16
#define HASH_MAX CREDENTIAL_HASH_MAX

/* yescrypt of a random password that nobody knows. */
static const char dummy_hash[] = "$y$j9T$CuP39J.TPGlsQjyGC7L.H/$qIvuSkG7xzsHBRkFF6wxeAec4ZcTLb6WN9JmkTMksNB";

struct crypt_job {
    char password[CREDENTIAL_PASSWORD_MAX + 1];
    char setting[HASH_MAX]; /* a hash to compare with, or "" to make one */
    char hash[HASH_MAX];    /* what came out; "" when it failed */
    bool known, matches;    /* setting is a real account's; the password fits it */
    bool has_digest;
    struct credential_digest digest; /* to compare with instead */
    unsigned char salt[SCRAM_SALT], salted[SECRET_SHA256_SIZE];
    size_t password_size;
};

/* ------------------------------------------------------------------ on a thread of its own: nothing but the job */

/* "": it failed. */
static void run_crypt(struct crypt_job *job, const char *setting)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *result;

    if (!data)
        abort();
    job->hash[0] = '\0';
    result = crypt_r(job->password, setting, data);
    if (result && result[0] != '*' && strlen(result) < sizeof job->hash)
        memcpy(job->hash, result, strlen(result) + 1);
    secret_wipe(data, sizeof *data);
    free(data);
}

static void make_work(void *arg)
{
    struct crypt_job *job = arg;

    crypt_gensalt_rn("$y$", 0, NULL, 0, job->setting, (int)sizeof job->setting);
    run_crypt(job, job->setting);
    secret_pbkdf2_sha256(slice_of(job->password, job->password_size), slice_of((char *)job->salt, sizeof job->salt),
                         CREDENTIAL_SCRAM_ITERATIONS, job->salted);
}

static bool digest_matches(const struct crypt_job *job)
{
    const struct credential_digest *digest = &job->digest;
    unsigned char out[SECRET_DIGEST_MAX];
    size_t size = secret_digest_size(digest->algorithm);

    return secret_digest(digest->algorithm, slice_of(job->password, job->password_size),
                         slice_of((const char *)digest->salt, digest->salt_size), out) &&
           secret_equal(slice_of((const char *)out, size), slice_of((const char *)digest->bytes, size));
}

static void verify_work(void *arg)
{
    struct crypt_job *job = arg;

    if (job->has_digest) {
        job->matches = digest_matches(job);
    } else if (job->known) {
        run_crypt(job, job->setting);
        job->matches = job->hash[0] && secret_equal(slice_str(job->hash), slice_str(job->setting));
    }
    if (!job->known || credential_scheme_is_cheap(slice_str(job->setting)))
        run_crypt(job, dummy_hash);
}

/* ------------------------------------------------------------------ in a task */

static bool job_init(struct crypt_job *job, struct slice password)
{
    memset(job, 0, sizeof *job);
    if (password.n == 0 || password.n > CREDENTIAL_PASSWORD_MAX || memchr(password.p, '\0', password.n))
        return false;
    memcpy(job->password, password.p, password.n);
    job->password_size = password.n;
    return true;
}

/* RFC 5802 section 3: StoredKey = H(HMAC(salted, "Client Key")), ServerKey = HMAC(salted, "Server Key"). */
static struct slice scram_form(struct arena *arena, const struct crypt_job *job)
{
    struct slice salted = slice_of((const char *)job->salted, sizeof job->salted);
    unsigned char client[SECRET_SHA256_SIZE], stored[SECRET_SHA256_SIZE], server[SECRET_SHA256_SIZE];
    char *text;

    secret_hmac_sha256(salted, SLICE("Client Key"), client);
    secret_sha256(slice_of((char *)client, sizeof client), stored);
    secret_hmac_sha256(salted, SLICE("Server Key"), server);
    text = arena_printf(arena, "SCRAM-SHA-256$%u:%s$%s:%s", CREDENTIAL_SCRAM_ITERATIONS,
                        secret_base64(arena, slice_of((const char *)job->salt, sizeof job->salt)).p,
                        secret_base64(arena, slice_of((char *)stored, sizeof stored)).p,
                        secret_base64(arena, slice_of((char *)server, sizeof server)).p);
    secret_wipe(client, sizeof client);
    return slice_str(text);
}

bool credential_make(struct arena *arena, struct slice password, struct slice *hash, struct slice *scram)
{
    struct crypt_job *job = malloc(sizeof *job);
    bool ok;

    if (!job)
        abort();
    ok = job_init(job, password);
    if (ok) {
        secret_random(job->salt, sizeof job->salt);
        offload_run(make_work, job);
        ok = job->hash[0] != '\0';
    }
    if (ok) {
        *hash = slice_str(arena_strdup(arena, job->hash));
        *scram = scram_form(arena, job);
    }
    secret_wipe(job, sizeof *job);
    free(job);
    return ok;
}

bool credential_verify(struct slice hash, struct slice password)
{
    struct crypt_job *job = malloc(sizeof *job);
    bool ok;

    if (!job)
        abort();
    ok = job_init(job, password);
    if (ok) {
        job->known = hash.p && hash.n < HASH_MAX && !memchr(hash.p, '\0', hash.n);
        if (job->known)
            memcpy(job->setting, hash.p, hash.n);
        job->has_digest = job->known && credential_scheme_digest(hash, &job->digest);
        offload_run(verify_work, job);
        ok = job->known && job->matches;
    }
    secret_wipe(job, sizeof *job);
    free(job);
    return ok;
}

const char *credential_admit(struct arena *arena, struct slice given, struct slice *stored)
{
    const char *why = credential_scheme_admit(arena, given, stored);
    int known;

    if (why || stored->p[0] == '{')
        return why;
    known = crypt_checksalt(arena_slicedup(arena, *stored));
    return known == CRYPT_SALT_INVALID || known == CRYPT_SALT_METHOD_DISABLED
               ? "is of a kind that crypt(3) of this machine lacks"
               : NULL;
}
