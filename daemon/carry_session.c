/*
 * carry_session: one account's mailboxes at its primary.
 *
 * Names.  Here they have '/' between levels and no prefix; there both are the server's (NAMESPACE, LIST).  A mailbox
 * with a special use (RFC 6154: \Sent, \Drafts, \Trash, \Junk, \Archive) is the one that has it there, whatever its
 * name.  The server's separator inside a name becomes '_', as it would make levels that nobody wanted; so do other
 * characters that no word has, if the server says that such a mailbox cannot be (CANNOT; Dovecot's Maildir takes no '.',
 * whatever its separator).  INBOX is INBOX; and on a server with the prefix INBOX, whose users find all their mailboxes
 * below it, what is below INBOX here is where what is beside it is: INBOX.INBOX is no mailbox, or, for Dovecot, the INBOX
 * once more.
 */
#include "daemon/carry_session.h"

#include <ctype.h>
#include <string.h>

#define LOG_MODULE "carry"
#include "core/clock.h"
#include "core/log.h"
#include "core/tls.h"
#include "protocols/imap_parse.h"
#include "storage/hop_credential.h"

#define CONNECT_MS 15000
#define REPLY_MS 30000
#define INBOX_LEVEL (sizeof "INBOX/" - 1)
#define SEPARATOR_OF_MASTER "*" /* "user*master" (Dovecot's auth_master_user_separator, Cyrus has the other form) */

/* ------------------------------------------------------------------ the connection */

void carry_session_end(struct carry_session *session)
{
    imap_client_quit(&session->client);
}

enum carry_answer carry_session_answer(struct carry_session *session, enum imap_client_answer answer, const char *doing)
{
    if (answer == IMAP_CLIENT_OK)
        return CARRY_DONE;
    session->why = slice_str(arena_printf(session->arena, "%.*s: %s: %s", SLICE_ARG(session->access.host), doing,
                                          imap_client_text(session->client)));
    return answer == IMAP_CLIENT_NO ? CARRY_LATER : CARRY_LOST;
}

static enum carry_answer lost(struct carry_session *session, const char *why)
{
    session->why = slice_str(why);
    return CARRY_LOST;
}

static AWAITS enum carry_answer connect_to(struct carry_session *session, const struct hop_credential *credential)
{
    const char *host = arena_slicedup(session->arena, session->access.host);
    struct imap_client_settings settings = {
        .verify = credential->verify,
        .implicit_tls = session->access.implicit_tls,
        .connect_timeout_ms = CONNECT_MS,
        .reply_timeout_ms = REPLY_MS,
        .deadline = session->until,
    };
    struct dns_address *addresses = NULL;
    unsigned count = 0;
    struct slice why;
    char error[200];
    bool open;

    if (dns_addresses(session->arena, host, &addresses, &count) != DNS_FOUND)
        return lost(session, arena_printf(session->arena, "%s: its address could not be looked up", host));
    if (clock_steady_ms() >= session->until)
        return lost(session, arena_printf(session->arena, "%s: it took too long to look up its address", host));
    settings.tls = tls_client_new(credential->verify, error, sizeof error);
    if (!settings.tls)
        return lost(session, arena_printf(session->arena, "%s", error));
    open = imap_client_open(&settings, session->arena, addresses, count, session->access.port, host, &session->client,
                            &why);
    tls_unref(&settings.tls);
    if (!open)
        return lost(session, arena_printf(session->arena, "%s:%u: %.*s", host, session->access.port, SLICE_ARG(why)));
    return CARRY_DONE;
}

static AWAITS enum carry_answer sign_in(struct carry_session *session, const struct hop_credential *credential)
{
    struct slice user = credential->user, as = session->account->address;
    enum imap_client_answer answer;

    if (!session->access.authorization) {
        user =
            slice_str(arena_printf(session->arena, "%.*s" SEPARATOR_OF_MASTER "%.*s", SLICE_ARG(as), SLICE_ARG(user)));
        as = SLICE("");
    }
    answer = imap_client_login(session->client, user, credential->secret, as, &session->refused);
    if (answer == IMAP_CLIENT_OK)
        return CARRY_DONE;
    (void)carry_session_answer(session, answer, "signing in");
    if (session->refused)
        log_error("a primary's mailboxes refuse our credential", log_slice("account", session->account->address),
                  log_slice("credential", credential->name), log_slice("reason", session->why));
    return CARRY_LOST;
}

enum carry_answer carry_session_open(struct carry_session *session)
{
    struct hop_credential credential;
    enum carry_answer answer;

    if (session->client)
        return CARRY_DONE;
    switch (hop_credential_get(session->arena, session->access.credential_id, &credential)) {
    case DB_FOUND: break;
    case DB_NONE: return lost(session, "its credential is gone");
    case DB_FAILED: return lost(session, "its credential could not be looked up");
    }
    if (credential.trouble)
        return lost(session, credential.trouble);
    if (credential.oauth || credential.certificate.p)
        return lost(session, "its credential is not of kind password");
    answer = connect_to(session, &credential);
    if (answer == CARRY_DONE)
        answer = sign_in(session, &credential);
    if (answer == CARRY_DONE)
        answer = carry_session_answer(session, imap_client_list(session->client, session->arena, &session->mailboxes),
                                      "listing mailboxes");
    return answer == CARRY_LATER ? CARRY_LOST : answer;
}

/* ------------------------------------------------------------------ names */

