/*
 * outage_account: who reads the mail of an outage that nobody was to read when it was accepted.
 *
 * Who gets an account: a recipient that the domain's list has, or that its primary has said to exist (learned), not one
 * that merely got mail: else each guessed address would be one.  A primary that takes every address has said nothing.
 * Subaddresses are their owner's.  An address that is an alias or a group is somebody's already.
 *
 * An account, its mailboxes, and its mail are one transaction, as in provision_account.c, and under the same locks of
 * addresses, so that an administrator who makes the same account at the same time is told that it exists.  The
 * customer's row is locked before it is counted.  The transaction may be repeated: what is there is passed over.
 *
 * Entries are looked through in pages by id; who calls remembers where, and looks again from the beginning now and
 * then.  Rejected: an index of entries without an account, to be kept for every message to every relay domain, for what
 * is asked in outages only.
 */
#include "storage/outage_account.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "storage/cache.h"
#include "storage/continuity_policy.h"
#include "storage/db.h"
#include "storage/directory.h"
#include "storage/learned.h"
#include "storage/name.h"
#include "storage/provision_address.h"
#include "storage/provision_adopt.h"
#include "storage/provision_mailbox.h"

#define PAGE 500
#define TRIES 5

static unsigned customer_max = 50000;

void outage_account_configure(unsigned max)
{
    customer_max = max;
}

/* ------------------------------------------------------------------ making */

static const struct db_statement lock_customer = {
    "outage_account_customer",
    "select c.id from customer c join domain d on d.customer_id = c.id where d.id = $1::bigint for no key update of c"};
static const struct db_statement insert = {
    "outage_account_insert",
    "insert into account (id, cell, customer_id, domain_id, address, inbox_id, state)"
    " select n.id, d.cell, d.customer_id, d.id, n.address, n.inbox_id, 'continuity'"
    "   from (select *, substr(regexp_replace(u.address, '@[^@]*$', ''), 2) as rest"
    "           from unnest($2::bigint[], $3::text[], $4::bigint[]) with ordinality u (id, address, inbox_id, nr)) n"
    "   join domain d on d.id = $1::bigint and d.kind = 'relay'"
    "  where not exists (select from account where address = n.address)"
    "    and not exists (select from alias where address = n.address)"
    "    and not exists (select from expansion where address = n.address)"
    "    and translate(n.rest, coalesce(d.subaddress_separator, ''), '') = n.rest" /* a subaddress is its owner's */
    "  order by n.nr"
    "  limit greatest(0, least($5::integer - (select count(*) from account a where a.domain_id = $1::bigint"
    "                                           and a.state = 'continuity'),"
    "                          $6::integer - (select count(*) from account a join domain d on d.id = $1::bigint"
    "                                          where a.customer_id = d.customer_id and a.state = 'continuity')))"
    " on conflict (address) do nothing"};
static const struct db_statement give = {
    "outage_account_give",
    "update queue_entry q set account_id = a.id"
    "  from unnest($2::bigint[], $3::text[]) e (id, address)"
    "  join account a on a.id = coalesce((select id from account where address = e.address),"
    "                                    (select account_id from alias where address = e.address))"
    " where q.id = e.id and q.cell + 0 = $1::smallint and q.account_id is null and not q.shown"};

/* In the order in which reports lock them: what is given may be on its way. */
static const struct db_statement lock_entries = {
    "outage_account_lock",
    "select id from queue_entry where cell = $1::smallint and id = any($2::bigint[]) order by id for update"};

