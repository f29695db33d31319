/*
 * smtp_xclient: Postfix's XCLIENT_README.
 *
 *     xclient-command = XCLIENT 1*( SP attribute-name "=" attribute-value )
 *     attribute-value = xtext                                              (RFC 3461 section 4)
 *
 *     NAME    the client's name in DNS, [UNAVAILABLE] or [TEMPUNAVAIL]
 *     ADDR    an IPv4 address, or "IPV6:" and an IPv6 address
 *     PORT    the client's port, or [UNAVAILABLE]
 *     PROTO   SMTP or ESMTP
 *     HELO    as which the client introduced itself, or [UNAVAILABLE]
 *
 * Names and special values in any case.  An attribute that is not offered is refused, and so is ADDR=[UNAVAILABLE]: a
 * client without address would go on with the rights of the proxy's.  LOGIN is not offered, since whoever may relay as
 * an account must sign in here; nor DESTADDR and DESTPORT, of which nothing here depends.
 */
#include "protocols/smtp_xclient.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/cursor.h"

#define NAME_MAX 255

static const struct smtp_fault fault_syntax = {501, "5.5.4", "Syntax: XCLIENT attribute=value..."};
static const struct smtp_fault fault_attribute = {501, "5.5.4", "Attributes are " SMTP_XCLIENT_ATTRIBUTES};
static const struct smtp_fault fault_twice = {501, "5.5.4", "Attribute given twice"};
static const struct smtp_fault fault_name = {501, "5.5.4", "Bad NAME value"};
static const struct smtp_fault fault_address = {501, "5.5.4", "Bad ADDR value"};
static const struct smtp_fault fault_port = {501, "5.5.4", "Bad PORT value"};
static const struct smtp_fault fault_proto = {501, "5.5.4", "PROTO is SMTP or ESMTP"};
static const struct smtp_fault fault_helo = {501, "5.5.4", "Bad HELO value"};

/* -1: none.  Upper-case, says the RFC. */
static int hex(char c)
{
    if (cursor_is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * xtext = *( xchar / hexchar ), up to a blank or the end.  Only what prints may come of it: these values go into lines.
 */
static bool take_xtext(struct arena *arena, struct slice *rest, struct slice *out)
{
    char *text = arena_alloc(arena, rest->n + 1);
    size_t n = 0;

    while (rest->n && *rest->p != ' ' && *rest->p != '\t') {
        int c = (unsigned char)*rest->p;
        size_t used = 1;

        if (c == '=')
            return false;
        if (c == '+') {
            if (rest->n < 3 || hex(rest->p[1]) < 0 || hex(rest->p[2]) < 0)
                return false;
            c = hex(rest->p[1]) << 4 | hex(rest->p[2]);
            used = 3;
        }
        if (c <= ' ' || c > '~')
            return false;
        text[n++] = (char)c;
        *rest = slice_skip(*rest, used);
    }
    *out = slice_of(text, n); /* ends in NUL */
    return n > 0;
}

static bool is_unavailable(struct slice value)
{
    return slice_equal_nocase(value, SLICE("[UNAVAILABLE]")) || slice_equal_nocase(value, SLICE("[TEMPUNAVAIL]"));
}

static const struct smtp_fault *take_name(struct slice value, struct smtp_xclient *out)
{
    if (is_unavailable(value))
        return NULL;
    out->name = value;
    return smtp_is_domain(value) ? NULL : &fault_name;
}

static const struct smtp_fault *take_address(struct slice value, struct smtp_xclient *out)
{
    struct sockaddr_in *four = (void *)&out->address;
    struct sockaddr_in6 *six = (void *)&out->address;
    bool is_six = cursor_take_word(&value, SLICE("IPV6:"));

    out->address.ss_family = is_six ? AF_INET6 : AF_INET;
    return inet_pton(out->address.ss_family, value.p, is_six ? (void *)&six->sin6_addr : &four->sin_addr) == 1
               ? NULL
               : &fault_address;
}

static const struct smtp_fault *take_port(struct slice value, struct smtp_xclient *out)
{
    if (is_unavailable(value))
        return NULL;
    if (value.n > 5 || (*value.p == '0' && value.n > 1))
        return &fault_port;
    for (; value.n; value = slice_skip(value, 1)) {
        if (!cursor_is_digit(*value.p))
            return &fault_port;
        out->port = out->port * 10 + (unsigned)(*value.p - '0');
    }
    return out->port <= 65535 ? NULL : &fault_port;
}

static const struct smtp_fault *take_proto(struct slice value, struct smtp_xclient *out)
{
    out->plain_smtp = slice_equal_nocase(value, SLICE("SMTP"));
    return out->plain_smtp || slice_equal_nocase(value, SLICE("ESMTP")) ? NULL : &fault_proto;
}

static const struct smtp_fault *take_helo(struct slice value, struct smtp_xclient *out)
{
    if (is_unavailable(value))
        return NULL;
    out->helo = value;
    return value.n <= NAME_MAX ? NULL : &fault_helo;
}

static const struct smtp_fault *take_attribute(struct arena *arena, struct slice *rest, unsigned *seen,
                                               struct smtp_xclient *out)
{
    static const struct {
        struct slice name;
        const struct smtp_fault *(*take)(struct slice value, struct smtp_xclient *out);
    } attributes[] = {
        {{"NAME=", 5}, take_name},   {{"ADDR=", 5}, take_address}, {{"PORT=", 5}, take_port},
        {{"PROTO=", 6}, take_proto}, {{"HELO=", 5}, take_helo},
    };
    struct slice value;

    for (unsigned i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        if (!cursor_take_word(rest, attributes[i].name))
            continue;
        if (*seen & 1u << i)
            return &fault_twice;
        *seen |= 1u << i;
        return take_xtext(arena, rest, &value) ? attributes[i].take(value, out) : &fault_syntax;
    }
    return &fault_attribute;
}

const struct smtp_fault *smtp_parse_xclient(struct arena *arena, struct slice arguments, struct smtp_xclient *out)
{
    struct slice rest = arguments;
    unsigned seen = 0;

    *out = (struct smtp_xclient){.name = {"", 0}, .helo = {"", 0}};
    if (!rest.n)
        return &fault_syntax;
    do {
        const struct smtp_fault *fault = take_attribute(arena, &rest, &seen, out);

        if (fault)
            return fault;
    } while (cursor_skip_blanks(&rest) && rest.n);
    return NULL;
}
