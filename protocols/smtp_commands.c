/*
 * smtp_commands: which verb is which function, and the commands that are too small for a file of their own.
 *
 * These answer at once and change nothing but the transaction: NOOP, RSET, QUIT, HELP; VRFY and EXPN, which tell
 * strangers nothing; and what is no command.  The others are in smtp_command_NAME.c.
 */
#include "protocols/smtp_session.h"

static bool no_arguments(struct smtp_session *session, struct slice arguments)
{
    if (!arguments.n)
        return true;
    smtp_reply_error(session, 501, "5.5.4", "This command takes no argument");
    return false;
}

/* noop = "NOOP" [ SP String ] */
static void command_noop(struct smtp_session *session, struct slice arguments)
{
    (void)arguments;
    smtp_reply(session, 250, "2.0.0", "Ok");
}

static void command_rset(struct smtp_session *session, struct slice arguments)
{
    if (!no_arguments(session, arguments))
        return;
    smtp_session_reset(session);
    smtp_reply(session, 250, "2.0.0", "Ok");
}

static void command_quit(struct smtp_session *session, struct slice arguments)
{
    if (no_arguments(session, arguments))
        smtp_reply_goodbye(session, 221, "2.0.0", "Closing connection");
}

/* Section 3.5.3: 252 says that we do not tell who exists, but would try. */
static void command_vrfy(struct smtp_session *session, struct slice arguments)
{
    const struct smtp_fault *fault = smtp_parse_vrfy(arguments);

    if (fault)
        smtp_reply_fault(session, fault);
    else
        smtp_reply(session, 252, "2.0.0", "Cannot verify; send to it and see");
}

/* What HELP tells; EXPN, which is never there, is not among it. */
static const struct help {
    enum smtp_verb verb;
    struct slice name;
    const char *syntax;
} helps[] = {
    {SMTP_VERB_EHLO, {"EHLO", 4}, "EHLO name"},
    {SMTP_VERB_HELO, {"HELO", 4}, "HELO name"},
    {SMTP_VERB_STARTTLS, {"STARTTLS", 8}, "STARTTLS"},
    {SMTP_VERB_AUTH, {"AUTH", 4}, "AUTH mechanism [initial-response]"},
    {SMTP_VERB_XCLIENT, {"XCLIENT", 7}, "XCLIENT attribute=value..."},
    {SMTP_VERB_MAIL, {"MAIL", 4}, "MAIL FROM:<address> [parameters], of the extensions that EHLO lists"},
    {SMTP_VERB_RCPT, {"RCPT", 4}, "RCPT TO:<address> [parameters], of the extensions that EHLO lists"},
    {SMTP_VERB_DATA, {"DATA", 4}, "DATA; after 354 the message, and a line with a dot"},
    {SMTP_VERB_BDAT, {"BDAT", 4}, "BDAT size [LAST]; then so many octets of the message"},
    {SMTP_VERB_RSET, {"RSET", 4}, "RSET"},
    {SMTP_VERB_VRFY, {"VRFY", 4}, "VRFY address [SMTPUTF8]; nobody is verified"},
    {SMTP_VERB_ETRN, {"ETRN", 4}, "ETRN domain, or @domain with those below it"},
    {SMTP_VERB_ATRN, {"ATRN", 4}, "ATRN [domain,...]"},
    {SMTP_VERB_NOOP, {"NOOP", 4}, "NOOP [text]"},
    {SMTP_VERB_HELP, {"HELP", 4}, "HELP [command]"},
    {SMTP_VERB_QUIT, {"QUIT", 4}, "QUIT"},
};
#define HELPS (sizeof(helps) / sizeof(helps[0]))

/* RFC 2645 5.4: "The provider MAY reject all commands other than EHLO, AUTH, ATRN, and QUIT with response code 502." */
static bool is_of_odmr(enum smtp_verb verb)
{
    return verb != SMTP_VERB_MAIL && verb != SMTP_VERB_RCPT && verb != SMTP_VERB_DATA && verb != SMTP_VERB_BDAT &&
           verb != SMTP_VERB_ETRN && verb != SMTP_VERB_XCLIENT;
}

