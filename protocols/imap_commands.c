/*
 * imap_commands: which verb, in which state, is done by whom; and the commands that need no file of their own.
 *
 *     command = tag SP verb [arguments];  "UID" SP verb for COPY, EXPUNGE, FETCH, MOVE, SEARCH, STORE
 *
 * What CAPABILITY says is complete.  LOGINDISABLED and STARTTLS are told only while they are true (RFC 3501 6.2.1,
 * 6.2.3).
 */
#include "protocols/imap_session.h"

#include <stdio.h>

static void command_capability(struct imap_session *session)
{
    imap_printf(session, "* CAPABILITY %s\r\n", imap_capabilities(session));
    imap_reply(session, "OK CAPABILITY completed");
}

static void command_noop(struct imap_session *session)
{
    imap_reply(session, "OK completed");
}

static void command_logout(struct imap_session *session)
{
    imap_bye(session, "Good-bye");
    imap_reply(session, "OK LOGOUT completed");
}

/* nil / "(" [string SP nstring *(SP string SP nstring)] ")" */
static bool take_id(struct imap_cursor *c)
{
    struct slice text;

    if (!imap_take_char(c, ' '))
        return false;
    if (!imap_take_char(c, '('))
        return imap_take_atom(c, &text) && slice_equal_nocase(text, SLICE("NIL")) && imap_at_end(c);
    for (bool first = true; !imap_take_char(c, ')'); first = false) {
        if ((!first && !imap_take_char(c, ' ')) || !imap_take_string(c, &text) || !imap_take_char(c, ' '))
            return false;
        if (imap_take_atom(c, &text) ? !slice_equal_nocase(text, SLICE("NIL")) : !imap_take_string(c, &text))
            return false;
    }
    return imap_at_end(c);
}

/* RFC 2971: who asks is not kept; who we are is told, but the version is nobody's business before login. */
static void command_id(struct imap_session *session)
{
    if (!take_id(&session->cursor)) {
        imap_bad(session, "ID wants NIL or a list of names and values");
        return;
    }
    imap_printf(session, "* ID (\"name\" \"Posthouse\")\r\n");
    imap_reply(session, "OK ID completed");
}

/* RFC 2177.  What changes is told at once; DONE ends it (imap_session.c). */
static void command_idle(struct imap_session *session)
{
    if (!imap_keep_tag(session))
        return;
    imap_printf(session, "+ idling\r\n");
    session->idling = session->changed = true;
}

enum { ARGUMENTS = 1, UID_FORM = 2, MESSAGES = 4 /* no EXPUNGE may be told during it (7.4.1) */ };

static const struct {
    const char *verb;
    unsigned states, options;
    AWAITS void (*run)(struct imap_session *session);
} commands[] = {
    {"CAPABILITY", 7, 0, command_capability},
    {"NOOP", 7, 0, command_noop},
    {"LOGOUT", 7, 0, command_logout},
    {"ID", 7, ARGUMENTS, command_id},
    {"STARTTLS", IMAP_NOT_AUTHENTICATED, 0, imap_command_starttls},
    {"AUTHENTICATE", IMAP_NOT_AUTHENTICATED, ARGUMENTS, imap_command_authenticate},
    {"LOGIN", IMAP_NOT_AUTHENTICATED, ARGUMENTS, imap_command_login},
    {"SELECT", 6, ARGUMENTS, imap_command_select},
    {"EXAMINE", 6, ARGUMENTS, imap_command_examine},
    {"CREATE", 6, ARGUMENTS, imap_command_create},
    {"DELETE", 6, ARGUMENTS, imap_command_delete},
    {"RENAME", 6, ARGUMENTS, imap_command_rename},
    {"SUBSCRIBE", 6, ARGUMENTS, imap_command_subscribe},
    {"UNSUBSCRIBE", 6, ARGUMENTS, imap_command_unsubscribe},
    {"LIST", 6, ARGUMENTS, imap_command_list},
    {"LSUB", 6, ARGUMENTS, imap_command_lsub},
    {"STATUS", 6, ARGUMENTS, imap_command_status},
    {"NAMESPACE", 6, 0, imap_command_namespace},
    {"APPEND", 6, ARGUMENTS, imap_command_append},
    {"IDLE", 6, 0, command_idle},
    {"CHECK", IMAP_SELECTED, 0, command_noop},
    {"CLOSE", IMAP_SELECTED, 0, imap_command_close},
    {"UNSELECT", IMAP_SELECTED, 0, imap_command_unselect},
    {"EXPUNGE", IMAP_SELECTED, ARGUMENTS | UID_FORM, imap_command_expunge},
    {"SEARCH", IMAP_SELECTED, ARGUMENTS | UID_FORM | MESSAGES, imap_command_search},
    {"FETCH", IMAP_SELECTED, ARGUMENTS | UID_FORM | MESSAGES, imap_command_fetch},
    {"STORE", IMAP_SELECTED, ARGUMENTS | UID_FORM | MESSAGES, imap_command_store},
    {"COPY", IMAP_SELECTED, ARGUMENTS | UID_FORM, imap_command_copy},
    {"MOVE", IMAP_SELECTED, ARGUMENTS | UID_FORM, imap_command_move},
};

const char *imap_capabilities(const struct imap_session *session)
{
    static char text[400];
    struct sasl_client client;
    const char *mechanisms;
    int n;

    if (session->state != IMAP_NOT_AUTHENTICATED)
        return "IMAP4rev1 LITERAL+ ID IDLE NAMESPACE UIDPLUS UNSELECT CHILDREN MOVE SPECIAL-USE";
    sasl_describe_client(&client, session->command, "imap", session->common.peer, session->common.stream);
    n = snprintf(text, sizeof text, "IMAP4rev1 LITERAL+ ID SASL-IR");
    mechanisms = sasl_mechanisms(&client);
    while (*mechanisms) {
        int length = (int)strcspn(mechanisms, " ");

        n += snprintf(text + n, sizeof text - (size_t)n, " AUTH=%.*s", length, mechanisms);
        mechanisms += length + (mechanisms[length] == ' ');
    }
    if (!client.tls)
        snprintf(text + n, sizeof text - (size_t)n, "%s LOGINDISABLED", session->settings->tls ? " STARTTLS" : "");
    return text;
}

AWAITS void imap_command_run(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    struct slice verb;

    if (!imap_take_tag(c, &session->tag)) {
        session->tag = SLICE("*");
        imap_bad(session, "A command begins with a tag");
        return;
    }
    if (!imap_take_char(c, ' ') || !imap_take_atom(c, &verb)) {
        imap_bad(session, "A command follows the tag");
        return;
    }
    if (slice_equal_nocase(verb, SLICE("UID"))) {
        session->uid = true;
        if (!imap_take_char(c, ' ') || !imap_take_atom(c, &verb)) {
            imap_bad(session, "UID wants a command");
            return;
        }
    }
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (!slice_equal_nocase(verb, slice_str(commands[i].verb)))
            continue;
        if (session->uid && !(commands[i].options & UID_FORM))
            break;
        if (!(commands[i].states & session->state))
            imap_bad(session, session->state == IMAP_NOT_AUTHENTICATED ? "Log in first"
                              : commands[i].states == IMAP_SELECTED    ? "Select a mailbox first"
                                                                       : "Not in this state");
        else if (!(commands[i].options & ARGUMENTS) && !imap_at_end(c))
            imap_bad(session, "That command takes no argument");
        else {
            session->may_expunge = session->uid || !(commands[i].options & MESSAGES);
            commands[i].run(session);
        }
        return;
    }
    imap_bad(session, "Unknown command");
}
