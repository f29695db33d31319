/*
 * /v1/domains/{domain}/carrying: accounts of a relay domain of whose mail something waits to be carried to the primary:
 * how much, since when, and why it was not done.  To be seen only: it is tried again by itself, and at once when the way
 * into the mailboxes is set anew (imap_access.c).
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/provision_carrying.h"
#include "storage/provision_domain.h"

static struct json_object *as_json(const struct provision_carrying *found)
{
    struct json_object *object = json_object_new_object();

    json_put_id(object, "account_id", found->account_id);
    json_put_text(object, "account", found->address);
    json_put_number(object, "waiting", found->waiting);
    json_put_time(object, "since", found->since_ms);
    json_put_time(object, "next_at", found->next_ms);
    json_put_text(object, "reason", found->reason);
    return object;
}

AWAITS void carrying_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_domain domain;
    struct provision_page page;
    struct provision_carrying *list = NULL;
    unsigned count = 0;

    if (!request_query_check(r, parameters) || !request_page(r, &page) || !domains_of_path(r, &domain))
        return;
    if (provision_carrying_list(r->arena, domain.id, page.after, page.limit + 1, &list, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < page.limit; i++)
        json_object_array_add(items, as_json(&list[i]));
    reply_list(r, items, count > page.limit ? list[page.limit - 1].account_id : 0);
}
