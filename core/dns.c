/*
 * dns: look-ups by libunbound, in its own thread, answered on our loop.
 *
 * libunbound caches, retries, and validates when the root's trust anchor is installed (Debian: dns-root-data), or
 * another is configured; a bogus answer is then FAILED, as a forged one must neither bounce mail nor divert it.  Its
 * descriptor is an event of ours; the callbacks run from ub_process() and wake the task that asked.
 *
 * A resolver that is configured may know a world of its own, so "test", which libunbound keeps from the world, is asked
 * there.
 *
 * A hard run: nobody answers.  libunbound would try for minutes; after LOOKUP_MS we cancel the query (its callback
 * then never comes, so nothing points to the task's stack any more) and say FAILED.
 *
 * Bounded: the number of queries by the number of tasks, answers by RECORDS_MAX.  Records that cannot be host
 * names (a dot or a control character inside a label) are passed over: they go into logs and SMTP dialogues.
 */
#include "core/dns.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unbound.h>
#include <unistd.h>

#define LOG_MODULE "dns"
#include "core/dns_internal.h"
#include "core/log.h"
#include "core/loop.h"

#define LOOKUP_MS 30000
#define RECORDS_MAX 64
#define TRUST_ANCHOR "/usr/share/dns/root.key"
#define TEST_ZONE "test." /* RFC 6761 section 6.2 */

enum { TYPE_A = 1, TYPE_MX = 15, TYPE_AAAA = 28, CLASS_IN = 1, RCODE_NOERROR = 0, RCODE_NXDOMAIN = 3 };

/* One question under way; lives on the asking task's stack. */
struct query {
    struct task_wait *wait;
    int id;
    bool done;
    struct ub_result *result; /* NULL when done: it failed */
};

static struct ub_ctx *context;
static struct event *readable;

/* ------------------------------------------------------------------ set-up */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    ub_process(context);
}

static void check(int error, const char *what)
{
    if (error)
        log_warn(what, log_str("reason", ub_strerror(error)));
}

static void on_warm(void *arg, int error, struct ub_result *result)
{
    (void)arg, (void)error;
    ub_resolve_free(result);
}

/*
 * The first question makes libunbound set everything up, in the caller: more than a task's stack holds.  So it is
 * asked here; its answer is in libunbound itself and interests nobody.
 */
static void warm_up(void)
{
    check(ub_resolve_async(context, "localhost", TYPE_A, CLASS_IN, NULL, on_warm, NULL), "DNS look-ups do not start");
}

bool dns_trust_anchor_valid(const char *file)
{
    struct ub_ctx *other = ub_ctx_create();
    bool valid = other && access(file, R_OK) == 0 && ub_ctx_add_ta_file(other, file) == 0 &&
                 ub_ctx_zone_add(other, TEST_ZONE, "transparent") == 0; /* which makes it read the file */

    if (other)
        ub_ctx_delete(other);
    return valid;
}

void dns_init(const struct dns_settings *settings)
{
    const char *anchor = settings->trust_anchor_file;

    context = ub_ctx_create();
    if (!context)
        log_fatal(1, "cannot set up DNS look-ups");
    if (settings->resolver)
        check(ub_ctx_set_fwd(context, settings->resolver), "DNS resolver not usable");
    else
        check(ub_ctx_resolvconf(context, NULL), "/etc/resolv.conf not usable");
    check(ub_ctx_hosts(context, settings->hosts_file), "hosts file not usable");
    if (!anchor && access(TRUST_ANCHOR, R_OK) == 0)
        anchor = TRUST_ANCHOR;
    if (anchor)
        check(ub_ctx_add_ta_file(context, anchor), "DNSSEC trust anchor not usable");
    ub_ctx_async(context, 1); /* a thread; a process of its own would outlive a killed worker */
    if (settings->resolver)   /* the last of what is set: libunbound reads its settings for it */
        check(ub_ctx_zone_add(context, TEST_ZONE, "transparent"), "DNS look-ups do not start");
    readable = event_new(loop_base(), ub_fd(context), EV_READ | EV_PERSIST, on_readable, NULL);
    if (!readable || event_add(readable, NULL) != 0)
        log_fatal(1, "cannot watch DNS look-ups");
    warm_up();
}

struct ub_ctx *dns_context(void)
{
    return context;
}

