/*
 * What all provisioning has in common: run the transaction, know what became of it, and say why not.
 *
 * A change's audit row is written in the same transaction with an id made here.  That makes it a witness:
 * when the connection broke between COMMIT and its answer, we wait for a new one and look whether the
 * audit row is there.
 *
 * Refusals come as constraint names: those of tables, and those that a transaction states by the function
 * refuse() (schema/0001).  The table below turns them into words; a constraint that is missing in it is
 * our mistake, is logged, and still refuses.
 */
#define LOG_MODULE "provision"
#include "storage/provision.h"

#include <string.h>

#include "core/id.h"
#include "core/log.h"
#include "storage/cache.h"
#include "storage/db.h"

#define PROVISION_ATTEMPTS 3
#define PROVISION_CERTAIN_MS 10000

#define GRANT_DOMAINS_RULE(field) "must be given if " field " is \"domains\", and only then"

static const struct {
    const char *constraint;
    struct provision_refusal refusal;
} rules[] = {
    {"gone", {PROVISION_GONE, NULL, "it does not exist", 0}},

    {"customer_name_key", {PROVISION_TAKEN, "name", "a customer of this name exists", 0}},
    {"domain_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has domains", 0}},
    {"account_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has accounts", 0}},
    {"network_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has networks", 0}},
    {"relay_grant_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has relay grants", 0}},

    {"customer_missing", {PROVISION_INVALID, "customer", "there is no such customer", 0}},
    {"domain_name_key", {PROVISION_TAKEN, "name", "the domain exists", 0}},
    {"next_hop_pkey", {PROVISION_INVALID, "next_hops", "a next hop is listed twice", 0}},
    {"account_domain_fkey", {PROVISION_IN_USE, NULL, "the domain still has accounts", 0}},
    {"alias_domain_fkey", {PROVISION_IN_USE, NULL, "the domain still has aliases", 0}},
    {"domain_has_queue", {PROVISION_IN_USE, NULL, "mail for the domain is still in the queue", 0}},
    {"domain_collector", {PROVISION_INVALID, "collector", "the customer has no such account", 0}},
    {"domain_no_way",
     {PROVISION_INVALID, "next_hops", "a relay domain needs at least one next hop, a route or a collector", 0}},
    {"domain_target_kind",
     {PROVISION_INVALID, "target", "the customer has no such domain, or it is an alias itself", 0}},
    {"domain_target_fkey", {PROVISION_IN_USE, NULL, "another domain is an alias of it", 0}},
    {"recipient_listed_pkey", {PROVISION_TAKEN, "address", "the address is listed", 0}},
    {"domain_catch_all_hops", {PROVISION_INVALID, "catch_all", "names that are not here go to the next hops", 0}},

    {"account_address_key", {PROVISION_TAKEN, "address", "an account has this address", 0}},
    {"address_is_alias",
     {PROVISION_TAKEN, "address", "an account has this address as an alias, or it is an alias or a group itself", 0}},
    {"account_continuity", {PROVISION_INVALID, "state", "only an account of a relay domain has this state", 0}},
    {"account_domain", {PROVISION_INVALID, "address", "the customer has no such domain, or it is an alias", 0}},
    {"alias_taken", {PROVISION_TAKEN, "aliases", "an alias is an address of another account", 0}},
    {"alias_domain", {PROVISION_INVALID, "aliases", "the customer has no such domain, or it is an alias", 0}},
    {"mailbox_message_mailbox_fkey", {PROVISION_IN_USE, NULL, "mail is arriving for it at this moment", 0}},

    {"app_password_label_key", {PROVISION_TAKEN, "label", "the account has an app password of this label", 0}},
    {"app_password_many", {PROVISION_IN_USE, NULL, "the account has 50 app passwords: delete one first", 0}},
    {"account_certificate_label_key", {PROVISION_TAKEN, "label", "the account has a certificate of this label", 0}},
    {"account_certificate_many", {PROVISION_IN_USE, NULL, "the account has 50 certificates: delete one first", 0}},
    {"expansion_address_key", {PROVISION_TAKEN, "address", "an alias or a group has this address", 0}},
    {"expansion_taken", {PROVISION_TAKEN, "address", "an account has this address", 0}},
    {"expansion_domain", {PROVISION_INVALID, "address", "its domain is gone, or is an alias", 0}},
    {"expansion_domain_fkey", {PROVISION_IN_USE, NULL, "the domain still has aliases or groups", 0}},
    {"expansion_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has aliases or groups", 0}},

    {"allowed_network_key", {PROVISION_TAKEN, "network", "the network is on the list", 0}},
    {"allowed_network_many", {PROVISION_IN_USE, NULL, "the list has 10,000 networks: delete one first", 0}},
    {"allowed_network_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has allowed networks", 0}},
    {"entry_active", {PROVISION_IN_USE, NULL, "it is being delivered at this moment: look, and try again", 0}},
    {"delivery_policy_domain_key", {PROVISION_TAKEN, "domain", "the domain has a delivery policy", 0}},
    {"delivery_policy_retry", {PROVISION_INVALID, "retry_max", "must not be less than retry_first", 0}},
    {"delivery_policy_many", {PROVISION_IN_USE, NULL, "there are 10,000 delivery policies: delete one first", 0}},
    {"held_account_pkey", {PROVISION_TAKEN, "account", "it is held already", 0}},
    {"held_account_account_id_fkey", {PROVISION_INVALID, "account", "the account is gone", 0}},
    {"held_account_many", {PROVISION_IN_USE, NULL, "there are 10,000 held accounts: delete one first", 0}},
    {"breaker_policy_key", {PROVISION_TAKEN, NULL, "there is a policy for that", 0}},
    {"breaker_policy_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has breaker policies", 0}},
    {"breaker_policy_domain_id_fkey", {PROVISION_INVALID, "domain", "the domain is gone", 0}},
    {"breaker_policy_account_id_fkey", {PROVISION_INVALID, "account", "the account is gone", 0}},
    {"breaker_policy_many", {PROVISION_IN_USE, NULL, "there are 10,000 breaker policies: delete one first", 0}},
    {"breaker_closed", {PROVISION_IN_USE, NULL, "it is not open", 0}},
    {"content_rule_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has content rules", 0}},
    {"content_rule_domain", {PROVISION_INVALID, "domain", "the customer has no such domain", 0}},
    {"content_rule_header", {PROVISION_INVALID, "header", "must be given if header_pattern is, and only then", 0}},
    {"content_rule_condition", {PROVISION_INVALID, NULL, "a condition must be given", 0}},
    {"content_rule_many", {PROVISION_IN_USE, NULL, "there are 5,000 content rules, or 100 of the customer", 0}},
    {"suspension_key", {PROVISION_TAKEN, "value", "it is suspended already", 0}},
    {"suspension_many", {PROVISION_IN_USE, NULL, "there are 1,000 suspensions: delete one first", 0}},
    {"queue_action_many",
     {PROVISION_IN_USE, NULL, "there are 1,000 actions: they go by themselves, after a day or a month", 0}},
    {"queue_action_started", {PROVISION_IN_USE, NULL, "it was started or stopped before", 0}},
    {"queue_action_count", {PROVISION_INVALID, "count", "is not what was counted", 0}},
    {"queue_action_over", {PROVISION_IN_USE, NULL, "it is over", 0}},
    {"queue_action_moved", {PROVISION_IN_USE, NULL, "another process was first", 0}},
    {"entry_held", {PROVISION_IN_USE, NULL, "it is held: release it", 0}},
    {"entry_mailbox", {PROVISION_IN_USE, NULL, "it is for a mailbox here", 0}},
    {"entry_not_held", {PROVISION_IN_USE, NULL, "it is not held", 0}},
    {"entry_released", {PROVISION_IN_USE, NULL, "its owner has released it", 0}},

    {"dns_list_key", {PROVISION_TAKEN, "zone", "the zone is listed with these answers", 0}},
    {"dns_list_many", {PROVISION_IN_USE, NULL, "there are 32 lists: delete one first", 0}},
    {"client_policy_key", {PROVISION_TAKEN, NULL, "there is a policy for that", 0}},
    {"client_policy_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has client policies", 0}},
    {"client_policy_greylist_at",
     {PROVISION_INVALID, "greylist_at", "must be given if greylist is \"suspects\", and only then", 0}},
    {"policy_domain", {PROVISION_INVALID, "domain", "the domain is gone", 0}},
    {"route_name_key", {PROVISION_TAKEN, "name", "the route exists", 0}},
    {"route_hop_pkey", {PROVISION_INVALID, "next_hops", "a next hop is listed twice", 0}},
    {"route_missing", {PROVISION_INVALID, "route", "there is no such route, or it is another customer's", 0}},
    {"route_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has routes", 0}},
    {"route_rule_key", {PROVISION_TAKEN, NULL, "there is a rule for that", 0}},
    {"route_rule_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has route rules", 0}},
    {"route_rule_account_fkey", {PROVISION_IN_USE, NULL, "the account still has a route rule", 0}},
    {"route_rule_route_fkey", {PROVISION_IN_USE, NULL, "a route rule still names the route", 0}},
    {"domain_route_fkey", {PROVISION_IN_USE, NULL, "a domain still names the route", 0}},
    {"hop_credential_name_key", {PROVISION_TAKEN, "name", "the credential exists", 0}},
    {"hop_credential_many", {PROVISION_IN_USE, NULL, "there are 10,000 credentials: delete one first", 0}},
    {"next_hop_credential_fkey", {PROVISION_IN_USE, NULL, "a domain's next hop names the credential", 0}},
    {"imap_access_credential_fkey", {PROVISION_IN_USE, NULL, "a domain's IMAP access names the credential", 0}},
    {"route_hop_credential_fkey", {PROVISION_IN_USE, NULL, "a route's next hop names the credential", 0}},
    {"absence_account_fkey", {PROVISION_INVALID, "account", "the account is gone", 0}},
    {"absence_many", {PROVISION_IN_USE, NULL, "the domain has 100 of them before it: delete one first", 0}},
    {"absence_overlap", {PROVISION_IN_USE, NULL, "the domain is absent at that time by another, or in a drill", 0}},
    {"webhook_many", {PROVISION_IN_USE, NULL, "there are 1,000 webhooks: delete one first", 0}},
    {"webhook_customer_fkey", {PROVISION_IN_USE, NULL, "the customer still has webhooks", 0}},
    {"webhook_disabled", {PROVISION_IN_USE, NULL, "it is switched off", 0}},
    {"network_cidr_key", {PROVISION_TAKEN, "cidr", "the network exists", 0}},

    {"grant_account", {PROVISION_INVALID, "account", "the customer has no such account", 0}},
    {"grant_domain", {PROVISION_INVALID, "domain", "the customer has no such domain", 0}},
    {"grant_changed", {PROVISION_IN_USE, NULL, "it was changed at the same moment: look, and try again", 0}},
    {"relay_grant_sender_domains", {PROVISION_INVALID, "sender_domains", GRANT_DOMAINS_RULE("senders"), 0}},
    {"relay_grant_recipient_domains", {PROVISION_INVALID, "recipient_domains", GRANT_DOMAINS_RULE("recipients"), 0}},
    {"relay_grant_time", {PROVISION_INVALID, "valid_until", "must be later than valid_from", 0}},
};

