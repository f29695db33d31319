/*
 * smtp_parameter_mail: the parameters of MAIL: how each is read, and written again.
 */
#include "core/clock.h"
#include "core/cursor.h"
#include "core/idn.h"
#include "protocols/smtp_parameter_internal.h"

#define ENVID_MAX 100 /* RFC 3461 4.4 */
#define HOLDFOR_MAX 9 /* digits, RFC 4865 section 2 */
#define BY_MAX 9      /* digits, RFC 2852 section 4 */

static const struct smtp_fault fault_size = {501, "5.5.4", "Bad SIZE value"};
static const struct smtp_fault fault_body = {501, "5.5.4", "BODY is 7BIT, 8BITMIME or BINARYMIME"};
static const struct smtp_fault fault_auth = {501, "5.5.4", "Bad AUTH value"};
static const struct smtp_fault fault_ret = {501, "5.5.4", "RET is FULL or HDRS"};
static const struct smtp_fault fault_envid = {501, "5.5.4", "ENVID is up to 100 characters of xtext"};
static const struct smtp_fault fault_requiretls = {501, "5.5.4", "REQUIRETLS takes no value"};
static const struct smtp_fault fault_smtputf8 = {501, "5.5.4", "SMTPUTF8 takes no value"};
static const struct smtp_fault fault_tls_required = {501, "5.5.4", "TLS-REQUIRED is NO"};
static const struct smtp_fault fault_hold_for = {501, "5.5.4", "HOLDFOR is a number of seconds, 1 to 999999999"};
static const struct smtp_fault fault_hold_until = {501, "5.5.4",
                                                   "HOLDUNTIL is a date and time as in 2026-12-24T08:00:00Z"};
static const struct smtp_fault fault_hold_twice = {501, "5.5.4", "HOLDFOR and HOLDUNTIL exclude each other"};
static const struct smtp_fault fault_by = {501, "5.5.4",
                                           "BY is seconds, \";\", R or N, and T or not; R has some seconds"};
static const struct smtp_fault fault_priority = {501, "5.5.2",
                                                 "MT-PRIORITY is a number from -9 to 9"}; /* RFC 6710 4.1 */

static const struct smtp_fault *read_size(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    return smtp_parse_size(value, &out->size) ? NULL : &fault_size;
}

static const struct smtp_fault *read_body(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    (void)arena;
    out->eight_bit = slice_equal_nocase(value, SLICE("8BITMIME"));
    out->binary = slice_equal_nocase(value, SLICE("BINARYMIME"));
    return out->eight_bit || out->binary || slice_equal_nocase(value, SLICE("7BIT")) ? NULL : &fault_body;
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

/* envid-parameter = "ENVID=" xtext (RFC 3461 4.4) */
static const struct smtp_fault *read_envid(struct arena *arena, struct slice value, struct smtp_mail *out)
{
    if (value.n > ENVID_MAX || !smtp_parameter_is_printable(arena, value))
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
    return envelope->tls_optional ? ENVELOPE_TLS_OPTIONAL_STORED : NULL;
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

const struct smtp_parameter_mail_row smtp_parameter_mail_rows[] = {
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
const size_t smtp_parameter_mail_count = sizeof(smtp_parameter_mail_rows) / sizeof(smtp_parameter_mail_rows[0]);
