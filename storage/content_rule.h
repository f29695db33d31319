#ifndef STORAGE_CONTENT_RULE_H
#define STORAGE_CONTENT_RULE_H
/*
 * content_rule: what a customer wants to be held, quarantined or refused for what it is.
 *
 * A rule is for mail that comes in for the customer's recipients, or that its senders send, in one of its domains or
 * all.  All conditions that are given must hold.  Each worker has all rules in memory, with their patterns compiled
 * (storage/known.h): asking costs no round trip, and a change is known within a second.  relay/content_match.h decides.
 * The write side is storage/provision_content_rule.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/pattern.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/hold.h"
#include "storage/status.h"

#define CONTENT_RULES_MAX 5000
#define CONTENT_RULES_OF_CUSTOMER_MAX 100

enum content_pattern {
    CONTENT_HEADER, /* of the value of a field of the rule's name */
    CONTENT_SENDER,
    CONTENT_RECIPIENT,
    CONTENT_ATTACHMENT_NAME,
    CONTENT_ATTACHMENT_TYPE,
    CONTENT_PATTERNS
};
enum content_action { CONTENT_DO_HOLD, CONTENT_DO_QUARANTINE, CONTENT_DO_REFUSE };

struct content_rule {
    int64_t id, customer_id;
    int64_t domain_id; /* 0: all of the customer's */
    struct slice domain, label;
    bool outgoing;
    int32_t priority;                           /* lower is asked first */
    struct slice header;                        /* a field's name, with CONTENT_HEADER */
    struct slice text[CONTENT_PATTERNS];        /* {NULL,0}: no such condition */
    struct pattern *compiled[CONTENT_PATTERNS]; /* of rules in memory; NULL with it */
    int64_t size_over;                          /* bytes; -1: no such condition */
    enum content_action action;
    struct slice reason; /* told to the client that is refused, else to administrators */
    int64_t hold_ms;     /* HOLD, QUARANTINE: so long at most, then: */
    enum hold_then then;
    int64_t created_ms;
};

/* As in the database and the API. */
const char *content_action_word(enum content_action action);
bool content_action_parse(struct slice word, enum content_action *out) __attribute__((warn_unused_result));
/* "header_pattern" and so on: the column and the member. */
const char *content_pattern_name(enum content_pattern which);

/* In the order in which they are asked; *count 0: none.  Valid until the next wait. */
const struct content_rule *content_rules_of(int64_t customer_id, unsigned *count);

/* For storage/known.c. */
AWAITS enum db_status content_rule_read(struct arena *arena) __attribute__((warn_unused_result));

struct rows;
/* For storage only: a row of CONTENT_RULE_COLUMNS, from content_rule c and domain d. */
#define CONTENT_RULE_COLUMNS                                                                                           \
    "c.id, c.customer_id, c.domain_id, d.name, c.label, c.outgoing, c.priority, c.header, c.header_pattern,"           \
    " c.sender_pattern, c.recipient_pattern, c.attachment_name_pattern, c.attachment_type_pattern, c.size_over,"       \
    " c.action, c.reason, c.hold_seconds, c.hold_then, c.created_at"
void content_rule_of_row(const struct rows *rows, unsigned row, struct content_rule *out);

#endif
