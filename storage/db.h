#ifndef STORAGE_DB_H
#define STORAGE_DB_H
/*
 * db: the road to PostgreSQL.  Only storage/ includes this; libpq itself is seen by db*.c and row.c only.
 *
 * One process, one database, a few connections, each in libpq's pipeline mode.  A *unit* is one or more
 * prepared statements followed by one Sync: PostgreSQL runs it as one transaction, we send it in one
 * write and collect the answers in order.  Many tasks' units are in flight on one connection at once, so
 * a look-up never waits for another's disk flush: reads and writes have connections of their own.
 *
 * Three answers for reading (FOUND, NONE, FAILED), four for writing: UNCERTAIN is a unit whose
 * connection broke after it was sent and before its answer came.  Ids are made by us, so the caller can
 * look whether the rows are there (db_certain_wait() first: the new connection must be up).
 *
 * A unit that fails by serialization or deadlock (40001, 40P01) was rolled back; DB_CONFLICT says that the
 * caller may run it again as it is.  Constraint violations (class 23) are DB_REFUSED with the constraint's
 * name: an answer, not a failure.
 *
 * While the database is away every unit fails at once (no queueing behind a dead server), and connections
 * are retried with back-off (100 ms to 5 s).  Requests past DB_QUEUE_MAX fail at once, too.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define DB_QUEUE_MAX 4096 /* units waiting or in flight per lane */

struct db_settings {
    const char *conninfo;          /* libpq connection string */
    unsigned read_connections;     /* 2 */
    unsigned write_connections;    /* 2 */
    unsigned statement_timeout_ms; /* 10,000; set on each connection */
};

/* Can libpq read it?  Why not is not said: it would quote what may be a password. */
bool db_conninfo_valid(const char *conninfo) __attribute__((warn_unused_result));
void db_open(const struct db_settings *settings); /* after fork; returns before anything is connected */
void db_close(void);
bool db_ready(void); /* at least one read and one write connection is up */

/*
 * A statement: defined once, static; prepared on each connection at first use.  Parameters are typed by
 * casts in the SQL ($1::bigint) and sent in binary form by params_*().
 */
struct db_statement {
    const char *name; /* unique in the program */
    const char *sql;
};

/* -------- parameters: built in an arena, in order */
struct params {
    struct arena *arena;
    unsigned count;
    struct param {
        const char *bytes; /* NULL: SQL null */
        int length;
    } list[24];
};
void params_init(struct params *params, struct arena *arena);
void params_int64(struct params *params, int64_t value); /* bigint */
void params_int32(struct params *params, int32_t value); /* integer */
void params_int16(struct params *params, int16_t value); /* smallint */
void params_bool(struct params *params, bool value);
void params_text(struct params *params, struct slice value);  /* text; {NULL,0} is null */
void params_bytes(struct params *params, struct slice value); /* bytea; {NULL,0} is null */
void params_time(struct params *params, int64_t ms);          /* timestamptz; INT64_MIN is null */
void params_null(struct params *params);
/* Arrays, for set-based statements over unnest(). */
void params_int64s(struct params *params, const int64_t *values, unsigned count);
void params_int32s(struct params *params, const int32_t *values, unsigned count);
void params_int16s(struct params *params, const int16_t *values, unsigned count);
void params_bools(struct params *params, const bool *values, unsigned count);
void params_texts(struct params *params, const struct slice *values, unsigned count); /* {NULL,0}: null element */
void params_bytess(struct params *params, const struct slice *values, unsigned count);
void params_times(struct params *params, const int64_t *values, unsigned count); /* INT64_MIN: null */

/* -------- results: rows of one statement, owned by the arena that the call was given */
struct rows;
unsigned rows_count(const struct rows *rows);
/* Affected rows of INSERT, UPDATE, DELETE without RETURNING. */
unsigned rows_affected(const struct rows *rows);
bool row_is_null(const struct rows *rows, unsigned row, unsigned column);
int64_t row_int64(const struct rows *rows, unsigned row, unsigned column); /* smallint, integer or bigint */
bool row_bool(const struct rows *rows, unsigned row, unsigned column);
struct slice row_text(const struct rows *rows, unsigned row, unsigned column); /* text or bytea; null: {NULL,0} */
int64_t row_time(const struct rows *rows, unsigned row, unsigned column);      /* ms; null: INT64_MIN */

/* -------- running */
struct db_error {
    char sqlstate[6];
    char constraint[64]; /* for DB_REFUSED */
    char message[256];   /* for logs, never for a stranger */
};

/* One reading statement.  NONE: it ran and gave no row (*out is still valid). */
AWAITS enum db_status db_read(struct arena *arena, const struct db_statement *statement, const struct params *params,
                              struct rows **out) __attribute__((warn_unused_result));
/* The same of one page of what may be very much: by an index that has its order, whatever little the planner expects. */
AWAITS enum db_status db_read_page(struct arena *arena, const struct db_statement *statement,
                                   const struct params *params, struct rows **out) __attribute__((warn_unused_result));

/* One transaction of several statements (at most DB_UNIT_MAX). */
#define DB_UNIT_MAX 20
struct db_unit {
    struct arena *arena;
    unsigned count;
    struct {
        const struct db_statement *statement;
        struct params params;
        struct rows *rows; /* after DB_DONE */
    } steps[DB_UNIT_MAX];
    struct db_error error; /* after anything but DB_DONE */
    bool relaxed;          /* synchronous_commit = off: for what may be lost (hints, counters) */
};
struct db_unit *db_unit_new(struct arena *arena);
/* Returns the step's parameters, to be filled. */
struct params *db_unit_add(struct db_unit *unit, const struct db_statement *statement);
AWAITS enum db_write db_unit_run(struct db_unit *unit) __attribute__((warn_unused_result));

/* Waits until a write connection is up again, or max_ms passed (false).  After UNCERTAIN, before looking. */
AWAITS bool db_certain_wait(unsigned max_ms);

/* -------- hints (LISTEN/NOTIFY), see storage/hint.h */
/* channel: a plain identifier in lower case; must stay.  After db_open(). */
typedef void db_notify_fn(const char *payload, void *arg);
void db_listen(const char *channel, db_notify_fn *fn, void *arg);

/* Counters for /metrics. */
struct db_counters {
    uint64_t units, failed, uncertain, reconnects;
    unsigned connected, in_flight;
};
void db_counters(struct db_counters *out);

#endif
