#ifndef PROTOCOLS_OAUTH_GRANT_H
#define PROTOCOLS_OAUTH_GRANT_H
/* oauth_grant: what a token server is asked, as its client, and what it answers (RFC 6749 4.4, 5, 6).  Pure. */
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

#define OAUTH_GRANT_TOKEN_MAX 8000 /* in base64 it must fit on a line of AUTH, RFC 4954 section 4 */
#define OAUTH_GRANT_ANSWER_MAX 65536

struct oauth_grant {
    struct slice client_id, client_secret, refresh_token,
        scope; /* {NULL,0}: none; no refresh token: client credentials */
};
/* The form to be posted, wiped with the arena. */
struct slice oauth_grant_form(struct arena *arena, const struct oauth_grant *grant);

struct oauth_granted {
    struct slice token, refresh_token; /* refresh_token {NULL,0}: as it was.  Wiped with the arena. */
    int64_t lifetime_s;
};
/* NULL, or why there is no token, in words of printable ASCII (in the arena) that hold nothing secret. */
const char *oauth_grant_read(struct arena *arena, unsigned status, struct slice body, struct oauth_granted *out)
    __attribute__((warn_unused_result));

#endif
