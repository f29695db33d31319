/*
 * runner_tlsrpt: counts sessions with MX hosts, for the reports that their domains may want (RFC 8460).
 *
 * A session is a connection that got as far as EHLO, or a host that was not connected to for what is announced of it.  It is
 * counted under the policy that was applied: TLSA records, an MTA-STS policy, or none; as a success, or as a failure of one
 * of the RFC's kinds, also when it was used all the same (an MTA-STS policy in mode testing, TLS that does not work where
 * nothing requires it).  What goes by a route of its own, and what an administrator or sender has taken off these rules, is
 * not counted.
 *
 * Sessions that went alike are one entry of a table in memory, which is added to the database every FLUSH_MS.  Only then is
 * the domain's record looked up, and what nobody wants to hear of is dropped; so counting costs a delivery neither a
 * look-up nor a statement.  A full table counts nothing new until then.
 */
#include <stdio.h>
#include <string.h>

#define LOG_MODULE "tlsrpt"
#include "core/clock.h"
#include "core/log.h"
#include "core/tls_dane.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_protect.h"
#include "daemon/runner_tlsrpt.h"
#include "storage/tls_report.h"

#define FLUSH_MS 5000
#define TABLE 4096 /* places; half of them are used */
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static struct tls_report_row *table[TABLE];
static struct arena *memory; /* of its entries */
static unsigned count;

/* ------------------------------------------------------------------ counting */

static uint64_t hash_text(uint64_t hash, struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        hash = (hash ^ (unsigned char)text.p[i]) * FNV_PRIME;
    return (hash ^ 0xff) * FNV_PRIME;
}

static bool same(const struct tls_report_row *a, const struct tls_report_row *b)
{
    return slice_equal(a->domain, b->domain) && slice_equal(a->policy_type, b->policy_type) &&
           slice_equal(a->policy, b->policy) && slice_equal(a->mx_patterns, b->mx_patterns) &&
           slice_equal(a->result, b->result) && slice_equal(a->mx, b->mx) && slice_equal(a->sending, b->sending) &&
           slice_equal(a->receiving, b->receiving) && slice_equal(a->reason, b->reason);
}

static struct tls_report_row *keep(const struct tls_report_row *row)
{
    struct tls_report_row *kept;

    if (!memory)
        memory = arena_new(SIZE_MAX);
    kept = arena_alloc(memory, sizeof *kept);
    *kept = (struct tls_report_row){
        .domain = arena_slice(memory, row->domain),
        .policy_type = row->policy_type,
        .policy = arena_slice(memory, row->policy),
        .mx_patterns = arena_slice(memory, row->mx_patterns),
        .result = row->result,
        .mx = arena_slice(memory, row->mx),
        .sending = arena_slice(memory, row->sending),
        .receiving = arena_slice(memory, row->receiving),
        .reason = row->reason,
    };
    return kept;
}

static void add(const struct tls_report_row *row)
{
    uint64_t hash = hash_text(hash_text(hash_text(FNV_BASIS, row->domain), row->result), row->receiving);
    unsigned place = (unsigned)(hash_text(hash, row->policy) % TABLE);

    while (table[place] && !same(table[place], row))
        place = (place + 1) % TABLE;
    if (!table[place]) {
        if (count >= TABLE / 2)
            return;
        table[place] = keep(row);
        count++;
    }
    table[place]->sessions++;
}

/* ------------------------------------------------------------------ what is counted */

/* As the policy file has it (section 4.4). */
static struct slice sts_text(struct arena *arena, const struct sts_policy *policy, struct slice *patterns)
{
    size_t size = 1, used = 0;
    char *list;

    for (unsigned i = 0; i < policy->mx_count; i++)
        size += strlen(policy->mx[i]) + 5;
    list = arena_alloc(arena, size);
    *list = '\0';
    for (unsigned i = 0; i < policy->mx_count; i++)
        used += (size_t)snprintf(list + used, size - used, "%s%s", i ? "\n" : "", policy->mx[i]);
    *patterns = slice_of(list, used);
    list = arena_alloc(arena, size);
    used = 0;
    *list = '\0';
    for (unsigned i = 0; i < policy->mx_count; i++)
        used += (size_t)snprintf(list + used, size - used, "mx: %s\n", policy->mx[i]);
    return slice_str(arena_printf(arena, "version: STSv1\nmode: %s\n%smax_age: %u", sts_mode_word(policy->mode), list,
                                  policy->max_age));
}

static struct slice tlsa_text(struct arena *arena, const struct tls_dane *dane)
{
    const char *text = "";

    for (unsigned i = 0; dane && i < dane->record_count; i++) {
        const struct dns_tlsa *r = &dane->records[i];
        char *data = arena_alloc(arena, 2 * r->data.n + 1);

        *data = '\0';
        for (size_t j = 0; j < r->data.n; j++)
            snprintf(data + 2 * j, 3, "%02x", (unsigned char)r->data.p[j]);
        text = arena_printf(arena, "%s%s%u %u %u %s", text, i ? "\n" : "", r->usage, r->selector, r->matching, data);
    }
    return slice_str(text);
}

static bool is_counted(const struct route_key *key)
{
    return runner_settings()->tls_report_contact && key->kind == ROUTE_MX;
}

