/*
 * idn: domain names and addresses that are not ASCII.
 *
 * A domain is taken apart at its dots, and only labels that are not ASCII go to libidn2: what it thinks of "_dmarc" or
 * of hyphens in the third and fourth place of a label in ASCII is not asked, since such names exist and harm nobody.
 * A label that comes back with a dot in it was written with one of the other characters that UTS #46 takes for a dot;
 * RFC 5321 knows one dot only, so it is refused.
 *
 * U-labels are made for show, and only where they lead back to the same A-label: "xn--" and anything is a name, too.
 *
 * Folding is for comparing local parts that we host: lower case and NFC (RFC 6530 section 10.1 asks for normalised
 * names). Not case folding: that would make one mailbox of two names that differ by an "ß".
 */
#include "core/idn.h"

#include <glib.h>
#include <idn2.h>
#include <stdint.h>
#include <stdio.h>

#define LABEL_MAX 63
#define DOMAIN_MAX 255
#define LABEL_BYTES_MAX 256 /* of a label in UTF-8, before it is looked at */

/* ------------------------------------------------------------------ UTF-8 */

bool idn_is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0x80)
            return false;
    return true;
}

/* UTF8-octets (RFC 3629 section 4).  0: not one. */
static size_t take_character(struct slice text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text.p[0];
    size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

    *out = 0;
    if (!n || n > text.n)
        return 0;
    *out = n == 1 ? first : first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)text.p[i] & 0xc0) != 0x80)
            return 0;
        *out = *out << 6 | ((unsigned char)text.p[i] & 0x3f);
    }
    if (*out < least[n] || *out > 0x10ffff || (*out >= 0xd800 && *out <= 0xdfff))
        return 0;
    return n;
}

bool idn_is_utf8(struct slice text)
{
    uint32_t character;

    while (text.n) {
        size_t n = take_character(text, &character);

        if (!n)
            return false;
        text = slice_skip(text, n);
    }
    return true;
}

bool idn_is_graphic(struct slice text)
{
    uint32_t character;

    while (text.n) {
        size_t n = take_character(text, &character);
        bool joiner =
            character == 0x200c || character == 0x200d; /* part of words in several scripts (RFC 5892 A.1, A.2) */

        if (!n || (!joiner && (!g_unichar_isgraph(character) || character == 0x2028 || character == 0x2029)))
            return false;
        text = slice_skip(text, n);
    }
    return true;
}

struct slice idn_fold(struct arena *arena, struct slice text)
{
    char *lower, *composed;
    struct slice out;

    if (idn_is_ascii(text) || !idn_is_utf8(text) || memchr(text.p, '\0', text.n))
        return arena_lower(arena, text);
    lower = g_utf8_strdown(text.p, (gssize)text.n);
    composed = g_utf8_normalize(lower, -1, G_NORMALIZE_DEFAULT_COMPOSE);
    out = slice_str(arena_strdup(arena, composed ? composed : lower));
    g_free(composed);
    g_free(lower);
    return out;
}

/* ------------------------------------------------------------------ domains */

/* The next label, without its dot, off the front of *rest.  False: that was the last one. */
static bool take_label(struct slice *rest, struct slice *label)
{
    const char *dot = rest->n ? memchr(rest->p, '.', rest->n) : NULL;

    *label = slice_of(rest->p, dot ? (size_t)(dot - rest->p) : rest->n);
    *rest = slice_skip(*rest, label->n + (dot != NULL));
    return dot != NULL;
}

