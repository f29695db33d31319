#ifndef STORAGE_CACHE_H
#define STORAGE_CACHE_H
/*
 * cache: answers of the directory, remembered while they are known to hold.  Inside storage, for the reading functions
 * of directory*.c; the rest of the program only begins it and counts.
 *
 * A remembered answer is never older than CACHE_TRUST_MS: a change, by whichever node and also by hand, is seen within
 * that time, usually within a few milliseconds, and at once by all processes of the node whose API made it.  When the
 * database cannot be asked for so long, nothing is answered from memory any more.
 *
 * Answers without rows are remembered, failures are not.  What is secret is not read through here.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/db.h"
#include "storage/status.h"

#define CACHE_TRUST_MS 900
#define CACHE_ENTRY_MAX 32768 /* bytes; what is longer is not remembered */

/* In the master, before the first fork: what the processes of a node share. Without it a process is alone. */
void cache_share(void);
/* After db_open().  bytes_max 0, or not called: nothing is remembered. */
void cache_open(size_t bytes_max);
void cache_close(void);

/*
 * As db_read().  statement must depend on nothing but its parameters, the clock, and the tables that have the trigger
 * directory_changed() (schema/0009_directory_change.sql).  age_max_ms: for what depends on the clock, or on tables
 * without the trigger and may be so old; 0: it does not.
 */
AWAITS enum db_status cache_read(struct arena *arena, const struct db_statement *statement, const struct params *params,
                                 unsigned age_max_ms, struct rows **out) __attribute__((warn_unused_result));

/* This process has committed a change, or perhaps has: no process of this node answers from memory what was before. */
void cache_outdate(void);

struct cache_counters {
    uint64_t hits, misses, drops;
    uint64_t bytes;
    unsigned entries;
};
void cache_counters(struct cache_counters *out);

#endif
