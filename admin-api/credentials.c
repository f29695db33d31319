/*
 * /v1/credentials: what we sign in with at next hops, under names that next hops refer to.
 *
 * Of kind password: a name and a password; of kind oauth: where, and as which client, tokens are fetched (RFC 6749), by
 * a refresh token or by client credentials; of kind certificate: what is shown to a host that asks for one.
 *
 * A password is taken and never given back, in no answer and no log: what is told of it is the name of the key that it
 * is sealed under, and whether new ones are.  Without [secrets] key_file nothing can be kept, which is a conflict with
 * the state of the server and no mistake in the request.
 */
#include <json-c/json.h>
#include <string.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/http.h"
#include "core/id.h"
#include "core/secret.h"
#include "core/tls_identity.h"
#include "storage/provision_hop_credential.h"
#include "storage/provision_webhook.h"

#define NAME_MAX_BYTES 200

static void put_certificate(struct json_object *object, struct slice certificate)
{
    char fingerprint[TLS_FINGERPRINT_SIZE] = "";
    int64_t expires_ms = INT64_MIN;
    bool good = certificate.p && tls_identity_look(certificate, fingerprint, &expires_ms);
    json_put_text(object, "certificate", certificate);
    json_put_text(object, "fingerprint", good ? slice_str(fingerprint) : (struct slice){NULL, 0});
    json_put_time(object, "certificate_expires_at", expires_ms);
}

static struct json_object *as_json(const void *item)
{
    const struct provision_hop_credential *credential = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", credential->id);
    json_put_text(object, "name", credential->name);
    json_put_text(object, "kind",
                  credential->oauth           ? SLICE("oauth")
                  : credential->certificate.p ? SLICE("certificate")
                                              : SLICE("password"));
    json_put_text(object, "user", credential->user);
    json_put_text(object, "mechanism", credential->mechanism);
    json_put_text(object, "tls", credential->verify ? SLICE("verify") : SLICE("encrypt"));
    json_put_text(object, "token_url", credential->token_url);
    json_put_text(object, "client_id", credential->client_id);
    json_put_text(object, "scope", credential->scope);
    json_put_text(object, "grant",
                  !credential->oauth      ? (struct slice){NULL, 0}
                  : credential->refreshes ? SLICE("refresh_token")
                                          : SLICE("client_credentials"));
    json_put_time(object, "token_expires_at", credential->token_expires_ms);
    json_put_text(object, "token_failure", credential->token_failure);
    put_certificate(object, credential->certificate);
    json_put_text(object, "key", *credential->key ? slice_str(credential->key) : (struct slice){NULL, 0});
    json_put_bool(object, "key_current", credential->key_current);
    json_put_time(object, "created_at", credential->created_ms);
    json_put_time(object, "changed_at", credential->changed_ms);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_hop_credential),
                                         offsetof(struct provision_hop_credential, id), as_json};

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice key, struct provision_hop_credential *out)
{
    return reply_found(r, provision_hop_credential_get(r->arena, key, out));
}

static bool has_keys(struct request *r)
{
    if (hop_credential_ring())
        return true;
    reply_problem(r, 409, NULL, "[secrets] key_file is not set: there is no key to keep a secret under");
    return false;
}

static AWAITS void reply_with(struct request *r, unsigned status, int64_t id)
{
    struct provision_hop_credential credential;
    char text[ID_TEXT_SIZE];
    if (!get(r, slice_str(id_print(id, text)), &credential))
        return;
    reply_json(r, status, as_json(&credential));
    if (status == 201)
        r->reply.location = arena_printf(r->arena, "/v1/credentials/%s", text);
}

AWAITS int64_t credentials_read(struct json_fields *hop)
{
    struct provision_hop_credential credential;
    if (json_is_null(hop, "credential"))
        return 0;
    struct slice key = json_text(hop, "credential", false, NAME_MAX_BYTES);
    if (!key.p || hop->failed)
        return 0;
    switch (provision_hop_credential_get(hop->r->arena, key, &credential)) {
    case DB_FOUND: return credential.id;
    case DB_NONE: json_reject(hop, "credential", "there is no such credential"); return 0;
    case DB_FAILED: break;
    }
    reply_away(hop->r);
    hop->failed = true;
    return 0;
}

