/*
 * queue_count: the queue in numbers.
 *
 * Two passes over the entries (state and age; destinations), and what is known of the longest destinations.  Ages come
 * from ids, which begin with their time.  Counters kept beside the entries were rejected: each acceptance and delivery
 * would write the same rows. Whoever asks keeps the answer, and asks the less often the longer it took
 * (admin-api/metrics_queue.c).
 */
#include "storage/queue_count.h"

#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_view_row.h"

const char *const queue_count_states[QUEUE_COUNT_STATES] = {"waiting", "held", "suspended", "active"};
const char *const queue_count_ages[QUEUE_COUNT_AGES] = {"0-1m", "1m-10m", "10m-1h", "1h-1d", "1d+"};

/* $1: ids of a day, an hour, ten minutes and a minute ago. */
static const struct db_statement states = {
    "queue_count_states",
    "select state, width_bucket(id, $1::bigint[]), count(*), min(id) from (select id,"
    "   case when worker is not null then 'active'"
    "        when (select count(*) from suspension) > 0"
    "         and exists (select from suspension s where " QUEUE_VIEW_SUSPENDS(
        "sender", "customer_id", "destination",
        "recipient") ") then 'suspended'"
                     "        when held_until is not null then 'held' else 'waiting' end as state from queue_entry) entries group by 1, 2"};
static const struct db_statement destinations = {
    "queue_count_destinations",
    "select t.destination, t.n, coalesce(max(d.failures), 0), max(d.due_at) filter (where d.failures > 0)"
    "  from (select destination, count(*) as n from queue_entry where worker is null group by 1 order by 2 desc, 1"
    "         limit $1::integer) t left join destination d on d.key = t.destination group by 1, 2 order by 2 desc, 1"};
static const struct db_statement away = {"queue_count_away",
                                         "select (select count(*) from outage where ended_at is null and account_id is null),"
                                         "       (select count(distinct key) from destination where failures > 0)"};

static void take_states(const struct rows *rows, struct queue_count *out)
{
    for (unsigned i = 0; i < QUEUE_COUNT_STATES; i++)
        out->oldest_ms[i] = INT64_MIN;
    for (unsigned row = 0; row < rows_count(rows); row++)
        for (unsigned i = 0; i < QUEUE_COUNT_STATES; i++) {
            int64_t bucket = row_int64(rows, row, 1), oldest = id_ms(row_int64(rows, row, 3));

            if (!slice_equal(row_text(rows, row, 0), slice_str(queue_count_states[i])) || bucket < 0 ||
                bucket >= QUEUE_COUNT_AGES)
                continue;
            out->entries[i][QUEUE_COUNT_OLDER - bucket] = (uint64_t)row_int64(rows, row, 2);
            if (out->oldest_ms[i] == INT64_MIN || oldest < out->oldest_ms[i])
                out->oldest_ms[i] = oldest;
        }
}

AWAITS enum db_status queue_count(struct arena *arena, struct queue_count *out)
{
    static const int64_t ages_s[] = {24 * 60 * 60, 60 * 60, 10 * 60, 60};
    int64_t ids[sizeof ages_s / sizeof *ages_s], now = clock_now_ms();
    struct params params;
    struct rows *rows = NULL;

    *out = (struct queue_count){0};
    for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++)
        ids[i] = id_at(now - ages_s[i] * 1000);
    params_init(&params, arena);
    params_int64s(&params, ids, sizeof ids / sizeof *ids);
    if (db_read(arena, &states, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    take_states(rows, out);
    params_init(&params, arena);
    params_int32(&params, QUEUE_COUNT_DESTINATIONS);
    if (db_read(arena, &destinations, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    for (unsigned i = 0; i < rows_count(rows) && i < QUEUE_COUNT_DESTINATIONS; i++)
        out->destinations[out->destination_count++] = (struct queue_count_destination){
            .key = arena_slicedup(arena, row_text(rows, i, 0)),
            .entries = (uint64_t)row_int64(rows, i, 1),
            .failures = (uint64_t)row_int64(rows, i, 2),
            .due_ms = row_time(rows, i, 3),
        };
    params_init(&params, arena);
    if (db_read(arena, &away, &params, &rows) != DB_FOUND)
        return DB_FAILED;
    out->outages_open = (uint64_t)row_int64(rows, 0, 0);
    out->destinations_away = (uint64_t)row_int64(rows, 0, 1);
    return DB_FOUND;
}
