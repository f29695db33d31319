/*
 * smtp_policy: what is held, whoever it goes to, because of who sends it.
 *
 * Asked once, at the end of data, so that an account that is marked while its session is open is held from that moment
 * on.  What an account submits that is thought to be compromised (storage/held_account.h) is taken as ever and held for
 * approval.  The client is not told: who has stolen a password would take the next one.
 *
 * Of several reasons to hold a recipient the first counts: the sender's account, the limit of a grant, his own
 * FUTURERELEASE.
 */
#include "core/clock.h"
#include "protocols/smtp_session.h"
#include "storage/held_account.h"

static bool hold_account(const struct smtp_session *session, struct hold *out)
{
    struct held_account held;

    if (!session->authenticated || !held_account_find(session->transaction_arena, session->account.id, &held))
        return false;
    *out = (struct hold){
        .until_ms = clock_now_ms() + held.hold_ms,
        .by = HOLD_BY_COMPROMISED,
        .then = held.then,
        .reason = held.reason,
        .approval = true,
    };
    return true;
}

void smtp_policy_apply(struct smtp_session *session)
{
    struct hold hold;

    if (!hold_account(session, &hold))
        return;
    for (struct smtp_recipient *r = session->transaction->recipients; r; r = r->next)
        r->policy = hold;
}
