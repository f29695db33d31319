/*
 * runner_protect: how well a connection must be protected for a message.
 *
 *     the message                      what is wanted                                       if a host does not have it
 *     REQUIRETLS (RFC 8689)            TLS, a certificate for the host's name, that name     the next host; when all were
 *                                      known to be the right one, REQUIRETLS offered          asked: it is returned
 *     any                              what its DNS announces: runner_transport.c             the next host; then it waits, and
 *                                                                                            tells why
 *     any, with verify_tls             TLS, a certificate for the host's name                the next host; then all of it waits
 *     its recipient's domain has a     none: no TLS at all; may: like any; encrypt: TLS;     the next host; then it waits, and
 *     policy with `tls`                verify: and a certificate; dane: TLS, and a           tells why
 *                                      certificate that TLSA records mean; sts: as the
 *                                      domain's MTA-STS policy has it
 *     "TLS-Required: No" (section 3)   nothing, whatever the policy is (but for none), and whatever is announced
 *     a route's hop has `tls`          the same words, but for sts, which is about MX: the    as for a policy
 *                                      stricter of hop and policy, and instead of what is
 *                                      announced; none against one that wants more: the hop
 *                                      is passed over
 *     a report (null sender)           like any; REQUIRETLS is passed on where it is offered
 *
 * A host's name is the right one if it is configured, or is the domain itself, or if DNSSEC vouches for the MX record
 * that gave it, or the domain's MTA-STS policy names it (section 4.2.1, step 2).  A certificate is for it by its name, or because TLSA records
 * mean it.
 *
 * encrypt and verify are an administrator's own word on a domain: neither DANE nor MTA-STS is asked then, so that they are
 * also the way round what is announced and wrong.
 *
 * REQUIRETLS is about a host's abilities, so a host that cannot be reached has not failed it: while there is one such
 * the message waits.  The connection is opened as for any mail and looked at afterwards, since a certificate that does
 * not fit must be told from a server that is away.
 *
 * Section 4.2.1 has the codes: 5.7.10 if there is no TLS with a good certificate, 5.7.30 for the rest.
 */
#include "daemon/runner_protect.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "storage/delivery_policy.h"

/* The policy of the recipient's domain, else our own setting. */
enum runner_protection runner_protection_of(struct slice recipient)
{
    switch (delivery_policy_tls(recipient)) {
    case DELIVERY_TLS_NOT_SET: break;
    case DELIVERY_TLS_NONE: return RUNNER_PROTECTION_CLEAR;
    case DELIVERY_TLS_MAY: return RUNNER_PROTECTION_ANNOUNCED;
    case DELIVERY_TLS_ENCRYPT: return RUNNER_PROTECTION_ENCRYPTED;
    case DELIVERY_TLS_VERIFY: return RUNNER_PROTECTION_CERTIFIED;
    case DELIVERY_TLS_DANE: return RUNNER_PROTECTION_DANE;
    case DELIVERY_TLS_STS: return RUNNER_PROTECTION_STS;
    }
    return runner_settings()->verify_tls ? RUNNER_PROTECTION_VERIFIED : RUNNER_PROTECTION_ANNOUNCED;
}

enum runner_protection runner_protection_wanted(const struct runner_message *message, struct slice recipient)
{
    enum runner_protection policy;

    /* Section 5: the lack of it must not cost a report. */
    if (message->envelope.require_tls && message->sender.n)
        return RUNNER_PROTECTION_REQUIRETLS;
    policy = runner_protection_of(recipient);
    return message->envelope.tls_optional && policy != RUNNER_PROTECTION_CLEAR ? RUNNER_PROTECTION_ANY : policy;
}

/* A policy that wants none is about the domain's own server, which a hop of a route is not. */
enum runner_protection runner_protection_at(enum runner_protection wanted, enum delivery_tls hop)
{
    bool ours = wanted == RUNNER_PROTECTION_ANY || wanted == RUNNER_PROTECTION_ANNOUNCED ||
                wanted == RUNNER_PROTECTION_VERIFIED; /* nobody has said anything about the domain */
    bool weak = ours || wanted == RUNNER_PROTECTION_CLEAR;