void dns_done(void)
{
    if (readable)
        event_free(readable);
    readable = NULL;
    if (context)
        ub_ctx_delete(context);
    context = NULL;
}

/* ------------------------------------------------------------------ asking */

static void on_answer(void *arg, int error, struct ub_result *result)
{
    struct query *query = arg;

    query->done = true;
    query->result = error ? NULL : result;
    if (error)
        ub_resolve_free(result);
    task_wake(query->wait);
}

static void on_deadline(void *arg)
{
    task_wake(arg);
}

static void query_begin(struct query *query, struct task_wait *wait, const char *name, int type)
{
    *query = (struct query){.wait = wait};
    if (ub_resolve_async(context, name, type, CLASS_IN, query, on_answer, &query->id) != 0)
        query->done = true;
}

/* Sleeps until all are done or the time is over; what is not done then is cancelled. */
static AWAITS void queries_wait(struct query *queries, unsigned count, struct task_wait *wait, unsigned wait_ms)
{
    struct loop_timer timer = {0};
    unsigned open = 0;

    for (unsigned i = 0; i < count; i++)
        open += !queries[i].done;
    loop_timer_set(&timer, wait_ms, on_deadline, wait);
    while (open > 0 && loop_timer_is_set(&timer)) {
        task_wait(wait);
        open = 0;
        for (unsigned i = 0; i < count; i++)
            open += !queries[i].done;
    }
    loop_timer_clear(&timer);
    for (unsigned i = 0; i < count; i++)
        if (!queries[i].done)
            ub_cancel(context, queries[i].id);
}

enum dns_status dns_result_status(const struct ub_result *r)
{
    if (!r || r->bogus || (r->rcode != RCODE_NOERROR && r->rcode != RCODE_NXDOMAIN))
        return DNS_FAILED;
    return r->havedata ? DNS_FOUND : DNS_NONE;
}

static enum dns_status query_status(const struct query *query)
{
    return dns_result_status(query->result);
}

unsigned dns_result_count(const struct ub_result *result)
{
    unsigned n = 0;

    while (n < RECORDS_MAX && result->data[n])
        n++;
    return n;
}

static unsigned record_count(const struct query *query)
{
    return dns_result_count(query->result);
}

static AWAITS enum dns_status query_within(const char *name, int type, unsigned wait_ms, struct ub_result **result)
{
    struct task_wait wait = TASK_WAIT_INIT;
    struct query query;

    query_begin(&query, &wait, name, type);
    queries_wait(&query, 1, &wait, wait_ms);
    *result = query.result;
    return query_status(&query);
}

enum dns_status dns_query(const char *name, int type, struct ub_result **result)
{
    return query_within(name, type, LOOKUP_MS, result);
}

/* ------------------------------------------------------------------ MX */

bool dns_name_parse(const unsigned char *wire, size_t n, char out[DNS_NAME_SIZE])
{
    size_t at = 0, used = 0;

    while (at < n && wire[at] > 0) {
        size_t label = wire[at++];

        if (label > 63 || label > n - at || used + label + 2 > DNS_NAME_SIZE)
            return false;
        if (used > 0)
            out[used++] = '.';
        for (; label > 0; label--, at++) {
            if (!isgraph(wire[at]) || wire[at] == '.')
                return false;
            out[used++] = (char)tolower(wire[at]);
        }
    }
    out[used] = '\0';
    return at < n;
}

static bool mx_parse(struct arena *arena, const char *data, int length, struct dns_mx *out)
{
    const unsigned char *bytes = (const unsigned char *)data;
    char name[DNS_NAME_SIZE];

    if (length < 3 || !dns_name_parse(bytes + 2, (size_t)length - 2, name))
        return false;
    out->preference = (unsigned)bytes[0] << 8 | bytes[1];
    out->host = arena_strdup(arena, name);
    return true;
}

static int by_preference(const void *a, const void *b)
{
    const struct dns_mx *one = a, *other = b;

    return (one->preference > other->preference) - (one->preference < other->preference);
}

