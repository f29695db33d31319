/*
 * Relay grants.
 *
 * A grant is written as a whole: a change reads it, replaces members and writes all of it back if nobody did so
 * meanwhile (the revision).  What members must have to do with each other is stated once, by the table's
 * constraints, and provision.c turns these into words.
 *
 * An account or domain goes with the grants that name it; a customer with grants cannot go.
 */
#include "storage/provision_grant.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define COLUMNS                                                                                                        \
    "id, customer_id, revision, account_id, domain_id, network::text, label, senders, recipients, at_limit,"           \
    " array_to_string(sender_domains, ' '), array_to_string(recipient_domains, ' '), size_max, recipients_max,"        \
    " tls_required, valid_from, valid_until, created_at, counted_by,"                                                  \
    " messages_per_minute, messages_per_hour, messages_per_day, recipients_per_minute, recipients_per_hour,"           \
    " recipients_per_day, bytes_per_day, certificate, hold_seconds, hold_then"

const char *const provision_grant_limits[PROVISION_GRANT_LIMITS] = {
    "messages_per_minute", "messages_per_hour",  "messages_per_day", "recipients_per_minute",
    "recipients_per_hour", "recipients_per_day", "bytes_per_day",
};

static int64_t number(const struct rows *rows, unsigned row, unsigned column)
{
    return row_is_null(rows, row, column) ? 0 : row_int64(rows, row, column);
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_grant *out = into;

    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->revision = (int32_t)row_int64(rows, row, 2);
    out->account_id = number(rows, row, 3);
    out->domain_id = number(rows, row, 4);
    out->network = row_text(rows, row, 5);
    out->label = row_text(rows, row, 6);
    out->senders = row_text(rows, row, 7);
    out->recipients = row_text(rows, row, 8);
    out->at_limit = row_text(rows, row, 9);
    out->sender_domains = provision_words(arena, row_text(rows, row, 10), &out->sender_domain_count);
    out->recipient_domains = provision_words(arena, row_text(rows, row, 11), &out->recipient_domain_count);
    out->size_max = number(rows, row, 12);
    out->recipients_max = number(rows, row, 13);
    out->tls_required = row_bool(rows, row, 14);
    out->valid_from_ms = row_time(rows, row, 15);
    out->valid_until_ms = row_time(rows, row, 16);
    out->created_ms = row_time(rows, row, 17);
    out->counted_by = row_text(rows, row, 18);
    for (unsigned i = 0; i < PROVISION_GRANT_LIMITS; i++)
        out->limits[i] = number(rows, row, 19 + i);
    out->certificate = row_text(rows, row, 19 + PROVISION_GRANT_LIMITS);
    out->hold_seconds = row_int64(rows, row, 20 + PROVISION_GRANT_LIMITS);
    out->hold_then = row_text(rows, row, 21 + PROVISION_GRANT_LIMITS);
}

static const struct provision_read_shape shape = {sizeof(struct provision_grant), read_row};

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_grant_get",
    "select " COLUMNS " from relay_grant where id = $1::bigint",
};

