/*
 * sasl_external: EXTERNAL, RFC 4422 appendix A, by the certificate that the client has shown in the TLS handshake.
 *
 *     message = the authorization identity, UTF-8 without NUL; empty: "as whom my certificate says"
 *
 * Whose the certificate is, is in the directory (storage/certificate.h).  The identity is the account's address;
 * another account's is refused, unless the certificate is that account's, too.
 *
 * libsasl has an EXTERNAL of its own.  It wants to be told beforehand whose the certificate is, while for a
 * certificate of several accounts that depends on what the client says; so we would have decided already and it would
 * only compare.
 *
 * Only a verified certificate counts, even where an entry names it by its fingerprint: expired is expired, and an
 * administrator who takes an authority away expects that nobody comes in by it.
 */
#include <string.h>

#include "protocols/sasl_internal.h"
#include "storage/guard.h"

AWAITS enum sasl_result sasl_external_step(struct sasl_attempt *attempt, struct slice message, struct slice *challenge)
{
    (void)challenge;
    if (message.n && memchr(message.p, '\0', message.n))
        return SASL_RESULT_MALFORMED;
    if (message.n > LOGIN_NAME_MAX)
        return SASL_RESULT_DENIED;
    attempt->name = arena_slice(attempt->arena, message);
    if (message.n && guard_banned(attempt->login.client, attempt->name))
        return SASL_RESULT_BANNED;
    switch (login_find_certificate(&attempt->login, attempt->client.certificate, attempt->name)) {
    case DB_FOUND: return attempt->login.known ? SASL_RESULT_OK : SASL_RESULT_DENIED;
    case DB_NONE:
    case DB_FAILED: break;
    }
    return SASL_RESULT_UNAVAILABLE;
}
