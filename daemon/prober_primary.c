/*
 * prober_primary: what one lane of the prober says to a domain's primary, and what is learned of its answers.
 *
 * Only the hops of the first priority are asked: what stands in for them (a second MX) mostly takes everything.  The
 * connection is protected as the domain's mail would be, and comes from the same source addresses.
 *
 * A primary that takes everything is found out by asking it, after its first yes, for a name that cannot exist; then
 * the domain is noted as such instead of the name, and nobody asks again until that is old.
 */
#include "daemon/prober_primary.h"

#include <string.h>

#define LOG_MODULE "prober"
#include "core/clock.h"
#include "core/dns.h"
#include "core/log.h"
#include "core/secret.h"
#include "core/slice.h"
#include "core/tls.h"
#include "daemon/hop_login.h"
#include "daemon/runner_source.h"
#include "protocols/smtp_client.h"
#include "relay/permit.h"
#include "relay/route.h"
#include "storage/directory.h"
#include "storage/learned.h"
#include "storage/source_pool.h"

#define ADDRESSES_MAX 4 /* tried for one connection */

/* ------------------------------------------------------------------ connecting */

/* As a route has it: an address is as private as a message. */
static bool is_protected(const struct smtp_client *client, enum delivery_tls wanted)
{
    switch (wanted) {
    case DELIVERY_TLS_NOT_SET:
    case DELIVERY_TLS_NONE:
    case DELIVERY_TLS_MAY: break;
    case DELIVERY_TLS_ENCRYPT: return smtp_client_encrypted(client);
    case DELIVERY_TLS_VERIFY:
    case DELIVERY_TLS_DANE: /* what it has announced is not asked for a question: its name is what counts */
    case DELIVERY_TLS_STS: return smtp_client_verified(client);
    }
    return true;
}

struct wanted {
    enum delivery_tls hop, domain;
};

/* Nor is a host that may not have the domain's mail told our password. */
static bool may_sign_in(const struct smtp_client *client, void *arg)
{
    const struct wanted *wanted = arg;

    return is_protected(client, wanted->hop) && is_protected(client, wanted->domain);
}

static AWAITS bool open_hop(struct prober_primary *primary, const struct route_hop *hop, enum delivery_tls domain_tls,
                            struct slice sources, unsigned *tried)
{
    struct arena *arena = primary->arena;
    struct wanted wanted = {hop->tls, domain_tls};
    struct smtp_client_settings client = {
        .hostname = primary->settings->hostname,
        .tls = hop->tls == DELIVERY_TLS_NONE ? NULL : primary->tls,
        .verify_tls = primary->settings->verify_tls,
        .connect_timeout_ms = primary->settings->timeout_ms,
        .greeting_timeout_ms = primary->settings->timeout_ms,
        .reply_timeout_ms = primary->settings->timeout_ms,
        .end_timeout_ms = primary->settings->timeout_ms,
        .primary = true,
        .may_sign_in = may_sign_in,
        .may_sign_in_arg = &wanted,
    };
    struct smtp_client_target target = {.host = hop->host, .port = hop->port};
    struct dns_address *addresses;
    struct runner_source source;
    unsigned count = 0;
    struct slice why;

    if (dns_addresses(arena, hop->host, &addresses, &count) != DNS_FOUND)
        return false;
    if (!runner_source_choose(arena, hop->sources.n ? hop->sources : sources, &source) ||
        !(count = runner_source_suits(&source, addresses, count))) {
        log_error("primary cannot be asked: none of the source addresses is this machine's, or of its family",
                  log_str("host", hop->host));
        return false;
    }
    client.source4 = source.four;
    client.source6 = source.six;
    for (unsigned at = 0; at < count && *tried < ADDRESSES_MAX; at += target.tried, *tried += target.tried) {
        target.addresses = addresses + at;
        target.count = count - at;
        if (hop_login_open(arena, hop->credential_id, &client, &target, &primary->client, &why)) {
            if (may_sign_in(primary->client, &wanted))
                return true;
            why = SLICE("its route, or the policy for the domain, requires TLS");
            smtp_client_quit(&primary->client);
        }
        log_info("primary cannot be asked", log_str("host", hop->host), log_int("port", hop->port),
                 log_slice("reason", why));
    }
    return false;
}

