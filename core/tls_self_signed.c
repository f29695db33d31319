/*
 * tls_self_signed: a certificate that nobody vouches for, for the demo, the tests and a server's first day.
 *
 * An EC key on P-256, which every client knows, and a certificate for one name, for "localhost" and for the loopback
 * addresses, that is its own authority, so that a client can be told to trust it and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/tls_internal.h"

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
        tls_explain(error, error_size, "cannot make a certificate for", name);
    else
        ok = write_pem(key_file, 0600, NULL, key, error, error_size) &&
             write_pem(certificate_file, 0644, certificate, NULL, error, error_size);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ok;
}