/* What EHLO does not offer here is not told of, either. */
static bool helps_here(const struct smtp_session *session, enum smtp_verb verb)
{
    bool odmr = session->role == SMTP_ROLE_ODMR;

    if (odmr && !is_of_odmr(verb))
        return false;
    if (verb == SMTP_VERB_STARTTLS)
        return session->settings->tls && !stream_is_tls(session->stream) && !session->told;
    if (verb == SMTP_VERB_AUTH)
        return odmr || session->role == SMTP_ROLE_SUBMISSION;
    if (verb == SMTP_VERB_XCLIENT)
        return session->may_xclient;
    return verb != SMTP_VERB_ATRN || odmr;
}

/* help = "HELP" [ SP String ]; 211 and 214, or 504 (RFC 5321 4.1.1.8, 4.3.2) */
static void command_help(struct smtp_session *session, struct slice arguments)
{
    const char *list = "";

    for (size_t i = 0; i < HELPS; i++) {
        if (!helps_here(session, helps[i].verb))
            continue;
        if (slice_equal_nocase(arguments, helps[i].name)) {
            smtp_reply(session, 214, "2.0.0", "%s", helps[i].syntax);
            return;
        }
        list = arena_printf(session->command, "%s %s", list, helps[i].name.p);
    }
    if (arguments.n)
        smtp_reply_error(session, 504, "5.5.4", "There is no such command here");
    else
        smtp_reply(session, 214, "2.0.0", "Commands:%s", list);
}

static void command_expn(struct smtp_session *session, struct slice arguments)
{
    (void)arguments;
    smtp_reply_error(session, 502, "5.5.1", "EXPN is not implemented");
}

static void command_unknown(struct smtp_session *session, struct slice arguments)
{
    (void)arguments;
    smtp_reply_error(session, 500, "5.5.2", "Command not recognized");
}

static void command_ehlo(struct smtp_session *session, struct slice arguments)
{
    smtp_command_hello(session, arguments, true);
}

static void command_helo(struct smtp_session *session, struct slice arguments)
{
    smtp_command_hello(session, arguments, false);
}

static void (*const commands[])(struct smtp_session *session, struct slice arguments) = {
    [SMTP_VERB_UNKNOWN] = command_unknown, [SMTP_VERB_ATRN] = smtp_command_atrn,
    [SMTP_VERB_AUTH] = smtp_command_auth,  [SMTP_VERB_BDAT] = smtp_command_bdat,
    [SMTP_VERB_DATA] = smtp_command_data,  [SMTP_VERB_EHLO] = command_ehlo,
    [SMTP_VERB_ETRN] = smtp_command_etrn,  [SMTP_VERB_EXPN] = command_expn,
    [SMTP_VERB_HELO] = command_helo,       [SMTP_VERB_HELP] = command_help,
    [SMTP_VERB_MAIL] = smtp_command_mail,  [SMTP_VERB_NOOP] = command_noop,
    [SMTP_VERB_QUIT] = command_quit,       [SMTP_VERB_RCPT] = smtp_command_rcpt,
    [SMTP_VERB_RSET] = command_rset,       [SMTP_VERB_STARTTLS] = smtp_command_starttls,
    [SMTP_VERB_VRFY] = command_vrfy,       [SMTP_VERB_XCLIENT] = smtp_command_xclient,
};

void smtp_commands_run(struct smtp_session *session)
{
    enum smtp_verb verb = session->line.verb;

    if (session->role == SMTP_ROLE_ODMR && !is_of_odmr(verb))
        smtp_reply_error(session, 502, "5.5.1", "This port is for ATRN; mail is taken on others");
    else
        commands[verb](session, session->line.arguments);
}