    switch (hop) {
    case DELIVERY_TLS_NOT_SET: break;
    case DELIVERY_TLS_NONE: return ours ? RUNNER_PROTECTION_CLEAR : wanted;
    case DELIVERY_TLS_MAY: return wanted == RUNNER_PROTECTION_VERIFIED ? RUNNER_PROTECTION_ANNOUNCED : wanted;
    case DELIVERY_TLS_ENCRYPT: return weak ? RUNNER_PROTECTION_ENCRYPTED : wanted;
    case DELIVERY_TLS_VERIFY:
        return weak || wanted == RUNNER_PROTECTION_ENCRYPTED ? RUNNER_PROTECTION_CERTIFIED : wanted;
    case DELIVERY_TLS_DANE: return wanted == RUNNER_PROTECTION_REQUIRETLS ? wanted : RUNNER_PROTECTION_DANE;
    case DELIVERY_TLS_STS: break; /* a domain's, never a hop's */
    }
    return wanted;
}

static bool lacks(struct runner_lack *lack, const char *why, const char *status)
{
    *lack = (struct runner_lack){why, slice_str(status)};
    return false;
}

/* By the policy of the recipient's domain. */
static bool meets_policy(const struct smtp_client *client, bool certified, struct runner_lack *lack)
{
    if (!smtp_client_encrypted(client))
        return lacks(lack, "the policy for the domain requires TLS, which does not come about with it", "4.7.10");
    if (certified && !smtp_client_verified(client))
        return lacks(lack, "the policy for the domain requires a certificate, and its own cannot be verified",
                     "4.7.10");
    return true;
}

bool runner_protection_asks(enum runner_protection wanted)
{
    switch (wanted) {
    case RUNNER_PROTECTION_ANY:
    case RUNNER_PROTECTION_CLEAR:
    case RUNNER_PROTECTION_ENCRYPTED:
    case RUNNER_PROTECTION_CERTIFIED:
    case RUNNER_PROTECTION_VERIFIED: return false;
    case RUNNER_PROTECTION_ANNOUNCED:
    case RUNNER_PROTECTION_DANE:
    case RUNNER_PROTECTION_STS:
    case RUNNER_PROTECTION_REQUIRETLS: break;
    }
    return true;
}

/* By what the host has announced. */
static bool meets_announced(const struct smtp_client *client, struct runner_lack *lack)
{
    const struct smtp_client_announced *announced = smtp_client_announced(client);

    if (!announced->asked) /* one that was opened for a message that does not ask, and is looked at for the next */
        return lacks(lack, "it is not known what it announces", "4.7.5");
    if ((announced->dane || announced->encrypt) && !smtp_client_encrypted(client))
        return lacks(lack, "DANE: it has TLSA records, so TLS is required, which does not come about with it",
                     "4.7.10");
    if (announced->dane && !smtp_client_dane(client))
        return lacks(lack, "DANE: its certificate is not one that its TLSA records mean", "4.7.5");
    if (announced->sts && !smtp_client_encrypted(client))
        return lacks(lack, "MTA-STS: the domain's policy requires TLS, which does not come about with it", "4.7.10");
    if (announced->sts && !smtp_client_verified(client))
        return lacks(lack, "MTA-STS: the domain's policy requires a certificate, and its own cannot be verified",
                     "4.7.5");
    return true;
}

/* By the policy of the recipient's domain. */
static bool meets_dane(const struct smtp_client *client, struct runner_lack *lack)
{
    const struct smtp_client_announced *announced = smtp_client_announced(client);

    if (announced->dane || !announced->asked)
        return meets_announced(client, lack);
    if (announced->encrypt)
        return lacks(lack, "the policy for the domain requires DANE, and none of its TLSA records can be used",
                     "4.7.5");
    if (!smtp_client_named(client))
        return lacks(
            lack, "the policy for the domain requires DANE, and DNSSEC does not vouch for the MX record that names it",
            "4.7.5");
    return lacks(lack, "the policy for the domain requires DANE, and it has no TLSA records that DNSSEC vouches for",
                 "4.7.5");
}

