/*
 * hop_size: one row for each destination whose next hop has a limit below ours.
 *
 * Hosts of one destination may differ (a backup MX takes less), and the door cannot know which of them it will be: so
 * a smaller limit does not replace a larger one, or none, before that is an hour old; a larger one counts at once.
 * So the door refuses nothing that some host takes, as far as is known; what it lets in too much is returned, as it
 * was before.
 *
 * The table has no trigger of the directory: it changes with the mail that flows, and look-ups may be as old as
 * CACHED_MS.
 */
#include "storage/hop_size.h"

#include "storage/cache.h"
#include "storage/db.h"

#define CACHED_MS 5000

static const struct db_statement find = {
    "hop_size_find", "select destination, size_max from hop_size where destination = any($1::text[]) and size_max > 0"
                     "   and learned_at > now() - $2::integer * interval '1 ms'"};
static const struct db_statement put = {
    "hop_size_put",
    "insert into hop_size (destination, size_max)"
    " select $1::text, $2::bigint where $2::bigint > 0 or exists (select from hop_size where destination = $1::text)"
    " on conflict (destination) do update set size_max = excluded.size_max, learned_at = now()"
    "  where hop_size.learned_at <= now() - $3::integer * interval '1 ms' or excluded.size_max = 0"
    "     or (hop_size.size_max > 0 and excluded.size_max >= hop_size.size_max)"};
static const struct db_statement forget = {"hop_size_forget",
                                           "delete from hop_size where learned_at < now() - interval '1 day'"};

AWAITS enum db_status hop_size_find(struct arena *arena, const struct slice *destinations, unsigned count,
                                    uint64_t *out)
{
    struct params params;
    struct rows *rows = NULL;

    for (unsigned i = 0; i < count; i++)
        out[i] = 0;
    params_init(&params, arena);
    params_texts(&params, destinations, count);
    params_int32(&params, HOP_SIZE_LIFETIME_MS);
    if (cache_read(arena, &find, &params, CACHED_MS, &rows) == DB_FAILED)
        return DB_FAILED;
    for (unsigned row = 0; row < rows_count(rows); row++)
        for (unsigned i = 0; i < count; i++)
            if (slice_equal(row_text(rows, row, 0), destinations[i]))
                out[i] = (uint64_t)row_int64(rows, row, 1);
    return DB_FOUND;
}

AWAITS enum db_write hop_size_put(struct arena *arena, struct slice destination, uint64_t size_max)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &put);

    params_text(p, destination);
    params_int64(p, size_max < INT64_MAX ? (int64_t)size_max : 0);
    params_int32(p, HOP_SIZE_LIFETIME_MS);
    return db_unit_run(unit);
}

AWAITS enum db_write hop_size_forget(struct arena *arena)
{
    struct db_unit *unit = db_unit_new(arena);

    db_unit_add(unit, &forget);
    return db_unit_run(unit);
}
