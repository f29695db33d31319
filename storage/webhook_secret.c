/*
 * webhook_secret: making, reading and using what a webhook is signed with.
 *
 * The signature is over id, timestamp and body with points between, so that none can be taken from one message and put
 * to another, and who checks the timestamp refuses an old one that is played again.  HMAC-SHA256 with a secret that
 * both know: asymmetric signatures ("v1a") would spare the receiver a secret, and are not what receivers have code
 * for.
 */
#include "storage/webhook_secret.h"

#include <string.h>

#include "core/secret.h"

#define PREFIX "whsec_"
#define MADE 32
#define LEAST 24
#define MOST 64

struct slice webhook_secret_make(struct arena *arena)
{
    char *bytes = secret_space(arena, MADE);
    struct slice base64;
    char *text;

    secret_random(bytes, MADE);
    base64 = secret_base64(arena, slice_of(bytes, MADE));
    text = secret_space(arena, strlen(PREFIX) + base64.n);
    memcpy(text, PREFIX, strlen(PREFIX));
    memcpy(text + strlen(PREFIX), base64.p, base64.n);
    return slice_of(text, strlen(PREFIX) + base64.n);
}

bool webhook_secret_read(struct arena *arena, struct slice text, struct slice *key)
{
    if (text.n < strlen(PREFIX) || text.n > WEBHOOK_SECRET_TEXT_MAX || memcmp(text.p, PREFIX, strlen(PREFIX)) != 0)
        return false;
    return secret_base64_decode(arena, slice_skip(text, strlen(PREFIX)), key) && key->n >= LEAST && key->n <= MOST;
}

const char *webhook_secret_sign(struct arena *arena, struct slice key, const char *id, int64_t timestamp,
                                struct slice body)
{
    const char *head = arena_printf(arena, "%s.%lld.", id, (long long)timestamp);
    unsigned char sum[SECRET_SHA256_SIZE];
    size_t n = strlen(head);
    char *all = arena_alloc(arena, n + body.n);

    memcpy(all, head, n);
    memcpy(all + n, body.p, body.n);
    secret_hmac_sha256(key, slice_of(all, n + body.n), sum);
    return arena_printf(arena, "v1,%.*s", SLICE_ARG(secret_base64(arena, slice_of((char *)sum, sizeof sum))));
}
