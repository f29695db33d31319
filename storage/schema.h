#ifndef STORAGE_SCHEMA_H
#define STORAGE_SCHEMA_H
/*
 * schema: which migrations this program knows (files NNNN_name.sql of the schema directory), which the
 * database has (table schema_migration), and what the difference means.
 *
 * The directory is the environment's POSTHOUSE_SCHEMA_DIR, else where `make install` put it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"

#define SCHEMA_DIGEST_SIZE 65 /* SHA-256 in hex, and NUL */

struct schema_migration {
    unsigned version; /* 1, 2, 3 ... without a gap */
    const char *name; /* "road" of 0001_road.sql */
    char digest[SCHEMA_DIGEST_SIZE];
    const char *sql; /* NULL for what came from the database */
};
struct schema_list {
    unsigned count;
    struct schema_migration *items; /* ascending */
};

enum schema_state {
    SCHEMA_CURRENT,
    SCHEMA_BEHIND,  /* migrations are waiting: posthoused --migrate */
    SCHEMA_AHEAD,   /* a newer program has been here; this one must not write */
    SCHEMA_CHANGED, /* an applied migration is not the file we have */
    SCHEMA_UNKNOWN, /* the directory or the database could not be read */
};

/* Everything lives in the arena. False: directory missing, unreadable, with a gap or without a migration. */
bool schema_load(struct arena *arena, struct schema_list *out, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Pure. `why` gets a sentence for the administrator unless the answer is SCHEMA_CURRENT. */
enum schema_state schema_compare(const struct schema_list *known, const struct schema_list *applied, char *why,
                                 size_t why_size);

/*
 * Reads the directory for schema_check(), once, for this process and those it forks: they may have lost the right to.
 */
bool schema_remember(char *error, size_t error_size) __attribute__((warn_unused_result));
/* Asks the database by db.h: for the daemon at start.  SCHEMA_UNKNOWN: away; ask again. */
AWAITS enum schema_state schema_check(char *why, size_t why_size);

#endif
