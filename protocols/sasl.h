#ifndef PROTOCOLS_SASL_H
#define PROTOCOLS_SASL_H
/*
 * sasl: authentication for SMTP, IMAP and POP3 by Cyrus SASL, with our own auxprop plugin over the
 * account store.  The only place that sees libsasl2.
 *
 * libsasl asks for secrets through synchronous callbacks; ours wait for the database by suspending the
 * task, so every call below must be made in a task.  A sasl_conn_t exists only while an attempt runs.
 *
 * PLAIN and LOGIN are offered under TLS only; SCRAM-SHA-256 anywhere.  A wrong password and an unknown account
 * give the same answer after the same work (a dummy hash is computed), and both are DENIED; "the database
 * is away" is UNAVAILABLE (454 4.7.0, NO [UNAVAILABLE], -ERR [SYS/TEMP]).  Secrets are wiped.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/directory.h"

/* Once per process, after fork: registers the plugin.  Fatal when libsasl cannot start. */
void sasl_start(const char *hostname);
void sasl_stop(void);

/* Space-separated, strongest first: "SCRAM-SHA-256 PLAIN LOGIN" or, in clear, "SCRAM-SHA-256". */
const char *sasl_mechanisms(bool tls);

enum sasl_result {
    SASL_RESULT_CHALLENGE,   /* send *challenge (not yet base64), come back with the answer */
    SASL_RESULT_OK,          /* *challenge, if not {NULL,0}, is data that goes with success */
    SASL_RESULT_DENIED,
    SASL_RESULT_MALFORMED,   /* the client's message makes no sense */
    SASL_RESULT_NO_MECHANISM, /* unknown, or not allowed in clear */
    SASL_RESULT_UNAVAILABLE,
    SASL_RESULT_BANNED, /* too much failed from there, or for the name from there; the password was not looked at */
};

/* Who wants to sign in, and for what. */
struct sasl_client {
    const char *service; /* "smtp", "imap", "pop3" */
    const char *peer;    /* its address; must stay as long as the attempt */
    bool tls;
};

struct sasl_attempt;
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
