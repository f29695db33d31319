/*
 * /v1/domains/{domain}/maintenance-windows and /v1/drills: times in which a domain's primary is treated as down.
 *
 * A window says when; a drill also what came of it: its report is that of the outage that it made, and lost is what it
 * is all about.  A drill may be of one account: then nobody else's mail takes part.  What is deleted before it begins
 * is gone; what is on ends, and stays to be read.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/outage_view.h"
#include "storage/provision_absence.h"
#include "storage/provision_account.h"
#include "storage/provision_domain.h"

#define REASON_MAX_BYTES 200
#define NAME_MAX_BYTES 1024
#define DRILL_SECONDS_MAX 86400
#define DAY_MS (24 * 60 * 60 * INT64_C(1000))
#define LONGEST_MS (30 * DAY_MS)

static const char maintenance[] = "maintenance", drill[] = "drill";

static struct json_object *as_json(const void *item)
{
    const struct provision_absence *absence = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", absence->id);
    json_put_text(object, "domain", absence->domain);
    json_put_id(object, "domain_id", absence->domain_id);
    json_put_time(object, "starts_at", absence->starts_ms);
    json_put_time(object, "ends_at", absence->ends_ms);
    json_put_text(object, "reason", absence->reason);
    json_put_id(object, "outage", absence->outage_id);
    json_put_time(object, "created_at", absence->created_ms);
    return object;
}

static struct json_object *drill_json(const void *item)
{
    const struct provision_absence *absence = item;
    struct json_object *object = as_json(absence);
    json_put_text(object, "account", absence->account);
    return object;
}

#define SHAPE(json)                                                                                                    \
    {                                                                                                                  \
        sizeof(struct provision_absence), offsetof(struct provision_absence, id), json                                 \
    }
static const struct reply_shape windows = SHAPE(as_json), drills = SHAPE(drill_json);

/* False, and answered. */
static AWAITS bool get(struct request *r, const char *kind, int64_t domain_id, struct slice key,
                       struct provision_absence *out)
{
    return reply_found(r, provision_absence_get(r->arena, kind, domain_id, key, out));
}

static AWAITS void list(struct request *r, const char *kind, int64_t domain_id)
{
    struct provision_page page;
    struct provision_absence *absences = NULL;
    unsigned count = 0;
    if (!request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_absence_list(r->arena, kind, domain_id, &page, &absences, &count);
    reply_page(r, status, &page, absences, count, kind == drill ? &drills : &windows);
}

static AWAITS void create(struct request *r, struct provision_absence *absence, const char *path)
{
    struct provision_refusal refusal;
    char text[ID_TEXT_SIZE];
    const char *kind = absence->kind; /* what is read anew is without */
    int64_t id = 0;
    r->actor.status = 201;
    if (reply_failed_write(r, provision_absence_create(r->arena, absence, &r->actor, &id, &refusal), &refusal) ||
        !get(r, kind, absence->domain_id, slice_str(id_print(id, text)), absence))
        return;
    reply_json(r, 201, kind == drill ? drill_json(absence) : as_json(absence));
    r->reply.location = arena_printf(r->arena, "%s/%s", path, text);
}

static AWAITS void end(struct request *r, int64_t id)
{
    struct provision_refusal refusal;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_absence_end(r->arena, id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}

/* ------------------------------------------------------------------ maintenance windows */

AWAITS void maintenance_windows_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_domain domain;
    if (request_query_check(r, parameters) && domain_health_domain(r, &domain))
        list(r, maintenance, domain.id);
}

AWAITS void maintenance_windows_show(struct request *r)
{
    struct provision_domain domain;
    struct provision_absence absence;
    if (domains_of_path(r, &domain) && get(r, maintenance, domain.id, r->key2, &absence))
        reply_json(r, 200, as_json(&absence));
}

static void check_times(struct json_fields *f, const struct provision_absence *absence, const char *last)
{
    if (absence->ends_ms <= clock_now_ms() || absence->ends_ms <= absence->starts_ms)
        json_reject(f, last, "must be later than starts_at, and in the future");
    else if (absence->ends_ms - absence->starts_ms > LONGEST_MS)
        json_reject(f, last, "must be within 30 days of starts_at");
}

AWAITS void maintenance_windows_create(struct request *r)
{
    struct json_fields f;
    struct provision_domain domain;
    struct provision_absence absence = {.kind = maintenance};
    if (!json_begin(r, &f) || !domains_of_path(r, &domain))
        return;
    absence.domain_id = domain.id;
    absence.starts_ms = json_time(&f, "starts_at", INT64_MIN);
    absence.ends_ms = json_time(&f, "ends_at", INT64_MIN);
    absence.reason = json_text(&f, "reason", true, REASON_MAX_BYTES);
    if (absence.starts_ms == INT64_MIN)
        json_reject(&f, "starts_at", "is required");
    if (absence.ends_ms == INT64_MIN)
        json_reject(&f, "ends_at", "is required");
    check_times(&f, &absence, "ends_at");
    if (json_end(&f) && domain_health_has_primary(r, &domain)) {
        char text[ID_TEXT_SIZE];
        create(r, &absence, arena_printf(r->arena, "/v1/domains/%s/maintenance-windows", id_print(domain.id, text)));
    }
}

AWAITS void maintenance_windows_delete(struct request *r)
{
    struct provision_domain domain;
    struct provision_absence absence;
    if (domains_of_path(r, &domain) && get(r, maintenance, domain.id, r->key2, &absence))
        end(r, absence.id);
}

/* ------------------------------------------------------------------ drills */

AWAITS void drills_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "domain", NULL};
    int64_t domain_id = 0;
    if (!request_query_check(r, parameters))
        return;
    struct slice domain = request_query(r, "domain");
    if (!domain.p || domains_resolve_target(r, "domain", domain, &domain_id))
        list(r, drill, domain_id);
}

