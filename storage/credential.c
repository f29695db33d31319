/*
 * credential: passwords at rest.
 *
 * Two forms are made from a password and stored side by side: a crypt(3) hash for mechanisms that hand us the password
 * (PLAIN, LOGIN, USER/PASS), and SCRAM-SHA-256 keys for those that do not.  yescrypt is memory-hard; SCRAM cannot be,
 * which is the price of not sending passwords.  Keys for SCRAM-SHA-1 are made only where they are wanted: each form
 * that is stored is one more to guess passwords with, and the thief of a table takes the cheapest.
 *
 * Both are made of what SASLprep (RFC 4013) leaves of the password, as SCRAM's clients do (RFC 5802 section 2.2), and
 * a password that comes is compared in that form (RFC 4616 section 2), then as it came: other systems hashed the
 * bytes.  One that SASLprep refuses is used as it is: its owner may sign in by PLAIN, and by SCRAM with clients that
 * do not prepare either.  Where two checks would take longer than a failed login waits, as it came is all that is tried:
 * else the time of the answer tells that there is such an account, to whoever sends a password that SASLprep changes.
 *
 * The work is done on offload's threads with copies that are wiped there.  Verifying against no hash does the same
 * work with a made-up one (nobody's names have others' hashes to be compared with: storage/stand_in.h); and a hash of
 * another system that is cheaper than ours does that work besides its own.
 */
#include "storage/credential.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "core/offload.h"
#include "core/secret.h"
#include "storage/credential_prepare.h"
#include "storage/credential_scheme.h"

#define SCRAM_SALT 16
#define HASH_MAX CREDENTIAL_HASH_MAX

/* yescrypt of a random password that nobody knows. */
static const char dummy_hash[] = "$y$j9T$CuP39J.TPGlsQjyGC7L.H/$qIvuSkG7xzsHBRkFF6wxeAec4ZcTLb6WN9JmkTMksNB";

/* From which the keys are worked out. */
struct scram_keys {
    unsigned char salt[SCRAM_SALT], salted[SECRET_DIGEST_MAX];
};

struct crypt_job {
    char password[CREDENTIAL_PASSWORD_MAX + 1];
    char setting[HASH_MAX]; /* a hash to compare with, or "" to make one */
    char hash[HASH_MAX];    /* what came out; "" when it failed */
    bool known, matches;    /* setting is a real account's; the password fits it */
    bool has_digest;
    struct credential_digest digest; /* to compare with instead */
    struct scram_keys sha256, sha1;
    size_t password_size;
    bool wants_sha1;
};

static bool sha1_wanted;

void credential_want_sha1(bool wanted)
{
    sha1_wanted = wanted;
}

bool credential_wants_sha1(void)
{
    return sha1_wanted;
}

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

static void salt_password(const struct crypt_job *job, enum secret_digest digest, struct scram_keys *keys)
{
    secret_pbkdf2(digest, slice_of(job->password, job->password_size),
                  slice_of((const char *)keys->salt, sizeof keys->salt), CREDENTIAL_SCRAM_ITERATIONS, keys->salted);
}

static void make_work(void *arg)
{
    struct crypt_job *job = arg;

    crypt_gensalt_rn("$y$", 0, NULL, 0, job->setting, (int)sizeof job->setting);
    run_crypt(job, job->setting);
    salt_password(job, SECRET_SHA256, &job->sha256);
    if (job->wants_sha1)
        salt_password(job, SECRET_SHA1, &job->sha1);
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
static struct slice scram_form(struct arena *arena, const char *name, enum secret_digest digest,
                               const struct scram_keys *keys)
{
    size_t size = secret_digest_size(digest);
    struct slice salted = slice_of((const char *)keys->salted, size);
    unsigned char client[SECRET_DIGEST_MAX], stored[SECRET_DIGEST_MAX], server[SECRET_DIGEST_MAX];
    char *text;

    secret_hmac(digest, salted, SLICE("Client Key"), client);
    if (!secret_digest(digest, slice_of((char *)client, size), SLICE(""), stored))
        abort();
    secret_hmac(digest, salted, SLICE("Server Key"), server);
    text = arena_printf(arena, "%s$%u:%s$%s:%s", name, CREDENTIAL_SCRAM_ITERATIONS,
                        secret_base64(arena, slice_of((const char *)keys->salt, sizeof keys->salt)).p,
                        secret_base64(arena, slice_of((char *)stored, size)).p,
                        secret_base64(arena, slice_of((char *)server, size)).p);
    secret_wipe(client, sizeof client);
    return slice_str(text);
}

bool credential_make(struct arena *arena, struct slice password, struct credential *out)
{
    struct crypt_job *job = malloc(sizeof *job);
    struct slice prepared = password;
    bool ok;

    if (!job)
        abort();
    *out = (struct credential){0};
    (void)credential_prepare(arena, password, &prepared);
    ok = job_init(job, prepared);
    if (ok) {
        secret_random(job->sha256.salt, sizeof job->sha256.salt);
        job->wants_sha1 = sha1_wanted;
        if (job->wants_sha1)
            secret_random(job->sha1.salt, sizeof job->sha1.salt);
        offload_run(make_work, job);
        ok = job->hash[0] != '\0';
    }
    if (ok) {
        out->hash = slice_str(arena_strdup(arena, job->hash));
        out->scram_sha256 = scram_form(arena, "SCRAM-SHA-256", SECRET_SHA256, &job->sha256);
        if (job->wants_sha1)
            out->scram_sha1 = scram_form(arena, "SCRAM-SHA-1", SECRET_SHA1, &job->sha1);
    }
    secret_wipe(job, sizeof *job);
    free(job);
    return ok;
}

static AWAITS bool verify(struct slice hash, struct slice password)
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

bool credential_verify(struct slice hash, struct slice password)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice prepared;
    bool differs = credential_prepare(arena, password, &prepared) && !slice_equal(prepared, password);
    bool once = !differs || (hash.p && credential_scheme_is_dear(hash));
    bool ok = verify(hash, once ? password : prepared);

    if (!ok && !once)
        ok = verify(hash, password);
    arena_free(&arena);
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
