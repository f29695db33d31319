/*
 * db_pipeline: requests in flight over a connection to PostgreSQL that is up.
 *
 * A request is sent as Bind/Execute for each step and one Sync; PostgreSQL runs what stands between two Syncs as one
 * transaction.  Answers come in order, so the requests in flight are a queue and each result belongs to its
 * head.  A statement used for the first time on a connection is prepared in a little transaction of its own before, so
 * that a request that fails cannot take the preparation with it; should the preparation itself fail (a schema that was
 * not migrated), the statement counts as unprepared again and the next use tries anew.
 *
 * Two traps where the connection breaks: libpq reports the break itself as an error result, without an SQLSTATE; and a
 * server that is told to end may say so (57P01) after it has committed and before it has said that.  Neither is a no.
 */
#include "storage/db_pipeline.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "db"
#include "core/clock.h"
#include "core/log.h"

/* ------------------------------------------------------------------ the queue */

static void queue_push(struct pipeline *p, struct request *request)
{
    request->next = NULL;
    request->at = 0;
    request->failed = request->doomed = false;
    request->sent_ms = clock_steady_ms();
    *p->last = request;
    p->last = &request->next;
    p->in_flight++;
}

static struct request *queue_pop(struct pipeline *p)
{
    struct request *request = p->first;

    p->first = request->next;
    if (!p->first)
        p->last = &p->first;
    p->in_flight--;
    return request;
}

bool pipeline_begin(struct pipeline *p, struct pg_conn *pg)
{
    *p = (struct pipeline){.pg = pg, .last = &p->first};
    return PQenterPipelineMode(pg) == 1;
}

struct request *pipeline_end(struct pipeline *p)
{
    struct request *list = p->first;

    p->first = NULL;
    p->last = &p->first;
    p->in_flight = 0;
    return list;
}

uint64_t pipeline_waits_ms(const struct pipeline *p)
{
    return p->first ? clock_steady_ms() - p->first->sent_ms : 0;
}

/* ------------------------------------------------------------------ sending */

struct preparation {
    struct request request;
    struct pipeline *pipeline;
    const struct db_statement *statement;
    struct db_error error;
};

static void on_prepared(struct request *request, enum request_end end)
{
    struct preparation *preparation = (struct preparation *)(void *)request;
    const struct db_statement *statement = preparation->statement;

    if (end != REQUEST_ANSWERED)
        preparation->pipeline->prepared[db_statement_number(statement)] = false;
    if (end == REQUEST_ERROR) /* who wanted it learns only that it is not there */
        log_error("a statement cannot be prepared", log_str("statement", statement->name),
                  log_str("sqlstate", preparation->error.sqlstate), log_str("error", preparation->error.message));
    free(preparation);
}

static bool prepare(struct pipeline *p, const struct db_statement *statement)
{
    unsigned number = db_statement_number(statement);
    struct preparation *preparation;

    if (p->prepared[number])
        return true;
    preparation = calloc(1, sizeof *preparation);
    if (!preparation)
        abort();
    if (PQsendPrepare(p->pg, statement->name, statement->sql, 0, NULL) != 1 || PQpipelineSync(p->pg) != 1) {
        free(preparation);
        return false;
    }
    p->prepared[number] = true;
    preparation->request.done = on_prepared;
    preparation->request.error = &preparation->error;
    preparation->pipeline = p;
    preparation->statement = statement;
    queue_push(p, &preparation->request);
    return true;
}

static bool send_step(struct pipeline *p, const struct request_step *step)
{
    enum { MOST = sizeof step->params->list / sizeof step->params->list[0] };
    const char *values[MOST];
    int lengths[MOST], formats[MOST];
    unsigned count = step->params->count;

    for (unsigned i = 0; i < count; i++) {
        values[i] = step->params->list[i].bytes;
        lengths[i] = step->params->list[i].length;
        formats[i] = 1;
    }
    return PQsendQueryPrepared(p->pg, step->statement->name, (int)count, values, lengths, formats, 1) == 1;
}

bool pipeline_send(struct pipeline *p, struct request *request)
{
    bool sent = true;

    for (unsigned i = 0; i < request->count && sent; i++)
        sent = prepare(p, request->steps[i].statement);
    for (unsigned i = 0; i < request->count && sent; i++)
        sent = send_step(p, &request->steps[i]);
    /* Where the Sync did not leave as a whole the server has nothing to commit: "not sent" is the truth. */
    if (!sent || PQpipelineSync(p->pg) != 1)
        return false;
    queue_push(p, request);
    return true;
}

/* ------------------------------------------------------------------ results */

static void take_error(struct request *request, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (!state)
        return; /* libpq's words, not the server's */
    if (!request->failed && request->error) {
        snprintf(request->error->sqlstate, sizeof request->error->sqlstate, "%s", state);
        snprintf(request->error->constraint, sizeof request->error->constraint, "%s", constraint ? constraint : "");
        snprintf(request->error->message, sizeof request->error->message, "%s", message ? message : "");
    }
    request->failed = true;
    if (request->at < request->count)
        request->doomed = true;
}

/* Of a step, or of the commit. */
static void take_result(struct request *request, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (request->at < request->count && request->steps[request->at].rows) {
            *request->steps[request->at].rows = rows_keep(request->arena, (struct pg_result *)(void *)result);
            result = NULL;
        }
        break;
    case PGRES_PIPELINE_ABORTED: /* a step before it failed */ request->failed = true; break;
    case PGRES_PIPELINE_SYNC: /* pipeline_take()'s */
    case PGRES_FATAL_ERROR:
    case PGRES_NONFATAL_ERROR:
    case PGRES_BAD_RESPONSE:
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
    case PGRES_SINGLE_TUPLE: take_error(request, result); break;
    }
    request->at++;
    PQclear(result);
}

/* In pipeline mode PQgetResult() says NULL after each command's results, and again when there is nothing more. */
struct request *pipeline_take(struct pipeline *p, enum request_end *end)
{
    while (p->first && !PQisBusy(p->pg)) {
        PGresult *result = PQgetResult(p->pg);

        if (result && PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            *end = p->first->failed ? REQUEST_ERROR : REQUEST_ANSWERED;
            return queue_pop(p);
        }
        if (result)
            take_result(p->first, result);
        else if (PQstatus(p->pg) == CONNECTION_BAD)
            break;
    }
    return NULL;
}
