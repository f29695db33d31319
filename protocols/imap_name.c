/*
 * imap_name: mailbox names on the wire (RFC 3501 5.1.3) and patterns (6.3.8).
 *
 * Modified UTF-7: printable ASCII but "&" stands for itself, "&-" is "&", anything else is UTF-16 in base64 with ","
 * for "/", between "&" and "-".  Only the canonical form is decoded (no ASCII in base64, no useless shifts, no lone
 * surrogates), so that a name has one encoding.  Inside we have UTF-8.  Names with 8-bit characters are refused (5.1),
 * and INBOX is one name in any case, also as the first level of another ("inbox/x").
 */
#include "protocols/imap_parse.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* ------------------------------------------------------------------ decoding */

static char *put_utf8(char *out, uint32_t ch)
{
    if (ch < 0x80) {
        *out++ = (char)ch;
    } else if (ch < 0x800) {
        *out++ = (char)(0xc0 | ch >> 6);
        *out++ = (char)(0x80 | (ch & 63));
    } else if (ch < 0x10000) {
        *out++ = (char)(0xe0 | ch >> 12);
        *out++ = (char)(0x80 | (ch >> 6 & 63));
        *out++ = (char)(0x80 | (ch & 63));
    } else {
        *out++ = (char)(0xf0 | ch >> 18);
        *out++ = (char)(0x80 | (ch >> 12 & 63));
        *out++ = (char)(0x80 | (ch >> 6 & 63));
        *out++ = (char)(0x80 | (ch & 63));
    }
    return out;
}

/* Takes one UTF-16 unit; pairs surrogates. */
static bool take_unit(uint32_t unit, uint32_t *high, char **out)
{
    if (*high) {
        if (unit < 0xdc00 || unit > 0xdfff)
            return false;
        *out = put_utf8(*out, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
        *high = 0;
        return true;
    }
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return false;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        *high = unit;
        return true;
    }
    if (unit < 0x80) /* ASCII is not encoded; controls are not names */
        return false;
    *out = put_utf8(*out, unit);
    return true;
}

/* p is after "&"; to after "-". */
static bool decode_shift(const char **p, const char *end, char **out)
{
    uint32_t bits = 0, high = 0;
    unsigned have = 0;

    while (*p < end && **p != '-') {
        const char *found = **p ? strchr(alphabet, **p) : NULL;

        if (!found)
            return false;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        have += 6;
        (*p)++;
        if (have >= 16) {
            have -= 16;
            if (!take_unit(bits >> have & 0xffff, &high, out))
                return false;
        }
    }
    if (*p == end || high || have >= 6 || (bits & ((1u << have) - 1)) != 0)
        return false;
    (*p)++;
    return true;
}

bool imap_utf7_decode(struct arena *arena, struct slice name, struct slice *out)
{
    char *start = arena_alloc(arena, name.n * 2 + 1), *at = start;
    const char *p = name.p, *end = name.p + name.n;

    while (p < end) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            return false;
        if (*p != '&') {
            *at++ = *p++;
        } else if (end - p > 1 && p[1] == '-') {
            *at++ = '&';
            p += 2;
        } else {
            p++;
            if (!decode_shift(&p, end, &at))
                return false;
        }
    }
    *out = slice_of(start, (size_t)(at - start));
    return true;
}

/* ------------------------------------------------------------------ encoding */

/* Names in the database are valid UTF-8 (PostgreSQL checks). */
static uint32_t next_utf8(const char **p, const char *end)
{
    unsigned char lead = (unsigned char)*(*p)++;
    unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t ch = more == 3 ? lead & 7 : more == 2 ? lead & 15 : more == 1 ? lead & 31 : lead;

    while (more-- && *p < end)
        ch = ch << 6 | ((unsigned char)*(*p)++ & 63);
    return ch;
}

struct shift {
    char *out;
    uint32_t bits;
    unsigned have;
};

static void put_unit(struct shift *s, uint32_t unit)
{
    s->bits = s->bits << 16 | unit;
    s->have += 16;
    while (s->have >= 6) {
        s->have -= 6;
        *s->out++ = alphabet[s->bits >> s->have & 63];
    }
}