static AWAITS enum db_write make_once(struct arena *arena, const struct outage_account_wish *wish, unsigned *made,
                                      unsigned *given)
{
    struct db_unit *unit = db_unit_new(arena);
    unsigned cell = id_cell(wish->domain_id), insert_step, give_step;
    int64_t ids[OUTAGE_ACCOUNT_BATCH], inboxes[OUTAGE_ACCOUNT_BATCH];
    struct params *p;
    enum db_write written;

    for (unsigned i = 0; i < wish->count; i++) {
        ids[i] = id_make(cell);
        inboxes[i] = id_make(cell);
    }
    insert_step = give_step = 0;
    if (wish->entry_count) {
        p = db_unit_add(unit, &lock_entries);
        params_int16(p, (int16_t)cell);
        params_int64s(p, wish->entries, wish->entry_count);
    }
    if (wish->count) {
        provision_address_lock(unit, wish->addresses, wish->count);
        params_int64(db_unit_add(unit, &lock_customer), wish->domain_id);
        insert_step = unit->count;
        p = db_unit_add(unit, &insert);
        params_int64(p, wish->domain_id);
        params_int64s(p, ids, wish->count);
        params_texts(p, wish->addresses, wish->count);
        params_int64s(p, inboxes, wish->count);
        params_int32(p, (int32_t)wish->domain_max);
        params_int32(p, (int32_t)customer_max);
        provision_mailbox_add(unit, ids, inboxes, wish->count);
        provision_adopt_add(unit, ids, wish->count);
    }
    if (wish->entry_count) {
        give_step = unit->count;
        p = db_unit_add(unit, &give);
        params_int16(p, (int16_t)cell);
        params_int64s(p, wish->entries, wish->entry_count);
        params_texts(p, wish->readers, wish->entry_count);
    }
    written = db_unit_run(unit);
    if (written == DB_DONE && wish->count)
        *made = rows_affected(unit->steps[insert_step].rows);
    if (written == DB_DONE && wish->entry_count)
        *given = rows_affected(unit->steps[give_step].rows);
    if (wish->count)
        cache_outdate(); /* the next RCPT knows */
    return written;
}

AWAITS enum db_write outage_account_make(const struct outage_account_wish *wish, unsigned *made, unsigned *given)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_CONFLICT;

    *made = *given = 0;
    if (!wish->count && !wish->entry_count)
        written = DB_DONE;
    for (unsigned tries = 0; tries < TRIES && written == DB_CONFLICT; tries++) {
        arena_reset(arena);
        written = make_once(arena, wish, made, given);
    }
    arena_free(&arena);
    return written;
}

/* ------------------------------------------------------------------ what the domain wants */

static const struct db_statement separators = {
    "outage_account_domain", "select subaddress_separator, recipients from domain where id = $1::bigint"
                             " and kind = 'relay'"};

struct wants {
    bool accounts; /* known recipients get one */
    unsigned max;
    struct slice separators;
    bool learns;
};

/* NONE: it is no relay domain. */
static AWAITS enum db_status read_wants(struct arena *arena, int64_t domain_id, struct wants *out)
{
    struct continuity_policy policy;
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int64(&params, domain_id);
    status = cache_read(arena, &separators, &params, 0, &rows);
    if (status != DB_FOUND)
        return status;
    if (continuity_policy_of(arena, domain_id, &policy) != DB_FOUND)
        return DB_FAILED;
    *out = (struct wants){
        .accounts = policy.accounts == CONTINUITY_ACCOUNTS_KNOWN,
        .max = (unsigned)policy.accounts_max,
        .separators = row_text(rows, 0, 0),
        .learns = slice_equal(row_text(rows, 0, 1), SLICE("learned")),
    };
    return DB_FOUND;
}

/* "ann+news@x.test": "ann@x.test".  False: the address has no subaddress. */
static bool base_of(struct arena *arena, const struct wants *wants, struct slice address, struct slice *base)
{
    struct slice domain = name_address_domain(address);
    size_t local = address.n - domain.n - 1;

    for (size_t i = 1; i < local; i++)
        if (wants->separators.n && memchr(wants->separators.p, address.p[i], wants->separators.n)) {
            *base = slice_str(arena_printf(arena, "%.*s@%.*s", (int)i, address.p, SLICE_ARG(domain)));
            return true;
        }
    return false;
}

/* ------------------------------------------------------------------ entries without an account */

/* A page of the domain's entries: those without an account, and, in a last row, where it ends. */
static const struct db_statement orphans = {
    "outage_account_orphans",
    "with page as (select id, recipient, account_id is null and not shown as orphan from queue_entry"
    "               where (domain_id, id) > ($2::bigint, $3::bigint)" /* storage/queue_internal.h */
    "                 and (domain_id, id) < ($2::bigint, 9223372036854775807) and cell + 0 = $1::smallint and domain_id is not null"
    "               order by domain_id, id limit $4::integer)"
    " (select id, recipient, 0::bigint from page where orphan order by recipient)"
    " union all select max(id), null, count(*) from page"};

/* Entries without an account and their recipients, each address once: of one address there may be very many. */
struct orphans {
    const int64_t *ids;
    const unsigned *whose; /* of each: its address's place */
    unsigned count;
    const struct slice *addresses;
    unsigned address_count;
};

