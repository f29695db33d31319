/*
 * oauth: tokens are verified, and what was learnt is remembered.
 *
 * Keys are read when the first JWT comes and remembered for keys_ms.  A JWT by a key that is not among them may be by
 * one that the issuer has just begun to use: the keys are read again, at most once a minute, so that tokens with
 * made-up key ids do not make us ask.  When they cannot be read again the old ones go on, for as long as it takes:
 * issuers keep keys for weeks, and to lose them would lock everybody out. One task reads, others that need the keys
 * wait for it.
 *
 * Yes of introspection is remembered for answer_ms, not beyond the token's end: a mail program opens many
 * connections.  So a token that is revoked goes on for so long.  No is asked again each time: guessing is what
 * storage/guard.c is for.  The memory is a table of fixed size by the token's SHA-256; a newcomer takes the place of
 * who is there.
 *
 * A JWT is not introspected where there are keys.  One whose issuer, audience or time is not right is refused,
 * whatever its signature.
 *
 * The token is never logged, and our copies are wiped.
 */
#include "protocols/oauth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "oauth"
#include "core/clock.h"
#include "core/http.h"
#include "core/log.h"
#include "core/secret.h"

#define AGAIN_MS 60000         /* between two readings for a key that is not there, and two of old keys that failed */
#define NONE_MS 1000           /* between two readings while there are none */
#define ANSWER_MAX (64 * 1024) /* of introspection */
#define REMEMBERED 1024
#define NAME_MAX_BYTES 320

static const struct oauth_settings *settings;

static struct {
    struct oauth_keys *list;
    /* On the steady clock, 0: never: when they were read, when it was tried, and when for a key that was not there. */
    uint64_t read_ms, tried_ms, missed_ms;
    bool failed; /* the last time */
    bool reading;
} keys;

static struct remembered {
    unsigned char digest[SECRET_SHA256_SIZE];
    uint64_t until_ms; /* on the steady clock; 0: nothing is here */
    unsigned name_size;
    char name[NAME_MAX_BYTES];
} * memory;

void oauth_start(const struct oauth_settings *given)
{
    settings = given && (*given->introspection_url || *given->jwks) ? given : NULL;
    if (!settings)
        return;
    http_init();
    memory = calloc(REMEMBERED, sizeof *memory);
    if (!memory)
        abort();
}

bool oauth_offered(void)
{
    return settings != NULL;
}

const char *oauth_scope(void)
{
    return settings ? settings->rules.scope : "";
}

/* ------------------------------------------------------------------ keys */

static bool is_url(const char *text)
{
    return strstr(text, "://") != NULL;
}

bool oauth_url_valid(const char *text)
{
    return http_url_valid(text);
}

/* A small file of this machine.  False: it cannot be read. */
static bool read_file(struct arena *arena, const char *path, struct slice *out)
{
    FILE *file = fopen(path, "re");
    char *text = file ? arena_alloc(arena, OAUTH_JWKS_MAX + 1) : NULL;
    size_t n = file ? fread(text, 1, OAUTH_JWKS_MAX + 1, file) : 0;
    bool good = file && !ferror(file) && n <= OAUTH_JWKS_MAX;

    if (file)
        fclose(file);
    *out = slice_of(text, n);
    return good;
}

bool oauth_keys_check(const char *jwks, char *why, size_t size)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct oauth_keys *list = NULL;
    const char *reason = "cannot be read";
    struct slice text;
    bool good = is_url(jwks) || (read_file(arena, jwks, &text) && (list = oauth_keys_parse(text, &reason)));

    if (!good)
        snprintf(why, size, "%s %s", jwks, reason);
    oauth_keys_free(&list);
    arena_free(&arena);
    return good;
}

static AWAITS bool get_keys(struct arena *arena, struct slice *out)
{
    unsigned status = 0;

    if (!is_url(settings->jwks))
        return read_file(arena, settings->jwks, out);
    const struct http_request request = {.url = settings->jwks,
                                         .ca_file = *settings->ca_file ? settings->ca_file : NULL,
                                         .timeout_ms = settings->timeout_ms,
                                         .answer_max = OAUTH_JWKS_MAX};
    if (!http_fetch(arena, &request, &status, out))
        return false;
    if (status != 200)
        log_warn("no keys", log_str("url", settings->jwks), log_int("status", status));
    return status == 200;
}

static AWAITS void read_keys(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct oauth_keys *fresh = NULL;
    const char *why = "cannot be read";
    struct slice text;

    keys.reading = true;
    keys.tried_ms = clock_steady_ms();
    if (get_keys(arena, &text))
        fresh = oauth_keys_parse(text, &why);
    keys.failed = !fresh;
    if (fresh) {
        oauth_keys_free(&keys.list);
        keys.list = fresh;
        keys.read_ms = clock_steady_ms();
        log_debug("keys read", log_str("from", settings->jwks));
    } else {
        log_warn(keys.list ? "keys cannot be read anew: the old ones go on" : "no keys",
                 log_str("from", settings->jwks), log_str("reason", why));
    }
    keys.reading = false;
    arena_free(&arena);
}

/* Whoever reads them; after it they are as new as can be had. */
static AWAITS void renew_keys(void)
{
    if (!keys.reading) {
        read_keys();
        return;
    }
    while (keys.reading)
        task_sleep(20);
}

