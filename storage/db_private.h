#ifndef STORAGE_DB_PRIVATE_H
#define STORAGE_DB_PRIVATE_H
/*
 * What db.c, db_connection.c, db_pipeline.c, db_listen.c and row.c share.  Nobody else includes this.
 *
 * A connection knows requests, not units: a request is a run of prepared statements and one Sync, i.e. one
 * transaction, with somebody who is told how it ended.
 */
#include "storage/db.h"

struct pg_result; /* libpq's PGresult */
struct rows *rows_keep(struct arena *arena, struct pg_result *result);

/*
 * Rows that outlive the arena they came in (storage/cache.c): a copy, its owner's until dropped, and the arenas' it was
 * given to.
 */
struct rows_copy;
struct rows_copy *rows_copy(const struct rows *rows);
size_t rows_copy_bytes(const struct rows_copy *copy);
struct rows *rows_copy_use(struct rows_copy *copy, struct arena *arena);
void rows_copy_drop(struct rows_copy **copy);

enum request_end {
    REQUEST_ANSWERED, /* every step succeeded and the transaction is committed */
    REQUEST_ERROR,    /* the server said no: nothing of it happened; error is filled */
    REQUEST_LOST,     /* the connection broke before the answer */
};

struct request_step {
    const struct db_statement *statement;
    const struct params *params;
    struct rows **rows; /* where the result goes; NULL: nobody wants it */
};

struct request {
    struct request *next;
    struct arena *arena; /* results live there */
    struct request_step *steps;
    unsigned count, at; /* at: the step whose result comes next */
    uint64_t sent_ms;
    bool failed; /* the server said no, to a step or to the commit */
    bool doomed; /* to a step: it cannot be committed any more, whatever happens to the connection */
    struct db_error *error;
    void (*done)(struct request *request, enum request_end end);
    void *arg;
};

struct connection;
struct connection_events {
    void (*up)(struct connection *connection);
    void (*notify)(const char *channel, const char *payload);
};

/* Begins connecting, and keeps at it until connection_free(). */
struct connection *connection_new(const struct db_settings *settings, const struct connection_events *events);
void connection_free(struct connection **connection);
bool connection_up(const struct connection *connection);
unsigned connection_in_flight(const struct connection *connection);
/* Only while it is up.  False: it broke just now; the request was not sent and done is not called. */
bool connection_send(struct connection *connection, struct request *request);

#define DB_STATEMENTS_MAX 512
unsigned db_statement_number(const struct db_statement *statement); /* 0 to DB_STATEMENTS_MAX - 1 */

void db_count_reconnect(void);
const struct db_settings *db_settings(void); /* as given to db_open() */
void db_listen_close(void);

#endif
