/*
 * cache: answers of the directory, remembered while they are known to hold.
 *
 * The model is one number for the whole directory.  A trigger on its tables adds to it in the transaction of each
 * change (schema/0009_directory_change.sql); whoever reads the number after the commit sees another one.  So:
 *
 *   - All that is remembered is dropped as a whole when the number changes.  Directories change seldom and are looked
 *     up often; a drop costs each address in use one look-up.  Rejected: dropping by address or customer, which must
 *     know what an answer depended on (an alias, its targets, a state three tables away), and is wrong the day one is
 *     forgotten.
 *   - An answer is given from memory only while the number was read less than CACHE_TRUST_MS ago, counted from when
 *     that question was sent.  That is the whole of the promise "within a second"; everything below only makes it
 *     faster.
 *   - An answer is stored only if nothing was dropped between its question and its arrival (`epoch`).
 *
 * Two short cuts.  The trigger also says NOTIFY, at which nothing is answered from memory until the number was read
 * anew; a lost one costs CACHE_POLL_MS.  And the processes of a node share a word of memory, which is counted up after
 * each commit made here and looked at before each answer: an administrator who has his answer from the API finds that
 * the next command of this node knows.
 *
 * The number is read by one task every CACHE_POLL_MS while anything was asked within CACHE_IDLE_MS; an idle process
 * asks nothing.  With the database away the number is not read, so after CACHE_TRUST_MS look-ups go to the database
 * and fail as they would without us: 451.  Serving on was rejected: nothing could be accepted anyway, and 550 from
 * memory for an address made meanwhile is for good.
 *
 * An entry is a copy of libpq's result, shared by reference with the arenas of those it was given to.  The oldest in
 * use go first when there is no room.  Keys are what strangers ask for, so their hash is seeded.
 */
#include "storage/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LOG_MODULE "cache"
#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/secret.h"
#include "storage/db_private.h"

#define CACHE_CHANNEL "posthouse_directory"
#define CACHE_POLL_MS 300
#define CACHE_IDLE_MS 5000
#define CACHE_BUCKETS 16384

struct entry {
    struct entry *next_in_bucket;
    struct entry *newer, *older; /* by last use */
    const struct db_statement *statement;
    struct rows_copy *rows;
    uint64_t made_ms; /* when it was asked for */
    size_t bytes;     /* with everything */
    size_t key_length;
    unsigned bucket;
    char key[];
};

static struct {
    struct entry **buckets; /* NULL: not opened */
    struct entry *newest, *oldest;
    size_t bytes_max;
    uint64_t seed;
    uint64_t epoch; /* grows when everything is dropped */

    bool known; /* number was read once */
    int64_t number;
    uint64_t confirmed_ms; /* when the question was sent that last gave number */
    uint64_t used_ms;

    uint64_t *shared; /* changes made on this node */
    uint64_t shared_seen;

    struct task_pool *pool;
    bool polling;
    struct task_wait *sleeping; /* the poller's, while it sleeps */
    struct cache_counters counters;
} cache;

/* ------------------------------------------------------------------ entries */

/* Parameters with their lengths: no two lists look alike. */
static struct slice make_key(struct arena *arena, const struct params *params)
{
    size_t length = 0;
    for (unsigned i = 0; i < params->count; i++)
        length += sizeof(int32_t) + (params->list[i].bytes ? (size_t)params->list[i].length : 0);
    char *key = arena_alloc(arena, length + 1), *at = key;
    for (unsigned i = 0; i < params->count; i++) {
        int32_t n = params->list[i].bytes ? params->list[i].length : -1;
        memcpy(at, &n, sizeof n);
        at += sizeof n;
        if (n > 0)
            memcpy(at, params->list[i].bytes, (size_t)n);
        at += n > 0 ? n : 0;
    }
    return slice_of(key, length);
}

