/*
 * From a request to its handler.
 *
 *   path unknown            404
 *   method not offered      405 with Allow
 *   token missing or wrong  401 with WWW-Authenticate (RFC 6750 section 3)
 *   database away           503, as the token cannot be checked; also changes before this process has its number
 *
 * in this order: what exists is no secret (the OpenAPI document is), what is in it is.  HEAD is GET, its body
 * dropped by the HTTP library.
 */
#define LOG_MODULE "admin"
#include "admin-api/router.h"

#include <string.h>

#include "admin-api/handlers.h"
#include "storage/node.h"
#include "storage/token.h"

static const struct router_route routes[] = {
    {"GET", "/healthz", "getHealth", ROUTER_OPEN, health_live},
    {"GET", "/readyz", "getReadiness", ROUTER_OPEN, health_ready},
    {"GET", "/metrics", "getMetrics", ROUTER_LOOPBACK, metrics_show},
    {"GET", "/v1/openapi.json", "getOpenApi", ROUTER_OPEN, openapi_show},

    {"GET", "/v1/customers", "listCustomers", ROUTER_TOKEN, customers_list},
    {"POST", "/v1/customers", "createCustomer", ROUTER_TOKEN, customers_create},
    {"GET", "/v1/customers/{customer}", "getCustomer", ROUTER_TOKEN, customers_show},
    {"PATCH", "/v1/customers/{customer}", "changeCustomer", ROUTER_TOKEN, customers_change},
    {"DELETE", "/v1/customers/{customer}", "deleteCustomer", ROUTER_TOKEN, customers_delete},

    {"GET", "/v1/domains", "listDomains", ROUTER_TOKEN, domains_list},
    {"POST", "/v1/domains", "createDomain", ROUTER_TOKEN, domains_create},
    {"GET", "/v1/domains/{domain}", "getDomain", ROUTER_TOKEN, domains_show},
    {"PATCH", "/v1/domains/{domain}", "changeDomain", ROUTER_TOKEN, domains_change},
    {"DELETE", "/v1/domains/{domain}", "deleteDomain", ROUTER_TOKEN, domains_delete},

    {"GET", "/v1/domains/{domain}/recipients", "listRecipients", ROUTER_TOKEN, recipients_list},
    {"PUT", "/v1/domains/{domain}/recipients", "replaceRecipients", ROUTER_TOKEN, recipients_replace},
    {"POST", "/v1/domains/{domain}/recipients", "createRecipient", ROUTER_TOKEN, recipients_create},
    {"GET", "/v1/domains/{domain}/recipients/{recipient}", "getRecipient", ROUTER_TOKEN, recipients_show},
    {"DELETE", "/v1/domains/{domain}/recipients/{recipient}", "deleteRecipient", ROUTER_TOKEN, recipients_delete},

    {"GET", "/v1/domains/{domain}/learned-recipients", "listLearnedRecipients", ROUTER_TOKEN, learned_recipients_list},
    {"DELETE", "/v1/domains/{domain}/learned-recipients", "deleteLearnedRecipients", ROUTER_TOKEN,
     learned_recipients_delete_all},
    {"GET", "/v1/domains/{domain}/learned-recipients/{recipient}", "getLearnedRecipient", ROUTER_TOKEN,
     learned_recipients_show},
    {"DELETE", "/v1/domains/{domain}/learned-recipients/{recipient}", "deleteLearnedRecipient", ROUTER_TOKEN,
     learned_recipients_delete},

    {"GET", "/v1/domains/{domain}/carrying", "listCarrying", ROUTER_TOKEN, carrying_list},
    {"GET", "/v1/domains/{domain}/imap-access", "getImapAccess", ROUTER_TOKEN, imap_access_show},
    {"PUT", "/v1/domains/{domain}/imap-access", "replaceImapAccess", ROUTER_TOKEN, imap_access_replace},
    {"PATCH", "/v1/domains/{domain}/imap-access", "changeImapAccess", ROUTER_TOKEN, imap_access_change},
    {"DELETE", "/v1/domains/{domain}/imap-access", "deleteImapAccess", ROUTER_TOKEN, imap_access_delete},

    {"GET", "/v1/domains/{domain}/health", "getDomainHealth", ROUTER_TOKEN, domain_health_show},
    {"PUT", "/v1/domains/{domain}/health", "forceDomainHealth", ROUTER_TOKEN, domain_health_force},
    {"GET", "/v1/domains/{domain}/health/events", "listDomainHealthEvents", ROUTER_TOKEN, domain_health_events},
    {"GET", "/v1/domains/{domain}/maintenance-windows", "listMaintenanceWindows", ROUTER_TOKEN,
     maintenance_windows_list},
    {"POST", "/v1/domains/{domain}/maintenance-windows", "createMaintenanceWindow", ROUTER_TOKEN,
     maintenance_windows_create},
    {"GET", "/v1/domains/{domain}/maintenance-windows/{window}", "getMaintenanceWindow", ROUTER_TOKEN,
     maintenance_windows_show},
    {"DELETE", "/v1/domains/{domain}/maintenance-windows/{window}", "endMaintenanceWindow", ROUTER_TOKEN,
     maintenance_windows_delete},
    {"GET", "/v1/domains/{domain}/continuity-policy", "getContinuityPolicy", ROUTER_TOKEN, continuity_policies_show},
    {"PUT", "/v1/domains/{domain}/continuity-policy", "replaceContinuityPolicy", ROUTER_TOKEN,
     continuity_policies_replace},
    {"PATCH", "/v1/domains/{domain}/continuity-policy", "changeContinuityPolicy", ROUTER_TOKEN,
     continuity_policies_change},
    {"DELETE", "/v1/domains/{domain}/continuity-policy", "deleteContinuityPolicy", ROUTER_TOKEN,
     continuity_policies_delete},

    {"GET", "/v1/accounts", "listAccounts", ROUTER_TOKEN, accounts_list},
    {"POST", "/v1/accounts", "createAccount", ROUTER_TOKEN, accounts_create},
    {"GET", "/v1/accounts/{account}", "getAccount", ROUTER_TOKEN, accounts_show},
    {"PATCH", "/v1/accounts/{account}", "changeAccount", ROUTER_TOKEN, accounts_change},
    {"DELETE", "/v1/accounts/{account}", "deleteAccount", ROUTER_TOKEN, accounts_delete},

    {"GET", "/v1/accounts/{account}/app-passwords", "listAppPasswords", ROUTER_TOKEN, app_passwords_list},
    {"POST", "/v1/accounts/{account}/app-passwords", "createAppPassword", ROUTER_TOKEN, app_passwords_create},
    {"GET", "/v1/accounts/{account}/app-passwords/{app_password}", "getAppPassword", ROUTER_TOKEN, app_passwords_show},
    {"DELETE", "/v1/accounts/{account}/app-passwords/{app_password}", "deleteAppPassword", ROUTER_TOKEN,
     app_passwords_delete},

    {"GET", "/v1/accounts/{account}/invitations", "listInvitations", ROUTER_TOKEN, invitations_list},
    {"POST", "/v1/accounts/{account}/invitations", "createInvitation", ROUTER_TOKEN, invitations_create},
    {"GET", "/v1/accounts/{account}/invitations/{invitation}", "getInvitation", ROUTER_TOKEN, invitations_show},
    {"DELETE", "/v1/accounts/{account}/invitations/{invitation}", "deleteInvitation", ROUTER_TOKEN, invitations_delete},
    {"POST", "/v1/domains/{domain}/invitations", "createInvitations", ROUTER_TOKEN, invitations_create_many},
    {"POST", "/v1/invitations/{invitation_token}", "useInvitation", ROUTER_OPEN, invitations_use},
    {"GET", "/invitations/{invitation_token}", "getInvitationPage", ROUTER_OPEN, invitation_page_show},
    {"POST", "/invitations/{invitation_token}", "useInvitationPage", ROUTER_OPEN, invitation_page_use},

    {"GET", "/v1/accounts/{account}/certificates", "listCertificates", ROUTER_TOKEN, certificates_list},
    {"POST", "/v1/accounts/{account}/certificates", "createCertificate", ROUTER_TOKEN, certificates_create},
    {"GET", "/v1/accounts/{account}/certificates/{certificate}", "getCertificate", ROUTER_TOKEN, certificates_show},
    {"DELETE", "/v1/accounts/{account}/certificates/{certificate}", "deleteCertificate", ROUTER_TOKEN,
     certificates_delete},

    {"GET", "/v1/aliases", "listAliases", ROUTER_TOKEN, aliases_list},
    {"POST", "/v1/aliases", "createAlias", ROUTER_TOKEN, aliases_create},
    {"GET", "/v1/aliases/{alias}", "getAlias", ROUTER_TOKEN, aliases_show},
    {"PATCH", "/v1/aliases/{alias}", "changeAlias", ROUTER_TOKEN, aliases_change},
    {"DELETE", "/v1/aliases/{alias}", "deleteAlias", ROUTER_TOKEN, aliases_delete},

    {"GET", "/v1/groups", "listGroups", ROUTER_TOKEN, groups_list},
    {"POST", "/v1/groups", "createGroup", ROUTER_TOKEN, groups_create},
    {"GET", "/v1/groups/{group}", "getGroup", ROUTER_TOKEN, groups_show},
    {"PATCH", "/v1/groups/{group}", "changeGroup", ROUTER_TOKEN, groups_change},
    {"DELETE", "/v1/groups/{group}", "deleteGroup", ROUTER_TOKEN, groups_delete},

    {"GET", "/v1/networks", "listNetworks", ROUTER_TOKEN, networks_list},
    {"POST", "/v1/networks", "createNetwork", ROUTER_TOKEN, networks_create},
    {"GET", "/v1/networks/{network}", "getNetwork", ROUTER_TOKEN, networks_show},
    {"PATCH", "/v1/networks/{network}", "changeNetwork", ROUTER_TOKEN, networks_change},
    {"DELETE", "/v1/networks/{network}", "deleteNetwork", ROUTER_TOKEN, networks_delete},

    {"GET", "/v1/allowed-networks", "listAllowedNetworks", ROUTER_TOKEN, allowed_networks_list},
    {"POST", "/v1/allowed-networks", "createAllowedNetwork", ROUTER_TOKEN, allowed_networks_create},
    {"GET", "/v1/allowed-networks/{allowed_network}", "getAllowedNetwork", ROUTER_TOKEN, allowed_networks_show},
    {"PATCH", "/v1/allowed-networks/{allowed_network}", "changeAllowedNetwork", ROUTER_TOKEN, allowed_networks_change},
    {"DELETE", "/v1/allowed-networks/{allowed_network}", "deleteAllowedNetwork", ROUTER_TOKEN, allowed_networks_delete},

    {"GET", "/v1/dns-lists", "listDnsLists", ROUTER_TOKEN, dns_lists_list},
    {"POST", "/v1/dns-lists", "createDnsList", ROUTER_TOKEN, dns_lists_create},
    {"GET", "/v1/dns-lists/{dns_list}", "getDnsList", ROUTER_TOKEN, dns_lists_show},
    {"PATCH", "/v1/dns-lists/{dns_list}", "changeDnsList", ROUTER_TOKEN, dns_lists_change},
    {"DELETE", "/v1/dns-lists/{dns_list}", "deleteDnsList", ROUTER_TOKEN, dns_lists_delete},

    {"GET", "/v1/client-policies", "listClientPolicies", ROUTER_TOKEN, client_policies_list},
    {"POST", "/v1/client-policies", "createClientPolicy", ROUTER_TOKEN, client_policies_create},
    {"GET", "/v1/client-policies/{client_policy}", "getClientPolicy", ROUTER_TOKEN, client_policies_show},
    {"PATCH", "/v1/client-policies/{client_policy}", "changeClientPolicy", ROUTER_TOKEN, client_policies_change},
    {"DELETE", "/v1/client-policies/{client_policy}", "deleteClientPolicy", ROUTER_TOKEN, client_policies_delete},

    {"GET", "/v1/routes", "listRoutes", ROUTER_TOKEN, routes_list},
    {"POST", "/v1/routes", "createRoute", ROUTER_TOKEN, routes_create},
    {"GET", "/v1/routes/{route}", "getRoute", ROUTER_TOKEN, routes_show},
    {"PATCH", "/v1/routes/{route}", "changeRoute", ROUTER_TOKEN, routes_change},
    {"DELETE", "/v1/routes/{route}", "deleteRoute", ROUTER_TOKEN, routes_delete},

    {"GET", "/v1/credentials", "listCredentials", ROUTER_TOKEN, credentials_list},
    {"POST", "/v1/credentials", "createCredential", ROUTER_TOKEN, credentials_create},
    {"POST", "/v1/credential-reseals", "resealCredentials", ROUTER_TOKEN, credentials_reseal},
    {"GET", "/v1/credentials/{credential}", "getCredential", ROUTER_TOKEN, credentials_show},
    {"PATCH", "/v1/credentials/{credential}", "changeCredential", ROUTER_TOKEN, credentials_change},
    {"DELETE", "/v1/credentials/{credential}", "deleteCredential", ROUTER_TOKEN, credentials_delete},

    {"GET", "/v1/route-rules", "listRouteRules", ROUTER_TOKEN, route_rules_list},
    {"POST", "/v1/route-rules", "createRouteRule", ROUTER_TOKEN, route_rules_create},
    {"GET", "/v1/route-rules/{route_rule}", "getRouteRule", ROUTER_TOKEN, route_rules_show},
    {"PATCH", "/v1/route-rules/{route_rule}", "changeRouteRule", ROUTER_TOKEN, route_rules_change},
    {"DELETE", "/v1/route-rules/{route_rule}", "deleteRouteRule", ROUTER_TOKEN, route_rules_delete},

    {"GET", "/v1/relay-grants", "listRelayGrants", ROUTER_TOKEN, relay_grants_list},
    {"POST", "/v1/relay-grants", "createRelayGrant", ROUTER_TOKEN, relay_grants_create},
    {"GET", "/v1/relay-grants/{grant}", "getRelayGrant", ROUTER_TOKEN, relay_grants_show},
    {"PATCH", "/v1/relay-grants/{grant}", "changeRelayGrant", ROUTER_TOKEN, relay_grants_change},
    {"DELETE", "/v1/relay-grants/{grant}", "deleteRelayGrant", ROUTER_TOKEN, relay_grants_delete},

    {"POST", "/v1/relay-checks", "checkRelay", ROUTER_TOKEN, relay_checks_create},
    {"GET", "/v1/decisions/{decision}", "getDecision", ROUTER_TOKEN, decisions_show},

    {"GET", "/v1/queue", "listQueue", ROUTER_TOKEN, queue_list},
    {"GET", "/v1/queue/{entry}", "getQueueEntry", ROUTER_TOKEN, queue_entry_show},
    {"GET", "/v1/queue/{entry}/attempts", "listQueueEntryAttempts", ROUTER_TOKEN, queue_entry_attempts},
    {"POST", "/v1/queue/{entry}/retry", "retryQueueEntry", ROUTER_TOKEN, queue_entry_retry},
    {"POST", "/v1/queue/{entry}/hold", "holdQueueEntry", ROUTER_TOKEN, queue_entry_hold},
    {"POST", "/v1/queue/{entry}/release", "releaseQueueEntry", ROUTER_TOKEN, queue_entry_release},
    {"POST", "/v1/queue/{entry}/reject", "rejectQueueEntry", ROUTER_TOKEN, queue_entry_reject},
    {"POST", "/v1/queue/{entry}/expire", "expireQueueEntry", ROUTER_TOKEN, queue_entry_expire},
    {"POST", "/v1/queue/{entry}/cancel", "cancelQueueEntry", ROUTER_TOKEN, queue_entry_cancel},
    {"POST", "/v1/queue/{entry}/redirect", "redirectQueueEntry", ROUTER_TOKEN, queue_entry_redirect},
    {"POST", "/v1/queue/{entry}/priority", "prioritizeQueueEntry", ROUTER_TOKEN, queue_entry_priority},
    {"GET", "/v1/queue-actions", "listQueueActions", ROUTER_TOKEN, queue_actions_list},
    {"POST", "/v1/queue-actions", "createQueueAction", ROUTER_TOKEN, queue_actions_create},
    {"GET", "/v1/queue-actions/{action}", "getQueueAction", ROUTER_TOKEN, queue_actions_show},
    {"POST", "/v1/queue-actions/{action}/start", "startQueueAction", ROUTER_TOKEN, queue_actions_start},
    {"POST", "/v1/queue-actions/{action}/stop", "stopQueueAction", ROUTER_TOKEN, queue_actions_stop},
    {"GET", "/v1/delivery-policies", "listDeliveryPolicies", ROUTER_TOKEN, delivery_policies_list},
    {"POST", "/v1/delivery-policies", "createDeliveryPolicy", ROUTER_TOKEN, delivery_policies_create},
    {"GET", "/v1/delivery-policies/{delivery_policy}", "getDeliveryPolicy", ROUTER_TOKEN, delivery_policies_show},
    {"PATCH", "/v1/delivery-policies/{delivery_policy}", "changeDeliveryPolicy", ROUTER_TOKEN,
     delivery_policies_change},
    {"DELETE", "/v1/delivery-policies/{delivery_policy}", "deleteDeliveryPolicy", ROUTER_TOKEN,
     delivery_policies_delete},
    {"GET", "/v1/content-rules", "listContentRules", ROUTER_TOKEN, content_rules_list},
    {"POST", "/v1/content-rules", "createContentRule", ROUTER_TOKEN, content_rules_create},
    {"POST", "/v1/content-rules/check", "checkContentRules", ROUTER_TOKEN, content_rules_check},
    {"GET", "/v1/content-rules/{rule}", "getContentRule", ROUTER_TOKEN, content_rules_show},
    {"PATCH", "/v1/content-rules/{rule}", "changeContentRule", ROUTER_TOKEN, content_rules_change},
    {"DELETE", "/v1/content-rules/{rule}", "deleteContentRule", ROUTER_TOKEN, content_rules_delete},

    {"GET", "/v1/address-countries", "listAddressCountries", ROUTER_TOKEN, address_countries_list},
    {"GET", "/v1/address-countries/{country}", "getAddressCountry", ROUTER_TOKEN, address_countries_show},
    {"PUT", "/v1/address-countries/{country}", "replaceAddressCountry", ROUTER_TOKEN, address_countries_replace},
    {"DELETE", "/v1/address-countries/{country}", "deleteAddressCountry", ROUTER_TOKEN, address_countries_delete},
    {"GET", "/v1/breaker-policies", "listBreakerPolicies", ROUTER_TOKEN, breaker_policies_list},
    {"POST", "/v1/breaker-policies", "createBreakerPolicy", ROUTER_TOKEN, breaker_policies_create},
    {"GET", "/v1/breaker-policies/{breaker_policy}", "getBreakerPolicy", ROUTER_TOKEN, breaker_policies_show},
    {"PATCH", "/v1/breaker-policies/{breaker_policy}", "changeBreakerPolicy", ROUTER_TOKEN, breaker_policies_change},
    {"DELETE", "/v1/breaker-policies/{breaker_policy}", "deleteBreakerPolicy", ROUTER_TOKEN, breaker_policies_delete},
    {"GET", "/v1/breakers", "listBreakers", ROUTER_TOKEN, breakers_list},
    {"GET", "/v1/breakers/{account}", "getBreaker", ROUTER_TOKEN, breakers_show},
    {"PATCH", "/v1/breakers/{account}", "changeBreaker", ROUTER_TOKEN, breakers_change},
    {"GET", "/v1/breakers/{account}/groups", "listHeldGroups", ROUTER_TOKEN, breakers_groups},

    {"GET", "/v1/held-accounts", "listHeldAccounts", ROUTER_TOKEN, held_accounts_list},
    {"POST", "/v1/held-accounts", "createHeldAccount", ROUTER_TOKEN, held_accounts_create},
    {"GET", "/v1/held-accounts/{account}", "getHeldAccount", ROUTER_TOKEN, held_accounts_show},
    {"DELETE", "/v1/held-accounts/{account}", "deleteHeldAccount", ROUTER_TOKEN, held_accounts_delete},
    {"GET", "/v1/suspensions", "listSuspensions", ROUTER_TOKEN, suspensions_list},
    {"POST", "/v1/suspensions", "createSuspension", ROUTER_TOKEN, suspensions_create},
    {"GET", "/v1/suspensions/{suspension}", "getSuspension", ROUTER_TOKEN, suspensions_show},
    {"DELETE", "/v1/suspensions/{suspension}", "deleteSuspension", ROUTER_TOKEN, suspensions_delete},
    {"GET", "/v1/webhooks", "listWebhooks", ROUTER_TOKEN, webhooks_list},
    {"POST", "/v1/webhooks", "createWebhook", ROUTER_TOKEN, webhooks_create},
    {"GET", "/v1/webhooks/{webhook}", "getWebhook", ROUTER_TOKEN, webhooks_show},
    {"PATCH", "/v1/webhooks/{webhook}", "changeWebhook", ROUTER_TOKEN, webhooks_change},
    {"DELETE", "/v1/webhooks/{webhook}", "deleteWebhook", ROUTER_TOKEN, webhooks_delete},
    {"POST", "/v1/webhooks/{webhook}/test", "testWebhook", ROUTER_TOKEN, webhooks_test},
    {"GET", "/v1/messages/{message}", "getMessage", ROUTER_TOKEN, messages_show},
    {"GET", "/v1/messages/{message}/events", "listMessageEvents", ROUTER_TOKEN, messages_events},
    {"GET", "/v1/audit-log", "listAuditLog", ROUTER_TOKEN, audit_log_list},
    {"GET", "/v1/bans", "listBans", ROUTER_TOKEN, bans_list},
    {"GET", "/v1/bans/{ban}", "getBan", ROUTER_TOKEN, bans_show},
    {"DELETE", "/v1/bans/{ban}", "liftBan", ROUTER_TOKEN, bans_delete},
    {"GET", "/v1/outages", "listOutages", ROUTER_TOKEN, outages_list},
    {"GET", "/v1/outages/{outage}/drain", "getOutageDrain", ROUTER_TOKEN, outage_drain_show},
    {"PATCH", "/v1/outages/{outage}/drain", "changeOutageDrain", ROUTER_TOKEN, outage_drain_change},
    {"GET", "/v1/outages/{outage}", "getOutage", ROUTER_TOKEN, outages_show},
    {"GET", "/v1/drills", "listDrills", ROUTER_TOKEN, drills_list},
    {"POST", "/v1/drills", "createDrill", ROUTER_TOKEN, drills_create},
    {"GET", "/v1/drills/{drill}", "getDrill", ROUTER_TOKEN, drills_show},
    {"DELETE", "/v1/drills/{drill}", "endDrill", ROUTER_TOKEN, drills_delete},
};
#define ROUTES (sizeof routes / sizeof *routes)

