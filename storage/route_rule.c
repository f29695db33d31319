/*
 * route_rule: the rule that holds for a message and a recipient.
 *
 * One statement asks for all kinds, each by its own part of the index, and the most specific one is taken: who sends
 * goes before where it goes.  So a smart host that a customer must use is used for all that is his, whatever there is
 * for the recipient's domain.  What is found is remembered (storage/cache.h).
 *
 * A rule by sender belongs to a customer and is for mail that is his: nobody can take another's smart host by the name
 * of its sender.
 */
#include "storage/route_rule.h"

#include "core/idn.h"
#include "storage/cache.h"
#include "storage/db.h"

#define RULES ROUTE_RULE_FROM("$1::bigint", "$2::bigint", "$3::boolean", "$4::text", "$5::text")
static const struct db_statement find = {
    "route_rule_find",
    "select id, route_id, kind from " RULES,
};

/* As name_domain() makes it; what it does not take is in no rule. */
static struct slice spelled(struct arena *arena, struct slice domain)
{
    struct slice key;

    if (!domain.n)
        return SLICE("");
    return idn_domain(arena, domain, &key) ? key : arena_lower(arena, domain);
}

AWAITS enum db_status route_rule_find(struct arena *arena, const struct route_rule_mail *mail,
                                      struct route_rule_found *out)
{
    struct params params;
    struct rows *rows = NULL;

    *out = (struct route_rule_found){0};
    params_init(&params, arena);
    params_int64(&params, mail->customer_id);
    params_int64(&params, mail->account_id);
    params_bool(&params, mail->ours);
    params_text(&params, spelled(arena, mail->sender_domain));
    params_text(&params, spelled(arena, mail->recipient_domain));
    enum db_status status = cache_read(arena, &find, &params, 0, &rows);
    if (status != DB_FOUND)
        return status;
    int64_t kind = row_int64(rows, 0, 2);
    *out = (struct route_rule_found){
        .rule_id = row_int64(rows, 0, 0),
        .route_id = row_int64(rows, 0, 1),
        .kind = kind > ROUTE_RULE_RECIPIENT_DOMAIN ? ROUTE_RULE_RECIPIENT_DOMAIN : (enum route_rule_kind)kind,
    };
    return DB_FOUND;
}
