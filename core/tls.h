#ifndef CORE_TLS_H
#define CORE_TLS_H
/*
 * tls: TLS contexts, server and client side.  The only place, with stream and secret, that sees OpenSSL.
 *
 * TLS 1.2 and up (RFC 8996), SSL_MODE_RELEASE_BUFFERS, session tickets, certificates by name, no renegotiation, no
 * compression.  Reference-counted: a reload makes a new context, sessions keep theirs.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/slice.h"

#define TLS_FINGERPRINT_SIZE 65

struct tls; /* an SSL_CTX and what goes with it */

struct tls_server_settings {
    const char *certificate_files,
        *key_files;             /* PEM, lists with blanks between, in the same order; the first pair is the default */
    const char *client_ca_file; /* PEM: clients are asked for a certificate of these; NULL, "": they are not */
    bool tls13_only;            /* else TLS 1.2, too */
};
/* NULL and a sentence in error (file named) when they cannot be used together. */
struct tls *tls_server_new(const struct tls_server_settings *settings, char *error, size_t error_size);
/*
 * In the master, before it forks and now and then: the children of one master, of all its reloads, resume each other's
 * sessions.
 */
void tls_server_share(void);
/* verify: the peer's chain and name must be right; without it encryption is opportunistic (RFC 7435). */
struct tls *tls_client_new(bool verify, char *error, size_t error_size);
struct tls *tls_ref(struct tls *tls);
void tls_unref(struct tls **tls);

struct ssl_st;
/* One connection's SSL object (caller owns).  name: of the server: SNI, and what its certificate is held against. */
struct ssl_st *tls_connection(struct tls *tls, bool server, const char *name);
/*
 * After a client's handshake: chain and name of the server's certificate are right, whether or not that was insisted
 * on.
 */
bool tls_verified(struct ssl_st *ssl);

/* What is wrong with the server's certificate, if neither tls_verified() nor tls_dane_matched() vouches for it. */
enum tls_trouble { TLS_TROUBLE_NONE, TLS_TROUBLE_NAME, TLS_TROUBLE_TIME, TLS_TROUBLE_OTHER };
enum tls_trouble tls_trouble(struct ssl_st *ssl);

/* The certificate that a client has shown. */
struct tls_peer {
    bool verified; /* by an authority in client_ca_file, for clients, and in time */
    /* SHA-256 of the whole, lower-case hexadecimal; without `verified` the key is still proven. */
    char fingerprint[TLS_FINGERPRINT_SIZE];
    struct slice name;                     /* the subject's common name; empty: none */
    const struct slice *addresses, *hosts; /* subjectAltName: rfc822Name, dNSName; as they stand there */
    unsigned address_count, host_count;
};
/* In the arena.  False: none was shown. */
bool tls_peer(const struct ssl_st *ssl, struct arena *arena, struct tls_peer *out);

/* What ties to this connection (RFC 5056). */
struct tls_binding {
    const char *name; /* as registered with IANA: "tls-exporter", "tls-unique"; static */
    unsigned char bytes[64];
    size_t size;
};
/* After the handshake; server: which side we are.  False: the connection has none. */
bool tls_binding(struct ssl_st *ssl, bool server, struct tls_binding *out);

/* A self-signed certificate for name and "localhost" (EC P-256, 10 years): for the demo and the tests. */
bool tls_make_self_signed(const char *name, const char *certificate_file, const char *key_file, char *error,
                          size_t error_size);

#endif
