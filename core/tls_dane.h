#ifndef CORE_TLS_DANE_H
#define CORE_TLS_DANE_H
/*
 * tls_dane: a server's certificate, held against what DNS says of it (RFC 6698, as RFC 7672 has it for SMTP).
 *
 * Records are DANE-EE(3), this certificate or key whatever else it says, or DANE-TA(2), an authority of which it must be,
 * for one of the names; everything else is unusable (RFC 7672 3.1.3).
 */
#include "core/dns.h"
#include "core/tls.h"

#define TLS_DANE_NAMES_MAX 4

struct tls_dane {
    const char *base; /* the TLSA base domain: SNI, and the first of the names */
    const char *names[TLS_DANE_NAMES_MAX];
    unsigned name_count; /* others that will do (RFC 7672 3.2.2) */
    const struct dns_tlsa *records;
    unsigned record_count;
};

/* How many of the records can be used.  0: the certificate cannot be held against them. */
unsigned tls_dane_usable(struct tls *client, const struct tls_dane *dane);
/* As tls_connection().  At least one record is usable. */
struct ssl_st *tls_dane_connection(struct tls *client, const struct tls_dane *dane);
/* After the handshake: the certificate is one of those that the records mean. */
bool tls_dane_matched(struct ssl_st *ssl);

#endif
