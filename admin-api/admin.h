#ifndef ADMIN_API_ADMIN_H
#define ADMIN_API_ADMIN_H
/*
 * admin: the REST API (libmicrohttpd, nested in the event loop), run by the admin process.
 *
 * Requests become tasks; while one waits for the database its connection is suspended.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct admin_settings {
    int listen_fd;                           /* bound and listening already */
    const char *certificate_file, *key_file; /* NULL: plain HTTP (loopback, or behind a proxy) */
    const char *hostname;
    unsigned connections_max, connections_per_client_max; /* of one address; 0: no limit of its own */
    const char *invitation_url; /* what a token is put behind to be a link; NULL or "": there are no links */
    /* For what a dry run answers. */
    uint64_t message_size_max;
    const char *default_route_host; /* NULL: see the next */
    unsigned default_route_port;
    const char *default_route_name; /* NULL: MX */
    unsigned mx_port;
    unsigned dns_wait_ms; /* for what DNS says of a client, and of its sender's and recipient's domains */
    bool refuse_null_mx_senders, address_literals;
    bool webhooks_in_clear; /* there are networks that webhooks may tell by http */
    /* Lines of other processes for /metrics, in the exposition format; appended as they are.  May be NULL. */
    char *(*metrics)(void); /* malloc'ed */
};
/*
 * Reads certificate and key if there are any, while the process may; fatal (78) when it cannot.  Call before
 * admin_start().
 */
void admin_load_tls(const struct admin_settings *settings);
void admin_start(const struct admin_settings *settings); /* fatal when libmicrohttpd cannot start */
/*
 * Takes no connection any more, answers what has begun or comes in the next moment on a connection that is open, with
 * "Connection: close".  done(arg) is called on the loop when the last connection has ended; that can be never, as far
 * as the clients have a say, so a limit is the caller's.
 */
void admin_drain(void (*done)(void *arg), void *arg);
/* Closes all connections; requests that are under way finish without one. */
void admin_stop(void);

#endif
