/*
 * authorize: who may send what where.
 *
 *                         sender                                recipient
 *                                              hosted        relay domain     outside
 *   port 25, stranger     any                  mailbox       its route        denied
 *   port 25, network      any                  mailbox       its route        if the sender is null or in a
 *                                                                             domain of the network's customer
 *   submission, account   its own addresses    mailbox       its route        default route or MX
 *                         or null
 *   submission, nobody    denied (530)
 *
 * Nothing else is ever relayed.  What is not obvious:
 *
 *   - The null sender is allowed to accounts (MDNs must carry it, RFC 8098 section 3) and to networks (a
 *     customer's server must be able to send its DSNs, RFC 5321 section 6.1).
 *   - A stranger may use any sender, ours included, towards our recipients: mailing lists and forwarders do.
 *   - Every address of a relay domain is accepted: the server behind it knows its users, we only know those
 *     who may read held mail here.
 *   - A suspended account refuses mail (550 5.2.1): its correspondent should hear of it at once, not after
 *     days of retries.  In a relay domain an account's suspension closes the reading, not the domain's mail.
 *   - Address literals as destination are refused: a relay that sends to any address named by a client is a
 *     port scanner.
 *   - A suspended customer's network is no network.
 *
 * The most specific true reason is given, because its reader is a person whose mail was refused.
 */
#include "relay/authorize.h"

static void allow(struct authorize_decision *out, enum authorize_verdict verdict, const char *reason)
{
    *out = (struct authorize_decision){verdict, reason, 250, verdict == AUTHORIZE_ALLOWED ? "2.1.0" : "2.1.5", "Ok"};
}

static void refuse(struct authorize_decision *out, enum authorize_verdict verdict, const char *reason, unsigned code,
                   const char *enhanced, const char *text)
{
    *out = (struct authorize_decision){verdict, reason, code, enhanced, text};
}

void authorize_sender(struct arena *arena, const struct authorize_client *client, const struct authorize_sender *sender,
                      struct authorize_decision *out)
{
    const struct directory_account *account = client->account;

    if (client->role == AUTHORIZE_MX) {
        allow(out, AUTHORIZE_ALLOWED, "any-sender");
        return;
    }
    if (!account) {
        refuse(out, AUTHORIZE_DENIED, "not-authenticated", 530, "5.7.0", "Authentication required");
        return;
    }
    if (!account->active) {
        refuse(out, AUTHORIZE_DENIED, "account-suspended", 550, "5.7.1",
               arena_printf(arena, "%.*s may not send: the account is suspended", SLICE_ARG(account->address)));
        return;
    }
    if (sender->address.n && !sender->owned) {
        refuse(out, AUTHORIZE_DENIED, "sender-not-owned", 550, "5.7.1",
               arena_printf(arena, "%.*s may not send as <%.*s>; it may send as its own address and its aliases",
                            SLICE_ARG(account->address), SLICE_ARG(sender->address)));
        return;
    }
    allow(out, AUTHORIZE_ALLOWED, sender->address.n ? "sender-owned" : "null-sender");
}

bool authorize_needs_grant(const struct authorize_client *client, const struct directory_recipient *recipient)
{
    return client->role == AUTHORIZE_MX && !recipient->has_domain;
}

static void decide_hosted(struct arena *arena, struct slice address, const struct directory_recipient *recipient,
                          struct authorize_decision *out)
{
    if (!recipient->has_account)
        refuse(out, AUTHORIZE_UNKNOWN, "unknown-user", 550, "5.1.1",
               arena_printf(arena, "<%.*s>: no such user here", SLICE_ARG(address)));
    else if (!recipient->account.active || !recipient->domain.customer_active)
        refuse(out, AUTHORIZE_DENIED, "recipient-suspended", 550, "5.2.1",
               arena_printf(arena, "<%.*s>: this mailbox is suspended and takes no mail", SLICE_ARG(address)));
    else
        allow(out, AUTHORIZE_MAILBOX, "hosted");
}

static void decide_relay(struct arena *arena, struct slice address, const struct directory_recipient *recipient,
                         struct authorize_decision *out)
{
    if (!recipient->domain.customer_active)
        refuse(out, AUTHORIZE_DENIED, "domain-suspended", 550, "5.2.1",
               arena_printf(arena, "<%.*s>: mail for this domain is suspended", SLICE_ARG(address)));
    else
        allow(out, AUTHORIZE_RELAY, "relay-domain");
}

/* Outside is reached by permission only: an account's, or a network's. */
static void decide_outside(struct arena *arena, const struct authorize_client *client,
                           const struct authorize_sender *sender, struct slice address, struct authorize_decision *out)
{
    const struct directory_network *network = client->network;

    if (client->account) {
        allow(out, AUTHORIZE_OUTSIDE, "account");
        return;
    }
    if (!network) {
        refuse(out, AUTHORIZE_DENIED, "relay-denied", 550, "5.7.1",
               arena_printf(arena, "<%.*s>: relaying denied: %s is not in a network that may relay through this server",
                            SLICE_ARG(address), client->address));
        return;
    }
    if (!network->customer_active) {
        refuse(out, AUTHORIZE_DENIED, "network-suspended", 550, "5.7.1",
               arena_printf(arena, "<%.*s>: relaying denied: relaying from the network of %s is suspended",
                            SLICE_ARG(address), client->address));
        return;
    }
    if (sender->address.n && sender->customer_id != network->customer_id) {
        refuse(out, AUTHORIZE_DENIED, "sender-not-granted", 550, "5.7.1",
               arena_printf(arena,
                            "<%.*s>: relaying denied: the network of %s may send as addresses in its customer's "
                            "domains, and <%.*s> is none",
                            SLICE_ARG(address), client->address, SLICE_ARG(sender->address)));
        return;
    }
    allow(out, AUTHORIZE_OUTSIDE, "network");
}

void authorize_recipient(struct arena *arena, const struct authorize_client *client,
                         const struct authorize_sender *sender, struct slice address, bool literal,
                         const struct directory_recipient *recipient, struct authorize_decision *out)
{
    if (client->role == AUTHORIZE_SUBMISSION && !client->account) {
        refuse(out, AUTHORIZE_DENIED, "not-authenticated", 530, "5.7.0", "Authentication required");
        return;
    }
    if (!recipient->has_domain) {
        decide_outside(arena, client, sender, address, out);
        if (out->verdict == AUTHORIZE_OUTSIDE && literal)
            refuse(out, AUTHORIZE_DENIED, "address-literal", 550, "5.1.2",
                   arena_printf(arena, "<%.*s>: mail to address literals is not relayed", SLICE_ARG(address)));
        return;
    }
    switch (recipient->domain.kind) {
    case DIRECTORY_HOSTED: decide_hosted(arena, address, recipient, out); return;
    case DIRECTORY_RELAY: decide_relay(arena, address, recipient, out); return;
    }
}
