/*
 * sasl_oauth: OAUTHBEARER (RFC 7628) and XOAUTH2.
 *
 * The client's one message has a token, and perhaps an account's address.  The token tells whose it is; an address
 * must be the same.  Who is refused is told so in JSON, as a challenge; the client answers with a single %x01 (section
 * 3.2.3), or XOAUTH2's with nothing, and only then is the exchange over.  The failure counts when the challenge goes
 * out: who never answers it has failed as well.
 *
 * The JSON says "invalid_token", whatever is wrong: which accounts there are is not told here either.  An
 * authorization server that does not answer is no failure, and no challenge: "try again later".
 *
 * libsasl in Debian 12 has no plugin for either.
 */
#include <string.h>

#include "core/log.h"
#include "core/secret.h"
#include "protocols/oauth.h"
#include "protocols/oauth_message.h"
#include "protocols/sasl_internal.h"
#include "storage/guard.h"

/* RFC 7628 section 3.2.2; XOAUTH2's form as Google's. */
static void explain(struct sasl_attempt *attempt, struct slice *challenge)
{
    const char *scope = oauth_scope();
    const char *member = *scope ? arena_printf(attempt->arena, ",\"scope\":\"%s\"", scope) : "";

    *challenge = slice_str(attempt->xoauth2
                               ? arena_printf(attempt->arena, "{\"status\":\"401\",\"schemes\":\"bearer\"%s}", member)
                               : arena_printf(attempt->arena, "{\"status\":\"invalid_token\"%s}", member));
}

static enum sasl_result refuse(struct sasl_attempt *attempt, struct slice *challenge)
{
    guard_failed(attempt->login.client, attempt->name);
    attempt->refused = true;
    explain(attempt, challenge);
    return SASL_RESULT_CHALLENGE;
}

/* The account that the token names, if it is the one that was asked for.  Its address is in attempt->name. */
static AWAITS enum sasl_result verify(struct sasl_attempt *attempt, const struct oauth_message *message,
                                      struct slice *challenge)
{
    struct slice token = secret_slice(attempt->arena, message->token), account;

    switch (oauth_verify(attempt->arena, token, &account)) {
    case OAUTH_YES: break;
    case OAUTH_NO: return refuse(attempt, challenge);
    case OAUTH_UNAVAILABLE: return SASL_RESULT_UNAVAILABLE;
    }
    if (message->account.n && !slice_equal_nocase(message->account, account))
        return refuse(attempt, challenge);
    attempt->name = account;
    if (guard_banned(attempt->login.client, account))
        return SASL_RESULT_BANNED;
    if (login_find(&attempt->login, account) != DB_FOUND)
        return SASL_RESULT_UNAVAILABLE;
    return attempt->login.known ? SASL_RESULT_OK : refuse(attempt, challenge);
}

AWAITS enum sasl_result sasl_oauth_step(struct sasl_attempt *attempt, struct slice response, struct slice *challenge)
{
    struct oauth_message message;

    if (attempt->refused)
        return SASL_RESULT_DENIED;
    if (!(attempt->xoauth2 ? oauth_message_xoauth2(response, &message)
                           : oauth_message_bearer(attempt->arena, response, &message)))
        return SASL_RESULT_MALFORMED;
    if (message.account.n > LOGIN_NAME_MAX)
        return refuse(attempt, challenge);
    attempt->name = arena_slice(attempt->arena, message.account);
    if (attempt->name.n && guard_banned(attempt->login.client, attempt->name))
        return SASL_RESULT_BANNED;
    return verify(attempt, &message, challenge);
}
