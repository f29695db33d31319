/*
 * smtp_parameter: the ESMTP parameters that we know, as two tables.
 *
 *     esmtp-param   = esmtp-keyword ["=" esmtp-value]
 *     esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *     esmtp-value   = 1*(%d33-60 / %d62-126 / UTF8-non-ascii)                  (RFC 5321 4.1.2, RFC 6531 3.3)
 *
 * A row is a parameter: its keyword, the extension that it belongs to, how its value is read, and how it is written
 * again for the database and the next hop.  A row without the latter ends here: it is between the client and us.  Each may be given
 * once; what is in no row is answered 555.
 *
 * What is in the database was written by these tables, and is read by them with the widest rules that there are: some rows
 * stand only there, for what we note of a message ourselves.
 */
#include "protocols/smtp_parameter.h"

#include "core/clock.h"
#include "core/idn.h"
#include "protocols/smtp_cursor.h"

#define ENVID_MAX 100 /* RFC 3461 4.4 */
#define HOLDFOR_MAX 9 /* digits, RFC 4865 section 2 */
#define BY_MAX 9      /* digits, RFC 2852 section 4 */
#define ORCPT_MAX 500 /* RFC 3461 4.2 */

static const struct smtp_fault fault_syntax = {501, "5.5.4", "Bad parameter syntax"};
static const struct smtp_fault fault_twice = {501, "5.5.4", "Parameter given twice"};
static const struct smtp_fault fault_unknown = {555, "5.5.4", "Parameter not recognized or not implemented"};
static const struct smtp_fault fault_blank = {501, "5.1.7", "Bad sender address syntax"};
static const struct smtp_fault fault_blank_rcpt = {501, "5.1.3", "Bad recipient address syntax"};
static const struct smtp_fault fault_size = {501, "5.5.4", "Bad SIZE value"};
static const struct smtp_fault fault_body = {501, "5.5.4", "BODY is 7BIT or 8BITMIME"};
static const struct smtp_fault fault_auth = {501, "5.5.4", "Bad AUTH value"};
static const struct smtp_fault fault_ret = {501, "5.5.4", "RET is FULL or HDRS"};
static const struct smtp_fault fault_envid = {501, "5.5.4", "ENVID is up to 100 characters of xtext"};
static const struct smtp_fault fault_requiretls = {501, "5.5.4", "REQUIRETLS takes no value"};
static const struct smtp_fault fault_smtputf8 = {501, "5.5.4", "SMTPUTF8 takes no value"};
static const struct smtp_fault fault_tls_required = {501, "5.5.4", "TLS-REQUIRED is NO"};
static const struct smtp_fault fault_hold_for = {501, "5.5.4", "HOLDFOR is a number of seconds, 1 to 999999999"};
static const struct smtp_fault fault_hold_until = {501, "5.5.4", "HOLDUNTIL is a date and time as in 2026-12-24T08:00:00Z"};
static const struct smtp_fault fault_hold_twice = {501, "5.5.4", "HOLDFOR and HOLDUNTIL exclude each other"};
static const struct smtp_fault fault_by = {501, "5.5.4", "BY is seconds, \";\", R or N, and T or not; R has some seconds"};
static const struct smtp_fault fault_priority = {501, "5.5.2", "MT-PRIORITY is a number from -9 to 9"}; /* RFC 6710 4.1 */
static const struct smtp_fault fault_notify = {501, "5.5.4", "NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY"};
static const struct smtp_fault fault_orcpt = {501, "5.5.4", "ORCPT is a type, \";\" and up to 500 characters of xtext"};

/* ------------------------------------------------------------------ MAIL */

static const struct smtp_fault *read_size(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    return smtp_parse_size(value, &out->size) ? NULL : &fault_size;
}

static const struct smtp_fault *read_body(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    out->eight_bit = slice_equal_nocase(value, SLICE("8BITMIME"));
    return out->eight_bit || slice_equal_nocase(value, SLICE("7BIT")) ? NULL : &fault_body;
}

/*
 * AUTH=xtext (RFC 4954 section 5): the identity that the submitter vouches for.  We are where mail is submitted, vouch
 * ourselves and hand on nothing, so it is checked and forgotten.
 */
