/*
 * The blocking road to PostgreSQL.
 *
 * The daemon speaks to the database through db.c: non-blocking, pipelined, grouped.  Two commands run
 * without a loop and before any task exists: applying migrations and making the first API token.  For them
 * a plain connection is the right tool: a migration is a file of many statements that must go as a simple
 * query, in order, in a transaction of its own, however long it takes; an event loop would add nothing.
 *
 * The result of the last statement is kept so that callers need no libpq type.  Notices (of `if not
 * exists`) are dropped: they are no news to the administrator.
 */
#include "storage/db_direct.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct db_direct {
    PGconn *connection;
    PGresult *result; /* of the last statement; NULL before the first */
};

/* libpq ends its messages with a line feed, and may fill several lines; ours go into one log line. */
static void one_line(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        text[--n] = '\0';
    for (char *p = text; *p; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
}

static void drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

struct db_direct *db_direct_open(const char *conninfo, char *error, size_t error_size)
{
    static const char *const keys[] = {"dbname", "client_encoding", NULL};
    const char *const values[] = {conninfo, "UTF8", NULL};
    PGconn *connection = PQconnectdbParams(keys, values, 1);
    if (!connection || PQstatus(connection) != CONNECTION_OK) {
        snprintf(error, error_size, "%s", connection ? PQerrorMessage(connection) : "out of memory");
        one_line(error);
        PQfinish(connection);
        return NULL;
    }
    struct db_direct *direct = calloc(1, sizeof *direct);
    if (!direct)
        abort();
    direct->connection = connection;
    PQsetNoticeReceiver(connection, drop_notice, NULL);
    return direct;
}

void db_direct_close(struct db_direct **direct)
{
    if (!*direct)
        return;
    PQclear((*direct)->result);
    PQfinish((*direct)->connection);
    free(*direct);
    *direct = NULL;
}

static bool keep(struct db_direct *direct, PGresult *result)
{
    PQclear(direct->result);
    direct->result = result;
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

bool db_direct_run(struct db_direct *direct, const char *sql)
{
    return keep(direct, PQexec(direct->connection, sql));
}

bool db_direct_query(struct db_direct *direct, const char *sql, const char *const *params, unsigned count)
{
    return keep(direct, PQexecParams(direct->connection, sql, (int)count, NULL, params, NULL, NULL, 0));
}

unsigned db_direct_rows(const struct db_direct *direct)
{
    return (unsigned)PQntuples(direct->result);
}

const char *db_direct_value(const struct db_direct *direct, unsigned row, unsigned column)
{
    return PQgetvalue(direct->result, (int)row, (int)column);
}

const char *db_direct_error(const struct db_direct *direct)
{
    /* The connection's own buffer: writable in fact, and ours until the next call. */
    char *text = PQerrorMessage(direct->connection);
    one_line(text);
    return text;
}
