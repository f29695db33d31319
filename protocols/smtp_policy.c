/*
 * smtp_policy: what is held, or refused, whoever permitted it, because of who sends it and what it is.
 *
 * Asked once, at the end of data and before 250.  What an account submits that is thought to be compromised
 * (storage/held_account.h) is taken as ever and held for approval; so an account that is marked while its session is
 * open is held from that moment on.  The client is not told: who has stolen a password would take the next one.  So it
 * is with an account whose sending leaves its own pattern (relay/breaker_watch.h): that is written before the message
 * is held for it.
 *
 * Then content rules (relay/content_match.h): those of the recipient's customer for what comes in for one of our
 * domains, and those of the sender's for what goes out by its accounts and networks.  A message may be both, and is
 * asked for both: one that refuses goes before one that holds, and then the sender's before the recipient's, as a
 * recipient may be permitted to end what is held for him, and must not end what a sender's customer does not let go.  A
 * rule that refuses refuses the message, for all recipients: there is one reply, and to take it for some would have to
 * be told to the others by a report.  Where a customer has no rules nothing is looked at.
 *
 * Of several reasons to hold a recipient the first counts: the sender's account, a rule, the limit of a grant, his own
 * FUTURERELEASE.
 */
#define LOG_MODULE "smtp"
#include "core/clock.h"
#include "core/log.h"
#include "core/spool.h"
#include "protocols/mime_content.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "relay/breaker_watch.h"
#include "storage/held_account.h"
#include "storage/name.h"

/* What a customer's rules have said of the message so far. */
struct answers {
    struct answers *next;
    int64_t customer_id;
    struct content_match match;
};
/* A message, and the rules of each customer that was asked: at most one for each recipient, and the sender's. */
struct asking {
    struct smtp_session *session;
    struct content_message message;
    bool has_fields, has_parts;
    struct answers *all;
    struct slice sender_domain;
};

static bool hold_account(const struct smtp_session *session, struct hold *out)
{
    struct held_account held;

    if (!session->authenticated || !held_account_find(session->transaction_arena, session->account.id, &held))
        return false;
    *out = held_account_hold(&held, clock_now_ms());
    return true;
}

/* ------------------------------------------------------------------ the circuit breaker */

/* *held: with this message the account's sending has left its pattern.  False: it could not be said so; answered. */
static AWAITS bool count_message(struct smtp_session *session, struct hold *out, bool *held)
{
    *held = false;
    if (!session->authenticated)
        return true;
    session->transaction->counted = true;
    if (!breaker_watch_message(&session->account, session->transaction->recipient_count, session->peer))
        return true;
    if (breaker_watch_open(&session->account) == DB_DONE) {
        *held = hold_account(session, out);
        return true;
    }
    smtp_policy_take_back(session);
    smtp_counters.messages_deferred++;
    log_warn("message not accepted", log_slice("sender", session->transaction->sender.address),
             log_str("reason", "the account's breaker could not be opened"));
    smtp_reply(session, 451, "4.3.0", "Temporary failure, try again later");
    return false;
}

void smtp_policy_take_back(struct smtp_session *session)
{
    if (session->transaction->counted)
        breaker_watch_take_back(&session->account, session->transaction->recipient_count);
    session->transaction->counted = false;
}

/* ------------------------------------------------------------------ content rules */

static void look_at(struct asking *a, const struct content_rule *rules, unsigned count)
{
    struct arena *arena = a->session->transaction_arena;
    struct slice all;

    if (!content_match_wants_fields(rules, count) && !content_match_wants_parts(rules, count))
        return;
    if (!spool_map(a->session->transaction->spool, &all))
        return; /* then it cannot be stored either */
    if (!a->has_fields && content_match_wants_fields(rules, count)) {
        const char *end = memmem(all.p, all.n, "\r\n\r\n", 4);

        mime_content_fields(arena, end ? slice_of(all.p, (size_t)(end - all.p) + 2) : all, &a->message);
        a->has_fields = true;
    }
    if (!a->has_parts && content_match_wants_parts(rules, count)) {
        mime_content_parts(arena, all, &a->message);
        a->has_parts = true;
    }
}

