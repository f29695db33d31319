/* /v1/outages: when the primary of a relay domain was, or is, away; newest first. */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/queue_view.h"

AWAITS void outages_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "domain", "open", NULL};
    struct provision_page page;
    struct queue_view_outage *outages = NULL;
    unsigned count = 0;
    int64_t domain_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice domain = request_query(r, "domain"), open = request_query(r, "open");
    if (open.p && !slice_equal(open, SLICE("true")) && !slice_equal(open, SLICE("false"))) {
        reply_problem(r, 422, "open", "must be true or false");
        return;
    }
    if (domain.p && !domains_resolve(r, "domain", domain, &domain_id))
        return;
    if (queue_view_outages(r->arena, domain_id, slice_equal(open, SLICE("true")), page.after, page.limit + 1, &outages,
                           &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < page.limit; i++) {
        struct json_object *item = json_object_new_object();
        json_put_id(item, "id", outages[i].id);
        json_put_text(item, "domain", outages[i].domain);
        json_put_id(item, "domain_id", outages[i].domain_id);
        json_put_text(item, "reason", outages[i].reason);
        json_put_time(item, "started_at", outages[i].started_ms);
        json_put_time(item, "ended_at", outages[i].ended_ms);
        json_object_array_add(items, item);
    }
    reply_list(r, items, count > page.limit ? outages[page.limit - 1].id : 0);
}
