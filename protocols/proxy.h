#ifndef PROTOCOLS_PROXY_H
#define PROTOCOLS_PROXY_H
/*
 * proxy: what happens on a connection before its session: the proxy's header is taken off it.
 */
#include "protocols/proxy_parse.h"

typedef void proxy_done(int fd, const struct proxy_header *header, void *arg);

/*
 * Takes fd (non-blocking).  Calls done once, when the whole header has come: the next byte on fd is the client's.  Or
 * closes fd, after logging why: no header, a bad one, none within the time, too many at once.
 */
void proxy_receive(int fd, proxy_done *done, void *arg);
/* How many wait for their header: connections that no session counts yet. */
unsigned proxy_waiting(void);

#endif