AWAITS enum dns_status dns_mx_within(struct arena *arena, const char *domain, unsigned wait_ms, struct dns_mx **out,
                                     unsigned *count)
{
    struct ub_result *result;
    enum dns_status status = query_within(domain, TYPE_MX, wait_ms, &result);

    *out = NULL;
    *count = 0;
    if (status == DNS_FOUND) {
        unsigned n = dns_result_count(result);

        *out = arena_array(arena, n, sizeof **out);
        for (unsigned i = 0; i < n; i++)
            if (mx_parse(arena, result->data[i], result->len[i], &(*out)[*count]))
                (*out)[(*count)++].secure = result->secure;
        qsort(*out, *count, sizeof **out, by_preference);
        if (*count == 0) /* there are some, none of use: not the same as none */
            status = DNS_FAILED;
    }
    ub_resolve_free(result);
    return status;
}

AWAITS enum dns_status dns_mx(struct arena *arena, const char *domain, struct dns_mx **out, unsigned *count)
{
    return dns_mx_within(arena, domain, LOOKUP_MS, out, count);
}

/* ------------------------------------------------------------------ addresses */

static bool literal(const char *host, struct dns_address *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&out->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&out->address;

    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        out->length = sizeof *four;
        return true;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        out->length = sizeof *six;
        return true;
    }
    return false;
}

/* Lower case, no final dot; NULL: no other than was asked for. */
static const char *canonical(struct arena *arena, const struct ub_result *result)
{
    const char *name = result->canonname;
    size_t n = name ? strlen(name) : 0;
    char *copy;

    n -= n && name[n - 1] == '.';
    if (!n || strncasecmp(name, result->qname, n) == 0)
        return NULL;
    copy = arena_alloc(arena, n + 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = (char)tolower((unsigned char)name[i]);
    copy[n] = '\0';
    return copy;
}

static bool address_parse(struct arena *arena, const struct query *query, unsigned i, struct dns_address *out)
{
    const char *data = query->result->data[i];
    int length = query->result->len[i];

    out->secure = query->result->secure;
    out->canonical = canonical(arena, query->result);

    if (query->result->qtype == TYPE_A && length == 4) {
        struct sockaddr_in *four = (struct sockaddr_in *)&out->address;

        four->sin_family = AF_INET;
        memcpy(&four->sin_addr, data, 4);
        out->length = sizeof *four;
        return true;
    }
    if (query->result->qtype == TYPE_AAAA && length == 16) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&out->address;

        six->sin6_family = AF_INET6;
        memcpy(&six->sin6_addr, data, 16);
        out->length = sizeof *six;
        return true;
    }
    return false;
}

void dns_take_turns(struct dns_address *list, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        unsigned other = i;

        while (other < count && list[other].address.ss_family == list[i - 1].address.ss_family)
            other++;
        if (other == count)
            return;
        struct dns_address moving = list[other];
        for (; other > i; other--)
            list[other] = list[other - 1];
        list[i] = moving;
    }
}

AWAITS enum dns_status dns_addresses_within(struct arena *arena, const char *host, unsigned wait_ms,
                                            struct dns_address **out, unsigned *count)
{
    struct task_wait wait = TASK_WAIT_INIT;
    struct query queries[2]; /* IPv6, IPv4 */
    enum dns_status status = DNS_NONE;
    struct dns_address one = {0};
    unsigned room = 0;

    *out = NULL;
    *count = 0;
    if (literal(host, &one)) {
        *out = arena_memdup(arena, &one, sizeof one);
        *count = 1;
        return DNS_FOUND;
    }
    query_begin(&queries[0], &wait, host, TYPE_AAAA);
    query_begin(&queries[1], &wait, host, TYPE_A);
    queries_wait(queries, 2, &wait, wait_ms);
    for (unsigned q = 0; q < 2; q++)
        if (query_status(&queries[q]) == DNS_FOUND)
            room += record_count(&queries[q]);
    *out = arena_array(arena, room, sizeof **out);
    for (unsigned q = 0; q < 2; q++) {
        switch (query_status(&queries[q])) {
        case DNS_FOUND:
            for (unsigned i = 0; i < record_count(&queries[q]); i++)
                if (address_parse(arena, &queries[q], i, &(*out)[*count]))
                    (*count)++;
            break;
        case DNS_NONE: break;
        case DNS_FAILED: status = DNS_FAILED; break;
        }
        ub_resolve_free(queries[q].result);
    }
    dns_take_turns(*out, *count);
    return *count > 0 ? DNS_FOUND : status;
}

AWAITS enum dns_status dns_addresses(struct arena *arena, const char *host, struct dns_address **out, unsigned *count)
{
    return dns_addresses_within(arena, host, LOOKUP_MS, out, count);
}
