#ifndef PROTOCOLS_LIMIT_H
#define PROTOCOLS_LIMIT_H
/*
 * limit: how much may come from one address and from one network: connections at once and in a minute, and what port 25
 * is sent in a minute.
 *
 * Both are counted by all processes of the node together: what a minute brings (core/rate.h), and what is open at once
 * (core/tally.h, by protocols/server.c).  Loopback is exempt, and so are global entries of the allow-list
 * (storage/allow.h), which is asked only about who has reached a limit.
 */
#include <stdbool.h>

/* 0: no limit. */
struct limit_settings {
    unsigned network_ipv4, network_ipv6;               /* lengths of prefixes: what a network is */
    unsigned address_sessions, network_sessions;       /* at once */
    unsigned address_connections, network_connections; /* in a minute */
    unsigned address_messages, address_recipients;     /* in a minute, on port 25 */
    unsigned network_messages, network_recipients;
    unsigned tarpit_after;                             /* refusals that are answered at once */
    unsigned tarpit_max_ms;                            /* the longest that an answer waits; 0: none does */
};
void limit_set(const struct limit_settings *settings);
const struct limit_settings *limit_get(void);

/* Of whom one connection is. */
struct limit_client {
    const char *peer; /* its address; must stay */
    bool loopback;
    char address[64]; /* IPv4 address or IPv6 /64, the smallest block that is given to one customer */
    char network[64]; /* the block by network_ipv4 or network_ipv6, in a form that no address has; "" for none */
};
void limit_client(const char *peer, struct limit_client *out);
bool limit_exempt(const struct limit_client *client);

/* One more of them comes.  False: it is too much. */
bool limit_address_connection(const struct limit_client *client) __attribute__((warn_unused_result));
bool limit_network_connection(const struct limit_client *client) __attribute__((warn_unused_result));
bool limit_address_message(const struct limit_client *client) __attribute__((warn_unused_result));
bool limit_network_message(const struct limit_client *client) __attribute__((warn_unused_result));
bool limit_address_recipient(const struct limit_client *client) __attribute__((warn_unused_result));
bool limit_network_recipient(const struct limit_client *client) __attribute__((warn_unused_result));

/* One more refusal; how long its answer should wait. */
unsigned limit_refusal(const struct limit_client *client);

#endif