static bool label_to_ascii(struct arena *arena, struct slice label, struct slice *out)
{
    char *ascii = NULL;
    bool good;

    if (idn_is_ascii(label)) {
        *out = arena_lower(arena, label);
        return true;
    }
    if (label.n > LABEL_BYTES_MAX || memchr(label.p, '\0', label.n) || !idn_is_utf8(label))
        return false;
    good = idn2_to_ascii_8z(arena_slicedup(arena, label), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK;
    if (good) {
        *out = arena_lower(arena, slice_str(ascii));
        good = out->n && out->n <= LABEL_MAX && !memchr(out->p, '.', out->n);
    }
    idn2_free(ascii);
    return good;
}

bool idn_domain(struct arena *arena, struct slice domain, struct slice *out)
{
    char *text;
    size_t n = 0;
    bool more;

    if (idn_is_ascii(domain)) {
        *out = arena_lower(arena, domain);
        return domain.n <= DOMAIN_MAX;
    }
    text = arena_alloc(arena, DOMAIN_MAX + 1);
    do {
        struct slice label, ascii;

        more = take_label(&domain, &label);
        if (!label_to_ascii(arena, label, &ascii) || n + ascii.n + more > DOMAIN_MAX)
            return false;
        memcpy(text + n, ascii.p, ascii.n);
        n += ascii.n;
        if (more)
            text[n++] = '.';
    } while (more);
    *out = slice_of(text, n);
    return true;
}

static struct slice label_to_unicode(struct arena *arena, struct slice label)
{
    static const struct slice prefix = {"xn--", 4};
    char *unicode = NULL;
    struct slice shown = label, back;

    if (label.n <= prefix.n || !slice_equal_nocase(slice_of(label.p, prefix.n), prefix))
        return label;
    if (idn2_to_unicode_8z8z(arena_slicedup(arena, label), &unicode, 0) == IDN2_OK)
        shown = slice_str(arena_strdup(arena, unicode));
    idn2_free(unicode);
    return label_to_ascii(arena, shown, &back) && slice_equal_nocase(back, label) ? shown : label;
}

struct slice idn_domain_unicode(struct arena *arena, struct slice domain)
{
    struct slice rest = domain, label, out = {"", 0};
    bool more;

    if (!memmem(domain.p ? domain.p : "", domain.n, "xn--", 4))
        return domain;
    do {
        struct slice shown;

        more = take_label(&rest, &label);
        shown = label_to_unicode(arena, label);
        out = slice_str(arena_printf(arena, "%.*s%.*s%s", SLICE_ARG(out), SLICE_ARG(shown), more ? "." : ""));
    } while (more);
    return out;
}

/* ------------------------------------------------------------------ addresses */

/* Where the domain begins; 0: there is none. */
static size_t domain_at(struct slice address)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;

    return at ? (size_t)(at - address.p) + 1 : 0;
}

static struct slice joined(struct arena *arena, struct slice address, size_t at, struct slice domain)
{
    return slice_str(arena_printf(arena, "%.*s%.*s", (int)at, address.p, SLICE_ARG(domain)));
}

struct slice idn_address(struct arena *arena, struct slice address)
{
    size_t at = domain_at(address);
    struct slice domain;

    if (!at || !idn_domain(arena, slice_skip(address, at), &domain))
        return address;
    return joined(arena, address, at, domain);
}

struct slice idn_address_unicode(struct arena *arena, struct slice address)
{
    size_t at = domain_at(address);

    if (!at || !memmem(address.p + at, address.n - at, "xn--", 4))
        return address;
    return joined(arena, address, at, idn_domain_unicode(arena, slice_skip(address, at)));
}

/* ------------------------------------------------------------------ in ASCII */

struct slice idn_escape(struct arena *arena, struct slice text)
{
    char *out;
    size_t n = 0;

    if (idn_is_ascii(text))
        return text;
    out = arena_alloc(arena, text.n * 6 + 1); /* two bytes and more become "\x{80}" to "\x{10FFFF}" */
    while (text.n) {
        uint32_t character = 0;
        size_t taken = take_character(text, &character);

        if (!taken)
            out[n++] = '?';
        else if (character < 0x80)
            out[n++] = (char)character;
        else
            n += (size_t)snprintf(out + n, 11, "\\x{%X}", character);
        text = slice_skip(text, taken ? taken : 1);
    }
    return slice_of(out, n);
}

/* EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}", of 2 to 6 digits (RFC 6533 section 3).  0: none. */
static size_t take_escaped(struct slice text, uint32_t *out)
{
    size_t n = 3;

    *out = 0;
    if (text.n < n || memcmp(text.p, "\\x{", n) != 0)
        return 0;
    for (; n < text.n && n < 9 && g_ascii_isxdigit(text.p[n]); n++)
        *out = *out << 4 | (uint32_t)g_ascii_xdigit_value(text.p[n]);
    if (n < 5 || !*out || n == text.n || text.p[n] != '}' || *out > 0x10ffff || (*out >= 0xd800 && *out <= 0xdfff))
        return 0;
    return n + 1;
}

bool idn_unescape(struct arena *arena, struct slice text, bool specials, struct slice *out)
{
    char *plain = arena_alloc(arena, text.n + 1);
    size_t n = 0;

    while (text.n) {
        uint32_t character = 0;
        size_t taken = *text.p == '\\' ? take_escaped(text, &character) : 0;

        if (*text.p == '\\' && !taken)
            return false;
        if (!taken) {
            plain[n++] = *text.p;
            taken = 1;
        } else if (character < 0x80 && !specials) {
            memcpy(plain + n, text.p, taken);
            n += taken;
        } else {
            n += (size_t)g_unichar_to_utf8(character, plain + n); /* never longer than what it was written as */
        }
        text = slice_skip(text, taken);
    }
    *out = slice_of(plain, n);
    return true;
}
