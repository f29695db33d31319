/*
 * tls_dane: TLSA records for OpenSSL, which does the comparing.
 *
 * What OpenSSL leaves to us is SMTP's own: usages 0 and 1 are not used, since nobody has agreed with the world's mail
 * servers on a list of authorities (RFC 7672 3.1.3); a DANE-EE(3) certificate is right whatever names and dates it has
 * (3.1.1), for which there is a flag; and a certificate below a DANE-TA(2) authority may be for one of several names
 * (3.2.2).  A wildcard stands for a whole label (3.2.3).
 *
 * As with other connections nothing is insisted on in the handshake: what came of it is asked afterwards, so that a
 * server without the right certificate is told from one that is away.
 */
#include "core/tls_dane.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "core/tls_internal.h"

enum { USAGE_DANE_TA = 2, USAGE_DANE_EE = 3 };

static unsigned add_records(SSL *ssl, const struct tls_dane *dane)
{
    unsigned usable = 0;

    for (unsigned i = 0; i < dane->record_count; i++) {
        const struct dns_tlsa *r = &dane->records[i];

        if (r->usage != USAGE_DANE_TA && r->usage != USAGE_DANE_EE)
            continue;
        if (SSL_dane_tlsa_add(ssl, (uint8_t)r->usage, (uint8_t)r->selector, (uint8_t)r->matching,
                              (const unsigned char *)r->data.p, r->data.n) > 0)
            usable++;
    }
    ERR_clear_error();
    return usable;
}

static SSL *connection(struct tls *client, const struct tls_dane *dane, unsigned *usable)
{
    SSL *ssl = SSL_new(client->context);

    *usable = 0;
    if (!ssl)
        return NULL;
    SSL_set_connect_state(ssl);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_dane_enable(ssl, dane->base) > 0) {
        SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
        *usable = add_records(ssl, dane);
    }
    return ssl;
}

unsigned tls_dane_usable(struct tls *client, const struct tls_dane *dane)
{
    unsigned usable;

    SSL_free(connection(client, dane, &usable));
    return usable;
}

struct ssl_st *tls_dane_connection(struct tls *client, const struct tls_dane *dane)
{
    unsigned usable;
    SSL *ssl = connection(client, dane, &usable);
    bool named = true;

    for (unsigned i = 0; ssl && i < dane->name_count; i++)
        named &= SSL_add1_host(ssl, dane->names[i]) == 1;
    if (usable > 0 && named)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

bool tls_dane_matched(struct ssl_st *ssl)
{
    return SSL_get0_dane_authority(ssl, NULL, NULL) >= 0 && SSL_get_verify_result(ssl) == X509_V_OK;
}
