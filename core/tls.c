/*
 * tls: contexts for both directions, made once and shared by all connections.
 *
 * A server context (tls_server.c) is what the configuration names; a reload makes a new one and lets the old go with
 * its last connection.  A client context always looks at chain and name, and insists on them or does not: to a next
 * hop whose certificate nobody promised anything about, encryption without verification is still better than none (RFC
 * 7435), and what came of it is known afterwards (tls_verified()), for the message that asks.
 *
 * Choices.  TLS 1.2 is the floor (RFC 8996); OpenSSL's own list of suites and groups is kept, for it is reviewed more
 * often than we would be.  SSL_MODE_RELEASE_BUFFERS: an idle connection gives its 32 KiB of record buffers back.
 * Partial writes with a moving buffer: stream_io.c sends from an evbuffer.  No renegotiation: it is a way to make the
 * server work, and TLS 1.3 has none.  An end without close_notify is an end (see stream_io.c).
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/tls_internal.h"

void tls_explain(char *error, size_t size, const char *what, const char *file)
{
    /* Of what failed in the system the first says errno, and the last only that it did. */
    unsigned long first = ERR_peek_error(), code = ERR_SYSTEM_ERROR(first) ? first : ERR_peek_last_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

    snprintf(error, size, "%s%s%s: %s", what, file ? " " : "", file ? file : "", reason ? reason : "unknown error");
    ERR_clear_error();
}

struct tls *tls_new(const SSL_METHOD *method, char *error, size_t error_size)
{
    struct tls *tls = calloc(1, sizeof *tls);

    if (!tls)
        abort();
    ERR_clear_error();
    tls->references = 1;
    tls->context = SSL_CTX_new(method);
    if (!tls->context || SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1) {
        tls_explain(error, error_size, "cannot set up TLS", NULL);
        tls_unref(&tls);
        return NULL;
    }
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return tls;
}

struct tls *tls_client_new(bool verify, char *error, size_t error_size)
{
    struct tls *tls = tls_new(TLS_client_method(), error, error_size);

    if (!tls)
        return NULL;
    SSL_CTX_set_verify(tls->context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_dane_enable(tls->context) <= 0) { /* for connections that have records: tls_dane.c */
        tls_explain(error, error_size, "cannot set up DANE", NULL);
        tls_unref(&tls);
        return NULL;
    }
    if (SSL_CTX_set_default_verify_paths(tls->context) == 1 || !verify)
        return tls;
    tls_explain(error, error_size, "cannot load the system's certificate authorities", NULL);
    tls_unref(&tls);
    return NULL;
}

struct tls *tls_ref(struct tls *tls)
{
    tls->references++;
    return tls;
}

void tls_unref(struct tls **tls)
{
    struct tls *t = *tls;

    *tls = NULL;
    if (!t || --t->references > 0)
        return;
    SSL_CTX_free(t->context);
    for (unsigned i = 0; i < t->certificate_count; i++)
        SSL_CTX_free(t->certificates[i]);
    free(t->certificates);
    free(t);
}

/* ------------------------------------------------------------------ one connection */

static bool is_address(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* SNI carries names only (RFC 6066 section 3); a certificate may be for an address, too. */
static bool expect_name(SSL *ssl, const char *name)
{
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

struct ssl_st *tls_connection(struct tls *tls, bool server, const char *name)
{
    SSL *ssl = SSL_new(tls->context);

    if (!ssl)
        return NULL;
    if (server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    /* Without a name there is nothing to verify against: that must fail, not pass. */
    if (name ? expect_name(ssl, name) : SSL_CTX_get_verify_mode(tls->context) == SSL_VERIFY_NONE)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

bool tls_verified(struct ssl_st *ssl)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    char *address = X509_VERIFY_PARAM_get1_ip_asc(expected);
    bool named = address || X509_VERIFY_PARAM_get0_host(expected, 0);

    OPENSSL_free(address);
    if (SSL_get0_dane_authority(ssl, NULL, NULL) >= 0) /* by records: tls_dane_matched() */
        return false;
    return named && SSL_get0_peer_certificate(ssl) && SSL_get_verify_result(ssl) == X509_V_OK;
}

enum tls_trouble tls_trouble(struct ssl_st *ssl)
{
    switch (SSL_get_verify_result(ssl)) {
    case X509_V_OK: return TLS_TROUBLE_NONE;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return TLS_TROUBLE_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return TLS_TROUBLE_TIME;
    default: break;
    }
    return TLS_TROUBLE_OTHER;
}