static void explain(const struct db_error *error, struct provision_refusal *refusal)
{
    for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].constraint, error->constraint) == 0) {
            *refusal = rules[i].refusal;
            return;
        }
    log_error("refused by an unknown rule", log_str("constraint", error->constraint),
              log_str("message", error->message));
    *refusal = (struct provision_refusal){PROVISION_IN_USE, NULL, "the database refused it", 0};
}

static const struct db_statement audit = {
    "provision_audit",
    "insert into audit_log (id, token_id, method, path, status)"
    " values ($1::bigint, $2::bigint, $3::text, $4::text, $5::integer)",
};
static const struct db_statement witness = {
    "provision_witness",
    "select 1 from audit_log where id = $1::bigint",
};

static AWAITS enum db_write settle(struct arena *arena, int64_t audit_id)
{
    struct params params;
    struct rows *rows = NULL;
    if (!db_certain_wait(PROVISION_CERTAIN_MS))
        return DB_UNCERTAIN;
    params_init(&params, arena);
    params_int64(&params, audit_id);
    switch (db_read(arena, &witness, &params, &rows)) {
    case DB_FOUND: return DB_DONE;
    case DB_NONE: return DB_UNDONE;
    case DB_FAILED: break;
    }
    return DB_UNCERTAIN;
}

