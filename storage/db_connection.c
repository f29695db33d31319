/*
 * db_connection: one connection to PostgreSQL: connecting, watching its socket, giving it up.
 *
 *     down --timer--> connecting --> up --break--> down
 *
 * What is sent over it while it is up, and what the answers mean, is db_pipeline.c.  When the connection breaks every
 * request in flight ends as LOST, unless one of its steps was refused before: what that means (nothing for a reading,
 * uncertainty for a transaction) is the caller's business.
 *
 * A server that has stopped answering (a frozen machine, a lost network) is noticed by a tick each second: if
 * the oldest request is older than the statement timeout and some, the connection is given up.  Connecting is
 * bounded by CONNECT_LIMIT_MS.
 *
 * Each session is set up for what we run: short statements written for their indexes, over tables that grow and
 * shrink within minutes.  One plan for all values, or arrays of different lengths would be planned again each time; no
 * sequential scans and no JIT, or a plan made while the queue was empty would go on to read a full one from end to
 * end.  The large string makes the server's malloc keep its heap: it raises its threshold for giving memory back when a
 * mapped block is freed, and until then gives back and takes again a few hundred KiB in each batch, a sixth of the
 * backend's time.
 *
 * PQconnectStart() resolves names with getaddrinfo(), which blocks: the configuration should name an address or a
 * socket directory, and its documentation says so.
 */
#include <event2/event.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "db"
#include "core/log.h"
#include "core/loop.h"
#include "core/secret.h"
#include "storage/db_pipeline.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define CONNECT_LIMIT_MS 10000
#define ANSWER_GRACE_MS 5000
#define TICK_MS 1000

enum connection_state { CONNECTION_DOWN, CONNECTION_CONNECTING, CONNECTION_UP };

struct connection {
    enum connection_state state;
    const struct db_settings *settings;
    const struct connection_events *events;
    PGconn *pg;
    struct event *readable, *writable;
    struct loop_timer timer; /* back-off while down, limit while connecting, tick while up */
    uint64_t backoff_ms;
    struct pipeline pipeline; /* while it is up */
    unsigned errors_told;
};

static void go_down(struct connection *c, const char *why);
static void connect_begin(void *arg);

/* ------------------------------------------------------------------ watching the socket */

static void on_socket(evutil_socket_t fd, short what, void *arg);

static void unwatch(struct connection *c)
{
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    c->readable = c->writable = NULL;
}

/* While connecting the socket may change between polls, so this is done anew for each. */
static void watch(struct connection *c, bool reading, bool writing)
{
    unwatch(c);
    c->readable = event_new(loop_base(), PQsocket(c->pg), EV_READ | EV_PERSIST, on_socket, c);
    c->writable = event_new(loop_base(), PQsocket(c->pg), EV_WRITE, on_socket, c);
    if (!c->readable || !c->writable)
        log_fatal(1, "cannot watch a database socket");
    if (reading)
        event_add(c->readable, NULL);
    if (writing)
        event_add(c->writable, NULL);
}

static bool flush(struct connection *c)
{
    int left = PQflush(c->pg);

    if (left == 1)
        event_add(c->writable, NULL);
    return left >= 0;
}

/* ------------------------------------------------------------------ results */

/* Whoever is told may make it go down. */
static void take_results(struct connection *c)
{
    struct request *over;
    enum request_end end;
    PGnotify *notify;

    while (c->state == CONNECTION_UP && (over = pipeline_take(&c->pipeline, &end)) != NULL) {
        c->errors_told = 0;
        over->done(over, end);
    }
    while (c->state == CONNECTION_UP && (notify = PQnotifies(c->pg)) != NULL) {
        if (c->events->notify)
            c->events->notify(notify->relname, notify->extra);
        PQfreemem(notify);
    }
}

/* ------------------------------------------------------------------ life */

static void on_tick(void *arg)
{
    struct connection *c = arg;
    uint64_t limit = c->settings->statement_timeout_ms + ANSWER_GRACE_MS;

    if (pipeline_waits_ms(&c->pipeline) > limit) {
        go_down(c, "the server does not answer");
        return;
    }
    loop_timer_set(&c->timer, TICK_MS, on_tick, c);
}

static void on_setup_done(struct request *request, enum request_end end)
{
    struct connection *c = request->arg;

    free(request);
    if (end == REQUEST_ERROR)
        go_down(c, "the session could not be set up");
}

static const struct db_statement setup_session = {
    "setup_session", "select set_config('statement_timeout', $1::text, false),"
                     "       set_config('idle_in_transaction_session_timeout', '60s', false),"
                     "       set_config('plan_cache_mode', 'force_generic_plan', false),"
                     "       set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false),"
                     "       length(repeat(' ', 2000000))"};

static void on_notice(void *arg, const char *message)
{
    (void)arg;
    log_info("database says", log_slice("notice", slice_of(message, strcspn(message, "\n"))));
}

