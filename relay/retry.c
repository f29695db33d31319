/*
 * retry: when to try again, and what a reply of the next hop means.
 *
 * RFC 5321 4.2.1 gives the first digit its meaning; the table below says what we do where it leaves a choice.
 *
 *                  2xx       4xx       5xx       421
 *   greeting       accepted  away      away      away
 *   EHLO, HELO     accepted  away      away      away
 *   MAIL           accepted  later     refused   away
 *   RCPT           accepted  later     refused*  away
 *   DATA (354)     accepted  later     refused   away
 *   final dot      accepted  later     refused   away
 *
 *   - 5xx at the greeting or to EHLO says that this *host* takes no mail (554, RFC 5321 3.1), not that a recipient does
 *     not exist.  Bouncing on it would lose mail to a misconfigured server that is repaired in an hour, so it is
 *     treated like a refused connection.
 *   - 421 anywhere: the server is closing the channel (RFC 5321 3.8); nothing of this transaction was accepted.
 *   - 552 to RCPT (*) is "too many recipients" of old servers and is taken as 452 (RFC 5321 4.5.3.1.10), unless its
 *     enhanced code says that the mailbox is the matter (5.2.x).
 *   - 354 anywhere but after DATA, 1xx, 3xx and nonsense are a server that is out of step: later, never a bounce.
 *   - 503 to MAIL (bad sequence of commands) is about the session, not about the message: later, too.
 *   - An enhanced code never overrides the reply code (RFC 2034 section 3 wants them to agree); one of another
 *     class is not passed on into a DSN.
 */
#include "relay/retry.h"

uint64_t retry_backoff(uint64_t first_ms, uint64_t max_ms, unsigned attempt, uint32_t random)
{
    uint64_t wait = first_ms < max_ms ? first_ms : max_ms;

    for (unsigned i = 1; i < attempt && wait < max_ms; i++)
        wait = wait > max_ms / 2 ? max_ms : wait * 2;
    wait -= (wait / 5 * random) >> 32;
    return wait ? wait : 1;
}

static int64_t not_past(int64_t now_ms, int64_t expires_ms, uint64_t wait)
{
    if (expires_ms <= now_ms)
        return now_ms;
    return wait < (uint64_t)(expires_ms - now_ms) ? now_ms + (int64_t)wait : expires_ms;
}

int64_t retry_due(int64_t now_ms, int64_t expires_ms, uint64_t first_ms, uint64_t max_ms, unsigned attempt,
                  uint32_t random)
{
    return not_past(now_ms, expires_ms, retry_backoff(first_ms, max_ms, attempt, random));
}

int64_t retry_due_greylisted(int64_t now_ms, int64_t expires_ms, uint64_t first_ms, uint64_t max_ms, unsigned attempt,
                             uint32_t random)
{
    if (attempt > RETRY_GREYLIST_MAX || first_ms > max_ms)
        return retry_due(now_ms, expires_ms, first_ms, max_ms, attempt, random);
    return not_past(now_ms, expires_ms, first_ms + ((first_ms / 4 * random) >> 32));
}

bool retry_expired(int64_t now_ms, int64_t expires_ms)
{
    return now_ms >= expires_ms;
}

static bool about_the_mailbox(struct slice enhanced)
{
    return enhanced.n >= 4 && memcmp(enhanced.p, "5.2.", 4) == 0;
}

static enum retry_verdict classify_failure(enum retry_stage stage, unsigned code, struct slice enhanced)
{
    bool permanent = code / 100 == 5;

    switch (stage) {
    case RETRY_STAGE_GREETING:
    case RETRY_STAGE_HELLO: return RETRY_VERDICT_AWAY;
    case RETRY_STAGE_RECIPIENT:
        if (code == 552 && !about_the_mailbox(enhanced))
            return RETRY_VERDICT_LATER;
        return permanent ? RETRY_VERDICT_REFUSED : RETRY_VERDICT_LATER;
    case RETRY_STAGE_MAIL: return permanent && code != 503 ? RETRY_VERDICT_REFUSED : RETRY_VERDICT_LATER;
    case RETRY_STAGE_DATA:
    case RETRY_STAGE_END: return permanent ? RETRY_VERDICT_REFUSED : RETRY_VERDICT_LATER;
    }
    return RETRY_VERDICT_LATER;
}

enum retry_verdict retry_classify(enum retry_stage stage, unsigned code, struct slice enhanced)
{
    if (code == 421)
        return RETRY_VERDICT_AWAY;
    if (code / 100 == 4 || code / 100 == 5)
        return classify_failure(stage, code, enhanced);
    if (stage == RETRY_STAGE_DATA)
        return code == 354 ? RETRY_VERDICT_ACCEPTED : RETRY_VERDICT_LATER;
    if (code / 100 == 2)
        return RETRY_VERDICT_ACCEPTED;
    return stage == RETRY_STAGE_GREETING || stage == RETRY_STAGE_HELLO ? RETRY_VERDICT_AWAY : RETRY_VERDICT_LATER;
}

struct slice retry_status(enum retry_stage stage, enum retry_verdict verdict, struct slice enhanced)
{
    bool permanent = verdict == RETRY_VERDICT_REFUSED;

    if (verdict == RETRY_VERDICT_ACCEPTED)
        return enhanced.n && enhanced.p[0] == '2' ? enhanced : SLICE("2.0.0");
    if (enhanced.n && enhanced.p[0] == (permanent ? '5' : '4'))
        return enhanced;
    switch (stage) {
    case RETRY_STAGE_GREETING:
    case RETRY_STAGE_HELLO: return permanent ? SLICE("5.3.2") : SLICE("4.3.2");     /* system not accepting messages */
    case RETRY_STAGE_RECIPIENT: return permanent ? SLICE("5.1.0") : SLICE("4.1.0"); /* other address status */
    case RETRY_STAGE_MAIL:
    case RETRY_STAGE_DATA:
    case RETRY_STAGE_END: break;
    }
    return permanent ? SLICE("5.0.0") : SLICE("4.0.0");
}
