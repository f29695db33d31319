/*
 * outgoing: the order of routing.
 *
 *     1  a rule of who sends: the account that signed in, the sender's domain, the customer     route:ID
 *     2  a rule of the recipient's domain: the customer's, everybody's                          route:ID
 *     3  the default route of the configuration                                                 default
 *     4  MX                                                                                     mx:DOMAIN
 *
 * This is for mail to outside.  Mail for a domain that this server stores or relays is not asked about, whoever sends
 * it: a customer's smart host would bring it back at best, and what is held while its primary is away would be lost to
 * who reads it here.  Its next hops are the domain's own, or those of the route that it names (domain:ID).
 *
 * What goes outside by an alias is the mail of the alias's customer, and so are its rules (permit_outside_customer()).
 * The account that signed in counts with its own customer only.
 */
#include "relay/outgoing.h"

#include "storage/name.h"
#include "storage/queue.h"

struct route_rule_mail outgoing_mail(const struct permit *permit, const struct authorize_decision *decision,
                                     const struct resolve_target *target, struct slice domain)
{
    unsigned cell;

    return (struct route_rule_mail){
        .customer_id = permit_outside_customer(permit, decision, target, &cell),
        .account_id = permit->account ? permit->account->id : 0,
        .sender_domain = permit->sender_domain,
        .recipient_domain = target->by ? name_address_domain(target->address) : domain,
    };
}

AWAITS bool outgoing_find(struct arena *arena, const struct route_rule_mail *mail, bool default_route,
                          struct outgoing *out)
{
    *out = (struct outgoing){{NULL, 0}, {0, 0, 0}};
    switch (route_rule_find(arena, mail, &out->rule)) {
    case DB_FOUND: out->destination = queue_destination_route(arena, out->rule.route_id); return true;
    case DB_NONE: break;
    case DB_FAILED: return false;
    }
    out->destination = default_route ? QUEUE_DESTINATION_DEFAULT : queue_destination_mx(arena, mail->recipient_domain);
    return true;
}