const struct router_route *router_routes(unsigned *count)
{
    *count = ROUTES;
    return routes;
}

bool router_match(const char *pattern, const char *path, struct slice keys[2])
{
    unsigned count = 0;
    keys[0] = keys[1] = slice_of(NULL, 0);
    for (;;) {
        size_t fixed = strcspn(pattern, "{");
        if (pattern[fixed] == '\0')
            return strcmp(pattern, path) == 0;
        if (strncmp(pattern, path, fixed) != 0)
            return false;
        pattern = strchr(pattern + fixed, '}') + 1;
        keys[count] = slice_of(path + fixed, strcspn(path + fixed, "/"));
        path += fixed + keys[count].n;
        if (keys[count++].n == 0)
            return false;
    }
}

static bool is_whole(const char *path)
{
    for (unsigned i = 0; i < ROUTES; i++)
        if (strcmp(routes[i].path, path) == 0)
            return true;
    return false;
}

/*
 * NULL: nothing at this path (*allow NULL), or not by this method (*allow: those it has).  A path that stands in the table
 * as it is is nothing else (OpenAPI 3.1, 4.8.8: before templates).
 */
static const struct router_route *find(struct request *r, struct slice keys[2], const char **allow)
{
    const char *method = strcmp(r->method, "HEAD") == 0 ? "GET" : r->method;
    bool whole = is_whole(r->path);
    *allow = NULL;
    for (unsigned i = 0; i < ROUTES; i++) {
        if ((whole && strchr(routes[i].path, '{')) || !router_match(routes[i].path, r->path, keys))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
        const char *more = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : routes[i].method;
        *allow = *allow ? arena_printf(r->arena, "%s, %s", *allow, more) : more;
    }
    return NULL;
}

