/*
 * smtp_parameter: the ESMTP parameters that we know, as two tables (smtp_parameter_mail.c, smtp_parameter_rcpt.c).
 *
 *     esmtp-param   = esmtp-keyword ["=" esmtp-value]
 *     esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *     esmtp-value   = 1*(%d33-60 / %d62-126 / UTF8-non-ascii)                  (RFC 5321 4.1.2, RFC 6531 3.3)
 *
 * A row is a parameter: its keyword, the extension that it belongs to, how its value is read, and how it is written
 * again for the database and the next hop.  A row without the latter ends here: it is between the client and us.  Each
 * may be given once; what is in no row is answered 555.
 *
 * What is in the database was written by these tables, and is read by them with the widest rules that there are: some
 * rows stand only there, for what we note of a message ourselves.
 */
#include "protocols/smtp_parameter.h"

#include "core/cursor.h"
#include "core/idn.h"
#include "protocols/smtp_parameter_internal.h"

static const struct smtp_fault fault_syntax = {501, "5.5.4", "Bad parameter syntax"};
static const struct smtp_fault fault_twice = {501, "5.5.4", "Parameter given twice"};
static const struct smtp_fault fault_unknown = {555, "5.5.4", "Parameter not recognized or not implemented"};
static const struct smtp_fault fault_blank = {501, "5.1.7", "Bad sender address syntax"};
static const struct smtp_fault fault_blank_rcpt = {501, "5.1.3", "Bad recipient address syntax"};

bool smtp_parameter_is_printable(struct arena *arena, struct slice value)
{
    struct slice plain;

    if (!value.n || !envelope_xtext(arena, value, &plain))
        return false;
    for (size_t i = 0; i < plain.n; i++)
        if ((plain.p[i] < ' ' || plain.p[i] > '~') && plain.p[i] != '\t')
            return false;
    return true;
}

/* ------------------------------------------------------------------ one after the other */

struct parameter {
    struct slice name, value; /* value {NULL,0}: none */
};

static bool take_parameter(struct slice *rest, struct parameter *out)
{
    struct slice start = *rest;
    if (!rest->n || !cursor_is_let_dig(*rest->p))
        return false;
    while (rest->n && (cursor_is_let_dig(*rest->p) || *rest->p == '-'))
        *rest = slice_skip(*rest, 1);
    out->name = cursor_taken(start, *rest);
    out->value = (struct slice){0};
    if (!cursor_take(rest, '='))
        return true;
    start = *rest;
    while (rest->n && (unsigned char)*rest->p > ' ' && *rest->p != 0x7f && *rest->p != '=')
        *rest = slice_skip(*rest, 1);
    out->value = cursor_taken(start, *rest);
    return out->value.n > 0 && idn_is_utf8(out->value);
}

/* False: the end, or *fault. */
static bool next_parameter(struct slice *rest, struct parameter *out, const struct smtp_fault *no_blank,
                           const struct smtp_fault **fault)
{
    *fault = NULL;
    if (!rest->n)
        return false;
    if (!cursor_skip_blanks(rest))
        *fault = no_blank;
    else if (!take_parameter(rest, out) || (rest->n && *rest->p != ' ' && *rest->p != '\t'))
        *fault = &fault_syntax;
    return !*fault;
}

const struct smtp_fault *smtp_parameter_mail(struct arena *arena, struct slice text, unsigned where,
                                             struct smtp_mail *out)
{
    const struct smtp_fault *fault;
    struct parameter parameter;
    unsigned seen = 0;
    size_t i;

    while (next_parameter(&text, &parameter, &fault_blank, &fault)) {
        for (i = 0;
             i < smtp_parameter_mail_count && !slice_equal_nocase(parameter.name, smtp_parameter_mail_rows[i].name);
             i++)
            ;
        if (i == smtp_parameter_mail_count || (smtp_parameter_mail_rows[i].only & ~where))
            return &fault_unknown;
        if (seen & 1u << i)
            return &fault_twice;
        seen |= 1u << i;
        if ((fault = smtp_parameter_mail_rows[i].read(arena, parameter.value, out)))
            return fault;
    }
    return fault;
}

static const struct smtp_fault *read_rcpt(struct arena *arena, struct slice text, bool stored,
                                          struct envelope_rcpt *out)
{
    const struct smtp_fault *fault;
    struct parameter parameter;
    unsigned seen = 0;
    size_t i;

    while (next_parameter(&text, &parameter, &fault_blank_rcpt, &fault)) {
        for (i = 0;
             i < smtp_parameter_rcpt_count && !slice_equal_nocase(parameter.name, smtp_parameter_rcpt_rows[i].name);
             i++)
            ;
        if (i == smtp_parameter_rcpt_count || (smtp_parameter_rcpt_rows[i].stored && !stored))
            return &fault_unknown;
        if (seen & 1u << i)
            return &fault_twice;
        seen |= 1u << i;
        if ((fault = smtp_parameter_rcpt_rows[i].read(arena, parameter.value, out)))
            return fault;
    }
    return fault;
}

const struct smtp_fault *smtp_parameter_rcpt(struct arena *arena, struct slice text, struct envelope_rcpt *out)
{
    return read_rcpt(arena, text, false, out);
}

/* ------------------------------------------------------------------ writing, and what was written */

static const char *append(struct arena *arena, const char *text, const char *more)
{
    return !more ? text : text ? arena_printf(arena, "%s %s", text, more) : more;
}

struct slice smtp_parameter_print_mail(struct arena *arena, const struct envelope_mail *envelope, unsigned extensions)
{
    const char *text = NULL;

    for (size_t i = 0; i < smtp_parameter_mail_count; i++)
        if (smtp_parameter_mail_rows[i].extension & extensions)
            text = append(arena, text, smtp_parameter_mail_rows[i].print(arena, envelope));
    return slice_str(text);
}

struct slice smtp_parameter_print_rcpt(struct arena *arena, const struct envelope_rcpt *envelope, unsigned extensions)
{
    const char *text = NULL;

    for (size_t i = 0; i < smtp_parameter_rcpt_count; i++)
        if (smtp_parameter_rcpt_rows[i].extension & extensions)
            text = append(arena, text, smtp_parameter_rcpt_rows[i].print(arena, envelope));
    return slice_str(text);
}

/* Word for word, so that one that is not understood does not cost the others. */
static struct slice next_word(struct arena *arena, struct slice *rest)
{
    struct slice start = *rest;

    while (rest->n && *rest->p != ' ')
        *rest = slice_skip(*rest, 1);
    start = cursor_taken(start, *rest);
    cursor_skip_blanks(rest);
    return slice_str(arena_printf(arena, " %.*s", SLICE_ARG(start)));
}

void smtp_parameter_read_mail(struct arena *arena, struct slice stored, struct envelope_mail *out)
{
    struct smtp_mail mail = {0};

    while (stored.n)
        (void)!smtp_parameter_mail(arena, next_word(arena, &stored), ~0u, &mail);
    *out = mail.envelope;
}

void smtp_parameter_read_rcpt(struct arena *arena, struct slice stored, struct envelope_rcpt *out)
{
    *out = (struct envelope_rcpt){0};
    while (stored.n)
        (void)!read_rcpt(arena, next_word(arena, &stored), true, out);
}
