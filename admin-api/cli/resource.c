/*
 * resource: the resources of the API as the command line shows them.
 *
 * A new resource is a line of the table here and a line in usage.c; tests hold the shell completion and the man page
 * against --help.  What a resource needs beyond its table (a member that depends on another, a password) is in body.c.
 */
#include "admin-api/cli/resource.h"

#include <stddef.h>
#include <string.h>

#define MAY(verb) (1u << (verb))
#define NAMELESS (MAY(VERB_LIST) | MAY(VERB_REPLACE) | MAY(VERB_FORGET) | MAY(VERB_RESEAL))
#define ALL_FOUR (MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_CREATE) | MAY(VERB_DELETE))

static const char *const verb_names[] = {"list",     "show",     "create", "change",  "delete", "replace", "forget",
                                         "events",   "attempts", "hold",   "release", "reject", "expire",  "retry",
                                         "cancel",   "redirect", "priority", "start", "stop",   "test",    "force",
                                         "reseal"};
#define VERBS (sizeof verb_names / sizeof *verb_names)

static const struct resource resources[] = {
    {"customers",
     "/v1/customers",
     ALL_FOUR | MAY(VERB_CHANGE),
     "name",
     {NULL},
     {"id", "name", "state", "created_at", NULL}},
    {"domains",
     "/v1/domains",
     ALL_FOUR | MAY(VERB_CHANGE),
     "name",
     {"customer", NULL},
     {"id", "name", "kind", "next_hops", "outage", NULL}},
    {"recipients",
     "/v1/domains/%s/recipients",
     ALL_FOUR | MAY(VERB_REPLACE),
     "address",
     {NULL},
     {"address", "created_at", NULL}},
    {"learned-recipients",
     "/v1/domains/%s/learned-recipients",
     MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_DELETE) | MAY(VERB_FORGET),
     NULL,
     {NULL},
     {"address", "valid", "learned_at", "until", NULL}},
    {"accounts",
     "/v1/accounts",
     ALL_FOUR,
     "address",
     {"customer", "domain", NULL},
     {"id", "address", "state", "password_scheme", "aliases", NULL}},
    {"app-passwords",
     "/v1/accounts/%s/app-passwords",
     ALL_FOUR,
     "label",
     {NULL},
     {"id", "label", "scopes", "networks", "expires_at", "last_used_at", NULL}},
    {"certificates",
     "/v1/accounts/%s/certificates",
     ALL_FOUR,
     "label",
     {NULL},
     {"id", "label", "fingerprint", "address", "scopes", "last_used_at", NULL}},
    {"invitations",
     "/v1/accounts/%s/invitations",
     ALL_FOUR,
     "expires_at",
     {NULL},
     {"id", "address", "created_at", "expires_at", NULL}},
    {"domain-invitations", "/v1/domains/%s/invitations", MAY(VERB_CREATE), "expires_at", {NULL}, {NULL}},
    {"aliases", "/v1/aliases", ALL_FOUR, "address", {"customer", "domain", NULL}, {"id", "address", "targets", NULL}},
    {"groups",
     "/v1/groups",
     ALL_FOUR,
     "address",
     {"customer", "domain", NULL},
     {"id", "address", "senders", "members", NULL}},
    {"networks", "/v1/networks", ALL_FOUR, "cidr", {"customer", NULL}, {"id", "cidr", "customer", NULL}},
    {"allowed-networks",
     "/v1/allowed-networks",
     ALL_FOUR,
     "network",
     {"customer", NULL},
     {"id", "network", "customer", "label", "valid_until", NULL}},
    {"dns-lists", "/v1/dns-lists", ALL_FOUR, "zone", {NULL}, {"id", "zone", "answers", "score", "label", NULL}},
    {"client-policies",
     "/v1/client-policies",
     ALL_FOUR,
     "label",
     {"customer", NULL},
     {"id", "label", "customer", "domain", "refuse_at", "reverse_name", "greylist", NULL}},
    {"routes",
     "/v1/routes",
     ALL_FOUR | MAY(VERB_CHANGE),
     "name",
     {"customer", NULL},
     {"id", "name", "customer", "next_hops", NULL}},
    {"credentials",
     "/v1/credentials",
     ALL_FOUR | MAY(VERB_CHANGE) | MAY(VERB_RESEAL),
     "name",
     {NULL},
     {"id", "name", "kind", "user", "mechanism", "tls", "key", "key_current", NULL}},
    {"route-rules",
     "/v1/route-rules",
     ALL_FOUR | MAY(VERB_CHANGE),
     "route",
     {"customer", NULL},
     {"id", "customer", "account", "sender_domain", "recipient_domain", "route", NULL}},
    {"relay-grants",
     "/v1/relay-grants",
     ALL_FOUR,
     "label",
     {"customer", NULL},
     {"id", "label", "customer", "account", "domain", "network", "certificate", "senders", "recipients", NULL}},
    {"relay-checks", "/v1/relay-checks", MAY(VERB_CREATE), "recipient", {NULL}, {NULL}},
    {"decision", "/v1/decisions", MAY(VERB_SHOW), NULL, {NULL}, {NULL}},
    {"queue",
     "/v1/queue",
     MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_ATTEMPTS) | MAY(VERB_HOLD) | MAY(VERB_RELEASE) | MAY(VERB_REJECT) |
         MAY(VERB_EXPIRE) |
         MAY(VERB_RETRY) | MAY(VERB_CANCEL) | MAY(VERB_REDIRECT) | MAY(VERB_PRIORITY),
     NULL,
     {"domain", "customer", "sender", "state", "held_by", "quarantined", "message", "account", "destination", "older_than",
      "newer_than", NULL},
     {"id", "message", "sender", "recipient", "state", "held", "attempts", "due_at", "last_reply", NULL}},
    {"queue-actions",
     "/v1/queue-actions",
     MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_CREATE) | MAY(VERB_START) | MAY(VERB_STOP),
     "action",
     {NULL},
     {"id", "action", "state", "count", "done", "skipped", "created_at", "ended_at", NULL}},
    {"delivery-policies",
     "/v1/delivery-policies",
     ALL_FOUR | MAY(VERB_CHANGE),
     "domain",
     {NULL},
     {"id", "domain", "tls", "lifetime", "delay_notice", "retry_first", "retry_max", "label", NULL}},
    {"imap-access",
     "/v1/domains/%s/imap-access",
     MAY(VERB_SHOW) | MAY(VERB_CHANGE) | MAY(VERB_DELETE) | RESOURCE_SINGLE,
     NULL,
     {NULL},
     {NULL}},
    {"health",
     "/v1/domains/%s/health",
     MAY(VERB_SHOW) | MAY(VERB_FORCE) | MAY(VERB_EVENTS) | RESOURCE_SINGLE,
     NULL,
     {NULL},
     {"at", "type", "detail", "outage", NULL}},
    {"maintenance-windows",
     "/v1/domains/%s/maintenance-windows",
     ALL_FOUR,
     "reason",
     {NULL},
     {"id", "starts_at", "ends_at", "reason", "outage", NULL}},
    {"drills",
     "/v1/drills",
     ALL_FOUR,
     "domain",
     {"domain", NULL},
     {"id", "domain", "starts_at", "ends_at", "outage", NULL}},
    {"continuity-policies",
     "/v1/domains/%s/continuity-policy",
     MAY(VERB_SHOW) | MAY(VERB_CHANGE) | MAY(VERB_DELETE) | RESOURCE_SINGLE,
     NULL,
     {NULL},
     {NULL}},
    {"content-rules",
     "/v1/content-rules",
     ALL_FOUR | MAY(VERB_CHANGE),
     "label",
     {"customer", NULL},
     {"id", "label", "customer", "domain", "direction", "priority", "action", "reason", NULL}},
    {"held-accounts",
     "/v1/held-accounts",
     ALL_FOUR,
     "account",
     {NULL},
     {"account", "address", "by", "reason", "then", "created_at", NULL}},
    {"suspensions",
     "/v1/suspensions",
     ALL_FOUR,
     "value",
     {NULL},
     {"id", "kind", "value", "reason", "expires_at", "created_at", NULL}},
    {"webhooks",
     "/v1/webhooks",
     ALL_FOUR | MAY(VERB_CHANGE) | MAY(VERB_TEST),
     "url",
     {"customer", NULL},
     {"id", "url", "events", "enabled", "pending", "failures", "last_error", NULL}},
    {"message",
     "/v1/messages",
     MAY(VERB_SHOW) | MAY(VERB_EVENTS),
     NULL,
     {NULL},
     {"at", "kind", "recipient", "detail", NULL}},
    {"audit-log",
     "/v1/audit-log",
     MAY(VERB_LIST),
     NULL,
     {"actor", "action", "object", "older_than", "newer_than", NULL},
     {"at", "label", "action", "object", "status", "detail", NULL}},
    {"bans",
     "/v1/bans",
     MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_DELETE),
     NULL,
     {NULL},
     {"id", "kind", "client", "login", "failures", "until", NULL}},
    {"outage-drains",
     "/v1/outages/%s/drain",
     MAY(VERB_SHOW) | MAY(VERB_CHANGE) | RESOURCE_SINGLE,
     NULL,
     {NULL},
     {NULL}},
    {"outages",
     "/v1/outages",
     MAY(VERB_LIST) | MAY(VERB_SHOW),
     NULL,
     {"customer", "domain", "open", "state", NULL},
     {"id", "domain", "started_at", "ended_at", "detection", "held", "drained", "reason", NULL}},
};
#define RESOURCES (sizeof resources / sizeof *resources)

const struct resource *resource_find(const char *name)
{
    for (unsigned i = 0; i < RESOURCES; i++)
        if (strcmp(resources[i].name, name) == 0)
            return &resources[i];
    return NULL;
}

bool resource_verb(const struct resource *resource, const char *word, enum verb *verb)
{
    for (unsigned i = 0; i < VERBS; i++)
        if (strcmp(verb_names[i], word) == 0) {
            *verb = (enum verb)i;
            return resource->verbs & MAY(i);
        }
    return false;
}

bool resource_takes_name(enum verb verb)
{
    return !(MAY(verb) & NAMELESS);
}

const char *resource_verb_name(enum verb verb)
{
    return verb_names[verb];
}