struct slice imap_utf7_encode(struct arena *arena, struct slice utf8)
{
    char *start = arena_alloc(arena, utf8.n * 8 + 1);
    struct shift s = {.out = start};
    const char *p = utf8.p, *end = utf8.p + utf8.n;

    while (p < end) {
        if ((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f) {
            *s.out++ = *p;
            if (*p++ == '&')
                *s.out++ = '-';
            continue;
        }
        *s.out++ = '&';
        s.have = 0;
        while (p < end && !((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f)) {
            uint32_t ch = next_utf8(&p, end);

            if (ch >= 0x10000) {
                put_unit(&s, 0xd800 + ((ch - 0x10000) >> 10));
                ch = 0xdc00 + ((ch - 0x10000) & 0x3ff);
            }
            put_unit(&s, ch & 0xffff);
        }
        if (s.have)
            *s.out++ = alphabet[s.bits << (6 - s.have) & 63];
        *s.out++ = '-';
    }
    return slice_of(start, (size_t)(s.out - start));
}

/* ------------------------------------------------------------------ on the wire */

static struct slice decoded(struct imap_cursor *c, struct slice name)
{
    struct slice out;

    return imap_utf7_decode(c->arena, name, &out) ? out : name;
}

static bool is_seven_bit(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] >= 0x80)
            return false;
    return true;
}

static bool is_inbox(struct slice name)
{
    return name.n >= 5 && slice_equal_nocase(slice_of(name.p, 5), SLICE("INBOX")) && (name.n == 5 || name.p[5] == '/');
}

/* INBOX in capitals, if it is the name or its first level. */
static struct slice with_inbox(struct arena *arena, struct slice name)
{
    char *copy;

    if (!is_inbox(name))
        return name;
    copy = arena_slicedup(arena, name);
    memcpy(copy, "INBOX", 5);
    return slice_of(copy, name.n);
}

bool imap_take_mailbox(struct imap_cursor *c, struct slice *out)
{
    if (!imap_take_astring(c, out) || !is_seven_bit(*out))
        return false;
    *out = with_inbox(c->arena, decoded(c, *out));
    return true;
}

/* list-mailbox = 1*list-char / string; list-char is an atom's, "%", "*" or "]" */
bool imap_take_pattern(struct imap_cursor *c, struct slice *out)
{
    const char *start = c->p;

    if (c->p < c->end && (*c->p == '"' || *c->p == '{')) {
        if (!imap_take_string(c, out))
            return false;
    } else {
        while (c->p < c->end && (unsigned char)*c->p > 0x20 && (unsigned char)*c->p < 0x7f && !strchr("(){\"\\", *c->p))
            c->p++;
        *out = slice_of(start, (size_t)(c->p - start));
        if (!out->n)
            return false;
    }
    *out = decoded(c, *out);
    return is_seven_bit(slice_of(start, (size_t)(c->p - start)));
}

static char upper(char ch)
{
    return ch >= 'a' && ch <= 'z' ? (char)(ch - 'a' + 'A') : ch;
}

/*
 * Backtracks to the last wildcard only, so the time is bounded by the product of the lengths. "%" stops at "/".  INBOX
 * is matched in any case.
 */
bool imap_pattern_matches(struct slice pattern, struct slice name)
{
    size_t p = 0, n = 0, star_p = SIZE_MAX, star_n = 0, percent_p = SIZE_MAX, percent_n = 0;
    size_t any_case = is_inbox(name) ? 5 : 0;

    for (;;) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star_p = ++p;
            star_n = n;
            percent_p = SIZE_MAX;
        } else if (p < pattern.n && pattern.p[p] == '%') {
            percent_p = ++p;
            percent_n = n;
        } else if (p < pattern.n && n < name.n &&
                   (pattern.p[p] == name.p[n] || (n < any_case && upper(pattern.p[p]) == upper(name.p[n])))) {
            p++;
            n++;
        } else if (p == pattern.n && n == name.n) {
            return true;
        } else if (percent_p != SIZE_MAX && percent_n < name.n && name.p[percent_n] != '/') {
            p = percent_p;
            n = ++percent_n;
        } else if (star_p != SIZE_MAX && star_n < name.n) {
            p = star_p;
            n = ++star_n;
            percent_p = SIZE_MAX;
        } else {
            return false;
        }
    }
}
