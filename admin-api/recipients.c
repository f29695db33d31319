/*
 * /v1/domains/{domain}/recipients: the valid recipients of a domain, as they are listed.
 *
 * They count where the domain's `recipients` asks for them, for what goes to its next hops.  PUT replaces the whole
 * list, as a directory of the customer's own is exported; POST and DELETE change one.  There is no id: an address is
 * its own key, and next_cursor is the last address of a page.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/provision_domain.h"
#include "storage/provision_recipient.h"

#define ADDRESS_MAX_BYTES 254

static struct json_object *as_json(const struct provision_recipient *recipient)
{
    struct json_object *object = json_object_new_object();
    json_put_text(object, "address", recipient->address);
    json_put_time(object, "created_at", recipient->created_ms);
    return object;
}

/* The domain that the path names: one that has addresses.  False, and answered. */
static AWAITS bool get_domain(struct request *r, struct provision_domain *out)
{
    if (!domains_of_path(r, out))
        return false;
    if (out->kind != DIRECTORY_ALIAS)
        return true;
    reply_problem(r, 409, NULL, "the domain is an alias: its target has the list");
    return false;
}

static bool is_in(struct slice address, const struct provision_domain *domain)
{
    return slice_equal(name_address_domain(address), domain->name);
}

AWAITS void recipients_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_recipient *recipients = NULL;
    struct provision_domain domain;
    struct slice after;
    unsigned limit, count = 0;

    if (!request_query_check(r, parameters) || !request_page_by_text(r, ADDRESS_MAX_BYTES, &after, &limit) ||
        !get_domain(r, &domain))
        return;
    if (provision_recipient_list(r->arena, domain.id, after, limit + 1, &recipients, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, as_json(&recipients[i]));
    reply_list_by_text(r, items, count > limit ? recipients[limit - 1].address : (struct slice){NULL, 0});
}

static AWAITS bool get(struct request *r, const struct provision_domain *domain, struct slice address,
                       struct provision_recipient *out)
{
    return reply_found(r, provision_recipient_get(r->arena, domain->id, address, out));
}

AWAITS void recipients_show(struct request *r)
{
    struct provision_domain domain;
    struct provision_recipient recipient;

    if (get_domain(r, &domain) && get(r, &domain, r->key2, &recipient))
        reply_json(r, 200, as_json(&recipient));
}

AWAITS void recipients_create(struct request *r)
{
    struct json_fields f;
    struct provision_domain domain;
    struct provision_recipient recipient;
    struct provision_refusal refusal;
    struct slice address = {NULL, 0};
    char id[ID_TEXT_SIZE];

    if (!json_begin(r, &f) || !get_domain(r, &domain))
        return;
    struct slice given = json_text(&f, "address", true, ADDRESS_MAX_BYTES);
    if (given.p && (!name_address(r->arena, given, &address) || !is_in(address, &domain)))
        json_reject(&f, "address", "must be an address in the domain");
    if (!json_end(&f))
        return;
    r->actor.status = 201;
    if (reply_failed_write(r, provision_recipient_add(r->arena, domain.id, address, &r->actor, &refusal), &refusal) ||
        !get(r, &domain, address, &recipient))
        return;
    reply_json(r, 201, as_json(&recipient));
    r->reply.location = arena_printf(r->arena, "/v1/domains/%s/recipients/%s", id_print(domain.id, id),
                                     request_encode(r->arena, address));
}

AWAITS void recipients_replace(struct request *r)
{
    struct json_fields f;
    struct provision_domain domain;
    struct provision_refusal refusal;
    unsigned count = 0;

    if (!json_begin(r, &f) || !get_domain(r, &domain))
        return;
    if (!json_given(&f, "addresses"))
        json_reject(&f, "addresses", "is required");
    struct slice *addresses = json_texts(&f, "addresses", PROVISION_RECIPIENTS_MAX, ADDRESS_MAX_BYTES, &count);
    for (unsigned i = 0; i < count && !f.failed; i++)
        if (!name_address(r->arena, addresses[i], &addresses[i]) || !is_in(addresses[i], &domain))
            json_reject(&f, arena_printf(r->arena, "addresses[%u]", i), "must be an address in the domain");
    if (!json_end(&f))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_recipient_replace(r->arena, domain.id, addresses, count, &r->actor, &refusal),
                            &refusal))
        reply_empty(r, 204);
}

AWAITS void recipients_delete(struct request *r)
{
    struct provision_domain domain;
    struct provision_refusal refusal;

    if (!get_domain(r, &domain))
        return;
    r->actor.status = 204;
    struct slice address = name_key(r->arena, r->key2);
    if (!reply_failed_write(r, provision_recipient_delete(r->arena, domain.id, address, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
