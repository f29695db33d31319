#ifndef PROTOCOLS_SMTP_CLIENT_INTERNAL_H
#define PROTOCOLS_SMTP_CLIENT_INTERNAL_H
/*
 * smtp_client_internal: what smtp_client.c (the connection), smtp_client_open.c (how it comes about),
 * smtp_client_send.c (one transaction), smtp_client_fit.c and smtp_client_chunk.c share.
 */
#include "core/stream.h"
#include "protocols/smtp_client.h"
#include "protocols/smtp_client_body.h"
#include "protocols/smtp_client_reply.h"

#define SMTP_CLIENT_REPLY_LINE_MAX 4096

struct smtp_client {
    struct smtp_client_settings settings;
    struct stream *stream;
    struct arena *scratch; /* lines of the reply that is being read */
    char *host;
    struct smtp_client_features features;
    struct smtp_client_reply reply; /* the last one */
    const char *trouble;            /* when broken: why, in words */
    bool broken;                    /* no further command makes sense */
    bool used;                      /* it was asked something; see also mails */
    unsigned mails;                 /* MAIL commands that it was sent */
    bool tls_failed;                /* it was offered, and did not come about */
    bool dirty;                     /* a transaction was left open: RSET first */
    unsigned port;
    struct slice last_line; /* of the last reply, until the next */
    size_t line_max;        /* of a reply; 0: as usual */
    int64_t credential_id;  /* with which it was signed in */
    int credential_version;
    bool signed_in;
    uint64_t slowest_ms; /* of its replies, since smtp_client_watch() */
};

/*
 * The next reply, whole, within timeout_ms, into client->reply.  False: there is none to be understood; the client is
 * then broken.  features: filled from the lines of an EHLO reply, or NULL.
 */
AWAITS bool smtp_client_await(struct smtp_client *client, unsigned timeout_ms, struct smtp_client_features *features)
    __attribute__((warn_unused_result));

/* -------- smtp_client_fit.c: what becomes of recipients */

/* Nothing has been decided about him yet. */
bool smtp_client_is_open(const struct smtp_client_recipient *recipient);
void smtp_client_decide(struct smtp_client_recipient *recipient, enum smtp_client_outcome outcome, struct slice reply,
                        struct slice status);
/* About all who are open. */
void smtp_client_decide_all(struct smtp_client_message *message, enum smtp_client_outcome outcome, struct slice reply,
                            struct slice status);
/* False: the server could carry it to nobody, and all are decided.  utf8: it goes with SMTPUTF8. */
bool smtp_client_fits(const struct smtp_client *client, struct arena *arena, struct smtp_client_message *message,
                      size_t size, bool *utf8) __attribute__((warn_unused_result));

/* -------- a message's content */

#define SMTP_CLIENT_PIECE (16 * 1024)
#define SMTP_CLIENT_ENCODED (2 * SMTP_CLIENT_PIECE + SMTP_CLIENT_BODY_END) /* what a piece may become */

size_t smtp_client_content_size(const struct smtp_client_message *message);
/* Some of it; empty: there is no more.  buffer has SMTP_CLIENT_PIECE bytes.  failed: it cannot be read. */
struct slice smtp_client_content_at(const struct smtp_client_message *message, size_t position, char *buffer,
                                    bool *failed);

#endif
