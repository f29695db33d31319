/*
 * The read side of the directory: the look-ups between EHLO and RCPT.
 *
 * Each question is one prepared statement and one round trip, because that is what a RCPT costs the
 * sender's pipeline.  Answers are remembered while they hold (storage/cache.h); those of
 * directory_account() are not, as the account's secrets are in them.
 *
 * What a stranger sends may be any bytes.  Addresses, names and logins in the directory are printable
 * ASCII (storage/provision sees to it), so anything else is NONE without asking; PostgreSQL would refuse
 * bytes that are not UTF-8, and that refusal would look like a failure, a 451 for ever instead of a 550.
 *
 * The state of an account includes its customer's; a domain tells its customer's state separately,
 * because what that means differs for mail in (refuse) and mail out (refuse with other words).
 */
#include "storage/directory.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "storage/cache.h"
#include "storage/db.h"
#include "storage/provision.h"

static bool printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    return s.n > 0;
}

/* What follows the last '@': a quoted local part may contain others. */
static struct slice domain_part(struct slice address)
{
    const char *at = memrchr(address.p, '@', address.n);
    return at ? slice_skip(address, (size_t)(at - address.p) + 1) : slice_of(address.p, 0);
}

/* ------------------------------------------------------------------ accounts */

static const struct db_statement by_login = {
    "directory_account",
    "select a.id, a.customer_id, a.domain_id, a.inbox_id, a.cell, a.address,"
    "       case when c.state = 'active' then a.state else 'suspended' end, a.password_hash, a.scram_sha256"
    "  from account a join customer c on c.id = a.customer_id"
    " where a.address = $1::text",
};

static enum directory_state state_of(struct slice word)
{
    static const char *const words[] = {
        [DIRECTORY_ACTIVE] = "active",       [DIRECTORY_SUSPENDED] = "suspended", [DIRECTORY_RECEIVE_ONLY] = "receive-only",
        [DIRECTORY_SEND_ONLY] = "send-only", [DIRECTORY_CLOSED] = "closed",
    };
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(word, slice_str(words[i])))
            return (enum directory_state)i;
    return DIRECTORY_SUSPENDED; /* the table's constraint allows no other */
}

static void read_account(const struct rows *rows, unsigned row, unsigned first, struct directory_account *out)
{
    out->id = row_int64(rows, row, first);
    out->customer_id = row_int64(rows, row, first + 1);
    out->domain_id = row_int64(rows, row, first + 2);
    out->inbox_id = row_int64(rows, row, first + 3);
    out->cell = (unsigned)row_int64(rows, row, first + 4);
    out->address = row_text(rows, row, first + 5);
    out->state = state_of(row_text(rows, row, first + 6));
}

AWAITS enum db_status directory_account(struct arena *arena, struct slice login, struct directory_account *out)
{
    *out = (struct directory_account){0};
    if (!printable(login))
        return DB_NONE;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_text(&params, arena_lower(arena, login));
    enum db_status status = db_read(arena, &by_login, &params, &rows);
    if (status != DB_FOUND)
        return status;
    read_account(rows, 0, 0, out);
    out->password_hash = row_text(rows, 0, 7);
    out->scram_sha256 = row_text(rows, 0, 8);
    return DB_FOUND;
}

static const struct db_statement owns = {
    "directory_owns",
    "select 1 where exists (select from account where id = $1::bigint and address = $2::text)"
    "            or exists (select from alias where account_id = $1::bigint and address = $2::text)",
};

AWAITS enum db_status directory_owns(struct arena *arena, int64_t account_id, struct slice address)
{
    if (!printable(address))
        return DB_NONE;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, account_id);
    params_text(&params, arena_lower(arena, address));
    return cache_read(arena, &owns, &params, 0, &rows);
}

/* ------------------------------------------------------------------ domains and recipients */

#define DOMAIN_COLUMNS                                                                                                 \
    "d.id, d.customer_id, d.cell, d.name, d.kind = 'relay', dc.state = 'active',"                                      \
    " (select o.id from outage o where o.cell = d.cell and o.domain_id = d.id and o.ended_at is null)"

static const struct db_statement by_name = {
    "directory_domain",
    "select " DOMAIN_COLUMNS "  from domain d join customer dc on dc.id = d.customer_id"
    " where d.name = $1::text",
};

/* One row for each address: the left joins fill in what there is.  What an address is behind is one thing only. */
static const struct db_statement recipients = {
    "directory_recipients",
    "select " DOMAIN_COLUMNS ", a.id, a.customer_id, a.domain_id, a.inbox_id, a.cell, a.address,"
    "       case when ac.state = 'active' then a.state else 'suspended' end,"
    "       e.id, e.customer_id, e.cell, e.kind = 'group', e.senders,"
    "       (select string_agg(t.address, ' ' order by t.address) from expansion_target t where t.expansion_id = e.id)"
    "  from unnest($1::text[], $2::text[]) with ordinality q (address, name, nr)"
    "  left join domain d on d.name = q.name"
    "  left join customer dc on dc.id = d.customer_id"
    "  left join account a on a.id = coalesce((select id from account where address = q.address),"
    "                                         (select account_id from alias where address = q.address))"
    "  left join customer ac on ac.id = a.customer_id"
    "  left join expansion e on e.address = q.address"
    " order by q.nr",
};

static void read_domain(const struct rows *rows, unsigned row, struct directory_domain *out)
{
    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->cell = (unsigned)row_int64(rows, row, 2);
    out->name = row_text(rows, row, 3);
    out->kind = row_bool(rows, row, 4) ? DIRECTORY_RELAY : DIRECTORY_HOSTED;
    out->customer_active = row_bool(rows, row, 5);
    out->outage_id = row_is_null(rows, row, 6) ? 0 : row_int64(rows, row, 6);
}

