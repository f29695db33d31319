#ifndef CORE_TLS_INTERNAL_H
#define CORE_TLS_INTERNAL_H
/* tls_internal: what the files of tls share.  Nobody else includes this. */
#include <openssl/ssl.h>

#include "core/tls.h"

struct tls {
    unsigned references;
    SSL_CTX *context;
    SSL_CTX **certificates; /* server: one for each pair, of which only certificate and key are used */
    unsigned certificate_count;
    unsigned char binding[32]; /* server: digest of the authorities for clients' certificates */
};

/* What both sides begin with. */
struct tls *tls_new(const SSL_METHOD *method, char *error, size_t error_size);
/* What OpenSSL's error queue says of `what` (and of `file`, if not NULL); the queue is emptied. */
void tls_explain(char *error, size_t size, const char *what, const char *file);

/* tls_tickets.c */
bool tls_tickets_use(SSL_CTX *context);

#endif
