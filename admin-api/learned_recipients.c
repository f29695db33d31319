/*
 * /v1/domains/{domain}/learned-recipients: what was learned from a relay domain's primary.
 *
 * To be seen and to be forgotten, nothing else: what is known better than the primary belongs into the list
 * (recipients.c).  What is forgotten is asked for anew, but in an outage, when nobody can be asked.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/provision_domain.h"
#include "storage/provision_learned.h"

#define ADDRESS_MAX_BYTES 320 /* as RCPT may have it */

static struct json_object *as_json(const struct provision_learned *learned)
{
    struct json_object *object = json_object_new_object();
    json_put_text(object, "address", learned->address);
    json_put_bool(object, "valid", learned->valid);
    json_put_time(object, "learned_at", learned->learned_ms);
    json_put_time(object, "until", learned->until_ms);
    return object;
}

/* False, and answered: "valid" is neither. */
static bool read_which(struct request *r, enum provision_learned_which *out)
{
    struct slice valid = request_query(r, "valid");
    *out = !valid.p                            ? PROVISION_LEARNED_ALL
           : slice_equal(valid, SLICE("true")) ? PROVISION_LEARNED_VALID
                                               : PROVISION_LEARNED_INVALID;
    if (*out != PROVISION_LEARNED_INVALID || slice_equal(valid, SLICE("false")))
        return true;
    reply_problem(r, 422, "valid", "must be true or false");
    return false;
}

AWAITS void learned_recipients_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "valid", NULL};
    struct provision_learned *learned = NULL;
    struct provision_domain domain;
    enum provision_learned_which which;
    struct slice after;
    unsigned limit, count = 0;

    if (!request_query_check(r, parameters) || !request_page_by_text(r, ADDRESS_MAX_BYTES, &after, &limit) ||
        !read_which(r, &which) || !domains_of_path(r, &domain))
        return;
    if (provision_learned_list(r->arena, domain.id, which, after, limit + 1, &learned, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, as_json(&learned[i]));
    reply_list_by_text(r, items, count > limit ? learned[limit - 1].address : (struct slice){NULL, 0});
}

AWAITS void learned_recipients_show(struct request *r)
{
    struct provision_domain domain;
    struct provision_learned learned;

    if (!domains_of_path(r, &domain))
        return;
    switch (provision_learned_get(r->arena, domain.id, r->key2, &learned)) {
    case DB_FOUND: reply_json(r, 200, as_json(&learned)); return;
    case DB_NONE: reply_not_found(r); return;
    case DB_FAILED: break;
    }
    reply_away(r);
}

AWAITS void learned_recipients_delete(struct request *r)
{
    struct provision_domain domain;
    struct provision_refusal refusal;

    if (!domains_of_path(r, &domain))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_learned_forget(r->arena, domain.id, r->key2, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}

AWAITS void learned_recipients_delete_all(struct request *r)
{
    struct provision_domain domain;
    struct provision_refusal refusal;

    if (!domains_of_path(r, &domain))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_learned_forget_all(r->arena, domain.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
