/*
 * imap_parse: the grammar of RFC 3501 section 9: tokens, sets, flags, dates.  FETCH and SEARCH are in
 * imap_parse_fetch.c and imap_parse_search.c, mailbox names in imap_name.c.
 *
 * atom-specials are "(" ")" "{" SP CTL "%" "*" DQUOTE "\" "]"; an astring's atom may contain "]", a tag all that an
 * astring may but "+".  Literals stand in the command as "{n}" CRLF and n bytes, "{n+}" for non-synchronizing ones
 * (RFC 7888); the session has checked their sizes.  NUL is in no token.
 */
#include "protocols/imap_parse.h"

#include <stdlib.h>

#include "core/clock.h"
#include "storage/mailbox.h"

bool imap_take_char(struct imap_cursor *c, char wanted)
{
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

bool imap_at_end(const struct imap_cursor *c)
{
    return c->p == c->end;
}

static bool is_atom_char(unsigned char ch)
{
    return ch > 0x20 && ch < 0x7f && !strchr("(){%*\"\\]", ch);
}

static bool take_while(struct imap_cursor *c, const char *more, const char *less, struct slice *out)
{
    const char *start = c->p;

    while (c->p < c->end && *c->p && (is_atom_char((unsigned char)*c->p) || strchr(more, *c->p)) &&
           !strchr(less, *c->p))
        c->p++;
    *out = slice_of(start, (size_t)(c->p - start));
    return out->n > 0;
}

bool imap_take_tag(struct imap_cursor *c, struct slice *out)
{
    return take_while(c, "]", "+", out);
}

bool imap_take_atom(struct imap_cursor *c, struct slice *out)
{
    return take_while(c, "", "", out);
}

/*
 * What stands between the quotes, still escaped.  Found first, so that a string takes no more memory than it has bytes.
 */
static bool take_between_quotes(struct imap_cursor *c, struct slice *out)
{
    const char *start = c->p + 1;

    if (!imap_take_char(c, '"'))
        return false;
    for (; c->p < c->end && *c->p != '"'; c->p++) {
        if (*c->p == '\\' && (++c->p == c->end || (*c->p != '"' && *c->p != '\\')))
            return false;
        if (*c->p == '\r' || *c->p == '\n' || *c->p == '\0')
            return false;
    }
    *out = slice_of(start, (size_t)(c->p - start));
    return imap_take_char(c, '"');
}

static bool take_quoted(struct imap_cursor *c, struct slice *out)
{
    struct slice escaped;
    char *copy;
    size_t n = 0;

    if (!take_between_quotes(c, &escaped))
        return false;
    copy = arena_alloc(c->arena, escaped.n + 1);
    for (size_t i = 0; i < escaped.n; i++) {
        if (escaped.p[i] == '\\')
            i++;
        copy[n++] = escaped.p[i];
    }
    *out = slice_of(copy, n);
    return true;
}

static bool take_literal(struct imap_cursor *c, struct slice *out)
{
    uint32_t size;

    if (!imap_take_char(c, '{') || !imap_take_number(c, &size))
        return false;
    imap_take_char(c, '+');
    if (!imap_take_char(c, '}') || !imap_take_char(c, '\r') || !imap_take_char(c, '\n') ||
        size > (size_t)(c->end - c->p))
        return false;
    *out = slice_of(c->p, size);
    c->p += size;
    return memchr(out->p, '\0', out->n) == NULL;
}

bool imap_take_string(struct imap_cursor *c, struct slice *out)
{
    if (c->p < c->end && *c->p == '"')
        return take_quoted(c, out);
    return take_literal(c, out);
}

bool imap_take_astring(struct imap_cursor *c, struct slice *out)
{
    if (c->p < c->end && (*c->p == '"' || *c->p == '{'))
        return imap_take_string(c, out);
    return take_while(c, "]", "", out);
}

bool imap_take_number(struct imap_cursor *c, uint32_t *out)
{
    uint64_t n = 0;
    const char *start = c->p;

    while (c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        n = n * 10 + (uint64_t)(*c->p++ - '0');
        if (n > UINT32_MAX)
            return false;
    }
    *out = (uint32_t)n;
    return c->p > start;
}

/* ------------------------------------------------------------------ sets: "1:3,7,9:*" */

static bool take_seq_number(struct imap_cursor *c, uint32_t *out)
{
    if (imap_take_char(c, '*')) {
        *out = IMAP_STAR;
        return true;
    }
    return imap_take_number(c, out) && *out > 0 && *out != IMAP_STAR;
}

bool imap_take_set(struct imap_cursor *c, struct imap_set *out)
{
    size_t most = 1;

    for (const char *p = c->p; p < c->end && *p != ' '; p++)
        most += *p == ',';
    out->ranges = arena_array(c->arena, most, sizeof *out->ranges);
    out->count = 0;
    do {
        struct imap_range r;

        if (!take_seq_number(c, &r.low))
            return false;
        r.high = r.low;
        if (imap_take_char(c, ':') && !take_seq_number(c, &r.high))
            return false;
        out->ranges[out->count++] = r;
    } while (imap_take_char(c, ','));
    return true;
}

static int by_low(const void *a, const void *b)
{
    const struct imap_range *x = a, *y = b;

    return x->low < y->low ? -1 : x->low > y->low;
}

void imap_set_resolve(struct imap_set *set, uint32_t largest)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < set->count; i++) {
        struct imap_range *r = &set->ranges[i];
        uint32_t low = r->low == IMAP_STAR ? largest : r->low, high = r->high == IMAP_STAR ? largest : r->high;

        r->low = low < high ? low : high; /* "*:4" is "4:*" */
        r->high = low < high ? high : low;
    }
    qsort(set->ranges, set->count, sizeof *set->ranges, by_low);
    for (unsigned i = 0; i < set->count; i++) {
        struct imap_range *last = &set->ranges[kept ? kept - 1 : 0], r = set->ranges[i];

        if (kept && r.low <= (uint64_t)last->high + 1)
            last->high = last->high > r.high ? last->high : r.high;
        else
            set->ranges[kept++] = r;
    }
    set->count = kept;
}