static const struct smtp_fault *read_auth(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)out;
    return value.n && envelope_xtext(arena, value, NULL) ? NULL : &fault_auth;
}

/* ret-value = "FULL" / "HDRS" (RFC 3461 4.3) */
static const struct smtp_fault *read_ret(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    if (slice_equal_nocase(value, SLICE("FULL")))
        out->envelope.ret = ENVELOPE_RETURN_FULL;
    else if (slice_equal_nocase(value, SLICE("HDRS")))
        out->envelope.ret = ENVELOPE_RETURN_HEADER;
    else
        return &fault_ret;
    return NULL;
}

static const char *print_ret(struct arena *arena, const struct envelope_mail *envelope)
{
    (void)arena;
    switch (envelope->ret) {
    case ENVELOPE_RETURN_UNSAID: break;
    case ENVELOPE_RETURN_HEADER: return "RET=HDRS";
    case ENVELOPE_RETURN_FULL: return "RET=FULL";
    }
    return NULL;
}

/* Printable US-ASCII in xtext; it stands in a field of the report one day. */
static bool is_printable_xtext(struct arena *arena, struct slice value)
{
    struct slice plain;

    if (!value.n || !envelope_xtext(arena, value, &plain))
        return false;
    for (size_t i = 0; i < plain.n; i++)
        if ((plain.p[i] < ' ' || plain.p[i] > '~') && plain.p[i] != '\t')
            return false;
    return true;
}

/* envid-parameter = "ENVID=" xtext (RFC 3461 4.4) */
static const struct smtp_fault *read_envid(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    if (value.n > ENVID_MAX || !is_printable_xtext(arena, value))
        return &fault_envid;
    out->envelope.envid = arena_slice(arena, value);
    return NULL;
}

static const char *print_envid(struct arena *arena, const struct envelope_mail *envelope)
{
    return envelope->envid.p ? arena_printf(arena, "ENVID=%.*s", SLICE_ARG(envelope->envid)) : NULL;
}

/* "This parameter does not accept a value" (RFC 6531 3.1) */
static const struct smtp_fault *read_smtputf8(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    out->envelope.utf8 = true;
    return value.p ? &fault_smtputf8 : NULL;
}

static const char *print_smtputf8(struct arena *arena, const struct envelope_mail *envelope)
{
    (void)arena;
    return envelope->utf8 ? ENVELOPE_SMTPUTF8_STORED : NULL;
}

/* "A single optional parameter, REQUIRETLS, with no value" (RFC 8689 section 2) */
static const struct smtp_fault *read_requiretls(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    out->envelope.require_tls = true;
    return value.p ? &fault_requiretls : NULL;
}

static const char *print_requiretls(struct arena *arena, const struct envelope_mail *envelope)
{
    (void)arena;
    return envelope->require_tls ? ENVELOPE_REQUIRETLS_STORED : NULL;
}

/* Ours: the header had "TLS-Required: No". */
static const struct smtp_fault *read_tls_required(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    out->envelope.tls_optional = true;
    return slice_equal_nocase(value, SLICE("NO")) ? NULL : &fault_tls_required;
}

static const char *print_tls_required(struct arena *arena, const struct envelope_mail *envelope)
{
    (void)arena;
    return envelope->tls_optional ? "TLS-REQUIRED=NO" : NULL;
}

/* future-release-integer = %x31-39 *8DIGIT (RFC 4865 section 2) */
static const struct smtp_fault *read_hold_for(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    if (!value.n || value.n > HOLDFOR_MAX || *value.p == '0')
        return &fault_hold_for;
    for (size_t i = 0; i < value.n; i++)
        if (!cursor_is_digit(value.p[i]))
            return &fault_hold_for;
    if (out->envelope.hold_until.p)
        return &fault_hold_twice;
    out->envelope.hold_for = arena_slice(arena, value);
    return NULL;
}

static const char *print_hold_for(struct arena *arena, const struct envelope_mail *envelope)
{
    return envelope->hold_for.p ? arena_printf(arena, "HOLDFOR=%.*s", SLICE_ARG(envelope->hold_for)) : NULL;
}