static bool meets_sts(const struct smtp_client *client, struct runner_lack *lack)
{
    const struct smtp_client_announced *announced = smtp_client_announced(client);

    if (announced->asked && !announced->sts && !announced->dane) /* opened for mail that does not require it */
        return lacks(lack, "the policy for the domain requires MTA-STS", "4.7.5");
    return meets_announced(client, lack);
}

/* By the sender. */
static bool meets_sender(const struct smtp_client *client, struct runner_lack *lack)
{
    if (!smtp_client_encrypted(client))
        return lacks(lack, "the sender requires TLS, which does not come about with it", "5.7.10");
    if (!smtp_client_verified(client) && !smtp_client_dane(client))
        return lacks(lack, "the sender requires TLS, and its certificate cannot be verified", "5.7.10");
    if (!smtp_client_named(client) && !smtp_client_announced(client)->named)
        return lacks(lack,
                     "the sender requires TLS, and neither DNSSEC nor MTA-STS vouches for the MX record that names it",
                     "5.7.30");
    if (!smtp_client_offers(client, ENVELOPE_REQUIRETLS))
        return lacks(lack, "the sender requires TLS on the whole way, and it does not offer REQUIRETLS", "5.7.30");
    return true;
}

struct runner_secured runner_secured_of(const struct smtp_client *client)
{
    struct runner_secured secured = {smtp_client_tls_version(client), smtp_client_tls_cipher(client), "none"};

    if (smtp_client_encrypted(client))
        secured.verified = smtp_client_dane(client)             ? "dane"
                           : !smtp_client_verified(client)      ? "opportunistic"
                           : smtp_client_announced(client)->sts ? "sts"
                                                                : "pkix";
    return secured;
}

static bool meets(const struct smtp_client *client, enum runner_protection wanted, struct runner_lack *lack)
{
    switch (wanted) {
    case RUNNER_PROTECTION_ANY: /* one that is in clear for another domain's sake might have had TLS */
        return !smtp_client_in_clear(client) || lacks(lack, "it is used in clear", "4.7.10");
    case RUNNER_PROTECTION_ANNOUNCED:
        return (!smtp_client_in_clear(client) || lacks(lack, "it is used in clear", "4.7.10")) &&
               meets_announced(client, lack);
    case RUNNER_PROTECTION_DANE: return meets_dane(client, lack);
    case RUNNER_PROTECTION_STS: return meets_sts(client, lack);
    case RUNNER_PROTECTION_CLEAR:
        return !smtp_client_encrypted(client) || lacks(lack, "the policy for the domain is to send in clear", "4.7.10");
    case RUNNER_PROTECTION_ENCRYPTED: return meets_policy(client, false, lack);
    case RUNNER_PROTECTION_CERTIFIED:
    case RUNNER_PROTECTION_VERIFIED: return meets_policy(client, true, lack);
    case RUNNER_PROTECTION_REQUIRETLS: break;
    }
    return meets_sender(client, lack);
}

bool runner_protection_met(const struct smtp_client *client, enum runner_protection wanted, struct runner_lack *lack)
{
    enum runner_protection raised = runner_protection_at(wanted, (enum delivery_tls)smtp_client_tls_level(client));

    if (meets(client, raised, lack))
        return true;
    if (raised == wanted)
        return false;
    if (!smtp_client_encrypted(client))
        lack->why = "its route requires TLS, which does not come about with it";
    else if (raised != RUNNER_PROTECTION_DANE)
        lack->why = "its route requires a certificate, and its own cannot be verified";
    else if (!smtp_client_announced(client)->dane)
        lack->why = "its route requires DANE, and it has no TLSA records that DNSSEC vouches for and that can be used";
    return false;
}
