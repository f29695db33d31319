/*
 * secret_sign: a private key, and what is signed with it.
 *
 * RSA signs by PKCS#1 v1.5 over SHA-256.  Ed25519 knows no digest of its own in DKIM: it signs the 32 octets of a
 * SHA-256 as if they were the message (RFC 8463 section 3, PureEdDSA).
 *
 * The key is read once, before privileges are dropped, and lives as long as the process; OpenSSL wipes it when it is
 * freed.
 */
#include "core/secret_sign.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/secret.h"

#define RSA_BITS_MIN 2048 /* RFC 8301 3.2 */

struct secret_signer {
    EVP_PKEY *pkey;
    bool ed25519;
};

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

struct secret_signer *secret_signer_load(const char *file, char *error, size_t error_size)
{
    BIO *bio = BIO_new_file(file, "r");
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    struct secret_signer *signer;

    BIO_free(bio);
    if (!pkey) {
        snprintf(error, error_size, "%s %s", file, bio ? "holds no private key in PEM" : "cannot be read");
        return NULL;
    }
    if (!EVP_PKEY_is_a(pkey, "ED25519") && (!EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_bits(pkey) < RSA_BITS_MIN)) {
        snprintf(error, error_size, "%s: neither an RSA key of %d bits or more nor an Ed25519 key", file, RSA_BITS_MIN);
        EVP_PKEY_free(pkey);
        return NULL;
    }
    signer = malloc(sizeof *signer);
    if (!signer)
        abort();
    *signer = (struct secret_signer){pkey, EVP_PKEY_is_a(pkey, "ED25519")};
    return signer;
}

void secret_signer_free(struct secret_signer **signer)
{
    if (!*signer)
        return;
    EVP_PKEY_free((*signer)->pkey);
    free(*signer);
    *signer = NULL;
}

const char *secret_signer_algorithm(const struct secret_signer *signer)
{
    return signer->ed25519 ? "ed25519-sha256" : "rsa-sha256";
}

bool secret_signer_sign(struct arena *arena, const struct secret_signer *signer, struct slice text,
                        struct slice *signature)
{
    unsigned char digest[SECRET_SHA256_SIZE];
    size_t n = (size_t)EVP_PKEY_size(signer->pkey);
    unsigned char *out = arena_alloc(arena, n);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct slice data = text;
    bool done;

    if (signer->ed25519) {
        secret_sha256(text, digest);
        data = slice_of((const char *)digest, sizeof digest);
    }
    done = context &&
           EVP_DigestSignInit(context, NULL, signer->ed25519 ? NULL : EVP_sha256(), NULL, signer->pkey) == 1 &&
           EVP_DigestSign(context, out, &n, (const unsigned char *)data.p, data.n) == 1;
    EVP_MD_CTX_free(context);
    *signature = slice_of((const char *)out, done ? n : 0);
    return done;
}
