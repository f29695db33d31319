/*
 * Accounts.
 *
 * An address belongs to one account, be it as its address or as an alias (storage/provision_address.h).
 *
 * An account and its first mailboxes are made together: whoever can be delivered to has an INBOX.
 * Deleting locks the mailboxes first; a delivery in flight either came before (and its item goes too) or
 * finds the mailbox gone and is refused by its foreign key.  The messages' bodies are left to maintenance.
 * Queue entries stay, as the mail is for the primary; they only forget whose INBOX showed them.
 *
 * Limit: deleting is one transaction within the statement timeout; with some millions of messages in one
 * account it is UNDONE, and the mailboxes must be emptied first.
 */
#include "storage/provision_account.h"

#include "core/id.h"
#include "storage/credential.h"
#include "storage/db.h"
#include "storage/maintenance.h"
#include "storage/name.h"
#include "storage/provision_address.h"
#include "storage/provision_adopt.h"
#include "storage/provision_mailbox.h"
#include "storage/provision_read.h"

#define SELECT                                                                                                         \
    "select a.id, a.customer_id, a.domain_id, a.address, a.state, a.password_hash is not null,"                        \
    " a.created_at, (select string_agg(l.address, ' ' order by l.address) from alias l where l.account_id = a.id),"    \
    " substring(a.password_hash from '^([$][0-9a-z]+[$]|[{][A-Z0-9]+[}])')"                                            \
    " from account a "

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_account *out = into;

    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->domain_id = row_int64(rows, row, 2);
    out->address = row_text(rows, row, 3);
    out->state = row_text(rows, row, 4);
    out->has_password = row_bool(rows, row, 5);
    out->created_ms = row_time(rows, row, 6);
    out->aliases = provision_words(arena, row_text(rows, row, 7), &out->alias_count);
    out->scheme = row_text(rows, row, 8);
}

static const struct provision_read_shape shape = {sizeof(struct provision_account), read_row};

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_account_get",
    SELECT "where a.id = $1::bigint or a.address = $2::text order by a.id = $1::bigint desc limit 1",
};

AWAITS enum db_status provision_account_get(struct arena *arena, struct slice key, struct provision_account *out)
{
    int64_t id = 0;
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, name_key(arena, key));
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list_all = {
    "provision_account_list",
    SELECT "where a.id > $1::bigint order by a.id limit $2::integer",
};
static const struct db_statement list_of_customer = {
    "provision_account_list_customer",
    SELECT "where a.id > $1::bigint and a.customer_id = $3::bigint order by a.id limit $2::integer",
};
static const struct db_statement list_of_domain = {
    "provision_account_list_domain",
    SELECT "where a.id > $1::bigint and a.domain_id = $3::bigint order by a.id limit $2::integer",
};
static const struct db_statement list_of_both = {
    "provision_account_list_both",
    SELECT "where a.id > $1::bigint and a.customer_id = $3::bigint and a.domain_id = $4::bigint"
           " order by a.id limit $2::integer",
};

