#ifndef PROTOCOLS_OAUTH_H
#define PROTOCOLS_OAUTH_H
/*
 * oauth: whose is a bearer token?  Told by the authorization server (introspection, RFC 7662), or by the token itself,
 * if it is a JWT, and the server's keys (a JWK Set, RFC 7517).
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "protocols/oauth_token.h"

#define OAUTH_JWKS_MAX (256 * 1024) /* bytes */

/* Texts that are not needed are "".  They must stay. */
struct oauth_settings {
    const char *introspection_url, *client, *secret; /* client and secret: how we sign in there */
    const char *jwks;                                /* URL or file */
    const char *ca_file;
    struct oauth_rules rules;
    unsigned timeout_ms, keys_ms, answer_ms; /* to ask; how long keys, and yes of introspection, are remembered */
};

/* In a process that offers sign-ins, after fork.  NULL, or neither introspection nor keys: there is no OAuth. */
void oauth_start(const struct oauth_settings *settings);
bool oauth_offered(void);
const char *oauth_scope(void); /* for the client that was refused; "": none */

/* https, or http to this machine. */
bool oauth_url_valid(const char *text);
/* The file is a JWK Set, or jwks is no file.  False: why. */
bool oauth_keys_check(const char *jwks, char *why, size_t size);

enum oauth_answer { OAUTH_YES, OAUTH_NO, OAUTH_UNAVAILABLE };
/* YES: the name that it gives the account, in the arena; NO is logged. */
AWAITS enum oauth_answer oauth_verify(struct arena *arena, struct slice token, struct slice *account);

#endif
