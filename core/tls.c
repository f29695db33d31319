/*
 * tls: contexts for both directions, made once and shared by all connections.
 *
 * A server context is what the configuration names; a reload makes a new one and lets the old go with its last
 * connection.  A client context verifies or does not: to a next hop whose certificate nobody promised anything about,
 * encryption without verification is still better than none (RFC 7435), and the other way round a policy
 * that demands verification must not fall back.
 *
 * Choices.  TLS 1.2 is the floor (RFC 8996); OpenSSL's own list of suites and groups is kept, for it is reviewed more often
 * than we would be.  SSL_MODE_RELEASE_BUFFERS: an idle connection gives its 32 KiB of record buffers back.
 * Partial writes with a moving buffer: stream_io.c sends from an evbuffer.  No renegotiation: it is a way to make the server
 * work, and TLS 1.3 has none.  An end without close_notify is an end (see stream_io.c).
 */
#include "core/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tls {
    unsigned references;
    bool verify; /* client: the name, too */
    SSL_CTX *context;
};

static void explain(char *error, size_t size, const char *what, const char *file)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    snprintf(error, size, "%s%s%s: %s", what, file ? " " : "", file ? file : "", reason ? reason : "unknown error");
    ERR_clear_error();
}

static struct tls *tls_new(const SSL_METHOD *method, char *error, size_t error_size)
{
    struct tls *tls = calloc(1, sizeof *tls);

    if (!tls)
        abort();
    ERR_clear_error();
    tls->references = 1;
    tls->context = SSL_CTX_new(method);
    if (!tls->context || SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1) {
        explain(error, error_size, "cannot set up TLS", NULL);
        tls_unref(&tls);
        return NULL;
    }
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return tls;
}

struct tls *tls_server_new(const char *certificate_file, const char *key_file, char *error, size_t error_size)
{
    static const unsigned char session_context[] = "posthouse";
    struct tls *tls = tls_new(TLS_server_method(), error, error_size);

    if (!tls)
        return NULL;
    SSL_CTX_set_options(tls->context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_id_context(tls->context, session_context, sizeof session_context - 1);
    SSL_CTX_set_dh_auto(tls->context, 1);
    if (SSL_CTX_use_certificate_chain_file(tls->context, certificate_file) != 1)
        explain(error, error_size, "certificate", certificate_file);
    else if (SSL_CTX_use_PrivateKey_file(tls->context, key_file, SSL_FILETYPE_PEM) != 1)
        explain(error, error_size, "key", key_file);
    else if (SSL_CTX_check_private_key(tls->context) != 1)
        explain(error, error_size, "key does not belong to the certificate:", key_file);
    else
        return tls;
    tls_unref(&tls);
    return NULL;
}

struct tls *tls_client_new(bool verify, char *error, size_t error_size)
{
    struct tls *tls = tls_new(TLS_client_method(), error, error_size);

    if (!tls)
        return NULL;
    tls->verify = verify;
    if (!verify)
        return tls;
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_default_verify_paths(tls->context) == 1)
        return tls;
    explain(error, error_size, "cannot load the system's certificate authorities", NULL);
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
    free(t);
}

/* ------------------------------------------------------------------ one connection */

static bool is_address(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* SNI carries names only (RFC 6066 section 3); a certificate may be for an address, too. */
static bool expect_name(SSL *ssl, const char *name, bool verify)
{
    if (is_address(name))
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    if (SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    return !verify || SSL_set1_host(ssl, name) == 1;
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
    if (name ? expect_name(ssl, name, tls->verify) : !tls->verify)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

/* ------------------------------------------------------------------ self-signed */

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    BIGNUM *serial = BN_new();
    char names[512];
    bool ok;

    snprintf(names, sizeof names, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", name);
    ok = serial && BN_rand(serial, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) &&
         X509_set_version(certificate, X509_VERSION_3) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), 3650, 0, NULL) &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1 &&
         X509_set_issuer_name(certificate, subject) == 1 &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
         add_extension(certificate, NID_subject_alt_name, names) && X509_sign(certificate, key, EVP_sha256()) > 0;
    BN_free(serial);
    return ok;
}

/* A key is for its owner's eyes from the first byte on. */
static FILE *create(const char *file, mode_t mode)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

    if (fd >= 0 && !f)
        close(fd);
    return f;
}

static bool write_pem(const char *file, mode_t mode, X509 *certificate, EVP_PKEY *key, char *error, size_t error_size)
{
    FILE *f = create(file, mode);
    bool ok = f != NULL;

    if (ok)
        ok = certificate ? PEM_write_X509(f, certificate) == 1
                         : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok)
        snprintf(error, error_size, "cannot write %s: %s", file, strerror(errno));
    return ok;
}

bool tls_make_self_signed(const char *name, const char *certificate_file, const char *key_file, char *error,
                          size_t error_size)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    bool ok = false;

    if (!key || !certificate || !fill_certificate(certificate, key, name))
        explain(error, error_size, "cannot make a certificate for", name);
    else
        ok = write_pem(key_file, 0600, NULL, key, error, error_size) &&
             write_pem(certificate_file, 0644, certificate, NULL, error, error_size);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ok;
}
