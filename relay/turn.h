#ifndef RELAY_TURN_H
#define RELAY_TURN_H
/*
 * turn: who may have the mail that waits for a domain sent now (ETRN, RFC 1985).
 *
 * It goes where it would go anyway, so that the right is a wide one: the domain's customer has it, and its next hops.
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

#endif