static const struct smtp_fault *read_hold_until(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    int64_t ms;

    if (!clock_parse_rfc3339(value, &ms))
        return &fault_hold_until;
    if (out->envelope.hold_for.p)
        return &fault_hold_twice;
    out->envelope.hold_until = arena_slice(arena, value);
    return NULL;
}

static const char *print_hold_until(struct arena *arena, const struct envelope_mail *envelope)
{
    return envelope->hold_until.p ? arena_printf(arena, "HOLDUNTIL=%.*s", SLICE_ARG(envelope->hold_until)) : NULL;
}

/*
 * by-value = by-time ";" by-mode [by-trace];  by-time = ["-" / "+"] 1*9DIGIT;  by-mode = "N" / "R";  by-trace = "T"
 * With R the time is more than 0 (RFC 2852 section 4).
 */
static const struct smtp_fault *read_by(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    struct slice rest = value;
    struct envelope_mail by = out->envelope;
    bool negative = cursor_take(&rest, '-');
    unsigned digits = 0;

    (void)arena;
    if (!negative)
        cursor_take(&rest, '+');
    for (by.by_seconds = 0; rest.n && cursor_is_digit(*rest.p) && digits <= BY_MAX; digits++) {
        by.by_seconds = by.by_seconds * 10 + (*rest.p - '0');
        rest = slice_skip(rest, 1);
    }
    if (!digits || digits > BY_MAX || !cursor_take(&rest, ';') || !rest.n)
        return &fault_by;
    by.by = (*rest.p | 0x20) == 'r'   ? ENVELOPE_BY_RETURN
            : (*rest.p | 0x20) == 'n' ? ENVELOPE_BY_NOTIFY
                                      : ENVELOPE_BY_UNSAID;
    rest = slice_skip(rest, 1);
    by.by_trace = rest.n && (*rest.p | 0x20) == 't';
    if (by.by == ENVELOPE_BY_UNSAID || rest.n != by.by_trace)
        return &fault_by;
    if (negative)
        by.by_seconds = -by.by_seconds;
    if (by.by == ENVELOPE_BY_RETURN && by.by_seconds <= 0)
        return &fault_by;
    out->envelope = by;
    return NULL;
}

static const char *print_by(struct arena *arena, const struct envelope_mail *envelope)
{
    if (envelope->by == ENVELOPE_BY_UNSAID)
        return NULL;
    return arena_printf(arena, "BY=%lld;%s%s", (long long)envelope->by_seconds,
                        envelope->by == ENVELOPE_BY_RETURN ? "R" : "N", envelope->by_trace ? "T" : "");
}

/* priority-value = (["-"] NZDIGIT) / "0" (RFC 6710 section 7) */
static const struct smtp_fault *read_priority(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    struct slice rest = value;
    bool negative = cursor_take(&rest, '-');

    (void)arena;
    if (rest.n != 1 || !cursor_is_digit(*rest.p) || (negative && *rest.p == '0'))
        return &fault_priority;
    out->envelope.has_priority = true;
    out->envelope.priority = negative ? '0' - *rest.p : *rest.p - '0';
    return NULL;
}

static const char *print_priority(struct arena *arena, const struct envelope_mail *envelope)
{
    return envelope->has_priority ? arena_printf(arena, "MT-PRIORITY=%d", envelope->priority) : NULL;
}

