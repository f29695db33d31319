#ifndef ADMIN_API_HANDLERS_H
#define ADMIN_API_HANDLERS_H
/*
 * handlers: one function per operation, one file per resource.  They run in tasks; each answers exactly
 * once.  admin-api/router.c says which path leads to which.
 */
#include "admin-api/request.h"

AWAITS void customers_list(struct request *r);
AWAITS void customers_create(struct request *r);
AWAITS void customers_show(struct request *r);
AWAITS void customers_change(struct request *r);
AWAITS void customers_delete(struct request *r);
/* The customer that a field or query parameter names, by id or name.  False, and answered: there is none. */
AWAITS bool customers_resolve(struct request *r, const char *field, struct slice key, int64_t *id)
    __attribute__((warn_unused_result));

AWAITS void domains_list(struct request *r);
AWAITS void domains_create(struct request *r);
AWAITS void domains_show(struct request *r);
AWAITS void domains_change(struct request *r);
AWAITS void domains_delete(struct request *r);
AWAITS bool domains_resolve(struct request *r, const char *field, struct slice key, int64_t *id)
    __attribute__((warn_unused_result));
/* Of an alias its target's. */
AWAITS bool domains_resolve_target(struct request *r, const char *field, struct slice key, int64_t *id)
    __attribute__((warn_unused_result));
/* The domain that the path names.  False, and answered: there is none. */
struct provision_domain;
AWAITS bool domains_of_path(struct request *r, struct provision_domain *out) __attribute__((warn_unused_result));

AWAITS void learned_recipients_list(struct request *r);
AWAITS void learned_recipients_show(struct request *r);
AWAITS void learned_recipients_delete(struct request *r);
AWAITS void learned_recipients_delete_all(struct request *r);
AWAITS void recipients_list(struct request *r);
AWAITS void recipients_show(struct request *r);
AWAITS void recipients_create(struct request *r);
AWAITS void recipients_replace(struct request *r);
AWAITS void recipients_delete(struct request *r);

AWAITS void accounts_list(struct request *r);
AWAITS void accounts_create(struct request *r);
AWAITS void accounts_show(struct request *r);
AWAITS void accounts_change(struct request *r);
AWAITS void accounts_delete(struct request *r);
AWAITS bool accounts_resolve(struct request *r, const char *field, struct slice key, int64_t *id)
    __attribute__((warn_unused_result));

/* The account that the path names.  False, and answered: there is none. */
AWAITS bool accounts_of_path(struct request *r, int64_t *id) __attribute__((warn_unused_result));

AWAITS void app_passwords_list(struct request *r);
AWAITS void app_passwords_create(struct request *r);
AWAITS void app_passwords_show(struct request *r);
AWAITS void app_passwords_delete(struct request *r);

AWAITS void invitations_list(struct request *r);
AWAITS void invitations_create(struct request *r);
AWAITS void invitations_show(struct request *r);
AWAITS void invitations_delete(struct request *r);
AWAITS void invitations_create_many(struct request *r);
AWAITS void invitations_use(struct request *r);
AWAITS void invitation_page_show(struct request *r);
AWAITS void invitation_page_use(struct request *r);

AWAITS void certificates_list(struct request *r);
AWAITS void certificates_create(struct request *r);
AWAITS void certificates_show(struct request *r);
AWAITS void certificates_delete(struct request *r);

AWAITS void aliases_list(struct request *r);
AWAITS void aliases_create(struct request *r);
AWAITS void aliases_show(struct request *r);
AWAITS void aliases_change(struct request *r);
AWAITS void aliases_delete(struct request *r);
AWAITS void groups_list(struct request *r);
AWAITS void groups_create(struct request *r);
AWAITS void groups_show(struct request *r);
AWAITS void groups_change(struct request *r);
AWAITS void groups_delete(struct request *r);

AWAITS void networks_list(struct request *r);
AWAITS void networks_create(struct request *r);
AWAITS void networks_show(struct request *r);
AWAITS void networks_change(struct request *r);
AWAITS void networks_delete(struct request *r);

