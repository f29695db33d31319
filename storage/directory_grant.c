/*
 * The relay grants of a client: one round trip, asked once for a transaction, and on port 25 only when a recipient is
 * not ours, unless it was remembered (storage/cache.h).  If one of them has limits a second one asks what was used of
 * them, and does so again at the end of data; that is never remembered, as what was used is what the overshoot of a
 * limit depends on.
 *
 * "The most specific kind" is worked out here and not in SQL: rows come ordered by a rank that is the kind's (and a
 * network's length), and reading stops where it changes.  So each of the parts can use its index.
 */
#include "storage/directory_grant.h"

#include <netinet/in.h>

#include "core/cidr.h"
#include "storage/cache.h"
#include "storage/db.h"
#include "storage/directory.h"
#include "storage/provision.h"

#define COLUMNS                                                                                                        \
    " g.id, g.customer_id, c.cell, c.state = 'active', g.senders, g.recipients,"                                       \
    " array_to_string(g.sender_domains, ' '), array_to_string(g.recipient_domains, ' '), coalesce(g.size_max, 0),"      \
    " coalesce(g.recipients_max, 0), g.at_limit, g.tls_required, g.counted_by = 'account',"                            \
    " coalesce(g.messages_per_minute, 0), coalesce(g.messages_per_hour, 0), coalesce(g.messages_per_day, 0),"          \
    " coalesce(g.recipients_per_minute, 0), coalesce(g.recipients_per_hour, 0), coalesce(g.recipients_per_day, 0),"    \
    " coalesce(g.bytes_per_day, 0), g.hold_seconds, g.hold_then"                                                                                    \
    " from relay_grant g join customer c on c.id = g.customer_id"
#define IN_TIME(parameter)                                                                                             \
    " (g.valid_from is null or g.valid_from <= coalesce(" parameter "::timestamptz, now()))"                           \
    " and (g.valid_until is null or coalesce(" parameter "::timestamptz, now()) < g.valid_until)"
#define OF_ALL "num_nonnulls(g.account_id, g.domain_id, g.network, g.certificate) = 0"
/* Which grants are in time changes with the clock, not with the directory. */
#define IN_TIME_MS 1000
#define LIMIT " limit 32"
_Static_assert(DIRECTORY_GRANTS_MAX == 32, "the limit of the statements");

static const struct db_statement of_account = {
    "directory_grants_account",
    "select case when g.account_id is not null then 0 when g.domain_id is not null then 1 else 2 end as rank," COLUMNS
    " where (g.account_id = $1::bigint or g.domain_id = $2::bigint"
    "        or g.customer_id = $3::bigint and " OF_ALL ")"
    "   and" IN_TIME("$4") " order by rank, g.id" LIMIT,
};
/* A certificate names one client, a network some.  Only networks that contain the same address are compared: the longest is the smallest. */
static const struct db_statement of_client = {
    "directory_grants_client",
    "select case when g.certificate is not null then -1 else coalesce(128 - masklen(g.network), 1000) end as rank," COLUMNS
    " where (g.network >>= $1::text::inet or g.certificate = $3::text"
    "        or " OF_ALL " and g.customer_id ="
    "           (select n.customer_id from network n where n.cidr >>= $1::text::inet"
    "             order by masklen(n.cidr) desc limit 1))"
    "   and" IN_TIME("$2") " order by rank, g.id" LIMIT,
};

static enum directory_senders senders_of(struct slice word)
{
    return slice_equal(word, SLICE("any"))       ? DIRECTORY_SENDERS_ANY
           : slice_equal(word, SLICE("domains")) ? DIRECTORY_SENDERS_DOMAINS
                                                 : DIRECTORY_SENDERS_OWN;
}

static enum directory_recipients recipients_of(struct slice word)
{
    return slice_equal(word, SLICE("any"))       ? DIRECTORY_RECIPIENTS_ANY
           : slice_equal(word, SLICE("domains")) ? DIRECTORY_RECIPIENTS_DOMAINS
                                                 : DIRECTORY_RECIPIENTS_CUSTOMER;
}

/* Seven columns: messages of a minute, an hour, a day, recipients likewise, bytes of a day.  True: not all are 0. */
static bool read_amounts(const struct rows *rows, unsigned row, unsigned first, struct directory_amounts *out)
{
    uint64_t any;

    for (unsigned i = 0; i < DIRECTORY_SPANS; i++) {
        out->messages[i] = (uint64_t)row_int64(rows, row, first + i);
        out->recipients[i] = (uint64_t)row_int64(rows, row, first + DIRECTORY_SPANS + i);
    }
    any = out->bytes_day = (uint64_t)row_int64(rows, row, first + 2 * DIRECTORY_SPANS);
    for (unsigned i = 0; i < DIRECTORY_SPANS; i++)
        any |= out->messages[i] | out->recipients[i];
    return any != 0;
}

