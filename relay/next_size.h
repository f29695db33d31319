#ifndef RELAY_NEXT_SIZE_H
#define RELAY_NEXT_SIZE_H
/*
 * next_size: messages that no next hop would take are refused at the door, 552 5.3.4, instead of being returned.
 * RCPT, the dry run and the end of data ask it; what is known is storage/hop_size.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "relay/permit.h"

/* Every server takes that much (RFC 5321 4.5.3.1.7), and nothing is asked for less. */
#define NEXT_SIZE_FLOOR (64 * 1024)

/*
 * The largest message that one of the destinations takes; UINT64_MAX: one of them takes any, as far as is known, or
 * is a mailbox here (empty).  False: it could not be asked.
 */
AWAITS bool next_size_most(struct arena *arena, const struct slice *destinations, unsigned count, uint64_t *most)
    __attribute__((warn_unused_result));
/*
 * Of a recipient who was taken, into his size_most; decision: that took him; default_route: there is one.  False: as
 * above.
 */
AWAITS bool next_size_ask(struct arena *arena, const struct permit *permit, struct permit_recipient *recipient,
                          const struct authorize_decision *decision, bool default_route)
    __attribute__((warn_unused_result));
/* True: refused, *out says so. */
bool next_size_refuses(struct arena *arena, struct slice address, uint64_t size, uint64_t most,
                       struct authorize_decision *out);

#endif