AWAITS enum db_status provision_grant_get(struct arena *arena, struct slice key, struct provision_grant *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

static const struct db_statement list_all = {
    "provision_grant_list",
    "select " COLUMNS " from relay_grant where id > $1::bigint order by id limit $2::integer",
};
static const struct db_statement list_of_customer = {
    "provision_grant_list_customer",
    "select " COLUMNS " from relay_grant where id > $1::bigint and customer_id = $3::bigint"
    " order by id limit $2::integer",
};

AWAITS enum db_status provision_grant_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                           struct provision_grant **out, unsigned *count)
{
    *out = customer_id ? provision_read_list_of(arena, &list_of_customer, page, customer_id, &shape, count)
                       : provision_read_list(arena, &list_all, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement require_customer = {
    "provision_grant_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement require_account = {
    "provision_grant_require_account",
    "select refuse('grant_account')"
    " where not exists (select from account where id = $1::bigint and customer_id = $2::bigint for key share)",
};
static const struct db_statement require_domain = {
    "provision_grant_require_domain",
    "select refuse('grant_domain')"
    " where not exists (select from domain where id = $1::bigint and customer_id = $2::bigint for key share)",
};
#define LIMIT(place) "nullif(($14::bigint[])[" #place "], 0)"

static const struct db_statement insert = {
    "provision_grant_insert",
    "insert into relay_grant (id, label, senders, sender_domains, recipients, recipient_domains, size_max,"
    "   recipients_max, at_limit, tls_required, valid_from, valid_until, counted_by, messages_per_minute,"
    "   messages_per_hour, messages_per_day, recipients_per_minute, recipients_per_hour, recipients_per_day, bytes_per_day,"
    "   hold_seconds, hold_then, customer_id, account_id, domain_id, network, certificate)"
    " values ($1::bigint, $2::text, $3::text, $4::text[], $5::text, $6::text[], nullif($7::bigint, 0),"
    "   nullif($8::integer, 0), $9::text, $10::boolean, $11::timestamptz, $12::timestamptz, $13::text,"
    "   " LIMIT(1) ", " LIMIT(2) ", " LIMIT(3) ", " LIMIT(4) ", " LIMIT(5) ", " LIMIT(6) ", " LIMIT(
        7) ","
           "   $15::bigint, $16::text, $17::bigint, nullif($18::bigint, 0), nullif($19::bigint, 0), $20::text::cidr, $21::text)",
};
static const struct db_statement require = {
    "provision_grant_require",
    "select refuse('gone') where not exists (select from relay_grant where id = $1::bigint for update)",
};
static const struct db_statement require_revision = {
    "provision_grant_require_revision",
    "select refuse('grant_changed') from relay_grant where id = $1::bigint and revision <> $2::integer",
};
static const struct db_statement update = {
    "provision_grant_update",
    "update relay_grant set revision = revision + 1, label = $2::text, senders = $3::text, sender_domains = $4::text[],"
    "   recipients = $5::text, recipient_domains = $6::text[], size_max = nullif($7::bigint, 0),"
    "   recipients_max = nullif($8::integer, 0), at_limit = $9::text, tls_required = $10::boolean,"
    "   valid_from = $11::timestamptz, valid_until = $12::timestamptz, counted_by = $13::text,"
    "   messages_per_minute = " LIMIT(1) ", messages_per_hour = " LIMIT(2) ", messages_per_day = " LIMIT(
        3) ","
           "   recipients_per_minute = " LIMIT(4) ", recipients_per_hour = " LIMIT(5) ", recipients_per_day = " LIMIT(
               6) ","
                  "   bytes_per_day = " LIMIT(7) ", hold_seconds = $15::bigint, hold_then = $16::text"
                                                 " where id = $1::bigint",
};

/* What both statements begin with. */
static struct params *add_write(struct db_unit *unit, const struct db_statement *statement, int64_t id,
                                const struct provision_grant *grant)
{
    struct params *params = db_unit_add(unit, statement);
    params_int64(params, id);
    params_text(params, grant->label);
    params_text(params, grant->senders);
    params_texts(params, grant->sender_domains, grant->sender_domain_count);
    params_text(params, grant->recipients);
    params_texts(params, grant->recipient_domains, grant->recipient_domain_count);
    params_int64(params, grant->size_max);
    params_int32(params, (int32_t)grant->recipients_max);
    params_text(params, grant->at_limit);
    params_bool(params, grant->tls_required);
    params_time(params, grant->valid_from_ms);
    params_time(params, grant->valid_until_ms);
    params_text(params, grant->counted_by);
    params_int64s(params, grant->limits, PROVISION_GRANT_LIMITS);
    params_int64(params, grant->hold_seconds);
    params_text(params, grant->hold_then);
    return params;
}

AWAITS enum db_write provision_grant_create(struct arena *arena, const struct provision_grant *grant,
                                            const struct provision_actor *actor, int64_t *id,
                                            struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params;

    *id = id_make(id_cell(grant->customer_id));
    params_int64(db_unit_add(unit, &require_customer), grant->customer_id);
    if (grant->account_id) {
        params = db_unit_add(unit, &require_account);
        params_int64(params, grant->account_id);
        params_int64(params, grant->customer_id);
    }
    if (grant->domain_id) {
        params = db_unit_add(unit, &require_domain);
        params_int64(params, grant->domain_id);
        params_int64(params, grant->customer_id);
    }
    params = add_write(unit, &insert, *id, grant);
    params_int64(params, grant->customer_id);
    params_int64(params, grant->account_id);
    params_int64(params, grant->domain_id);
    params_text(params, grant->network);
    params_text(params, grant->certificate);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_grant_update(struct arena *arena, const struct provision_grant *grant,
                                            const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    params_int64(db_unit_add(unit, &require), grant->id);
    struct params *params = db_unit_add(unit, &require_revision);
    params_int64(params, grant->id);
    params_int32(params, grant->revision);
    add_write(unit, &update, grant->id, grant);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_grant_delete",
    "delete from relay_grant where id = $1::bigint",
};

AWAITS enum db_write provision_grant_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
