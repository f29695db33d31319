/* source_pool: a customer's words; one who is gone has none. */
#include "storage/source_pool.h"

#include "storage/cache.h"
#include "storage/db.h"

static const struct db_statement of_customer = {
    "source_pool_customer",
    "select source_addresses from customer where id = $1::bigint",
};
static const struct db_statement of_domain = {
    "source_pool_domain",
    "select c.source_addresses from domain d join customer c on c.id = d.customer_id where d.id = $1::bigint",
};

static AWAITS enum db_status find(struct arena *arena, const struct db_statement *statement, int64_t id,
                                  struct slice *out)
{
    struct params params;
    struct rows *rows = NULL;

    *out = slice_of("", 0);
    params_init(&params, arena);
    params_int64(&params, id);
    enum db_status status = cache_read(arena, statement, &params, 0, &rows);
    if (status == DB_FOUND && !row_is_null(rows, 0, 0))
        *out = row_text(rows, 0, 0);
    return status == DB_FAILED ? DB_FAILED : DB_FOUND;
}

AWAITS enum db_status source_pool_of_customer(struct arena *arena, int64_t customer_id, struct slice *out)
{
    return find(arena, &of_customer, customer_id, out);
}

AWAITS enum db_status source_pool_of_domain(struct arena *arena, int64_t domain_id, struct slice *out)
{
    return find(arena, &of_domain, domain_id, out);
}
