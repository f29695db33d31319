/*
 * smtp_hold: what is accepted now and delivered later.
 *
 *     EHLO            FUTURERELEASE 2592000 2026-12-27T07:31:26Z           (RFC 4865 section 2; submission only)
 *     MAIL            HOLDFOR=seconds, or HOLDUNTIL=date and time
 *
 * Or the client's relay grant has reached a limit and says "hold": RCPT and the final reply tell, and an
 * administrator decides.
 *
 * The time is checked at MAIL and counted from the end of data.  A held message is a queue entry for each recipient,
 * those with a mailbox here included (destination "mailbox"); nothing is delivered, shown or reported of it until its
 * time has come (storage/hold.h).  What is held for who sends it (smtp_policy.c) goes the same way, but untold.
 * Received and Date say what they would have said without.
 *
 * A time that has passed already is no mistake: the message is released at once.
 */
#include "core/clock.h"
#include "core/id.h"
#include "protocols/smtp_session.h"
#include "storage/queue.h"

const char *smtp_hold_offer(const struct smtp_session *session)
{
    int64_t most = session->settings->future_release_max_ms;
    char date[CLOCK_RFC3339_SIZE];

    if (session->role != SMTP_ROLE_SUBMISSION || most < 1000)
        return NULL;
    clock_rfc3339(clock_now_ms() + most, date);
    return arena_printf(session->command, "FUTURERELEASE %lld %.19sZ", (long long)(most / 1000), date);
}

const struct smtp_fault *smtp_hold_check(const struct smtp_session *session, const struct envelope_mail *envelope)
{
    static const struct smtp_fault not_offered = {555, "5.5.4", "FUTURERELEASE is not offered"};
    static const struct smtp_fault too_long = {501, "5.5.4", "Held for longer than FUTURERELEASE permits"};
    static const struct smtp_fault too_late = {501, "5.5.4", "BY is over before the message is released"};
    int64_t most = session->settings->future_release_max_ms, now = clock_now_ms(),
            until = envelope_release(envelope, now);

    if (!envelope->hold_for.p && !envelope->hold_until.p)
        return NULL;
    if (!smtp_hold_offer(session))
        return &not_offered;
    if (envelope_expired(envelope, now, until))
        return &too_late;
    return until > now + most ? &too_long : NULL;
}

bool smtp_hold_is(const struct smtp_session *session, const struct smtp_recipient *recipient, int64_t now_ms)
{
    return recipient->policy.until_ms || recipient->held_limit ||
           envelope_release(&session->transaction->envelope, now_ms);
}

static struct hold asked_for(const struct smtp_session *session, int64_t until_ms)
{
    const struct envelope_mail *envelope = &session->transaction->envelope;
    bool interval = envelope->hold_for.p != NULL;

    return (struct hold){
        .until_ms = until_ms,
        .by = HOLD_BY_SENDER,
        .then = HOLD_THEN_RELEASE,
        .reason = slice_str(arena_printf(session->transaction_arena, "%s=%.*s", interval ? "HOLDFOR" : "HOLDUNTIL",
                                         SLICE_ARG(interval ? envelope->hold_for : envelope->hold_until))),
    };
}

static struct hold at_limit(const struct smtp_session *session, const struct smtp_recipient *from, int64_t now_ms)
{
    char id[ID_TEXT_SIZE];

    return (struct hold){
        .until_ms = now_ms + from->grant->hold_ms,
        .by = HOLD_BY_LIMIT,
        .then = from->grant->hold_then,
        .approval = true,
        .reason = slice_str(arena_printf(session->transaction_arena, "%s of grant %s is reached", from->held_limit,
                                         id_print(from->grant->id, id))),
    };
}

void smtp_hold_apply(const struct smtp_session *session, const struct smtp_recipient *from, int64_t now_ms,
                     struct accept_recipient *recipient)
{
    int64_t until = envelope_release(&session->transaction->envelope, now_ms);

    if (!smtp_hold_is(session, from, now_ms))
        return;
    recipient->hold = from->policy.until_ms ? from->policy
                      : from->held_limit    ? at_limit(session, from, now_ms)
                                            : asked_for(session, until);
    recipient->expires_ms += recipient->hold.until_ms - now_ms;
    recipient->delay_ms += recipient->delay_ms ? recipient->hold.until_ms - now_ms : 0;
    recipient->due_ms = recipient->hold.by != HOLD_BY_SENDER ? until : 0; /* who decides does not make it come before */
    recipient->waiting = true;
    recipient->mailbox_id = 0; /* not yet, outage or not */
    if (!recipient->queue) {
        recipient->queue = true;
        recipient->destination = QUEUE_DESTINATION_MAILBOX;
    }
}

const char *smtp_hold_words(const struct smtp_session *session, const struct accept_message *messages, unsigned count)
{
    char until[CLOCK_RFC3339_SIZE];

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < messages[i].recipient_count; j++) {
            const struct hold *hold = &messages[i].recipients[j].hold;

            if (hold->until_ms && hold->by == HOLD_BY_LIMIT)
                return arena_printf(session->command, ", held until it is released: %.*s", SLICE_ARG(hold->reason));
            if (hold->until_ms && hold->by == HOLD_BY_SENDER)
                return arena_printf(session->command, ", held until %s", clock_rfc3339(hold->until_ms, until));
        }
    return "";
}
