/*
 * What POST /v1/relay-checks tells of a stranger: the same question as RCPT's (relay/screen_client.h), with what was
 * found out for it.
 *
 * DNS is asked as it is now, and the greylist is looked into without leaving anything there.  What depends on how much
 * came lately (the limits of [clients]) is not evaluated: it is another answer a second later.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/relay_checks_client.h"
#include "storage/known.h"

static struct json_object *lists_json(const struct screen_facts *facts)
{
    struct json_object *list = json_object_new_array();

    for (unsigned i = 0; i < facts->hit_count; i++) {
        struct json_object *hit = json_object_new_object();
        json_put_text(hit, "zone", slice_str(facts->hits[i].zone));
        json_put_number(hit, "score", facts->hits[i].score);
        json_put_text(hit, "text", *facts->hits[i].text ? slice_str(facts->hits[i].text) : slice_of(NULL, 0));
        json_object_array_add(list, hit);
    }
    return list;
}

struct json_object *relay_checks_client_json(const struct screen_report *report)
{
    struct json_object *object = json_object_new_object(), *not_evaluated = json_object_new_array();
    bool asked = report->exempt == SCREEN_NOT_EXEMPT;

    json_put_text(object, "exempt", slice_str(screen_exempt_word(report->exempt)));
    json_put_id(object, "policy", asked ? report->policy.id : 0);
    json_put_number(object, "score", report->score);
    json_object_object_add(object, "dns_lists", lists_json(&report->facts));
    json_put_number(object, "dns_lists_failed", report->facts.failed);
    json_put_text(object, "reverse_name", slice_str(screen_name_word(report->facts.name)));
    json_put_text(object, "greylist",
                  slice_str(report->greylisting ? greylist_state_word(report->greylist.state) : NULL));
    json_object_array_add(not_evaluated, json_object_new_string("limits"));
    json_object_object_add(object, "not_evaluated", not_evaluated);
    return object;
}

AWAITS enum screen_result relay_checks_client(struct request *r, struct permit *permit,
                                              const struct permit_recipient *recipient, unsigned wait_ms,
                                              struct screen_report *report, struct authorize_decision *decision)
{
    struct screen_dns *dns = NULL;

    if (known_refresh() == DB_FAILED)
        return SCREEN_FAILED;
    enum screen_result result = screen_client(r->arena, permit, recipient, &dns, wait_ms, false, report, decision);
    screen_dns_free(&dns);
    return result;
}
