/*
 * /v1/dns-lists: DNS lists (RFC 5782) that strangers are looked for in, when a client policy counts scores.
 *
 * A list is a zone, the answers that count and a score, which may be below 0 for a list of good clients.  The same
 * zone may be there several times, with other answers.
 */
#include <json-c/json.h>
#include <string.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/dns_list.h"
#include "storage/name.h"
#include "storage/provision_dns_list.h"

#define ZONE_MAX_BYTES 180 /* the nibbles of an IPv6 address stand before it */
#define ANSWER_MAX_BYTES 20
#define LABEL_MAX_BYTES 200
#define SCORE_MAX 1000

static struct json_object *as_json(const void *item)
{
    const struct provision_dns_list *list = item;
    struct json_object *object = json_object_new_object(), *answers = json_object_new_array();
    json_put_id(object, "id", list->id);
    json_put_text(object, "zone", list->zone);
    for (unsigned i = 0; i < list->answer_count; i++)
        json_object_array_add(answers, json_object_new_string_len(list->answers[i].p, (int)list->answers[i].n));
    json_object_object_add(object, "answers", answers);
    json_put_number(object, "score", list->score);
    json_put_text(object, "label", list->label);
    json_put_time(object, "created_at", list->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_dns_list), offsetof(struct provision_dns_list, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_dns_list *out)
{
    return reply_found(r, provision_dns_list_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_dns_list list;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &list))
        return;
    reply_json(r, status, as_json(&list));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/dns-lists/%s", text);
}

AWAITS void dns_lists_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_dns_list *lists = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_dns_list_list(r->arena, &page, &lists, &count);
    reply_page(r, status, &page, lists, count, &shape);
}

/* What may change; members that are not given stay as they are. */
static void read_members(struct json_fields *f, struct provision_dns_list *list)
{
    list->score = (int)json_number(f, "score", -SCORE_MAX, SCORE_MAX, list->score);
    if (json_is_null(f, "label"))
        list->label = slice_of(NULL, 0);
    else if (json_given(f, "label"))
        list->label = json_text(f, "label", false, LABEL_MAX_BYTES);
}

static void read_answers(struct json_fields *f, struct provision_dns_list *list)
{
    static struct slice usual = SLICE("127.0.0.0/16"); /* without 127.255.255.0/24, by which lists refuse to answer */

    list->answers = &usual;
    list->answer_count = 1;
    if (!json_given(f, "answers"))
        return;
    list->answers = json_texts(f, "answers", DNS_LIST_ANSWERS_MAX, ANSWER_MAX_BYTES, &list->answer_count);
    for (unsigned i = 0; i < list->answer_count && !f->failed; i++)
        if (!name_cidr(f->r->arena, list->answers[i], &list->answers[i]) || strncmp(list->answers[i].p, "127.", 4) != 0)
            json_reject(f, arena_printf(f->r->arena, "answers[%u]", i),
                        "must be a block in 127.0.0.0/8, host bits zero");
    if (!list->answer_count)
        json_reject(f, "answers", "must not be empty");
}

AWAITS void dns_lists_create(struct request *r)
{
    struct json_fields f;
    struct provision_dns_list list = {.score = 0};
    if (!json_begin(r, &f))
        return;
    struct slice zone = json_text(&f, "zone", true, ZONE_MAX_BYTES);
    if (zone.p && !name_domain(r->arena, zone, &list.zone))
        json_reject(&f, "zone", "must be a domain name");
    read_answers(&f, &list);
    if (!json_given(&f, "score"))
        json_reject(&f, "score", "is missing");
    read_members(&f, &list);
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_dns_list_create(r->arena, &list, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id);
}

AWAITS void dns_lists_show(struct request *r)
{
    struct provision_dns_list list;
    if (get(r, r->key, &list))
        reply_json(r, 200, as_json(&list));
}

AWAITS void dns_lists_change(struct request *r)
{
    struct json_fields f;
    struct provision_dns_list list;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &list))
        return;
    read_members(&f, &list);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_dns_list_update(r->arena, &list, &r->actor, &refusal), &refusal))
        reply_with(r, 200, list.id);
}

AWAITS void dns_lists_delete(struct request *r)
{
    struct provision_dns_list list;
    struct provision_refusal refusal;
    if (!get(r, r->key, &list))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_dns_list_delete(r->arena, list.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
