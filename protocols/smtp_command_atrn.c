/*
 * smtp_command_atrn: ATRN, by which a customer without an address of his own collects a domain's mail (RFC 2645, ODMR).
 *
 *     atrn = "ATRN" [ SP domain *( "," domain ) ] CRLF                                    (section 5.2.1)
 *
 * On a port of its own, after AUTH.  The connection is turned round: after our 250 the customer's side greets, and we
 * are the client that sends what waits, message after message, to QUIT.  The session ends here, its stream goes to
 * whoever delivers (the daemon's runner, by way of smtp_on_turn()), which also finds out whether there is still mail
 * when the other side is ready.
 *
 * Who may collect a domain's mail has all of it, so that this is a right of one account, set by an administrator with
 * the domain (`collector`), and no matter of being a customer's client as for ETRN.  Without a name it is all domains
 * that the account collects for.
 */
#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_session.h"
#include "protocols/smtp_turn.h"
#include "relay/smtp_address.h"
#include "relay/turn.h"
#include "storage/queue.h"
#include "storage/queue_audit.h"

#define NAMES_MAX 100

static smtp_turn_fn *turn_round;

void smtp_on_turn(smtp_turn_fn *fn)
{
    turn_round = fn;
}

/* "a.test,b.test".  False: not a list of domains. */
static bool split(struct smtp_session *session, struct slice list, struct slice **names, unsigned *count)
{
    *names = arena_array(session->command, NAMES_MAX, sizeof **names);
    *count = 0;
    while (list.n) {
        const char *comma = memchr(list.p, ',', list.n);
        struct slice name = slice_of(list.p, comma ? (size_t)(comma - list.p) : list.n);

        if (*count == NAMES_MAX || !smtp_is_domain(name) || (comma && list.n == name.n + 1))
            return false;
        (*names)[(*count)++] = name;
        list = slice_skip(list, name.n + 1);
    }
    return true;
}

/* False: could not be asked. */
static AWAITS bool count_mail(const struct turn *turn, uint64_t *waiting)
{
    *waiting = 0;
    for (unsigned i = 0; i < turn->count && !*waiting; i++)
        switch (queue_waiting(turn->domain_ids[i], waiting)) {
        case DB_FOUND:
        case DB_NONE: break;
        case DB_FAILED: return false;
        }
    return true;
}

static void hand_over(struct smtp_session *session, const struct turn *turn)
{
    struct smtp_turn out = {turn->domain_ids, turn->count, session->peer, session->account.address};

    stream_take_over(session->stream);
    stream_write_buffer(session->stream, session->replies); /* of what was said before */
    if (!turn_round || !turn_round(session->stream, &out)) {
        stream_printf(session->stream, "451 4.3.2 Unable to process ATRN request now\r\n");
        stream_close(&session->stream);
        return;
    }
    stream_printf(session->stream, "250 2.0.0 OK, now reversing the connection\r\n");
    session->stream = NULL; /* so the session ends */
}

static AWAITS void atrn(struct smtp_session *session)
{
    struct turn turn = {.peer = session->peer, .account = &session->account};
    struct slice *names;
    uint64_t waiting;
    unsigned count;

    if (!split(session, session->line.arguments, &names, &count)) {
        smtp_reply_error(session, 501, "5.5.4", "Syntax: ATRN, or ATRN domain,domain");
        return;
    }
    switch (turn_collect(session->command, &turn, names, count)) {
    case TURN_ALLOWED: break;
    case TURN_DENIED:
        log_info("ATRN refused", log_slice("domains", session->line.arguments), log_str("reason", turn.why));
        smtp_reply_error(session, 450, "4.7.1", arena_printf(session->command, "ATRN request refused: %s", turn.why));
        return;
    case TURN_FAILED: smtp_reply(session, 451, "4.3.0", "Unable to process ATRN request now"); return;
    }
    if (!count_mail(&turn, &waiting))
        smtp_reply(session, 451, "4.3.0", "Unable to process ATRN request now");
    else if (!waiting)
        smtp_reply(session, 453, "4.0.0", "You have no mail");
    else if (queue_audit("ATRN", turn.domain_ids, turn.count, session->peer, session->account.address) != DB_DONE)
        smtp_reply(session, 451, "4.3.0", "Unable to process ATRN request now");
    else if (session->stream)
        hand_over(session, &turn);
}

void smtp_command_atrn(struct smtp_session *session, struct slice arguments)
{
    (void)arguments; /* atrn() finds them in session->line */
    if (session->role != SMTP_ROLE_ODMR)
        smtp_reply_error(session, 502, "5.5.1", "ATRN is for the port of on-demand mail relay");
    else if (!session->authenticated)
        smtp_reply_error(session, 530, "5.7.0", "Authentication required");
    else
        smtp_session_run(session, atrn);
}
