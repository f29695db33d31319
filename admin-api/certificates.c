/*
 * /v1/accounts/{account}/certificates: certificates with which clients sign in as the account (SASL EXTERNAL).
 *
 * One is named by its SHA-256 fingerprint, or by an address that an authority in client_ca_file has written into it,
 * or by both. Nothing about an entry can be changed.  A certificate may be several accounts': see
 * storage/certificate.c.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/scopes.h"
#include "core/id.h"
#include "storage/certificate.h"
#include "storage/name.h"
#include "storage/provision_certificate.h"

#define LABEL_MAX_BYTES 200
#define FINGERPRINT_MAX_BYTES 95 /* with colons */
#define ADDRESS_MAX_BYTES 254

static struct json_object *as_json(const void *item)
{
    const struct provision_certificate *certificate = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", certificate->id);
    json_put_id(object, "account", certificate->account_id);
    json_put_text(object, "label", certificate->label);
    json_put_text(object, "fingerprint", certificate->fingerprint);
    json_put_text(object, "address", certificate->address);
    json_object_object_add(object, "scopes", scopes_json(certificate->scopes, certificate->scope_count));
    json_put_time(object, "created_at", certificate->created_ms);
    json_put_time(object, "last_used_at", certificate->last_used_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_certificate),
                                         offsetof(struct provision_certificate, id), as_json};

/* False, and answered. */
static AWAITS bool find(struct request *r, int64_t account_id, struct slice key, struct provision_certificate *out)
{
    return reply_found(r, provision_certificate_get(r->arena, account_id, key, out));
}

/* The one of the path. */
static AWAITS bool get(struct request *r, struct provision_certificate *out)
{
    int64_t account_id = 0;
    return accounts_of_path(r, &account_id) && find(r, account_id, r->key2, out);
}

AWAITS void certificates_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_certificate *certificates = NULL;
    unsigned count = 0;
    int64_t account_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !accounts_of_path(r, &account_id))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_certificate_list(r->arena, account_id, &page, &certificates, &count);
    reply_page(r, status, &page, certificates, count, &shape);
}

AWAITS void certificates_show(struct request *r)
{
    struct provision_certificate certificate;
    if (get(r, &certificate))
        reply_json(r, 200, as_json(&certificate));
}

static void read_members(struct json_fields *f, struct provision_certificate *given)
{
    struct slice fingerprint = json_text(f, "fingerprint", false, FINGERPRINT_MAX_BYTES);
    struct slice address = json_text(f, "address", false, ADDRESS_MAX_BYTES);
    given->label = json_text(f, "label", true, LABEL_MAX_BYTES);
    if (fingerprint.p && !certificate_fingerprint(f->r->arena, fingerprint, &given->fingerprint))
        json_reject(f, "fingerprint",
                    "must be the certificate's SHA-256, 64 hexadecimal digits, with or without colons");
    if (address.p && !name_address(f->r->arena, address, &given->address))
        json_reject(f, "address", "must be an address as it stands in the certificate's subjectAltName");
    if (!fingerprint.p && !address.p)
        json_reject(f, "fingerprint", "must be given, or address, or both");
    given->scopes = scopes_read(f, &given->scope_count);
}

/* The id of the one that has the label; 0: it could not be found out. */
static AWAITS int64_t holder(struct request *r, int64_t account_id, struct slice label)
{
    const struct provision_page all = {0, PROVISION_CERTIFICATES_MAX};
    struct provision_certificate *certificates = NULL;
    unsigned count = 0;
    if (provision_certificate_list(r->arena, account_id, &all, &certificates, &count) != DB_FOUND)
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (slice_equal(certificates[i].label, label))
            return certificates[i].id;
    return 0;
}

AWAITS void certificates_create(struct request *r)
{
    struct json_fields f;
    struct provision_certificate given = {0}, stored;
    struct provision_refusal refusal;
    char account[ID_TEXT_SIZE], id[ID_TEXT_SIZE];
    if (!json_begin(r, &f))
        return;
    read_members(&f, &given);
    if (!json_end(&f) || !accounts_of_path(r, &given.account_id))
        return;
    r->actor.status = 201;
    enum db_write result = provision_certificate_create(r->arena, &given, &r->actor, &given.id, &refusal);
    if (result == DB_REFUSED && refusal.kind == PROVISION_TAKEN)
        refusal.existing_id = holder(r, given.account_id, given.label);
    if (reply_failed_write(r, result, &refusal))
        return;
    if (!find(r, given.account_id, slice_str(id_print(given.id, id)), &stored))
        return;
    reply_json(r, 201, as_json(&stored));
    r->reply.location =
        arena_printf(r->arena, "/v1/accounts/%s/certificates/%s", id_print(given.account_id, account), id);
}

AWAITS void certificates_delete(struct request *r)
{
    struct provision_certificate certificate;
    struct provision_refusal refusal;
    if (!get(r, &certificate))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_certificate_delete(r->arena, certificate.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
