/*
 * /v1/outages/{outage}/drain: how what was held is brought to the primary, while the outage is open.
 *
 *     pace           "measured": as many connections as the primary can take; "fast": all at once
 *     newest_first   the newest message first
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/provision_outage.h"

static struct json_object *as_json(const struct provision_drain *drain)
{
    struct json_object *object = json_object_new_object();

    json_put_text(object, "pace", drain->fast ? SLICE("fast") : SLICE("measured"));
    json_put_bool(object, "newest_first", drain->newest_first);
    return object;
}

/* False, and answered. */
static AWAITS bool get(struct request *r, int64_t *id, struct provision_drain *out)
{
    switch (id_parse(r->key, id) ? provision_outage_drain(r->arena, *id, out) : DB_NONE) {
    case DB_FOUND: return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void outage_drain_show(struct request *r)
{
    struct provision_drain drain;
    int64_t id = 0;

    if (get(r, &id, &drain))
        reply_json(r, 200, as_json(&drain));
}

AWAITS void outage_drain_change(struct request *r)
{
    static const char *const paces[] = {"measured", "fast", NULL};
    struct provision_refusal refusal;
    struct provision_drain drain;
    struct json_fields f;
    int64_t id = 0;

    if (!get(r, &id, &drain) || !json_begin(r, &f))
        return;
    struct slice pace = json_choice(&f, "pace", paces);
    if (pace.p)
        drain.fast = slice_equal(pace, SLICE("fast"));
    drain.newest_first = json_flag(&f, "newest_first", drain.newest_first);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_outage_set_drain(r->arena, id, &drain, &r->actor, &refusal), &refusal))
        reply_json(r, 200, as_json(&drain));
}