/* Whose it is: a domain's, or one account's.  False, and answered. */
static AWAITS bool resolve(struct request *r, struct slice domain, struct slice address,
                           struct provision_absence *absence)
{
    struct provision_account account;
    if (domain.p)
        return domains_resolve(r, "domain", domain, &absence->domain_id);
    switch (provision_account_get(r->arena, address, &account)) {
    case DB_FOUND:
        absence->account_id = account.id;
        absence->domain_id = account.domain_id;
        return true;
    case DB_NONE: reply_problem(r, 422, "account", "there is no such account"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void drills_create(struct request *r)
{
    struct json_fields f;
    struct provision_domain domain;
    char text[ID_TEXT_SIZE];
    struct provision_absence absence = {.kind = drill, .starts_ms = clock_now_ms()};
    if (!json_begin(r, &f))
        return;
    struct slice name = json_text(&f, "domain", false, NAME_MAX_BYTES);
    struct slice account = json_text(&f, "account", false, NAME_MAX_BYTES);
    if (!name.p == !account.p)
        json_reject(&f, account.p ? "account" : "domain",
                    account.p ? "must not be given with a domain" : "must be given, or an account");
    absence.starts_ms = json_time(&f, "starts_at", absence.starts_ms);
    if (absence.starts_ms < clock_now_ms() - 1000)
        json_reject(&f, "starts_at", "must not be in the past");
    absence.ends_ms = absence.starts_ms + 1000 * json_number(&f, "seconds", 1, DRILL_SECONDS_MAX, 60);
    absence.reason = json_text(&f, "reason", false, REASON_MAX_BYTES);
    if (!absence.reason.p)
        absence.reason = SLICE("drill");
    if (!json_end(&f) || !resolve(r, name, account, &absence))
        return;
    r->key = slice_str(id_print(absence.domain_id, text));
    if (domains_of_path(r, &domain) && domain_health_has_primary(r, &domain))
        create(r, &absence, "/v1/drills");
}

static struct slice state_of(const struct provision_absence *absence, const struct outage_view *outage)
{
    int64_t now = clock_now_ms();
    if (now < absence->starts_ms)
        return SLICE("scheduled");
    if (now < absence->ends_ms)
        return SLICE("running");
    if (!outage->id)
        return SLICE("nothing"); /* an outage was open already, or its time was too short */
    return outage->ended_ms == INT64_MIN ? SLICE("draining") : SLICE("done");
}

AWAITS void drills_show(struct request *r)
{
    struct provision_absence absence;
    struct outage_view outage = {0};
    if (!get(r, drill, 0, r->key, &absence))
        return;
    if (absence.outage_id && outage_view_get(r->arena, absence.outage_id, &outage) == DB_FAILED) {
        reply_away(r);
        return;
    }
    struct json_object *object = drill_json(&absence);
    json_put_text(object, "state", state_of(&absence, &outage));
    json_object_object_add(object, "report", outage.id ? outages_json(&outage) : NULL);
    reply_json(r, 200, object);
}

AWAITS void drills_delete(struct request *r)
{
    struct provision_absence absence;
    if (get(r, drill, 0, r->key, &absence))
        end(r, absence.id);
}
