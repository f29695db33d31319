/*
 * /v1/webhooks: whom to tell of what happens (daemon/webhooks.c).
 *
 * The secret is shown once, by the answer to the request that made it: 201, or a PATCH with "secret": null, which makes
 * another.  Who brings one of his own knows it already.  Without [secrets] key_file none can be kept.
 *
 * A url may be http only where the server has networks of its own to tell ([webhooks] networks), or on this machine;
 * whether an address may be told is asked when it is connected to, not here.
 */
#include <json-c/json.h>
#include <string.h>

#include "admin-api/admin.h"
#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/http.h"
#include "core/id.h"
#include "core/secret.h"
#include "storage/hop_credential.h"
#include "storage/provision_webhook.h"
#include "storage/webhook_secret.h"

#define URL_MAX_BYTES 1000
#define LABEL_MAX_BYTES 200
#define EVENTS_MAX 50
#define EVENT_MAX_BYTES 50

static bool in_clear;

void webhooks_configure(const struct admin_settings *settings)
{
    in_clear = settings->webhooks_in_clear;
}

static struct json_object *as_json(const void *item)
{
    const struct provision_webhook *webhook = item;
    struct json_object *object = json_object_new_object(), *events = NULL;
    json_put_id(object, "id", webhook->id);
    json_put_text(object, "url", webhook->url);
    if (webhook->event_count)
        events = json_object_new_array();
    for (unsigned i = 0; i < webhook->event_count; i++)
        json_object_array_add(events, json_object_new_string_len(webhook->events[i].p, (int)webhook->events[i].n));
    json_object_object_add(object, "events", events);
    json_put_id(object, "customer", webhook->customer_id);
    json_put_text(object, "label", webhook->label);
    json_put_bool(object, "enabled", webhook->enabled);
    json_put_text(object, "key", *webhook->key ? slice_str(webhook->key) : (struct slice){NULL, 0});
    json_put_bool(object, "key_current", webhook->key_current);
    json_put_number(object, "pending", webhook->pending);
    json_put_number(object, "failures", webhook->failures);
    json_put_text(object, "last_error", webhook->last_error);
    json_put_time(object, "last_success_at", webhook->last_success_ms);
    json_put_time(object, "last_failure_at", webhook->last_failure_ms);
    json_put_number(object, "given_up", webhook->given_up);
    json_put_number(object, "dropped", webhook->dropped);
    json_put_time(object, "created_at", webhook->created_ms);
    json_put_time(object, "changed_at", webhook->changed_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_webhook), offsetof(struct provision_webhook, id),
                                         as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_webhook *out)
{
    return reply_found(r, provision_webhook_get(r->arena, key, out));
}

static bool has_keys(struct request *r)
{
    if (hop_credential_ring())
        return true;
    reply_problem(r, 409, NULL, "[secrets] key_file is not set: there is no key to keep a secret under");
    return false;
}

/* shown: a secret that was made for him; {NULL,0}: none. */
static AWAITS void reply_with(struct request *r, unsigned status, int64_t id, struct slice shown)
{
    struct provision_webhook webhook;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &webhook))
        return;
    struct json_object *object = as_json(&webhook);
    json_put_text(object, "secret", shown);
    reply_json(r, status, object);
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/webhooks/%s", text);
}

AWAITS void webhooks_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_webhook *webhooks = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_webhook_list(r->arena, customer_id, &page, &webhooks, &count);
    reply_page(r, status, &page, webhooks, count, &shape);
}

/* A scheme, a host, no user, no fragment, no blanks: RFC 3986 section 3. */
static bool is_url(const char *text)
{
    const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
                       : strncmp(text, "http://", 7) == 0 ? text + 7
                                                          : NULL;
    size_t n = host ? strcspn(host, "/?") : 0;
    if (!n || *host == ':' || memchr(host, '@', n))
        return false;
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p >= 127 || strchr("#\"<>\\^`{|}", *p))
            return false;
    return true;
}

static void read_url(struct json_fields *f, bool required, struct provision_webhook *webhook)
{
    struct slice given = json_text(f, "url", required, URL_MAX_BYTES);
    if (!given.p)
        return;
    const char *text = arena_slicedup(f->r->arena, given);
    if (!is_url(text))
        json_reject(f, "url", "must be https://HOST..., without a user and a fragment");
    else if (!in_clear && !http_url_valid(text))
        json_reject(f, "url", "http:// is for hosts of [webhooks] networks, and there are none");
    webhook->url = given;
}

