#ifndef CORE_TLS_INTERNAL_H
#define CORE_TLS_INTERNAL_H
/* tls_internal: what the files of tls share.  Nobody else includes this. */
#include <openssl/ssl.h>

#include "core/tls.h"

struct tls {
    unsigned references;
    bool verify; /* client: the name, too */
    SSL_CTX *context;
};

/* What OpenSSL's error queue says of `what` (and of `file`, if not NULL); the queue is emptied. */
void tls_explain(char *error, size_t size, const char *what, const char *file);

#endif
