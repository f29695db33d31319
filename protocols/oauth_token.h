#ifndef PROTOCOLS_OAUTH_TOKEN_H
#define PROTOCOLS_OAUTH_TOKEN_H
/*
 * oauth_token: reading what an authorization server says: JWTs (RFC 7519), keys (RFC 7517), introspection (RFC 7662).
 *
 * Pure: nothing is asked here.  What is judged wrong is told in words for the log; a client hears none of them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

/* What a token must say.  Empty: need not. */
struct oauth_rules {
    const char *issuer, *audience, *scope; /* scope: one word that must be among its */
    const char *account_claim;             /* which member names the account */
};

struct oauth_keys;
/* A JWK Set.  Keys of other kinds and for other uses are passed over.  NULL and why: it is none, or has none. */
struct oauth_keys *oauth_keys_parse(struct slice json, const char **why);
void oauth_keys_free(struct oauth_keys **keys);

/* Three parts, and so perhaps a JWT. */
bool oauth_token_is_jwt(struct slice token);

struct oauth_jwt {
    bool ec;                      /* ES256, else RS256 */
    struct slice key_id;          /* {NULL,0}: not told */
    struct slice text, signature; /* what is signed, and by what */
    struct slice claims;          /* JSON, not yet believed */
};
/* NULL: taken apart; else why not. */
const char *oauth_jwt_parse(struct arena *arena, struct slice token, struct oauth_jwt *out);
enum oauth_signature { OAUTH_SIGNATURE_GOOD, OAUTH_SIGNATURE_BAD, OAUTH_SIGNATURE_NO_KEY };
enum oauth_signature oauth_jwt_verify(const struct oauth_jwt *jwt, const struct oauth_keys *keys);

/* What oauth_claims_judge() says of no JSON at all: nothing was told about the token. */
extern const char oauth_no_json[];
/*
 * Claims of a JWT, or the answer of introspection (which must say that the token is active, and need not say until
 * when). NULL: good, *account is in the arena, *expires_ms is its end or INT64_MAX; else why not.
 */
const char *oauth_claims_judge(struct arena *arena, struct slice json, bool introspected,
                               const struct oauth_rules *rules, int64_t now_ms, struct slice *account,
                               int64_t *expires_ms);

#endif
