/*
 * libmicrohttpd inside our event loop.
 *
 * The library runs without threads: it keeps its sockets in an epoll descriptor, which our loop watches, and
 * tells when it next has a timeout, for which our loop has a timer.  on_ready() lets it do what it can.
 *
 * A request is gathered (head, then body, at most REQUEST_BODY_MAX), then its connection is suspended and a
 * task answers it; the task resumes the connection, and in the next turn the library asks again and is
 * given the response:
 *
 *     on_access(head) ... on_access(body) ... on_access(end)  --suspend-->  task: router_answer()
 *                                             on_access(end)  <--resume---  response queued
 *
 * The exchange belongs to the connection (on_completed() frees it), except while a task works for it: at a
 * stop the connection goes first, and the task frees the exchange when it ends.
 *
 * Limits: connections_max, 30 s of silence, one request at a time per connection, ADMIN_TASKS at work and
 * ADMIN_QUEUE waiting, past which the answer is 503.
 */
#define LOG_MODULE "admin"
#include <event2/event.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin-api/admin.h"
#include "admin-api/handlers.h"
#include "admin-api/router.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/secret.h"
#include "core/task.h"

#define ADMIN_TASKS 16
#define ADMIN_QUEUE 256
#define ADMIN_SILENCE_S 30
#define ADMIN_HEAD_MAX (32 * 1024)
#define ADMIN_ARENA_MAX (8 * 1024 * 1024)
/* A body that is too long is read and dropped up to here, so that its sender can read 413. */
#define ADMIN_DROP_MAX (16 * 1024 * 1024)
/* TLS 1.2 is the floor here as elsewhere (RFC 8996); GnuTLS' own default would go down to 1.0. */
#define ADMIN_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct exchange {
    struct exchange *next, **link;     /* of those that a task works for */
    struct MHD_Connection *connection; /* NULL: gone while the task worked */
    struct request request;
    char *body;
    size_t size, room;
    bool too_long;
    bool working;
    uint64_t began_ms;
};

static struct {
    struct MHD_Daemon *daemon;
    struct event *ready;
    struct loop_timer timer;
    struct task_pool *tasks;
    struct exchange *working;
    char *certificate, *key; /* PEM, read before privileges were dropped */
} http;

/* ------------------------------------------------------------------ the exchange */

static void exchange_free(struct exchange *x)
{
    if (x->body)
        secret_wipe(x->body, x->room); /* it may hold a password */
    free(x->body);
    arena_free(&x->request.arena);
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
    r->arena = arena_new(ADMIN_ARENA_MAX);
    r->method = arena_strdup(r->arena, method);
    r->path = arena_strdup(r->arena, url);
    r->loopback = is_loopback(connection);
    gather_headers(x);
    int pairs = MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_query, r);
    if (pairs > REQUEST_QUERY_MAX)
        reply_problem(r, 400, NULL, "too many query parameters");
    return x;
}

