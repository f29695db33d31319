/*
 * smtp_author: a submission may be in the name only of whom the account may send as: not only its envelope, also From
 * and Sender, which are what a reader sees (RFC 6409 section 6.1).
 *
 * Each address must be permitted by what permitted each recipient: the relay grant that decided there, or the implicit
 * rule.  Most messages have one author, the envelope's sender, and ask nothing.
 *
 * A message without From is left as it is.  On port 25 nothing is checked: mail from outside comes in everybody's name.
 */
#define LOG_MODULE "smtp"
#include "core/idn.h"
#include "core/log.h"
#include "protocols/mime.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "relay/smtp_address.h"

#define HEADER_MAX (1024 * 1024)

static void count(const struct smtp_session *session, unsigned code, const char *reason)
{
    if (code < 500)
        smtp_counters.messages_deferred++;
    else
        smtp_counters.messages_refused++;
    log_info("message refused", log_slice("sender", session->transaction->sender.address), log_str("reason", reason));
}

static void refuse(struct smtp_session *session, unsigned code, const char *enhanced, const char *reason,
                   const char *text)
{
    count(session, code, reason);
    smtp_reply(session, code, enhanced, "%s", text);
}

/* With the empty line that ends it, or all there is.  False: the spool cannot be read; too long a one is empty. */
static bool find_header(const struct smtp_session *session, struct slice *header)
{
    struct slice all, end;

    if (!spool_map(session->transaction->spool, &all))
        return false;
    *header = (struct slice){"", 0};
    if (all.n >= 2 && memcmp(all.p, "\r\n", 2) == 0) { /* none: all is body */
        *header = slice_of(all.p, 2);
        return true;
    }
    end.p = memmem(all.p, all.n < HEADER_MAX ? all.n : HEADER_MAX, "\r\n\r\n", 4);
    if (end.p)
        *header = slice_of(all.p, (size_t)(end.p - all.p) + 4);
    else if (all.n < HEADER_MAX)
        *header = all;
    return true;
}

/* As the envelope has it, without needless quotes: "\"ann\"@x" is ann@x (RFC 5321 4.1.2). */
static struct slice normalised(struct arena *arena, struct slice address)
{
    struct slice path = slice_str(arena_printf(arena, "<%.*s>", SLICE_ARG(address)));
    struct smtp_path found;

    return smtp_take_path(arena, &path, &found) && !path.n ? found.address : idn_address(arena, address);
}

/* By what permitted this recipient, unless an earlier one was permitted by the same.  False, and answered: no. */
static AWAITS bool check_author(struct smtp_session *session, const struct mime_author *author,
                                const struct smtp_recipient *recipient)
{
    struct authorize_decision decision;

    for (const struct smtp_recipient *r = session->transaction->recipients; r != recipient; r = r->next)
        if (r->grant == recipient->grant)
            return true;
    if (!permit_author(session->command, &session->transaction->permit, recipient->grant, author->field,
                       normalised(session->command, author->address), &decision)) {
        refuse(session, 451, "4.3.0", "author-unknown", "Temporary lookup failure, try again later");
        return false;
    }
    if (decision.verdict == AUTHORIZE_ALLOWED)
        return true;
    count(session, decision.code, decision.reason);
    smtp_refuse(session, "DATA", slice_of(NULL, 0), 0, &decision);
    return false;
}

AWAITS bool smtp_author_permitted(struct smtp_session *session)
{
    struct mime_author authors[MIME_AUTHORS_MAX];
    struct slice header;
    unsigned count;

    if (session->role != SMTP_ROLE_SUBMISSION)
        return true;
    if (!find_header(session, &header)) {
        refuse(session, 452, "4.3.1", "spool-failed", "Insufficient storage, try again later");
        return false;
    }
    if (!header.n && spool_size(session->transaction->spool)) {
        refuse(session, 550, "5.6.0", "header-too-long", "The header is too long");
        return false;
    }
    if (!mime_authors(session->command, header, authors, &count)) {
        refuse(session, 550, "5.6.0", "author-malformed", "From or Sender cannot be understood, or names too many");
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        for (const struct smtp_recipient *r = session->transaction->recipients; r; r = r->next)
            if (!check_author(session, &authors[i], r))
                return false;
    return true;
}