/* "Bearer" SP token; the scheme in any case (RFC 9110 11.1). */
static struct slice bearer(const char *authorization)
{
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return slice_of(NULL, 0);
    return slice_str(authorization + 7 + strspn(authorization + 7, " "));
}

/* False, and answered: may not. */
static AWAITS bool admitted(struct request *r, enum router_access access)
{
    if (access == ROUTER_OPEN || (access == ROUTER_LOOPBACK && r->loopback))
        return true;
    struct slice token = bearer(r->authorization);
    enum db_status status = token.p ? token_check(token, &r->actor.token_id) : DB_NONE;
    switch (status) {
    case DB_FOUND: return true;
    case DB_FAILED: reply_away(r); return false;
    case DB_NONE: break;
    }
    reply_problem(r, 401, NULL, token.p ? "the token is not valid" : "a bearer token is needed");
    r->reply.challenge = true;
    return false;
}

/* Lists check their own query; nothing else has one.  Probes ask what needs no token, and add what they like. */
static bool is_list(const struct router_route *route)
{
    return route->access != ROUTER_TOKEN ||
           (strcmp(route->method, "GET") == 0 && route->path[strlen(route->path) - 1] != '}');
}

AWAITS void router_answer(struct request *r)
{
    static const char *const none[] = {NULL};
    const char *allow = NULL;
    struct slice keys[2];
    const struct router_route *route = find(r, keys, &allow);
    if (!route && allow) {
        reply_problem(r, 405, NULL, "this path does not take %s", r->method);
        r->reply.allow = allow;
        return;
    }
    if (!route) {
        reply_problem(r, 404, NULL, "there is no such path");
        return;
    }
    if (!admitted(r, route->access))
        return;
    if ((keys[0].p && !request_decode(r->arena, keys[0], false, &r->key)) ||
        (keys[1].p && !request_decode(r->arena, keys[1], false, &r->key2))) {
        reply_problem(r, 400, NULL, "the path is malformed");
        return;
    }
    /* A change makes ids, and those need this process's number. */
    if (strcmp(route->method, "GET") != 0 && !node_alive()) {
        reply_away(r);
        return;
    }
    if (!is_list(route) && !request_query_check(r, none))
        return;
    if (route->access == ROUTER_OPEN)
        r->path = route->path; /* what stands for the braces may be a secret: neither logs nor audit log are told */
    r->actor.method = r->method;
    r->actor.path = r->path;
    route->handler(r);
}