static struct orphans read_orphans(struct arena *arena, const struct rows *rows, unsigned count)
{
    int64_t *ids = arena_array(arena, count + 1, sizeof *ids);
    unsigned *whose = arena_array(arena, count + 1, sizeof *whose), n = 0;
    struct slice *addresses = arena_array(arena, count + 1, sizeof *addresses);

    for (unsigned i = 0; i < count; i++) {
        struct slice address = row_text(rows, i, 1);

        ids[i] = row_int64(rows, i, 0);
        if (!n || !slice_equal(addresses[n - 1], address)) /* they are in the order of their recipients */
            addresses[n++] = address;
        whose[i] = n - 1;
    }
    return (struct orphans){ids, whose, count, addresses, n};
}

/* Which of the addresses are known recipients: listed, or said to exist by a primary that means it. */
static AWAITS enum db_status are_known(struct arena *arena, int64_t domain_id, const struct wants *wants,
                                       const struct slice *addresses, const struct directory_recipient *found,
                                       unsigned count, bool *known)
{
    struct learned *learned = arena_array(arena, count, sizeof *learned);

    if (wants->learns && learned_find(arena, domain_id, addresses, count, true, learned) != DB_FOUND)
        return DB_FAILED;
    for (unsigned i = 0; i < count; i++)
        known[i] = found[i].listed || (learned[i].known && learned[i].valid && !learned[i].accepts_all);
    return DB_FOUND;
}

static bool is_wanted(const struct slice *wanted, unsigned count, struct slice address)
{
    for (unsigned i = 0; i < count; i++)
        if (slice_equal(wanted[i], address))
            return true;
    return false;
}

/* Who reads each address's mail, as far as he is there or may be made: readers. */
static AWAITS enum db_status find_readers(struct arena *arena, const struct wants *wants, const struct orphans *of,
                                          struct outage_account_wish *wish, struct slice *wanted, struct slice *readers)
{
    struct directory_recipient *found = arena_array(arena, of->address_count, sizeof *found);
    bool *known = arena_array(arena, of->address_count, sizeof *known);

    if (directory_recipients(arena, of->addresses, of->address_count, found) != DB_FOUND)
        return DB_FAILED;
    if (wants->accounts &&
        are_known(arena, wish->domain_id, wants, of->addresses, found, of->address_count, known) != DB_FOUND)
        return DB_FAILED;
    for (unsigned i = 0; i < of->address_count; i++) {
        struct slice checked;

        readers[i] = (struct slice){NULL, 0};
        if (found[i].has_account) {
            readers[i] = found[i].account.address;
        } else if (known[i] && !found[i].has_expansion && wish->count < OUTAGE_ACCOUNT_BATCH &&
                   name_address(arena, of->addresses[i], &checked)) {
            if (!base_of(arena, wants, checked, &readers[i]))
                readers[i] = checked;
            if (!is_wanted(wanted, wish->count, readers[i]))
                wanted[wish->count++] = readers[i];
        }
    }
    return DB_FOUND;
}

/* What is to be made and given.  wish: its domain is set. */
static AWAITS enum db_status wish_for(struct arena *arena, const struct wants *wants, const struct orphans *of,
                                      struct outage_account_wish *wish)
{
    struct slice *wanted = arena_array(arena, of->address_count, sizeof *wanted);
    struct slice *readers = arena_array(arena, of->address_count, sizeof *readers);
    struct slice *of_entries = arena_array(arena, of->count, sizeof *of_entries);
    int64_t *entries = arena_array(arena, of->count, sizeof *entries);

    if (find_readers(arena, wants, of, wish, wanted, readers) != DB_FOUND)
        return DB_FAILED;
    for (unsigned i = 0; i < of->count; i++)
        if (readers[of->whose[i]].p) {
            entries[wish->entry_count] = of->ids[i];
            of_entries[wish->entry_count++] = readers[of->whose[i]];
        }
    wish->addresses = wanted;
    wish->entries = entries;
    wish->readers = of_entries;
    return DB_FOUND;
}

