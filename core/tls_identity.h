#ifndef CORE_TLS_IDENTITY_H
#define CORE_TLS_IDENTITY_H
/* tls_identity: a certificate and its key, out of memory, that a client shows to a server that asks for one. */
#include <stdint.h>

#include "core/slice.h"
#include "core/tls.h"

#define TLS_IDENTITY_CHAIN_MAX 10

struct tls_identity;

/*
 * PEM: the certificate, then what leads from it to an authority; and its key, without a passphrase.  NULL, and a
 * sentence in error, which begins with "the certificate" or "the key" and holds nothing of either.
 */
struct tls_identity *tls_identity_new(struct slice certificates, struct slice key, char *error, size_t error_size);
void tls_identity_free(struct tls_identity **identity);
/* Before the handshake.  False: OpenSSL cannot use it. */
bool tls_identity_use(struct ssl_st *ssl, const struct tls_identity *identity) __attribute__((warn_unused_result));

/* Of the first certificate, without its key: SHA-256 and when it is over.  False: there is none. */
bool tls_identity_look(struct slice certificates, char fingerprint[TLS_FINGERPRINT_SIZE], int64_t *expires_ms)
    __attribute__((warn_unused_result));

#endif
