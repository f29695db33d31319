/*
 * smtp_parse: the grammar of SMTP command lines (RFC 5321 section 4.1.1 and the extensions that we offer).
 *
 * The grammar stands beside the function that implements it, in the words of the RFC; addresses and the parameters of
 * MAIL and RCPT have files of their own (smtp_address.c, smtp_parameter.c).  Every function is recursive descent over
 * a cursor and needs no state but its arguments, so all of it is tested by tables and fuzzed.
 *
 * Kinder than the grammar: blanks after "FROM:" and "TO:" and at the end of the line, and any printable word as
 * the name in EHLO.  Strict: nothing may stand behind a path that is not a parameter that we offer, and control
 * characters are allowed nowhere.  The line's length is the caller's business.
 */
#include "protocols/smtp_parse.h"

#include "core/cursor.h"
#include "core/idn.h"
#include "protocols/smtp_parameter.h"

#define HELO_MAX 255

static const struct smtp_fault fault_control = {500, "5.5.2", "Control characters are not allowed in commands"};
static const struct smtp_fault fault_from = {501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]"};
static const struct smtp_fault fault_to = {501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]"};
static const struct smtp_fault fault_sender = {501, "5.1.7", "Bad sender address syntax"};
static const struct smtp_fault fault_recipient = {501, "5.1.3", "Bad recipient address syntax"};
/* RFC 6531 3.5 */
static const struct smtp_fault fault_sender_ascii = {550, "5.6.7",
                                                     "An address that is not ASCII needs the parameter SMTPUTF8"};
static const struct smtp_fault fault_recipient_ascii = {
    553, "5.6.7", "An address that is not ASCII needs the parameter SMTPUTF8 of MAIL"};
static const struct smtp_fault fault_vrfy = {501, "5.5.4", "Syntax: VRFY address [SMTPUTF8]"};
static const struct smtp_fault fault_helo = {501, "5.5.4", "A host name or address literal is needed"};
static const struct smtp_fault fault_bdat = {501, "5.5.4", "Syntax: BDAT size [LAST]"};
static const struct smtp_fault fault_auth = {501, "5.5.4", "Syntax: AUTH mechanism [initial-response]"};

/* ------------------------------------------------------------------ the command line */

const struct smtp_fault *smtp_parse_command(struct slice line, struct smtp_command *out)
{
    static const struct {
        struct slice name;
        enum smtp_verb verb;
    } verbs[] = {
        {{"ATRN", 4}, SMTP_VERB_ATRN}, {{"AUTH", 4}, SMTP_VERB_AUTH},       {{"BDAT", 4}, SMTP_VERB_BDAT},
        {{"DATA", 4}, SMTP_VERB_DATA}, {{"EHLO", 4}, SMTP_VERB_EHLO},       {{"ETRN", 4}, SMTP_VERB_ETRN},
        {{"EXPN", 4}, SMTP_VERB_EXPN}, {{"HELO", 4}, SMTP_VERB_HELO},       {{"HELP", 4}, SMTP_VERB_HELP},
        {{"MAIL", 4}, SMTP_VERB_MAIL}, {{"NOOP", 4}, SMTP_VERB_NOOP},       {{"QUIT", 4}, SMTP_VERB_QUIT},
        {{"RCPT", 4}, SMTP_VERB_RCPT}, {{"RSET", 4}, SMTP_VERB_RSET},       {{"STARTTLS", 8}, SMTP_VERB_STARTTLS},
        {{"VRFY", 4}, SMTP_VERB_VRFY}, {{"XCLIENT", 7}, SMTP_VERB_XCLIENT},
    };

    *out = (struct smtp_command){SMTP_VERB_UNKNOWN, {"", 0}};
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
            return &fault_control;

    struct slice rest = line;
    while (rest.n && *rest.p != ' ' && *rest.p != '\t')
        rest = slice_skip(rest, 1);
    struct slice word = cursor_taken(line, rest);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (slice_equal_nocase(word, verbs[i].name))
            out->verb = verbs[i].verb;

    cursor_skip_blanks(&rest);
    while (rest.n && (rest.p[rest.n - 1] == ' ' || rest.p[rest.n - 1] == '\t'))
        rest.n--;
    out->arguments = rest;
    return NULL;
}

/* ------------------------------------------------------------------ numbers */

/* size-value = 1*20DIGIT (RFC 1870 section 4).  What does not fit into 64 bits is too much in any case. */
bool smtp_parse_size(struct slice value, uint64_t *size)
{
    bool over = false;

    *size = 0;
    if (!value.n || value.n > 20)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        if (!cursor_is_digit(value.p[i]))
            return false;
        over |= __builtin_mul_overflow(*size, 10, size);
        over |= __builtin_add_overflow(*size, (uint64_t)(value.p[i] - '0'), size);
    }
    if (over)
        *size = UINT64_MAX;
    return true;
}

