/*
 * hop_credential: what we sign in with at a next hop.
 *
 * The secret is read and opened for each connection, and is gone with it: it is in no cache.  Which credential a hop has
 * is asked before each message that goes over an open connection, and is no secret, so that it comes from the cache.
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

struct slice hop_credential_bound(struct arena *arena, int64_t id)
{
    return slice_str(arena_printf(arena, "hop_credential %lld secret", (long long)id));
}

static const char *open_secret(struct arena *arena, int64_t id, struct slice sealed, struct slice *secret)
{
    if (!keys)
        return "[secrets] key_file is not set, and its secret cannot be read";
    switch (secret_ring_open(keys, arena, hop_credential_bound(arena, id), sealed, secret)) {
    case SECRET_RING_OPENED: return NULL;
    case SECRET_RING_NO_KEY: return "the key of its secret is not in [secrets] key_file";
    case SECRET_RING_SPOILED: break;
    }
    return "its secret was altered in the database";
}

static const struct db_statement get = {
    "hop_credential_get",
    "select version, name, user_name, mechanism, tls = 'verify', secret from hop_credential where id = $1::bigint",
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
    };
    out->trouble = open_secret(arena, id, row_text(rows, 0, 5), &out->secret);
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
