/*
 * /v1/domains/{domain}/imap-access: the way into the mailboxes of a domain's primary.
 *
 * One for a domain or none.  PUT says all of it, PATCH what is given.  The credential is one of /v1/credentials, of
 * kind password, that may act for each user; nothing of it is told but its name.
 */
#include <json-c/json.h>
#include <string.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/provision_domain.h"
#include "storage/provision_hop_credential.h"
#include "storage/provision_imap_access.h"

#define HOST_MAX_BYTES 255
#define NAME_MAX_BYTES 200

static const char *const tls_words[] = {"starttls", "implicit", NULL};
static const char *const sign_in_words[] = {"master", "authorization", NULL};

/* The relay domain that the path names.  False, and answered. */
static AWAITS bool get_domain(struct request *r, struct provision_domain *out)
{
    if (!domains_of_path(r, out))
        return false;
    if (out->kind == DIRECTORY_RELAY)
        return true;
    reply_problem(r, 409, NULL, "the domain has no primary: it is not a relay domain");
    return false;
}

static AWAITS void reply_with(struct request *r, const struct provision_domain *domain)
{
    struct provision_imap_access found;
    switch (provision_imap_access_get(r->arena, domain->id, &found)) {
    case DB_FOUND: break;
    case DB_NONE: reply_not_found(r); return;
    case DB_FAILED: reply_away(r); return;
    }
    struct json_object *object = json_object_new_object();
    json_put_id(object, "domain_id", domain->id);
    json_put_text(object, "domain", domain->name);
    json_put_text(object, "host", found.access.host);
    json_put_number(object, "port", found.access.port);
    json_put_text(object, "tls", slice_str(tls_words[found.access.implicit_tls]));
    json_put_text(object, "sign_in", slice_str(sign_in_words[found.access.authorization]));
    json_put_text(object, "credential", found.credential);
    json_put_time(object, "created_at", found.created_ms);
    reply_json(r, 200, object);
}

AWAITS void imap_access_show(struct request *r)
{
    static const char *const none[] = {NULL};
    struct provision_domain domain;
    if (request_query_check(r, none) && get_domain(r, &domain))
        reply_with(r, &domain);
}

static AWAITS void read_credential(struct json_fields *f, bool required, int64_t *id)
{
    struct provision_hop_credential credential;
    struct slice key = json_text(f, "credential", required, NAME_MAX_BYTES);
    if (!key.p || f->failed)
        return;
    switch (provision_hop_credential_get(f->r->arena, key, &credential)) {
    case DB_FOUND:
        if (credential.oauth || credential.certificate.p)
            json_reject(f, "credential", "must be of kind password");
        *id = credential.id;
        return;
    case DB_NONE: json_reject(f, "credential", "there is no such credential"); return;
    case DB_FAILED: break;
    }
    reply_away(f->r);
    f->failed = true;
}

static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_", host.p[i]))
            return false;
    return host.n;
}

static AWAITS void read_members(struct json_fields *f, bool all, struct imap_access *access)
{
    struct slice host = json_text(f, "host", all, HOST_MAX_BYTES);
    if (host.p && !is_host(host))
        json_reject(f, "host", "must be the name or the address of a host");
    else if (host.p)
        access->host = host;
    if (json_given(f, "tls"))
        access->implicit_tls = slice_equal(json_choice(f, "tls", tls_words), SLICE("implicit"));
    if (json_given(f, "port"))
        access->port = (unsigned)json_number(f, "port", 1, 65535, 143);
    else if (all)
        access->port = access->implicit_tls ? 993 : 143;
    if (json_given(f, "sign_in"))
        access->authorization = slice_equal(json_choice(f, "sign_in", sign_in_words), SLICE("authorization"));
    read_credential(f, all, &access->credential_id);
}

static AWAITS void write_access(struct request *r, bool all)
{
    struct json_fields f;
    struct provision_domain domain;
    struct provision_refusal refusal;
    struct provision_imap_access found = {0};
    if (!json_begin(r, &f) || !get_domain(r, &domain))
        return;
    if (!all)
        switch (provision_imap_access_get(r->arena, domain.id, &found)) {
        case DB_FOUND: break;
        case DB_NONE: all = true; break;
        case DB_FAILED: reply_away(r); return;
        }
    read_members(&f, all, &found.access);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_imap_access_put(r->arena, domain.id, &found.access, &r->actor, &refusal),
                            &refusal))
        reply_with(r, &domain);
}

AWAITS void imap_access_replace(struct request *r)
{
    write_access(r, true);
}

AWAITS void imap_access_change(struct request *r)
{
    write_access(r, false);
}

AWAITS void imap_access_delete(struct request *r)
{
    struct provision_domain domain;
    struct provision_refusal refusal;
    if (!get_domain(r, &domain))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_imap_access_delete(r->arena, domain.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
