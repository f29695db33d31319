#ifndef PROTOCOLS_PROXY_PARSE_H
#define PROTOCOLS_PROXY_PARSE_H
/*
 * proxy_parse: the header that a proxy sends before the client's first byte: HAProxy's PROXY protocol, versions 1 and
 * 2.  Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define PROXY_HEADER_MAX 4096 /* longest that is taken; version 1 has at most 107 octets by itself */

enum proxy_status {
    PROXY_MORE, /* so far it is the beginning of a header, and all of these bytes belong to it */
    PROXY_DONE,
    PROXY_BAD, /* no header, or one that is wrong */
};

struct proxy_header {
    size_t length; /* of the header: what follows is the client's */
    bool known;    /* the addresses are told; else those of the connection count (LOCAL, UNKNOWN) */
    struct sockaddr_storage client, server;
};

enum proxy_status proxy_parse(const char *bytes, size_t n, struct proxy_header *out);

#endif
