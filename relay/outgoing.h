#ifndef RELAY_OUTGOING_H
#define RELAY_OUTGOING_H
/*
 * outgoing: which way mail to outside goes: by a rule, the default route, or MX.  The SMTP server's RCPT, our own
 * notices and the dry run ask it.
 */
#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "relay/permit.h"
#include "storage/route_rule.h"

struct outgoing {
    struct slice destination;     /* its key, in the arena */
    struct route_rule_found rule; /* rule_id 0: none is for it */
};

/* What the rules are asked of a recipient who was accepted; domain: of the address that was given. */
struct route_rule_mail outgoing_mail(const struct permit *permit, const struct authorize_decision *decision,
                                     const struct resolve_target *target, struct slice domain);
/* default_route: there is one.  False: it could not be found out (451). */
AWAITS bool outgoing_find(struct arena *arena, const struct route_rule_mail *mail, bool default_route,
                          struct outgoing *out) __attribute__((warn_unused_result));

#endif
