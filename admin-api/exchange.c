/*
 * exchange: one request of the API and its answer, between libmicrohttpd and the router.
 *
 * A request is gathered (head, then body, at most REQUEST_BODY_MAX; of a PUT more, and few of these at once), then its
 * connection is suspended and a task answers it; the task resumes the connection, and in the next turn the library asks
 * again and is given the response:
 *
 *     on_access(head) ... on_access(body) ... on_access(end)  --suspend-->  task: router_answer()
 *                                             on_access(end)  <--resume---  response queued
 *
 * The exchange belongs to the connection (exchange_on_completed() frees it), except while a task works for it: at a
 * stop the connection goes first, and the task frees the exchange when it ends.
 *
 * Limits: one request at a time per connection, EXCHANGE_TASKS at work and EXCHANGE_QUEUE waiting, past which the
 * answer is 503.
 */
#define LOG_MODULE "admin"
#include "admin-api/exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin-api/handlers.h"
#include "admin-api/router.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "core/task.h"

#define EXCHANGE_TASKS 16
#define EXCHANGE_QUEUE 256
#define EXCHANGE_LONG_BODIES 4 /* at once: whose they are is only asked when they are there */
#define EXCHANGE_ARENA_MAX (8 * 1024 * 1024)
/* A body that is too long is read and dropped up to here, so that its sender can read 413. */
#define EXCHANGE_DROP_MAX (16 * 1024 * 1024)

struct exchange {
    struct exchange *next, **link;     /* of those that a task works for */
    struct MHD_Connection *connection; /* NULL: gone while the task worked */
    struct request request;
    char *body;
    size_t size, room, dropped;
    size_t body_max;
    bool too_long;
    bool is_long; /* counted among exchanges.long_bodies */
    bool working;
    uint64_t began_ms;
};

static struct {
    struct task_pool *tasks;
    struct exchange *working;
    unsigned long_bodies;
    void (*run_soon)(void);
    bool last; /* each answer is its connection's last */
} exchanges;

/* ------------------------------------------------------------------ the exchange */

static void exchange_free(struct exchange *x)
{
    if (x->body)
        secret_wipe(x->body, x->room); /* it may hold a password */
    free(x->body);
    arena_free(&x->request.arena);
    exchanges.long_bodies -= x->is_long;
    free(x);
}

static void gather_headers(struct exchange *x)
{
    struct request *r = &x->request;
    const char *value = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (value)
        r->authorization = arena_strdup(r->arena, value);
    value = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (value)
        r->media_type = arena_strdup(r->arena, value);
}

static bool is_loopback(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return false;
    if (info->client_addr->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)info->client_addr)->sin_addr.s_addr) >> 24 == 127;
    if (info->client_addr->sa_family != AF_INET6)
        return false;
    const struct in6_addr *address = &((const struct sockaddr_in6 *)info->client_addr)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(address) || (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

static const char *client_address(struct arena *arena, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "";
    if (!info || !info->client_addr)
        return NULL;
    if (info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)info->client_addr)->sin_addr, text, sizeof text);
    else if (info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)info->client_addr)->sin6_addr, text, sizeof text);
    return arena_strdup(arena, text);
}

/* The library hands over names and values undecoded (no_unescape), so a value without '=' is NULL. */
static enum MHD_Result on_query(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct request *r = arg;
    (void)kind;
    if (r->query_count == REQUEST_QUERY_MAX)
        return MHD_NO;
    struct request_pair *pair = &r->query[r->query_count++];
    if (!request_decode(r->arena, slice_str(name), true, &pair->name) ||
        !request_decode(r->arena, slice_str(value ? value : ""), true, &pair->value))
        reply_problem(r, 400, NULL, "the query is malformed");
    return MHD_YES;
}

static struct exchange *exchange_new(struct MHD_Connection *connection, const char *url, const char *method)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        abort();
    struct request *r = &x->request;
    x->connection = connection;
    x->began_ms = clock_steady_ms();
    r->arena = arena_new(EXCHANGE_ARENA_MAX);
    r->method = arena_strdup(r->arena, method);
    r->path = arena_strdup(r->arena, url);
    x->body_max = strcmp(method, "PUT") == 0 ? REQUEST_LIST_BODY_MAX : REQUEST_BODY_MAX;
    r->loopback = is_loopback(connection);
    r->client = client_address(r->arena, connection);
    gather_headers(x);
    int pairs = MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_query, r);
    if (pairs > REQUEST_QUERY_MAX)
        reply_problem(r, 400, NULL, "too many query parameters");
    return x;
}

static void begin_long_body(struct exchange *x)
{
    if (exchanges.long_bodies == EXCHANGE_LONG_BODIES) {
        reply_problem(&x->request, 503, NULL, "too many long requests at once");
        x->request.reply.retry_after_s = 1;
        return;
    }
    x->is_long = true;
    exchanges.long_bodies++;
}

/* False: beyond what we are willing to drop. */
static bool exchange_add(struct exchange *x, const char *bytes, size_t n)
{
    x->too_long |= !x->too_long && n > x->body_max - x->size;
    if (!x->too_long && !x->is_long && x->size + n > REQUEST_BODY_MAX)
        begin_long_body(x);
    if (x->too_long || x->request.reply.status) {
        x->dropped += n;
        return x->dropped < EXCHANGE_DROP_MAX;
    }
    if (x->size + n > x->room) {
        size_t room = x->room ? x->room : 4096;
        while (room < x->size + n)
            room *= 2;
        char *body = malloc(room);
        if (!body)
            abort();
        if (x->size > 0) {
            memcpy(body, x->body, x->size);
            secret_wipe(x->body, x->size);
        }
        free(x->body);
        x->body = body;
        x->room = room;
    }
    memcpy(x->body + x->size, bytes, n);
    x->size += n;
    return true;
}

