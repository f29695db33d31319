/*
 * queue_reroute: what waits for a route that is gone.
 *
 * A route is deleted while mail waits for it, or is accepted by who still remembered its rule.  Nothing is done about
 * the queue then, which may be long: who comes to deliver such mail finds the route gone, and moves the oldest of it in
 * that cell, REROUTED_MAX at once.  What he has in memory he gives back, and claims it again under its new destination,
 * or what is left under the old one.  So nothing waits for ever, and nothing is bounced for it.
 *
 * What an administrator had sent by it goes back to where it came from.  Else the rule is asked as at acceptance (ROUTE_RULE_FROM), of what is stored of the message.  Who wrote it is not: mail
 * from the null sender that nobody signed in for is taken for our own.  Recipients have A-labels, as acceptance made
 * them.
 */
#include "storage/queue_reroute.h"

#include "storage/db.h"
#include "storage/hint.h"
#include "storage/queue.h"
#include "storage/queue_internal.h"
#include "storage/route_rule.h"

#define REROUTED_MAX 1000

#define SENDER_DOMAIN "lower(substring(m.sender from '[^@]*$'))"
#define RECIPIENT_DOMAIN "lower(substring(e.recipient from '[^@]*$'))"
#define OURS "(m.sender = '' and m.account_id is null)"
#define RULES ROUTE_RULE_FROM("m.customer_id", "m.account_id", OURS, SENDER_DOMAIN, RECIPIENT_DOMAIN)
static const struct db_statement reroute = {
    "queue_reroute",
    "with moved as (update queue_entry e set destination = coalesce("
    "        nullif(e.redirected_from, $2::text), 'domain:' || e.domain_id, (select 'route:' || route_id from " RULES
    "),"
    "        case when $3::boolean then 'default' else 'mx:' || " RECIPIENT_DOMAIN " end), redirected_from = null"
    "   from message m where m.cell = e.cell and m.id = e.message_id and e.cell = $1::smallint"
    "    and e.id in (select id from queue_entry where cell = $1::smallint and destination = $2::text"
    "                 order by id limit $4::integer)"
    " returning e.destination)"
    " insert into destination (cell, key, due_at) select distinct $1::smallint, destination, now() from moved"
    " on conflict (cell, key) do nothing",
};

/* Who came as a probe has put it off for the time of his attempt. */
static const struct db_statement go_on = {
    "queue_reroute_go_on",
    "update destination set due_at = now(), failures = 0, last_error = null"
    " where cell = $1::smallint and key = $2::text",
};

enum db_write queue_reroute(unsigned cell, int64_t route_id, bool default_route)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &reroute);
    enum db_write written;

    params_int16(p, (int16_t)cell);
    params_text(p, queue_destination_route(arena, route_id));
    params_bool(p, default_route);
    params_int32(p, REROUTED_MAX);
    p = db_unit_add(unit, &go_on);
    params_int16(p, (int16_t)cell);
    params_text(p, queue_destination_route(arena, route_id));
    written = queue_run_patiently(unit);
    arena_free(&arena);
    if (written == DB_DONE)
        hint_queue_changed();
    return written;
}
