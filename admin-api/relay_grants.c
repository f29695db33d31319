/*
 * /v1/relay-grants: permissions to send: who, as whom, where to, how much, from when until when.
 *
 * Who is meant is for good: one of account, domain, network and certificate, or none of them for the whole customer.
 * All else may be changed; null takes a limit, a time or the label away.  What a grant means is decided in
 * relay/authorize.c; which grants count for a client is said in storage/directory_grant.h.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/id.h"
#include "storage/certificate.h"
#include "storage/name.h"
#include "storage/provision_grant.h"

#define NAME_MAX_BYTES 254
#define LABEL_MAX_BYTES 200
#define FINGERPRINT_MAX_BYTES 95 /* with colons */
#define SIZE_MAX_BYTES ((int64_t)1 << 40)
#define RECIPIENTS_MAX 1000000
#define AMOUNT_MAX ((int64_t)1 << 50)
#define HOLD_MIN_SECONDS 60
#define HOLD_MAX_SECONDS (365 * 24 * 60 * 60)

static struct json_object *domains_json(const struct slice *domains, unsigned count)
{
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; i < count; i++)
        json_object_array_add(list, json_object_new_string_len(domains[i].p, (int)domains[i].n));
    return list;
}

static void put_limit(struct json_object *object, const char *name, int64_t limit)
{
    if (limit)
        json_put_number(object, name, limit);
    else
        json_object_object_add(object, name, NULL);
}

static struct json_object *as_json(const void *item)
{
    const struct provision_grant *grant = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", grant->id);
    json_put_id(object, "customer", grant->customer_id);
    json_put_id(object, "account", grant->account_id);
    json_put_id(object, "domain", grant->domain_id);
    json_put_text(object, "network", grant->network);
    json_put_text(object, "certificate", grant->certificate);
    json_put_text(object, "label", grant->label);
    json_put_text(object, "senders", grant->senders);
    json_object_object_add(object, "sender_domains", domains_json(grant->sender_domains, grant->sender_domain_count));
    json_put_text(object, "recipients", grant->recipients);
    json_object_object_add(object, "recipient_domains",
                           domains_json(grant->recipient_domains, grant->recipient_domain_count));
    put_limit(object, "size_max", grant->size_max);
    put_limit(object, "recipients_max", grant->recipients_max);
    json_put_text(object, "at_limit", grant->at_limit);
    json_put_number(object, "hold_seconds", grant->hold_seconds);
    json_put_text(object, "hold_then", grant->hold_then);
    json_put_bool(object, "tls_required", grant->tls_required);
    json_put_text(object, "counted_by", grant->counted_by);
    for (unsigned i = 0; i < PROVISION_GRANT_LIMITS; i++)
        put_limit(object, provision_grant_limits[i], grant->limits[i]);
    json_put_time(object, "valid_from", grant->valid_from_ms);
    json_put_time(object, "valid_until", grant->valid_until_ms);
    json_put_time(object, "created_at", grant->created_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_grant), offsetof(struct provision_grant, id), as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_grant *out)
{
    return reply_found(r, provision_grant_get(r->arena, key, out));
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_grant grant;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &grant))
        return;
    reply_json(r, status, as_json(&grant));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/relay-grants/%s", text);
}