static AWAITS bool open_primary(struct prober_primary *primary, struct slice address)
{
    struct directory_hop *hops = NULL;
    struct route route;
    struct slice sources;
    unsigned count = 0, tried = 0;
    uint64_t seed;

    secret_random(&seed, sizeof seed);
    if (directory_hops(primary->arena, primary->domain_id, &hops, &count) != DB_FOUND ||
        route_from_hops(primary->arena, hops, count, seed, &route) != ROUTE_FOUND ||
        source_pool_of_domain(primary->arena, primary->domain_id, &sources) != DB_FOUND)
        return false;
    for (unsigned i = 0; i < route.count && route.hops[i].primary; i++)
        if (open_hop(primary, &route.hops[i], delivery_policy_tls(address), sources, &tried))
            return true;
    return false;
}

/* ------------------------------------------------------------------ asking */

/* The connection may be gone afterwards. */
static AWAITS enum verify_told ask_over(struct prober_primary *primary, const char *address)
{
    struct smtp_client_answer said;

    primary->counters->asked++;
    if (!smtp_client_ask(primary->client, primary->arena, slice_str(primary->settings->sender), slice_str(address),
                         &said)) {
        smtp_client_abort(&primary->client);
        return VERIFY_UNTOLD;
    }
    enum verify_told told = said.to_recipient ? verify_reply(said.code, said.enhanced) : VERIFY_UNTOLD;
    log_info("primary asked", log_str("host", smtp_client_host(primary->client)), log_str("recipient", address),
             log_slice("reply", said.text));
    primary->counters->told += told != VERIFY_UNTOLD;
    return told;
}

bool prober_primary_ask(struct prober_primary *primary, const char *address, enum verify_told *told)
{
    if (primary->client && ((*told = ask_over(primary, address)) != VERIFY_UNTOLD || primary->client))
        return true;
    if (!open_primary(primary, slice_str(address)))
        return false;
    *told = ask_over(primary, address);
    return true;
}

/* ------------------------------------------------------------------ learning */

static const char *impossible_address(struct arena *arena, const char *address)
{
    uint64_t number;

    secret_random(&number, sizeof number);
    return arena_printf(arena, "no-such-user-%016llx%s", (unsigned long long)number, strrchr(address, '@'));
}

/* It said yes; does it to everybody?  True: so its yes is no news. */
static AWAITS bool takes_everything(struct prober_primary *primary, const char *address)
{
    struct slice asked = slice_str(address);
    struct learned known;

    if (learned_find(primary->arena, primary->domain_id, &asked, 1, true, &known) == DB_FAILED)
        return true; /* nothing could be written either */
    if (known.all_until_ms > clock_now_ms())
        return known.accepts_all;
    enum verify_told told =
        primary->client ? ask_over(primary, impossible_address(primary->arena, address)) : VERIFY_UNTOLD;
    if (told == VERIFY_UNTOLD)
        return false;
    log_info(told == VERIFY_EXISTS ? "primary takes every recipient" : "primary knows its recipients",
             log_id("domain", primary->domain_id));
    if (learned_note_accepts_all(primary->domain_id, told == VERIFY_EXISTS) != DB_DONE)
        log_info("not learned", log_id("domain", primary->domain_id));
    return told == VERIFY_EXISTS;
}

void prober_primary_learn(struct prober_primary *primary, const char *address, enum verify_told told)
{
    const struct learned_fact fact = {primary->domain_id, slice_str(address), told == VERIFY_EXISTS};

    if (told == VERIFY_UNTOLD || (told == VERIFY_EXISTS && takes_everything(primary, address)))
        return;
    if (learned_note(&fact, 1) != DB_DONE)
        log_info("not learned", log_str("recipient", address));
}