/* Recipients of several customers may alternate: what is known of one is kept, with what is left of its time. */
static struct answers *answers_of(struct asking *a, int64_t customer_id, const struct content_rule *rules, unsigned count)
{
    struct arena *arena = a->session->transaction_arena;
    struct answers *found = a->all;

    while (found && found->customer_id != customer_id)
        found = found->next;
    if (found)
        return found;
    look_at(a, rules, count);
    found = arena_alloc(arena, sizeof *found);
    *found = (struct answers){.next = a->all, .customer_id = customer_id};
    content_match_begin(arena, rules, count, &a->message, &found->match);
    return a->all = found;
}

/* NULL: none of this customer's. */
static const struct content_rule *ask(struct asking *a, int64_t customer_id, bool outgoing, struct slice recipient)
{
    unsigned count;
    const struct content_rule *rules = content_rules_of(customer_id, &count), *rule;
    struct answers *answers;

    if (!count)
        return NULL;
    answers = answers_of(a, customer_id, rules, count);
    rule = content_match_find(&answers->match, outgoing, a->sender_domain, recipient);
    if (answers->match.too_hard)
        log_warn("patterns of content rules took too long and were given up", log_id("customer", customer_id),
                 log_int("patterns", answers->match.too_hard));
    answers->match.too_hard = 0;
    return rule;
}

/* Whose senders' mail it is; 0: nobody's here. */
static int64_t sending_customer(const struct smtp_session *session, const struct smtp_recipient *r)
{
    return session->authenticated ? session->account.customer_id : r->verdict == AUTHORIZE_OUTSIDE ? r->customer_id : 0;
}

static const struct content_rule *find_rule(struct asking *a, const struct smtp_recipient *r)
{
    struct slice key = name_key(a->session->transaction_arena, r->address);
    int64_t sending = sending_customer(a->session, r);
    const struct content_rule *in = r->verdict == AUTHORIZE_OUTSIDE ? NULL : ask(a, r->customer_id, false, key);
    const struct content_rule *out = sending ? ask(a, sending, true, key) : NULL;

    return !out || (in && in->action == CONTENT_DO_REFUSE) ? in : out;
}

static struct hold hold_of(struct arena *arena, const struct content_rule *rule)
{
    return (struct hold){
        .until_ms = clock_now_ms() + rule->hold_ms,
        .by = rule->outgoing ? HOLD_BY_OUTGOING_RULE : HOLD_BY_RULE,
        .then = rule->then,
        .reason = arena_slice(arena, rule->reason),
        .approval = true,
        .quarantine = rule->action == CONTENT_DO_QUARANTINE,
    };
}

static void refuse(struct smtp_session *session, const struct content_rule *rule)
{
    smtp_counters.messages_refused++;
    log_info("message refused", log_slice("sender", session->transaction->sender.address),
             log_str("reason", "content-rule"), log_id("rule", rule->id));
    smtp_reply(session, 550, "5.7.1", "%.*s", SLICE_ARG(rule->reason));
}

static bool apply_rules(struct smtp_session *session)
{
    struct arena *arena = session->transaction_arena;
    const struct smtp_transaction *transaction = session->transaction;
    struct asking a = {.session = session,
                       .message = {.sender = name_key(arena, transaction->sender.address), .size = transaction->size}};

    a.sender_domain = a.message.sender.n ? name_address_domain(a.message.sender) : slice_of("", 0);
    for (struct smtp_recipient *r = transaction->recipients; r; r = r->next) {
        const struct content_rule *rule = find_rule(&a, r);

        if (rule && rule->action == CONTENT_DO_REFUSE) {
            refuse(session, rule);
            return false;
        }
        if (rule)
            r->policy = hold_of(arena, rule);
    }
    return true;
}

AWAITS bool smtp_policy_apply(struct smtp_session *session)
{
    struct hold hold;
    bool held;

    if (!apply_rules(session))
        return false;
    held = hold_account(session, &hold);
    if (!held && !count_message(session, &hold, &held))
        return false;
    if (held)
        for (struct smtp_recipient *r = session->transaction->recipients; r; r = r->next)
            r->policy = hold;
    return true;
}
