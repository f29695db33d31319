/*
 * hop_login: with which credential a next hop is signed in at.
 *
 * It is read for each connection and lives in the caller's arena as long as that opens; nothing is kept of it.
 *
 * A token (kind oauth) that a host does not take may have been revoked before its time: it is dropped, and once another
 * is fetched and tried at once.
 *
 * A credential that a server has refused (5xx) is not shown to it again at once: a destination that is away is tried
 * every few seconds, and many services lock an account after some failures.  So this process waits, PAUSE_FIRST_MS at
 * first, doubling to PAUSE_MAX_MS, or until the credential is changed.  REFUSALS_MAX are remembered; the oldest is
 * forgotten.
 */
#include "daemon/hop_login.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "core/tls_identity.h"
#include "daemon/hop_grant.h"
#include "protocols/sasl_hop.h"
#include "storage/hop_credential.h"
#include "storage/hop_token.h"

#define REFUSALS_MAX 256
#define PAUSE_FIRST_MS 30000
#define PAUSE_MAX_MS 900000

static struct refusal {
    int64_t credential_id; /* 0: free */
    int version;
    char *host;
    uint64_t until, pause_ms;
} refusals[REFUSALS_MAX];

static struct refusal *find(int64_t credential_id, const char *host)
{
    for (unsigned i = 0; i < REFUSALS_MAX; i++)
        if (refusals[i].credential_id == credential_id && strcmp(refusals[i].host, host) == 0)
            return &refusals[i];
    return NULL;
}

static void forget(struct refusal *refusal)
{
    free(refusal->host);
    *refusal = (struct refusal){0};
}

/* A free place, or that of the one that ends first. */
static struct refusal *make_room(void)
{
    struct refusal *first = refusals;

    for (unsigned i = 0; i < REFUSALS_MAX && first->credential_id; i++)
        if (!refusals[i].credential_id || refusals[i].until < first->until)
            first = &refusals[i];
    forget(first);
    return first;
}

static void note(const struct smtp_client_credential *credential, const char *host, bool signed_in)
{
    struct refusal *refusal = find(credential->id, host);

    if (signed_in && refusal)
        forget(refusal);
    if (!credential->refused)
        return;
    if (!refusal) {
        refusal = make_room();
        refusal->credential_id = credential->id;
        if (!(refusal->host = strdup(host)))
            abort();
    }
    bool anew = refusal->version != credential->version;
    refusal->version = credential->version;
    refusal->pause_ms = anew ? PAUSE_FIRST_MS : refusal->pause_ms * 2;
    if (refusal->pause_ms > PAUSE_MAX_MS)
        refusal->pause_ms = PAUSE_MAX_MS;
    refusal->until = clock_steady_ms() + refusal->pause_ms;
    log_error("next hop refuses its credential", log_str("host", host), log_id("credential", credential->id),
              log_int("again_in_ms", (int64_t)refusal->pause_ms));
}

static bool cannot(struct slice *why, const char *words)
{
    *why = slice_str(words);
    return false;
}

static void on_done(void *arg)
{
    struct tls_identity *identity = arg;

    tls_identity_free(&identity);
}

/* It lives as long as the arena. */
static const struct tls_identity *identity_of(struct arena *arena, const struct hop_credential *found)
{
    char why[100];
    struct tls_identity *identity = tls_identity_new(found->certificate, found->secret, why, sizeof why);

    if (identity)
        arena_on_done(arena, on_done, identity);
    else
        log_error("the certificate for a next hop cannot be used", log_slice("credential", found->name),
                  log_str("reason", why));
    return identity;
}

/* sealed: of a token that was not fetched just now; else {NULL,0}. */
static AWAITS bool find_credential(struct arena *arena, int64_t credential_id, const char *host,
                                   struct smtp_client_credential *out, struct slice *sealed, struct slice *why)
{
    const struct refusal *refusal;
    const struct tls_identity *identity = NULL;
    struct hop_credential found;
    bool fresh;

    switch (hop_credential_get(arena, credential_id, &found)) {
    case DB_FOUND: break;
    case DB_NONE: return cannot(why, "its credential is gone");
    case DB_FAILED: return cannot(why, "its credential could not be looked up");
    }
    if (found.trouble) {
        log_error("the credential of a next hop cannot be used", log_slice("name", found.name), log_str("host", host),
                  log_str("reason", found.trouble));
        return cannot(why, arena_printf(arena, "credential %.*s: %s", SLICE_ARG(found.name), found.trouble));
    }
    refusal = find(credential_id, host);
    if (refusal && refusal->version == found.version && refusal->until > clock_steady_ms())
        return cannot(why,
                      arena_printf(arena, "it has refused credential %.*s, which is not tried again for %u s",
                                   SLICE_ARG(found.name), (unsigned)((refusal->until - clock_steady_ms()) / 1000 + 1)));
    if (found.oauth && !hop_grant_token(arena, &found, &fresh, why))
        return false;
    if (found.certificate.p && !(identity = identity_of(arena, &found)))
        return cannot(why,
                      arena_printf(arena, "credential %.*s: its certificate cannot be used", SLICE_ARG(found.name)));
    *sealed = found.sealed_token;
    *out = (struct smtp_client_credential){
        .id = credential_id,
        .version = found.version,
        .user = found.user,
        .password = found.oauth ? found.token : found.secret,
        .identity = identity,
        .mechanisms = found.mechanism.p     ? sasl_hop_named(found.mechanism)
                      : found.certificate.p ? 0
                      : found.oauth         ? SASL_HOP_BY_TOKEN
                                            : SASL_HOP_BY_PASSWORD,
        .verify = found.verify,
    };
    return true;
}

bool hop_login_open(struct arena *arena, int64_t credential_id, struct smtp_client_settings *settings,
                    struct smtp_client_target *target, struct smtp_client **out, struct slice *why)
{
    struct smtp_client_credential credential;
    struct slice sealed;
    int version;
    bool open;

    target->tried = target->count;
    if (!credential_id)
        return smtp_client_open(settings, arena, target, out, why);
    *out = NULL;
    settings->credential = &credential;
    settings->credential_refused = true;
    for (unsigned tokens = 0;; tokens++) {
        if (!find_credential(arena, credential_id, target->host, &credential, &sealed, why)) {
            settings->credential = NULL;
            return false;
        }
        open = smtp_client_open(settings, arena, target, out, why);
        if (!credential.refused || tokens || !sealed.p || hop_token_drop(arena, credential_id, sealed) != DB_DONE)
            break;
        log_info("a token is not taken: another is fetched", log_str("host", target->host));
    }
    settings->credential = NULL;
    settings->credential_refused = credential.refused;
    note(&credential, target->host, open && smtp_client_credential_id(*out, &version));
    return open;
}