static const struct mail_row {
    struct slice name;
    unsigned extension; /* ENVELOPE_*; 0: it ends here */
    unsigned only;      /* SMTP_PARAMETER_*: understood there only; 0: everywhere */
    const struct smtp_fault *(*read)(struct arena *arena, struct slice value, struct smtp_mail *out);
    const char *(*print)(struct arena *arena, const struct envelope_mail *envelope); /* NULL result: not given */
} mail_rows[] = {
    {{"SIZE", 4}, 0, 0, read_size, NULL},
    {{"BODY", 4}, 0, 0, read_body, NULL}, /* smtp_client decides about it by the content */
    {{"AUTH", 4}, 0, SMTP_PARAMETER_SUBMISSION, read_auth, NULL},
    {{"RET", 3}, ENVELOPE_DSN, 0, read_ret, print_ret},
    {{"ENVID", 5}, ENVELOPE_DSN, 0, read_envid, print_envid},
    {{"BY", 2}, ENVELOPE_DELIVERBY, 0, read_by, print_by},
    {{"MT-PRIORITY", 11}, ENVELOPE_MT_PRIORITY, 0, read_priority, print_priority},
    {{"HOLDFOR", 7}, ENVELOPE_FUTURERELEASE, SMTP_PARAMETER_SUBMISSION, read_hold_for, print_hold_for},
    {{"HOLDUNTIL", 9}, ENVELOPE_FUTURERELEASE, SMTP_PARAMETER_SUBMISSION, read_hold_until, print_hold_until},
    {{"SMTPUTF8", 8}, ENVELOPE_SMTPUTF8, 0, read_smtputf8, print_smtputf8},
    {{"REQUIRETLS", 10}, ENVELOPE_REQUIRETLS, SMTP_PARAMETER_TLS, read_requiretls, print_requiretls},
    {{"TLS-REQUIRED", 12}, ENVELOPE_OURS, SMTP_PARAMETER_STORED, read_tls_required, print_tls_required},
};
#define MAIL_ROWS (sizeof(mail_rows) / sizeof(mail_rows[0]))

/* ------------------------------------------------------------------ RCPT */

static const struct {
    struct slice name;
    unsigned bit;
} notify_words[] = {
    {{"NEVER", 5}, ENVELOPE_NOTIFY_NEVER},
    {{"SUCCESS", 7}, ENVELOPE_NOTIFY_SUCCESS},
    {{"FAILURE", 7}, ENVELOPE_NOTIFY_FAILURE},
    {{"DELAY", 5}, ENVELOPE_NOTIFY_DELAY},
};
#define NOTIFY_WORDS (sizeof(notify_words) / sizeof(notify_words[0]))

/* notify-esmtp-value = "NEVER" / 1#notify-list-element;  notify-list-element = "SUCCESS" / "FAILURE" / "DELAY" */
static const struct smtp_fault *read_notify(struct arena *arena, struct slice value, struct envelope_rcpt *out)
{
    struct slice rest = value;

    (void)arena;
    do {
        struct slice start = rest;
        unsigned bit = 0;

        while (rest.n && *rest.p != ',')
            rest = slice_skip(rest, 1);
        for (size_t i = 0; i < NOTIFY_WORDS; i++)
            if (slice_equal_nocase(cursor_taken(start, rest), notify_words[i].name))
                bit = notify_words[i].bit;
        if (!bit)
            return &fault_notify;
        out->notify |= bit;
    } while (cursor_take(&rest, ','));
    return out->notify & ENVELOPE_NOTIFY_NEVER && out->notify != ENVELOPE_NOTIFY_NEVER ? &fault_notify : NULL;
}

static const char *print_notify(struct arena *arena, const struct envelope_rcpt *envelope)
{
    const char *text = NULL;

    for (size_t i = 0; i < NOTIFY_WORDS; i++)
        if (envelope->notify & notify_words[i].bit)
            text = arena_printf(arena, "%s%s", text ? arena_printf(arena, "%s,", text) : "NOTIFY=", notify_words[i].name.p);
    return text;
}

/* utf-8-enc-addr (RFC 6533 section 3), in the form that is ASCII: what stands for a character is "\x{3B4}". */
static bool read_unitext(struct arena *arena, struct slice value, struct slice *out)
{
    struct slice plain;

    for (size_t i = 0; i < value.n; i++) /* QUCHAR; "=" cannot come here */
        if (value.p[i] == '+')
            return false;
    if (!value.n || !idn_unescape(arena, value, true, &plain))
        return false;
    *out = idn_escape(arena, value);
    return true;
}

/*
 * orcpt-parameter = "ORCPT=" original-recipient-address;  original-recipient-address = addr-type ";" xtext
 * addr-type = atom                                                                     (RFC 3461 4.2)
 *
 * An address of type utf-8 that is none by RFC 6533 is taken as any other in xtext, and passed on as it came.
 */
