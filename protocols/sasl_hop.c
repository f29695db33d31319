/*
 * sasl_hop: our side of an authentication at a next hop, by Cyrus SASL.
 *
 * We choose the mechanism, the best that both sides know, and libsasl runs it: SCRAM before PLAIN and LOGIN, because it
 * shows the password to nobody and the server must prove that it knows it.  One that is not taken is not tried again
 * with a weaker one: who can make SCRAM fail would be told the password.
 *
 * libsasl asks for name and password by callbacks, once, while it makes its first or second message.  The
 * authorization identity is left out: it is the same.  Nothing here waits.
 *
 * Channel binding is not used (-PLUS), and no security layer: TLS is below us.
 *
 * A token (OAUTHBEARER, XOAUTH2) is said in one message, without libsasl:
 *
 *     "n,a=" user "," ^A "auth=Bearer " token ^A ^A          (RFC 7628 3.1; host and port are optional)
 *     "user=" user ^A "auth=Bearer " token ^A ^A             (XOAUTH2, as Google and Microsoft document it)
 *
 * A server that does not take it says why in a challenge (JSON), which nobody here reads, is answered with ^A (3.2.3;
 * XOAUTH2: with nothing), and refuses then.
 *
 * What a server sends is hostile: what is not SCRAM's grammar, or asks for too much work, does not reach libsasl
 * (sasl_hop_challenge.c); PLAIN's and LOGIN's challenges are read by nobody.
 */
#include "protocols/sasl_hop.h"

#include <sasl/sasl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "sasl"
#include "core/log.h"
#include "core/secret.h"
#include "protocols/sasl_hop_challenge.h"

struct sasl_hop {
    struct arena *arena;
    sasl_conn_t *connection;
    sasl_callback_t callbacks[4];
    const char *user;
    sasl_secret_t *password;
    unsigned mechanism, challenges;
    bool over;
};

static const struct {
    unsigned mechanism;
    const char *name;
} mechanisms[] = {
    {SASL_HOP_SCRAM_SHA_256, "SCRAM-SHA-256"},
    {SASL_HOP_SCRAM_SHA_1, "SCRAM-SHA-1"},
    {SASL_HOP_PLAIN, "PLAIN"},
    {SASL_HOP_LOGIN, "LOGIN"},
    {SASL_HOP_OAUTHBEARER, "OAUTHBEARER"},
    {SASL_HOP_XOAUTH2, "XOAUTH2"},
};
#define MECHANISMS (sizeof mechanisms / sizeof *mechanisms)

const char *sasl_hop_name(unsigned mechanism)
{
    for (unsigned i = 0; i < MECHANISMS; i++)
        if (mechanisms[i].mechanism == mechanism)
            return mechanisms[i].name;
    return NULL;
}

unsigned sasl_hop_named(struct slice name)
{
    for (unsigned i = 0; i < MECHANISMS; i++)
        if (slice_equal_nocase(name, slice_str(mechanisms[i].name)))
            return mechanisms[i].mechanism;
    return 0;
}

unsigned sasl_hop_best(unsigned set)
{
    for (unsigned i = 0; i < MECHANISMS; i++)
        if (set & mechanisms[i].mechanism)
            return mechanisms[i].mechanism;
    return 0;
}

/* ------------------------------------------------------------------ what libsasl asks for */

static int on_name(void *context, int id, const char **result, unsigned *length)
{
    const struct sasl_hop *hop = context;

    *result = id == SASL_CB_AUTHNAME ? hop->user : ""; /* SASL_CB_USER: the authorization identity */
    if (length)
        *length = (unsigned)strlen(*result);
    return SASL_OK;
}

static int on_password(sasl_conn_t *connection, void *context, int id, sasl_secret_t **result)
{
    const struct sasl_hop *hop = context;

    (void)connection, (void)id;
    *result = hop->password;
    return SASL_OK;
}

/* Said of somebody else's server; what matters of it is in its reply. */
static int on_log(void *context, int level, const char *message)
{
    (void)context, (void)level, (void)message;
    return SASL_OK;
}

#define CALLBACK(fn) ((int (*)(void))(void (*)(void))(fn))

void sasl_hop_start(void)
{
    static sasl_callback_t callbacks[2];
    static bool started;
    int status;

    if (started)
        return;
    started = true;
    callbacks[0] = (sasl_callback_t){SASL_CB_LOG, CALLBACK(on_log), NULL};
    callbacks[1] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    status = sasl_client_init(callbacks);
    if (status != SASL_OK)
        log_fatal(1, "Cyrus SASL does not start for next hops: %s", sasl_errstring(status, NULL, NULL));
}

/* ------------------------------------------------------------------ an attempt */

static sasl_secret_t *secret_of(struct arena *arena, struct slice password)
{
    sasl_secret_t *secret = (sasl_secret_t *)(void *)secret_space(arena, sizeof *secret + password.n);

    secret->len = password.n;
    if (password.n)
        memcpy(secret->data, password.p, password.n);
    return secret;
}

