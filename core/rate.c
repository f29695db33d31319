/*
 * rate: how often something happened lately.
 *
 * A counter is one number, the moment when its bucket will be empty (the "theoretical arrival time" of the generic
 * cell rate algorithm, ITU-T I.371): one more moves it on by a minute divided by the limit, and what would move it
 * more than a minute ahead of now is refused.  So nothing has to be reset, and a counter whose moment is over says
 * nothing: its place is free.
 *
 * All live in one table of fixed size in memory that the node's processes share: sets of a few cells each, as a
 * processor's cache has. A new name takes the cell of its set that is empty soonest.  Whoever has so many addresses
 * that full cells are taken away is counted less, but nobody else is refused for it, and nothing grows.
 *
 * There are no locks: a cell is two words, and a race between two processes loses a count, or begins one anew.  A
 * process that is killed in the middle leaves nothing behind.  Names are kept as a hash of 64 bits with a seed that
 * nobody knows.
 */
#include "core/rate.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "core/log.h"
#include "core/secret.h"

#define SETS 8192
#define CELLS 8
#define MINUTE_US UINT64_C(60000000)

struct cell {
    uint64_t name;     /* 0: never used */
    uint64_t empty_us; /* when the bucket will be */
};

struct table {
    uint64_t seed;
    struct cell cells[SETS][CELLS];
};

static struct table *table;

void rate_share(void)
{
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        log_fatal(1, "cannot map shared memory");
    secret_random(&table->seed, sizeof table->seed);
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* FNV-1a over the seed, mixed. */
static uint64_t hash(unsigned kind, const char *name)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ table->seed ^ kind;

    for (const char *p = name; *p; p++) {
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
        h ^= h >> 29;
    }
    h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return h ? h : 1;
}

static struct cell *find_or_take(unsigned kind, const char *name)
{
    struct cell *set, *soonest;
    uint64_t h;

    if (!table)
        rate_share();
    h = hash(kind, name);
    set = soonest = table->cells[(h >> 40) % SETS];
    for (unsigned i = 0; i < CELLS; i++) {
        if (__atomic_load_n(&set[i].name, __ATOMIC_RELAXED) == h)
            return &set[i];
        if (__atomic_load_n(&set[i].empty_us, __ATOMIC_RELAXED) < __atomic_load_n(&soonest->empty_us, __ATOMIC_RELAXED))
            soonest = &set[i];
    }
    __atomic_store_n(&soonest->empty_us, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&soonest->name, h, __ATOMIC_RELAXED);
    return soonest;
}

/* What is in the bucket after one more; more than per_minute: it was not counted. */
static unsigned add(unsigned kind, const char *name, unsigned per_minute)
{
    struct cell *cell = find_or_take(kind, name);
    uint64_t now = now_us(), one = MINUTE_US / per_minute, was = __atomic_load_n(&cell->empty_us, __ATOMIC_RELAXED),
             next;

    do {
        next = (was > now ? was : now) + one;
        if (next > now + MINUTE_US)
            return per_minute + 1;
    } while (!__atomic_compare_exchange_n(&cell->empty_us, &was, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return (unsigned)((next - now + one - 1) / one);
}

bool rate_take(unsigned kind, const char *name, unsigned per_minute)
{
    return !per_minute || add(kind, name, per_minute) <= per_minute;
}

unsigned rate_add(unsigned kind, const char *name, unsigned per_minute)
{
    unsigned level = add(kind, name, per_minute);

    return level < per_minute ? level : per_minute;
}
