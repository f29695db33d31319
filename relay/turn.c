/*
 * turn: may this client have a domain's mail sent?
 *
 * RFC 1985 leaves it to the server (section 5.1), and says that it is a matter of security which combinations are
 * allowed (5.3).  Here, one of these is asked for:
 *
 *   - who signed in is an account of the domain's customer
 *   - the client is in one of the customer's networks
 *   - the client is one of the domain's next hops, by address; only for the domain itself, not for those below
 *
 * The answer does not tell a stranger whether there is such a domain.  Next hops that have names are looked up as a
 * delivery would do it; that waits for DNS, and is bounded by the number of next hops that a domain may have.
 */
#include "relay/turn.h"

#include "core/cidr.h"
#include "core/dns.h"
#include "storage/directory_route.h"

static const char stranger[] = "you are neither one of its customer's clients nor one of its next hops";

/* A next hop that cannot be looked up is none: the client may ask again. */
static AWAITS enum turn_verdict ask_hops(struct arena *arena, struct turn *turn, int64_t domain_id,
                                         const struct cidr *peer)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    switch (directory_hops(arena, domain_id, &hops, &count)) {
    case DB_FOUND: break;
    case DB_NONE: return TURN_DENIED;
    case DB_FAILED: turn->why = "the next hops could not be looked up"; return TURN_FAILED;
    }
    for (unsigned i = 0; i < count; i++) {
        struct dns_address *addresses = NULL;
        unsigned found = 0;

        if (dns_addresses(arena, hops[i].host, &addresses, &found) != DNS_FOUND)
            continue;
        for (unsigned j = 0; j < found; j++)
            if (cidr_contains(peer, (const struct sockaddr *)&addresses[j].address))
                return TURN_ALLOWED;
    }
    return TURN_DENIED;
}

/* Whose client it is, by its sign-in or its address; 0: nobody's. */
static AWAITS enum turn_verdict find_customer(struct arena *arena, struct turn *turn, int64_t *out)
{
    struct directory_network network;

    *out = turn->account ? turn->account->customer_id : 0;
    if (*out)
        return TURN_ALLOWED;
    switch (directory_network(arena, turn->peer, &network)) {
    case DB_FOUND: *out = network.customer_active ? network.customer_id : 0; break;
    case DB_NONE: break;
    case DB_FAILED: turn->why = "the client's network could not be looked up"; return TURN_FAILED;
    }
    return TURN_ALLOWED;
}

static bool has_next_hops(const struct directory_domain *domain)
{
    return domain->kind == DIRECTORY_RELAY || domain->elsewhere;
}

static AWAITS enum turn_verdict ask_domain(struct arena *arena, struct turn *turn, struct slice name,
                                           int64_t customer_id)
{
    struct directory_domain domain;
    char plain[INET6_ADDRSTRLEN];
    struct cidr peer;
    enum turn_verdict verdict = TURN_DENIED;

    switch (directory_domain(arena, name, &domain)) {
    case DB_FOUND: break;
    case DB_NONE: return TURN_DENIED;
    case DB_FAILED: turn->why = "the domain could not be looked up"; return TURN_FAILED;
    }
    if (customer_id == domain.customer_id)
        verdict = TURN_ALLOWED;
    else if (has_next_hops(&domain) && cidr_plain_address(turn->peer, plain) && cidr_parse(plain, &peer))
        verdict = ask_hops(arena, turn, domain.id, &peer);
    if (verdict != TURN_ALLOWED)
        return verdict;
    if (!domain.customer_active) {
        turn->why = "its customer is suspended";
        return TURN_DENIED;
    }
    turn->domain_ids = arena_array(arena, 1, sizeof *turn->domain_ids);
    *turn->domain_ids = domain.id;
    turn->count = has_next_hops(&domain);
    return TURN_ALLOWED;
}

enum turn_verdict turn_ask(struct arena *arena, struct turn *turn, struct slice name, bool subdomains)
{
    int64_t customer_id;
    enum turn_verdict verdict;

    turn->domain_ids = NULL;
    turn->count = 0;
    turn->why = stranger;
    if ((verdict = find_customer(arena, turn, &customer_id)) != TURN_ALLOWED)
        return verdict;
    if (!subdomains)
        return ask_domain(arena, turn, name, customer_id);
    if (!customer_id)
        return TURN_DENIED;
    switch (directory_relayed_below(arena, customer_id, name, TURN_DOMAINS_MAX, &turn->domain_ids, &turn->count)) {
    case DB_FOUND:
    case DB_NONE: return TURN_ALLOWED;
    case DB_FAILED: break;
    }
    turn->why = "the domains could not be looked up";
    return TURN_FAILED;
}

enum turn_verdict turn_collect(struct arena *arena, struct turn *turn, const struct slice *names, unsigned count)
{
    struct directory_collected *collected = NULL;
    unsigned of = 0;

    turn->domain_ids = NULL;
    turn->count = 0;
    turn->why = "the domains could not be looked up";
    switch (directory_collected(arena, turn->account->id, TURN_DOMAINS_MAX, &collected, &of)) {
    case DB_FOUND:
    case DB_NONE: break;
    case DB_FAILED: return TURN_FAILED;
    }
    turn->why = of ? "you do not collect for all of these domains" : "you do not collect the mail of a domain";
    turn->domain_ids = arena_array(arena, of + 1, sizeof *turn->domain_ids);
    for (unsigned i = 0; i < of; i++) {
        bool named = !count;

        for (unsigned j = 0; j < count && !named; j++)
            named = slice_equal_nocase(names[j], collected[i].name);
        if (named)
            turn->domain_ids[turn->count++] = collected[i].id;
    }
    for (unsigned j = 0; j < count; j++) {
        bool known = false;

        for (unsigned i = 0; i < of && !known; i++)
            known = slice_equal_nocase(names[j], collected[i].name);
        if (!known)
            return TURN_DENIED;
    }
    return turn->count ? TURN_ALLOWED : TURN_DENIED;
}
