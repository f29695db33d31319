/*
 * /v1/domains/{domain}/health: how a domain's primary is, why, and what happened to it; and forcing it.
 *
 * State is what is met; what is forced holds before it, and is shown beside it.  Forced down: an outage is opened,
 * nothing is sent or probed.  Forced up: no outage is opened, and one that is open drains without a probe; what fails
 * is tried again as at any other destination.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/clock.h"
#include "storage/provision_domain.h"
#include "storage/provision_health.h"

#define REASON_MAX_BYTES 200

/* False, and answered: it is an alias. */
static bool has_health(struct request *r, const struct provision_domain *domain)
{
    if (domain->kind != DIRECTORY_ALIAS)
        return true;
    reply_problem(r, 409, NULL, "the domain is an alias: its target has the primary");
    return false;
}

bool domain_health_has_primary(struct request *r, const struct provision_domain *domain)
{
    if (!has_health(r, domain))
        return false;
    if (domain->hop_count || domain->route_id)
        return true;
    reply_problem(r, 409, NULL, "the domain has no primary: neither next hops nor a route");
    return false;
}

AWAITS bool domain_health_domain(struct request *r, struct provision_domain *out)
{
    return domains_of_path(r, out) && has_health(r, out);
}

static AWAITS void reply_with(struct request *r, const struct provision_domain *domain)
{
    struct provision_health health;
    switch (provision_health_get(r->arena, domain->id, &health)) {
    case DB_FOUND: break;
    case DB_NONE: reply_not_found(r); return;
    case DB_FAILED: reply_away(r); return;
    }
    struct json_object *object = json_object_new_object();
    json_put_id(object, "domain_id", domain->id);
    json_put_text(object, "domain", domain->name);
    json_put_text(object, "state", health.state);
    json_put_time(object, "since", health.since_ms);
    json_put_text(object, "why", health.why);
    json_put_number(object, "failures", health.failures);
    json_put_number(object, "weak", health.weak);
    json_put_number(object, "successes", health.successes);
    json_put_time(object, "failing_since", health.failing_since_ms);
    json_put_time(object, "last_probe_at", health.probed_ms);
    json_put_text(object, "last_probe", health.probe_outcome);
    json_put_text(object, "force", health.forced);
    json_put_text(object, "force_reason", health.force_reason);
    json_put_time(object, "force_until", health.force_until_ms);
    json_put_text(object, "absence", health.absence);
    json_put_time(object, "absent_until", health.absent_until_ms);
    json_put_id(object, "outage", health.outage_id);
    reply_json(r, 200, object);
}

AWAITS void domain_health_show(struct request *r)
{
    static const char *const none[] = {NULL};
    struct provision_domain domain;
    if (request_query_check(r, none) && domain_health_domain(r, &domain))
        reply_with(r, &domain);
}

AWAITS void domain_health_force(struct request *r)
{
    static const char *const words[] = {"up", "down", "none", NULL};
    struct json_fields f;
    struct provision_domain domain;
    struct provision_refusal refusal;
    struct slice reason = {NULL, 0};
    if (!json_begin(r, &f) || !domain_health_domain(r, &domain))
        return;
    struct slice force = json_choice(&f, "force", words);
    if (!force.p)
        json_reject(&f, "force", "is required");
    bool none = force.p && slice_equal(force, SLICE("none"));
    if (!json_is_null(&f, "reason"))
        reason = json_text(&f, "reason", force.p && !none, REASON_MAX_BYTES);
    int64_t until = json_time(&f, "until", INT64_MIN);
    if (until != INT64_MIN && until <= clock_now_ms())
        json_reject(&f, "until", "must be in the future");
    if (!json_end(&f) || !domain_health_has_primary(r, &domain))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r,
                            provision_health_force(r->arena, domain.id, none ? (struct slice){NULL, 0} : force,
                                                   none ? (struct slice){NULL, 0} : reason, none ? INT64_MIN : until,
                                                   &r->actor, &refusal),
                            &refusal))
        reply_with(r, &domain);
}

AWAITS void domain_health_events(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_domain domain;
    struct provision_health_event *events = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !domain_health_domain(r, &domain))
        return;
    if (provision_health_events(r->arena, domain.id, page.after, page.limit + 1, &events, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < page.limit; i++) {
        struct json_object *item = json_object_new_object();
        json_put_id(item, "id", events[i].id);
        json_put_time(item, "at", events[i].at_ms);
        json_put_text(item, "type", events[i].type);
        json_put_text(item, "detail", events[i].detail);
        json_put_id(item, "outage", events[i].outage_id);
        json_object_array_add(items, item);
    }
    reply_list(r, items, count > page.limit ? events[page.limit - 1].id : 0);
}
