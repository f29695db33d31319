#ifndef CORE_DNS_H
#define CORE_DNS_H
/*
 * dns: MX and address look-ups by libunbound: cached, asynchronous, bounded.
 *
 * Three answers, as everywhere: FOUND, NONE (NXDOMAIN or no such data: permanent), FAILED (SERVFAIL,
 * timeout, bogus: try again).  Names are ASCII (A-labels).  Results live in the caller's arena.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"

enum dns_status { DNS_FOUND, DNS_NONE, DNS_FAILED };

struct dns_settings {
    const char *resolver;   /* "ADDRESS[@PORT]" to forward to; NULL: what /etc/resolv.conf says */
    const char *hosts_file; /* NULL: /etc/hosts */
    /* DS or DNSKEY records of the root, or of others; NULL: Debian's, if it is there, else nothing is validated. */
    const char *trust_anchor_file;
};
/* Can this be read as trust anchors? */
bool dns_trust_anchor_valid(const char *file);

struct dns_mx {
    unsigned preference;
    const char *host; /* lower case, no final dot; "" is the null MX of RFC 7505 */
    bool secure;      /* DNSSEC vouches for it */
};
struct dns_address {
    struct sockaddr_storage address; /* port 0 */
    socklen_t length;
    bool secure;           /* DNSSEC vouches for it, and for each alias on the way to it */
    const char *canonical; /* the name at the end of aliases (CNAME); NULL: the one that was asked for */
};
/* RFC 6698 2.1, as it stands there; what it is good for is tls.h's to say. */
struct dns_tlsa {
    unsigned usage, selector, matching;
    struct slice data;
};

void dns_init(const struct dns_settings *settings); /* after fork */
void dns_done(void);

/* Sorted by preference.  NONE: the name exists without MX or not at all; the caller tries its address. */
AWAITS enum dns_status dns_mx(struct arena *arena, const char *domain, struct dns_mx **out, unsigned *count);
/* For who is waited for: FAILED after so long. */
AWAITS enum dns_status dns_mx_within(struct arena *arena, const char *domain, unsigned wait_ms, struct dns_mx **out,
                                     unsigned *count);
/* Pure: families in turn, each in its order; the first stays. */
void dns_take_turns(struct dns_address *list, unsigned count);
/* IPv6 and IPv4 in turn.  A host that is an address literal ("127.0.0.1", "::1") is FOUND without asking. */
AWAITS enum dns_status dns_addresses(struct arena *arena, const char *host, struct dns_address **out, unsigned *count);
AWAITS enum dns_status dns_addresses_within(struct arena *arena, const char *host, unsigned wait_ms,
                                            struct dns_address **out, unsigned *count);

/* dns_record.c */

/*
 * The TLSA records of a server at that name, behind aliases, too.  FOUND only if DNSSEC vouches for them; NONE: there are
 * none, or nobody vouches for them (RFC 7672 2.2); FAILED: there may be some.
 */
AWAITS enum dns_status dns_tlsa(struct arena *arena, const char *host, unsigned port, struct dns_tlsa **out,
                                unsigned *count);
/* Is the name an alias, and does DNSSEC vouch for that, whatever it leads to?  FOUND: it does. */
AWAITS enum dns_status dns_alias_secure(const char *host);
/* The TXT records of a name, of each its strings one behind the other (RFC 7208 3.3); bytes as they stand there. */
AWAITS enum dns_status dns_texts(struct arena *arena, const char *name, struct slice **out, unsigned *count);

#endif
