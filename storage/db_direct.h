#ifndef STORAGE_DB_DIRECT_H
#define STORAGE_DB_DIRECT_H
/*
 * db_direct: one plain, blocking connection, for commands that run instead of the daemon (--migrate,
 * --create-admin-token).  Nothing that has an event loop may use it.
 */
#include <stdbool.h>
#include <stddef.h>

struct db_direct;

/* NULL, and libpq's words in error, when the database cannot be reached. */
struct db_direct *db_direct_open(const char *conninfo, char *error, size_t error_size);
void db_direct_close(struct db_direct **direct);

/* One or more statements without parameters. */
bool db_direct_run(struct db_direct *direct, const char *sql) __attribute__((warn_unused_result));
/* One statement with text parameters. Its rows stay until the next call. */
bool db_direct_query(struct db_direct *direct, const char *sql, const char *const *params, unsigned count)
    __attribute__((warn_unused_result));
unsigned db_direct_rows(const struct db_direct *direct);
const char *db_direct_value(const struct db_direct *direct, unsigned row, unsigned column);
/* Why the last call was false: PostgreSQL's words, with the line of the statement when it names one. */
const char *db_direct_error(const struct db_direct *direct);

#endif
