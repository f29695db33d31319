/*
 * runner_sts: a domain's MTA-STS policy, from the database or from the domain (RFC 8461).
 *
 *     what is remembered     the record in DNS (_mta-sts)        then
 *     a policy               the same id                         it counts
 *     a policy               another id, or it is stale          it is fetched; if that fails the old one counts
 *     a policy               none, or no answer                  it counts until it expires: who can forge DNS must not be
 *                                                                able to switch it off (section 5.1)
 *     none                   there is one                        it is fetched; if that fails there is none
 *     none                   none                                there is none
 *
 * Fetched is https://mta-sts.DOMAIN/.well-known/mta-sts.txt, with a certificate that must be right, no redirection, and
 * nothing but text/plain (section 3.3).  The address is looked up here, so that DNS is asked as it is everywhere, and
 * must be a public one: a stranger's domain does not make us talk to hosts of our own network.  Only with another port
 * than 443, in a laboratory, it need not be.
 *
 * One lane of a worker fetches for a domain; others that come meanwhile wait and read what it has left.  What failed is
 * not tried again for that record for five minutes.  A policy that mail has asked for within a month is fetched again
 * before it expires, by whichever worker finds that first.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define LOG_MODULE "sts"
#include "core/http.h"
#include "core/log.h"
#include "core/public_address.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_sts.h"
#include "daemon/runner_tlsrpt.h"
#include "relay/sts.h"
#include "storage/sts_policy.h"

#define FETCH_MS 30000
#define WAIT_MS 50
#define LOOK_MS 10000
#define FORGET_EVERY 360 /* looks */
#define HTTPS_PORT 443
#define ADDRESSES_MAX 4

/* A domain that is being fetched for, on its lane's stack. */
struct fetching {
    struct fetching *next;
    struct slice domain;
};
static struct fetching *fetchings;

/* ------------------------------------------------------------------ fetching */

const char *runner_sts_resolve(struct arena *arena, const char *host, unsigned port, const char **why)
{
    unsigned count = 0, used = 0;
    struct dns_address *addresses = NULL;
    const char *resolve = arena_printf(arena, "+%s:%u:", host, port);

    *why = "its host has no address";
    if (dns_addresses(arena, host, &addresses, &count) != DNS_FOUND)
        return NULL;
    *why = "its host has no public address";
    for (unsigned i = 0; i < count && used < ADDRESSES_MAX; i++) {
        char text[INET6_ADDRSTRLEN];
        bool six = addresses[i].address.ss_family == AF_INET6;
        const void *bytes = six ? (const void *)&((const struct sockaddr_in6 *)&addresses[i].address)->sin6_addr
                                : (const void *)&((const struct sockaddr_in *)&addresses[i].address)->sin_addr;

        if ((runner_settings()->sts_port == HTTPS_PORT &&
             !public_address((const struct sockaddr *)&addresses[i].address)) ||
            !inet_ntop(addresses[i].address.ss_family, bytes, text, sizeof text))
            continue;
        resolve = arena_printf(arena, six ? "%s%s[%s]" : "%s%s%s", resolve, used++ ? "," : "", text);
    }
    return used ? resolve : NULL;
}

static AWAITS bool fetch(struct arena *arena, struct slice domain, struct sts_policy *out, const char **why,
                         enum tlsrpt_result *result)
{
    bool untrusted = false;
    const char *host = arena_printf(arena, "mta-sts.%.*s", SLICE_ARG(domain));
    struct http_request request = {
        .url = arena_printf(arena, "https://%s:%u/.well-known/mta-sts.txt", host, runner_settings()->sts_port),
        .ca_file = runner_settings()->sts_ca_file,
        .media_type = "text/plain",
        .untrusted = &untrusted,
        .timeout_ms = FETCH_MS,
        .answer_max = STS_BODY_MAX,
    };
    struct slice body;
    unsigned status;

    *result = TLSRPT_STS_POLICY_FETCH_ERROR;
    if (!(request.resolve = runner_sts_resolve(arena, host, runner_settings()->sts_port, why)))
        return false;
    *why = "its policy could not be fetched";
    if (!http_fetch(arena, &request, &status, &body)) {
        if (untrusted)
            *result = TLSRPT_STS_WEBPKI_INVALID;
        return false;
    }
    *why = arena_printf(arena, "its policy could not be fetched: HTTP status %u", status);
    if (status != 200)
        return false;
    *why = "its policy is not valid";
    *result = TLSRPT_STS_POLICY_INVALID;
    return sts_policy_parse(arena, body, out);
}

/* ------------------------------------------------------------------ what is remembered */

static struct slice join(struct arena *arena, const struct sts_policy *policy)
{
    size_t size = 1, used = 0;
    char *all;

    for (unsigned i = 0; i < policy->mx_count; i++)
        size += strlen(policy->mx[i]) + 1;
    all = arena_alloc(arena, size);
    for (unsigned i = 0; i < policy->mx_count; i++)
        used += (size_t)snprintf(all + used, size - used, "%s%s", i ? " " : "", policy->mx[i]);
    return slice_of(all, used);
}

