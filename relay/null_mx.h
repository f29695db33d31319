#ifndef RELAY_NULL_MX_H
#define RELAY_NULL_MX_H
/*
 * null_mx: domains of which DNS says that they take no mail: by a null MX (RFC 7505), and as a recipient's also by
 * not being there, with neither MX nor address.  As a recipient's they are refused at once, rather than returned;
 * with a null MX as a stranger's sender, too, as nobody could answer him.  RCPT and the dry run are the same calls.
 *
 * A domain that cannot be looked up within wait_ms is refused nothing.
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
/*
 * Section 4.1, RFC 5321 5.1.  For one who was taken, or the one address that he leads to; of several none is.
 * default_route: there is one.
 */
AWAITS bool null_mx_refuses_recipient(struct arena *arena, const struct permit *permit,
                                      const struct permit_recipient *recipient, bool default_route, unsigned wait_ms,
                                      struct authorize_decision *out);

#endif
