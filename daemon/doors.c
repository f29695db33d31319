/*
 * doors: the listening sockets, and what comes in by them.
 *
 * The sockets are shared by all workers, and each takes one connection a turn: whoever is less busy comes back first.
 * A worker that has no descriptor left does not look at its doors for a moment, so that others take what comes.
 */
#define LOG_MODULE "worker"
#include "daemon/doors.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cidr.h"
#include "core/log.h"
#include "core/loop.h"
#include "protocols/proxy.h"

#define ACCEPT_PAUSE_MS 100

static const struct listeners *listeners;
static struct server_settings *settings;
static struct cidr_list proxies;
static struct event *events[LISTENERS_MAX];
static struct loop_timer reopen_timer;
static bool opened;

static void watch(bool watched)
{
    for (unsigned i = 0; i < listeners->count; i++)
        if (events[i]) {
            if (watched)
                event_add(events[i], NULL);
            else
                event_del(events[i]);
        }
}

static void on_reopen(void *arg)
{
    (void)arg;
    if (opened)
        watch(true);
}

static void serve(int fd, enum listen_service service, const struct proxy_header *via)
{
    switch (service) {
    case LISTEN_SMTP: smtp_serve(fd, SMTP_ROLE_MX, false, via, settings); return;
    case LISTEN_SUBMISSION: smtp_serve(fd, SMTP_ROLE_SUBMISSION, false, via, settings); return;
    case LISTEN_SUBMISSIONS: smtp_serve(fd, SMTP_ROLE_SUBMISSION, true, via, settings); return;
    case LISTEN_ODMR: smtp_serve(fd, SMTP_ROLE_ODMR, false, via, settings); return;
    case LISTEN_IMAP: imap_serve(fd, false, via, settings); return;
    case LISTEN_IMAPS: imap_serve(fd, true, via, settings); return;
    case LISTEN_POP3: pop3_serve(fd, false, via, settings); return;
    case LISTEN_POP3S: pop3_serve(fd, true, via, settings); return;
    case LISTEN_ADMIN: break; /* the admin process's; no door is opened for it here */
    }
    close(fd);
}

static void on_header(int fd, const struct proxy_header *header, void *arg)
{
    serve(fd, ((const struct listener *)arg)->service, header);
}

/* Who may say where its clients come from. */
static bool is_believed(const struct sockaddr *address)
{
    if (cidr_list_contains(&proxies, address))
        return true;
    log_info("connection refused", log_str("reason", "not one of proxy_networks"));
    return false;
}

static void on_connection(evutil_socket_t door, short what, void *arg)
{
    const struct listener *listener = arg;
    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof peer;
    int fd = accept4((int)door, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    if (fd >= 0 && !listener->proxy) {
        serve(fd, listener->service, NULL);
        return;
    }
    if (fd >= 0 && is_believed((struct sockaddr *)&peer)) {
        proxy_receive(fd, on_header, (void *)listener);
        return;
    }
    if (fd >= 0) {
        close(fd);
        return;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log_warn("no descriptor for a connection", log_str("error", strerror(errno)));
        watch(false);
        loop_timer_set(&reopen_timer, ACCEPT_PAUSE_MS, on_reopen, NULL);
    }
}

void doors_believe(const char *networks)
{
    char error[200];

    if (!cidr_list_parse(networks, &proxies, error, sizeof error))
        log_fatal(78, "[listen] proxy_networks: %s", error);
}

void doors_make(const struct listeners *from, struct server_settings *with)
{
    listeners = from;
    settings = with;
    for (unsigned i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->list[i];

        if (listener->service == LISTEN_ADMIN)
            continue;
        events[i] = event_new(loop_base(), listener->fd, EV_READ | EV_PERSIST, on_connection, (void *)listener);
        if (!events[i])
            log_fatal(1, "cannot watch a listening socket");
    }
}

void doors_open(void)
{
    opened = true;
    watch(true);
}

void doors_close(void)
{
    opened = false;
    watch(false);
    for (unsigned i = 0; i < listeners->count; i++)
        close(listeners->list[i].fd);
}
