/*
 * Webhooks, as administrators write them.
 *
 * A secret is sealed on its way into the statement, and read by no statement of this file but to seal it again, as
 * those of next hops are (provision_hop_credential.c).  Whose events a webhook is told stays as it was made: who could
 * change that would be told of another customer by what was allowed for the first.
 */
#include "storage/provision_webhook.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/hop_credential.h"
#include "storage/provision_read.h"

#define RESEAL_PAGE 100

#define SELECT                                                                                                         \
    "select w.id, coalesce(w.customer_id, 0), w.url, array_to_string(w.events, ' '), w.label, w.secret, w.enabled,"    \
    "       w.created_at, w.changed_at, w.last_success_at, w.last_failure_at, w.last_error, w.failures,"               \
    "       (select count(*) from webhook_delivery d where d.webhook_id = w.id), w.given_up, w.dropped"                \
    "  from webhook w "

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_webhook *out = into;

    const struct secret_ring *ring = hop_credential_ring();
    struct slice sealed = row_text(rows, row, 5);

    *out = (struct provision_webhook){
        .id = row_int64(rows, row, 0),
        .customer_id = row_int64(rows, row, 1),
        .url = row_text(rows, row, 2),
        .label = row_text(rows, row, 4),
        .enabled = row_bool(rows, row, 6),
        .key_current = ring && secret_ring_current(ring, sealed),
        .created_ms = row_time(rows, row, 7),
        .changed_ms = row_time(rows, row, 8),
        .last_success_ms = row_time(rows, row, 9),
        .last_failure_ms = row_time(rows, row, 10),
        .last_error = row_text(rows, row, 11),
        .failures = row_int64(rows, row, 12),
        .pending = row_int64(rows, row, 13),
        .given_up = row_int64(rows, row, 14),
        .dropped = row_int64(rows, row, 15),
    };
    out->events = provision_words(arena, row_text(rows, row, 3), &out->event_count);
    secret_ring_name_of(sealed, out->key);
}

static const struct provision_read_shape shape = {sizeof(struct provision_webhook), read_row};

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_webhook_get",
    SELECT "where w.id = $1::bigint",
};

