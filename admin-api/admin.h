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
    int listen_fd;       /* bound and listening already */
    const char *certificate_file, *key_file; /* NULL: plain HTTP (loopback, or behind a proxy) */
    const char *hostname;
    unsigned connections_max;
    /* For what a dry run answers. */
    uint64_t message_size_max;
    const char *default_route_host; /* NULL: MX */
    unsigned default_route_port;
    /* Lines of other processes for /metrics, in the exposition format; appended as they are.  May be NULL. */
    char *(*metrics)(void); /* malloc'ed */
};
/* Reads certificate and key if there are any, while the process may; fatal (78) when it cannot.  Call before admin_start(). */
void admin_load_tls(const struct admin_settings *settings);
void admin_start(const struct admin_settings *settings); /* fatal when libmicrohttpd cannot start */
/* Closes all connections; requests that are under way finish without one. */
void admin_stop(void);

#endif