static const struct smtp_fault *read_orcpt(struct arena *arena, struct slice value, struct envelope_rcpt *out)
{
    struct slice rest = value, type, address;

    if (value.n > ORCPT_MAX)
        return &fault_orcpt;
    while (rest.n && (cursor_is_let_dig(*rest.p) || strchr("!#$%&'*-/?^_`{|}~", *rest.p))) /* "=", "+": not here */
        rest = slice_skip(rest, 1);
    type = cursor_taken(value, rest);
    if (!type.n || !cursor_take(&rest, ';'))
        return &fault_orcpt;
    if (slice_equal_nocase(type, SLICE("utf-8")) && read_unitext(arena, rest, &address))
        out->orcpt = slice_str(arena_printf(arena, "%.*s;%.*s", SLICE_ARG(type), SLICE_ARG(address)));
    else if (is_printable_xtext(arena, rest))
        out->orcpt = arena_slice(arena, value);
    else
        return &fault_orcpt;
    return NULL;
}

static const char *print_orcpt(struct arena *arena, const struct envelope_rcpt *envelope)
{
    return envelope->orcpt.p ? arena_printf(arena, "ORCPT=%.*s", SLICE_ARG(envelope->orcpt)) : NULL;
}

static const struct rcpt_row {
    struct slice name;
    unsigned extension;
    const struct smtp_fault *(*read)(struct arena *arena, struct slice value, struct envelope_rcpt *out);
    const char *(*print)(struct arena *arena, const struct envelope_rcpt *envelope);
} rcpt_rows[] = {
    {{"NOTIFY", 6}, ENVELOPE_DSN, read_notify, print_notify},
    {{"ORCPT", 5}, ENVELOPE_DSN, read_orcpt, print_orcpt},
};
#define RCPT_ROWS (sizeof(rcpt_rows) / sizeof(rcpt_rows[0]))

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

const struct smtp_fault *smtp_parameter_mail(struct arena *arena, struct slice text, unsigned where, struct smtp_mail *out)
{
    const struct smtp_fault *fault;
    struct parameter parameter;
    unsigned seen = 0;
    size_t i;

    while (next_parameter(&text, &parameter, &fault_blank, &fault)) {
        for (i = 0; i < MAIL_ROWS && !slice_equal_nocase(parameter.name, mail_rows[i].name); i++)
            ;
        if (i == MAIL_ROWS || (mail_rows[i].only & ~where))
            return &fault_unknown;
        if (seen & 1u << i)
            return &fault_twice;
        seen |= 1u << i;
        if ((fault = mail_rows[i].read(arena, parameter.value, out)))
            return fault;
    }
    return fault;
}

const struct smtp_fault *smtp_parameter_rcpt(struct arena *arena, struct slice text, struct envelope_rcpt *out)
{
    const struct smtp_fault *fault;
    struct parameter parameter;
    unsigned seen = 0;
    size_t i;

    while (next_parameter(&text, &parameter, &fault_blank_rcpt, &fault)) {
        for (i = 0; i < RCPT_ROWS && !slice_equal_nocase(parameter.name, rcpt_rows[i].name); i++)
            ;
        if (i == RCPT_ROWS)
            return &fault_unknown;
        if (seen & 1u << i)
            return &fault_twice;
        seen |= 1u << i;
        if ((fault = rcpt_rows[i].read(arena, parameter.value, out)))
            return fault;
    }
    return fault;
}

/* ------------------------------------------------------------------ writing, and what was written */

static const char *append(struct arena *arena, const char *text, const char *more)
{
    return !more ? text : text ? arena_printf(arena, "%s %s", text, more) : more;
}

struct slice smtp_parameter_print_mail(struct arena *arena, const struct envelope_mail *envelope, unsigned extensions)
{
    const char *text = NULL;

    for (size_t i = 0; i < MAIL_ROWS; i++)
        if (mail_rows[i].extension & extensions)
            text = append(arena, text, mail_rows[i].print(arena, envelope));
    return slice_str(text);
}

struct slice smtp_parameter_print_rcpt(struct arena *arena, const struct envelope_rcpt *envelope, unsigned extensions)
{
    const char *text = NULL;

    for (size_t i = 0; i < RCPT_ROWS; i++)
        if (rcpt_rows[i].extension & extensions)
            text = append(arena, text, rcpt_rows[i].print(arena, envelope));
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
        (void)!smtp_parameter_rcpt(arena, next_word(arena, &stored), out);
}
