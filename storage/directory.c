/*
 * The read side of the directory: the look-ups between EHLO and RCPT.
 *
 * Each question is one prepared statement and one round trip, because that is what a RCPT costs the
 * sender's pipeline.  Answers are remembered while they hold (storage/cache.h); those of
 * directory_account() are not, as the account's secrets are in them.
 *
 * What a stranger sends may be any bytes.  Addresses, names and logins in the directory are UTF-8 without control
 * characters (storage/provision sees to it), so anything else is NONE without asking; PostgreSQL would refuse
 * bytes that are not UTF-8, and that refusal would look like a failure, a 451 for ever instead of a 550.
 * What is asked is the one spelling that the directory has (storage/name.h).
 *
 * The state of an account includes its customer's; a domain tells its customer's state separately,
 * because what that means differs for mail in (refuse) and mail out (refuse with other words).
 */
#include "storage/directory.h"

#include "core/cidr.h"
#include "core/idn.h"
#include "storage/cache.h"
#include "storage/db.h"
#include "storage/name.h"
#include "storage/provision.h"

static bool printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && idn_is_utf8(s);
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
    "       case when c.state = 'active' then a.state else 'suspended' end, a.password_hash, a.scram_sha256, a.scram_sha1,"
    "       a.password_primary_at is not null"
    "  from account a join customer c on c.id = a.customer_id"
    " where a.address = $1::text",
};