AWAITS void relay_grants_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", "customer", NULL};
    struct provision_page page;
    struct provision_grant *grants = NULL;
    unsigned count = 0;
    int64_t customer_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    struct slice customer = request_query(r, "customer");
    if (customer.p && !customers_resolve(r, "customer", customer, &customer_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_grant_list(r->arena, customer_id, &page, &grants, &count);
    reply_page(r, status, &page, grants, count, &shape);
}

/* ------------------------------------------------------------------ reading what was given */

static void read_domains(struct json_fields *f, const char *name, struct slice **domains, unsigned *count)
{
    if (!json_given(f, name))
        return;
    *domains = json_texts(f, name, PROVISION_GRANT_DOMAINS_MAX, NAME_MAX_BYTES, count);
    for (unsigned i = 0; i < *count && !f->failed; i++)
        if (!name_domain(f->r->arena, (*domains)[i], &(*domains)[i]))
            json_reject(f, arena_printf(f->r->arena, "%s[%u]", name, i), "must be a domain name");
}

static void read_choice(struct json_fields *f, const char *name, const char *const *words, struct slice *out)
{
    struct slice word = json_choice(f, name, words);
    if (word.p)
        *out = word;
}

static void read_limit(struct json_fields *f, const char *name, int64_t max, int64_t *out)
{
    *out = json_is_null(f, name) ? 0 : json_number(f, name, 1, max, *out);
}

/* What may change; members that are not given stay as they are. */
static void read_members(struct json_fields *f, struct provision_grant *grant)
{
    static const char *const senders[] = {"own", "domains", "any", NULL};
    static const char *const recipients[] = {"any", "domains", "customer", NULL};
    static const char *const at_limit[] = {"refuse", "defer", "hold", NULL};
    static const char *const hold_then[] = {"release", "reject", "discard", NULL};
    static const char *const counted_by[] = {"grant", "account", NULL};

    if (json_is_null(f, "label"))
        grant->label = slice_of(NULL, 0);
    else if (json_given(f, "label"))
        grant->label = json_text(f, "label", false, LABEL_MAX_BYTES);
    read_choice(f, "senders", senders, &grant->senders);
    read_domains(f, "sender_domains", &grant->sender_domains, &grant->sender_domain_count);
    read_choice(f, "recipients", recipients, &grant->recipients);
    read_domains(f, "recipient_domains", &grant->recipient_domains, &grant->recipient_domain_count);
    read_limit(f, "size_max", SIZE_MAX_BYTES, &grant->size_max);
    read_limit(f, "recipients_max", RECIPIENTS_MAX, &grant->recipients_max);
    read_choice(f, "at_limit", at_limit, &grant->at_limit);
    grant->hold_seconds = json_number(f, "hold_seconds", HOLD_MIN_SECONDS, HOLD_MAX_SECONDS, grant->hold_seconds);
    read_choice(f, "hold_then", hold_then, &grant->hold_then);
    read_choice(f, "counted_by", counted_by, &grant->counted_by);
    for (unsigned i = 0; i < PROVISION_GRANT_LIMITS; i++)
        read_limit(f, provision_grant_limits[i], AMOUNT_MAX, &grant->limits[i]);
    grant->tls_required = json_flag(f, "tls_required", grant->tls_required);
    grant->valid_from_ms = json_time(f, "valid_from", grant->valid_from_ms);
    grant->valid_until_ms = json_time(f, "valid_until", grant->valid_until_ms);
}

AWAITS void relay_grants_create(struct request *r)
{
    struct json_fields f;
    struct provision_grant grant = {
        .senders = SLICE("own"),
        .recipients = SLICE("any"),
        .at_limit = SLICE("defer"),
        .hold_seconds = 5 * 24 * 60 * 60,
        .hold_then = SLICE("reject"),
        .counted_by = SLICE("grant"),
        .valid_from_ms = INT64_MIN,
        .valid_until_ms = INT64_MIN,
    };
    if (!json_begin(r, &f))
        return;
    struct slice customer = json_text(&f, "customer", true, 200);
    struct slice account = json_text(&f, "account", false, NAME_MAX_BYTES);
    struct slice domain = json_text(&f, "domain", false, NAME_MAX_BYTES);
    struct slice network = json_text(&f, "network", false, 64);
    if (network.p && !name_cidr(r->arena, network, &grant.network))
        json_reject(&f, "network", "must be an address block such as 192.0.2.0/24 or 2001:db8::/32, host bits zero");
    struct slice certificate = json_text(&f, "certificate", false, FINGERPRINT_MAX_BYTES);
    if (certificate.p && !certificate_fingerprint(r->arena, certificate, &grant.certificate))
        json_reject(&f, "certificate",
                    "must be a certificate's SHA-256, 64 hexadecimal digits, with or without colons");
    if ((account.p != NULL) + (domain.p != NULL) + (network.p != NULL) + (certificate.p != NULL) > 1)
        json_reject(&f,
                    certificate.p           ? "certificate"
                    : account.p && domain.p ? "domain"
                                            : "network",
                    "only one of account, domain, network and certificate may be given");
    read_members(&f, &grant);
    if (!json_end(&f))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    if (!customers_resolve(r, "customer", customer, &grant.customer_id))
        return;
    if (account.p && !accounts_resolve(r, "account", account, &grant.account_id))
        return;
    if (domain.p && !domains_resolve(r, "domain", domain, &grant.domain_id))
        return;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_grant_create(r->arena, &grant, &r->actor, &id, &refusal), &refusal))
        reply_with(r, 201, id);
}

AWAITS void relay_grants_show(struct request *r)
{
    struct provision_grant grant;
    if (get(r, r->key, &grant))
        reply_json(r, 200, as_json(&grant));
}

AWAITS void relay_grants_change(struct request *r)
{
    struct json_fields f;
    struct provision_grant grant;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &grant))
        return;
    read_members(&f, &grant);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_grant_update(r->arena, &grant, &r->actor, &refusal), &refusal))
        reply_with(r, 200, grant.id);
}

AWAITS void relay_grants_delete(struct request *r)
{
    struct provision_grant grant;
    struct provision_refusal refusal;
    if (!get(r, r->key, &grant))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_grant_delete(r->arena, grant.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
