/*
 * grant: the options of `create` (relay-grants, relay-checks, app-passwords, certificates, aliases, groups,
 * allowed-networks, dns-lists, client-policies, delivery-policies, route-rules, domains), of `change` and `queue hold`, as
 * a table: each becomes a member of the same name, with '_' for '-'.
 *
 * What may be given together, and which words are allowed, is the API's business.
 */
#include "admin-api/cli/grant.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *option, *member;
    enum { TEXT, NONE_OR_TEXT, NUMBER, NONE_OR_NUMBER, FLAG, NO_FLAG, NONE, LIST } kind; /* NONE_OR: empty is null */
    struct json_object *value;
} members[] = {
    {"--account", "account", TEXT, NULL},
    {"--network", "network", TEXT, NULL},
    {"--certificate", "certificate", TEXT, NULL},
    {"--senders", "senders", TEXT, NULL},
    {"--sender-domain", "sender_domains", LIST, NULL},
    {"--recipients", "recipients", TEXT, NULL},
    {"--recipient-domain", "recipient_domains", LIST, NULL},
    {"--size-max", "size_max", NUMBER, NULL},
    {"--recipients-max", "recipients_max", NUMBER, NULL},
    {"--at-limit", "at_limit", TEXT, NULL},
    {"--hold-seconds", "hold_seconds", NUMBER, NULL},
    {"--hold-then", "hold_then", TEXT, NULL},
    {"--until", "until", TEXT, NULL},
    {"--then", "then", TEXT, NULL},
    {"--reason", "reason", TEXT, NULL},
    {"--approval", "approval", FLAG, NULL},
    {"--quarantine", "quarantine", FLAG, NULL},
    {"--held-by", "held_by", TEXT, NULL},
    {"--quarantined", "quarantined", FLAG, NULL},
    {"--not-quarantined", "quarantined", NO_FLAG, NULL},
    {"--message", "message", TEXT, NULL},
    {"--group", "group", TEXT, NULL},
    {"--tls-required", "tls_required", FLAG, NULL},
    {"--valid-from", "valid_from", TEXT, NULL},
    {"--valid-until", "valid_until", TEXT, NULL},
    {"--counted-by", "counted_by", TEXT, NULL},
    {"--messages-per-minute", "messages_per_minute", NUMBER, NULL},
    {"--messages-per-hour", "messages_per_hour", NUMBER, NULL},
    {"--messages-per-day", "messages_per_day", NUMBER, NULL},
    {"--recipients-per-minute", "recipients_per_minute", NUMBER, NULL},
    {"--recipients-per-hour", "recipients_per_hour", NUMBER, NULL},
    {"--recipients-per-day", "recipients_per_day", NUMBER, NULL},
    {"--bytes-per-day", "bytes_per_day", NUMBER, NULL},
    {"--target", "targets", LIST, NULL},
    {"--member", "members", LIST, NULL},
    {"--sender", "sender", TEXT, NULL},
    {"--client", "client", TEXT, NULL},
    {"--size", "size", NUMBER, NULL},
    {"--at", "at", TEXT, NULL},
    {"--fingerprint", "fingerprint", TEXT, NULL},
    {"--address", "address", TEXT, NULL},
    {"--scope", "scopes", LIST, NULL},
    {"--from", "networks", LIST, NULL},
    {"--score", "score", NUMBER, NULL},
    {"--answer", "answers", LIST, NULL},
    {"--refuse-at", "refuse_at", NUMBER, NULL},
    {"--reverse-name", "reverse_name", TEXT, NULL},
    {"--reverse-score", "reverse_score", NUMBER, NULL},
    {"--greylist", "greylist", TEXT, NULL},
    {"--greylist-at", "greylist_at", NUMBER, NULL},
    {"--greylist-delay", "greylist_delay", NUMBER, NULL},
    {"--greylist-passes", "greylist_passes", NUMBER, NULL},
    {"--label", "label", TEXT, NULL},
    {"--expires-at", "expires_at", TEXT, NULL},
    {"--kind", "kind", TEXT, NULL},
    {"--state", "state", TEXT, NULL},
    {"--page-size", "limit", NUMBER, NULL},
    {"--after", "cursor", TEXT, NULL},
    {"--bounce", "bounce", FLAG, NULL},
    {"--no-bounce", "bounce", NO_FLAG, NULL},
    {"--priority", "priority", NUMBER, NULL},
    {"--count", "count", NUMBER, NULL},
    {"--destination", "destination", TEXT, NULL},
    {"--actor", "actor", TEXT, NULL},
    {"--action", "action", TEXT, NULL},
    {"--object", "object", TEXT, NULL},
    {"--older-than", "older_than", TEXT, NULL},
    {"--newer-than", "newer_than", TEXT, NULL},
    {"--valid-recipients", "recipients", TEXT, NULL},
    {"--unknown-while-away", "unknown_while_away", TEXT, NULL},
    {"--alias-of", "target", TEXT, NULL},
    {"--catch-all", "catch_all", NONE_OR_TEXT, NULL},
    {"--collector", "collector", NONE_OR_TEXT, NULL},
    {"--lifetime", "lifetime", NONE_OR_NUMBER, NULL},
    {"--delay-notice", "delay_notice", NONE_OR_NUMBER, NULL},
    {"--retry-first", "retry_first", NONE_OR_NUMBER, NULL},
    {"--tls", "tls", NONE_OR_TEXT, NULL},
    {"--retry-max", "retry_max", NONE_OR_NUMBER, NULL},
    {"--force", "force", TEXT, NULL},
    {"--starts-at", "starts_at", TEXT, NULL},
    {"--ends-at", "ends_at", TEXT, NULL},
    {"--seconds", "seconds", NUMBER, NULL},
    {"--endpoint", "url", TEXT, NULL},
    {"--event", "events", LIST, NULL},
    {"--all-events", "events", NONE, NULL},
    {"--enable", "enabled", FLAG, NULL},
    {"--disable", "enabled", NO_FLAG, NULL},
    {"--new-secret", "secret", NONE, NULL},
    {"--transaction-recipients", "transaction_recipients", NONE_OR_NUMBER, NULL},
    {"--connection-messages", "connection_messages", NONE_OR_NUMBER, NULL},
    {"--probe-interval", "probe_interval", NONE_OR_NUMBER, NULL},
    {"--check-interval", "check_interval", NONE_OR_NUMBER, NULL},
    {"--probe-address", "probe_address", NONE_OR_TEXT, NULL},
    {"--down-after", "down_after", NONE_OR_NUMBER, NULL},
    {"--up-after", "up_after", NONE_OR_NUMBER, NULL},
    {"--slow-after", "slow_after", NONE_OR_NUMBER, NULL},
    {"--host", "host", TEXT, NULL},
    {"--port", "port", NUMBER, NULL},
    {"--credential", "credential", TEXT, NULL},
    {"--sign-in", "sign_in", TEXT, NULL},
    {"--deleted-mail", "deleted_mail", NONE_OR_TEXT, NULL},
    {"--deleted-hold-days", "deleted_hold_days", NONE_OR_NUMBER, NULL},
    {"--deleted-then", "deleted_then", NONE_OR_TEXT, NULL},
    {"--copy-keep-days", "copy_keep_days", NONE_OR_NUMBER, NULL},
    {"--accounts", "accounts", NONE_OR_TEXT, NULL},
    {"--accounts-max", "accounts_max", NONE_OR_NUMBER, NULL},
    {"--pace", "pace", TEXT, NULL},
    {"--newest-first", "newest_first", FLAG, NULL},
    {"--oldest-first", "newest_first", NO_FLAG, NULL},
    {"--check-password", "check_password", NONE_OR_TEXT, NULL},
    {"--check-host", "check_host", NONE_OR_TEXT, NULL},
    {"--check-port", "check_port", NONE_OR_NUMBER, NULL},
    {"--show-held", "show_held", FLAG, NULL},
    {"--direction", "direction", TEXT, NULL},
    {"--header", "header", NONE_OR_TEXT, NULL},
    {"--header-pattern", "header_pattern", NONE_OR_TEXT, NULL},
    {"--sender-pattern", "sender_pattern", NONE_OR_TEXT, NULL},
    {"--recipient-pattern", "recipient_pattern", NONE_OR_TEXT, NULL},
    {"--attachment-name-pattern", "attachment_name_pattern", NONE_OR_TEXT, NULL},
    {"--attachment-type-pattern", "attachment_type_pattern", NONE_OR_TEXT, NULL},
    {"--size-over", "size_over", NONE_OR_NUMBER, NULL},
    {"--action", "action", TEXT, NULL},
    {"--no-show-held", "show_held", NO_FLAG, NULL},
    {"--show-quarantine", "show_quarantine", FLAG, NULL},
    {"--no-show-quarantine", "show_quarantine", NO_FLAG, NULL},
    {"--owner-may-release", "owner_may_release", NONE_OR_TEXT, NULL},
    {"--least-messages", "messages", NUMBER, NULL},
    {"--least-recipients", "recipients", NUMBER, NULL},
    {"--least-failures", "failures", NUMBER, NULL},
    {"--factor", "factor", NUMBER, NULL},
    {"--countries", "countries", NUMBER, NULL},
    {"--open-seconds", "open_seconds", NONE_OR_NUMBER, NULL},
    {"--notify", "notify", NONE_OR_TEXT, NULL},
    {"--learn", "learn", FLAG, NULL},
    {"--route", "route", NONE_OR_TEXT, NULL},
    {"--user", "user", TEXT, NULL},
    {"--mechanism", "mechanism", NONE_OR_TEXT, NULL},
    {"--source-address", "source_addresses", LIST, NULL},
    {"--token-url", "token_url", TEXT, NULL},
    {"--client-id", "client_id", TEXT, NULL},
    {"--oauth-scope", "scope", NONE_OR_TEXT, NULL},
    {"--from-domain", "sender_domain", TEXT, NULL},
    {"--to-domain", "recipient_domain", TEXT, NULL},
    {"--subaddress-separator", "subaddress_separator", NONE_OR_TEXT, NULL},
};
#define MEMBERS (sizeof members / sizeof *members)
static bool emptied[MEMBERS];