/* False: beyond what we are willing to drop. */
static bool exchange_add(struct exchange *x, const char *bytes, size_t n)
{
    x->too_long |= n > REQUEST_BODY_MAX - x->size;
    if (x->too_long) {
        x->size = x->size > REQUEST_BODY_MAX ? x->size + n : REQUEST_BODY_MAX + n;
        return x->size < ADMIN_DROP_MAX;
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
static void log_request(const struct exchange *x)
{
    const struct request *r = &x->request;
    int64_t ms = (int64_t)(clock_steady_ms() - x->began_ms);
    if (r->actor.token_id && strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
        log_info("request", log_str("method", r->method), log_str("path", r->path), log_int("status", r->reply.status),
                 log_int("ms", ms), log_id("token", r->actor.token_id));
    else
        log_debug("request", log_str("method", r->method), log_str("path", r->path), log_int("status", r->reply.status),
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
    add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
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

static void run_soon(void);

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
    run_soon();
}

static enum MHD_Result start_answer(struct exchange *x)
{
    struct request *r = &x->request;
    r->body = slice_of(x->body ? x->body : "", x->size);
    if (x->too_long)
        reply_problem(r, 413, NULL, "the body is longer than %d bytes", REQUEST_BODY_MAX);
    if (r->reply.status)
        return respond(x);
    if (!task_start(http.tasks, answer, x)) {
        reply_problem(r, 503, NULL, "too many requests at once");
        r->reply.retry_after_s = 1;
        return respond(x);
    }
    x->working = true;
    x->next = http.working;
    x->link = &http.working;
    if (x->next)
        x->next->link = &x->next;
    http.working = x;
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
    return size > ADMIN_DROP_MAX ||
           (size > REQUEST_BODY_MAX &&
            MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT));
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct exchange *x = *state;
    (void)arg;
    (void)version;
    if (!x) {
        *state = x = exchange_new(connection, url, method);
        if (refuse_at_head(x)) {
            reply_problem(&x->request, 413, NULL, "the body is longer than %d bytes", REQUEST_BODY_MAX);
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

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
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

/* Names and keys may contain encoded slashes, so decoding waits until the path is split. */
static size_t no_unescape(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg;
    (void)connection;
    return strlen(text);
}

static void on_library_log(void *arg, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_library_log(void *arg, const char *format, va_list args)
{
    char text[256];
    (void)arg;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("libmicrohttpd", log_str("says", text));
}

/* ------------------------------------------------------------------ in the loop */

static void on_ready(void *arg)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    (void)arg;
    if (!http.daemon)
        return;
    MHD_run(http.daemon);
    if (MHD_get_timeout(http.daemon, &ms) == MHD_YES)
        loop_timer_set(&http.timer, ms, on_ready, NULL);
    else
        loop_timer_clear(&http.timer);
}

static void run_soon(void)
{
    loop_timer_set(&http.timer, 0, on_ready, NULL);
}

static void on_epoll(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    on_ready(arg);
}

static char *read_pem(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        log_fatal(78, "%s: %m", path);
    if (getdelim(&text, &size, '\0', file) <= 0)
        log_fatal(78, "%s: empty or unreadable", path);
    fclose(file);
    return text;
}

void admin_load_tls(const struct admin_settings *settings)
{
    if (!settings->certificate_file)
        return;
    http.certificate = read_pem(settings->certificate_file);
    http.key = read_pem(settings->key_file);
}

void admin_start(const struct admin_settings *settings)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, http.certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, http.key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)ADMIN_TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    if (http.certificate)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    http.daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_access, NULL, MHD_OPTION_EXTERNAL_LOGGER, on_library_log,
                                   NULL, MHD_OPTION_LISTEN_SOCKET, settings->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
                                   settings->connections_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ADMIN_SILENCE_S,
                                   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)ADMIN_HEAD_MAX,
                                   MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED,
                                   on_completed, NULL, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!http.daemon)
        log_fatal(1, "libmicrohttpd cannot start the API%s", http.certificate ? ": are certificate and key good?" : "");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http.daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        log_fatal(1, "this libmicrohttpd has no epoll");
    metrics_set_source(settings->metrics);
    relay_checks_configure(settings->message_size_max, settings->default_route_host, settings->default_route_port);
    if (!http.tasks)
        http.tasks = task_pool_new("admin", ADMIN_TASKS, ADMIN_QUEUE);
    http.ready = event_new(loop_base(), info->epoll_fd, EV_READ | EV_PERSIST, on_epoll, NULL);
    if (!http.ready || event_add(http.ready, NULL) != 0)
        log_fatal(1, "libevent cannot watch the API");
    run_soon();
}

void admin_stop(void)
{
    if (!http.daemon)
        return;
    loop_timer_clear(&http.timer);
    event_free(http.ready);
    http.ready = NULL;
    /* The library insists that nothing is suspended when it stops; the tasks go on without connections. */
    for (struct exchange *x = http.working; x; x = x->next)
        MHD_resume_connection(x->connection);
    MHD_stop_daemon(http.daemon);
    http.daemon = NULL;
    if (http.key)
        secret_wipe(http.key, strlen(http.key));
    free(http.key);
    free(http.certificate);
    http.key = http.certificate = NULL;
}
