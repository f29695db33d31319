/*
 * Credentials of next hops, as administrators write them.
 *
 * A secret is sealed here, on its way into the statement, and no statement of this file reads one but to seal it again.
 * The version counts what a server would be told differently: connections that were made with another are given up
 * (daemon/hop_login.h), and a sealing anew does not count.
 *
 * Sealing anew writes only where the sealed bytes are still those that were read: a change at the same moment wins.
 */
#include "storage/provision_hop_credential.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/hint.h"
#include "storage/provision_read.h"

#define SELECT                                                                                                         \
    "select c.id, c.name, c.user_name, c.mechanism, c.tls = 'verify', c.secret, c.created_at, c.changed_at,"           \
    "       c.kind = 'oauth', c.token_url, c.client_id, c.scope, t.refresh_token, t.expires_at, t.failure,"            \
    "       c.certificate"                                                                                             \
    "  from hop_credential c left join hop_token t on t.credential_id = c.id "

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_hop_credential *out = into;

    (void)arena;
    const struct secret_ring *ring = hop_credential_ring();
    struct slice sealed = row_text(rows, row, 5), refresh = row_text(rows, row, 12);

    *out = (struct provision_hop_credential){
        .id = row_int64(rows, row, 0),
        .name = row_text(rows, row, 1),
        .user = row_text(rows, row, 2),
        .mechanism = row_text(rows, row, 3),
        .verify = row_bool(rows, row, 4),
        .key_current = ring && (!sealed.p || secret_ring_current(ring, sealed)) &&
                       (!refresh.p || secret_ring_current(ring, refresh)),
        .created_ms = row_time(rows, row, 6),
        .changed_ms = row_time(rows, row, 7),
        .oauth = row_bool(rows, row, 8),
        .token_url = row_text(rows, row, 9),
        .client_id = row_text(rows, row, 10),
        .scope = row_text(rows, row, 11),
        .refreshes = refresh.p,
        .token_expires_ms = row_time(rows, row, 13),
        .token_failure = row_text(rows, row, 14),
        .certificate = row_text(rows, row, 15),
    };
    secret_ring_name_of(sealed.p ? sealed : refresh, out->key);
}

static const struct provision_read_shape shape = {sizeof(struct provision_hop_credential), read_row};

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_hop_credential_get",
    SELECT "where c.id = $1::bigint or c.name = $2::text order by c.id = $1::bigint desc limit 1",
};

AWAITS enum db_status provision_hop_credential_get(struct arena *arena, struct slice key,
                                                   struct provision_hop_credential *out)
{
    int64_t id = 0;
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, key);
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list = {
    "provision_hop_credential_list",
    SELECT "where c.id > $1::bigint order by c.id limit $2::integer",
};

AWAITS enum db_status provision_hop_credential_list(struct arena *arena, const struct provision_page *page,
                                                    struct provision_hop_credential **out, unsigned *count)
{
    *out = provision_read_list(arena, &list, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static void add_secret(struct params *params, int64_t id, const char *column, struct slice secret)
{
    if (secret.p)
        params_bytes(params, secret_ring_seal(hop_credential_ring(), params->arena,
                                              hop_credential_bound(params->arena, id, column), secret));
    else
        params_null(params);
}

static const struct db_statement require_room = {
    "provision_hop_credential_require_room",
    "select refuse('hop_credential_many') where (select count(*) from hop_credential) >= $1::integer",
};
static const struct db_statement insert = {
    "provision_hop_credential_insert",
    "insert into hop_credential (id, name, user_name, mechanism, tls, secret, kind, token_url, client_id, scope,"
    "                            certificate)"
    " values ($1::bigint, $2::text, $3::text, $4::text, case when $5::boolean then 'verify' else 'encrypt' end,"
    "         $6::bytea, case when $7::text is not null then 'oauth' when $10::text is not null then 'certificate'"
    "                            else 'password' end, $7::text, $8::text, $9::text, $10::text)",
};
static const struct db_statement insert_token = {
    "provision_hop_credential_insert_token",
    "insert into hop_token (credential_id, refresh_token) values ($1::bigint, $2::bytea)",
};

static void add_kind(struct params *params, const struct provision_hop_credential *credential)
{
    params_text(params, credential->token_url);
    params_text(params, credential->client_id);
    params_text(params, credential->scope);
    params_text(params, credential->certificate);
}

AWAITS enum db_write provision_hop_credential_create(struct arena *arena,
                                                     const struct provision_hop_credential *credential,
                                                     const struct provision_actor *actor, int64_t *id,
                                                     struct provision_refusal *refusal)
{
    *id = id_make(0);
    struct db_unit *unit = db_unit_new(arena);
    params_int32(db_unit_add(unit, &require_room), PROVISION_HOP_CREDENTIALS_MAX);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_text(params, credential->name);
    params_text(params, credential->user);
    params_text(params, credential->mechanism);
    params_bool(params, credential->verify);
    add_secret(params, *id, "secret", credential->secret);
    add_kind(params, credential);
    if (credential->oauth) {
        params = db_unit_add(unit, &insert_token);
        params_int64(params, *id);
        add_secret(params, *id, "refresh_token", credential->refresh_token);
    }
    enum db_write result = provision_run(unit, actor, refusal);
    struct provision_hop_credential other;
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        if (provision_hop_credential_get(arena, credential->name, &other) == DB_FOUND)
            refusal->existing_id = other.id;
    return result;
}

static const struct db_statement require = {
    "provision_hop_credential_require",
    "select refuse('gone') where not exists (select from hop_credential where id = $1::bigint for update)",
};
static const struct db_statement update = {
    "provision_hop_credential_update",
    "update hop_credential set user_name = $2::text, mechanism = $3::text,"
    "       tls = case when $4::boolean then 'verify' else 'encrypt' end, secret = coalesce($5::bytea, secret),"
    "       token_url = $6::text, client_id = $7::text, scope = $8::text, certificate = $9::text,"
    "       version = version + 1, changed_at = now() where id = $1::bigint",
};
/* What was got with what it was. */
static const struct db_statement update_token = {
    "provision_hop_credential_update_token",
    "update hop_token set refresh_token = coalesce($2::bytea, refresh_token), access_token = null, expires_at = null,"
    "       renew_at = null, claimed_until = null, failures = 0, failed_until = null, failure = null"
    " where credential_id = $1::bigint",
};
/* In each cell that has mail for a domain or a route with such a hop. */
static const struct db_statement due_now = {
    "provision_hop_credential_due_now",
    "update destination set due_at = now() where key = 'default'"
    "    or key in (select 'domain:' || domain_id from next_hop where credential_id = $1::bigint)"
    "    or key in (select 'route:' || route_id from route_hop where credential_id = $1::bigint)"
    "    or key in (select 'domain:' || d.id from domain d join route_hop h using (route_id)"
    "                where h.credential_id = $1::bigint)",
};

AWAITS enum db_write provision_hop_credential_update(struct arena *arena,
                                                     const struct provision_hop_credential *credential,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), credential->id);
    struct params *params = db_unit_add(unit, &update);
    params_int64(params, credential->id);
    params_text(params, credential->user);
    params_text(params, credential->mechanism);
    params_bool(params, credential->verify);
    add_secret(params, credential->id, "secret", credential->secret);
    add_kind(params, credential);
    params = db_unit_add(unit, &update_token);
    params_int64(params, credential->id);
    add_secret(params, credential->id, "refresh_token", credential->refresh_token);
    params_int64(db_unit_add(unit, &due_now), credential->id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE)
        hint_queue_changed();
    return result;
}

