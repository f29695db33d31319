/*
 * secret: randomness, constant-time comparison, wiping, digests, base64.
 *
 * A thin skin over OpenSSL, so that one file knows its names.  What fails here (no entropy, no SHA-256) is
 * the world being broken, not an input: it aborts.
 */
#include "core/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

void secret_random(void *out, size_t n)
{
    if (n > INT32_MAX || RAND_bytes(out, (int)n) != 1)
        abort();
}

bool secret_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

void secret_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

struct wipe {
    char *p;
    size_t n;
};

static void on_wipe(void *arg)
{
    struct wipe *wipe = arg;

    secret_wipe(wipe->p, wipe->n);
}

char *secret_space(struct arena *arena, size_t n)
{
    struct wipe *wipe = arena_alloc(arena, sizeof *wipe);

    *wipe = (struct wipe){arena_alloc(arena, n + 1), n};
    arena_on_done(arena, on_wipe, wipe);
    return wipe->p;
}

struct slice secret_slice(struct arena *arena, struct slice s)
{
    char *p = secret_space(arena, s.n);

    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}

void secret_sha256(struct slice in, unsigned char out[SECRET_SHA256_SIZE])
{
    if (EVP_Digest(in.p, in.n, out, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

void secret_hmac_sha256(struct slice key, struct slice in, unsigned char out[SECRET_SHA256_SIZE])
{
    if (key.n > INT32_MAX || !HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)in.p, in.n, out, NULL))
        abort();
}

static const EVP_MD *algorithm(enum secret_digest digest)
{
    switch (digest) {
    case SECRET_MD5: return EVP_md5();
    case SECRET_SHA1: return EVP_sha1();
    case SECRET_SHA256: return EVP_sha256();
    case SECRET_SHA512: return EVP_sha512();
    }
    abort();
}

size_t secret_digest_size(enum secret_digest digest)
{
    return (size_t)EVP_MD_get_size(algorithm(digest));
}

void secret_hmac(enum secret_digest digest, struct slice key, struct slice in, unsigned char *out)
{
    if (key.n > INT32_MAX || !HMAC(algorithm(digest), key.p, (int)key.n, (const unsigned char *)in.p, in.n, out, NULL))
        abort();
}

void secret_pbkdf2(enum secret_digest digest, struct slice password, struct slice salt, unsigned iterations,
                   unsigned char *out)
{
    if (password.n > INT32_MAX || salt.n > INT32_MAX ||
        PKCS5_PBKDF2_HMAC(password.p, (int)password.n, (const unsigned char *)salt.p, (int)salt.n, (int)iterations,
                          algorithm(digest), (int)secret_digest_size(digest), out) != 1)
        abort();
}

bool secret_digest(enum secret_digest digest, struct slice a, struct slice b, unsigned char out[SECRET_DIGEST_MAX])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done;

    if (!context)
        abort();
    done = EVP_DigestInit_ex(context, algorithm(digest), NULL) == 1 && EVP_DigestUpdate(context, a.p, a.n) == 1 &&
           EVP_DigestUpdate(context, b.p, b.n) == 1 && EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context); /* clears what it held */
    return done;
}

struct slice secret_base64(struct arena *arena, struct slice in)
{
    size_t n = (in.n + 2) / 3 * 4;
    unsigned char *out = arena_alloc(arena, n + 1);

    if (in.n)
        EVP_EncodeBlock(out, (const unsigned char *)in.p, (int)in.n);
    return slice_of((const char *)out, n);
}

/* EVP_DecodeBlock trims white space and takes misplaced padding; so the form is checked first. */
static bool base64_form(struct slice in)
{
    size_t padding = in.n && in.p[in.n - 1] == '=' ? 1 + (in.n > 1 && in.p[in.n - 2] == '=') : 0;

    if (in.n % 4 || in.n > INT32_MAX)
        return false;
    for (size_t i = 0; i < in.n - padding; i++) {
        char c = in.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return true;
}

bool secret_base64_decode(struct arena *arena, struct slice in, struct slice *out)
{
    unsigned char *bytes;
    int n;

    if (!base64_form(in))
        return false;
    bytes = arena_alloc(arena, in.n / 4 * 3 + 1);
    n = in.n ? EVP_DecodeBlock(bytes, (const unsigned char *)in.p, (int)in.n) : 0;
    if (n < 0)
        return false;
    if (in.n)
        n -= (in.p[in.n - 1] == '=') + (in.p[in.n - 2] == '=');
    bytes[n] = '\0';
    *out = slice_of((const char *)bytes, (size_t)n);
    return true;
}
