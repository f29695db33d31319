/*
 * tls_identity: a certificate and its key, out of memory, that a client shows to a server that asks for one.
 *
 * It is a connection's and no context's: many next hops share one context, and few ask.  OpenSSL shows it when the
 * server asks, and only then.  What is given is an administrator's, but is read as if it were anybody's: bounded in
 * length by who calls and in certificates here; a key with a passphrase is refused, as nobody is there to be asked.
 */
#include "core/tls_identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/tls_internal.h"

struct tls_identity {
    X509 *certificate;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer, (void)size, (void)writing, (void)arg;
    return -1;
}

static BIO *memory(struct slice text)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);

    if (!bio)
        abort();
    return bio;
}

static const char *read_certificates(struct tls_identity *identity, struct slice text)
{
    BIO *bio = memory(text);
    X509 *next;
    int count = 0;

    identity->chain = sk_X509_new_null();
    if (!identity->chain)
        abort();
    identity->certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    while (identity->certificate && count <= TLS_IDENTITY_CHAIN_MAX &&
           (next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
        if (!sk_X509_push(identity->chain, next))
            abort();
        count++;
    }
    BIO_free(bio);
    ERR_clear_error(); /* that there are no more */
    return !identity->certificate           ? "the certificate is none, or not in PEM"
           : count > TLS_IDENTITY_CHAIN_MAX ? "the certificate has more than 10 others behind it"
                                            : NULL;
}

static const char *read_key(struct tls_identity *identity, struct slice text)
{
    BIO *bio = memory(text);

    identity->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (!identity->key)
        return "the key is none, not in PEM, or has a passphrase";
    if (X509_check_private_key(identity->certificate, identity->key) == 1)
        return NULL;
    ERR_clear_error();
    return "the key is not that of the certificate";
}

struct tls_identity *tls_identity_new(struct slice certificates, struct slice key, char *error, size_t error_size)
{
    struct tls_identity *identity = calloc(1, sizeof *identity);
    const char *why;

    if (!identity)
        abort();
    if (!(why = read_certificates(identity, certificates)))
        why = read_key(identity, key);
    if (!why)
        return identity;
    snprintf(error, error_size, "%s", why);
    tls_identity_free(&identity);
    return NULL;
}

void tls_identity_free(struct tls_identity **identity)
{
    if (!*identity)
        return;
    X509_free((*identity)->certificate);
    sk_X509_pop_free((*identity)->chain, X509_free);
    EVP_PKEY_free((*identity)->key); /* clears it with the last reference */
    free(*identity);
    *identity = NULL;
}

bool tls_identity_use(struct ssl_st *ssl, const struct tls_identity *identity)
{
    return SSL_use_cert_and_key(ssl, identity->certificate, identity->key, identity->chain, 1) == 1;
}

bool tls_identity_look(struct slice certificates, char fingerprint[TLS_FINGERPRINT_SIZE], int64_t *expires_ms)
{
    BIO *bio = memory(certificates);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct tm tm;
    bool good = certificate && X509_digest(certificate, EVP_sha256(), digest, &n) == 1 && n == 32 &&
                ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) == 1;

    for (unsigned i = 0; good && i < n; i++)
        snprintf(fingerprint + 2 * i, 3, "%02x", digest[i]);
    if (good)
        *expires_ms = (int64_t)timegm(&tm) * 1000;
    X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    return good;
}
