#ifndef STORAGE_ROUTE_RULE_H
#define STORAGE_ROUTE_RULE_H
/*
 * route_rule: which route mail to outside takes, by who sends it and where it goes.  Asked when it is accepted.  The
 * write side is storage/provision_route_rule.h; a route's next hops are in storage/directory_route.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

/* The kinds of a rule, in the order in which they are asked. */
enum route_rule_kind {
    ROUTE_RULE_ACCOUNT = 1,      /* of the customer's account that signed in */
    ROUTE_RULE_SENDER_DOMAIN,    /* of the sender's domain */
    ROUTE_RULE_CUSTOMER,         /* of all that is the customer's */
    ROUTE_RULE_RECIPIENT_DOMAIN, /* of the recipient's domain: the customer's own rule, then everybody's */
};

struct route_rule_mail {
    int64_t customer_id; /* whose mail it is */
    int64_t account_id;  /* who signed in; 0: nobody did */
    bool ours;           /* we write it ourselves, on the customer's behalf: it has no sender that a rule is for */
    struct slice sender_domain; /* empty: null sender */
    struct slice recipient_domain;
};
struct route_rule_found {
    int64_t rule_id, route_id;
    enum route_rule_kind kind;
};
/* NONE: no rule is for it.  Domains in any spelling. */
AWAITS enum db_status route_rule_find(struct arena *arena, const struct route_rule_mail *mail,
                                      struct route_rule_found *out) __attribute__((warn_unused_result));

/*
 * For SQL that asks the same: what follows "select id, route_id, kind from", of at most one row; SQL expressions for
 * the mail.  account and sender_domain null: none.
 */
#define ROUTE_RULE_FROM(customer, account, ours, sender_domain, recipient_domain)                                      \
    "(select id, route_id, 1 as kind from route_rule where account_id = " account " and customer_id = " customer       \
    "    and not " ours " union all select id, route_id, 2 from route_rule where customer_id = " customer              \
    "    and sender_domain = " sender_domain " and not " ours                                                          \
    " union all select id, route_id, 3 from route_rule where customer_id = " customer                                  \
    "    and num_nonnulls(account_id, sender_domain, recipient_domain) = 0 and not " ours                              \
    " union all select id, route_id, 4 from route_rule where customer_id = " customer                                  \
    "    and recipient_domain = " recipient_domain                                                                     \
    " union all select id, route_id, 5 from route_rule where customer_id is null"                                      \
    "    and recipient_domain = " recipient_domain ") rules order by kind limit 1"

#endif
