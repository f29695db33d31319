/* directory_route: a domain's next hops and its collector. */
#include "storage/directory_route.h"

#include "core/idn.h"
#include "storage/db.h"

static const struct db_statement hops = {
    "directory_hops",
    "select host, port, priority from next_hop where domain_id = $1::bigint order by priority, host, port",
};

AWAITS enum db_status directory_hops(struct arena *arena, int64_t domain_id, struct directory_hop **out,
                                     unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, domain_id);
    enum db_status status = db_read(arena, &hops, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct directory_hop){
            .host = arena_slicedup(arena, row_text(rows, i, 0)),
            .port = (unsigned)row_int64(rows, i, 1),
            .priority = (unsigned)row_int64(rows, i, 2),
        };
    return DB_FOUND;
}

static const struct db_statement relayed_below = {
    "directory_relayed_below",
    "select d.id from domain d where d.customer_id = $1::bigint"
    "   and exists (select from next_hop n where n.domain_id = d.id)"
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