AWAITS void credentials_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_hop_credential *credentials = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status = provision_hop_credential_list(r->arena, &page, &credentials, &count);
    reply_page(r, status, &page, credentials, count, &shape);
}

/* A secret; {NULL,0}: not given. */
static struct slice read_secret(struct json_fields *f, const char *name, bool required, size_t max)
{
    struct slice given = json_text(f, name, required, max);
    return given.p ? secret_slice(f->r->arena, given) : given;
}

/* What may change; members that are not given stay as they are. */
static void read_text(struct json_fields *f, const char *name, bool required, size_t max, struct slice *text)
{
    struct slice given = json_text(f, name, required, max);
    if (given.p)
        *text = given;
}

static void read_common(struct json_fields *f, bool required, struct provision_hop_credential *credential)
{
    static const char *const by_password[] = {"scram-sha-256", "scram-sha-1", "plain", "login", NULL};
    static const char *const by_token[] = {"oauthbearer", "xoauth2", NULL};
    static const char *const levels[] = {"encrypt", "verify", NULL};

    read_text(f, "user", required, HOP_CREDENTIAL_USER_MAX, &credential->user);
    if (json_is_null(f, "mechanism"))
        credential->mechanism = (struct slice){NULL, 0};
    else if (json_given(f, "mechanism"))
        credential->mechanism = json_choice(f, "mechanism", credential->oauth ? by_token : by_password);
    struct slice tls = json_choice(f, "tls", levels);
    if (tls.p)
        credential->verify = slice_equal(tls, SLICE("verify"));
}

static void read_oauth(struct json_fields *f, bool required, struct provision_hop_credential *credential)
{
    read_text(f, "token_url", required, 1000, &credential->token_url);
    if (credential->token_url.p && !http_url_valid(arena_slicedup(f->r->arena, credential->token_url)))
        json_reject(f, "token_url", "must be https://..., or http:// to this machine");
    read_text(f, "client_id", required, 500, &credential->client_id);
    if (json_is_null(f, "scope"))
        credential->scope = (struct slice){NULL, 0};
    else
        read_text(f, "scope", false, 1000, &credential->scope);
    credential->secret = read_secret(f, "client_secret", false, HOP_CREDENTIAL_SECRET_MAX);
    credential->refresh_token = read_secret(f, "refresh_token", false, HOP_CREDENTIAL_TOKEN_MAX);
    if (required && !credential->secret.p && !credential->refresh_token.p)
        json_reject(f, "client_secret", "or a refresh_token must be given");
}

/* Of several lines, as json_text() takes none.  {NULL,0}: not given. */
static struct slice read_pem(struct json_fields *f, const char *name, bool required, size_t max)
{
    struct json_object *value = NULL;
    if (!json_given(f, name)) {
        if (required)
            json_reject(f, name, "is required");
        return (struct slice){NULL, 0};
    }
    json_object_object_get_ex(f->object, name, &value);
    struct slice text = {NULL, 0};
    if (json_object_is_type(value, json_type_string))
        text = slice_of(json_object_get_string(value), (size_t)json_object_get_string_len(value));
    if (!text.n || text.n > max || memchr(text.p, '\0', text.n)) {
        json_reject(f, name, "must be PEM, of at most %zu bytes", max);
        return (struct slice){NULL, 0};
    }
    return secret_slice(f->r->arena, text);
}

