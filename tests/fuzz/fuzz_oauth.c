/*
 * fuzz_oauth: what a client says with OAUTHBEARER and XOAUTH2, and the JSON and JWTs of an authorization server.
 *
 * Beyond not crashing: a token lies within the message that it was found in, an account has no NUL; what was judged
 * good names an account, and what was not names none.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/oauth_message.h"
#include "protocols/oauth_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct slice in, const struct oauth_message *message)
{
    if (message->token.n == 0 || message->token.p < in.p || message->token.p + message->token.n > in.p + in.n)
        abort();
    if (message->account.n && memchr(message->account.p, '\0', message->account.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size), account;
    struct arena *arena = arena_new(SIZE_MAX);
    const struct oauth_rules rules = {"i", "a", "mail", "email"};
    struct oauth_message message;
    struct oauth_keys *keys;
    struct oauth_jwt jwt;
    const char *why;
    int64_t expires;

    if (oauth_message_bearer(arena, in, &message))
        check(in, &message);
    if (oauth_message_xoauth2(in, &message))
        check(in, &message);
    keys = oauth_keys_parse(in, &why);
    if (!oauth_jwt_parse(arena, in, &jwt)) {
        if (!oauth_token_is_jwt(in) || jwt.text.n >= in.n)
            abort();
        if (keys)
            (void)oauth_jwt_verify(&jwt, keys);
    }
    oauth_keys_free(&keys);
    for (unsigned introspected = 0; introspected < 2; introspected++) {
        why = oauth_claims_judge(arena, in, introspected, &rules, 0, &account, &expires);
        if ((why == NULL) != (account.p != NULL) || (!why && account.n == 0))
            abort();
    }
    arena_free(&arena);
    return 0;
}
