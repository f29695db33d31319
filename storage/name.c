/*
 * Names of the directory.
 *
 * Two spellings of one thing must not become two rows, so every name is normalised before it is stored or
 * looked for.  Internationalised domains are stored as A-labels ("xn--..."); conversion from U-labels is
 * the client's business, so non-ASCII is refused here.  Local parts are folded to lower case: RFC 5321
 * section 2.4 lets the receiving host treat them as it likes, and no ISP wants Bob and bob to be two.
 */
#include "storage/name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

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
    if (in.n > DOMAIN_MAX + 1)
        return false;
    *out = without_final_dot(arena_lower(arena, in));
    return is_name(*out, 2);
}

/* atext (RFC 5322 3.2.3), lower case */
static bool is_atext(char c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

bool name_address(struct arena *arena, struct slice in, struct slice *out)
{
    if (in.n > ADDRESS_MAX)
        return false;
    *out = arena_lower(arena, in);
    const char *at = memrchr(out->p, '@', out->n);
    if (!at)
        return false;
    size_t local = (size_t)(at - out->p);
    if (local == 0 || local > LOCAL_MAX || out->p[0] == '.' || at[-1] == '.')
        return false;
    for (size_t i = 0; i < local; i++)
        if (!is_atext(out->p[i]) && !(out->p[i] == '.' && out->p[i + 1] != '.'))
            return false;
    return is_name(slice_skip(*out, local + 1), 2);
}

struct slice name_address_domain(struct slice address)
{
    const char *at = memrchr(address.p, '@', address.n);
    return at ? slice_skip(address, (size_t)(at - address.p) + 1) : slice_of(address.p, 0);
}

bool name_host(struct arena *arena, struct slice in, struct slice *out)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    if (in.n > DOMAIN_MAX + 1)
        return false;
    struct slice lower = arena_lower(arena, in);
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
