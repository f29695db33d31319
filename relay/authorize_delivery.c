/*
 * authorize_delivery: what becomes of mail to an address, whoever sends it: the half of the decision that does not
 * depend on the client.  RCPT asks it after authorize.c has permitted the client, expansions ask it for each target,
 * notices for their sender.
 *
 *     hosted          its mailbox, by the state of the account
 *     hosted, split   the same for who is here, its next hops for everybody else
 *     relay           its next hops: for any, for who is known or listed, or for whom its primary says that they exist
 *     neither         outside
 */
#include "relay/authorize_internal.h"

static void decide_hosted(struct arena *arena, struct slice address, const struct directory_recipient *recipient,
                          struct authorize_decision *out)
{
    const struct directory_account *account = &recipient->account;

    if (!recipient->has_account || account->state == DIRECTORY_CLOSED)
        refuse(out, AUTHORIZE_UNKNOWN, "unknown-user", 550, "5.1.1",
               arena_printf(arena, "<%.*s>: no such user here", SLICE_ARG(address)));
    else if (account->state == DIRECTORY_SEND_ONLY)
        refuse(out, AUTHORIZE_DENIED, "recipient-send-only", 550, "5.2.1",
               arena_printf(arena, "<%.*s>: this mailbox takes no mail", SLICE_ARG(address)));
    else if (!directory_may_receive(account) || !recipient->domain.customer_active)
        refuse(out, AUTHORIZE_DENIED, "recipient-suspended", 550, "5.2.1",
               arena_printf(arena, "<%.*s>: this mailbox is suspended and takes no mail", SLICE_ARG(address)));
    else
        allow(out, AUTHORIZE_MAILBOX, "hosted");
}

/* What its primary says, or said. */
static void decide_learned(struct arena *arena, struct slice address, const struct directory_recipient *recipient,
                           const char *reason, struct authorize_decision *out)
{
    switch (recipient->existence) {
    case DIRECTORY_UNASKED:
    case DIRECTORY_EXISTS: allow(out, AUTHORIZE_RELAY, reason); return;
    case DIRECTORY_EXISTED: allow(out, AUTHORIZE_RELAY, "frozen"); return;
    case DIRECTORY_NOT_THERE:
        refuse(
            out, AUTHORIZE_UNKNOWN, "unknown-to-primary", 550, "5.1.1",
            arena_printf(arena, "<%.*s>: no such user: the domain's mail server does not know it", SLICE_ARG(address)));
        return;
    case DIRECTORY_UNKNOWN: break;
    }
    if (recipient->domain.accept_unknown)
        allow(out, AUTHORIZE_RELAY, "unverified");
    else /* RFC 3463: X.4.1, no answer from host */
        refuse(out, AUTHORIZE_DENIED, "unverified", 451, "4.4.1",
               arena_printf(arena,
                            "<%.*s>: the domain's mail server cannot be asked for this address now, try again later",
                            SLICE_ARG(address)));
}

static void decide_relay(struct arena *arena, struct slice address, const struct directory_recipient *recipient,
                         struct authorize_decision *out)
{
    const char *reason = recipient->domain.kind == DIRECTORY_RELAY ? "relay-domain" : "elsewhere";

    if (!recipient->domain.customer_active)
        refuse(out, AUTHORIZE_DENIED, "domain-suspended", 550, "5.2.1",
               arena_printf(arena, "<%.*s>: mail for this domain is suspended", SLICE_ARG(address)));
    else if (recipient->domain.valid == DIRECTORY_VALID_ANY || directory_is_known(recipient))
        allow(out, AUTHORIZE_RELAY, reason);
    else if (recipient->domain.valid == DIRECTORY_VALID_LEARNED)
        decide_learned(arena, address, recipient, reason, out);
    else
        refuse(out, AUTHORIZE_UNKNOWN, "not-listed", 550, "5.1.1",
               arena_printf(arena, "<%.*s>: no such user", SLICE_ARG(address)));
}

void authorize_delivery(struct arena *arena, struct slice address, const struct directory_recipient *recipient,
                        struct authorize_decision *out)
{
    if (!recipient->has_domain) {
        allow(out, AUTHORIZE_OUTSIDE, "expansion");
        return;
    }
    switch (recipient->domain.kind) {
    case DIRECTORY_ALIAS: /* it is never looked up as that: its target is */
    case DIRECTORY_HOSTED:
        if (recipient->domain.elsewhere && !recipient->has_account)
            decide_relay(arena, address, recipient, out);
        else
            decide_hosted(arena, address, recipient, out);
        break;
    case DIRECTORY_RELAY: decide_relay(arena, address, recipient, out); break;
    }
}