AWAITS enum db_status provision_webhook_get(struct arena *arena, struct slice key, struct provision_webhook *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

static const struct db_statement list = {
    "provision_webhook_list",
    SELECT "where w.id > $1::bigint and ($3::bigint = 0 or w.customer_id = $3::bigint) order by w.id limit $2::integer",
};

AWAITS enum db_status provision_webhook_list(struct arena *arena, int64_t customer_id,
                                             const struct provision_page *page, struct provision_webhook **out,
                                             unsigned *count)
{
    *out = provision_read_list_of(arena, &list, page, customer_id, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static void add_secret(struct params *params, int64_t id, struct slice secret)
{
    if (secret.p)
        params_bytes(params,
                     secret_ring_seal(hop_credential_ring(), params->arena, webhook_bound(params->arena, id), secret));
    else
        params_null(params);
}

static void add_members(struct params *params, const struct provision_webhook *webhook, int64_t id)
{
    params_int64(params, id);
    params_text(params, webhook->url);
    if (webhook->event_count)
        params_texts(params, webhook->events, webhook->event_count);
    else
        params_null(params);
    params_text(params, webhook->label);
    params_bool(params, webhook->enabled);
    add_secret(params, id, webhook->secret);
}

static const struct db_statement require_customer = {
    "provision_webhook_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement require_room = {
    "provision_webhook_require_room",
    "select refuse('webhook_many') where (select count(*) from webhook) >= $1::integer",
};
static const struct db_statement insert = {
    "provision_webhook_insert",
    "insert into webhook (id, url, events, label, enabled, secret, customer_id)"
    " values ($1::bigint, $2::text, $3::text[], $4::text, $5::boolean, $6::bytea, nullif($7::bigint, 0))",
};

AWAITS enum db_write provision_webhook_create(struct arena *arena, const struct provision_webhook *webhook,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal)
{
    *id = id_make(id_cell(webhook->customer_id));
    struct db_unit *unit = db_unit_new(arena);
    if (webhook->customer_id)
        params_int64(db_unit_add(unit, &require_customer), webhook->customer_id);
    params_int32(db_unit_add(unit, &require_room), WEBHOOKS_MAX);
    struct params *params = db_unit_add(unit, &insert);
    add_members(params, webhook, *id);
    params_int64(params, webhook->customer_id);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement require = {
    "provision_webhook_require",
    "select refuse('gone') where not exists (select from webhook where id = $1::bigint for update)",
};
static const struct db_statement update = {
    "provision_webhook_update",
    "update webhook set url = $2::text, events = $3::text[], label = $4::text, enabled = $5::boolean,"
    "       secret = coalesce($6::bytea, secret), changed_at = now(), retry_at = now(), failures = 0"
    " where id = $1::bigint",
};
static const struct db_statement due_now = {
    "provision_webhook_due_now",
    "update webhook_delivery set due_at = now() where webhook_id = $1::bigint and due_at > now()",
};

AWAITS enum db_write provision_webhook_update(struct arena *arena, const struct provision_webhook *webhook,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), webhook->id);
    add_members(db_unit_add(unit, &update), webhook, webhook->id);
    params_int64(db_unit_add(unit, &due_now), webhook->id);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_webhook_delete",
    "delete from webhook where id = $1::bigint",
};

AWAITS enum db_write provision_webhook_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                              struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}

static const struct db_statement require_enabled = {
    "provision_webhook_require_enabled",
    "select refuse('webhook_disabled') where exists (select from webhook where id = $1::bigint and not enabled)",
};
static const struct db_statement insert_test = {
    "provision_webhook_test",
    "insert into webhook_delivery (webhook_id, event_id, type, body) values ($1::bigint, $2::bigint, 'webhook.test',"
    " jsonb_build_object('type', 'webhook.test', 'timestamp', time_text(now()), 'data', jsonb_build_object("
    "  'webhook', id_text($1::bigint)))::text)",
};

AWAITS enum db_write provision_webhook_test(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            int64_t *event_id, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    *event_id = id_make(0);
    params_int64(db_unit_add(unit, &require), id);
    params_int64(db_unit_add(unit, &require_enabled), id);
    struct params *params = db_unit_add(unit, &insert_test);
    params_int64(params, id);
    params_int64(params, *event_id);
    return provision_run(unit, actor, refusal);
}

/* ------------------------------------------------------------------ sealing anew */

static const struct db_statement sealed_page = {
    "provision_webhook_sealed",
    "select id, secret from webhook where id > $1::bigint order by id limit $2::integer",
};
static const struct db_statement reseal = {
    "provision_webhook_reseal",
    "update webhook w set secret = fresh.secret"
    "  from unnest($1::bigint[], $2::bytea[], $3::bytea[]) as fresh (id, old, secret)"
    " where w.id = fresh.id and w.secret = fresh.old",
};

AWAITS enum db_write provision_webhook_reseal(struct arena *arena, struct provision_resealed *state,
                                              const struct provision_actor *actor, struct provision_refusal *refusal)
{
    const struct secret_ring *ring = hop_credential_ring();
    int64_t ids[RESEAL_PAGE];
    struct slice old[RESEAL_PAGE], fresh[RESEAL_PAGE], secret;
    unsigned count = 0;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, state->after);
    params_int32(&params, RESEAL_PAGE);
    if (db_read(arena, &sealed_page, &params, &rows) == DB_FAILED)
        return DB_UNDONE;
    state->more = rows_count(rows) == RESEAL_PAGE;
    for (unsigned i = 0; i < rows_count(rows); i++) {
        int64_t id = state->after = row_int64(rows, i, 0);
        struct slice sealed = row_text(rows, i, 1);
        if (secret_ring_current(ring, sealed))
            continue;
        if (secret_ring_open(ring, arena, webhook_bound(arena, id), sealed, &secret) != SECRET_RING_OPENED) {
            state->unopened++;
            continue;
        }
        ids[count] = id;
        old[count] = sealed;
        fresh[count++] = secret_ring_seal(ring, arena, webhook_bound(arena, id), secret);
    }
    struct db_unit *unit = db_unit_new(arena);
    struct params *step = db_unit_add(unit, &reseal);
    params_int64s(step, ids, count);
    params_bytess(step, old, count);
    params_bytess(step, fresh, count);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE)
        state->resealed += count;
    return result;
}
