/*
 * smtp_command_etrn: ETRN, by which a server that was away asks for what waits for it (RFC 1985).
 *
 *     etrn = "ETRN" SP [ "@" / "#" ] node-name CRLF                                       (section 5)
 *
 * The mail goes to the domain's next hops over connections of our own, as it would by itself, only now: the
 * destination's back-off is over, and if the domain has an outage its primary is probed at once, by whoever looks
 * after it.  What one recipient was put off for by the primary keeps its own time.  "@" takes the domains below in as
 * well; queues with names ("#") are not what we have.
 *
 * Who may ask is in relay/turn.c.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_session.h"
#include "relay/smtp_address.h"
#include "relay/turn.h"
#include "storage/hint.h"
#include "storage/queue.h"
#include "storage/queue_audit.h"

/* False: the database is away. */
static AWAITS bool start(const struct turn *turn, uint64_t *pending)
{
    *pending = 0;
    for (unsigned i = 0; i < turn->count; i++) {
        uint64_t more;

        if (queue_start(turn->domain_ids[i], &more) != DB_DONE)
            return false;
        *pending += more;
    }
    hint_queue_changed();
    return true;
}

static AWAITS bool is_audited(const struct smtp_session *session, const struct turn *turn)
{
    struct slice account = turn->account ? turn->account->address : SLICE("");

    return queue_audit("ETRN", turn->domain_ids, turn->count, session->peer, account) == DB_DONE;
}

static void tell(struct smtp_session *session, struct slice name, uint64_t pending)
{
    if (!pending)
        smtp_reply(session, 251, "2.0.0", "No messages waiting for node %.*s", SLICE_ARG(name));
    else if (pending > QUEUE_PENDING_MAX)
        smtp_reply(session, 252, "2.0.0", "Pending messages for node %.*s started", SLICE_ARG(name));
    else
        smtp_reply(session, 253, "2.0.0", "%llu pending messages for node %.*s started", (unsigned long long)pending,
                   SLICE_ARG(name));
}

static AWAITS void etrn(struct smtp_session *session)
{
    struct slice name = session->line.arguments;
    bool subdomains = *name.p == '@';
    struct turn turn = {.peer = session->peer, .account = session->authenticated ? &session->account : NULL};
    uint64_t pending;

    if (subdomains)
        name = slice_skip(name, 1);
    switch (turn_ask(session->command, &turn, name, subdomains)) {
    case TURN_ALLOWED: break;
    case TURN_DENIED:
        log_info("ETRN refused", log_slice("node", name));
        smtp_reply_error(session, 459, "4.7.1",
                         arena_printf(session->command, "Node %.*s not allowed: %s", SLICE_ARG(name), turn.why));
        return;
    case TURN_FAILED:
        log_info("ETRN put off", log_slice("node", name), log_str("reason", turn.why));
        smtp_reply(session, 458, "4.3.0", "Unable to queue messages for node %.*s", SLICE_ARG(name));
        return;
    }
    if (!is_audited(session, &turn) || !start(&turn, &pending)) {
        smtp_reply(session, 458, "4.3.0", "Unable to queue messages for node %.*s", SLICE_ARG(name));
        return;
    }
    log_info("queue started", log_slice("node", name), log_int("domains", turn.count),
             log_int("messages", (int64_t)pending));
    tell(session, name, pending);
}

void smtp_command_etrn(struct smtp_session *session, struct slice arguments)
{
    struct slice name = arguments;

    if (!session->greeted) {
        smtp_reply_error(session, 503, "5.5.1", "EHLO first");
        return;
    }
    if (session->transaction) {
        smtp_reply_error(session, 503, "5.5.1", "ETRN is not allowed within a mail transaction");
        return;
    }
    if (name.n && *name.p == '#') {
        smtp_reply(session, 458, "4.5.4", "Unable to queue messages: there are no queues with names");
        return;
    }
    if (name.n && *name.p == '@')
        name = slice_skip(name, 1);
    if (!smtp_is_domain(name)) {
        smtp_reply_error(session, 501, "5.5.4", "Syntax: ETRN domain, or @domain for those below it, too");
        return;
    }
    smtp_session_run(session, etrn);
}
