/*
 * runner_transport: what is announced of a host's TLS, before it is connected to.
 *
 * DANE (RFC 7672).  A host that an MX record names for which DNSSEC vouches, or that is configured, and whose addresses
 * DNSSEC vouches for, may have TLSA records at its name (section 2.2).  Then its TLS is no longer opportunistic:
 *
 *     records that can be used        TLS, and the certificate is one that they mean
 *     only others                     TLS (section 2.2)
 *     none                            as if there were no DANE
 *     it cannot be found out          the host is not used: who forges DNS must not be able to switch DANE off (2.1.2)
 *
 * The name under which the records are, the TLSA base domain, is the one at the end of aliases if all of them are signed
 * and there are records there, else the host's own (2.2.2); it is what the server is asked for (SNI), and with the domain
 * that the mail is for what a certificate below a DANE-TA(2) authority may name (3.2.2).
 *
 * MTA-STS (RFC 8461).  The domain's policy, if it has one, lists its MX hosts; in mode enforce another host is not used, and
 * one that is shows a certificate for its name.  DANE goes first (section 2): a host that has records is held against
 * these.  It is about MX records, so mail with a route of its own has none of it.
 *
 * Asked is when the message may be protected by it (runner_protect.c): not when its sender or an administrator has decided
 * otherwise.
 */
#define LOG_MODULE "runner"
#include "core/log.h"
#include "core/tls_dane.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_protect.h"
#include "daemon/runner_sts.h"
#include "daemon/runner_tlsrpt.h"

/* ------------------------------------------------------------------ DANE */

static bool addresses_secure(const struct runner_walk *walk)
{
    for (unsigned i = 0; i < walk->address_count; i++)
        if (!walk->addresses[i].secure)
            return false;
    return walk->address_count > 0;
}

/* FOUND: the records, and whose they are. */
static AWAITS enum dns_status find_records(struct arena *arena, const struct runner_walk *walk, struct tls_dane *dane)
{
    const struct route_hop *hop = &walk->route.hops[walk->hop];
    const char *canonical = walk->addresses[0].canonical;
    struct dns_tlsa *records = NULL;
    enum dns_status status;

    if (hop->doubtful)
        return DNS_NONE;
    if (!addresses_secure(walk)) { /* signed as far as the alias goes, perhaps */
        status = canonical ? dns_alias_secure(hop->host) : DNS_NONE;
        if (status != DNS_FOUND)
            return status;
        canonical = NULL;
    }
    dane->base = canonical ? canonical : hop->host;
    status = dns_tlsa(arena, dane->base, hop->port, &records, &dane->record_count);
    if (status == DNS_NONE && canonical) {
        dane->base = hop->host;
        status = dns_tlsa(arena, dane->base, hop->port, &records, &dane->record_count);
    }
    dane->records = records;
    return status;
}

/* False: the host is not used. */
static AWAITS bool ask_dane(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    struct tls_dane *dane = arena_alloc(arena, sizeof *dane);

    *dane = (struct tls_dane){0};
    switch (find_records(arena, walk, dane)) {
    case DNS_FOUND: break;
    case DNS_NONE: return true;
    case DNS_FAILED: return false;
    }
    if (!tls_dane_usable(runner_tls(false), dane)) {
        walk->announced.encrypt = true;
        return true;
    }
    if (key->kind == ROUTE_MX)
        dane->names[dane->name_count++] = arena_slicedup(arena, key->domain);
    walk->announced.dane = true;
    walk->dane = dane;
    return true;
}

/* ------------------------------------------------------------------ MTA-STS */

/* False: our database does not tell. */
static AWAITS bool find_policy(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    struct sts_policy *policy = arena_alloc(arena, sizeof *policy);

    if (walk->sts_asked)
        return true;
    if (key->kind != ROUTE_MX) {
        walk->sts_why = "its mail has a route of its own, not its MX";
        return walk->sts_asked = true;
    }
    switch (runner_sts_find(arena, key->domain, policy, &walk->sts_why)) {
    case DB_FOUND:
        walk->sts = policy->mode == STS_NONE ? NULL : policy;
        walk->sts_why = "its policy has the mode none";
        break;
    case DB_NONE: break;
    case DB_FAILED: return false;
    }
    return walk->sts_asked = true;
}

/* ------------------------------------------------------------------ a host */

static enum runner_protection wanted_of(const struct runner_walk *walk)
{
    return runner_protection_at(walk->protection, walk->route.hops[walk->hop].tls);
}

/* Refused for what it lacks, though nothing was said to it; another may do. */
static bool refuse(struct arena *arena, struct runner_walk *walk, const char *why, const char *status)
{
    const struct route_hop *hop = &walk->route.hops[walk->hop];

    log_info("next hop may not have it", log_str("host", hop->host), log_int("port", hop->port),
             log_str("reason", why));
    walk->unmet = true;
    walk->secured = (struct runner_secured){0};           /* nothing was connected to */
    if (walk->protection == RUNNER_PROTECTION_REQUIRETLS) /* RFC 8689 4.2.1: it may be returned for it */
        status = "5.7.30";
    runner_walk_say(walk, arena_printf(arena, "%s:%u: %s", hop->host, hop->port, why), status);
    return false;
}

static AWAITS bool ask_sts(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    enum runner_protection wanted = wanted_of(walk);
    bool required = wanted == RUNNER_PROTECTION_STS;

    if (wanted == RUNNER_PROTECTION_DANE)
        return true;
    if (!find_policy(arena, key, walk)) {
        walk->unreached = true;
        return refuse(arena, walk, "MTA-STS: the domain's policy could not be looked up", "4.3.0");
    }
    if (!walk->sts)
        return !required ||
               refuse(arena, walk,
                      arena_printf(arena, "the policy for the domain requires MTA-STS, and the domain has none: %s",
                                   walk->sts_why),
                      "4.7.5");
    walk->announced.named = sts_policy_names(walk->sts, walk->route.hops[walk->hop].host);
    if (walk->announced.dane || (walk->sts->mode != STS_ENFORCE && !required))
        return true;
    walk->announced.sts = true;
    if (walk->announced.named)
        return true;
    runner_tlsrpt_refused(arena, key, walk, TLSRPT_VALIDATION_FAILURE, "mx-not-in-policy");
    return refuse(arena, walk, "MTA-STS: the domain's policy does not name it", "4.7.5");
}

bool runner_transport_ask(struct arena *arena, const struct route_key *key, struct runner_walk *walk)
{
    walk->announced = (struct smtp_client_announced){0};
    walk->dane = NULL;
    if (!runner_protection_asks(wanted_of(walk)) || !walk->address_count)
        return true;
    if (!ask_dane(arena, key, walk)) {
        walk->unreached = true;
        runner_tlsrpt_refused(arena, key, walk, TLSRPT_DNSSEC_INVALID, NULL);
        return refuse(arena, walk, "DANE: its TLSA records could not be looked up, or are forged", "4.7.5");
    }
    walk->announced.asked = true;
    return ask_sts(arena, key, walk);
}
