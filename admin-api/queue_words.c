/*
 * queue_words: from a client's words to a filter of the queue.
 *
 * All that is given must hold.  Age is said as seconds ("3600": accepted longer ago than an hour) or as a moment (RFC
 * 3339: accepted before it), whichever the hand at the terminal has; it is that of acceptance, which ids carry, so it
 * costs no index of its own. A sender is found whichever way it is written, as elsewhere; "<>" is the null sender, as
 * in SMTP.
 */
#include "admin-api/queue_words.h"

#include "admin-api/handlers.h"
#include "core/clock.h"
#include "core/id.h"
#include "storage/name.h"
#include "storage/queue.h"

#define AGE_MAX_S (INT64_C(10) * 365 * 24 * 60 * 60)

static bool parse_state(struct slice word, struct queue_filter *out)
{
    if (slice_equal(word, SLICE("waiting")))
        out->state = QUEUE_FILTER_WAITING;
    else if (slice_equal(word, SLICE("held")))
        out->state = QUEUE_FILTER_HELD;
    else if (slice_equal(word, SLICE("active")))
        out->state = QUEUE_FILTER_ACTIVE;
    else if (slice_equal(word, SLICE("suspended")))
        out->state = QUEUE_FILTER_SUSPENDED;
    return out->state != QUEUE_FILTER_ANY;
}

bool queue_words_age(struct slice word, int64_t *ms)
{
    int64_t seconds = 0;
    size_t digits = 0;
    for (; digits < word.n && word.p[digits] >= '0' && word.p[digits] <= '9' && seconds <= AGE_MAX_S; digits++)
        seconds = seconds * 10 + (word.p[digits] - '0');
    if (word.n == 0 || digits < word.n)
        return clock_parse_rfc3339(word, ms);
    *ms = clock_now_ms() - seconds * 1000;
    return seconds <= AGE_MAX_S;
}

/* The only key with a name that people have other spellings for. */
struct slice queue_words_destination(struct arena *arena, struct slice given)
{
    static const struct slice mx = SLICE("mx:");
    struct slice name;
    if (given.n <= mx.n || !slice_equal_nocase(slice_of(given.p, mx.n), mx))
        return given;
    given = slice_skip(given, mx.n);
    return queue_destination_mx(arena, name_domain(arena, given, &name) ? name : given);
}

static bool parse_held_by(struct slice word, struct queue_filter *out)
{
    enum hold_by by;
    out->held_by = word;
    return hold_by_parse(word, &by);
}

static bool parse_flag(struct slice word, int *out)
{
    *out = slice_equal(word, SLICE("true")) ? 1 : slice_equal(word, SLICE("false")) ? -1 : 0;
    return *out != 0;
}

AWAITS bool queue_words_read(struct request *r, const struct queue_words *words, struct queue_filter *out)
{
    static const char age[] = "must be seconds, or a time such as 2026-11-23T20:25:14Z (RFC 3339)";
    *out = (struct queue_filter){.destination = queue_words_destination(r->arena, words->destination),
                                 .before_ms = INT64_MIN,
                                 .since_ms = INT64_MIN};
    if (words->domain.p && !name_domain(r->arena, words->domain, &out->domain))
        reply_problem(r, 422, "domain", "must be a domain name");
    else if (words->sender.p && words->sender.n == 0)
        reply_problem(r, 422, "sender", "must be an address, or <> for the null sender");
    else if (words->state.p && !parse_state(words->state, out))
        reply_problem(r, 422, "state", "must be waiting, held, suspended or active");
    else if (words->held_by.p && !parse_held_by(words->held_by, out))
        reply_problem(r, 422, "held_by", "must be one of the words of hold.by");
    else if (words->quarantined.p && !parse_flag(words->quarantined, &out->quarantine))
        reply_problem(r, 422, "quarantined", "must be true or false");
    else if (words->message.p && (!id_parse(words->message, &out->message_id) || !out->message_id))
        reply_problem(r, 422, "message", "must be the id of a message");
    else if (words->group.p && (!id_parse(words->group, &out->group_id) || !out->group_id))
        reply_problem(r, 422, "group", "must be the id of a group");
    else if (words->older_than.p && !queue_words_age(words->older_than, &out->before_ms))
        reply_problem(r, 422, "older_than", "%s", age);
    else if (words->newer_than.p && !queue_words_age(words->newer_than, &out->since_ms))
        reply_problem(r, 422, "newer_than", "%s", age);
    else if (words->account.p && !accounts_resolve(r, "account", words->account, &out->account_id))
        return false;
    else if (!words->customer.p || customers_resolve(r, "customer", words->customer, &out->customer_id)) {
        if (words->sender.p)
            out->sender = slice_equal(words->sender, SLICE("<>")) ? SLICE("") : name_key(r->arena, words->sender);
        return true;
    }
    return false;
}
