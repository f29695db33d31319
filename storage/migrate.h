#ifndef STORAGE_MIGRATE_H
#define STORAGE_MIGRATE_H
/*
 * migrate: `posthoused --migrate`: brings the database to the schema this program knows.
 *
 * Blocking; runs as a command of its own, before any loop.  Idempotent, each migration in a transaction,
 * and safe when several nodes start at once (an advisory lock makes them wait for each other).
 */
#include <stddef.h>

#include "storage/schema.h"

/*
 * SCHEMA_CURRENT: done; *applied says how many migrations that took.  SCHEMA_BEHIND: one failed, the database
 * stays at the one before.  SCHEMA_AHEAD, SCHEMA_CHANGED: refused, nothing was done.  SCHEMA_UNKNOWN: no
 * schema directory, no database, or an empty one that is not in UTF-8.  why: a sentence, unless CURRENT.
 */
enum schema_state migrate_run(const char *conninfo, unsigned *applied, char *why, size_t why_size)
    __attribute__((warn_unused_result));

#endif
