#ifndef ADMIN_API_RELAY_CHECKS_ROUTE_H
#define ADMIN_API_RELAY_CHECKS_ROUTE_H
/* relay_checks_route: the part of a dry run that is about the way. */
#include <stdbool.h>

#include "admin-api/request.h"
#include "relay/permit.h"

struct admin_settings;
struct json_object;

/* *out NULL: into a mailbox here.  False: could not be asked. */
AWAITS bool relay_checks_route(struct request *r, const struct permit *permit,
                               const struct authorize_decision *decision, const struct permit_recipient *recipient,
                               const struct resolve_target *target, struct json_object **out)
    __attribute__((warn_unused_result));
/* What this server's configuration says.  The texts must stay. */
void relay_checks_route_configure(const struct admin_settings *settings);

#endif