AWAITS void allowed_networks_list(struct request *r);
AWAITS void allowed_networks_create(struct request *r);
AWAITS void allowed_networks_show(struct request *r);
AWAITS void allowed_networks_change(struct request *r);
AWAITS void allowed_networks_delete(struct request *r);

AWAITS void credentials_list(struct request *r);
AWAITS void credentials_create(struct request *r);
AWAITS void credentials_show(struct request *r);
AWAITS void credentials_change(struct request *r);
AWAITS void credentials_delete(struct request *r);
AWAITS void credentials_reseal(struct request *r);
/* The member "credential" of a next hop, a credential's id or name.  0: none, or answered. */
struct json_fields;
AWAITS int64_t credentials_read(struct json_fields *hop);

AWAITS void dns_lists_list(struct request *r);
AWAITS void dns_lists_create(struct request *r);
AWAITS void dns_lists_show(struct request *r);
AWAITS void dns_lists_change(struct request *r);
AWAITS void dns_lists_delete(struct request *r);
AWAITS void client_policies_list(struct request *r);
AWAITS void client_policies_create(struct request *r);
AWAITS void client_policies_show(struct request *r);
AWAITS void client_policies_change(struct request *r);
AWAITS void client_policies_delete(struct request *r);

AWAITS void routes_list(struct request *r);
AWAITS void routes_create(struct request *r);
AWAITS void routes_show(struct request *r);
AWAITS void routes_change(struct request *r);
AWAITS void routes_delete(struct request *r);
/* A member that names a route.  False, and answered: there is none. */
AWAITS bool routes_resolve(struct request *r, const char *field, struct slice key, int64_t *id);
AWAITS void route_rules_list(struct request *r);
AWAITS void route_rules_create(struct request *r);
AWAITS void route_rules_show(struct request *r);
AWAITS void route_rules_change(struct request *r);
AWAITS void route_rules_delete(struct request *r);

AWAITS void relay_grants_list(struct request *r);
AWAITS void relay_grants_create(struct request *r);
AWAITS void relay_grants_show(struct request *r);
AWAITS void relay_grants_change(struct request *r);
AWAITS void relay_grants_delete(struct request *r);

AWAITS void relay_checks_create(struct request *r);
struct admin_settings;
void relay_checks_configure(const struct admin_settings *settings); /* what this server's configuration says */

AWAITS void decisions_show(struct request *r);

struct queue_view_entry;
AWAITS void queue_list(struct request *r);
AWAITS void queue_entry_show(struct request *r);
AWAITS void queue_entry_hold(struct request *r);
AWAITS void queue_entry_release(struct request *r);
AWAITS void queue_entry_reject(struct request *r);
AWAITS void carrying_list(struct request *r);
AWAITS void imap_access_show(struct request *r);
AWAITS void imap_access_replace(struct request *r);
AWAITS void imap_access_change(struct request *r);
AWAITS void imap_access_delete(struct request *r);
AWAITS void continuity_policies_show(struct request *r);
AWAITS void continuity_policies_replace(struct request *r);
AWAITS void continuity_policies_change(struct request *r);
AWAITS void continuity_policies_delete(struct request *r);
AWAITS void queue_entry_expire(struct request *r);
AWAITS void delivery_policies_list(struct request *r);
AWAITS void delivery_policies_create(struct request *r);
AWAITS void delivery_policies_show(struct request *r);
AWAITS void delivery_policies_change(struct request *r);
AWAITS void delivery_policies_delete(struct request *r);
AWAITS void content_rules_list(struct request *r);
AWAITS void content_rules_create(struct request *r);
AWAITS void content_rules_show(struct request *r);
AWAITS void content_rules_change(struct request *r);
AWAITS void content_rules_delete(struct request *r);
AWAITS void content_rules_check(struct request *r);
AWAITS void address_countries_list(struct request *r);
AWAITS void address_countries_show(struct request *r);
AWAITS void address_countries_replace(struct request *r);
AWAITS void address_countries_delete(struct request *r);
AWAITS void breaker_policies_list(struct request *r);
AWAITS void breaker_policies_create(struct request *r);
AWAITS void breaker_policies_show(struct request *r);
AWAITS void breaker_policies_change(struct request *r);
AWAITS void breaker_policies_delete(struct request *r);
AWAITS void breakers_list(struct request *r);
AWAITS void breakers_show(struct request *r);
AWAITS void breakers_change(struct request *r);
AWAITS void breakers_groups(struct request *r);

