/*
 * Names of the directory.
 *
 * Two spellings of one thing must not become two rows, so every name is normalised before it is stored or looked for.
 * Internationalised domains are stored as A-labels ("xn--..."), whichever way they were given.  Local parts are folded
 * to lower case, and what is not ASCII is composed (NFC): RFC 5321 section 2.4 lets the receiving host treat them as
 * it likes, and no ISP wants Bob and bob to be two.  Characters that cannot be seen are in no name that an
 * administrator gives.
 */
#include "storage/name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/idn.h"

#define GIVEN_MAX 1024 /* U-labels may be longer than what they become */
#define LABEL_MAX 63
#define DOMAIN_MAX 253
#define LOCAL_MAX 64
#define ADDRESS_MAX 254

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* sub-domain = Let-dig [Ldh-str] (RFC 5321 4.1.2) */
static bool is_label(struct slice s)
{
    if (s.n == 0 || s.n > LABEL_MAX || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}

/* s is in lower case. */
static bool is_name(struct slice s, unsigned labels_min)
{
    unsigned labels = 0;
    struct slice label = {0};
    if (s.n == 0 || s.n > DOMAIN_MAX)
        return false;
    for (;; labels++) {
        const char *dot = memchr(s.p, '.', s.n);
        label = slice_of(s.p, dot ? (size_t)(dot - s.p) : s.n);
        if (!is_label(label))
            return false;
        if (!dot)
            break;
        s = slice_skip(s, label.n + 1);
    }
    /* An all-numeric top label would be mistaken for an address (RFC 3696 section 2). */
    return labels + 1 >= labels_min && strspn(label.p, "0123456789") < label.n;
}

static struct slice without_final_dot(struct slice s)
{
    return s.n > 1 && s.p[s.n - 1] == '.' ? slice_of(s.p, s.n - 1) : s;
}

bool name_domain(struct arena *arena, struct slice in, struct slice *out)
{
    if (in.n > GIVEN_MAX || !idn_domain(arena, in, out))
        return false;
    *out = without_final_dot(*out);
    return is_name(*out, 2);
}

/* atext (RFC 5322 3.2.3, RFC 6532 3.2), lower case */
static bool is_atext(char c)
{
    return is_alnum(c) || (unsigned char)c >= 0x80 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

bool name_address(struct arena *arena, struct slice in, struct slice *out)
{
    struct slice domain, name;
    const char *at = in.n && in.n <= GIVEN_MAX && !memchr(in.p, '\0', in.n) ? memrchr(in.p, '@', in.n) : NULL;

    if (!at || !idn_domain(arena, slice_skip(in, (size_t)(at - in.p) + 1), &domain))
        return false;
    name = idn_fold(arena, slice_of(in.p, (size_t)(at - in.p)));
    if (!idn_is_ascii(name) && !idn_is_graphic(name))
        return false;
    *out = slice_str(arena_printf(arena, "%.*s@%.*s", SLICE_ARG(name), SLICE_ARG(domain)));
    at = out->p + name.n;
    size_t local = name.n;
    if (out->n > ADDRESS_MAX || local == 0 || local > LOCAL_MAX || out->p[0] == '.' || at[-1] == '.')
        return false;
    for (size_t i = 0; i < local; i++)
        if (!is_atext(out->p[i]) && !(out->p[i] == '.' && out->p[i + 1] != '.'))
            return false;
    return is_name(slice_skip(*out, local + 1), 2);
}

struct slice name_key(struct arena *arena, struct slice address)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;
    struct slice domain, local;

    if (idn_is_ascii(address) || memchr(address.p, '\0', address.n))
        return arena_lower(arena, address);
    if (!at || !idn_domain(arena, slice_skip(address, (size_t)(at - address.p) + 1), &domain))
        return arena_lower(arena, address); /* nobody's */
    local = idn_fold(arena, slice_of(address.p, (size_t)(at - address.p)));
    return slice_str(arena_printf(arena, "%.*s@%.*s", SLICE_ARG(local), SLICE_ARG(domain)));
}

struct slice name_address_domain(struct slice address)
{
    const char *at = memrchr(address.p, '@', address.n);
    return at ? slice_skip(address, (size_t)(at - address.p) + 1) : slice_of(address.p, 0);
}

bool name_host(struct arena *arena, struct slice in, struct slice *out)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    struct slice lower;
    if (in.n > GIVEN_MAX || !idn_domain(arena, in, &lower))
        return false;
    *out = lower;
    if (memchr(lower.p, '\0', lower.n))
        return false;
    if (inet_pton(AF_INET, lower.p, bytes) == 1 || inet_pton(AF_INET6, lower.p, bytes) == 1)
        return true;
    *out = without_final_dot(lower);
    return is_name(*out, 1);
}

/* Are all bits behind the prefix zero? */
static bool host_bits_clear(const unsigned char *bytes, unsigned size, unsigned prefix)
{
    for (unsigned i = 0; i < size; i++) {
        unsigned kept = prefix >= 8 * (i + 1) ? 8 : prefix > 8 * i ? prefix - 8 * i : 0;
        if (bytes[i] & (0xff >> kept))
            return false;
    }
    return true;
}

/* ::ffff:0:0/96 (RFC 4291 2.5.5.2): such clients are looked up as IPv4, so a block of these would never match. */
static bool is_v4_mapped(const unsigned char *bytes)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(bytes, prefix, sizeof prefix) == 0;
}

bool name_cidr(struct arena *arena, struct slice in, struct slice *out)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    if (in.n == 0 || in.n > INET6_ADDRSTRLEN + 4 || memchr(in.p, '\0', in.n))
        return false;
    char *address = arena_slicedup(arena, in);
    char *slash = strchr(address, '/');
    if (slash)
        *slash++ = '\0';
    int family = strchr(address, ':') ? AF_INET6 : AF_INET;
    unsigned size = family == AF_INET6 ? 16 : 4, prefix = size * 8;
    if (inet_pton(family, address, bytes) != 1 || (family == AF_INET6 && is_v4_mapped(bytes)))
        return false;
    if (slash) {
        size_t n = strlen(slash);
        if (n == 0 || n > 3 || strspn(slash, "0123456789") != n)
            return false;
        prefix = (unsigned)strtoul(slash, NULL, 10);
    }
    if (prefix > size * 8 || !host_bits_clear(bytes, size, prefix))
        return false;
    *out = slice_str(arena_printf(arena, "%s/%u", inet_ntop(family, bytes, text, sizeof text), prefix));
    return true;
}
