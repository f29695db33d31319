/*
 * srs_key: the list in memory, and its keeping.
 *
 * The list is short (eight keys in a year) and read when the directory has changed, which a new key is: so within a
 * second of its making every node can read what another has written with it.  It is not written with before it has
 * rested, for nodes that could not ask the database in that second.
 *
 * Two workers may make a key in the same moment; then there are two, which does no harm.
 */
#include "storage/srs_key.h"

#include "core/clock.h"
#include "core/secret.h"
#include "storage/db.h"

#define KEY_SIZE 32

static struct arena *memory;
static struct slice list[SRS_KEYS_MAX];  /* the latest first */
static int64_t made_at_ms[SRS_KEYS_MAX]; /* of each */
static unsigned listed;

static const struct db_statement read_list = {
    "srs_key_list", "select key, made_at from srs_key order by made_at desc, id desc limit $1::integer"};
static const struct db_statement make = {
    "srs_key_make", "insert into srs_key (key) select $1::bytea"
                    " where not exists (select from srs_key where made_at > now() - $2::integer * interval '1 day')"};
/* The last one never goes, however long nothing ran. */
static const struct db_statement forget = {"srs_key_forget",
                                           "delete from srs_key where made_at < now() - $1::integer * interval '1 day'"
                                           "   and made_at < (select max(made_at) from srs_key)"};

bool srs_keys(const struct slice **keys, unsigned *count)
{
    static struct slice sorted[SRS_KEYS_MAX];
    int64_t rested = clock_now_ms() - SRS_KEY_REST_MS;
    unsigned first = 0, n = 0;

    while (first < listed && made_at_ms[first] > rested)
        first++;
    if (first == listed) /* all are new: a new installation */
        first = 0;
    for (unsigned i = 0; i < listed; i++)
        if (i >= first)
            sorted[n++] = list[i];
    for (unsigned i = 0; i < first; i++)
        sorted[n++] = list[i];
    *keys = sorted;
    *count = n;
    return n > 0;
}

AWAITS enum db_status srs_key_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int32(&params, SRS_KEYS_MAX);
    if (db_read(arena, &read_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    arena_free(&memory); /* wipes */
    memory = arena_new(SIZE_MAX);
    listed = rows_count(rows);
    for (unsigned i = 0; i < listed; i++) {
        list[i] = secret_slice(memory, row_text(rows, i, 0));
        made_at_ms[i] = row_time(rows, i, 1);
    }
    return DB_FOUND;
}

AWAITS enum db_write srs_key_rotate(struct arena *arena)
{
    struct db_unit *unit = db_unit_new(arena);
    char *key = secret_space(arena, KEY_SIZE);
    struct params *p = db_unit_add(unit, &make);

    secret_random(key, KEY_SIZE);
    params_bytes(p, slice_of(key, KEY_SIZE));
    params_int32(p, SRS_KEY_DAYS);
    params_int32(db_unit_add(unit, &forget), SRS_KEY_KEPT_DAYS);
    return db_unit_run(unit);
}
