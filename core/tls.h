#ifndef CORE_TLS_H
#define CORE_TLS_H
/*
 * tls: TLS contexts, server and client side.  The only place, with stream and secret, that sees OpenSSL.
 *
 * TLS 1.2 and up (RFC 8996), SSL_MODE_RELEASE_BUFFERS, session tickets, no renegotiation, no
 * compression.  Reference-counted: a reload makes a new context, sessions keep theirs.
 */
#include <stdbool.h>
#include <stddef.h>

struct tls; /* an SSL_CTX and what goes with it */

/* PEM files.  NULL and a sentence in error (file named) when they cannot be used together. */
struct tls *tls_server_new(const char *certificate_file, const char *key_file, char *error, size_t error_size);
/* verify: the peer's chain and name must be right; without it encryption is opportunistic (RFC 7435). */
struct tls *tls_client_new(bool verify, char *error, size_t error_size);
struct tls *tls_ref(struct tls *tls);
void tls_unref(struct tls **tls);

struct ssl_st;
/* One connection's SSL object (caller owns).  name: SNI and, with verify, the name to be checked. */
struct ssl_st *tls_connection(struct tls *tls, bool server, const char *name);

/* A self-signed certificate for name and "localhost" (EC P-256, 10 years): for the demo and the tests. */
bool tls_make_self_signed(const char *name, const char *certificate_file, const char *key_file, char *error,
                          size_t error_size);

#endif
