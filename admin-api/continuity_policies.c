/*
 * /v1/domains/{domain}/continuity-policy: what a domain wants while its primary is away, and how that is found out.
 *
 * There is one for each domain, always: one that nobody wrote has null everywhere, which is the default.  PUT says all
 * of it, PATCH what is given, DELETE is back to the defaults.  Members are the table of fields in
 * storage/continuity_policy.c; nothing here knows any of them but the kind of each.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/name.h"
#include "storage/provision_continuity.h"
#include "storage/provision_domain.h"

#define ADDRESS_MAX_BYTES 254

static void put(struct json_object *object, struct continuity_policy *policy, const struct continuity_field *field)
{
    if (continuity_is_text(field)) {
        json_put_text(object, field->name, *continuity_address(policy, field));
        return;
    }
    int32_t number = *continuity_number(policy, field);
    if (number == CONTINUITY_NOT_SET)
        json_object_object_add(object, field->name, NULL);
    else if (field->kind == CONTINUITY_WORD)
        json_put_text(object, field->name, slice_str(field->words[number]));
    else if (field->kind == CONTINUITY_FLAG)
        json_put_bool(object, field->name, number != 0);
    else
        json_put_number(object, field->name, number);
}

/* The domain that the path names: one that has mail of its own.  False, and answered. */
static AWAITS bool get_domain(struct request *r, struct provision_domain *out)
{
    if (!domains_of_path(r, out))
        return false;
    if (out->kind != DIRECTORY_ALIAS)
        return true;
    reply_problem(r, 409, NULL, "the domain is an alias: its target has the policy");
    return false;
}

static AWAITS void reply_with(struct request *r, const struct provision_domain *domain)
{
    struct continuity_policy policy;
    if (continuity_policy_read(r->arena, domain->id, &policy) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *object = json_object_new_object();
    json_put_id(object, "domain_id", domain->id);
    json_put_text(object, "domain", domain->name);
    for (unsigned i = 0; i < continuity_field_count; i++)
        put(object, &policy, &continuity_fields[i]);
    reply_json(r, 200, object);
}

AWAITS void continuity_policies_show(struct request *r)
{
    static const char *const none[] = {NULL};
    struct provision_domain domain;
    if (request_query_check(r, none) && get_domain(r, &domain))
        reply_with(r, &domain);
}

static void read_address(struct json_fields *f, const struct provision_domain *domain, const char *name,
                         struct slice *out)
{
    struct slice given = json_text(f, name, false, ADDRESS_MAX_BYTES), address;
    if (!given.p)
        return;
    if (!name_address(f->r->arena, given, &address) || !slice_equal(name_address_domain(address), domain->name))
        json_reject(f, name, "must be an address in the domain");
    else
        *out = address;
}

static void read_host(struct json_fields *f, const char *name, struct slice *out)
{
    struct slice given = json_text(f, name, false, ADDRESS_MAX_BYTES), host;
    if (!given.p)
        return;
    if (!name_host(f->r->arena, given, &host))
        json_reject(f, name, "must be a host name or an address");
    else
        *out = host;
}

static void read_member(struct json_fields *f, const struct provision_domain *domain, struct continuity_policy *policy,
                        const struct continuity_field *field)
{
    bool null = json_is_null(f, field->name);
    if (continuity_is_text(field)) {
        if (null)
            *continuity_address(policy, field) = (struct slice){NULL, 0};
        else if (field->kind == CONTINUITY_HOST)
            read_host(f, field->name, continuity_address(policy, field));
        else
            read_address(f, domain, field->name, continuity_address(policy, field));
        return;
    }
    int32_t *number = continuity_number(policy, field);
    if (null) {
        *number = CONTINUITY_NOT_SET;
    } else if (field->kind == CONTINUITY_WORD) {
        struct slice word = json_choice(f, field->name, field->words);
        for (int32_t i = 0; word.p && field->words[i]; i++)
            if (slice_equal(word, slice_str(field->words[i])))
                *number = i;
    } else if (json_given(f, field->name)) {
        *number = field->kind == CONTINUITY_FLAG
                      ? json_flag(f, field->name, false)
                      : (int32_t)json_number(f, field->name, field->min, field->max, field->min);
    }
}

static AWAITS void write_policy(struct request *r, bool all)
{
    struct json_fields f;
    struct provision_domain domain;
    struct provision_refusal refusal;
    struct continuity_policy policy;
    if (!json_begin(r, &f) || !get_domain(r, &domain))
        return;
    continuity_policy_init(&policy);
    if (!all && continuity_policy_read(r->arena, domain.id, &policy) != DB_FOUND) {
        reply_away(r);
        return;
    }
    for (unsigned i = 0; i < continuity_field_count; i++)
        read_member(&f, &domain, &policy, &continuity_fields[i]);
    if (policy.check_password > CONTINUITY_CHECK_NONE && !policy.check_host.n) /* NOT_SET is below */
        json_reject(&f, "check_host", "must be given where passwords are checked");
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_continuity_put(r->arena, domain.id, &policy, &r->actor, &refusal), &refusal))
        reply_with(r, &domain);
}

AWAITS void continuity_policies_replace(struct request *r)
{
    write_policy(r, true);
}

AWAITS void continuity_policies_change(struct request *r)
{
    write_policy(r, false);
}

AWAITS void continuity_policies_delete(struct request *r)
{
    struct provision_domain domain;
    struct provision_refusal refusal;
    if (!get_domain(r, &domain))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_continuity_delete(r->arena, domain.id, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