static void connect_done(struct connection *c)
{
    static char milliseconds[16];
    static struct params params;
    static struct request_step step = {&setup_session, &params, NULL};
    struct request *request = calloc(1, sizeof *request);

    if (!request)
        abort();
    c->state = CONNECTION_UP;
    c->backoff_ms = 0;
    PQsetnonblocking(c->pg, 1);
    PQsetNoticeProcessor(c->pg, on_notice, NULL);
    if (!pipeline_begin(&c->pipeline, c->pg)) {
        free(request);
        go_down(c, "no pipeline mode");
        return;
    }
    watch(c, true, false);
    loop_timer_set(&c->timer, TICK_MS, on_tick, c);
    snprintf(milliseconds, sizeof milliseconds, "%u", c->settings->statement_timeout_ms);
    params_init(&params, NULL);
    params_text(&params, slice_str(milliseconds));
    *request = (struct request){.steps = &step, .count = 1, .done = on_setup_done, .arg = c};
    if (!connection_send(c, request)) {
        free(request);
        return;
    }
    log_info("database connected", log_int("backend", PQbackendPID(c->pg)));
    if (c->events->up)
        c->events->up(c);
}

static void connect_poll(struct connection *c)
{
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_OK: connect_done(c); return;
    case PGRES_POLLING_READING: watch(c, true, false); return;
    case PGRES_POLLING_WRITING: watch(c, false, true); return;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE: break;
    }
    go_down(c, PQerrorMessage(c->pg));
}

static void on_connect_limit(void *arg)
{
    go_down(arg, "connecting takes too long");
}

static void connect_begin(void *arg)
{
    static const char *const keys[] = {"dbname",          "fallback_application_name", "client_encoding",
                                       "keepalives_idle", "tcp_user_timeout",          NULL};
    struct connection *c = arg;
    const char *const values[] = {c->settings->conninfo, "posthoused", "UTF8", "30", "15000", NULL};

    c->state = CONNECTION_CONNECTING;
    c->pg = PQconnectStartParams(keys, values, 1);
    if (!c->pg)
        abort();
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        go_down(c, PQerrorMessage(c->pg));
        return;
    }
    loop_timer_set(&c->timer, CONNECT_LIMIT_MS, on_connect_limit, c);
    watch(c, false, true); /* as after PGRES_POLLING_WRITING */
}

/* Answers for everything in flight; then waits a while, longer each time, and not all at the same moment. */
static void go_down(struct connection *c, const char *why)
{
    struct request *list = pipeline_end(&c->pipeline);
    unsigned char noise;

    if (c->errors_told++ < 3)
        log_warn("database connection lost", log_slice("why", slice_of(why, strcspn(why, "\n"))));
    if (c->state == CONNECTION_UP)
        db_count_reconnect();
    c->state = CONNECTION_DOWN;
    unwatch(c);
    PQfinish(c->pg);
    c->pg = NULL;
    c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (c->backoff_ms > BACKOFF_MAX_MS)
        c->backoff_ms = BACKOFF_MAX_MS;
    secret_random(&noise, sizeof noise);
    loop_timer_set(&c->timer, c->backoff_ms * (192 + noise / 2) / 256, connect_begin, c);
    while (list) {
        struct request *request = list;

        list = request->next;
        request->done(request, request->doomed ? REQUEST_ERROR : REQUEST_LOST);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    (void)fd;
    if (c->state == CONNECTION_CONNECTING) {
        connect_poll(c);
        return;
    }
    if (what & EV_READ) {
        bool alive = PQconsumeInput(c->pg) == 1;

        take_results(c); /* also what came before it broke */
        if (c->state != CONNECTION_UP)
            return;
        if (!alive || PQstatus(c->pg) == CONNECTION_BAD) {
            go_down(c, PQerrorMessage(c->pg));
            return;
        }
    }
    if (!flush(c))
        go_down(c, PQerrorMessage(c->pg));
}

struct connection *connection_new(const struct db_settings *settings, const struct connection_events *events)
{
    struct connection *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->settings = settings;
    c->events = events;
    loop_timer_set(&c->timer, 0, connect_begin, c);
    return c;
}

void connection_free(struct connection **connection)
{
    struct connection *c = *connection;

    if (!c)
        return;
    *connection = NULL;
    if (c->pg)
        go_down(c, "closing");
    loop_timer_clear(&c->timer);
    free(c);
}

bool connection_up(const struct connection *c)
{
    return c->state == CONNECTION_UP;
}

unsigned connection_in_flight(const struct connection *c)
{
    return c->pipeline.in_flight;
}

bool connection_send(struct connection *c, struct request *request)
{
    if (!pipeline_send(&c->pipeline, request)) {
        go_down(c, PQerrorMessage(c->pg));
        return false;
    }
    if (!flush(c))
        go_down(c, PQerrorMessage(c->pg));
    return true;
}