static enum directory_state state_of(struct slice word)
{
    static const char *const words[] = {
        [DIRECTORY_ACTIVE] = "active",
        [DIRECTORY_SUSPENDED] = "suspended",
        [DIRECTORY_RECEIVE_ONLY] = "receive-only",
        [DIRECTORY_SEND_ONLY] = "send-only",
        [DIRECTORY_CLOSED] = "closed",
        [DIRECTORY_CONTINUITY] = "continuity",
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
    params_text(&params, name_key(arena, login));
    enum db_status status = db_read(arena, &by_login, &params, &rows);
    if (status != DB_FOUND)
        return status;
    read_account(rows, 0, 0, out);
    out->password_hash = row_text(rows, 0, 7);
    out->scram_sha256 = row_text(rows, 0, 8);
    out->scram_sha1 = row_text(rows, 0, 9);
    out->password_primary = row_bool(rows, 0, 10);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ domains and recipients */

#define DOMAIN_COLUMNS                                                                                                 \
    "d.id, d.customer_id, d.cell, d.name, d.kind, dc.state = 'active',"                                                \
    " (select o.id from outage o where o.cell = d.cell and o.domain_id = d.id and o.ended_at is null),"                \
    " d.kind = 'hosted' and (d.route_id is not null or exists (select from next_hop h where h.domain_id = d.id)),"     \
    " d.recipients,"                                                                                                   \
    " d.unknown_while_away = 'accept'"

static const struct db_statement by_name = {
    "directory_domain",
    "select " DOMAIN_COLUMNS "  from domain d join customer dc on dc.id = d.customer_id"
    " where d.name = $1::text",
};

/*
 * One row for each address: the left joins fill in what there is.  What an address is behind is one thing only.
 * f.exact is the address, in the target if its domain is an alias; f.base is what stands before the first separator,
 * null without one.
 */
static const struct db_statement recipients = {
    "directory_recipients",
    "select " DOMAIN_COLUMNS ", a.id, a.customer_id, a.domain_id, a.inbox_id, a.cell, a.address,"
    "       case when ac.state = 'active' then a.state else 'suspended' end,"
    "       e.id, e.customer_id, e.cell, e.kind = 'group', e.senders,"
    "       (select string_agg(t.address, ' ' order by t.address) from expansion_target t where t.expansion_id = e.id),"
    "       case when n.target_id is not null then f.exact end, d.catch_all,"
    "       d.recipients <> 'any' and exists (select from recipient_listed r where r.domain_id = d.id"
    "                                            and r.address in (f.exact, f.base))"
    "  from unnest($1::text[], $2::text[]) with ordinality q (address, name, nr)"
    "  left join domain n on n.name = q.name"
    "  left join domain d on d.id = coalesce(n.target_id, n.id)"
    "  left join customer dc on dc.id = d.customer_id"
    " cross join lateral (select left(q.address, length(q.address) - length(q.name) - 1)) l (local)"
    " cross join lateral (select least(nullif(strpos(l.local, nullif(left(d.subaddress_separator, 1), '')), 0),"
    "                                  nullif(strpos(l.local, nullif(substr(d.subaddress_separator, 2), '')), 0))) s (at)"
    " cross join lateral (select l.local || '@' || d.name,"
    "                            case when s.at > 1 then left(l.local, s.at - 1) || '@' || d.name end) f (exact, base)"
    "  left join expansion x on x.address = f.exact"
    "  left join account a on a.id = coalesce("
    "       (select id from account where address = f.exact), (select account_id from alias where address = f.exact),"
    "       case when x.id is null then (select id from account where address = f.base) end,"
    "       case when x.id is null then (select account_id from alias where address = f.base) end)"
    "  left join customer ac on ac.id = a.customer_id"
    "  left join expansion e on e.address = coalesce(x.address, f.base) and a.id is null"
    " order by q.nr",
};

static enum directory_kind kind_of(struct slice word)
{
    return slice_equal(word, SLICE("relay"))   ? DIRECTORY_RELAY
           : slice_equal(word, SLICE("alias")) ? DIRECTORY_ALIAS
                                               : DIRECTORY_HOSTED;
}

static enum directory_valid valid_of(struct slice word)
{
    return slice_equal(word, SLICE("learned"))  ? DIRECTORY_VALID_LEARNED
           : slice_equal(word, SLICE("listed")) ? DIRECTORY_VALID_LISTED
                                                : DIRECTORY_VALID_ANY;
}

static void read_domain(const struct rows *rows, unsigned row, struct directory_domain *out)
{
    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->cell = (unsigned)row_int64(rows, row, 2);
    out->name = row_text(rows, row, 3);
    out->kind = kind_of(row_text(rows, row, 4));
    out->customer_active = row_bool(rows, row, 5);
    out->outage_id = row_is_null(rows, row, 6) ? 0 : row_int64(rows, row, 6);
    out->elsewhere = row_bool(rows, row, 7);
    out->valid = valid_of(row_text(rows, row, 8));
    out->accept_unknown = row_bool(rows, row, 9);
}

AWAITS enum db_status directory_domain(struct arena *arena, struct slice name, struct directory_domain *out)
{
    *out = (struct directory_domain){0};
    if (!printable(name))
        return DB_NONE;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    struct slice key;
    params_text(&params, idn_domain(arena, name, &key) ? key : arena_lower(arena, name));
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

/* What nobody has goes where the catch-all says: it is an alias of that one. */
static void make_catch_all(struct arena *arena, struct slice target, struct directory_recipient *out)
{
    out->has_expansion = true;
    out->expansion = (struct directory_expansion){
        .id = out->domain.id,
        .customer_id = out->domain.customer_id,
        .cell = out->domain.cell,
        .catch_all = true,
        .targets = arena_memdup(arena, &target, sizeof target),
        .target_count = 1,
    };
}

enum {
    COLUMN_ACCOUNT = 10, /* behind DOMAIN_COLUMNS */
    COLUMN_EXPANSION = COLUMN_ACCOUNT + 7,
    COLUMN_ADDRESS = COLUMN_EXPANSION + 6,
    COLUMN_CATCH_ALL,
    COLUMN_LISTED,
};

static void read_recipient(struct arena *arena, const struct rows *rows, unsigned row, struct directory_recipient *out)
{
    out->has_domain = !row_is_null(rows, row, 0);
    if (!out->has_domain)
        return;
    read_domain(rows, row, &out->domain);
    out->address = row_text(rows, row, COLUMN_ADDRESS);
    out->listed = row_bool(rows, row, COLUMN_LISTED);
    out->has_account = !row_is_null(rows, row, COLUMN_ACCOUNT);
    if (out->has_account)
        read_account(rows, row, COLUMN_ACCOUNT, &out->account);
    out->has_expansion = !row_is_null(rows, row, COLUMN_EXPANSION);
    if (out->has_expansion)
        read_expansion(arena, rows, row, COLUMN_EXPANSION, &out->expansion);
    if (!out->has_account && !out->has_expansion && !row_is_null(rows, row, COLUMN_CATCH_ALL))
        make_catch_all(arena, row_text(rows, row, COLUMN_CATCH_ALL), out);
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
        lower[i] = name_key(arena, addresses[i]);
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

AWAITS enum db_status directory_network(struct arena *arena, const char *client, struct directory_network *out)
{
    char address[INET6_ADDRSTRLEN];
    *out = (struct directory_network){0};
    if (!client || !cidr_plain_address(client, address))
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