/* ------------------------------------------------------------------ answering */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (value && MHD_add_response_header(response, name, value) == MHD_NO)
        log_error("header refused", log_str("name", name));
}

/* Changes are news; looking is not. */
/* What follows these is a secret, also where the request came to no handler. */
static const char *path_for_log(const char *path)
{
    static const char *const secret[] = {"/v1/invitations/", "/invitations/"};

    for (unsigned i = 0; i < sizeof secret / sizeof *secret; i++)
        if (strncmp(path, secret[i], strlen(secret[i])) == 0)
            return secret[i];
    return path;
}

static void log_request(const struct exchange *x)
{
    const struct request *r = &x->request;
    const char *path = path_for_log(r->path);
    int64_t ms = (int64_t)(clock_steady_ms() - x->began_ms);
    if (r->actor.token_id && strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
        log_info("request", log_str("method", r->method), log_str("path", path), log_int("status", r->reply.status),
                 log_int("ms", ms), log_id("token", r->actor.token_id));
    else
        log_debug("request", log_str("method", r->method), log_str("path", path), log_int("status", r->reply.status),
                  log_int("ms", ms));
}

static enum MHD_Result respond(struct exchange *x)
{
    struct request *r = &x->request;
    char seconds[16];
    if (r->reply.status == 0)
        reply_problem(r, 500, NULL, "the request was not answered");
    struct MHD_Response *response =
        MHD_create_response_from_buffer(r->reply.body.n, (void *)(uintptr_t)r->reply.body.p, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    snprintf(seconds, sizeof seconds, "%u", r->reply.retry_after_s);
    add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->reply.media_type);
    add_header(response, MHD_HTTP_HEADER_CONNECTION, exchanges.last ? "close" : NULL);
    add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "Content-Security-Policy",
               "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
    add_header(response, "Referrer-Policy", "no-referrer"); /* a path may have a secret */
    add_header(response, MHD_HTTP_HEADER_LOCATION, r->reply.location);
    add_header(response, MHD_HTTP_HEADER_ALLOW, r->reply.allow);
    add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, r->reply.retry_after_s ? seconds : NULL);
    add_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, r->reply.challenge ? "Bearer realm=\"posthouse\"" : NULL);
    enum MHD_Result queued = MHD_queue_response(x->connection, r->reply.status, response);
    MHD_destroy_response(response);
    metrics_count(r->reply.status);
    log_request(x);
    return queued;
}

static AWAITS void answer(void *arg)
{
    struct exchange *x = arg;
    router_answer(&x->request);
    x->working = false;
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    if (!x->connection) {
        exchange_free(x);
        return;
    }
    MHD_resume_connection(x->connection);
    exchanges.run_soon();
}

static enum MHD_Result start_answer(struct exchange *x)
{
    struct request *r = &x->request;
    r->body = slice_of(x->body ? x->body : "", x->size);
    if (x->too_long)
        reply_problem(r, 413, NULL, "the body is longer than %zu bytes", x->body_max);
    if (r->reply.status)
        return respond(x);
    if (!task_start(exchanges.tasks, answer, x)) {
        reply_problem(r, 503, NULL, "too many requests at once");
        r->reply.retry_after_s = 1;
        return respond(x);
    }
    x->working = true;
    x->next = exchanges.working;
    x->link = &exchanges.working;
    if (x->next)
        x->next->link = &x->next;
    exchanges.working = x;
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

/* ------------------------------------------------------------------ called by the library */

/*
 * A body that is announced to be too long is refused at once when its sender waits for our word (RFC 9110
 * 10.1.1), or when it is too much to be dropped; otherwise it is read and dropped, as a sender who is still
 * writing would meet a reset instead of our answer.
 */
static bool refuse_at_head(const struct exchange *x)
{
    const char *length = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned long long size = length ? strtoull(length, NULL, 10) : 0;
    return size > EXCHANGE_DROP_MAX ||
           (size > x->body_max && MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT));
}

enum MHD_Result exchange_on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                   const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct exchange *x = *state;
    (void)arg;
    (void)version;
    if (!x) {
        *state = x = exchange_new(connection, url, method);
        if (refuse_at_head(x)) {
            reply_problem(&x->request, 413, NULL, "the body is longer than %zu bytes", x->body_max);
            return respond(x); /* the library closes the connection after it */
        }
        return MHD_YES;
    }
    if (*upload_size > 0) {
        bool go_on = exchange_add(x, upload, *upload_size);
        *upload_size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    return x->request.reply.status ? respond(x) : start_answer(x);
}

void exchange_on_completed(void *arg, struct MHD_Connection *connection, void **state,
                           enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *state;
    (void)arg;
    (void)connection;
    (void)code;
    *state = NULL;
    if (!x)
        return;
    if (x->working)
        x->connection = NULL; /* the task frees it */
    else
        exchange_free(x);
}

/* ------------------------------------------------------------------ begin and end */

void exchange_begin(void (*run_soon)(void))
{
    exchanges.run_soon = run_soon;
    if (!exchanges.tasks)
        exchanges.tasks = task_pool_new("admin", EXCHANGE_TASKS, EXCHANGE_QUEUE);
}

void exchange_last(void)
{
    exchanges.last = true;
}

void exchange_resume_all(void)
{
    for (struct exchange *x = exchanges.working; x; x = x->next)
        MHD_resume_connection(x->connection);
}
