/*
 * /v1/outages: when the primary of a relay domain was, or is, away, and what that came to; newest first.
 *
 * What is still open is counted when it alone is asked for.  How long the drain will take is told from how fast it has
 * been since the primary answered: what went before a relapse does not count.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/outage_view.h"

static void put_count(struct json_object *object, const char *name, int64_t count)
{
    if (count == OUTAGE_VIEW_UNCOUNTED)
        json_object_object_add(object, name, NULL);
    else
        json_put_number(object, name, count);
}

static void put_span(struct json_object *object, const char *name, int64_t from_ms, int64_t to_ms)
{
    if (from_ms == INT64_MIN || to_ms == INT64_MIN)
        json_object_object_add(object, name, NULL);
    else
        json_put_number(object, name, to_ms > from_ms ? to_ms - from_ms : 0);
}

static void put_estimate(struct json_object *object, const struct outage_view *outage)
{
    int64_t spent = outage->back_ms == INT64_MIN ? 0 : clock_now_ms() - outage->back_ms;
    if (outage->ended_ms != INT64_MIN || outage->drained_since_back <= 0 || spent <= 0)
        json_object_object_add(object, "drained_in_seconds", NULL);
    else
        json_put_number(object, "drained_in_seconds", outage->remaining * spent / outage->drained_since_back / 1000);
}

struct json_object *outages_json(const struct outage_view *outage)
{
    struct json_object *object = json_object_new_object();
    int64_t first = outage->failing_ms != INT64_MIN ? outage->failing_ms : outage->started_ms;

    json_put_id(object, "id", outage->id);
    json_put_text(object, "domain", outage->domain);
    json_put_id(object, "domain_id", outage->domain_id);
    json_put_text(object, "account", outage->account);
    json_put_id(object, "customer", outage->customer_id);
    json_put_text(object, "detection", outage->detection);
    json_put_text(object, "reason", outage->reason);
    json_put_time(object, "started_at", outage->started_ms);
    json_put_time(object, "ended_at", outage->ended_ms);
    json_put_text(object, "end_reason", outage->end_reason);
    json_put_time(object, "counted_at", outage->counted_ms);
    put_count(object, "held", outage->held);
    put_count(object, "drained", outage->drained);
    put_count(object, "remaining", outage->remaining);
    put_count(object, "read", outage->read);
    put_count(object, "answered", outage->answered);
    put_count(object, "uncertain", outage->uncertain);
    put_count(object, "lost", outage->lost);
    put_count(object, "carrying", outage->carrying);
    put_span(object, "duration_ms", outage->started_ms,
             outage->ended_ms == INT64_MIN ? clock_now_ms() : outage->ended_ms);
    put_span(object, "time_to_detect_ms", first, outage->started_ms);
    put_span(object, "time_to_readable_ms", outage->started_ms, outage->shown_ms);
    put_span(object, "time_to_drain_ms", outage->back_ms, outage->ended_ms);
    put_estimate(object, outage);
    return object;
}

AWAITS void outages_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", "domain", "open", "state", NULL};
    struct provision_page page;
    struct outage_view_filter filter = {0};
    struct outage_view *outages = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer"), domain = request_query(r, "domain");
    struct slice open = request_query(r, "open"), state = request_query(r, "state");
    if (open.p && !slice_equal(open, SLICE("true")) && !slice_equal(open, SLICE("false"))) {
        reply_problem(r, 422, "open", "must be true or false");
        return;
    }
    if (state.p && !slice_equal(state, SLICE("open")) && !slice_equal(state, SLICE("closed"))) {
        reply_problem(r, 422, "state", "must be open or closed");
        return;
    }
    if ((domain.p && !domains_resolve_target(r, "domain", domain, &filter.domain_id)) ||
        (customer.p && !customers_resolve(r, "customer", customer, &filter.customer_id)))
        return;
    filter.open = slice_equal(open, SLICE("true")) || slice_equal(state, SLICE("open"));
    filter.closed = slice_equal(state, SLICE("closed"));
    if (outage_view_list(r->arena, &filter, page.after, page.limit + 1, &outages, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < page.limit; i++)
        json_object_array_add(items, outages_json(&outages[i]));
    reply_list(r, items, count > page.limit ? outages[page.limit - 1].id : 0);
}

AWAITS void outages_show(struct request *r)
{
    struct outage_view outage;
    int64_t id = 0;
    switch (id_parse(r->key, &id) ? outage_view_get(r->arena, id, &outage) : DB_NONE) {
    case DB_FOUND: reply_json(r, 200, outages_json(&outage)); return;
    case DB_NONE: reply_not_found(r); return;
    case DB_FAILED: break;
    }
    reply_away(r);
}