static bool lately(uint64_t when_ms, unsigned ms)
{
    return when_ms && clock_steady_ms() - when_ms < ms;
}

static AWAITS enum oauth_signature verify_signature(const struct oauth_jwt *jwt)
{
    enum oauth_signature result;

    if (keys.list ? !lately(keys.read_ms, settings->keys_ms) && !lately(keys.tried_ms, AGAIN_MS)
                  : !lately(keys.tried_ms, NONE_MS))
        renew_keys();
    if (!keys.list)
        return OAUTH_SIGNATURE_NO_KEY;
    result = oauth_jwt_verify(jwt, keys.list);
    if (result == OAUTH_SIGNATURE_NO_KEY && !lately(keys.missed_ms, AGAIN_MS)) {
        keys.missed_ms = clock_steady_ms();
        renew_keys();
        result = oauth_jwt_verify(jwt, keys.list);
    }
    return result;
}

static enum oauth_answer refuse(const char *why)
{
    log_info("token refused", log_str("reason", why));
    return OAUTH_NO;
}

static AWAITS enum oauth_answer verify_jwt(struct arena *arena, struct slice token, struct slice *account)
{
    struct oauth_jwt jwt;
    int64_t expires_ms;
    const char *why = oauth_jwt_parse(arena, token, &jwt);

    if (!why) /* first, as it costs least; believed after the signature only */
        why = oauth_claims_judge(arena, jwt.claims, false, &settings->rules, clock_now_ms(), account, &expires_ms);
    if (why)
        return refuse(why);
    switch (verify_signature(&jwt)) {
    case OAUTH_SIGNATURE_GOOD: return OAUTH_YES;
    case OAUTH_SIGNATURE_BAD: return refuse("its signature is wrong");
    case OAUTH_SIGNATURE_NO_KEY: break;
    }
    return keys.failed ? OAUTH_UNAVAILABLE : refuse("signed by a key that the issuer does not have");
}

/* ------------------------------------------------------------------ introspection */

static struct remembered *place_of(const unsigned char digest[SECRET_SHA256_SIZE])
{
    return &memory[(digest[0] | (unsigned)digest[1] << 8) % REMEMBERED];
}

static bool recall(struct arena *arena, const unsigned char digest[SECRET_SHA256_SIZE], struct slice *account)
{
    const struct remembered *place = place_of(digest);

    if (place->until_ms <= clock_steady_ms() || memcmp(place->digest, digest, SECRET_SHA256_SIZE) != 0)
        return false;
    *account = arena_slice(arena, slice_of(place->name, place->name_size));
    return true;
}

static void remember(const unsigned char digest[SECRET_SHA256_SIZE], struct slice account, int64_t expires_ms)
{
    struct remembered *place = place_of(digest);
    int64_t left = expires_ms - clock_now_ms();

    if (account.n > sizeof place->name || left <= 0)
        return;
    memcpy(place->digest, digest, sizeof place->digest);
    memcpy(place->name, account.p, account.n);
    place->name_size = (unsigned)account.n;
    place->until_ms = clock_steady_ms() + (left < settings->answer_ms ? (uint64_t)left : settings->answer_ms);
}

static AWAITS bool ask(struct arena *arena, struct slice token, unsigned *status, struct slice *body)
{
    size_t size = token.n * 3 + 100;
    char *form = arena_alloc(arena, size);
    struct http_request request = {.url = settings->introspection_url,
                                   .user = *settings->client ? settings->client : NULL,
                                   .password = settings->secret,
                                   .ca_file = *settings->ca_file ? settings->ca_file : NULL,
                                   .timeout_ms = settings->timeout_ms,
                                   .answer_max = ANSWER_MAX};

    *form = '\0';
    http_form_add(form, "token", token);
    http_form_add(form, "token_type_hint", SLICE("access_token"));
    request.form = slice_str(form);
    bool answered = http_fetch(arena, &request, status, body);
    secret_wipe(form, size);
    return answered;
}

static AWAITS enum oauth_answer introspect(struct arena *arena, struct slice token, struct slice *account)
{
    unsigned char digest[SECRET_SHA256_SIZE];
    unsigned status = 0;
    int64_t expires_ms;
    struct slice body;

    secret_sha256(token, digest);
    if (recall(arena, digest, account))
        return OAUTH_YES;
    if (!ask(arena, token, &status, &body))
        return OAUTH_UNAVAILABLE;
    if (status != 200) { /* 401: it is us who may not ask */
        log_warn("introspection was not answered", log_str("url", settings->introspection_url),
                 log_int("status", status));
        return OAUTH_UNAVAILABLE;
    }
    const char *why = oauth_claims_judge(arena, body, true, &settings->rules, clock_now_ms(), account, &expires_ms);
    if (why == oauth_no_json) {
        log_warn("introspection was not answered", log_str("url", settings->introspection_url), log_str("reason", why));
        return OAUTH_UNAVAILABLE;
    }
    if (why)
        return refuse(why);
    remember(digest, *account, expires_ms);
    return OAUTH_YES;
}

AWAITS enum oauth_answer oauth_verify(struct arena *arena, struct slice token, struct slice *account)
{
    if (*settings->jwks && oauth_token_is_jwt(token))
        return verify_jwt(arena, token, account);
    if (*settings->introspection_url)
        return introspect(arena, token, account);
    return refuse("no JWT");
}
