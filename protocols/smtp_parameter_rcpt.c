/*
 * smtp_parameter_rcpt: the parameters of RCPT (RFC 3461): how each is read, and written again.
 */
#include "core/cursor.h"
#include "core/idn.h"
#include "protocols/smtp_parameter_internal.h"

#define ORCPT_MAX 500 /* RFC 3461 4.2 */

static const struct smtp_fault fault_notify = {501, "5.5.4", "NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY"};
static const struct smtp_fault fault_orcpt = {501, "5.5.4", "ORCPT is a type, \";\" and up to 500 characters of xtext"};

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
            text = arena_printf(arena, "%s%s",
                                text ? arena_printf(arena, "%s,", text) : "NOTIFY=", notify_words[i].name.p);
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
    else if (smtp_parameter_is_printable(arena, rest))
        out->orcpt = arena_slice(arena, value);
    else
        return &fault_orcpt;
    return NULL;
}

static const char *print_orcpt(struct arena *arena, const struct envelope_rcpt *envelope)
{
    return envelope->orcpt.p ? arena_printf(arena, "ORCPT=%.*s", SLICE_ARG(envelope->orcpt)) : NULL;
}

/* A domain that we have noted. */
static const struct smtp_fault *read_forwarded_by(struct arena *arena, struct slice value, struct envelope_rcpt *out)
{
    out->forwarded_by = arena_slice(arena, value);
    return NULL;
}

static const char *print_forwarded_by(struct arena *arena, const struct envelope_rcpt *envelope)
{
    return envelope->forwarded_by.n
               ? arena_printf(arena, ENVELOPE_FORWARDED_BY_STORED "=%.*s", SLICE_ARG(envelope->forwarded_by))
               : NULL;
}

const struct smtp_parameter_rcpt_row smtp_parameter_rcpt_rows[] = {
    {{"NOTIFY", 6}, ENVELOPE_DSN, false, read_notify, print_notify},
    {{"ORCPT", 5}, ENVELOPE_DSN, false, read_orcpt, print_orcpt},
    {{ENVELOPE_FORWARDED_BY_STORED, 12}, ENVELOPE_OURS, true, read_forwarded_by, print_forwarded_by},
};
const size_t smtp_parameter_rcpt_count = sizeof(smtp_parameter_rcpt_rows) / sizeof(smtp_parameter_rcpt_rows[0]);