static const struct imap_client_mailbox *by_name(const struct carry_session *session, struct slice name)
{
    for (unsigned i = 0; i < session->mailboxes.count; i++)
        if (slice_equal(session->mailboxes.list[i].name, name))
            return &session->mailboxes.list[i];
    return NULL;
}

/* Where everything is below INBOX (its prefix says so) what is below it here needs no second one. */
static bool is_below_inbox(const struct carry_session *session, struct slice name)
{
    struct slice prefix = session->mailboxes.prefix;

    return name.n > INBOX_LEVEL && slice_equal(slice_of(name.p, INBOX_LEVEL), SLICE("INBOX/")) &&
           prefix.n == INBOX_LEVEL && slice_equal_nocase(slice_of(prefix.p, INBOX_LEVEL - 1), SLICE("INBOX"));
}

static struct slice name_there(const struct carry_session *session, struct slice name)
{
    char separator = session->mailboxes.separator;
    char *at;

    if (is_below_inbox(session, name))
        name = slice_skip(name, INBOX_LEVEL);
    at = arena_slicedup(session->arena, name);
    for (char *c = at; *c; c++) {
        if (*c == '/')
            *c = separator ? separator : '_';
        else if (*c == separator)
            *c = '_';
    }
    return slice_str(arena_printf(session->arena, "%.*s%s", SLICE_ARG(session->mailboxes.prefix), at));
}

const struct imap_client_mailbox *carry_session_target(const struct carry_session *session,
                                                       const struct carry_copy *copy)
{
    for (unsigned i = 0; copy->special_use.p && i < session->mailboxes.count; i++)
        if (session->mailboxes.list[i].use.p && slice_equal_nocase(session->mailboxes.list[i].use, copy->special_use))
            return &session->mailboxes.list[i];
    if (slice_equal(copy->mailbox, SLICE("INBOX")))
        return by_name(session, SLICE("INBOX"));
    return by_name(session, name_there(session, copy->mailbox));
}

const struct imap_client_mailbox *carry_session_mailbox(const struct carry_session *session, struct slice raw)
{
    for (unsigned i = 0; i < session->mailboxes.count; i++)
        if (slice_equal(session->mailboxes.list[i].raw, raw))
            return &session->mailboxes.list[i];
    return NULL;
}

/* What servers object to at one place or another becomes '_', as their separator does. */
static struct slice plain_name(const struct carry_session *session, struct slice name)
{
    char *at = arena_slicedup(session->arena, name);

    for (char *c = at; *c; c++)
        if ((unsigned char)*c < 0x80 && !isalnum((unsigned char)*c) && !strchr("/ -_", *c))
            *c = '_';
    return slice_str(at);
}

bool carry_session_refused_for(const struct carry_session *session, const char *code)
{
    return slice_equal_nocase(slice_str(imap_client_code(session->client)), slice_str(code));
}

/* name: as it is there. */
static AWAITS enum carry_answer make(struct carry_session *session, struct slice name,
                                     const struct imap_client_mailbox **out)
{
    struct imap_client_mailboxes *all = &session->mailboxes;
    struct imap_client_mailbox *more;
    enum imap_client_answer said;
    enum carry_answer answer;
    struct slice raw;

    *out = by_name(session, name);
    if (*out && !(*out)->no_select)
        return CARRY_DONE;
    raw = imap_utf7_encode(session->arena, name);
    said = imap_client_create(session->client, raw);
    if (said == IMAP_CLIENT_NO && carry_session_refused_for(session, "ALREADYEXISTS"))
        said = IMAP_CLIENT_OK; /* RFC 5530: another was first */
    answer = carry_session_answer(session, said, "creating a mailbox");
    if (answer != CARRY_DONE)
        return answer;
    for (unsigned i = 0; i < all->count; i++)
        if (&all->list[i] == *out) { /* it was only a name above others */
            all->list[i].no_select = false;
            return CARRY_DONE;
        }
    more = arena_array(session->arena, (size_t)all->count + 1, sizeof *more);
    if (all->count)
        memcpy(more, all->list, all->count * sizeof *more);
    more[all->count] = (struct imap_client_mailbox){.raw = raw, .name = name, .separator = all->separator};
    all->list = more;
    *out = &more[all->count++];
    return CARRY_DONE;
}

enum carry_answer carry_session_make(struct carry_session *session, const struct carry_copy *copy,
                                     const struct imap_client_mailbox **out)
{
    enum carry_answer answer;
    struct slice plain;

    *out = carry_session_target(session, copy);
    if (*out && !(*out)->no_select)
        return CARRY_DONE;
    if (slice_equal(copy->mailbox, SLICE("INBOX")))
        return make(session, copy->mailbox, out);
    answer = make(session, name_there(session, copy->mailbox), out);
    plain = plain_name(session, copy->mailbox);
    if (answer == CARRY_LATER && carry_session_refused_for(session, "CANNOT") && !slice_equal(plain, copy->mailbox))
        answer = make(session, name_there(session, plain), out); /* RFC 5530: it never will */
    return answer;
}

enum carry_answer carry_session_select(struct carry_session *session, const struct imap_client_mailbox *mailbox)
{
    enum carry_answer answer;

    if (session->selected.p && slice_equal(session->selected, mailbox->raw))
        return CARRY_DONE;
    session->selected = (struct slice){NULL, 0};
    answer =
        carry_session_answer(session, imap_client_select(session->client, mailbox->raw, false), "opening a mailbox");
    if (answer == CARRY_DONE)
        session->selected = mailbox->raw;
    return answer;
}
