#ifndef PROTOCOLS_SMTP_CLIENT_INTERNAL_H
#define PROTOCOLS_SMTP_CLIENT_INTERNAL_H
/* smtp_client_internal: what smtp_client.c (the connection) and smtp_client_send.c (one transaction) share. */
#include "core/stream.h"
#include "protocols/smtp_client.h"
#include "protocols/smtp_client_reply.h"

struct smtp_client {
    struct smtp_client_settings settings;
    struct stream *stream;
    struct arena *scratch; /* lines of the reply that is being read */
    char *host;
    struct smtp_client_features features;
    struct smtp_client_reply reply; /* the last one */
    const char *trouble;            /* when broken: why, in words */
    bool broken;                    /* no further command makes sense */
    bool used;                      /* a message went over it */
    bool dirty;                     /* a transaction was left open: RSET first */
};

/*
 * The next reply, whole, within timeout_ms, into client->reply.  False: there is none to be understood; the client is
 * then broken.  features: filled from the lines of an EHLO reply, or NULL.
 */
AWAITS bool smtp_client_await(struct smtp_client *client, unsigned timeout_ms, struct smtp_client_features *features)
    __attribute__((warn_unused_result));

#endif
