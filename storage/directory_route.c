/* directory_route: next hops, a domain's or a route's, and a domain's collector. */
#include "storage/directory_route.h"

#include "core/idn.h"
#include "storage/db.h"

static const struct db_statement hops = {
    "directory_hops",
    "select host, port, priority, 0, null, 0, coalesce(credential_id, 0), null"
    "  from next_hop where domain_id = $1::bigint"
    " union all select h.host, h.port, h.priority, h.weight, h.tls, h.route_id, coalesce(h.credential_id, 0),"
    "             r.source_addresses"
    "             from domain d join route_hop h using (route_id) join route r on r.id = d.route_id"
    "            where d.id = $1::bigint order by 3, 1, 2",
};
#define OF_ROUTE                                                                                                       \
    " h.port, h.priority, h.weight, h.tls, h.route_id, coalesce(h.credential_id, 0), r.source_addresses"               \
    "  from route r join route_hop h on h.route_id = r.id where "
static const struct db_statement route_hops = {
    "directory_route",
    "select h.host," OF_ROUTE "r.id = $1::bigint order by 3, 1, 2",
};
static const struct db_statement named_hops = {
    "directory_route_named",
    "select h.host," OF_ROUTE "r.name = $1::text and r.customer_id is null order by 3, 1, 2",
};

/* A word that this program does not know is a newer node's, and means no less than the strictest that it does. */
static enum delivery_tls read_tls(const struct rows *rows, unsigned row)
{
    enum delivery_tls tls = DELIVERY_TLS_VERIFY;

    if (row_is_null(rows, row, 4))
        return DELIVERY_TLS_NOT_SET;
    return delivery_tls_of(row_text(rows, row, 4), &tls) ? tls : DELIVERY_TLS_VERIFY;
}

static AWAITS enum db_status read_hops(struct arena *arena, const struct db_statement *statement,
                                       const struct params *params, struct directory_hop **out, unsigned *count)
{
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    enum db_status status = db_read(arena, statement, params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct directory_hop){
            .host = arena_slicedup(arena, row_text(rows, i, 0)),
            .port = (unsigned)row_int64(rows, i, 1),
            .priority = (unsigned)row_int64(rows, i, 2),
            .weight = (unsigned)row_int64(rows, i, 3),
            .tls = read_tls(rows, i),
            .route_id = row_int64(rows, i, 5),
            .credential_id = row_int64(rows, i, 6),
            .sources = row_is_null(rows, i, 7) ? slice_of("", 0) : row_text(rows, i, 7),
        };
    return DB_FOUND;
}

AWAITS enum db_status directory_hops(struct arena *arena, int64_t domain_id, struct directory_hop **out,
                                     unsigned *count)
{
    struct params params;
    params_init(&params, arena);
    params_int64(&params, domain_id);
    return read_hops(arena, &hops, &params, out, count);
}

AWAITS enum db_status directory_route(struct arena *arena, int64_t route_id, struct directory_hop **out,
                                      unsigned *count)
{
    struct params params;
    params_init(&params, arena);
    params_int64(&params, route_id);
    return read_hops(arena, &route_hops, &params, out, count);
}

AWAITS enum db_status directory_route_named(struct arena *arena, struct slice name, struct directory_hop **out,
                                            unsigned *count)
{
    struct params params;
    params_init(&params, arena);
    params_text(&params, name);
    return read_hops(arena, &named_hops, &params, out, count);
}

static const struct db_statement relayed_below = {
    "directory_relayed_below",
    "select d.id from domain d where d.customer_id = $1::bigint"
    "   and (d.route_id is not null or exists (select from next_hop n where n.domain_id = d.id))"
    "   and (d.name = $2::text or right(d.name, length($2::text) + 1) = '.' || $2::text)"
    " order by d.name limit $3::integer",
};

AWAITS enum db_status directory_relayed_below(struct arena *arena, int64_t customer_id, struct slice name,
                                              unsigned limit, int64_t **ids, unsigned *count)
{
    struct params params;
    struct slice key;
    struct rows *rows = NULL;
    *ids = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, customer_id);
    params_text(&params, idn_domain(arena, name, &key) ? key : arena_lower(arena, name));
    params_int32(&params, (int32_t)limit);
    enum db_status status = db_read(arena, &relayed_below, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *ids = arena_array(arena, *count, sizeof **ids);
    for (unsigned i = 0; i < *count; i++)
        (*ids)[i] = row_int64(rows, i, 0);
    return DB_FOUND;
}

static const struct db_statement collected = {
    "directory_collected",
    "select id, name from domain where collector_id = $1::bigint order by name limit $2::integer",
};

AWAITS enum db_status directory_collected(struct arena *arena, int64_t account_id, unsigned limit,
                                          struct directory_collected **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, account_id);
    params_int32(&params, (int32_t)limit);
    enum db_status status = db_read(arena, &collected, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct directory_collected){row_int64(rows, i, 0), row_text(rows, i, 1)};
    return DB_FOUND;
}