static bool remembered(struct arena *arena, const struct sts_policy_row *row, struct sts_policy *out)
{
    const char **mx = arena_array(arena, STS_PATTERNS_MAX, sizeof *mx);
    char *list = arena_slicedup(arena, row->mx), *rest = NULL;

    *out = (struct sts_policy){.mx = mx, .max_age = (unsigned)row->max_age};
    if (!row->record_id.p || !sts_mode_of(row->mode, &out->mode))
        return false;
    for (char *one = strtok_r(list, " ", &rest); one && out->mx_count < STS_PATTERNS_MAX;
         one = strtok_r(NULL, " ", &rest))
        mx[out->mx_count++] = one;
    return true;
}

/* True: fetched, and remembered if that could be. */
static AWAITS bool renew(struct arena *arena, struct slice domain, const char *id, bool asked, struct sts_policy *out,
                         const char **why)
{
    struct sts_policy_row row = {.record_id = slice_str(id)};
    enum db_write written;
    enum tlsrpt_result result;
    bool fetched = fetch(arena, domain, out, why, &result);

    if (fetched) {
        row.mode = slice_str(sts_mode_word(out->mode));
        row.mx = join(arena, out);
        row.max_age = out->max_age;
        written = sts_policy_put(arena, domain, &row, asked);
        log_info("policy fetched", log_slice("domain", domain), log_slice("mode", row.mode), log_slice("mx", row.mx),
                 log_int("max_age", row.max_age));
    } else {
        written = sts_policy_failed(arena, domain, slice_str(id), slice_str(*why));
        if (asked)
            runner_tlsrpt_policy(domain, result);
        log_info("no policy", log_slice("domain", domain), log_str("reason", *why));
    }
    if (written != DB_DONE)
        log_warn("a policy could not be remembered", log_slice("domain", domain));
    return fetched;
}

/* ------------------------------------------------------------------ asking */

static bool is_fetching(struct slice domain)
{
    for (const struct fetching *f = fetchings; f; f = f->next)
        if (slice_equal(f->domain, domain))
            return true;
    return false;
}

static void end_fetching(const struct fetching *fetching)
{
    struct fetching **link = &fetchings;

    while (*link != fetching)
        link = &(*link)->next;
    *link = fetching->next;
}

/* "": the domain has no record. */
static AWAITS enum dns_status find_id(struct arena *arena, struct slice domain, char id[STS_ID_SIZE])
{
    struct slice *texts = NULL;
    unsigned count = 0;
    enum dns_status status = dns_texts(arena, arena_printf(arena, "_mta-sts.%.*s", SLICE_ARG(domain)), &texts, &count);

    *id = '\0';
    return status == DNS_FOUND && !sts_record_parse(texts, count, id) ? DNS_NONE : status;
}

static AWAITS enum db_status find_policy(struct arena *arena, struct slice domain, struct sts_policy *out,
                                         const char **why)
{
    struct fetching fetching = {.domain = domain};
    struct sts_policy_row row;
    struct sts_policy newer;
    char id[STS_ID_SIZE];
    enum dns_status announced = find_id(arena, domain, id);
    bool known, renewed;

    if (sts_policy_find(arena, domain, &row) == DB_FAILED)
        return DB_FAILED;
    known = remembered(arena, &row, out);
    *why = announced == DNS_NONE ? "it has no record in DNS" : "its record could not be looked up";
    if (announced == DNS_FOUND && slice_equal(row.tried_id, slice_str(id)))
        *why = arena_slicedup(arena, row.tried_why);
    else if (announced == DNS_FOUND && (!known || row.stale || !slice_equal(row.record_id, slice_str(id)))) {
        fetching.next = fetchings;
        fetchings = &fetching;
        renewed = renew(arena, domain, id, true, &newer, why);
        end_fetching(&fetching);
        if (renewed) {
            *out = newer;
            known = true;
        }
    }
    return known ? DB_FOUND : DB_NONE;
}

enum db_status runner_sts_find(struct arena *arena, struct slice domain, struct sts_policy *out, const char **why)
{
    *why = NULL;
    *out = (struct sts_policy){0};
    while (is_fetching(domain)) /* for as long as FETCH_MS */
        task_sleep(WAIT_MS);
    return find_policy(arena, domain, out, why);
}

/* ------------------------------------------------------------------ before they expire */

static AWAITS void refresh(struct arena *arena)
{
    struct sts_policy policy;
    struct slice domain;
    char id[STS_ID_SIZE];
    const char *why;

    while (!runner_draining() && sts_policy_due(arena, &domain) == DB_DONE && domain.n) {
        if (!is_fetching(domain) && find_id(arena, domain, id) == DNS_FOUND)
            (void)!renew(arena, domain, id, false, &policy, &why);
        arena_reset(arena);
    }
}

void runner_sts_for_ever(void *arg)
{
    (void)arg;
    for (unsigned looks = 0; !runner_draining(); looks++) {
        struct arena *arena = arena_new(SIZE_MAX);

        refresh(arena);
        if (looks % FORGET_EVERY == 0 && sts_policy_forget(arena) != DB_DONE)
            log_info("expired policies are forgotten later");
        arena_free(&arena);
        task_sleep(LOOK_MS);
    }
}
