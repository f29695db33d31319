/*
 * tls_peer: the certificate that a client has shown, as values.
 *
 * Two uses: SASL EXTERNAL and permissions go by a name that an authority vouches for (`verified`), or by the
 * fingerprint of one certificate, which needs no authority: the handshake has proven that the client has its key.
 *
 * A name that contains anything but what the kind of name may have (a NUL to deceive string functions, a blank, a
 * control character) is left out.  Case is as in the certificate.  Names beyond NAMES_MAX are not looked at.
 */
#include <openssl/x509v3.h>
#include <stdio.h>

#include "core/tls_internal.h"

#define NAMES_MAX 32

static bool is_plain(struct slice text, char least)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < least || text.p[i] > '~')
            return false;
    return text.n > 0;
}

static unsigned names_of(const GENERAL_NAMES *all, int kind, struct arena *arena, const struct slice **out)
{
    struct slice *list = arena_array(arena, NAMES_MAX, sizeof *list);
    unsigned count = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(all) && count < NAMES_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        struct slice text;

        if (name->type != kind) /* rfc822Name and dNSName are both IA5String */
            continue;
        text = slice_of((const char *)ASN1_STRING_get0_data(name->d.ia5), (size_t)ASN1_STRING_length(name->d.ia5));
        if (is_plain(text, '!'))
            list[count++] = arena_slice(arena, text);
    }
    *out = list;
    return count;
}

static struct slice common_name(const X509 *certificate, struct arena *arena)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
    struct slice name = {"", 0};
    unsigned char *text = NULL;

    if (at < 0)
        return name;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0 && is_plain(slice_of((const char *)text, (size_t)n), ' '))
        name = arena_slice(arena, slice_of((const char *)text, (size_t)n));
    OPENSSL_free(text);
    return name;
}

bool tls_peer(const struct ssl_st *ssl, struct arena *arena, struct tls_peer *out)
{
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    unsigned char digest[EVP_MAX_MD_SIZE];
    GENERAL_NAMES *all;
    unsigned n = 0;

    *out = (struct tls_peer){.name = {"", 0}};
    if (!certificate || X509_digest(certificate, EVP_sha256(), digest, &n) != 1)
        return false;
    for (unsigned i = 0; i < n && i * 2 + 3 <= sizeof out->fingerprint; i++)
        snprintf(out->fingerprint + 2 * i, 3, "%02x", digest[i]);
    out->verified = SSL_get_verify_result(ssl) == X509_V_OK;
    out->name = common_name(certificate, arena);
    all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    out->address_count = names_of(all, GEN_EMAIL, arena, &out->addresses);
    out->host_count = names_of(all, GEN_DNS, arena, &out->hosts);
    GENERAL_NAMES_free(all);
    return true;
}