/* What is no number goes as it is: the API says what is wrong with it, and with which field. */
static struct json_object *number_or_text(const char *text)
{
    char *end = NULL;
    long long number = strtoll(text, &end, 10);
    return end != text && !*end ? json_object_new_int64(number) : json_object_new_string(text);
}

int grant_option(const char *option, const char *value)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (strcmp(members[i].option, option) != 0)
            continue;
        bool alone = members[i].kind == FLAG || members[i].kind == NO_FLAG || members[i].kind == NONE;
        if (!alone && !value)
            return 0;
        struct json_object *before = members[i].value;
        switch (members[i].kind) {
        case TEXT: members[i].value = json_object_new_string(value); break;
        case NONE_OR_TEXT:
            members[i].value = *value ? json_object_new_string(value) : NULL;
            emptied[i] = !*value;
            break;
        case NONE_OR_NUMBER:
            members[i].value = *value ? number_or_text(value) : NULL;
            emptied[i] = !*value;
            break;
        case NUMBER: members[i].value = number_or_text(value); break;
        case FLAG: members[i].value = json_object_new_boolean(1); break;
        case NO_FLAG: members[i].value = json_object_new_boolean(0); break;
        case NONE:
            members[i].value = NULL;
            emptied[i] = true;
            break;
        case LIST:
            if (!before)
                members[i].value = json_object_new_array();
            if (*value) /* an empty one: none */
                json_object_array_add(members[i].value, json_object_new_string(value));
            before = NULL;
            break;
        }
        json_object_put(before);
        return alone ? 1 : 2;
    }
    return 0;
}

char *grant_take(const char *member)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        if (members[i].value && strcmp(members[i].member, member) == 0) {
            char *text = strdup(json_object_get_string(members[i].value));
            json_object_put(members[i].value);
            members[i].value = NULL;
            return text;
        }
    return NULL;
}

void grant_put(struct json_object *body)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        if (members[i].value || emptied[i])
            json_object_object_add(body, members[i].member, json_object_get(members[i].value));
}
