#ifndef PROTOCOLS_SASL_INTERNAL_H
#define PROTOCOLS_SASL_INTERNAL_H
/* sasl_internal: an attempt, for sasl*.c only. */
#include <sasl/sasl.h>

#include "protocols/login.h"
#include "protocols/sasl.h"

struct sasl_attempt {
    sasl_conn_t *connection;
    struct arena *arena;
    struct sasl_client client;
    bool looked_up, unavailable, banned;   /* banned: unavailable, too */
    bool names_next, is_plain, binds_next; /* the next message is LOGIN's name; of PLAIN; the first of a -PLUS form */
    bool sha1;                             /* SCRAM with SHA-1 */
    struct slice name;                     /* that was looked up */
    struct login login;
    sasl_callback_t callbacks[2];
    sasl_channel_binding_t binding; /* libsasl keeps a pointer to it */
    /* A mechanism of our own: what it makes of the client's next message.  NULL: libsasl does it. */
    AWAITS enum sasl_result (*step)(struct sasl_attempt *attempt, struct slice message, struct slice *challenge);
    bool xoauth2, refused; /* not OAUTHBEARER; a challenge has told so, and it is counted */
};

/* Is it offered to this client? */
bool sasl_mechanism_offered(const struct sasl_client *client, struct slice name);

/* OK: attempt->login has the account.  DENIED is not counted yet. */
AWAITS enum sasl_result sasl_external_step(struct sasl_attempt *attempt, struct slice message, struct slice *challenge);
AWAITS enum sasl_result sasl_oauth_step(struct sasl_attempt *attempt, struct slice message, struct slice *challenge);

#endif
