/*
 * null_mx: asks, and refuses.
 *
 * The recipient's domain is asked for only when his mail would go by MX: a route or a default route may know better.
 * Without MX its address is asked for (RFC 5321 5.1).  Of an alias that leads to one address it is that one's domain;
 * of several targets none is asked for, as the others are to have the message: it is found out at delivery, and
 * bounces.
 *
 * The sender's is asked for after all that costs less, and for strangers only: who signed in, who is in a customer's
 * network or has a grant, and the machine itself answer for their senders otherwise.  Mail for postmaster is taken from
 * everybody (RFC 5321 4.5.1).
 *
 * A hard run: DNS is down, and each RCPT would hold a task.  So some may wait, and the others are let in at once.
 */
#include "relay/null_mx.h"

#include <string.h>

#include "core/cidr.h"
#include "core/clock.h"
#include "core/dns.h"
#include "core/idn.h"
#include "relay/outgoing.h"

static unsigned waiters, waiters_max = 16;

void null_mx_set_waiters_max(unsigned max)
{
    waiters_max = max;
}

/* What DNS says for certain of a domain. */
enum says {
    SAYS_NOTHING, /* or that it has a mail exchanger */
    SAYS_NULL,    /* it takes no mail */
    SAYS_NOWHERE, /* it is not there, or has neither MX nor address */
};

/* Has it an address?  until: steady clock. */
static AWAITS bool has_no_address(struct arena *arena, const char *domain, uint64_t until)
{
    struct dns_address *list = NULL;
    uint64_t now = clock_steady_ms();
    unsigned count = 0;

    return now < until && dns_addresses_within(arena, domain, (unsigned)(until - now), &list, &count) == DNS_NONE;
}

static AWAITS enum says ask(struct arena *arena, struct slice domain, unsigned wait_ms)
{
    uint64_t until = clock_steady_ms() + wait_ms;
    enum says says = SAYS_NOTHING;
    struct dns_mx *mx = NULL;
    struct slice ascii;
    unsigned count = 0;

    if (!domain.n || *domain.p == '[' || !wait_ms || waiters >= waiters_max)
        return SAYS_NOTHING;
    const char *name = arena_slicedup(arena, idn_domain(arena, domain, &ascii) ? ascii : domain);
    waiters++;
    switch (dns_mx_within(arena, name, wait_ms, &mx, &count)) {
    case DNS_FOUND:
        if (count == 1 && !*mx[0].host) /* beside others it is a mistake (section 3) */
            says = SAYS_NULL;
        break;
    case DNS_NONE:
        if (has_no_address(arena, name, until))
            says = SAYS_NOWHERE;
        break;
    case DNS_FAILED: break;
    }
    waiters--;
    return says;
}

static void refuse(struct arena *arena, const char *reason, unsigned code, const char *enhanced, struct slice address,
                   const char *text, struct authorize_decision *out)
{
    *out = (struct authorize_decision){
        .verdict = AUTHORIZE_DENIED,
        .reason = reason,
        .code = code,
        .enhanced = enhanced,
        .text = arena_printf(arena, "<%.*s>: %s", SLICE_ARG(address), text),
    };
}

/* ------------------------------------------------------------------ the sender */

static bool is_loopback(const char *peer)
{
    char plain[INET6_ADDRSTRLEN];

    return !cidr_plain_address(peer, plain) || strncmp(plain, "127.", 4) == 0 || strcmp(plain, "::1") == 0;
}

static bool is_for_postmaster(struct slice address)
{
    static const struct slice local = SLICE("postmaster@");

    return address.n > local.n && slice_equal_nocase(slice_of(address.p, local.n), local);
}

AWAITS bool null_mx_refuses_sender(struct arena *arena, struct permit *permit, const struct permit_recipient *recipient,
                                   unsigned wait_ms, struct authorize_decision *out)
{
    if (permit->role != AUTHORIZE_MX || permit->account || !permit->sender.n || is_loopback(permit->peer) ||
        is_for_postmaster(recipient->address))
        return false;
    if (!permit_client(arena, permit) || permit->has_network || permit->grants.count)
        return false;
    if (!permit->sender_mx_asked) {
        permit->sender_mx_asked = true;
        permit->sender_null_mx = ask(arena, permit->sender_domain, wait_ms) == SAYS_NULL;
    }
    if (!permit->sender_null_mx)
        return false;
    refuse(arena, "sender-null-mx", 550, "5.7.27", permit->sender,
           "the sender's domain says that it takes no mail (null MX), so nobody could be answered", out);
    return true;
}

/* ------------------------------------------------------------------ the recipient */

AWAITS bool null_mx_refuses_recipient(struct arena *arena, const struct permit *permit,
                                      const struct permit_recipient *recipient, bool default_route, unsigned wait_ms,
                                      struct authorize_decision *out)
{
    const struct resolve_target *target = recipient->targets;
    struct outgoing way;

    if (recipient->target_count != 1 || target->verdict != AUTHORIZE_OUTSIDE || recipient->literal || default_route)
        return false;
    struct route_rule_mail mail = outgoing_mail(permit, out, target, recipient->domain);
    if (!outgoing_find(arena, &mail, default_route, &way) || way.rule.rule_id)
        return false;
    switch (ask(arena, mail.recipient_domain, wait_ms)) {
    case SAYS_NOTHING: return false;
    case SAYS_NULL:
        refuse(arena, "recipient-null-mx", 556, "5.1.10", recipient->address,
               target->by ? "it leads to a domain that takes no mail (null MX)" : "the domain takes no mail (null MX)",
               out);
        break;
    case SAYS_NOWHERE:
        refuse(arena, "recipient-domain", 550, "5.1.2", recipient->address,
               target->by ? "it leads to a domain that does not exist, or has neither mail exchanger nor address"
                          : "the domain does not exist, or has neither mail exchanger nor address",
               out);
        break;
    }
    return true;
}