static AWAITS enum db_write give_page(struct arena *arena, int64_t domain_id, const struct wants *wants,
                                      struct outage_account_page *page)
{
    struct outage_account_wish wish = {.domain_id = domain_id, .domain_max = wants->max};
    struct params params;
    struct rows *rows = NULL;
    unsigned last;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    params_int64(&params, page->after);
    params_int32(&params, PAGE);
    if (db_read(arena, &orphans, &params, &rows) != DB_FOUND)
        return DB_UNDONE; /* there is always a last row */
    last = rows_count(rows) - 1;
    if (row_is_null(rows, last, 0))
        return DB_DONE; /* the end */
    if (last) {
        struct orphans of = read_orphans(arena, rows, last);

        if (wish_for(arena, wants, &of, &wish) != DB_FOUND)
            return DB_UNDONE;
    }
    enum db_write written = outage_account_make(&wish, &page->made, &page->given);
    if (written == DB_DONE) {
        bool full = wish.count == OUTAGE_ACCOUNT_BATCH; /* there may be more to make among these */

        page->more = full || row_int64(rows, last, 2) == PAGE;
        if (!full)
            page->after = row_int64(rows, last, 0);
        else if (!page->made && !page->given)
            page->after = row_int64(rows, last, 0); /* a limit is reached */
    }
    return written;
}

AWAITS enum db_write outage_account_give(int64_t domain_id, struct outage_account_page *page)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    struct wants wants;

    page->more = false;
    page->given = page->made = 0;
    switch (read_wants(arena, domain_id, &wants)) {
    case DB_FOUND: written = give_page(arena, domain_id, &wants, page); break;
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    return written;
}

/* ------------------------------------------------------------------ known recipients without mail */

#define NOBODYS                                                                                                        \
    "not exists (select from account where address = k.address)"                                                       \
    " and not exists (select from alias where address = k.address)"                                                    \
    " and not exists (select from expansion where address = k.address)"

static const struct db_statement known_next = {
    "outage_account_known",
    "select address from ("
    " (select k.address from recipient_listed k where k.domain_id = $2::bigint and k.address > $3::text and " NOBODYS
    "   order by k.address limit $4::integer)"
    " union"
    " (select k.address from recipient_learned k where k.cell = $1::smallint and k.domain_id = $2::bigint and k.valid"
    "     and k.address > $3::text and $5::boolean"
    "     and not exists (select from recipient_probe p where p.cell = k.cell and p.domain_id = k.domain_id and p.accepts_all)"
    "     and " NOBODYS " order by k.address limit $4::integer)) u"
    " order by address limit $4::integer"};

static void move_on(char **after, struct slice address)
{
    free(*after);
    *after = address.p ? strndup(address.p, address.n) : NULL;
    if (address.p && !*after)
        abort();
}

static AWAITS enum db_write make_known(struct arena *arena, int64_t domain_id, const struct wants *wants, char **after,
                                       unsigned *made)
{
    struct outage_account_wish wish = {.domain_id = domain_id, .domain_max = wants->max};
    struct slice wanted[OUTAGE_ACCOUNT_BATCH], base, last;
    struct params params;
    struct rows *rows = NULL;
    enum db_write written;
    unsigned given;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    params_text(&params, slice_str(*after ? *after : ""));
    params_int32(&params, OUTAGE_ACCOUNT_BATCH);
    params_bool(&params, wants->learns);
    switch (db_read(arena, &known_next, &params, &rows)) {
    case DB_FOUND: break;
    case DB_NONE: move_on(after, (struct slice){NULL, 0}); return DB_DONE;
    case DB_FAILED: return DB_UNDONE;
    }
    for (unsigned i = 0; i < rows_count(rows); i++) {
        struct slice address = row_text(rows, i, 0);

        if (!base_of(arena, wants, address, &base)) /* a subaddress comes with its owner */
            wanted[wish.count++] = address;
    }
    wish.addresses = wanted;
    last = row_text(rows, rows_count(rows) - 1, 0);
    written = outage_account_make(&wish, made, &given);
    if (written == DB_DONE) /* a limit ends it, too */
        move_on(after, wish.count && !*made ? (struct slice){NULL, 0} : last);
    return written;
}

AWAITS enum db_write outage_account_make_known(int64_t domain_id, char **after, unsigned *made)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_UNDONE;
    struct wants wants = {0};

    *made = 0;
    switch (read_wants(arena, domain_id, &wants)) {
    case DB_FOUND: written = DB_DONE; break;
    case DB_NONE: written = DB_DONE; break;
    case DB_FAILED: break;
    }
    if (written == DB_DONE && wants.accounts)
        written = make_known(arena, domain_id, &wants, after, made);
    else if (written == DB_DONE)
        move_on(after, (struct slice){NULL, 0});
    arena_free(&arena);
    return written;
}
