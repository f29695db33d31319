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

#define COLUMNS "id, name, user_name, mechanism, tls = 'verify', secret, created_at, changed_at"

static void read_row(const struct rows *rows, unsigned row, struct provision_hop_credential *out)
{
    const struct secret_ring *ring = hop_credential_ring();
    struct slice sealed = row_text(rows, row, 5);

    *out = (struct provision_hop_credential){
        .id = row_int64(rows, row, 0),
        .name = row_text(rows, row, 1),
        .user = row_text(rows, row, 2),
        .mechanism = row_text(rows, row, 3),
        .verify = row_bool(rows, row, 4),
        .key_current = ring && secret_ring_current(ring, sealed),
        .created_ms = row_time(rows, row, 6),
        .changed_ms = row_time(rows, row, 7),
    };
    secret_ring_name_of(sealed, out->key);
}

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_hop_credential_get",
    "select " COLUMNS " from hop_credential where id = $1::bigint or name = $2::text"
    " order by id = $1::bigint desc limit 1",
};

AWAITS enum db_status provision_hop_credential_get(struct arena *arena, struct slice key,
                                                   struct provision_hop_credential *out)
{
    int64_t id = 0;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, key);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status == DB_FOUND)
        read_row(rows, 0, out);
    return status;
}

static const struct db_statement list = {
    "provision_hop_credential_list",
    "select " COLUMNS " from hop_credential where id > $1::bigint order by id limit $2::integer",
};

AWAITS enum db_status provision_hop_credential_list(struct arena *arena, const struct provision_page *page,
                                                    struct provision_hop_credential **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, page->after);
    params_int32(&params, (int32_t)page->limit);
    if (db_read(arena, &list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        read_row(rows, *count, &(*out)[*count]);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ writing */

static void add_secret(struct params *params, int64_t id, struct slice secret)
{
    if (secret.p)
        params_bytes(params, secret_ring_seal(hop_credential_ring(), params->arena,
                                              hop_credential_bound(params->arena, id), secret));
    else
        params_null(params);
}

static const struct db_statement require_room = {
    "provision_hop_credential_require_room",
    "select refuse('hop_credential_many') where (select count(*) from hop_credential) >= $1::integer",
};
static const struct db_statement insert = {
    "provision_hop_credential_insert",
    "insert into hop_credential (id, name, kind, user_name, mechanism, tls, secret)"
    " values ($1::bigint, $2::text, 'password', $3::text, $4::text,"
    "         case when $5::boolean then 'verify' else 'encrypt' end, $6::bytea)",
};

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
    add_secret(params, *id, credential->secret);
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
    "       version = version + 1, changed_at = now() where id = $1::bigint",
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
    add_secret(params, credential->id, credential->secret);
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
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    params_int64(db_unit_add(unit, &remove_row), id);
    return provision_run(unit, actor, refusal);
}

/* ------------------------------------------------------------------ sealing anew */

static const struct db_statement sealed_page = {
    "provision_hop_credential_sealed",
    "select id, secret from hop_credential where id > $1::bigint order by id limit $2::integer",
};
static const struct db_statement reseal = {
    "provision_hop_credential_reseal",
    "update hop_credential c set secret = fresh.secret"
    "  from unnest($1::bigint[], $2::bytea[], $3::bytea[]) as fresh (id, old, secret)"
    " where c.id = fresh.id and c.secret = fresh.old",
};

AWAITS enum db_write provision_hop_credential_reseal(struct arena *arena, struct provision_resealed *state,
                                                     const struct provision_actor *actor,
                                                     struct provision_refusal *refusal)
{
    int64_t ids[PROVISION_HOP_CREDENTIAL_PAGE];
    struct slice old[PROVISION_HOP_CREDENTIAL_PAGE], fresh[PROVISION_HOP_CREDENTIAL_PAGE];
    const struct secret_ring *ring = hop_credential_ring();
    unsigned count = 0;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, state->after);
    params_int32(&params, PROVISION_HOP_CREDENTIAL_PAGE);
    if (db_read(arena, &sealed_page, &params, &rows) == DB_FAILED)
        return DB_UNDONE;
    state->more = rows_count(rows) == PROVISION_HOP_CREDENTIAL_PAGE;
    for (unsigned i = 0; i < rows_count(rows); i++) {
        struct slice sealed = row_text(rows, i, 1), secret;
        state->after = row_int64(rows, i, 0);
        if (secret_ring_current(ring, sealed))
            continue;
        struct slice bound = hop_credential_bound(arena, state->after);
        if (secret_ring_open(ring, arena, bound, sealed, &secret) != SECRET_RING_OPENED) {
            state->unopened++;
            continue;
        }
        ids[count] = state->after;
        old[count] = sealed;
        fresh[count++] = secret_ring_seal(ring, arena, bound, secret);
    }
    struct db_unit *unit = db_unit_new(arena);
    struct params *written = db_unit_add(unit, &reseal);
    params_int64s(written, ids, count);
    params_bytess(written, old, count);
    params_bytess(written, fresh, count);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE)
        state->resealed += count;
    return result;
}