AWAITS enum db_status directory_domain(struct arena *arena, struct slice name, struct directory_domain *out)
{
    *out = (struct directory_domain){0};
    if (!printable(name))
        return DB_NONE;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_text(&params, arena_lower(arena, name));
    enum db_status status = cache_read(arena, &by_name, &params, 0, &rows);
    if (status == DB_FOUND)
        read_domain(rows, 0, out);
    return status;
}

static void read_expansion(struct arena *arena, const struct rows *rows, unsigned row, unsigned first,
                           struct directory_expansion *out)
{
    struct slice senders = row_text(rows, row, first + 4);

    out->id = row_int64(rows, row, first);
    out->customer_id = row_int64(rows, row, first + 1);
    out->cell = (unsigned)row_int64(rows, row, first + 2);
    out->group = row_bool(rows, row, first + 3);
    out->senders = slice_equal(senders, SLICE("members"))    ? DIRECTORY_POSTERS_MEMBERS
                   : slice_equal(senders, SLICE("customer")) ? DIRECTORY_POSTERS_CUSTOMER
                                                             : DIRECTORY_POSTERS_ANYONE;
    out->targets = provision_words(arena, row_text(rows, row, first + 5), &out->target_count);
}

static void read_recipient(struct arena *arena, const struct rows *rows, unsigned row, struct directory_recipient *out)
{
    out->has_domain = !row_is_null(rows, row, 0);
    if (out->has_domain)
        read_domain(rows, row, &out->domain);
    out->has_account = !row_is_null(rows, row, 7);
    if (out->has_account)
        read_account(rows, row, 7, &out->account);
    out->has_expansion = !row_is_null(rows, row, 14);
    if (out->has_expansion)
        read_expansion(arena, rows, row, 14, &out->expansion);
}

AWAITS enum db_status directory_recipients(struct arena *arena, const struct slice *addresses, unsigned count,
                                           struct directory_recipient *out)
{
    struct slice *lower = arena_array(arena, count, sizeof *lower), *names = arena_array(arena, count, sizeof *names);
    struct params params;
    struct rows *rows = NULL;

    memset(out, 0, count * sizeof *out);
    for (unsigned i = 0; i < count; i++) {
        if (!printable(addresses[i]))
            continue; /* null: there is nothing */
        lower[i] = arena_lower(arena, addresses[i]);
        names[i] = domain_part(lower[i]);
    }
    if (count == 1 && !lower[0].p)
        return DB_FOUND;
    params_init(&params, arena);
    params_texts(&params, lower, count);
    params_texts(&params, names, count);
    enum db_status status = cache_read(arena, &recipients, &params, 0, &rows);
    if (status != DB_FOUND || rows_count(rows) != count)
        return DB_FAILED; /* the statement always gives a row for each, so NONE cannot be */
    for (unsigned i = 0; i < count; i++)
        read_recipient(arena, rows, i, &out[i]);
    return DB_FOUND;
}

AWAITS enum db_status directory_recipient(struct arena *arena, struct slice address, struct directory_recipient *out)
{
    return directory_recipients(arena, &address, 1, out);
}

/* ------------------------------------------------------------------ networks */

static const struct db_statement containing = {
    "directory_network",
    "select n.id, n.customer_id, c.cell, c.state = 'active'"
    "  from network n join customer c on c.id = n.customer_id"
    " where n.cidr >>= $1::text::inet"
    " order by masklen(n.cidr) desc limit 1",
};

/*
 * The form that PostgreSQL compares with: no zone ("fe80::1%eth0"), and an IPv4 client of an IPv6 socket
 * ("::ffff:192.0.2.1") is what it is.  False: not an address (a client on a UNIX socket).
 */
bool directory_client_address(const char *client, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr bytes; /* aligned, as the macro below wants it */
    size_t n = strcspn(client, "%");
    if (n >= INET6_ADDRSTRLEN)
        return false;
    snprintf(out, INET6_ADDRSTRLEN, "%.*s", (int)n, client);
    if (inet_pton(AF_INET, out, &bytes) == 1)
        return true;
    if (inet_pton(AF_INET6, out, &bytes) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&bytes))
        return inet_ntop(AF_INET, bytes.s6_addr + 12, out, INET6_ADDRSTRLEN) != NULL;
    return true;
}

AWAITS enum db_status directory_network(struct arena *arena, const char *client, struct directory_network *out)
{
    char address[INET6_ADDRSTRLEN];
    *out = (struct directory_network){0};
    if (!client || !directory_client_address(client, address))
        return DB_NONE;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_text(&params, slice_str(address));
    enum db_status status = cache_read(arena, &containing, &params, 0, &rows);
    if (status != DB_FOUND)
        return status;
    out->id = row_int64(rows, 0, 0);
    out->customer_id = row_int64(rows, 0, 1);
    out->cell = (unsigned)row_int64(rows, 0, 2);
    out->customer_active = row_bool(rows, 0, 3);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ next hops */

/* Not remembered: it costs a connection to a server anyway, and one to a hop that was just replaced begins a back-off. */
static const struct db_statement hops = {
    "directory_hops",
    "select host, port, priority from next_hop where domain_id = $1::bigint order by priority, host, port",
};

AWAITS enum db_status directory_hops(struct arena *arena, int64_t domain_id, struct directory_hop **out,
                                     unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, domain_id);
    enum db_status status = db_read(arena, &hops, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct directory_hop){
            .host = arena_slicedup(arena, row_text(rows, i, 0)),
            .port = (unsigned)row_int64(rows, i, 1),
            .priority = (unsigned)row_int64(rows, i, 2),
        };
    return DB_FOUND;
}
