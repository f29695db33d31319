#ifndef STORAGE_DB_PIPELINE_H
#define STORAGE_DB_PIPELINE_H
/*
 * db_pipeline: requests in flight over a connection that is up.  For db_connection.c.
 *
 * It tells nobody how a request has ended: whoever takes it out calls its done(), when the connection is in order again.
 * It does not watch the socket: after pipeline_send() the connection flushes.
 */
#include "storage/db_private.h"

struct pg_conn; /* libpq's PGconn */

struct pipeline {
    struct pg_conn *pg;
    struct request *first, **last;
    unsigned in_flight; /* with the preparations of statements */
    bool prepared[DB_STATEMENTS_MAX];
};

/* A connection has come up: nothing is in flight, no statement prepared.  False: it has no pipeline mode. */
bool pipeline_begin(struct pipeline *pipeline, struct pg_conn *pg) __attribute__((warn_unused_result));
/* It is over: what was in flight, linked by next.  Also of one that was never begun, if it is all zero. */
struct request *pipeline_end(struct pipeline *pipeline);

/* False: the connection broke just now; the request is not in flight. */
bool pipeline_send(struct pipeline *pipeline, struct request *request) __attribute__((warn_unused_result));
/* The next request whose answer has come whole; it is the caller's again.  NULL: there is none yet. */
struct request *pipeline_take(struct pipeline *pipeline, enum request_end *end) __attribute__((warn_unused_result));
/* How long the oldest request has been in flight; 0: there is none. */
uint64_t pipeline_waits_ms(const struct pipeline *pipeline);

#endif