static enum directory_limit at_limit_of(struct slice word)
{
    return slice_equal(word, SLICE("refuse")) ? DIRECTORY_LIMIT_REFUSE
           : slice_equal(word, SLICE("hold")) ? DIRECTORY_LIMIT_HOLD
                                              : DIRECTORY_LIMIT_DEFER;
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, int64_t account_id,
                     struct directory_grant *out)
{
    out->id = row_int64(rows, row, 1);
    out->customer_id = row_int64(rows, row, 2);
    out->cell = (unsigned)row_int64(rows, row, 3);
    out->customer_active = row_bool(rows, row, 4);
    out->senders = senders_of(row_text(rows, row, 5));
    out->recipients = recipients_of(row_text(rows, row, 6));
    out->sender_domains = provision_words(arena, row_text(rows, row, 7), &out->sender_domain_count);
    out->recipient_domains = provision_words(arena, row_text(rows, row, 8), &out->recipient_domain_count);
    out->size_max = (uint64_t)row_int64(rows, row, 9);
    out->recipients_max = (unsigned)row_int64(rows, row, 10);
    out->at_limit = at_limit_of(row_text(rows, row, 11));
    out->tls_required = row_bool(rows, row, 12);
    out->counted_for = row_bool(rows, row, 13) ? account_id : 0;
    out->counted = read_amounts(rows, row, 14, &out->limits);
    out->hold_ms = row_int64(rows, row, 21) * 1000;
    hold_then_parse(row_text(rows, row, 22), &out->hold_then);
}

#define OF(span, column) " coalesce(sum(u." column ") filter (where u." span " = date_trunc('" span "', now(), 'UTC')), 0)::bigint"

static const struct db_statement usage = {
    "directory_grants_usage",
    "select q.grant_id," OF("minute", "minute_messages") "," OF("hour", "hour_messages") "," OF("day", "day_messages") ","
    OF("minute", "minute_recipients") "," OF("hour", "hour_recipients") "," OF("day", "day_recipients") ","
    OF("day", "day_bytes")
    "  from unnest($1::smallint[], $2::bigint[], $3::bigint[]) q (cell, grant_id, account_id)"
    "  join relay_usage u on u.cell = q.cell and u.grant_id = q.grant_id and u.account_id = q.account_id"
    " group by q.grant_id",
};

/* Of those that have limits; none of them has: nothing is asked. */
AWAITS enum db_status directory_grants_usage(struct arena *arena, struct directory_grants *grants)
{
    int16_t cells[DIRECTORY_GRANTS_MAX];
    int64_t ids[DIRECTORY_GRANTS_MAX], accounts[DIRECTORY_GRANTS_MAX];
    unsigned n = 0;
    struct params params;
    struct rows *rows = NULL;

    for (unsigned i = 0; i < grants->count; i++)
        if (grants->list[i].counted) {
            cells[n] = (int16_t)grants->list[i].cell;
            ids[n] = grants->list[i].id;
            accounts[n++] = grants->list[i].counted_for;
        }
    if (!n)
        return DB_FOUND;
    params_init(&params, arena);
    params_int16s(&params, cells, n);
    params_int64s(&params, ids, n);
    params_int64s(&params, accounts, n);
    if (db_read(arena, &usage, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    for (unsigned i = 0; i < grants->count; i++)
        grants->list[i].used = (struct directory_amounts){0};
    for (unsigned row = 0; row < rows_count(rows); row++)
        for (unsigned i = 0; i < grants->count; i++)
            if (grants->list[i].id == row_int64(rows, row, 0))
                (void)read_amounts(rows, row, 1, &grants->list[i].used);
    return DB_FOUND;
}

static AWAITS enum db_status read_grants(struct arena *arena, const struct db_statement *statement,
                                         const struct params *params, int64_t account_id, struct directory_grants *out)
{
    struct rows *rows = NULL;

    if (cache_read(arena, statement, params, IN_TIME_MS, &rows) == DB_FAILED)
        return DB_FAILED;
    out->list = arena_array(arena, rows_count(rows) + 1, sizeof *out->list);
    while (out->count < rows_count(rows) && row_int64(rows, out->count, 0) == row_int64(rows, 0, 0)) {
        read_row(arena, rows, out->count, account_id, &out->list[out->count]);
        out->count++;
    }
    return directory_grants_usage(arena, out);
}

AWAITS enum db_status directory_grants_of_account(struct arena *arena, const struct directory_account *account,
                                                  int64_t at_ms, struct directory_grants *out)
{
    struct params params;

    *out = (struct directory_grants){0};
    params_init(&params, arena);
    params_int64(&params, account->id);
    params_int64(&params, account->domain_id);
    params_int64(&params, account->customer_id);
    params_time(&params, at_ms);
    return read_grants(arena, &of_account, &params, account->id, out);
}

AWAITS enum db_status directory_grants_of_client(struct arena *arena, const char *client, struct slice certificate,
                                                 int64_t at_ms, struct directory_grants *out)
{
    char address[INET6_ADDRSTRLEN];
    bool has_address = client && cidr_plain_address(client, address);
    struct params params;

    *out = (struct directory_grants){0};
    if (!has_address && !certificate.n)
        return DB_FOUND;
    params_init(&params, arena);
    params_text(&params, has_address ? slice_str(address) : slice_of(NULL, 0));
    params_time(&params, at_ms);
    params_text(&params, certificate.n ? certificate : slice_of(NULL, 0));
    return read_grants(arena, &of_client, &params, 0, out);
}
