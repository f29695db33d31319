/*
 * /v1/audit-log: who changed what, newest first.  Nothing here changes it; rows go with [daemon] audit_retention.
 *
 * An actor is a token (id or label); what was asked for by SMTP (ETRN, ATRN) has none, and says in `detail` who it was.
 * The action is the method, or the verb; the object is a path as it was asked for, so by name or by id.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/queue_words.h"
#include "storage/audit.h"

static struct json_object *as_json(const struct audit_row *row)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", row->id);
    json_put_time(object, "at", row->at_ms);
    json_put_id(object, "token", row->token_id);
    json_put_text(object, "label", row->label);
    json_put_text(object, "action", row->method);
    json_put_text(object, "object", row->path);
    json_put_number(object, "status", row->status);
    json_put_text(object, "detail", row->detail);
    return object;
}

static bool is_action(struct slice word)
{
    static const char *const words[] = {"POST", "PUT", "PATCH", "DELETE", "ETRN", "ATRN"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(word, slice_str(words[i])))
            return true;
    return false;
}

/* False, and answered. */
static bool read_filter(struct request *r, struct audit_filter *out)
{
    static const char age[] = "must be seconds, or a time such as 2026-11-23T20:25:14Z (RFC 3339)";
    struct slice older = request_query(r, "older_than"), newer = request_query(r, "newer_than");
    *out = (struct audit_filter){.actor = request_query(r, "actor"),
                                 .action = request_query(r, "action"),
                                 .object = request_query(r, "object"),
                                 .since_ms = INT64_MIN,
                                 .before_ms = INT64_MIN};
    if (out->object.p && (out->object.n < 2 || *out->object.p != '/'))
        reply_problem(r, 422, "object", "must be a path, such as /v1/queue");
    else if (out->action.p && !is_action(out->action))
        reply_problem(r, 422, "action", "must be POST, PUT, PATCH, DELETE, ETRN or ATRN");
    else if (older.p && !queue_words_age(older, &out->before_ms))
        reply_problem(r, 422, "older_than", "%s", age);
    else if (newer.p && !queue_words_age(newer, &out->since_ms))
        reply_problem(r, 422, "newer_than", "%s", age);
    else
        return true;
    return false;
}

AWAITS void audit_log_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit",      "actor",      "action",
                                             "object", "older_than", "newer_than", NULL};
    struct provision_page page;
    struct audit_filter filter;
    struct audit_row *rows = NULL;
    unsigned count = 0;
    int64_t next = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !read_filter(r, &filter))
        return;
    if (audit_list(r->arena, &filter, page.after, page.limit, &rows, &count, &next) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count; i++)
        json_object_array_add(items, as_json(&rows[i]));
    reply_list(r, items, next);
}
