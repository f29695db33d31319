/*
 * hop_credential: what we sign in with at a next hop.
 *
 * The secret is read and opened for each connection, and is gone with it: it is in no cache.  Which credential a hop
 * has is asked before each message that goes over an open connection, and is no secret, so that it comes from the
 * cache.
 *
 * A token that does not open is none: another is fetched.
 *
 * A secret that does not open is trouble of ours, in words for the administrator; mail waits.
 */
#include "storage/hop_credential.h"

#include "storage/cache.h"
#include "storage/db.h"

static const struct secret_ring *keys;

void hop_credential_keys(const struct secret_ring *ring)
{
    keys = ring;
}

const struct secret_ring *hop_credential_ring(void)
{
    return keys;
}

struct slice hop_credential_bound(struct arena *arena, int64_t id, const char *column)
{
    return slice_str(arena_printf(arena, "hop_credential %lld %s", (long long)id, column));
}

const char *hop_credential_open(struct arena *arena, int64_t id, const char *column, struct slice sealed,
                                struct slice *secret)
{
    *secret = (struct slice){NULL, 0};
    if (!sealed.p)
        return NULL;
    if (!keys)
        return "[secrets] key_file is not set, and its secret cannot be read";
    switch (secret_ring_open(keys, arena, hop_credential_bound(arena, id, column), sealed, secret)) {
    case SECRET_RING_OPENED: return NULL;
    case SECRET_RING_NO_KEY: return "the key of its secret is not in [secrets] key_file";
    case SECRET_RING_SPOILED: break;
    }
    return "its secret was altered in the database";
}

static const struct db_statement get = {
    "hop_credential_get",
    "select c.version, c.name, c.user_name, c.mechanism, c.tls = 'verify', c.secret, c.kind = 'oauth', c.token_url,"
    "       c.client_id, c.scope, case when t.expires_at > now() + interval '5 seconds' then t.access_token end,"
    "       coalesce(t.renew_at < now(), false), case when t.failed_until > now() then t.failure end,"
    "       c.certificate"
    "  from hop_credential c left join hop_token t on t.credential_id = c.id where c.id = $1::bigint",
};

AWAITS enum db_status hop_credential_get(struct arena *arena, int64_t id, struct hop_credential *out)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int64(&params, id);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = (struct hop_credential){
        .id = id,
        .version = (int)row_int64(rows, 0, 0),
        .name = row_text(rows, 0, 1),
        .user = row_text(rows, 0, 2),
        .mechanism = row_text(rows, 0, 3),
        .verify = row_bool(rows, 0, 4),
        .oauth = row_bool(rows, 0, 6),
        .token_url = row_text(rows, 0, 7),
        .client_id = row_text(rows, 0, 8),
        .scope = row_text(rows, 0, 9),
        .sealed_token = row_text(rows, 0, 10),
        .token_due = row_bool(rows, 0, 11),
        .token_failure = row_text(rows, 0, 12),
        .certificate = row_text(rows, 0, 13),
    };
    out->trouble = hop_credential_open(arena, id, "secret", row_text(rows, 0, 5), &out->secret);
    if (hop_credential_open(arena, id, "access_token", out->sealed_token, &out->token))
        out->sealed_token = (struct slice){NULL, 0};
    return DB_FOUND;
}

static const struct db_statement of_hop = {
    "hop_credential_of",
    "select coalesce(c.id, 0), coalesce(c.version, 0) from ("
    " select credential_id from next_hop where domain_id = $1::bigint and host = $4::text and port = $5::integer"
    " union all select h.credential_id from domain d join route_hop h using (route_id)"
    "   where d.id = $1::bigint and h.host = $4::text and h.port = $5::integer"
    " union all select credential_id from route_hop"
    "   where route_id = $2::bigint and host = $4::text and port = $5::integer"
    " union all select h.credential_id from route r join route_hop h on h.route_id = r.id"
    "   where r.name = $3::text and r.customer_id is null and h.host = $4::text and h.port = $5::integer"
    ") hop left join hop_credential c on c.id = hop.credential_id",
};

AWAITS enum db_status hop_credential_of(struct arena *arena, const struct hop_credential_hop *hop, int64_t *id,
                                        int *version)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int64(&params, hop->domain_id);
    params_int64(&params, hop->route_id);
    params_text(&params, hop->route_name ? slice_str(hop->route_name) : (struct slice){NULL, 0});
    params_text(&params, slice_str(hop->host));
    params_int32(&params, (int32_t)hop->port);
    enum db_status status = cache_read(arena, &of_hop, &params, 0, &rows);
    *id = status == DB_FOUND ? row_int64(rows, 0, 0) : 0;
    *version = status == DB_FOUND ? (int)row_int64(rows, 0, 1) : 0;
    return status;
}
