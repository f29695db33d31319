/*
 * tally: how many there are at once of something, counted by several processes together.
 *
 * Each process has a table of its own in memory that all share, and writes only there; a number is the sum over the
 * tables of those that live.  So nothing is locked, a process that is killed takes its count with it, and a place that
 * is used again begins with nothing.
 *
 * A table is a sketch (count-min: Cormode and Muthukrishnan, 2005): two rows of counters, in each of which a name has
 * one by a hash of its own.  Names that fall together in one row are counted together there, so the lesser of the two
 * sums is taken: too high only for who falls together in both rows.  Nothing grows, whatever strangers come, and the
 * hash has a seed that nobody knows, so that nobody can choose an address to be counted with another's.
 *
 * Who enters counts first and then looks: of two that come at the same moment to different processes, and for whom
 * there is one place, both may be refused, but never both let in.
 */
#include "core/tally.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/log.h"
#include "core/secret.h"

#define ROWS 2
#define COLUMNS 65536

struct table {
    uint32_t counts[ROWS][COLUMNS];
};

static struct shared {
    uint64_t seed;
    uint8_t used[TALLY_SLOTS];
    struct table tables[TALLY_SLOTS]; /* memory is taken for those that are used */
} * shared;
static unsigned own_slot;

void tally_share(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        log_fatal(1, "cannot map shared memory");
    secret_random(&shared->seed, sizeof shared->seed);
}

void tally_use(unsigned slot)
{
    if (!shared)
        tally_share();
    own_slot = slot % TALLY_SLOTS;
    memset(&shared->tables[own_slot], 0, sizeof shared->tables[own_slot]);
    __atomic_store_n(&shared->used[own_slot], 1, __ATOMIC_RELEASE);
}

void tally_depart(unsigned slot)
{
    if (shared)
        __atomic_store_n(&shared->used[slot % TALLY_SLOTS], 0, __ATOMIC_RELEASE);
}

/* FNV-1a over the seed, mixed; a column for each row. */
static void find_columns(const char *name, unsigned columns[ROWS])
{
    uint64_t h = UINT64_C(14695981039346656037) ^ shared->seed;

    for (const char *p = name; *p; p++) {
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
        h ^= h >> 29;
    }
    h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    columns[0] = (unsigned)(h >> 48) % COLUMNS;
    columns[1] = (unsigned)(h >> 32) % COLUMNS;
}

static void add(const unsigned columns[ROWS], uint32_t n)
{
    for (unsigned row = 0; row < ROWS; row++)
        __atomic_add_fetch(&shared->tables[own_slot].counts[row][columns[row]], n, __ATOMIC_SEQ_CST);
}

unsigned tally_enter(const char *name)
{
    unsigned columns[ROWS], sums[ROWS] = {0};

    if (!shared || !shared->used[own_slot])
        tally_use(own_slot);
    find_columns(name, columns);
    add(columns, 1);
    for (unsigned slot = 0; slot < TALLY_SLOTS; slot++) {
        if (!__atomic_load_n(&shared->used[slot], __ATOMIC_ACQUIRE))
            continue;
        for (unsigned row = 0; row < ROWS; row++)
            sums[row] += __atomic_load_n(&shared->tables[slot].counts[row][columns[row]], __ATOMIC_SEQ_CST);
    }
    return sums[0] < sums[1] ? sums[0] : sums[1];
}

void tally_leave(const char *name)
{
    unsigned columns[ROWS];

    find_columns(name, columns);
    add(columns, UINT32_MAX);
}
