/*
 * listen: addresses to sockets.
 *
 * Addresses are literals, never names: binding must not depend on DNS.  A port that is in use is tried
 * again for LISTEN_PATIENCE_MS, because the workers of a master that was killed close theirs a moment
 * after it.
 */
#include "daemon/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/own_address.h"

#define LISTEN_BACKLOG 1024
#define LISTEN_PATIENCE_MS 5000

bool listen_split(const char *text, char **host, unsigned *port, char *error, size_t error_size)
{
    const char *colon = strrchr(text, ':'), *end;
    char *rest;
    unsigned long n;
    size_t length;

    if (!colon || colon == text || !colon[1]) {
        snprintf(error, error_size, "\"%s\" is not HOST:PORT", text);
        return false;
    }
    n = strtoul(colon + 1, &rest, 10);
    if (*rest || n == 0 || n > 65535 || colon[1] == '-' || colon[1] == '+') {
        snprintf(error, error_size, "\"%s\" has no port between 1 and 65535", text);
        return false;
    }
    end = colon;
    if (*text == '[' && end[-1] == ']') {
        text++;
        end--;
    }
    length = (size_t)(end - text);
    if (!length || (memchr(text, ':', length) && *end != ']')) {
        snprintf(error, error_size, "\"%s\": an IPv6 address is written in brackets", text);
        return false;
    }
    *host = strndup(text, length);
    *port = (unsigned)n;
    return *host != NULL;
}

static bool address_parse(const char *text, struct sockaddr_storage *out, socklen_t *length, char *error,
                          size_t error_size)
{
    struct sockaddr_in *in4 = (void *)out;
    struct sockaddr_in6 *in6 = (void *)out;
    unsigned port;
    char *host;
    bool ok = true;

    memset(out, 0, sizeof *out);
    if (!listen_split(text, &host, &port, error, error_size))
        return false;
    if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)port);
        *length = sizeof *in4;
    } else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *length = sizeof *in6;
    } else {
        snprintf(error, error_size, "\"%s\" is not an IPv4 or IPv6 address%s", host,
                 strcmp(host, "*") == 0 ? "; 0.0.0.0 and [::] are all that this machine has" : "");
        ok = false;
    }
    free(host);
    return ok;
}

/* Calls fn for each word; stops when it says false. */
static bool words(const char *text, bool (*fn)(const char *word, void *arg), void *arg)
{
    char word[80];

    while (*(text += strspn(text, " \t,"))) {
        size_t n = strcspn(text, " \t,");

        snprintf(word, sizeof word, "%.*s", (int)n, text);
        if (!fn(word, arg))
            return false;
        text += n;
    }
    return true;
}

/* Skips "proxy:". */
static bool takes_proxy(const char **word)
{
    static const char prefix[] = "proxy:";

    if (strncmp(*word, prefix, sizeof prefix - 1) != 0)
        return false;
    *word += sizeof prefix - 1;
    return true;
}

static bool tell_own(const char *word, void *arg)
{
    char *host, error[200];
    unsigned port;

    (void)arg;
    takes_proxy(&word);
    if (listen_split(word, &host, &port, error, sizeof error)) {
        own_address_add(host, port);
        free(host);
    }
    return true;
}

void listen_tell_own(const char *text)
{
    words(text, tell_own, NULL);
}

struct check {
    bool *proxy;
    char *error;
    size_t error_size;
};

static bool check_word(const char *word, void *arg)
{
    struct check *check = arg;
    struct sockaddr_storage address;
    socklen_t length;

    if (takes_proxy(&word))
        *check->proxy = true;
    return address_parse(word, &address, &length, check->error, check->error_size);
}

bool listen_check(const char *text, bool *proxy, char *error, size_t error_size)
{
    return words(text, check_word, &(struct check){proxy, error, error_size});
}

static int socket_listen(const char *text, char *error, size_t error_size)
{
    struct sockaddr_storage address;
    socklen_t length;
    uint64_t give_up = clock_steady_ms() + LISTEN_PATIENCE_MS;
    int on = 1, fd;

    if (!address_parse(text, &address, &length, error, error_size))
        return -1;
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto fail;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    while (bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        if (errno != EADDRINUSE || clock_steady_ms() > give_up)
            goto fail;
        nanosleep(&(struct timespec){0, 50 * 1000 * 1000}, NULL);
    }
    return fd;
fail:
    snprintf(error, error_size, "cannot listen on %s: %s", text, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static const struct listener *find(const struct listeners *in, enum listen_service service, const char *address)
{
    for (unsigned i = 0; in && i < in->count; i++)
        if (in->list[i].service == service && strcmp(in->list[i].address, address) == 0)
            return &in->list[i];
    return NULL;
}

struct opening {
    enum listen_service service;
    const struct listeners *have;
    struct listeners *out;
    char *error;
    size_t error_size;
};

static bool open_word(const char *word, void *arg)
{
    struct opening *o = arg;
    struct listener *l = &o->out->list[o->out->count];
    const struct listener *had;

    if (o->out->count == sizeof o->out->list / sizeof o->out->list[0]) {
        snprintf(o->error, o->error_size, "too many addresses to listen on");
        return false;
    }
    l->service = o->service;
    l->proxy = takes_proxy(&word);
    had = find(o->have, o->service, word);
    snprintf(l->address, sizeof l->address, "%s", word);
    l->fd = had ? had->fd : socket_listen(word, o->error, o->error_size);
    if (l->fd < 0)
        return false;
    o->out->count++;
    return true;
}

static void words_of(const struct config *c, const char *lists[LISTEN_SERVICES])
{
    const char *const all[LISTEN_SERVICES] = {c->listen_smtp, c->listen_submission, c->listen_submissions,
                                              c->listen_odmr, c->listen_imap,       c->listen_imaps,
                                              c->listen_pop3, c->listen_pop3s,      c->listen_admin};

    memcpy(lists, all, sizeof all);
}

bool listen_any(const struct config *c)
{
    const char *lists[LISTEN_SERVICES];

    words_of(c, lists);
    for (unsigned i = 0; i < LISTEN_SERVICES; i++)
        if (lists[i][strspn(lists[i], " \t,")])
            return true;
    return false;
}

bool listen_open(const struct config *c, const struct listeners *have, struct listeners *out, char *error,
                 size_t error_size)
{
    const char *lists[LISTEN_SERVICES];

    words_of(c, lists);
    out->count = 0;
    for (unsigned i = 0; i < LISTEN_SERVICES; i++) {
        struct opening o = {(enum listen_service)i, have, out, error, error_size};

        if (!words(lists[i], open_word, &o)) {
            listen_close(out, have);
            return false;
        }
    }
    return true;
}

void listen_close(struct listeners *old, const struct listeners *keep)
{
    for (unsigned i = 0; i < old->count; i++)
        if (!find(keep, old->list[i].service, old->list[i].address))
            close(old->list[i].fd);
    old->count = 0;
}
