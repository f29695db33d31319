#ifndef PROTOCOLS_OAUTH_MESSAGE_H
#define PROTOCOLS_OAUTH_MESSAGE_H
/* oauth_message: what a client says with OAUTHBEARER (RFC 7628) and XOAUTH2.  Pure. */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

#define OAUTH_MESSAGE_MAX 9216 /* bytes: what a base64 line of RFC 4954 section 4 holds */

struct oauth_message {
    struct slice account; /* as whom; empty: the token tells */
    struct slice token;   /* within the message */
};

/* False: it makes no sense.  The account in the arena. */
bool oauth_message_bearer(struct arena *arena, struct slice in, struct oauth_message *out);
bool oauth_message_xoauth2(struct slice in, struct oauth_message *out);

#endif