static const struct db_statement remove_row = {
    "provision_hop_credential_delete",
    "delete from hop_credential where id = $1::bigint",
};

AWAITS enum db_write provision_hop_credential_delete(struct arena *arena, int64_t id,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}

/* ------------------------------------------------------------------ sealing anew */

static const struct db_statement sealed_page = {
    "provision_hop_credential_sealed",
    "select c.id, c.secret, t.refresh_token from hop_credential c left join hop_token t on t.credential_id = c.id"
    " where c.id > $1::bigint order by c.id limit $2::integer",
};
static const struct db_statement reseal = {
    "provision_hop_credential_reseal",
    "update hop_credential c set secret = fresh.secret"
    "  from unnest($1::bigint[], $2::bytea[], $3::bytea[]) as fresh (id, old, secret)"
    " where c.id = fresh.id and c.secret = fresh.old",
};
static const struct db_statement reseal_tokens = {
    "provision_hop_credential_reseal_tokens",
    "update hop_token t set refresh_token = fresh.secret"
    "  from unnest($1::bigint[], $2::bytea[], $3::bytea[]) as fresh (id, old, secret)"
    " where t.credential_id = fresh.id and t.refresh_token = fresh.old",
};

/* One column's of a page. */
struct resealing {
    int64_t ids[PROVISION_HOP_CREDENTIAL_PAGE];
    struct slice old[PROVISION_HOP_CREDENTIAL_PAGE], fresh[PROVISION_HOP_CREDENTIAL_PAGE];
    unsigned count;
};

static void seal_anew(struct arena *arena, struct resealing *page, const char *column, int64_t id, struct slice sealed,
                      struct provision_resealed *state)
{
    const struct secret_ring *ring = hop_credential_ring();
    struct slice secret;

    if (!sealed.p || secret_ring_current(ring, sealed))
        return;
    if (hop_credential_open(arena, id, column, sealed, &secret)) {
        state->unopened++;
        return;
    }
    page->ids[page->count] = id;
    page->old[page->count] = sealed;
    page->fresh[page->count++] = secret_ring_seal(ring, arena, hop_credential_bound(arena, id, column), secret);
}

static void add_resealing(struct db_unit *unit, const struct db_statement *statement, const struct resealing *page)
{
    struct params *params = db_unit_add(unit, statement);
    params_int64s(params, page->ids, page->count);
    params_bytess(params, page->old, page->count);
    params_bytess(params, page->fresh, page->count);
}

AWAITS enum db_write provision_hop_credential_reseal(struct arena *arena, struct provision_resealed *state,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
{
    struct resealing *secrets = arena_alloc(arena, sizeof *secrets), *tokens = arena_alloc(arena, sizeof *tokens);
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, state->after);
    params_int32(&params, PROVISION_HOP_CREDENTIAL_PAGE);
    if (db_read(arena, &sealed_page, &params, &rows) == DB_FAILED)
        return DB_UNDONE;
    secrets->count = tokens->count = 0;
    state->more = rows_count(rows) == PROVISION_HOP_CREDENTIAL_PAGE;
    for (unsigned i = 0; i < rows_count(rows); i++) {
        state->after = row_int64(rows, i, 0);
        seal_anew(arena, secrets, "secret", state->after, row_text(rows, i, 1), state);
        seal_anew(arena, tokens, "refresh_token", state->after, row_text(rows, i, 2), state);
    }
    struct db_unit *unit = db_unit_new(arena);
    add_resealing(unit, &reseal, secrets);
    add_resealing(unit, &reseal_tokens, tokens);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE)
        state->resealed += secrets->count + tokens->count;
    return result;
}