static void read_events(struct json_fields *f, struct provision_webhook *webhook)
{
    if (json_is_null(f, "events")) {
        webhook->event_count = 0;
        return;
    }
    if (!json_given(f, "events"))
        return;
    webhook->events = json_texts(f, "events", EVENTS_MAX, EVENT_MAX_BYTES, &webhook->event_count);
    if (!f->failed && !webhook->event_count)
        json_reject(f, "events", "must not be empty: null is all");
    for (unsigned i = 0; !f->failed && i < webhook->event_count; i++)
        if (!webhook_type_known(webhook->events[i]))
            json_reject(f, arena_printf(f->r->arena, "events[%u]", i), "there is no such type of event");
}

/* shown: one that is made for him. */
static void read_secret(struct json_fields *f, bool make, struct provision_webhook *webhook, struct slice *shown)
{
    struct slice key;
    *shown = (struct slice){NULL, 0};
    if (json_is_null(f, "secret") || (make && !json_given(f, "secret"))) {
        *shown = webhook->secret = webhook_secret_make(f->r->arena);
        return;
    }
    struct slice given = json_text(f, "secret", false, WEBHOOK_SECRET_TEXT_MAX);
    if (!given.p)
        return;
    webhook->secret = secret_slice(f->r->arena, given);
    if (!webhook_secret_read(f->r->arena, webhook->secret, &key))
        json_reject(f, "secret", "must be whsec_ and base64 of 24 to 64 bytes");
}

static void read_members(struct json_fields *f, bool create, struct provision_webhook *webhook, struct slice *shown)
{
    read_url(f, create, webhook);
    read_events(f, webhook);
    if (json_is_null(f, "label"))
        webhook->label = (struct slice){NULL, 0};
    else if (json_given(f, "label"))
        webhook->label = json_text(f, "label", false, LABEL_MAX_BYTES);
    webhook->enabled = json_flag(f, "enabled", webhook->enabled);
    read_secret(f, create, webhook, shown);
}

AWAITS void webhooks_create(struct request *r)
{
    struct json_fields f;
    struct provision_webhook webhook = {.enabled = true};
    struct provision_refusal refusal;
    struct slice customer = {NULL, 0}, shown;
    int64_t id = 0;
    if (!json_begin(r, &f))
        return;
    if (!json_is_null(&f, "customer"))
        customer = json_text(&f, "customer", false, 200);
    read_members(&f, true, &webhook, &shown);
    if (!json_end(&f) || !has_keys(r) ||
        (customer.p && !customers_resolve(r, "customer", customer, &webhook.customer_id)))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_webhook_create(r->arena, &webhook, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id, shown);
}

AWAITS void webhooks_show(struct request *r)
{
    struct provision_webhook webhook;
    if (get(r, r->key, &webhook))
        reply_json(r, 200, as_json(&webhook));
}

AWAITS void webhooks_change(struct request *r)
{
    struct json_fields f;
    struct provision_webhook webhook;
    struct provision_refusal refusal;
    struct slice shown;
    if (!json_begin(r, &f) || !get(r, r->key, &webhook))
        return;
    read_members(&f, false, &webhook, &shown);
    if (!json_end(&f) || (webhook.secret.p && !has_keys(r)))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_webhook_update(r->arena, &webhook, &r->actor, &refusal), &refusal))
        reply_with(r, 200, webhook.id, shown);
}

AWAITS void webhooks_delete(struct request *r)
{
    struct provision_webhook webhook;
    struct provision_refusal refusal;
    if (!get(r, r->key, &webhook))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_webhook_delete(r->arena, webhook.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}

AWAITS void webhooks_test(struct request *r)
{
    struct json_fields f;
    struct provision_webhook webhook;
    struct provision_refusal refusal;
    int64_t event_id = 0;
    if ((r->body.n && (!json_begin(r, &f) || !json_end(&f))) || !get(r, r->key, &webhook))
        return;
    r->actor.status = 202;
    if (reply_failed_write(r, provision_webhook_test(r->arena, webhook.id, &r->actor, &event_id, &refusal), &refusal))
        return;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "event", event_id);
    reply_json(r, 202, object);
}