bool imap_set_contains(const struct imap_set *set, uint32_t number)
{
    unsigned first = 0, after = set->count;

    while (first < after) {
        unsigned middle = first + (after - first) / 2;

        if (number > set->ranges[middle].high)
            first = middle + 1;
        else if (number < set->ranges[middle].low)
            after = middle;
        else
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------ flags */

static const struct {
    const char *name;
    unsigned bit;
} system_flags[] = {{"\\Seen", MAILBOX_SEEN},       {"\\Answered", MAILBOX_ANSWERED}, {"\\Flagged", MAILBOX_FLAGGED},
                    {"\\Deleted", MAILBOX_DELETED}, {"\\Draft", MAILBOX_DRAFT},       {"\\Recent", 0}};

/* \Recent is taken and passed over: clients send back what they were shown.  Other \flags are BAD. */
static bool take_flag(struct imap_cursor *c, struct imap_flags *out)
{
    bool system = imap_take_char(c, '\\');
    struct slice name;

    if (!imap_take_atom(c, &name))
        return false;
    if (!system) {
        if (name.n > IMAP_KEYWORD_MAX)
            return false;
        for (unsigned i = 0; i < out->keyword_count; i++)
            if (slice_equal_nocase(out->keywords[i], name))
                return true;
        if (out->keyword_count == IMAP_FLAG_LIST_MAX)
            return false;
        out->keywords[out->keyword_count++] = name;
        return true;
    }
    for (unsigned i = 0; i < sizeof system_flags / sizeof system_flags[0]; i++)
        if (slice_equal_nocase(name, slice_str(system_flags[i].name + 1))) {
            out->bits |= system_flags[i].bit;
            return true;
        }
    return false;
}

static void flags_init(struct imap_cursor *c, struct imap_flags *out)
{
    *out = (struct imap_flags){.keywords = arena_array(c->arena, IMAP_FLAG_LIST_MAX, sizeof *out->keywords)};
}

bool imap_take_flag_list(struct imap_cursor *c, struct imap_flags *out)
{
    flags_init(c, out);
    if (!imap_take_char(c, '('))
        return false;
    if (imap_take_char(c, ')'))
        return true;
    do
        if (!take_flag(c, out))
            return false;
    while (imap_take_char(c, ' '));
    return imap_take_char(c, ')');
}

bool imap_take_flags_of_store(struct imap_cursor *c, struct imap_flags *out)
{
    if (c->p < c->end && *c->p == '(')
        return imap_take_flag_list(c, out);
    flags_init(c, out);
    do
        if (!take_flag(c, out))
            return false;
    while (imap_take_char(c, ' '));
    return true;
}

/* ------------------------------------------------------------------ dates */

static bool take_digits(struct imap_cursor *c, unsigned count, int *out)
{
    *out = 0;
    for (unsigned i = 0; i < count; i++) {
        if (c->p == c->end || *c->p < '0' || *c->p > '9')
            return false;
        *out = *out * 10 + (*c->p++ - '0');
    }
    return true;
}

static bool take_month(struct imap_cursor *c, int *out)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int m = 0; m < 12 && c->end - c->p >= 3; m++)
        if (slice_equal_nocase(slice_of(c->p, 3), slice_of(names + 3 * m, 3))) {
            c->p += 3;
            *out = m + 1;
            return true;
        }
    return false;
}

/* "-" month "-" year, after the day. */
static bool take_rest_of_date(struct imap_cursor *c, int day, int64_t *days)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int month, year;

    if (!imap_take_char(c, '-') || !take_month(c, &month) || !imap_take_char(c, '-') || !take_digits(c, 4, &year))
        return false;
    if (day < 1 || day > lengths[month - 1])
        return false;
    *days = clock_days(year, month, day);
    return true;
}

bool imap_take_date(struct imap_cursor *c, int64_t *days)
{
    bool quoted = imap_take_char(c, '"');
    uint32_t day;

    if (!imap_take_number(c, &day) || day > 31 || !take_rest_of_date(c, (int)day, days))
        return false;
    return !quoted || imap_take_char(c, '"');
}

/* DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */
bool imap_take_date_time(struct imap_cursor *c, int64_t *ms)
{
    int day, hour, minute, second, zone_hours, zone_minutes, sign;
    int64_t days;

    if (!imap_take_char(c, '"'))
        return false;
    if (imap_take_char(c, ' ')) {
        if (!take_digits(c, 1, &day))
            return false;
    } else if (!take_digits(c, 2, &day)) {
        return false;
    }
    if (!take_rest_of_date(c, day, &days) || !imap_take_char(c, ' ') || !take_digits(c, 2, &hour) ||
        !imap_take_char(c, ':') || !take_digits(c, 2, &minute) || !imap_take_char(c, ':') ||
        !take_digits(c, 2, &second) || !imap_take_char(c, ' '))
        return false;
    sign = imap_take_char(c, '-') ? -1 : imap_take_char(c, '+') ? 1 : 0;
    if (!sign || !take_digits(c, 2, &zone_hours) || !take_digits(c, 2, &zone_minutes) || !imap_take_char(c, '"'))
        return false;
    if (hour > 23 || minute > 59 || second > 60 || zone_hours > 14 || zone_minutes > 59)
        return false;
    *ms = (((days * 24 + hour) * 60 + minute - sign * (zone_hours * 60 + zone_minutes)) * 60 + second) * 1000;
    return true;
}
