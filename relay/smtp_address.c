/*
 * smtp_address: addresses in SMTP's envelope, RFC 5321 section 4.1.2 and 4.1.3.
 *
 * The grammar stands beside the function that implements it, in the words of the RFC: recursive descent
 * over a cursor, each byte read once or twice, nothing looked up.
 *
 * Kinder than the grammar, because refusing would only hurt people with old software:
 *   - "_" in domain labels (hosts so named send mail, though they should not);
 *   - local parts longer than 64 octets (section 4.5.3.1 asks not to impose limits, and VERP and SRS make
 *     long ones), up to the length of the line.
 * Strict where kindness would be dangerous: no angle brackets, no address; what is not ASCII must be UTF-8, and the
 * domain a name by IDNA.  A domain has at most 255 octets, a label 63.
 *
 * SMTPUTF8 (RFC 6531 3.3) adds UTF8-non-ascii to atext and qtextSMTP, and U-labels to domains.  All of it is parsed,
 * so that who uses it without saying so can be told what is missing; the domain comes out in A-labels, whichever way
 * it came.
 */
#include "relay/smtp_address.h"

#include <arpa/inet.h>

#include "core/cursor.h"
#include "core/idn.h"

#define DOMAIN_MAX 255
#define LABEL_MAX 63

/* UTF8-non-ascii, octet by octet; that it is UTF-8 is found out of the whole. */
static bool is_non_ascii(char c)
{
    return (unsigned char)c >= 0x80;
}

