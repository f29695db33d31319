/*
 * runner_protect: how well a connection must be protected for a message.
 *
 *     the message                      what is wanted                                       if a host does not have it
 *     REQUIRETLS (RFC 8689)            TLS, a certificate for the host's name, that name     the next host; when all were
 *                                      known to be the right one, REQUIRETLS offered          asked: it is returned
 *     any, with verify_tls             TLS, a certificate for the host's name                the next host; then it waits
 *     "TLS-Required: No" (section 3)   nothing, whatever the policy is
 *     a report (null sender)           like any; REQUIRETLS is passed on where it is offered
 *
 * A host's name is the right one if it is configured, or is the domain itself, or if DNSSEC vouches for the MX record that
 * gave it (section 4.2.1, step 2; MTA-STS and DANE are not asked).
 *
 * REQUIRETLS is about a host's abilities, so a host that cannot be reached has not failed it: while there is one such
 * the message waits.  The connection is opened as for any mail and looked at afterwards, since a certificate that does
 * not fit must be told from a server that is away.
 *
 * Section 4.2.1 has the codes: 5.7.10 if there is no TLS with a good certificate, 5.7.30 for the rest.
 */
#include "daemon/runner_internal.h"

enum runner_protection runner_protection_wanted(const struct runner_message *message)
{
    /* Section 5: the lack of it must not cost a report. */
    if (message->envelope.require_tls && message->sender.n)
        return RUNNER_PROTECTION_REQUIRETLS;
    if (runner_settings()->verify_tls && !message->envelope.tls_optional)
        return RUNNER_PROTECTION_VERIFIED;
    return RUNNER_PROTECTION_ANY;
}

static bool lacks(struct runner_lack *lack, const char *why, const char *status)
{
    *lack = (struct runner_lack){why, slice_str(status)};
    return false;
}

bool runner_protection_met(const struct smtp_client *client, enum runner_protection wanted, struct runner_lack *lack)
{
    switch (wanted) {
    case RUNNER_PROTECTION_ANY: return true;
    case RUNNER_PROTECTION_VERIFIED:
    case RUNNER_PROTECTION_REQUIRETLS: break;
    }
    if (!smtp_client_encrypted(client))
        return lacks(lack, "the sender requires TLS, which does not come about with it", "5.7.10");
    if (!smtp_client_verified(client))
        return lacks(lack, "the sender requires TLS, and its certificate cannot be verified", "5.7.10");
    if (wanted == RUNNER_PROTECTION_VERIFIED)
        return true;
    if (!smtp_client_named(client))
        return lacks(lack, "the sender requires TLS, and DNSSEC does not vouch for the MX record that names it", "5.7.30");
    if (!smtp_client_offers(client, ENVELOPE_REQUIRETLS))
        return lacks(lack, "the sender requires TLS on the whole way, and it does not offer REQUIRETLS", "5.7.30");
    return true;
}
