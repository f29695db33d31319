/*
 * delivery_policy: the list in memory.
 *
 * Policies are few, asked for each recipient at the door and each time that one is put off, and changed seldom: all
 * are kept, sorted by domain, and looked for by bisection.  When they are read: storage/known.c.  A policy is a
 * domain's own, not that of those below it.
 *
 * The lifetime is written into the queue entry when it is accepted, so a change counts for mail that comes later; the
 * times between tries are asked for at each failure, so a change counts from the next one on.
 */
#include "storage/delivery_policy.h"

#include <stdlib.h>
#include <string.h>

#include "storage/db.h"
#include "storage/name.h"

static struct arena *memory;
static struct delivery_policy *list;
static unsigned count;

/* ------------------------------------------------------------------ asking */

static int compare(const void *a, const void *b)
{
    const struct delivery_policy *x = a, *y = b;
    size_t n = x->domain.n < y->domain.n ? x->domain.n : y->domain.n;
    int order = n ? memcmp(x->domain.p, y->domain.p, n) : 0;

    return order ? order : (x->domain.n > y->domain.n) - (x->domain.n < y->domain.n);
}

void delivery_policy_merge(const struct delivery_policy *policy, struct delivery_times *times)
{
    if (policy->lifetime != DELIVERY_POLICY_NOT_SET)
        times->lifetime_ms = policy->lifetime * INT64_C(1000);
    if (policy->delay_notice != DELIVERY_POLICY_NOT_SET)
        times->delay_notice_ms = policy->delay_notice * INT64_C(1000);
    if (policy->retry_first != DELIVERY_POLICY_NOT_SET)
        times->retry_first_ms = (uint64_t)policy->retry_first * 1000;
    if (policy->retry_max != DELIVERY_POLICY_NOT_SET)
        times->retry_max_ms = (uint64_t)policy->retry_max * 1000;
    if (times->retry_first_ms <= times->retry_max_ms)
        return;
    if (policy->retry_max == DELIVERY_POLICY_NOT_SET)
        times->retry_max_ms = times->retry_first_ms;
    else
        times->retry_first_ms = times->retry_max_ms;
}

/* NULL: the recipient's domain has none. */
static const struct delivery_policy *find(struct slice recipient)
{
    bool address = recipient.n && memchr(recipient.p, '@', recipient.n);
    struct slice domain = address ? name_address_domain(recipient) : recipient;
    struct delivery_policy key = {.domain = {NULL, 0}};
    const struct delivery_policy *found;
    struct arena *arena;

    if (!count)
        return NULL;
    arena = arena_new(SIZE_MAX);
    found = name_domain(arena, domain, &key.domain) ? bsearch(&key, list, count, sizeof *list, compare) : NULL;
    arena_free(&arena);
    return found;
}

void delivery_policy_apply(struct slice recipient, struct delivery_times *times)
{
    const struct delivery_policy *policy = find(recipient);

    if (policy)
        delivery_policy_merge(policy, times);
}

void delivery_policy_limit(struct slice recipient, struct delivery_limits *limits)
{
    const struct delivery_policy *policy = find(recipient);

    if (policy && policy->transaction_recipients != DELIVERY_POLICY_NOT_SET)
        limits->recipients = (unsigned)policy->transaction_recipients;
    if (policy && policy->connection_messages != DELIVERY_POLICY_NOT_SET)
        limits->messages = (unsigned)policy->connection_messages;
}

enum delivery_tls delivery_policy_tls(struct slice recipient)
{
    const struct delivery_policy *policy = find(recipient);

    return policy ? policy->tls : DELIVERY_TLS_NOT_SET;
}

static const char *const words[] = {
    [DELIVERY_TLS_NONE] = "none",     [DELIVERY_TLS_MAY] = "may",   [DELIVERY_TLS_ENCRYPT] = "encrypt",
    [DELIVERY_TLS_VERIFY] = "verify", [DELIVERY_TLS_DANE] = "dane", [DELIVERY_TLS_STS] = "sts"};

const char *delivery_tls_word(enum delivery_tls tls)
{
    return words[tls];
}

bool delivery_tls_of(struct slice word, enum delivery_tls *out)
{
    for (unsigned i = DELIVERY_TLS_NONE; i <= DELIVERY_TLS_STS; i++)
        if (slice_equal(word, slice_str(words[i]))) {
            *out = (enum delivery_tls)i;
            return true;
        }
    return false;
}

/* ------------------------------------------------------------------ knowing */

static const struct db_statement read_list = {
    "delivery_policy_list",
    "select domain, coalesce(lifetime, -1), coalesce(delay_notice, -1), coalesce(retry_first, -1),"
    "       coalesce(retry_max, -1), tls, coalesce(transaction_recipients, -1), coalesce(connection_messages, -1)"
    "  from delivery_policy order by id limit $1::integer",
};

/* A word that this program does not know is a newer node's, and means no less than the strictest that it does. */
static enum delivery_tls read_tls(const struct rows *rows, unsigned row)
{
    enum delivery_tls tls = DELIVERY_TLS_VERIFY;

    if (row_is_null(rows, row, 5))
        return DELIVERY_TLS_NOT_SET;
    return delivery_tls_of(row_text(rows, row, 5), &tls) ? tls : DELIVERY_TLS_VERIFY;
}

AWAITS enum db_status delivery_policy_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int32(&params, 2 * DELIVERY_POLICIES_MAX);
    if (db_read(arena, &read_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    arena_free(&memory);
    memory = arena_new(SIZE_MAX);
    count = rows_count(rows);
    list = arena_array(memory, count + 1, sizeof *list);
    for (unsigned i = 0; i < count; i++)
        list[i] = (struct delivery_policy){
            .domain = arena_slice(memory, row_text(rows, i, 0)),
            .lifetime = (int32_t)row_int64(rows, i, 1),
            .delay_notice = (int32_t)row_int64(rows, i, 2),
            .retry_first = (int32_t)row_int64(rows, i, 3),
            .retry_max = (int32_t)row_int64(rows, i, 4),
            .tls = read_tls(rows, i),
            .transaction_recipients = (int32_t)row_int64(rows, i, 6),
            .connection_messages = (int32_t)row_int64(rows, i, 7),
        };
    qsort(list, count, sizeof *list, compare);
    return DB_FOUND;
}
