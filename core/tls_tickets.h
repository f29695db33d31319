#ifndef CORE_TLS_TICKETS_H
#define CORE_TLS_TICKETS_H
/*
 * tls_tickets: the keys that session tickets are sealed with (RFC 5077, RFC 8446 section 2.2), the same in all
 * processes that one master has forked, whenever it forked them, and new every TLS_TICKETS_PERIOD_MS.
 */
#include <stdbool.h>
#include <stdint.h>

#define TLS_TICKETS_PERIOD_MS 3600000
#define TLS_TICKETS_NAME 16
#define TLS_TICKETS_KEY 32

struct tls_ticket_key {
    unsigned char name[TLS_TICKETS_NAME]; /* stands in the ticket in clear */
    unsigned char cipher[TLS_TICKETS_KEY], mac[TLS_TICKETS_KEY];
};

struct tls_tickets {
    uint64_t period;
    unsigned char secret[TLS_TICKETS_KEY]; /* the next period's is made from it */
    struct tls_ticket_key now, before;     /* to seal and open; to open */
};

/* Pure: the keys of a period, from its secret.  `before` opens nothing. */
void tls_tickets_start(struct tls_tickets *tickets, uint64_t period, const unsigned char secret[TLS_TICKETS_KEY]);
/* Pure: goes on to a later period; an earlier one changes nothing. */
void tls_tickets_advance(struct tls_tickets *tickets, uint64_t period);
/* Pure: whose name it is, or NULL. */
const struct tls_ticket_key *tls_tickets_find(const struct tls_tickets *tickets, const unsigned char *name);

#endif
