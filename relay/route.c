/*
 * route: the order in which hosts are tried.
 *
 * Sorting is by insertion: lists are short (libunbound's answer is cut at 64 records, administrators configure
 * two hops), and insertion is stable, which keeps the administrator's order among equal priorities.
 *
 * The shuffle among equals is what spreads load over a domain's MX hosts (RFC 5321 5.1).  It is drawn from a seed, so a
 * test can say what must come out, and a retry with another seed begins with another host.
 *
 * What it does not do: addresses (a host's several addresses are tried in the resolver's order by the caller), and
 * deciding whether a route is allowed, which was done when the message was accepted.
 */
#include "relay/route.h"

#include <arpa/inet.h>
#include <strings.h>

/* A prefix and a number above 0. */
static bool parse_id(struct slice key, struct slice prefix, int64_t *id)
{
    *id = 0;
    if (key.n <= prefix.n || key.n > prefix.n + 19 || !slice_equal(slice_of(key.p, prefix.n), prefix))
        return false;
    for (size_t i = prefix.n; i < key.n; i++) {
        int digit = key.p[i] - '0';

        if (digit < 0 || digit > 9 || *id > (INT64_MAX - digit) / 10)
            return false;
        *id = *id * 10 + digit;
    }
    return *id > 0;
}

bool route_parse_key(struct slice destination, struct route_key *out)
{
    static const struct slice mx = {"mx:", 3}, to = {"to:", 3};

    *out = (struct route_key){0};
    if (slice_equal(destination, SLICE("default"))) {
        out->kind = ROUTE_DEFAULT;
        return true;
    }
    if (slice_equal(destination, SLICE("mailbox"))) {
        out->kind = ROUTE_MAILBOX;
        return true;
    }
    if (destination.n > mx.n && slice_equal(slice_of(destination.p, mx.n), mx)) {
        out->kind = ROUTE_MX;
        out->domain = slice_skip(destination, mx.n);
        return true;
    }
    if (destination.n > to.n && slice_equal(slice_of(destination.p, to.n), to)) {
        out->kind = ROUTE_TO;
        out->domain = slice_skip(destination, to.n);
        return true;
    }
    if (parse_id(destination, SLICE("domain:"), &out->domain_id))
        return true; /* ROUTE_DOMAIN */
    out->kind = ROUTE_NAMED;
    return parse_id(destination, SLICE("route:"), &out->route_id);
}

/* splitmix64: enough to choose among hosts. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void sort_by_priority(struct directory_hop *hops, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct directory_hop moving = hops[i];
        unsigned at = i;

        for (; at > 0 && hops[at - 1].priority > moving.priority; at--)
            hops[at] = hops[at - 1];
        hops[at] = moving;
    }
}

/* Of hops[from..], the first of which is of the lowest priority: who comes next. */
static unsigned draw(const struct directory_hop *hops, unsigned from, unsigned count, uint64_t *seed)
{
    uint64_t sum = 0, drawn;
    unsigned end = from, at = from;

    while (end < count && hops[end].priority == hops[from].priority)
        sum += hops[end++].weight;
    drawn = sum ? next_random(seed) % sum : 0;
    while (at + 1 < end && sum && drawn >= hops[at].weight)
        drawn -= hops[at++].weight;
    return at;
}

enum route_answer route_from_hops(struct arena *arena, const struct directory_hop *hops, unsigned count, uint64_t seed,
                                  struct route *out)
{
    struct directory_hop *sorted = arena_array(arena, count + 1, sizeof *sorted);

    *out = (struct route){.hops = arena_array(arena, count + 1, sizeof *out->hops)};
    for (unsigned i = 0; i < count; i++)
        sorted[i] = hops[i];
    sort_by_priority(sorted, count);
    for (unsigned i = 0; i < count; i++) {
        unsigned next = draw(sorted, i, count, &seed);
        struct directory_hop swap = sorted[i];

        sorted[i] = sorted[next];
        sorted[next] = swap;
        out->hops[i] = (struct route_hop){.host = sorted[i].host,
                                          .port = sorted[i].port,
                                          .tls = sorted[i].tls,
                                          .sources = sorted[i].sources,
                                          .priority = sorted[i].priority,
                                          .credential_id = sorted[i].credential_id,
                                          .configured = true,
                                          .primary = sorted[i].priority == sorted[0].priority};
    }
    out->count = count < ROUTE_HOPS_MAX ? count : ROUTE_HOPS_MAX;
    return count ? ROUTE_FOUND : ROUTE_NO_HOPS;
}