/* RFC 5322 3.2.3, RFC 6531 3.3 */
static bool is_atext(char c)
{
    return cursor_is_let_dig(c) || is_non_ascii(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* ------------------------------------------------------------------ domains and literals */

/*
 * Domain     = sub-domain *("." sub-domain)
 * sub-domain = Let-dig [Ldh-str] / U-label
 * Ldh-str    = *( ALPHA / DIGIT / "-" ) Let-dig
 *
 * A U-label may have more octets than the A-label that it stands for, which is what the limits are about.
 */
static bool take_domain(struct slice *rest)
{
    struct slice start = *rest;
    bool ascii = true;
    do {
        struct slice label = *rest;
        while (rest->n && (cursor_is_let_dig(*rest->p) || is_non_ascii(*rest->p) || *rest->p == '-' || *rest->p == '_'))
            *rest = slice_skip(*rest, 1);
        label = cursor_taken(label, *rest);
        bool plain = idn_is_ascii(label);
        ascii = ascii && plain;
        if (!label.n || (plain && label.n > LABEL_MAX) || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
    } while (cursor_take(rest, '.'));
    return !ascii || cursor_taken(start, *rest).n <= DOMAIN_MAX;
}

/*
 * address-literal         = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
 * IPv6-address-literal    = "IPv6:" IPv6-addr
 * General-address-literal = Standardized-tag ":" 1*dcontent
 *
 * No tag but IPv6 was ever standardized, so the general form is refused.
 */
static bool take_literal(struct slice *rest)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];

    if (!cursor_take(rest, '['))
        return false;
    bool six = cursor_take_word(rest, SLICE("IPv6:"));
    struct slice start = *rest;
    while (rest->n && (cursor_is_hex(*rest->p) || *rest->p == '.' || *rest->p == ':'))
        *rest = slice_skip(*rest, 1);
    struct slice inside = cursor_taken(start, *rest);
    if (inside.n >= sizeof(text) || !cursor_take(rest, ']'))
        return false;
    memcpy(text, inside.p, inside.n);
    text[inside.n] = '\0';
    return inet_pton(six ? AF_INET6 : AF_INET, text, address) == 1;
}

bool smtp_is_domain(struct slice text)
{
    return idn_is_ascii(text) && take_domain(&text) && !text.n;
}

bool smtp_is_address_literal(struct slice text)
{
    return take_literal(&text) && !text.n;
}

/* ------------------------------------------------------------------ mailboxes and paths */

/* Dot-string = Atom *("." Atom) */
static bool take_dot_string(struct slice *rest)
{
    do {
        struct slice atom = *rest;
        while (rest->n && is_atext(*rest->p))
            *rest = slice_skip(*rest, 1);
        if (!cursor_taken(atom, *rest).n)
            return false;
    } while (cursor_take(rest, '.'));
    return true;
}

/*
 * Quoted-string  = DQUOTE *QcontentSMTP DQUOTE
 * QcontentSMTP   = qtextSMTP / quoted-pairSMTP
 * quoted-pairSMTP = %d92 %d32-126
 * qtextSMTP      = %d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii
 *
 * Section 4.1.2 holds all spellings of the same content to be one mailbox: the quotes go when the content
 * is a Dot-string, else only what must be escaped is.
 */
static bool take_quoted_string(struct arena *arena, struct slice *rest, struct slice *local)
{
    if (!cursor_take(rest, '"'))
        return false;
    char *plain = arena_alloc(arena, rest->n + 1);
    size_t n = 0;
    while (rest->n && *rest->p != '"') {
        bool pair = cursor_take(rest, '\\');
        if (!rest->n || (is_non_ascii(*rest->p) ? pair : *rest->p < ' ' || *rest->p > '~'))
            return false;
        plain[n++] = *rest->p;
        *rest = slice_skip(*rest, 1);
    }
    if (!cursor_take(rest, '"'))
        return false;

    struct slice content = slice_of(plain, n), cursor = content;
    if (take_dot_string(&cursor) && !cursor.n) {
        *local = content;
        return true;
    }
    char *quoted = arena_alloc(arena, 2 * n + 3);
    size_t m = 0;
    quoted[m++] = '"';
    for (size_t i = 0; i < n; i++) {
        if (plain[i] == '"' || plain[i] == '\\')
            quoted[m++] = '\\';
        quoted[m++] = plain[i];
    }
    quoted[m++] = '"';
    *local = slice_of(quoted, m);
    return true;
}

/* Mailbox = Local-part "@" ( Domain / address-literal );  Local-part = Dot-string / Quoted-string */
static bool take_mailbox(struct arena *arena, struct slice *rest, struct smtp_path *out)
{
    struct slice start = *rest, all = *rest, domain;
    if (rest->n && *rest->p == '"') {
        if (!take_quoted_string(arena, rest, &out->local))
            return false;
    } else {
        if (!take_dot_string(rest))
            return false;
        out->local = cursor_taken(start, *rest);
    }
    if (!cursor_take(rest, '@'))
        return false;
    start = *rest;
    out->literal = rest->n && *rest->p == '[';
    if (!(out->literal ? take_literal(rest) : take_domain(rest)))
        return false;
    struct slice local = out->local;
    all = cursor_taken(all, *rest);
    out->international = !idn_is_ascii(all);
    if (out->international && !idn_is_utf8(all))
        return false;
    if (!idn_domain(arena, cursor_taken(start, *rest), &domain))
        return false;
    out->address = slice_str(arena_printf(arena, "%.*s@%.*s", SLICE_ARG(local), SLICE_ARG(domain)));
    out->local = slice_of(out->address.p, local.n);
    out->domain = slice_skip(out->address, local.n + 1);
    return true;
}

bool smtp_is_mailbox(struct arena *arena, struct slice text, struct smtp_path *out)
{
    *out = (struct smtp_path){.address = {"", 0}, .local = {"", 0}, .domain = {"", 0}};
    return take_mailbox(arena, &text, out) && !text.n;
}

/*
 * Path         = "<" [ A-d-l ":" ] Mailbox ">"
 * A-d-l        = At-domain *( "," At-domain )
 * At-domain    = "@" Domain
 *
 * Source routes "MUST be accepted, SHOULD NOT be generated, and SHOULD be ignored".
 */
bool smtp_take_path(struct arena *arena, struct slice *rest, struct smtp_path *out)
{
    if (!cursor_take(rest, '<'))
        return false;
    if (rest->n && *rest->p == '@') {
        do {
            if (!cursor_take(rest, '@') || !take_domain(rest))
                return false;
        } while (cursor_take(rest, ','));
        if (!cursor_take(rest, ':'))
            return false;
    }
    return take_mailbox(arena, rest, out) && cursor_take(rest, '>');
}
