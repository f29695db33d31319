#ifndef ADMIN_API_RELAY_CHECKS_CLIENT_H
#define ADMIN_API_RELAY_CHECKS_CLIENT_H
/* relay_checks_client: the part of a dry run that is about strangers. */
#include "admin-api/request.h"
#include "relay/screen_client.h"

/* As screen_client(), for a client that is not here. */
AWAITS enum screen_result relay_checks_client(struct request *r, struct permit *permit,
                                              const struct permit_recipient *recipient, unsigned wait_ms,
                                              struct screen_report *report, struct authorize_decision *decision)
    __attribute__((warn_unused_result));
struct json_object *relay_checks_client_json(const struct screen_report *report);

#endif
