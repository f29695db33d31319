/*
 * Reading for the administration API.  The shape is a function and a size rather than a macro that makes a function for
 * each resource: what it does can be stepped through, and a row is converted once for each that a person asked for.
 */
#include "storage/provision_read.h"

#include "core/id.h"

AWAITS enum db_status provision_read_one(struct params *params, const struct db_statement *statement,
                                         const struct provision_read_shape *shape, void *into)
{
    struct rows *rows = NULL;
    enum db_status status = db_read(params->arena, statement, params, &rows);

    if (status == DB_FOUND)
        shape->read(params->arena, rows, 0, into);
    return status;
}

AWAITS enum db_status provision_read_by_id(struct arena *arena, const struct db_statement *statement, struct slice key,
                                           const struct provision_read_shape *shape, void *into)
{
    int64_t id = 0;
    struct params params;

    if (!id_parse(key, &id))
        return DB_NONE;
    params_init(&params, arena);
    params_int64(&params, id);
    return provision_read_one(&params, statement, shape, into);
}

AWAITS void *provision_read_all(struct params *params, const struct db_statement *statement,
                                const struct provision_read_shape *shape, unsigned *count)
{
    struct rows *rows = NULL;
    char *list;

    *count = 0;
    if (db_read(params->arena, statement, params, &rows) == DB_FAILED)
        return NULL;
    list = arena_array(params->arena, rows_count(rows) + 1, shape->size);
    for (; *count < rows_count(rows); (*count)++)
        shape->read(params->arena, rows, *count, list + *count * shape->size);
    return list;
}

void provision_read_page(struct params *params, const struct provision_page *page)
{
    params_int64(params, page->after);
    params_int32(params, (int32_t)page->limit);
}

AWAITS void *provision_read_list(struct arena *arena, const struct db_statement *statement,
                                 const struct provision_page *page, const struct provision_read_shape *shape,
                                 unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    provision_read_page(&params, page);
    return provision_read_all(&params, statement, shape, count);
}

AWAITS void *provision_read_list_of(struct arena *arena, const struct db_statement *statement,
                                    const struct provision_page *page, int64_t owner_id,
                                    const struct provision_read_shape *shape, unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    provision_read_page(&params, page);
    params_int64(&params, owner_id);
    return provision_read_all(&params, statement, shape, count);
}
