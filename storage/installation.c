/* installation: what all nodes of one installation share.  One row, read once. */
#include "storage/installation.h"

#include "storage/db.h"

static const struct db_statement read_key = {"installation_salt_key", "select salt_key from installation"};
static char key[64];
static size_t key_size;

enum db_status installation_salt_key(struct slice *out)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_status status = DB_FOUND;
    struct params none;
    struct rows *rows;

    params_init(&none, arena);
    if (!key_size && (status = db_read(arena, &read_key, &none, &rows)) == DB_FOUND) {
        struct slice stored = row_text(rows, 0, 0);

        key_size = stored.n < sizeof key ? stored.n : sizeof key;
        memcpy(key, stored.p, key_size);
    }
    arena_free(&arena);
    *out = slice_of(key, key_size);
    return status;
}
