#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H
/*
 * listen: addresses to sockets.
 *
 * One listening socket per address, shared by all workers, each taking one connection per turn of its loop.  Not one
 * SO_REUSEPORT socket per worker: the master must keep the sockets open to hand them to a restarted worker
 * (it cannot bind port 25 again once nobody is root), and the kernel would go on giving the dead worker's socket its
 * share of new connections, which would hang for as long as the restart is delayed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"

enum listen_service {
    LISTEN_SMTP,
    LISTEN_SUBMISSION,
    LISTEN_SUBMISSIONS,
    LISTEN_ODMR,
    LISTEN_IMAP,
    LISTEN_IMAPS,
    LISTEN_POP3,
    LISTEN_POP3S,
    LISTEN_ADMIN,
};
#define LISTEN_SERVICES (LISTEN_ADMIN + 1)

struct listener {
    enum listen_service service;
    bool proxy;       /* a header of the PROXY protocol comes first */
    char address[80]; /* as in the configuration, without "proxy:" */
    int fd;
};
#define LISTENERS_MAX 64
struct listeners {
    unsigned count;
    struct listener list[LISTENERS_MAX];
};

/* "[proxy:]ADDRESS:PORT ...": false with the reason.  proxy becomes true if one of them asks for it. */
bool listen_check(const char *text, bool *proxy, char *error, size_t error_size);
/* Tells core/own_address.h of each; the text is one that listen_check() has passed. */
void listen_tell_own(const char *text);
/* "HOST:PORT", "[2001:db8::1]:25"; *host is malloc'ed, brackets removed.  The host is not looked up. */
bool listen_split(const char *text, char **host, unsigned *port, char *error, size_t error_size);

/* Whether the configuration names an address to listen on. */
bool listen_any(const struct config *config);
/*
 * Opens what the configuration asks for into out; sockets that `have` holds already (same service and
 * address) are taken over.  On failure what was opened anew is closed again and `have` is as before.
 */
bool listen_open(const struct config *config, const struct listeners *have, struct listeners *out, char *error,
                 size_t error_size);
/* Closes those of `old` that are not in `keep` (NULL: all). */
void listen_close(struct listeners *old, const struct listeners *keep);

#endif
