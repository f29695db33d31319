/*
 * proxy: waits for the header of HAProxy's PROXY protocol.
 *
 * Not a byte too many may be read: what follows is the client's, in clear or the beginning of a TLS handshake, which
 * OpenSSL reads from the socket itself.  So bytes are first looked at (MSG_PEEK), and only those that belong to the
 * header are taken away: all of them while it is not whole, and then up to its end.  As nothing is left lying that was
 * looked at, the loop does not turn in vain, however slowly the header comes.
 *
 * Bounded: PROXY_HEADER_MAX octets, WAIT_MS for the whole header (the protocol's text wants at least 3 seconds, for a
 * lost packet), WAITING_MAX connections.  What is wrong is closed without a word: it is not known yet what language
 * would be understood.
 */
#include "protocols/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_MODULE "proxy"
#include "core/log.h"
#include "core/loop.h"

#define WAIT_MS 10000
#define WAITING_MAX 1000

struct wait {
    int fd;
    struct event *event;
    struct loop_timer timer;
    proxy_done *done;
    void *arg;
    size_t have;
    char bytes[PROXY_HEADER_MAX];
};

static unsigned waiting;

unsigned proxy_waiting(void)
{
    return waiting;
}

static void wait_free(struct wait *wait)
{
    waiting--;
    loop_timer_clear(&wait->timer);
    event_free(wait->event);
    free(wait);
}

static void give_up(struct wait *wait, const char *reason)
{
    log_info("no proxy header, connection closed", log_str("reason", reason));
    close(wait->fd);
    wait_free(wait);
}

static void on_time(void *arg)
{
    give_up(arg, "timeout");
}

static void finish(struct wait *wait, const struct proxy_header *header)
{
    int fd = wait->fd;
    proxy_done *done = wait->done;
    void *arg = wait->arg;

    wait_free(wait);
    done(fd, header, arg);
}

static void on_bytes(evutil_socket_t fd, short what, void *arg)
{
    struct wait *wait = arg;
    struct proxy_header header;
    enum proxy_status status;
    size_t take;
    ssize_t got = recv(fd, wait->bytes + wait->have, sizeof wait->bytes - wait->have, MSG_PEEK);

    (void)what;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (got <= 0) {
        give_up(wait, "closed by the peer");
        return;
    }
    status = proxy_parse(wait->bytes, wait->have + (size_t)got, &header);
    take = status == PROXY_DONE ? header.length - wait->have : (size_t)got;
    /* It was there a moment ago, and nobody else reads here. */
    if (status == PROXY_BAD || recv(fd, wait->bytes + wait->have, take, 0) != (ssize_t)take) {
        give_up(wait, "bad header");
        return;
    }
    wait->have += take;
    if (status == PROXY_DONE)
        finish(wait, &header);
}

void proxy_receive(int fd, proxy_done *done, void *arg)
{
    struct wait *wait = waiting < WAITING_MAX ? calloc(1, sizeof *wait) : NULL;

    if (!wait) {
        log_warn("no proxy header, connection closed", log_str("reason", "too many wait for theirs"));
        close(fd);
        return;
    }
    *wait = (struct wait){.fd = fd, .done = done, .arg = arg};
    waiting++;
    wait->event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_bytes, wait);
    if (!wait->event || event_add(wait->event, NULL) != 0)
        abort();
    loop_timer_set(&wait->timer, WAIT_MS, on_time, wait);
}
