#ifndef RELAY_TURN_H
#define RELAY_TURN_H
/*
 * turn: who may have the mail that waits for a domain sent now (ETRN, RFC 1985), and who may take it over (ATRN, RFC
 * 2645).
 *
 * With ETRN it goes where it would go anyway, so that the right is a wide one: the domain's customer has it, and its
 * next hops. With ATRN it goes to who asks: that is one account, the domain's collector.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/directory.h"

#define TURN_DOMAINS_MAX 100 /* of "@domain" */

struct turn {
    /* given: */
    const char *peer;                        /* the client's address */
    const struct directory_account *account; /* who signed in; NULL: nobody */

    /* found, in the arena: */
    int64_t *domain_ids; /* whose mail waits for next hops */
    unsigned count;      /* 0: what is named exists and has none */
    const char *why;     /* DENIED: in words; FAILED: for the log */
};

enum turn_verdict { TURN_ALLOWED, TURN_DENIED, TURN_FAILED };

/* name: a domain; subdomains: and all below it, as far as they are the customer's.  FAILED: it could not be asked. */
AWAITS enum turn_verdict turn_ask(struct arena *arena, struct turn *turn, struct slice name, bool subdomains)
    __attribute__((warn_unused_result));
/* May turn->account collect the mail of these domains?  count 0: of all that are his. */
AWAITS enum turn_verdict turn_collect(struct arena *arena, struct turn *turn, const struct slice *names, unsigned count)
    __attribute__((warn_unused_result));

#endif