/* Both, or neither in a change: they belong together. */
static void read_certificate(struct json_fields *f, bool required, struct provision_hop_credential *credential)
{
    static const char *const levels[] = {"encrypt", "verify", NULL};
    char why[100];

    struct slice tls = json_choice(f, "tls", levels);
    if (tls.p)
        credential->verify = slice_equal(tls, SLICE("verify"));
    required |= json_given(f, "certificate") || json_given(f, "private_key");
    struct slice certificate = read_pem(f, "certificate", required, HOP_CREDENTIAL_CERTIFICATE_MAX);
    credential->secret = read_pem(f, "private_key", required, HOP_CREDENTIAL_KEY_MAX);
    if (f->failed || !certificate.p || !credential->secret.p)
        return;
    struct tls_identity *identity = tls_identity_new(certificate, credential->secret, why, sizeof why);
    if (!identity)
        json_reject(f, strncmp(why, "the key", 7) == 0 ? "private_key" : "certificate", "%s", why);
    tls_identity_free(&identity);
    credential->certificate = certificate;
}

static void read_members(struct json_fields *f, bool required, bool certificate,
                         struct provision_hop_credential *credential)
{
    if (certificate) {
        read_certificate(f, required, credential);
        return;
    }
    read_common(f, required, credential);
    if (credential->oauth)
        read_oauth(f, required, credential);
    else
        credential->secret = read_secret(f, "password", required, HOP_CREDENTIAL_SECRET_MAX);
}

AWAITS void credentials_create(struct request *r)
{
    static const char *const kinds[] = {"password", "oauth", "certificate", NULL};
    struct json_fields f;
    struct provision_hop_credential credential = {.verify = true};
    if (!json_begin(r, &f))
        return;
    credential.name = json_text(&f, "name", true, NAME_MAX_BYTES);
    struct slice kind = json_choice(&f, "kind", kinds);
    credential.oauth = kind.p && slice_equal(kind, SLICE("oauth"));
    read_members(&f, true, kind.p && slice_equal(kind, SLICE("certificate")), &credential);
    if (!json_end(&f) || !has_keys(r))
        return;

    int64_t id = 0;
    struct provision_refusal refusal;
    r->actor.status = 201;
    if (!reply_failed_write(r, provision_hop_credential_create(r->arena, &credential, &r->actor, &id, &refusal),
                            &refusal))
        reply_with(r, 201, id);
}

AWAITS void credentials_show(struct request *r)
{
    struct provision_hop_credential credential;
    if (get(r, r->key, &credential))
        reply_json(r, 200, as_json(&credential));
}

AWAITS void credentials_change(struct request *r)
{
    struct json_fields f;
    struct provision_hop_credential credential;
    struct provision_refusal refusal;
    if (!json_begin(r, &f) || !get(r, r->key, &credential))
        return;
    read_members(&f, false, credential.certificate.p, &credential);
    if (!json_end(&f) || ((credential.secret.p || credential.refresh_token.p) && !has_keys(r)))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_hop_credential_update(r->arena, &credential, &r->actor, &refusal), &refusal))
        reply_with(r, 200, credential.id);
}

AWAITS void credentials_delete(struct request *r)
{
    struct provision_hop_credential credential;
    struct provision_refusal refusal;
    if (!get(r, r->key, &credential))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_hop_credential_delete(r->arena, credential.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}

/* What another key has sealed, here and of webhooks, is sealed by the first, so that the other may go. */
AWAITS void credentials_reseal(struct request *r)
{
    struct provision_resealed state = {.more = true};
    struct provision_refusal refusal;
    struct json_fields f;
    if ((r->body.n && (!json_begin(r, &f) || !json_end(&f))) || !has_keys(r))
        return;
    r->actor.status = 200;
    while (state.more)
        if (reply_failed_write(r, provision_hop_credential_reseal(r->arena, &state, &r->actor, &refusal), &refusal))
            return;
    state.more = true;
    state.after = 0;
    while (state.more)
        if (reply_failed_write(r, provision_webhook_reseal(r->arena, &state, &r->actor, &refusal), &refusal))
            return;
    struct json_object *object = json_object_new_object();
    json_put_text(object, "key", slice_str(secret_ring_name(hop_credential_ring())));
    json_put_number(object, "resealed", state.resealed);
    json_put_number(object, "unopened", state.unopened);
    reply_json(r, 200, object);
}
