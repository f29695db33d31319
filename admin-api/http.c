/*
 * http: libmicrohttpd inside our event loop.
 *
 * The library runs without threads: it keeps its sockets in an epoll descriptor, which our loop watches, and
 * tells when it next has a timeout, for which our loop has a timer.  on_ready() lets it do what it can.  What
 * becomes of a request is in exchange.c.
 *
 * Limits: connections_max in all, connections_per_client_max for an address, 30 s of silence.
 *
 * The end (admin_drain()): no connection is taken any more; a request that has begun is answered, and its connection
 * ends with it; a connection on which none has begun ends after HTTP_IDLE_S of silence, so that a request that is on
 * its way meets an answer.  The library cannot be asked which connections are idle, so http.clients lists them all.
 */
#define LOG_MODULE "admin"
#include <event2/event.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin-api/admin.h"
#include "admin-api/exchange.h"
#include "admin-api/handlers.h"
#include "admin-api/invitations.h"
#include "admin-api/relay_checks_route.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/secret.h"

#define HTTP_SILENCE_S 30
#define HTTP_IDLE_S 2 /* while draining, on a connection without a request */
#define HTTP_HEAD_MAX (32 * 1024)
/* TLS 1.2 is the floor here as elsewhere (RFC 8996); GnuTLS' own default would go down to 1.0. */
#define HTTP_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct client {
    struct client *next, **link;
    struct MHD_Connection *connection;
    bool busy; /* a request has begun */
};

static struct {
    struct MHD_Daemon *daemon;
    struct event *ready;
    struct loop_timer timer;
    struct client *clients;
    bool draining;
    void (*on_drained)(void *arg); /* NULL: told, or not draining */
    void *on_drained_arg;
    char *certificate, *key; /* PEM, read before privileges were dropped */
} http;

/* ------------------------------------------------------------------ called by the library */

static void on_notify(void *arg, struct MHD_Connection *connection, void **state,
                      enum MHD_ConnectionNotificationCode code)
{
    struct client *client = *state;
    (void)arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *state = client = malloc(sizeof *client);
        if (!client)
            abort();
        *client = (struct client){.next = http.clients, .link = &http.clients, .connection = connection};
        if (client->next)
            client->next->link = &client->next;
        http.clients = client;
        return;
    }
    *client->link = client->next;
    if (client->next)
        client->next->link = client->link;
    free(client);
    *state = NULL;
}

static struct client *client_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void set_silence(const struct client *client, unsigned seconds)
{
    MHD_set_connection_option(client->connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct client *client = client_of(connection);
    if (!client->busy && http.draining)
        set_silence(client, HTTP_SILENCE_S);
    client->busy = true;
    return exchange_on_access(arg, connection, url, method, version, upload, upload_size, state);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct client *client = client_of(connection);
    exchange_on_completed(arg, connection, state, code);
    client->busy = false;
    if (http.draining)
        set_silence(client, HTTP_IDLE_S);
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
    if (http.on_drained && !http.clients) {
        void (*on_drained)(void *arg) = http.on_drained;
        http.on_drained = NULL;
        on_drained(http.on_drained_arg);
        return;
    }
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
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)HTTP_TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    if (http.certificate)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    http.daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, NULL, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, settings->listen_fd, MHD_OPTION_CONNECTION_LIMIT, settings->connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_HEAD_MAX, MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_notify, NULL, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        settings->connections_per_client_max, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!http.daemon)
        log_fatal(1, "libmicrohttpd cannot start the API%s", http.certificate ? ": are certificate and key good?" : "");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http.daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        log_fatal(1, "this libmicrohttpd has no epoll");
    metrics_set_source(settings->metrics);
    invitations_configure(settings->invitation_url);
    relay_checks_configure(settings);
    webhooks_configure(settings);
    relay_checks_route_configure(settings);
    exchange_begin(run_soon);
    http.ready = event_new(loop_base(), info->epoll_fd, EV_READ | EV_PERSIST, on_epoll, NULL);
    if (!http.ready || event_add(http.ready, NULL) != 0)
        log_fatal(1, "libevent cannot watch the API");
    run_soon();
}

void admin_drain(void (*done)(void *arg), void *arg)
{
    http.draining = true;
    http.on_drained = done;
    http.on_drained_arg = arg;
    close(MHD_quiesce_daemon(http.daemon)); /* the next generation has the socket, too */
    exchange_last();
    for (struct client *client = http.clients; client; client = client->next)
        if (!client->busy)
            set_silence(client, HTTP_IDLE_S);
    run_soon();
}

void admin_stop(void)
{
    if (!http.daemon)
        return;
    loop_timer_clear(&http.timer);
    event_free(http.ready);
    http.ready = NULL;
    exchange_resume_all();
    MHD_stop_daemon(http.daemon);
    http.daemon = NULL;
    if (http.key)
        secret_wipe(http.key, strlen(http.key));
    free(http.key);
    free(http.certificate);
    http.key = http.certificate = NULL;
}