enum route_answer route_from_literal(struct arena *arena, struct slice domain, struct route *out)
{
    static const struct slice tag = SLICE("[IPv6:");
    unsigned char bytes[sizeof(struct in6_addr)];
    bool six = domain.n > tag.n && slice_equal_nocase(slice_of(domain.p, tag.n), tag);
    size_t begin = six ? tag.n : 1;
    const char *address;

    *out = (struct route){.hops = arena_array(arena, 1, sizeof *out->hops)};
    if (domain.n < begin + 2 || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
        return ROUTE_NO_HOPS;
    address = arena_slicedup(arena, slice_of(domain.p + begin, domain.n - begin - 1));
    if (inet_pton(six ? AF_INET6 : AF_INET, address, bytes) != 1)
        return ROUTE_NO_HOPS;
    out->hops[0] = (struct route_hop){.host = address, .port = ROUTE_SMTP_PORT};
    out->count = 1;
    return ROUTE_FOUND;
}

static void sort_by_preference(struct dns_mx *list, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct dns_mx moving = list[i];
        unsigned at = i;

        for (; at > 0 && list[at - 1].preference > moving.preference; at--)
            list[at] = list[at - 1];
        list[at] = moving;
    }
}

static void shuffle_equals(struct dns_mx *list, unsigned count, uint64_t seed)
{
    for (unsigned start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && list[end].preference == list[start].preference; end++)
            continue;
        for (unsigned i = end - start; i > 1; i--) {
            unsigned j = (unsigned)(next_random(&seed) % i);
            struct dns_mx swap = list[start + i - 1];

            list[start + i - 1] = list[start + j];
            list[start + j] = swap;
        }
    }
}

/* How many may be tried before we would send to ourselves, or worse, to somebody who would send it to us. */
static unsigned count_before_us(const struct dns_mx *list, unsigned count, const char *own_name)
{
    unsigned best = count;

    for (unsigned i = 0; i < count && best == count; i++)
        if (strcasecmp(list[i].host, own_name) == 0)
            best = i;
    while (best > 0 && best < count && list[best - 1].preference == list[best].preference)
        best--;
    return best;
}

enum route_answer route_from_mx(struct arena *arena, const char *domain, const struct dns_mx *mx, unsigned count,
                                const char *own_name, uint64_t seed, struct route *out)
{
    struct dns_mx *list = arena_array(arena, count + 1, sizeof *list);
    unsigned usable = 0, before_us;

    *out = (struct route){.hops = arena_array(arena, count + 1, sizeof *out->hops)};
    if (!count) { /* implicit MX, RFC 5321 5.1 */
        if (strcasecmp(domain, own_name) == 0)
            return ROUTE_LOOPS;
        out->hops[0] = (struct route_hop){.host = domain, .port = ROUTE_SMTP_PORT};
        out->count = 1;
        return ROUTE_FOUND;
    }
    /* A null MX beside others is a mistake of theirs (RFC 7505 section 3): the others are used. */
    for (unsigned i = 0; i < count; i++)
        if (*mx[i].host)
            list[usable++] = mx[i];
    if (!usable)
        return ROUTE_NULL_MX;
    sort_by_preference(list, usable);
    shuffle_equals(list, usable, seed);
    before_us = count_before_us(list, usable, own_name);
    if (!before_us)
        return ROUTE_LOOPS;
    for (unsigned i = 0; i < before_us && i < ROUTE_HOPS_MAX; i++)
        out->hops[out->count++] = (struct route_hop){
            .host = list[i].host, .port = ROUTE_SMTP_PORT, .doubtful = !list[i].secure, .priority = list[i].preference};
    return ROUTE_FOUND;
}
