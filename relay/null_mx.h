#ifndef RELAY_NULL_MX_H
#define RELAY_NULL_MX_H
/*
 * null_mx: domains that say in DNS that they take no mail (RFC 7505): as a recipient's they are refused at once, as a
 * stranger's sender too, as nobody could answer him.  RCPT and the dry run are the same calls.
 *
 * A domain that DNS has nothing to say of, or whose MX cannot be looked up within wait_ms, is refused nothing.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/task.h"
#include "relay/permit.h"

/* How many tasks may wait for DNS at once; others are not kept. */
void null_mx_set_waiters_max(unsigned max);

/*
 * Section 4.2.  For a recipient who would be taken, of a client that nobody knows here; DNS is asked once for a
 * transaction.  True: refused, *out says so.
 */
AWAITS bool null_mx_refuses_sender(struct arena *arena, struct permit *permit, const struct permit_recipient *recipient,
                                   unsigned wait_ms, struct authorize_decision *out);
/* Section 4.1.  For one who was taken; of several targets none is.  default_route: there is one. */
AWAITS bool null_mx_refuses_recipient(struct arena *arena, const struct permit *permit,
                                      const struct permit_recipient *recipient, bool default_route, unsigned wait_ms,
                                      struct authorize_decision *out);

#endif
