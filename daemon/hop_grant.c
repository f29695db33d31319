/*
 * hop_grant: the token with which a next hop is signed in at.
 *
 *     a token that is good           is used; when it is due for renewal, and nobody is at it, a new one is fetched
 *                                    first, and if that fails the old one is used
 *     none                           whoever claims the row fetches one; the others wait for what comes of it
 *     it failed lately               nobody asks before the back-off is over; mail waits, and is told why
 *
 * The row is shared by all workers of all nodes (storage/hop_token.h), so that the token server is asked once, and a
 * refresh token that is good for one use is used once.  A new refresh token is kept before anything else is done:
 * while the database is away, for as long as the claim holds.  A worker that dies between the server's answer and that
 * write loses it; then an administrator has to give another.
 */
#include "daemon/hop_grant.h"

#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/http.h"
#include "core/log.h"
#include "core/secret.h"
#include "protocols/oauth_grant.h"
#include "storage/hop_token.h"

#define FETCH_MS 15000
#define WAIT_MS 20000 /* for somebody else's */
#define POLL_MS 100
#define STORE_MS 30000 /* within HOP_TOKEN_CLAIM_S, with the above */
#define STORE_PAUSE_MS 500

static bool cannot(struct arena *arena, struct slice *why, struct slice name, const char *words)
{
    *why = slice_str(arena_printf(arena, "no token for credential %.*s: %s", SLICE_ARG(name), words));
    return false;
}

static AWAITS const char *fetch(struct arena *arena, const struct hop_credential *credential,
                                struct slice sealed_refresh, struct oauth_granted *out)
{
    struct oauth_grant grant = {credential->client_id, credential->secret, {NULL, 0}, credential->scope};
    const char *url = arena_slicedup(arena, credential->token_url), *why;
    struct http_request request = {.url = url, .timeout_ms = FETCH_MS, .answer_max = OAUTH_GRANT_ANSWER_MAX};
    unsigned status = 0;
    struct slice body = {NULL, 0};

    why = hop_credential_open(arena, credential->id, "refresh_token", sealed_refresh, &grant.refresh_token);
    if (why)
        return why;
    request.form = oauth_grant_form(arena, &grant);
    http_init();
    if (!http_fetch(arena, &request, &status, &body))
        return "the token server cannot be asked";
    why = oauth_grant_read(arena, status, body, out);
    secret_wipe((char *)body.p, body.n);
    return why;
}

/* False: it is not kept, and a new refresh token is lost if the claim's time is over. */
static AWAITS bool keep(struct arena *arena, const struct hop_credential *credential,
                        const struct oauth_granted *granted)
{
    uint64_t give_up = clock_steady_ms() + STORE_MS;

    while (hop_token_store(arena, credential->id, credential->version, granted->token, granted->lifetime_s,
                           granted->refresh_token) != DB_DONE) {
        if (clock_steady_ms() >= give_up) {
            log_error("a token could not be kept", log_slice("credential", credential->name),
                      log_str("refresh_token", granted->refresh_token.p ? "a new one is lost" : "as it was"));
            return false;
        }
        task_sleep(STORE_PAUSE_MS);
    }
    return true;
}

/* Of who has the claim. */
static AWAITS bool renew(struct arena *arena, struct hop_credential *credential, struct slice sealed_refresh,
                         struct slice *why)
{
    struct oauth_granted granted;
    const char *trouble = fetch(arena, credential, sealed_refresh, &granted);

    if (trouble) {
        log_error("no token for a next hop", log_slice("credential", credential->name), log_str("reason", trouble));
        if (hop_token_fail(arena, credential->id, credential->version, slice_str(trouble)) != DB_DONE)
            log_info("its failure was not noted");
        return cannot(arena, why, credential->name, trouble);
    }
    log_info("a new token for a next hop", log_slice("credential", credential->name),
             log_int("lifetime_s", granted.lifetime_s));
    (void)keep(arena, credential, &granted);
    credential->token = granted.token;
    credential->sealed_token = (struct slice){NULL, 0};
    return true;
}

/* False, with *why: for good.  False without: nobody has said yet. */
static AWAITS bool try(struct arena *arena, struct hop_credential *credential, bool *fresh, struct slice *why)
{
    struct slice refresh = {NULL, 0}, unused;

    *why = (struct slice){NULL, 0};
    if (credential->token.p && !credential->token_due)
        return true;
    if (!credential->token.p && credential->token_failure.p)
        return cannot(arena, why, credential->name, arena_slicedup(arena, credential->token_failure));
    switch (hop_token_claim(arena, credential->id, credential->version, &refresh)) {
    case DB_FOUND: *fresh = renew(arena, credential, refresh, credential->token.p ? &unused : why); break;
    case DB_NONE: break;
    case DB_FAILED:
        if (!credential->token.p)
            (void)cannot(arena, why, credential->name, "the database did not say");
        break;
    }
    return credential->token.p;
}

bool hop_grant_token(struct arena *arena, struct hop_credential *credential, bool *fresh, struct slice *why)
{
    uint64_t give_up = clock_steady_ms() + WAIT_MS;
    int64_t id = credential->id;

    *fresh = false;
    while (!try(arena, credential, fresh, why)) {
        if (why->p)
            return false;
        if (clock_steady_ms() >= give_up)
            return cannot(arena, why, credential->name, "somebody is fetching one, for long");
        task_sleep(POLL_MS);
        if (hop_credential_get(arena, id, credential) != DB_FOUND || credential->trouble)
            return cannot(arena, why, credential->name, "it was changed, or could not be looked up");
    }
    return true;
}