AWAITS enum db_status provision_account_list(struct arena *arena, int64_t customer_id, int64_t domain_id,
                                             const struct provision_page *page, struct provision_account **out,
                                             unsigned *count)
{
    struct params params;
    const struct db_statement *statement = customer_id && domain_id ? &list_of_both
                                           : customer_id            ? &list_of_customer
                                           : domain_id              ? &list_of_domain
                                                                    : &list_all;
    params_init(&params, arena);
    provision_read_page(&params, page);
    if (customer_id)
        params_int64(&params, customer_id);
    if (domain_id)
        params_int64(&params, domain_id);
    *out = provision_read_all(&params, statement, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ addresses */

/* $2: the account that may have them already */
static const struct db_statement aliases_free = {
    "provision_account_aliases_free",
    "select refuse('alias_taken')"
    " where exists (select from alias where address = any($1::text[]) and account_id <> $2::bigint)"
    "    or exists (select from account where address = any($1::text[]))"
    "    or exists (select from expansion where address = any($1::text[]))",
};
static const struct db_statement aliases_ours = {
    "provision_account_aliases_ours",
    "select refuse('alias_domain') where exists ("
    "  select from unnest($1::text[]) as wanted (name)"
    "   where not exists (select from domain d where d.name = wanted.name and d.customer_id = $2::bigint"
    "                        and d.kind <> 'alias'))",
};
static const struct db_statement aliases_insert = {
    "provision_account_aliases_insert",
    "insert into alias (address, account_id, domain_id)"
    " select wanted.address, $3::bigint, d.id"
    "   from unnest($1::text[], $2::text[]) as wanted (address, name) join domain d on d.name = wanted.name"
    " on conflict (address) do nothing",
};

static struct slice *domains_of(struct arena *arena, const struct slice *addresses, unsigned count)
{
    struct slice *domains = arena_array(arena, count + 1, sizeof *domains);
    for (unsigned i = 0; i < count; i++)
        domains[i] = name_address_domain(addresses[i]);
    return domains;
}

static void add_lock(struct db_unit *unit, struct slice address, const struct slice *aliases, unsigned alias_count)
{
    struct slice *all = arena_array(unit->arena, alias_count + 1, sizeof *all);
    all[0] = address;
    for (unsigned i = 0; i < alias_count; i++)
        all[i + 1] = aliases[i];
    provision_address_lock(unit, all, alias_count + 1);
}

/* Called after the account's row is there: the foreign key wants it. */
static void add_aliases(struct db_unit *unit, int64_t account_id, int64_t customer_id, const struct slice *aliases,
                        unsigned count)
{
    struct slice *domains = domains_of(unit->arena, aliases, count);
    struct params *params = db_unit_add(unit, &aliases_free);
    params_texts(params, aliases, count);
    params_int64(params, account_id);
    params = db_unit_add(unit, &aliases_ours);
    params_texts(params, domains, count);
    params_int64(params, customer_id);
    params = db_unit_add(unit, &aliases_insert);
    params_texts(params, aliases, count);
    params_texts(params, domains, count);
    params_int64(params, account_id);
}

/* ------------------------------------------------------------------ creating */

static const struct db_statement address_free = {
    "provision_account_address_free",
    "select refuse('address_is_alias') where exists (select from alias where address = $1::text)"
    "                                     or exists (select from expansion where address = $1::text)",
};
static const struct db_statement domain_ours = {
    "provision_account_domain_ours",
    "select refuse('account_domain')"
    " where not exists (select from domain where name = $1::text and customer_id = $2::bigint and kind <> 'alias'"
    "                    for key share)",
};
static const struct db_statement insert = {
    "provision_account_insert",
    "insert into account (id, cell, customer_id, domain_id, address, password_hash, scram_sha256, inbox_id,"
    "   scram_sha1)"
    " select $1::bigint, $2::smallint, $3::bigint, d.id, $4::text, $5::text, $6::text, $7::bigint, $9::text"
    "   from domain d where d.name = $8::text",
};
static const struct provision_refusal bad_password = {
    PROVISION_INVALID,
    "password",
    "this password cannot be stored",
    0,
};

/* An imported hash has no SCRAM keys until a login proves the password (storage/credential_upgrade.h). */
static AWAITS bool password_columns(struct arena *arena, const struct provision_password *password,
                                    struct credential *out)
{
    *out = (struct credential){.hash = password->hash};
    return !password->plain.p || credential_make(arena, password->plain, out);
}

AWAITS enum db_write provision_account_create(struct arena *arena, const struct provision_account_given *account,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal)
{
    struct slice address = account->address, domain = name_address_domain(address);
    struct credential made;
    if (!password_columns(arena, &account->password, &made)) {
        *refusal = bad_password;
        return DB_REFUSED;
    }
    unsigned cell = id_cell(account->customer_id);
    int64_t inbox_id = id_make(cell);
    *id = id_make(cell);

    struct db_unit *unit = db_unit_new(arena);
    add_lock(unit, address, account->aliases, account->alias_count);
    params_text(db_unit_add(unit, &address_free), address);
    struct params *params = db_unit_add(unit, &domain_ours);
    params_text(params, domain);
    params_int64(params, account->customer_id);
    params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int16(params, (int16_t)cell);
    params_int64(params, account->customer_id);
    params_text(params, address);
    params_text(params, made.hash);
    params_text(params, made.scram_sha256);
    params_int64(params, inbox_id);
    params_text(params, domain);
    params_text(params, made.scram_sha1);
    provision_mailbox_add(unit, id, &inbox_id, 1);
    if (account->alias_count > 0)
        add_aliases(unit, *id, account->customer_id, account->aliases, account->alias_count);
    provision_adopt_add(unit, id, 1);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = provision_address_holder(arena, address);
    return result;
}

/* ------------------------------------------------------------------ changing */

static const struct db_statement require = {
    "provision_account_require",
    "select refuse('gone') where not exists (select from account where id = $1::bigint for update)",
};
static const struct db_statement continuity_domain = {
    "provision_account_continuity",
    "select refuse('account_continuity') where not exists (select from account a join domain d on d.id = a.domain_id"
    "                                                       where a.id = $1::bigint and d.kind = 'relay')",
};
static const struct db_statement update = {
    "provision_account_update",
    "update account set state = coalesce($2::text, state),"
    "   password_hash = case when $3::boolean then null else coalesce($4::text, password_hash) end,"
    "   scram_sha256 = case when $3::boolean then null when $4::text is null then scram_sha256 else $5::text end,"
    "   scram_sha1 = case when $3::boolean then null when $4::text is null then scram_sha1 else $6::text end,"
    "   password_primary_at = case when $3::boolean or $4::text is not null then null else password_primary_at end"
    " where id = $1::bigint",
};
static const struct db_statement drop_aliases = {
    "provision_account_drop_aliases",
    "delete from alias where account_id = $1::bigint and address <> all($2::text[])",
};

AWAITS enum db_write provision_account_update(struct arena *arena, const struct provision_account *account,
                                              const struct provision_account_change *change,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct credential made;
    if (!password_columns(arena, &change->password, &made)) {
        *refusal = bad_password;
        return DB_REFUSED;
    }
    struct db_unit *unit = db_unit_new(arena);
    if (change->set_aliases)
        add_lock(unit, account->address, change->aliases, change->alias_count);
    params_int64(db_unit_add(unit, &require), account->id);
    if (slice_equal(change->state, SLICE("continuity")))
        params_int64(db_unit_add(unit, &continuity_domain), account->id);
    struct params *params = db_unit_add(unit, &update);
    params_int64(params, account->id);
    params_text(params, change->state);
    params_bool(params, change->drop_password);
    params_text(params, made.hash);
    params_text(params, made.scram_sha256);
    params_text(params, made.scram_sha1);
    if (change->set_aliases) {
        params = db_unit_add(unit, &drop_aliases);
        params_int64(params, account->id);
        params_texts(params, change->aliases, change->alias_count);
        add_aliases(unit, account->id, account->customer_id, change->aliases, change->alias_count);
    }
    return provision_run(unit, actor, refusal);
}

/* ------------------------------------------------------------------ deleting */

/* $1: cell, $2: account, in all of these */
static const struct db_statement lock_mailboxes = {
    "provision_account_lock_mailboxes",
    "select count(*) from (select id from mailbox where cell = $1::smallint and account_id = $2::bigint"
    "                       order by id for update) as locked",
};
static const struct db_statement release_messages = {
    "provision_account_release",
    "insert into message_release (cell, message_id)"
    " select distinct i.cell, i.message_id from mailbox_message i"
    "   join mailbox m on m.cell = i.cell and m.id = i.mailbox_id"
    "  where m.cell = $1::smallint and m.account_id = $2::bigint"
    " order by 1, 2" RELEASE_LISTED,
};
static const struct db_statement remove_items = {
    "provision_account_remove_items",
    "delete from mailbox_message i using mailbox m"
    " where i.cell = $1::smallint and m.cell = i.cell and m.id = i.mailbox_id and m.account_id = $2::bigint",
};
static const struct db_statement free_entries = {
    "provision_account_free_entries",
    "update queue_entry q set account_id = null, shown = false from account a"
    " where q.cell = $1::smallint and a.id = $2::bigint and q.account_id = a.id and q.domain_id = any (array("
    "   select domain_id from account where id = $2::bigint union select domain_id from alias where account_id = $2::bigint))",
};
static const struct db_statement remove_mailboxes = {
    "provision_account_remove_mailboxes",
    "delete from mailbox where cell = $1::smallint and account_id = $2::bigint",
};
static const struct db_statement remove_subscriptions = {
    "provision_account_remove_subscriptions",
    "delete from subscription where cell = $1::smallint and account_id = $2::bigint",
};
static const struct db_statement remove_sent = {
    "provision_account_remove_sent",
    "delete from sent_copy where cell = $1::smallint and account_id = $2::bigint",
};
static const struct db_statement remove_row = {
    "provision_account_delete",
    "delete from account where cell = $1::smallint and id = $2::bigint",
};

AWAITS enum db_write provision_account_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal)
{
    static const struct db_statement *const steps[] = {
        &lock_mailboxes,   &release_messages,     &remove_items, &free_entries,
        &remove_mailboxes, &remove_subscriptions, &remove_sent,  &remove_row,
    };
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct params *params = db_unit_add(unit, steps[i]);
        params_int16(params, (int16_t)id_cell(id));
        params_int64(params, id);
    }
    return provision_run(unit, actor, refusal);
}
