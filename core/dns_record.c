/*
 * dns_record: records of a server's or a domain's own words: TLSA (RFC 6698) and TXT.
 *
 * TLSA records say which certificate is the right one, so they are worth what DNSSEC says of them.  Records that nobody
 * vouches for are as none (RFC 7672 2.2), which is safe: a zone that is signed cannot be made to look unsigned, that is
 * bogus.  FAILED is different from none: there may be records that somebody keeps from us, and who sends all the same has
 * let himself be talked out of what they protect (2.1.2).
 *
 * A record that cannot be read counts as one of a kind that nobody knows: that there are some, of no use, means another
 * thing than that there are none (2.2).
 */
#include <stdio.h>
#include <string.h>
#include <unbound.h>

#include "core/dns.h"
#include "core/dns_internal.h"

enum { TYPE_CNAME = 5, TYPE_TXT = 16, TYPE_TLSA = 52, UNKNOWN = 255 };

struct dns_tlsa dns_tlsa_parse(struct arena *arena, const char *data, int length)
{
    const unsigned char *bytes = (const unsigned char *)data;

    if (length < 4)
        return (struct dns_tlsa){UNKNOWN, UNKNOWN, UNKNOWN, {NULL, 0}};
    return (struct dns_tlsa){bytes[0], bytes[1], bytes[2], arena_slice(arena, slice_of(data + 3, (size_t)length - 3))};
}

enum dns_status dns_tlsa(struct arena *arena, const char *host, unsigned port, struct dns_tlsa **out, unsigned *count)
{
    struct ub_result *result;
    enum dns_status status = dns_query(arena_printf(arena, "_%u._tcp.%s", port, host), TYPE_TLSA, &result);

    *out = NULL;
    *count = 0;
    if (status == DNS_FOUND && !result->secure)
        status = DNS_NONE;
    if (status == DNS_FOUND) {
        *count = dns_result_count(result);
        *out = arena_array(arena, *count, sizeof **out);
        for (unsigned i = 0; i < *count; i++)
            (*out)[i] = dns_tlsa_parse(arena, result->data[i], result->len[i]);
    }
    ub_resolve_free(result);
    return status;
}

enum dns_status dns_alias_secure(const char *host)
{
    struct ub_result *result;
    enum dns_status status = dns_query(host, TYPE_CNAME, &result);

    if (status == DNS_FOUND && !result->secure)
        status = DNS_NONE;
    ub_resolve_free(result);
    return status;
}

/* RFC 1035 3.3.14: strings, each a length and its bytes. */
struct slice dns_text_parse(struct arena *arena, const char *data, int length)
{
    char *text = arena_alloc(arena, (size_t)length + 1);
    size_t used = 0;

    for (int at = 0; at < length;) {
        int n = (unsigned char)data[at++];

        n = n < length - at ? n : length - at;
        memcpy(text + used, data + at, (size_t)n);
        used += (size_t)n;
        at += n;
    }
    return slice_of(text, used);
}

enum dns_status dns_texts(struct arena *arena, const char *name, struct slice **out, unsigned *count)
{
    struct ub_result *result;
    enum dns_status status = dns_query(name, TYPE_TXT, &result);

    *out = NULL;
    *count = 0;
    if (status == DNS_FOUND) {
        *count = dns_result_count(result);
        *out = arena_array(arena, *count, sizeof **out);
        for (unsigned i = 0; i < *count; i++)
            (*out)[i] = dns_text_parse(arena, result->data[i], result->len[i]);
    }
    ub_resolve_free(result);
    return status;
}
