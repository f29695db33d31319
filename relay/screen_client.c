/*
 * screen_client: from a client and a recipient to what is known about them, as cheaply as can be.
 *
 *     no policy for anybody          memory
 *     the domain's policy            one look-up, remembered (storage/cache.h); none: done
 *     the allow-list                 memory
 *     the client's network, grants   as for relaying: remembered, and asked once for a transaction
 *     DNS                            begun when the client came; RCPT waits for what is missing
 *     the greylist                   one look-up, never remembered
 *
 * Whoever has permission here is no stranger: who signed in, who is in a customer's network or has a grant, the machine
 * itself.
 *
 * A policy is that of the domain that the client named; where an alias leads does not matter.  It is asked after all
 * else, so that a recipient who does not exist is refused as such, and leaves nothing in the greylist.
 *
 * The greylist that cannot be looked into puts off (451), as anything that needs the database: without it nothing could
 * be accepted.
 */
#include "relay/screen_client.h"

#include "core/cidr.h"
#include "storage/allow.h"
#include "storage/dns_list.h"

static bool is_loopback(const char *peer)
{
    char plain[INET6_ADDRSTRLEN];

    return !cidr_plain_address(peer, plain) || strncmp(plain, "127.", 4) == 0 || strcmp(plain, "::1") == 0;
}

struct screen_dns *screen_client_begin(const char *peer)
{
    const struct client_policy_use *use = client_policy_use();
    unsigned lists = 0;

    dns_lists(&lists);
    if ((!(use->scores && lists) && !use->names) || is_loopback(peer) || allow_covers(peer, 0))
        return NULL;
    return screen_dns_begin(peer, use->scores && lists, use->names);
}

/* RFC 5321 section 4.5.1: every effort is made to take mail for postmaster, from any system. */
static bool is_for_postmaster(struct slice address)
{
    static const struct slice local = SLICE("postmaster@");

    return address.n > local.n && slice_equal_nocase(slice_of(address.p, local.n), local);
}

/* FOUND: it is a stranger to whom the policy applies; NONE: *exempt tells why not. */
static AWAITS enum db_status find_policy(struct arena *arena, struct permit *permit,
                                         const struct permit_recipient *recipient, struct client_policy *policy,
                                         enum screen_exempt *exempt)
{
    const struct directory_domain *domain = &recipient->found.domain;

    *exempt = SCREEN_OURS;
    if (permit->role != AUTHORIZE_MX || permit->account || is_loopback(permit->peer))
        return DB_NONE;
    *exempt = SCREEN_NO_POLICY;
    if (!client_policy_use()->any || !recipient->found.has_domain || !domain->id)
        return DB_NONE;
    enum db_status status = client_policy_find(arena, domain->id, domain->customer_id, policy);
    if (status != DB_FOUND)
        return status;
    *exempt = SCREEN_POSTMASTER;
    if (is_for_postmaster(recipient->address))
        return DB_NONE;
    *exempt = SCREEN_ALLOWED;
    if (allow_covers(permit->peer, domain->customer_id))
        return DB_NONE;
    *exempt = SCREEN_PERMITTED;
    if (!permit_client(arena, permit))
        return DB_FAILED;
    if (permit->has_network || permit->grants.count)
        return DB_NONE;
    *exempt = SCREEN_NOT_EXEMPT;
    return DB_FOUND;
}

static AWAITS void ask_dns(struct arena *arena, const char *peer, const struct client_policy *policy,
                           struct screen_dns **dns, unsigned wait_ms, struct screen_facts *facts)
{
    bool lists = policy->refuses || policy->greylist == CLIENT_POLICY_GREYLIST_SUSPECTS;
    bool name = policy->reverse_name != CLIENT_POLICY_NAME_IGNORE;

    *facts = (struct screen_facts){.client = peer};
    if (!lists && !name)
        return;
    if (!screen_dns_has(*dns, lists, name)) { /* the policy is younger than the session */
        lists = lists || screen_dns_has(*dns, true, false);
        name = name || screen_dns_has(*dns, false, true);
        screen_dns_free(dns);
        *dns = screen_dns_begin(peer, lists, name);
    }
    screen_dns_wait(*dns, wait_ms);
    screen_dns_facts(*dns, arena, facts);
}

static AWAITS enum screen_result ask_greylist(struct arena *arena, const struct permit *permit,
                                              const struct permit_recipient *recipient, bool note,
                                              struct screen_report *report, struct authorize_decision *out)
{
    const struct client_policy *policy = &report->policy;
    struct greylist_key key;

    if (!screen_greylists(policy, &report->facts) ||
        !greylist_key(arena, recipient->found.domain.cell, recipient->found.domain.customer_id, permit->peer,
                      permit->sender, recipient->address, &key))
        return SCREEN_PASSED;
    if (greylist_find(arena, &key, policy->greylist_delay_s, policy->greylist_passes, &report->greylist) != DB_FOUND)
        return SCREEN_FAILED;
    report->greylisting = true;
    if (note)
        greylist_note(&key, &report->greylist);
    if (report->greylist.state == GREYLIST_PASSED || report->greylist.state == GREYLIST_KNOWN)
        return SCREEN_PASSED;
    screen_put_off(arena, recipient->address, report->greylist.wait_s, out);
    return SCREEN_REFUSED;
}

AWAITS enum screen_result screen_client(struct arena *arena, struct permit *permit,
                                        const struct permit_recipient *recipient, struct screen_dns **dns,
                                        unsigned wait_ms, bool note, struct screen_report *report,
                                        struct authorize_decision *out)
{
    *report = (struct screen_report){0};
    switch (find_policy(arena, permit, recipient, &report->policy, &report->exempt)) {
    case DB_NONE: return SCREEN_PASSED;
    case DB_FAILED: return SCREEN_FAILED;
    case DB_FOUND: break;
    }
    ask_dns(arena, permit->peer, &report->policy, dns, wait_ms, &report->facts);
    report->score = screen_score(&report->policy, &report->facts);
    if (screen_refuses(arena, recipient->address, &report->policy, &report->facts, out))
        return SCREEN_REFUSED;
    return ask_greylist(arena, permit, recipient, note, report, out);
}

const char *screen_exempt_word(enum screen_exempt exempt)
{
    switch (exempt) {
    case SCREEN_NOT_EXEMPT: break;
    case SCREEN_NO_POLICY: return "no-policy";
    case SCREEN_OURS: return "ours";
    case SCREEN_ALLOWED: return "allowed";
    case SCREEN_POSTMASTER: return "postmaster";
    case SCREEN_PERMITTED: return "permitted";
    }
    return NULL;
}
