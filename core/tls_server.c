/*
 * tls_server: what a server shows to its clients, and what it asks them for.
 *
 * Certificates.  Several pairs of certificate and key; a client that names the host it wants (SNI, RFC 6066 section 3)
 * gets those that are for that name, others the first.  Names are those of subjectAltName, never the subject's common
 * name, and "*" stands for one whole leftmost label (RFC 9525 section 6.3; OpenSSL's X509_check_host() compares).  A
 * certificate that has the very name goes before one with a wildcard; of several that are equally good (RSA and ECDSA)
 * the client's algorithms decide.  A name that none has is no error: the client will judge the first one.  Looking
 * costs one reading of the names for each pair and handshake: meant for dozens of pairs, not for thousands.
 *
 * Client certificates are asked for only if there are authorities for them, and never demanded: port 25 must take mail
 * from everybody, and whether a connection's certificate permits anything is decided where permissions are (tls_peer()
 * tells).  So one that nobody has signed does not end the handshake; it is only not verified.
 *
 * Resumption.  By tickets only (tls_tickets.c).  A ticket contains the client's certificate and that it was verified:
 * it is therefore bound to the authorities that it was verified with, and a reload that changes them begins anew.  A
 * ticket for one name resumes no session for another (RFC 6066 section 3).  Both go into the session's context, which
 * OpenSSL compares.
 */
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/tls_internal.h"

#define PATH_SIZE 1024

/* ------------------------------------------------------------------ certificates by name */

/* The next word of a list, or false.  One that is too long is cut, and will not be found. */
static bool next_word(const char **text, char word[PATH_SIZE])
{
    size_t n;

    *text += strspn(*text, " \t");
    n = strcspn(*text, " \t");
    snprintf(word, PATH_SIZE, "%.*s", (int)n, *text);
    *text += n;
    return n > 0;
}

static bool load_pair(SSL_CTX *context, const char *certificate, const char *key, char *error, size_t error_size)
{
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        tls_explain(error, error_size, "certificate", certificate);
    else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        tls_explain(error, error_size, "key", key);
    else if (SSL_CTX_check_private_key(context) != 1)
        tls_explain(error, error_size, "key does not belong to the certificate:", key);
    else
        return true;
    return false;
}

static bool load_certificates(struct tls *tls, const struct tls_server_settings *settings, char *error,
                              size_t error_size)
{
    const char *certificates = settings->certificate_files, *keys = settings->key_files;
    char certificate[PATH_SIZE], key[PATH_SIZE];

    while (next_word(&certificates, certificate)) {
        if (!next_word(&keys, key)) {
            snprintf(error, error_size, "no key for the certificate %s", certificate);
            return false;
        }
        tls->certificates = realloc(tls->certificates, (tls->certificate_count + 1) * sizeof(SSL_CTX *));
        if (!tls->certificates || !(tls->certificates[tls->certificate_count] = SSL_CTX_new(TLS_server_method())))
            abort();
        if (!load_pair(tls->certificates[tls->certificate_count++], certificate, key, error, error_size))
            return false;
    }
    if (!next_word(&keys, key) && tls->certificate_count)
        return true;
    snprintf(error, error_size, "%s %s", tls->certificate_count ? "no certificate for the key" : "no certificate", key);
    return false;
}

