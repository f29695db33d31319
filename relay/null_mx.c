/*
 * null_mx: asks, and refuses.
 *
 * The recipient's domain is asked for only when his mail would go by MX: a route or a default route may know better.
 * What an alias leads to is not looked at: it is found out at delivery, and bounces (5.1.10).
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
#include "core/dns.h"
#include "core/idn.h"
#include "relay/outgoing.h"

static unsigned waiters, waiters_max = 16;

void null_mx_set_waiters_max(unsigned max)
{
    waiters_max = max;
}

/* Does it say so for certain? */
static AWAITS bool takes_no_mail(struct arena *arena, struct slice domain, unsigned wait_ms)
{
    struct dns_mx *mx = NULL;
    struct slice ascii;
    unsigned count = 0;
    enum dns_status status;

    if (!domain.n || *domain.p == '[' || !wait_ms || waiters >= waiters_max)
        return false;
    waiters++;
    status = dns_mx_within(arena, arena_slicedup(arena, idn_domain(arena, domain, &ascii) ? ascii : domain), wait_ms,
                           &mx, &count);
    waiters--;
    return status == DNS_FOUND && count == 1 && !*mx[0].host; /* beside others it is a mistake (section 3) */
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
        permit->sender_null_mx = takes_no_mail(arena, permit->sender_domain, wait_ms);
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

    if (recipient->target_count != 1 || target->verdict != AUTHORIZE_OUTSIDE || target->by || recipient->literal)
        return false;
    struct route_rule_mail mail = outgoing_mail(permit, out, target, recipient->domain);
    if (!outgoing_find(arena, &mail, default_route, &way) || way.rule.rule_id || default_route ||
        !takes_no_mail(arena, recipient->domain, wait_ms))
        return false;
    refuse(arena, "recipient-null-mx", 556, "5.1.10", recipient->address, "the domain takes no mail (null MX)", out);
    return true;
}