AWAITS void held_accounts_list(struct request *r);
AWAITS void held_accounts_create(struct request *r);
AWAITS void held_accounts_show(struct request *r);
AWAITS void held_accounts_delete(struct request *r);
AWAITS void suspensions_list(struct request *r);
AWAITS void suspensions_create(struct request *r);
AWAITS void suspensions_show(struct request *r);
AWAITS void suspensions_delete(struct request *r);
AWAITS void queue_actions_list(struct request *r);
AWAITS void queue_actions_create(struct request *r);
AWAITS void queue_actions_show(struct request *r);
AWAITS void queue_actions_start(struct request *r);
AWAITS void queue_actions_stop(struct request *r);
AWAITS void queue_entry_retry(struct request *r);
AWAITS void queue_entry_cancel(struct request *r);
AWAITS void queue_entry_redirect(struct request *r);
AWAITS void queue_entry_priority(struct request *r);
struct json_object *queue_entry_json(const struct queue_view_entry *entry);
AWAITS void webhooks_list(struct request *r);
AWAITS void webhooks_create(struct request *r);
AWAITS void webhooks_show(struct request *r);
AWAITS void webhooks_change(struct request *r);
AWAITS void webhooks_delete(struct request *r);
AWAITS void webhooks_test(struct request *r);
void webhooks_configure(const struct admin_settings *settings);
AWAITS void messages_show(struct request *r);
AWAITS void messages_events(struct request *r);
AWAITS void audit_log_list(struct request *r);
struct event_step;
/* A page of them, of which there may be one more than it takes. */
void reply_steps(struct request *r, const struct event_step *steps, unsigned count, unsigned limit);
AWAITS void queue_entry_attempts(struct request *r);
AWAITS void bans_list(struct request *r);
AWAITS void bans_show(struct request *r);
AWAITS void bans_delete(struct request *r);
AWAITS void outages_list(struct request *r);
AWAITS void outage_drain_show(struct request *r);
AWAITS void outage_drain_change(struct request *r);
AWAITS void outages_show(struct request *r);
struct outage_view;
struct json_object *outages_json(const struct outage_view *outage);
AWAITS void domain_health_show(struct request *r);
AWAITS void domain_health_force(struct request *r);
AWAITS void domain_health_events(struct request *r);
/* The domain that the path names.  False, and answered: there is none, or it is an alias, whose target has a health. */
AWAITS bool domain_health_domain(struct request *r, struct provision_domain *out) __attribute__((warn_unused_result));
/* False, and answered: it has neither next hops nor a route. */
bool domain_health_has_primary(struct request *r, const struct provision_domain *domain);
AWAITS void maintenance_windows_list(struct request *r);
AWAITS void maintenance_windows_create(struct request *r);
AWAITS void maintenance_windows_show(struct request *r);
AWAITS void maintenance_windows_delete(struct request *r);
AWAITS void drills_list(struct request *r);
AWAITS void drills_create(struct request *r);
AWAITS void drills_show(struct request *r);
AWAITS void drills_delete(struct request *r);

AWAITS void health_live(struct request *r);
AWAITS void health_ready(struct request *r);
AWAITS void metrics_show(struct request *r);
/* Lines of other processes, appended as they are; malloc'ed.  NULL: none. */
void metrics_set_source(char *(*source)(void));
/* One more request was answered so. */
void metrics_count(unsigned status);
AWAITS void openapi_show(struct request *r);
/* The document itself. */
struct slice openapi_text(void);

#endif