static unsigned bucket_of(const struct db_statement *statement, struct slice key)
{
    uint64_t hash = cache.seed ^ (uint64_t)(uintptr_t)statement;
    for (size_t i = 0; i < key.n; i++) {
        hash = (hash ^ (unsigned char)key.p[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return (unsigned)(hash >> 50);
}
_Static_assert(CACHE_BUCKETS == 1 << (64 - 50), "the hash gives 14 bits");

static void unlink_use(struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache.newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache.oldest) = entry->newer;
}

static void link_newest(struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache.newest;
    *(cache.newest ? &cache.newest->newer : &cache.oldest) = entry;
    cache.newest = entry;
}

static void forget(struct entry *entry)
{
    struct entry **link = &cache.buckets[entry->bucket];
    while (*link != entry)
        link = &(*link)->next_in_bucket;
    *link = entry->next_in_bucket;
    unlink_use(entry);
    cache.counters.bytes -= entry->bytes;
    cache.counters.entries--;
    rows_copy_drop(&entry->rows);
    free(entry);
}

static struct entry *find(const struct db_statement *statement, struct slice key)
{
    struct entry *entry = cache.buckets[bucket_of(statement, key)];
    while (entry &&
           (entry->statement != statement || entry->key_length != key.n || memcmp(entry->key, key.p, key.n) != 0))
        entry = entry->next_in_bucket;
    return entry;
}

static void store(const struct db_statement *statement, struct slice key, const struct rows *rows, uint64_t made_ms)
{
    struct entry *entry = find(statement, key);
    if (entry) /* another task asked the same at the same time, or it was too old */
        forget(entry);
    struct rows_copy *copy = rows_copy(rows);
    size_t bytes = sizeof *entry + key.n + rows_copy_bytes(copy);
    entry = bytes > CACHE_ENTRY_MAX || bytes > cache.bytes_max ? NULL : malloc(sizeof *entry + key.n);
    if (!entry) {
        rows_copy_drop(&copy);
        return;
    }
    while (cache.counters.bytes + bytes > cache.bytes_max)
        forget(cache.oldest);
    *entry =
        (struct entry){.statement = statement, .rows = copy, .made_ms = made_ms, .bytes = bytes, .key_length = key.n};
    memcpy(entry->key, key.p, key.n);
    entry->bucket = bucket_of(statement, key);
    entry->next_in_bucket = cache.buckets[entry->bucket];
    cache.buckets[entry->bucket] = entry;
    link_newest(entry);
    cache.counters.bytes += bytes;
    cache.counters.entries++;
}

static void drop_all(void)
{
    cache.epoch++;
    cache.counters.drops += cache.oldest != NULL;
    while (cache.oldest)
        forget(cache.oldest);
}

/* ------------------------------------------------------------------ does it still hold? */

static const struct db_statement number = {"cache_number", "select sum(number)::bigint from directory_change"};

static AWAITS void read_number(struct arena *arena)
{
    struct params none;
    struct rows *rows = NULL;
    uint64_t sent_ms = clock_steady_ms();
    params_init(&none, arena);
    if (db_read(arena, &number, &none, &rows) != DB_FOUND)
        return;
    if (!cache.known || cache.number != row_int64(rows, 0, 0))
        drop_all();
    cache.known = true;
    cache.number = row_int64(rows, 0, 0);
    cache.confirmed_ms = sent_ms;
}

static void on_time(void *arg)
{
    (void)arg;
    if (cache.sleeping)
        task_wake(cache.sleeping);
    cache.sleeping = NULL;
}

static void poll_while_used(void *arg)
{
    (void)arg;
    struct arena *arena = arena_new(SIZE_MAX);
    while (cache.buckets && clock_steady_ms() < cache.used_ms + CACHE_IDLE_MS) {
        struct task_wait wait = TASK_WAIT_INIT;
        struct loop_timer timer = {0};
        read_number(arena);
        arena_reset(arena);
        cache.sleeping = &wait;
        loop_timer_set(&timer, CACHE_POLL_MS, on_time, NULL);
        task_wait(&wait);
        loop_timer_clear(&timer);
    }
    arena_free(&arena);
    cache.polling = false;
}

static void poll(void)
{
    if (!cache.polling)
        cache.polling = task_start(cache.pool, poll_while_used, NULL);
}

static void on_notify(const char *payload, void *arg)
{
    (void)payload, (void)arg;
    cache.known = false;
    on_time(NULL); /* a poller that is asking just now drops all that came before, and again CACHE_POLL_MS later */
}

/* What this node's processes have changed. */
static void look_around(void)
{
    uint64_t now = __atomic_load_n(cache.shared, __ATOMIC_ACQUIRE);
    if (now == cache.shared_seen)
        return;
    cache.shared_seen = now;
    drop_all();
}

static bool is_trusted(uint64_t now_ms)
{
    return cache.known && now_ms < cache.confirmed_ms + CACHE_TRUST_MS;
}

/* ------------------------------------------------------------------ the interface */

AWAITS enum db_status cache_read(struct arena *arena, const struct db_statement *statement, const struct params *params,
                                 unsigned age_max_ms, struct rows **out)
{
    if (!cache.buckets)
        return db_read(arena, statement, params, out);

    struct slice key = make_key(arena, params);
    uint64_t now_ms = clock_steady_ms();
    cache.used_ms = now_ms;
    poll();
    look_around();
    struct entry *entry = is_trusted(now_ms) ? find(statement, key) : NULL;
    if (entry && (!age_max_ms || now_ms < entry->made_ms + age_max_ms)) {
        unlink_use(entry);
        link_newest(entry);
        cache.counters.hits++;
        *out = rows_copy_use(entry->rows, arena);
        return rows_count(*out) ? DB_FOUND : DB_NONE;
    }

    uint64_t epoch = cache.epoch;
    cache.counters.misses++;
    enum db_status status = db_read(arena, statement, params, out);
    if (status == DB_FAILED || !cache.buckets)
        return status;
    look_around();
    if (epoch == cache.epoch)
        store(statement, key, *out, now_ms);
    return status;
}

void cache_outdate(void)
{
    if (cache.shared)
        __atomic_add_fetch(cache.shared, 1, __ATOMIC_RELEASE);
}

void cache_share(void)
{
    cache.shared = mmap(NULL, sizeof *cache.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (cache.shared == MAP_FAILED)
        log_fatal(1, "cannot map shared memory");
}

void cache_open(size_t bytes_max)
{
    static uint64_t own;

    if (!bytes_max)
        return;
    if (!cache.shared)
        cache.shared = &own;
    cache.shared_seen = __atomic_load_n(cache.shared, __ATOMIC_ACQUIRE);
    cache.buckets = calloc(CACHE_BUCKETS, sizeof(struct entry *));
    if (!cache.buckets)
        abort();
    cache.bytes_max = bytes_max;
    secret_random(&cache.seed, sizeof cache.seed);
    if (!cache.pool)
        cache.pool = task_pool_new("cache", 1, 0);
    db_listen(CACHE_CHANNEL, on_notify, NULL);
}

void cache_close(void)
{
    if (!cache.buckets)
        return;
    drop_all();
    cache.known = false;
    free(cache.buckets);
    cache.buckets = NULL;
    on_time(NULL);
}

void cache_counters(struct cache_counters *out)
{
    *out = cache.counters;
}
