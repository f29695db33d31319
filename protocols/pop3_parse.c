/*
 * pop3_parse: one line, one command.
 *
 *     command  =  keyword *(SP param) CRLF        RFC 2449 section 3
 *     keyword  =  3*4VCHAR
 *     param    =  1*VCHAR
 *
 * What we take beyond it: the keyword in any case (RFC 1939 section 3), blanks at the end of a line where the last
 * parameter is not free text, and a user name or password with blanks and eight-bit bytes in it: RFC 1939 section 7
 * (PASS) lets a server treat blanks as part of the password, and real passwords have both.  Control characters are
 * refused everywhere: nothing that a client means contains them, and they would travel into logs.
 *
 * A message number is 1 to 9 digits, and not 0.
 */
#include "protocols/pop3_parse.h"

#define NUMBER_DIGITS_MAX 9

enum shape {
    SHAPE_NONE, /* no parameter */
    SHAPE_TEXT, /* the rest of the line, not empty */
    SHAPE_NUMBER,
    SHAPE_OPTIONAL_NUMBER,
    SHAPE_NUMBER_LINES,
    SHAPE_AUTH,
};

static const struct verb {
    const char *name;
    enum shape shape;
} verbs[POP3_VERBS] = {
    [POP3_AUTH] = {"AUTH", SHAPE_AUTH},
    [POP3_CAPA] = {"CAPA", SHAPE_NONE},
    [POP3_DELE] = {"DELE", SHAPE_NUMBER},
    [POP3_LIST] = {"LIST", SHAPE_OPTIONAL_NUMBER},
    [POP3_NOOP] = {"NOOP", SHAPE_NONE},
    [POP3_PASS] = {"PASS", SHAPE_TEXT},
    [POP3_QUIT] = {"QUIT", SHAPE_NONE},
    [POP3_RETR] = {"RETR", SHAPE_NUMBER},
    [POP3_RSET] = {"RSET", SHAPE_NONE},
    [POP3_STAT] = {"STAT", SHAPE_NONE},
    [POP3_STLS] = {"STLS", SHAPE_NONE},
    [POP3_TOP] = {"TOP", SHAPE_NUMBER_LINES},
    [POP3_UIDL] = {"UIDL", SHAPE_OPTIONAL_NUMBER},
    [POP3_USER] = {"USER", SHAPE_TEXT},
};

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return true;
    return false;
}

/* Takes the next word and the blanks after it off *rest. */
static struct slice take_word(struct slice *rest)
{
    size_t n = 0;
    struct slice word;

    while (n < rest->n && rest->p[n] != ' ')
        n++;
    word = slice_of(rest->p, n);
    while (n < rest->n && rest->p[n] == ' ')
        n++;
    *rest = slice_skip(*rest, n);
    return word;
}

static bool take_number(struct slice *rest, uint32_t *out)
{
    struct slice word = take_word(rest);

    *out = 0;
    if (word.n == 0 || word.n > NUMBER_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '9')
            return false;
        *out = *out * 10 + (uint32_t)(word.p[i] - '0');
    }
    return true;
}

static const char *parse_number(struct slice *rest, struct pop3_command *out)
{
    if (!take_number(rest, &out->number) || out->number == 0)
        return "A message number is needed";
    return NULL;
}

/* "AUTH" SP mechanism [SP initial-response], RFC 5034 section 4; "=" is an initial response of no bytes. */
static const char *parse_auth(struct slice *rest, struct pop3_command *out)
{
    out->text = take_word(rest);
    if (out->text.n == 0)
        return "A mechanism is needed";
    if (rest->n == 0)
        return NULL;
    out->initial = take_word(rest);
    if (slice_equal(out->initial, SLICE("=")))
        out->initial.n = 0;
    return NULL;
}

static const char *parse_parameters(enum shape shape, struct slice *rest, struct pop3_command *out)
{
    const char *fault;

    switch (shape) {
    case SHAPE_NONE: return NULL;
    case SHAPE_TEXT:
        out->text = *rest;
        *rest = slice_skip(*rest, rest->n);
        return out->text.n == 0 ? "An argument is needed" : NULL;
    case SHAPE_OPTIONAL_NUMBER: return rest->n == 0 ? NULL : parse_number(rest, out);
    case SHAPE_NUMBER: return parse_number(rest, out);
    case SHAPE_NUMBER_LINES:
        fault = parse_number(rest, out);
        if (fault)
            return fault;
        return take_number(rest, &out->lines) ? NULL : "A number of lines is needed";
    case SHAPE_AUTH: return parse_auth(rest, out);
    }
    return NULL;
}

const char *pop3_parse(struct slice line, struct pop3_command *out)
{
    struct slice rest = line, name;
    const char *fault;
    unsigned verb = 0;

    *out = (struct pop3_command){.text = {"", 0}};
    if (has_control(line))
        return "Control characters in a command";
    name = take_word(&rest);
    while (verb < POP3_VERBS && !slice_equal_nocase(name, slice_str(verbs[verb].name)))
        verb++;
    if (verb == POP3_VERBS)
        return "Unknown command";
    out->verb = (enum pop3_verb)verb;
    /* One blank ends the keyword; more belong to a password. */
    if (verbs[verb].shape == SHAPE_TEXT)
        rest = slice_skip(line, name.n + 1);
    fault = parse_parameters(verbs[verb].shape, &rest, out);
    if (!fault && rest.n > 0)
        fault = "Too many arguments";
    return fault;
}