struct sasl_hop *sasl_hop_new(unsigned mechanism, const char *host, struct slice user, struct slice password)
{
    struct sasl_hop *hop = calloc(1, sizeof *hop);

    if (!hop)
        abort();
    sasl_hop_start();
    hop->arena = arena_new(SIZE_MAX);
    hop->mechanism = mechanism;
    hop->user = arena_slicedup(hop->arena, user);
    hop->password = secret_of(hop->arena, password);
    if (mechanism & SASL_HOP_BY_TOKEN)
        return hop;
    hop->callbacks[0] = (sasl_callback_t){SASL_CB_USER, CALLBACK(on_name), hop};
    hop->callbacks[1] = (sasl_callback_t){SASL_CB_AUTHNAME, CALLBACK(on_name), hop};
    hop->callbacks[2] = (sasl_callback_t){SASL_CB_PASS, CALLBACK(on_password), hop};
    hop->callbacks[3] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    if (sasl_client_new("smtp", host, NULL, NULL, hop->callbacks, 0, &hop->connection) != SASL_OK)
        sasl_hop_free(&hop);
    return hop;
}

void sasl_hop_free(struct sasl_hop **hop)
{
    if (!*hop)
        return;
    if ((*hop)->connection)
        sasl_dispose(&(*hop)->connection);
    arena_free(&(*hop)->arena);
    free(*hop);
    *hop = NULL;
}

/* `out` is libsasl's, and is looked at only after success: a failure leaves it as it was. */
static bool conclude(struct sasl_hop *hop, struct arena *arena, int status, const char *out, unsigned length,
                     struct slice *response)
{
    *response = (struct slice){NULL, 0};
    if (status != SASL_OK && status != SASL_CONTINUE)
        return false;
    hop->over = status == SASL_OK;
    if (out)
        *response = secret_slice(arena, slice_of(out, length));
    if (out && hop->mechanism & (SASL_HOP_PLAIN | SASL_HOP_LOGIN)) /* libsasl frees it as it is */
        secret_wipe((void *)(uintptr_t)out, length);
    return true;
}

/* saslname (RFC 5801 section 4): "=2C" and "=3D". */
static const char *escaped(struct arena *arena, const char *user)
{
    char *out = arena_alloc(arena, 3 * strlen(user) + 1), *to = out;

    for (; *user; user++)
        if (*user == ',' || *user == '=') {
            memcpy(to, *user == ',' ? "=2C" : "=3D", 3);
            to += 3;
        } else {
            *to++ = *user;
        }
    *to = '\0';
    return out;
}

static struct slice token_message(struct sasl_hop *hop, struct arena *arena)
{
    bool bearer = hop->mechanism == SASL_HOP_OAUTHBEARER;
    const char *user = bearer ? escaped(hop->arena, hop->user) : hop->user;
    size_t size = hop->password->len + strlen(user) + 40;
    char *message = secret_space(arena, size);
    int n = snprintf(message, size, bearer ? "n,a=%s,\1auth=Bearer %s\1\1" : "user=%s\1auth=Bearer %s\1\1", user,
                     (const char *)hop->password->data); /* ends with the NUL of its space */

    return slice_of(message, (size_t)n);
}

bool sasl_hop_begin(struct sasl_hop *hop, struct arena *arena, struct slice *response)
{
    const char *out = NULL, *chosen = NULL;
    unsigned length = 0;

    if (hop->mechanism & SASL_HOP_BY_TOKEN) {
        *response = token_message(hop, arena);
        hop->over = true;
        return true;
    }
    int status = sasl_client_start(hop->connection, sasl_hop_name(hop->mechanism), NULL, &out, &length, &chosen);

    return conclude(hop, arena, status, out, length, response);
}

static bool is_scram(const struct sasl_hop *hop)
{
    return hop->mechanism & (SASL_HOP_SCRAM_SHA_256 | SASL_HOP_SCRAM_SHA_1);
}

bool sasl_hop_step(struct sasl_hop *hop, struct arena *arena, struct slice challenge, struct slice *response)
{
    const char *out = NULL;
    unsigned length = 0;
    bool first = !hop->challenges++;

    *response = (struct slice){NULL, 0};
    if (first && hop->mechanism & SASL_HOP_BY_TOKEN) {
        *response = hop->mechanism == SASL_HOP_OAUTHBEARER ? SLICE("\1") : SLICE("");
        return true;
    }
    if (hop->over ||
        (is_scram(hop) && !(first ? sasl_hop_challenge_first(challenge) : sasl_hop_challenge_final(challenge))))
        return false;
    int status = sasl_client_step(hop->connection, challenge.p, (unsigned)challenge.n, NULL, &out, &length);
    return conclude(hop, arena, status, out, length, response);
}

bool sasl_hop_over(const struct sasl_hop *hop)
{
    return hop->over;
}

bool sasl_hop_goes_on(const struct sasl_hop *hop)
{
    return !hop->over || (hop->mechanism & SASL_HOP_BY_TOKEN && !hop->challenges);
}