static bool has_name(const SSL_CTX *pair, const char *name, unsigned flags)
{
    return X509_check_host(SSL_CTX_get0_certificate(pair), name, strlen(name),
                           flags | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

static void show(SSL *ssl, SSL_CTX *pair)
{
    STACK_OF(X509) *chain = NULL;

    SSL_CTX_get0_chain_certs(pair, &chain);
    SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(pair), SSL_CTX_get0_privatekey(pair), chain, 1);
}

/* All pairs that are for this name, so that the client's algorithms can choose among them. */
static bool show_all(SSL *ssl, const struct tls *tls, const char *name, unsigned flags)
{
    bool any = false;

    for (unsigned i = tls->certificate_count; i-- > 0;) { /* of one algorithm the first pair has the last word */
        if (!has_name(tls->certificates[i], name, flags))
            continue;
        if (!any) /* else one of another algorithm, for another name, would still be there */
            SSL_certs_clear(ssl);
        any = true;
        show(ssl, tls->certificates[i]);
    }
    return any;
}

/* To say OK is to acknowledge the name. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls *tls = arg;

    (void)alert;
    if (name && !show_all(ssl, tls, name, X509_CHECK_FLAG_NO_WILDCARDS))
        show_all(ssl, tls, name, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_TLSEXT_ERR_OK;
}

/* ------------------------------------------------------------------ clients' certificates */

/* Asked for, never demanded; what is wrong with it stays readable: SSL_get_verify_result(). */
static int on_verify(int ok, X509_STORE_CTX *context)
{
    (void)ok, (void)context;
    return 1;
}

/* Into tls->binding. */
static bool bind_to_authorities(struct tls *tls, const char *file)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    FILE *in = file ? fopen(file, "re") : NULL;
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && (in || !file);
    char piece[4096];
    size_t n;

    while (ok && in && (n = fread(piece, 1, sizeof piece, in)) > 0)
        ok = EVP_DigestUpdate(md, piece, n) == 1;
    ok = ok && !(in && ferror(in)) && EVP_DigestFinal_ex(md, tls->binding, NULL) == 1;
    if (in)
        fclose(in);
    EVP_MD_CTX_free(md);
    return ok;
}

/* Before anything is resumed: a ticket is good only where authorities and name are those that it was made with. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    const struct tls *tls = arg;
    unsigned char digest[EVP_MAX_MD_SIZE];
    const unsigned char *name = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned size = 0;
    size_t n = 0;
    bool ok;

    (void)alert; /* internal_error, unless said otherwise */
    SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &name, &n);
    ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
         EVP_DigestUpdate(md, tls->binding, sizeof tls->binding) == 1 && EVP_DigestUpdate(md, name, n) == 1 &&
         EVP_DigestFinal_ex(md, digest, &size) == 1 && SSL_set_session_id_context(ssl, digest, size) == 1;
    EVP_MD_CTX_free(md);
    return ok ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

static bool ask_clients(SSL_CTX *context, const char *file, char *error, size_t error_size)
{
    STACK_OF(X509_NAME) *authorities = SSL_load_client_CA_file(file);

    if (!authorities || SSL_CTX_load_verify_file(context, file) != 1) {
        tls_explain(error, error_size, "client authorities", file);
        sk_X509_NAME_pop_free(authorities, X509_NAME_free);
        return false;
    }
    SSL_CTX_set_client_CA_list(context, authorities); /* takes it */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    return true;
}

/* ------------------------------------------------------------------ the context */

static bool set_up(struct tls *tls, const char *client_ca)
{
    SSL_CTX *context = tls->context, *first = tls->certificates[0];
    STACK_OF(X509) *chain = NULL;

    SSL_CTX_get0_chain_certs(first, &chain);
    SSL_CTX_set_client_hello_cb(context, on_hello, tls);
    return SSL_CTX_use_cert_and_key(context, SSL_CTX_get0_certificate(first), SSL_CTX_get0_privatekey(first), chain,
                                    1) == 1 &&
           bind_to_authorities(tls, client_ca) && tls_tickets_use(context) &&
           SSL_CTX_set_tlsext_servername_callback(context, on_name) == 1 &&
           SSL_CTX_set_tlsext_servername_arg(context, tls) == 1;
}

struct tls *tls_server_new(const struct tls_server_settings *settings, char *error, size_t error_size)
{
    const char *client_ca = settings->client_ca_file && *settings->client_ca_file ? settings->client_ca_file : NULL;
    struct tls *tls = tls_new(TLS_server_method(), error, error_size);

    if (!tls)
        return NULL;
    SSL_CTX_set_options(tls->context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_dh_auto(tls->context, 1);
    if (settings->tls13_only)
        SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION);
    if (!load_certificates(tls, settings, error, error_size) ||
        (client_ca && !ask_clients(tls->context, client_ca, error, error_size))) {
        tls_unref(&tls);
        return NULL;
    }
    if (set_up(tls, client_ca))
        return tls;
    tls_explain(error, error_size, "cannot set up TLS", NULL);
    tls_unref(&tls);
    return NULL;
}