/* Under which policy the current hop is. */
static struct tls_report_row row_of(struct arena *arena, const struct route_key *key, const struct runner_walk *walk)
{
    struct tls_report_row row = {
        .domain = key->domain,
        .policy_type = SLICE("no-policy-found"),
        .mx = slice_str(walk->route.hops[walk->hop].host),
    };

    if (walk->announced.dane || walk->announced.encrypt) {
        row.policy_type = SLICE("tlsa");
        row.policy = tlsa_text(arena, walk->dane);
    } else if (walk->sts) {
        row.policy_type = SLICE("sts");
        row.policy = sts_text(arena, walk->sts, &row.mx_patterns);
    }
    return row;
}

static enum tlsrpt_result by_certificate(const struct smtp_client *client, enum tlsrpt_result other)
{
    switch (smtp_client_tls_trouble(client)) {
    case TLS_TROUBLE_NONE: return TLSRPT_SUCCESS;
    case TLS_TROUBLE_NAME: return TLSRPT_CERTIFICATE_HOST_MISMATCH;
    case TLS_TROUBLE_TIME: return TLSRPT_CERTIFICATE_EXPIRED;
    case TLS_TROUBLE_OTHER: break;
    }
    return other;
}

static enum tlsrpt_result result_of(const struct runner_walk *walk, const struct smtp_client *client)
{
    const struct smtp_client_announced *announced = &walk->announced;

    if (!smtp_client_encrypted(client))
        return smtp_client_tls_failed(client) ? TLSRPT_VALIDATION_FAILURE : TLSRPT_STARTTLS_NOT_SUPPORTED;
    if (announced->dane)
        return smtp_client_dane(client) ? TLSRPT_SUCCESS : by_certificate(client, TLSRPT_VALIDATION_FAILURE);
    if (announced->encrypt)
        return TLSRPT_TLSA_INVALID;
    if (walk->protection == RUNNER_PROTECTION_DANE)
        return TLSRPT_DANE_REQUIRED;
    if (!walk->sts)
        return TLSRPT_SUCCESS;
    return announced->named ? by_certificate(client, TLSRPT_CERTIFICATE_NOT_TRUSTED) : TLSRPT_VALIDATION_FAILURE;
}

void runner_tlsrpt_session(struct arena *arena, const struct route_key *key, const struct runner_walk *walk,
                           const struct smtp_client *client)
{
    struct tls_report_row row;

    if (!is_counted(key) || !walk->announced.asked)
        return;
    row = row_of(arena, key, walk);
    row.result = slice_str(tlsrpt_result_word(result_of(walk, client)));
    if (!row.result.n)
        row.mx = SLICE(""); /* of successes there is a sum only */
    else {
        row.sending = slice_str(smtp_client_local(client));
        row.receiving = slice_str(smtp_client_peer(client));
        if (walk->sts && !walk->announced.dane && !walk->announced.encrypt && !walk->announced.named)
            row.reason = SLICE("mx-not-in-policy");
    }
    add(&row);
}

void runner_tlsrpt_refused(struct arena *arena, const struct route_key *key, const struct runner_walk *walk,
                           enum tlsrpt_result result, const char *reason)
{
    struct tls_report_row row;

    if (!is_counted(key))
        return;
    row = row_of(arena, key, walk);
    if (result == TLSRPT_DNSSEC_INVALID)
        row.policy_type = SLICE("tlsa");
    row.result = slice_str(tlsrpt_result_word(result));
    row.reason = slice_str(reason);
    add(&row);
}

void runner_tlsrpt_policy(struct slice domain, enum tlsrpt_result result)
{
    if (runner_settings()->tls_report_contact)
        add(&(struct tls_report_row){
            .domain = domain, .policy_type = SLICE("sts"), .result = slice_str(tlsrpt_result_word(result))});
}

/* ------------------------------------------------------------------ into the database */

static AWAITS bool is_wanted(struct arena *arena, struct slice domain)
{
    struct tlsrpt_rua rua[TLSRPT_RUA_MAX];
    unsigned n = 0;

    return runner_tlsrpt_find(arena, domain, rua, &n) == DNS_FOUND;
}

/* The entries, out of the table; *from is their memory. */
static struct tls_report_row *take(struct arena **from, unsigned *taken)
{
    struct tls_report_row *rows;

    *from = memory ? memory : arena_new(SIZE_MAX);
    rows = arena_array(*from, count + 1, sizeof *rows);
    *taken = 0;
    for (unsigned i = 0; i < TABLE; i++)
        if (table[i])
            rows[(*taken)++] = *table[i];
    memset(table, 0, sizeof table);
    memory = NULL;
    count = 0;
    return rows;
}

static AWAITS void flush(void)
{
    struct arena *arena;
    struct tls_report_row *rows;
    unsigned n, wanted = 0;

    if (!count)
        return;
    rows = take(&arena, &n);
    for (unsigned i = 0; i < n; i++) {
        struct tls_report_row row = rows[i];

        if (is_wanted(arena, row.domain)) /* libunbound remembers, whatever it is */
            rows[wanted++] = row;
    }
    if (wanted && tls_report_add(arena, rows, wanted) != DB_DONE)
        log_info("sessions were not counted", log_int("count", wanted));
    arena_free(&arena);
}

void runner_tlsrpt_for_ever(void *arg)
{
    (void)arg;
    while (!runner_draining()) {
        task_sleep(FLUSH_MS);
        flush();
        runner_tlsrpt_send();
    }
}
