/*
 * metrics_queue: the queue in /metrics: how much is in each state and how old it is, and where the most of it goes.
 *
 * It costs a count of all entries, so it is kept: for KEEP_MS, and for SHARE times as long as it took, so that
 * counting a queue of millions takes a fiftieth of one database connection, however often somebody asks.  Who asks
 * while it is counted gets the last answer.  While the database is away nothing is told rather than something wrong.
 *
 * Destinations are labels, of which a time series database wants few: the twenty for which the most waits.
 */
#include "admin-api/metrics_queue.h"

#include "core/clock.h"
#include "storage/queue_count.h"

#define KEEP_MS 10000
#define SHARE 50

static struct arena *memory;
static struct queue_count known;
static uint64_t until_ms;
static bool counting;

/* False: nothing is known. */
static AWAITS bool refresh(void)
{
    uint64_t began = clock_steady_ms(), took;
    struct queue_count fresh;
    struct arena *arena;

    if (began < until_ms || (counting && memory))
        return memory != NULL;
    arena = arena_new(SIZE_MAX);
    counting = true;
    enum db_status status = queue_count(arena, &fresh);
    counting = false;
    arena_free(&memory);
    until_ms = 0;
    if (status != DB_FOUND) {
        arena_free(&arena);
        return false;
    }
    memory = arena;
    known = fresh;
    took = clock_steady_ms() - began;
    until_ms = clock_steady_ms() + (took * SHARE > KEEP_MS ? took * SHARE : KEEP_MS);
    return true;
}

/* "\\", "\"" and line ends are escaped in a label's value. */
static const char *label(struct arena *arena, const char *text)
{
    const char *out = "";
    for (; *text; text++)
        out = *text == '\n'                   ? arena_printf(arena, "%s\\n", out)
              : *text == '"' || *text == '\\' ? arena_printf(arena, "%s\\%c", out, *text)
                                              : arena_printf(arena, "%s%c", out, *text);
    return out;
}

static const char *put_states(struct arena *arena, const char *text)
{
    text = arena_printf(arena,
                        "%s# HELP posthouse_queue_entries Recipients on their way, in the whole installation.\n"
                        "# TYPE posthouse_queue_entries gauge\n",
                        text);
    for (unsigned i = 0; i < QUEUE_COUNT_STATES; i++) {
        uint64_t sum = 0;
        for (unsigned age = 0; age < QUEUE_COUNT_AGES; age++)
            sum += known.entries[i][age];
        text = arena_printf(arena, "%sposthouse_queue_entries{state=\"%s\"} %llu\n", text, queue_count_states[i],
                            (unsigned long long)sum);
    }
    text = arena_printf(arena,
                        "%s# HELP posthouse_queue_age_entries The same by time since acceptance.\n"
                        "# TYPE posthouse_queue_age_entries gauge\n",
                        text);
    for (unsigned i = 0; i < QUEUE_COUNT_STATES; i++)
        for (unsigned age = 0; age < QUEUE_COUNT_AGES; age++)
            text =
                arena_printf(arena, "%sposthouse_queue_age_entries{state=\"%s\",age=\"%s\"} %llu\n", text,
                             queue_count_states[i], queue_count_ages[age], (unsigned long long)known.entries[i][age]);
    text = arena_printf(
        arena,
        "%s# HELP posthouse_queue_oldest_seconds Time since the acceptance of the oldest; 0: there is none.\n"
        "# TYPE posthouse_queue_oldest_seconds gauge\n",
        text);
    for (unsigned i = 0; i < QUEUE_COUNT_STATES; i++) {
        int64_t age = known.oldest_ms[i] == INT64_MIN ? 0 : clock_now_ms() - known.oldest_ms[i];
        text = arena_printf(arena, "%sposthouse_queue_oldest_seconds{state=\"%s\"} %.3f\n", text, queue_count_states[i],
                            age > 0 ? (double)age / 1000 : 0.0);
    }
    return text;
}

static const char *put_destinations(struct arena *arena, const char *text)
{
    static const char *const heads[] = {
        "# HELP posthouse_destination_entries What waits for a destination; the twenty with the most.\n"
        "# TYPE posthouse_destination_entries gauge\n",
        "# HELP posthouse_destination_failures Times in a row that it could not be reached; 0: it can.\n"
        "# TYPE posthouse_destination_failures gauge\n",
        "# HELP posthouse_destination_retry_seconds Time until one that could not be reached is tried again.\n"
        "# TYPE posthouse_destination_retry_seconds gauge\n",
    };
    static const char *const names[] = {"entries", "failures", "retry_seconds"};
    int64_t now = clock_now_ms();
    for (unsigned which = 0; which < 3; which++) {
        text = arena_printf(arena, "%s%s", text, heads[which]);
        for (unsigned i = 0; i < known.destination_count; i++) {
            const struct queue_count_destination *d = &known.destinations[i];
            int64_t wait = d->due_ms > now ? (d->due_ms - now) / 1000 : 0;
            int64_t values[] = {(int64_t)d->entries, (int64_t)d->failures, wait};
            text = arena_printf(arena, "%sposthouse_destination_%s{destination=\"%s\"} %lld\n", text, names[which],
                                label(arena, d->key), (long long)values[which]);
        }
    }
    return arena_printf(
        arena,
        "%s# HELP posthouse_destinations_away Destinations that could not be reached when they were tried last.\n"
        "# TYPE posthouse_destinations_away gauge\nposthouse_destinations_away %llu\n"
        "# HELP posthouse_primaries_away Relay domains with an open outage.\n"
        "# TYPE posthouse_primaries_away gauge\nposthouse_primaries_away %llu\n",
        text, (unsigned long long)known.destinations_away, (unsigned long long)known.outages_open);
}

AWAITS const char *metrics_queue(struct arena *arena)
{
    return refresh() ? put_destinations(arena, put_states(arena, "")) : "";
}