/* ------------------------------------------------------------------ the commands */

/* mail = "MAIL FROM:" Reverse-path [SP Mail-parameters];  Reverse-path = Path / "<>" */
const struct smtp_fault *smtp_parse_mail(struct arena *arena, struct slice arguments, unsigned where,
                                         struct smtp_mail *out)
{
    struct slice rest = arguments;

    *out = (struct smtp_mail){.sender = {.address = {"", 0}, .local = {"", 0}, .domain = {"", 0}}};
    if (!cursor_take_word(&rest, SLICE("FROM:")))
        return &fault_from;
    cursor_skip_blanks(&rest);
    if (!cursor_take_word(&rest, SLICE("<>")) && !smtp_take_path(arena, &rest, &out->sender))
        return &fault_sender;
    const struct smtp_fault *fault = smtp_parameter_mail(arena, rest, where, out);
    if (!fault && out->sender.international && !out->envelope.utf8)
        return &fault_sender_ascii;
    return fault;
}

/* rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] */
const struct smtp_fault *smtp_parse_rcpt(struct arena *arena, struct slice arguments, bool utf8, struct smtp_path *out,
                                         struct envelope_rcpt *envelope)
{
    struct slice rest = arguments;

    *out = (struct smtp_path){.address = {"", 0}, .local = {"", 0}, .domain = {"", 0}};
    *envelope = (struct envelope_rcpt){0};
    if (!cursor_take_word(&rest, SLICE("TO:")))
        return &fault_to;
    cursor_skip_blanks(&rest);
    if (cursor_take_word(&rest, SLICE("<Postmaster>")))
        out->address = out->local = SLICE("postmaster");
    else if (!smtp_take_path(arena, &rest, out))
        return &fault_recipient;
    if (out->international && !utf8)
        return &fault_recipient_ascii;
    return smtp_parameter_rcpt(arena, rest, envelope);
}

/*
 * vrfy = "VRFY" SP String [ SP "SMTPUTF8" ] CRLF                                        (RFC 6531 3.7.4.2)
 *
 * Nobody is verified, so all that there is to find is that it could be: a string, in UTF-8 if it is not ASCII.
 */
const struct smtp_fault *smtp_parse_vrfy(struct slice arguments)
{
    return arguments.n && idn_is_utf8(arguments) && !slice_equal_nocase(arguments, SLICE("SMTPUTF8")) ? NULL
                                                                                                      : &fault_vrfy;
}

/* ehlo = "EHLO" SP ( Domain / address-literal );  helo = "HELO" SP Domain */
const struct smtp_fault *smtp_parse_helo(struct slice arguments, struct slice *out)
{
    *out = arguments;
    if (!arguments.n || arguments.n > HELO_MAX)
        return &fault_helo;
    for (size_t i = 0; i < arguments.n; i++)
        if (arguments.p[i] <= ' ' || arguments.p[i] > '~')
            return &fault_helo;
    return NULL;
}

/*
 * bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ]   (RFC 3030 section 2)
 * chunk-size = 1*DIGIT
 * end-marker = "LAST"
 */
const struct smtp_fault *smtp_parse_bdat(struct slice arguments, struct smtp_bdat *out)
{
    struct slice rest = arguments;

    *out = (struct smtp_bdat){0};
    while (rest.n && cursor_is_digit(*rest.p))
        rest = slice_skip(rest, 1);
    if (!smtp_parse_size(cursor_taken(arguments, rest), &out->size))
        return &fault_bdat;
    if (!rest.n)
        return NULL;
    out->last = true;
    if (!cursor_skip_blanks(&rest) || !slice_equal_nocase(rest, SLICE("LAST")))
        return &fault_bdat;
    return NULL;
}

/*
 * auth-command = "AUTH" SP sasl-mech [SP initial-response]   (RFC 4954 section 8)
 * sasl-mech    = 1*20(UPPER-ALPHA / DIGIT / "-" / "_"), taken in any case
 */
const struct smtp_fault *smtp_parse_auth(struct slice arguments, struct smtp_auth *out)
{
    struct slice rest = arguments;

    *out = (struct smtp_auth){0};
    while (rest.n && (cursor_is_let_dig(*rest.p) || *rest.p == '-' || *rest.p == '_'))
        rest = slice_skip(rest, 1);
    out->mechanism = cursor_taken(arguments, rest);
    if (!out->mechanism.n || out->mechanism.n > SMTP_MECHANISM_MAX)
        return &fault_auth;
    if (!rest.n)
        return NULL;
    if (!cursor_skip_blanks(&rest) || !rest.n)
        return &fault_auth;
    out->initial = rest;
    for (; rest.n; rest = slice_skip(rest, 1))
        if (*rest.p == ' ' || *rest.p == '\t')
            return &fault_auth;
    return NULL;
}