AWAITS enum db_write provision_run(struct db_unit *unit, const struct provision_actor *actor,
                                   struct provision_refusal *refusal)
{
    int64_t audit_id = id_make(0);
    struct params *params = db_unit_add(unit, &audit);
    params_int64(params, audit_id);
    params_int64(params, actor->token_id);
    params_text(params, slice_str(actor->method));
    params_text(params, slice_str(actor->path));
    params_int32(params, (int32_t)actor->status);

    enum db_write result = DB_CONFLICT;
    for (unsigned i = 0; i < PROVISION_ATTEMPTS && result == DB_CONFLICT; i++)
        result = db_unit_run(unit);
    if (result == DB_UNCERTAIN)
        result = settle(unit->arena, audit_id);
    if (result != DB_REFUSED && result != DB_CONFLICT)
        cache_outdate();
    if (result == DB_REFUSED)
        explain(&unit->error, refusal);
    return result;
}

AWAITS enum db_write provision_remove(struct arena *arena, const struct db_statement *require,
                                      const struct db_statement *remove, int64_t id,
                                      const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    params_int64(db_unit_add(unit, require), id);
    params_int64(db_unit_add(unit, remove), id);
    return provision_run(unit, actor, refusal);
}

struct slice *provision_words(struct arena *arena, struct slice text, unsigned *count)
{
    *count = 0;
    if (text.n == 0)
        return NULL;
    unsigned n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ' ';
    struct slice *words = arena_array(arena, n, sizeof *words);
    while (*count < n) {
        const char *end = memchr(text.p, ' ', text.n);
        size_t length = end ? (size_t)(end - text.p) : text.n;
        words[(*count)++] = slice_of(text.p, length);
        text = slice_skip(text, length + 1);
    }
    return words;
}
