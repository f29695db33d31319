#ifndef CORE_DNS_ASK_H
#define CORE_DNS_ASK_H
/*
 * dns_ask: look-ups in the background, answered by a call on the loop: for what is asked about every client and seldom
 * waited for.  Who waits anyway uses dns.h.
 *
 * The same three answers, the same cache.  There are at most DNS_ASKS_MAX at once; what is more is FAILED at once.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/dns.h"

#define DNS_ASKS_MAX 10000
#define DNS_ASK_RECORDS_MAX 16

enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_PTR = 12, DNS_TYPE_TXT = 16, DNS_TYPE_AAAA = 28 };

struct dns_record {
    const unsigned char *bytes; /* as on the wire */
    size_t length;
};
/* records: of FOUND, at most DNS_ASK_RECORDS_MAX, gone when it returns.  It may ask again. */
typedef void dns_ask_fn(void *arg, enum dns_status status, const struct dns_record *records, unsigned count);

struct dns_ask;
/* NULL: fn was called already, with FAILED. */
struct dns_ask *dns_ask(const char *name, enum dns_type type, dns_ask_fn *fn, void *arg);
/* fn will not be called.  Not for one that was answered.  Takes the pointer's address. */
void dns_ask_cancel(struct dns_ask **ask);

/* A PTR's name: a host's, lower case, no final dot.  False: it is none. */
bool dns_record_name(const struct dns_record *record, char *out, size_t size);
/* A TXT's strings, one behind the other, as far as there is room; what is not printable ASCII becomes '?'. */
void dns_record_text(const struct dns_record *record, char *out, size_t size);

/*
 * The name under zone by which lists know an address, RFC 5782 2.1 and 2.4: "7.2.0.192.zone", or by nibbles.  zone
 * "in-addr.arpa" and "ip6.arpa" are those of reverse names.  False: not an address, or too long.
 */
bool dns_reversed_name(const char *address, const char *zone, char *out, size_t size);

#endif
