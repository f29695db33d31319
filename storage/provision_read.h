#ifndef STORAGE_PROVISION_READ_H
#define STORAGE_PROVISION_READ_H
/*
 * provision_read: how the administration API reads what it has written: one by its key, or a page of them.
 *
 * Each resource says how one of its rows becomes its struct; what is around that is here.  For the provision_*.c only.
 */
#include <stddef.h>

#include "storage/db.h"
#include "storage/provision.h"

struct provision_read_shape {
    size_t size;
    void (*read)(struct arena *arena, const struct rows *rows, unsigned row, void *into); /* into: size bytes */
};

/* The statement's only row. */
AWAITS enum db_status provision_read_one(struct params *params, const struct db_statement *statement,
                                         const struct provision_read_shape *shape, void *into)
    __attribute__((warn_unused_result));
/* The same of a statement whose only parameter is an id.  NONE: key is no id, or nobody's. */
AWAITS enum db_status provision_read_by_id(struct arena *arena, const struct db_statement *statement, struct slice key,
                                           const struct provision_read_shape *shape, void *into)
    __attribute__((warn_unused_result));
/* All its rows, an array in the arena of params.  NULL: it failed; never NULL for none. */
AWAITS void *provision_read_all(struct params *params, const struct db_statement *statement,
                                const struct provision_read_shape *shape, unsigned *count)
    __attribute__((warn_unused_result));
/* The same of a page: the statement's parameters are those of provision_read_page(). */
AWAITS void *provision_read_list(struct arena *arena, const struct db_statement *statement,
                                 const struct provision_page *page, const struct provision_read_shape *shape,
                                 unsigned *count) __attribute__((warn_unused_result));
/* And a third, whose they are. */
AWAITS void *provision_read_list_of(struct arena *arena, const struct db_statement *statement,
                                    const struct provision_page *page, int64_t owner_id,
                                    const struct provision_read_shape *shape, unsigned *count)
    __attribute__((warn_unused_result));
/* Two parameters: the id behind which a page begins, how many. */
void provision_read_page(struct params *params, const struct provision_page *page);

#endif
