#ifndef PROTOCOLS_SASL_H
#define PROTOCOLS_SASL_H
/*
 * sasl: authentication for SMTP, IMAP and POP3 by Cyrus SASL, with our own auxprop plugin over the account store, and
 * by mechanisms of our own beside it (EXTERNAL, OAUTHBEARER, XOAUTH2).  The only place that sees libsasl2.
 *
 * libsasl asks for secrets through synchronous callbacks; ours wait for the database by suspending the
 * task, so every call below must be made in a task.  A sasl_conn_t exists only while an attempt runs.
 *
 * PLAIN and LOGIN are offered under TLS only; SCRAM-SHA-256 anywhere.  A wrong password and an unknown account
 * give the same answer after the same work (a dummy hash is computed), and both are DENIED; "the database
 * is away" is UNAVAILABLE (454 4.7.0, NO [UNAVAILABLE], -ERR [SYS/TEMP]).  Secrets are wiped.
 *
 * EXTERNAL is offered to who has shown a certificate that was verified, SCRAM's -PLUS forms to a connection that has a
 * channel binding (core/tls_binding.c), OAUTHBEARER and XOAUTH2 over TLS where they are configured (protocols/oauth.h).
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "core/tls.h"
#include "storage/directory.h"

struct stream;

/* Once per process, after fork: registers the plugin.  Fatal when libsasl cannot start. */
void sasl_start(const char *hostname);
/* For who has only asked what there is. */
void sasl_stop(void);
/* After sasl_start(): those of our mechanisms that libsasl has no plugin for, between blanks; NULL: none.  Static. */
const char *sasl_missing(void);
/* Are the -PLUS forms offered?  They are not, at first. */
void sasl_bind_channels(bool on);

enum sasl_result {
    SASL_RESULT_CHALLENGE, /* send *challenge (not yet base64), come back with the answer */
    SASL_RESULT_OK,        /* *challenge, if not {NULL,0}, is data that goes with success */
    SASL_RESULT_DENIED,
    SASL_RESULT_MALFORMED,    /* the client's message makes no sense */
    SASL_RESULT_NO_MECHANISM, /* unknown, or not allowed in clear */
    SASL_RESULT_UNAVAILABLE,
    SASL_RESULT_BANNED, /* too much failed from there, or for the name from there; the password was not looked at */
};

/* Who wants to sign in, and for what. */
struct sasl_client {
    const char *service; /* "smtp", "imap", "pop3" */
    const char *peer;    /* its address; must stay as long as the attempt */
    bool tls;
    const struct tls_peer *certificate; /* that it has shown and that was verified; NULL: none */
    const struct tls_binding *binding;  /* what -PLUS mixes in; NULL: none */
};
/* What the connection tells; certificate and binding in the arena.  stream NULL: nothing. */
void sasl_describe_client(struct sasl_client *client, struct arena *arena, const char *service, const char *peer,
                          const struct stream *stream);

/*
 * What the client may choose of, between blanks, strongest first: "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN".
 * Static; until the next call.
 */
const char *sasl_mechanisms(const struct sasl_client *client);

struct sasl_attempt;
/* Copies the certificate and the binding. */
struct sasl_attempt *sasl_attempt_new(const struct sasl_client *client);
void sasl_attempt_free(struct sasl_attempt **attempt);

/* initial: decoded initial response; {NULL,0}: none was given (an empty one is "=" on the wire). */
AWAITS enum sasl_result sasl_attempt_begin(struct sasl_attempt *attempt, struct arena *arena, struct slice mechanism,
                                           struct slice initial, struct slice *challenge);
AWAITS enum sasl_result sasl_attempt_continue(struct sasl_attempt *attempt, struct arena *arena, struct slice response,
                                              struct slice *challenge);
/* After OK: who it is (id, address, cell, inbox; it may sign in for the service); the slices are copied into arena. */
void sasl_attempt_account(const struct sasl_attempt *attempt, struct arena *arena, struct directory_account *out);

/* IMAP LOGIN, POP3 USER/PASS: OK, DENIED, BANNED or UNAVAILABLE. */
AWAITS enum sasl_result sasl_password(const struct sasl_client *client, struct arena *arena, struct slice login,
                                      struct slice password, struct directory_account *out);

#endif
