/*
 * smtp_limit: the limits of relay grants once more, at the end of data.
 *
 * RCPT has asked already, but between RCPT and the end of data there is as much time as the client likes: whoever
 * opens a hundred connections, has a recipient taken on each, and sends then, would pass a limit a hundred times.  So
 * what was used is read again, and what this worker is accepting at this moment is added.  What remains is what other
 * workers accept within the few milliseconds of a transaction.
 *
 * What is found here is said for the message as a whole, with the action of the grant; but 451 where another grant
 * might permit the message, or only what is under way makes it too much: the next RCPT knows.  What is under way may
 * be counted twice if it is committed just then, which puts off a message, near the limit, that would have fitted.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"

/* By one grant, of one session. */
struct use {
    struct use *next;
    const struct smtp_session *session;
    int64_t grant_id, account_id;
    unsigned recipients;
    uint64_t size;
};

static struct use *under_way; /* of all sessions of this worker, from here to smtp_limit_done() */

struct share {
    unsigned recipients, held;
};

static struct share share_of(const struct smtp_transaction *transaction, const struct directory_grant *grant)
{
    struct share share = {0};

    for (const struct smtp_recipient *r = transaction->recipients; r; r = r->next)
        if (r->first && r->grant == grant) {
            share.recipients++;
            share.held += r->held_limit != NULL;
        }
    return share;
}

/* What others have under way, and then this message, too. */
static struct use add(struct smtp_session *session, const struct directory_grant *grant, unsigned recipients,
                      unsigned *messages)
{
    struct use sum = {0}, *mine = arena_alloc(session->transaction_arena, sizeof *mine);

    *messages = 0;
    for (const struct use *other = under_way; other; other = other->next)
        if (other->grant_id == grant->id && other->account_id == grant->counted_for) {
            ++*messages;
            sum.recipients += other->recipients;
            sum.size += other->size;
        }
    *mine = (struct use){under_way, session, grant->id, grant->counted_for, recipients, session->transaction->size};
    under_way = mine;
    return sum;
}

void smtp_limit_done(const struct smtp_session *session)
{
    for (struct use **link = &under_way; *link;)
        if ((*link)->session == session)
            *link = (*link)->next;
        else
            link = &(*link)->next;
}

static void hold(struct smtp_transaction *transaction, const struct directory_grant *grant, const char *limit)
{
    for (struct smtp_recipient *r = transaction->recipients; r; r = r->next)
        if (r->grant == grant && !r->held_limit)
            r->held_limit = limit;
}

static void refuse(struct smtp_session *session, struct authorize_decision *decision, bool for_good)
{
    if (!for_good) {
        decision->code = 451;
        decision->enhanced = "4.7.1";
    }
    if (decision->code < 500)
        smtp_counters.messages_deferred++;
    else
        smtp_counters.messages_refused++;
    log_info("message refused", log_slice("sender", session->transaction->sender.address),
             log_str("reason", decision->reason), log_str("limit", decision->limit));
    smtp_refuse(session, "DATA", slice_of(NULL, 0), 0, decision);
}

static bool judge(struct smtp_session *session, const struct directory_grant *grant, const struct use *others,
                  unsigned messages)
{
    struct smtp_transaction *transaction = session->transaction;
    struct share share = share_of(transaction, grant);
    struct authorize_decision decision, alone;
    struct directory_grant with_others = *grant;

    for (unsigned i = 0; i < DIRECTORY_SPANS; i++) {
        with_others.used.messages[i] += messages;
        with_others.used.recipients[i] += others->recipients;
    }
    with_others.used.bytes_day += others->size;
    authorize_message(session->command, &with_others, share.recipients, share.held, transaction->size, &decision);
    decision.grant = grant;
    if (decision.held)
        hold(transaction, grant, decision.limit);
    if (decision.verdict == AUTHORIZE_ALLOWED)
        return true;
    authorize_message(session->command, grant, share.recipients, share.held, transaction->size, &alone);
    refuse(session, &decision, alone.verdict != AUTHORIZE_ALLOWED && transaction->permit.grants.count == 1);
    return false;
}

AWAITS bool smtp_limit_permitted(struct smtp_session *session)
{
    struct permit *permit = &session->transaction->permit;
    struct use others[DIRECTORY_GRANTS_MAX];
    unsigned messages[DIRECTORY_GRANTS_MAX];
    bool asked[DIRECTORY_GRANTS_MAX] = {false}, any = false;

    for (unsigned i = 0; i < permit->grants.count && i < DIRECTORY_GRANTS_MAX; i++) {
        const struct directory_grant *grant = &permit->grants.list[i];
        struct share share = share_of(session->transaction, grant);

        if (!grant->counted || !share.recipients)
            continue;
        any = asked[i] = true;
        others[i] = add(session, grant, share.recipients, &messages[i]);
    }
    if (!any)
        return true;
    if (!permit_usage(session->command, permit)) {
        smtp_counters.messages_deferred++;
        smtp_reply(session, 451, "4.3.0", "Temporary lookup failure, try again later");
        return false;
    }
    for (unsigned i = 0; i < permit->grants.count && i < DIRECTORY_GRANTS_MAX; i++)
        if (asked[i] && !judge(session, &permit->grants.list[i], &others[i], messages[i]))
            return false;
    return true;
}
