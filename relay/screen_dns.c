/*
 * screen_dns: what DNS says of a client.
 *
 * A normal run.  screen_dns_begin() asks for the address in each list's zone and for its name; answers come on the
 * loop.  A list that has it is asked why (TXT).  A name is asked for its addresses; the first one that has the
 * client's among them is confirmed.  Most clients talk for longer than that takes, so RCPT finds all answers there.
 *
 * A hard run: a list is down.  screen_dns_wait() gives up, the list counts as failed, which is logged and counted, and
 * says nothing.
 *
 * A harder one: DNS itself is down, and each stranger's first recipient would hold a task.  So only some may wait (a
 * part of the tasks there are); the others go on at once.
 *
 * Bounded: the lists by DNS_LISTS_MAX, names by NAMES_MAX, all look-ups of the process by core/dns_ask.h.  Lists are
 * as they were when it began.  Answers of 127.255.255.0/24 are how lists say that they do not want to be asked:
 * failed, never a hit.
 */
#include "relay/screen_dns.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "screen"
#include "core/cidr.h"
#include "core/clock.h"
#include "core/dns_ask.h"
#include "core/log.h"
#include "core/loop.h"
#include "storage/dns_list.h"

#define NAMES_MAX 5
#define TEXT_SIZE 200
#define NAME_SIZE 256
#define MEMORY 65536
#define TELL_MS 1000 /* the rest is told when debugging */

struct list {
    struct screen_dns *dns;
    struct dns_ask *ask;
    struct dns_list known; /* a copy */
    bool hit, failed;
    char text[TEXT_SIZE];
};

struct name {
    struct screen_dns *dns;
    struct dns_ask *ask;
    char text[NAME_SIZE];
};

struct screen_dns {
    struct arena *arena;
    char client[INET6_ADDRSTRLEN];
    uint64_t began_ms;
    struct list *lists;
    unsigned list_count;
    struct dns_ask *pointer; /* PTR */
    struct name names[NAMES_MAX];
    unsigned name_count;
    enum screen_name name;
    const char *confirmed;
    bool with_lists, with_name;
    struct task_wait *waiting;
};

struct screen_dns_counters screen_dns_counters;
static unsigned waiters, waiters_max;

void screen_dns_set_waiters_max(unsigned max)
{
    waiters_max = max;
}

static bool is_done(const struct screen_dns *dns)
{
    if (dns->pointer)
        return false;
    for (unsigned i = 0; i < dns->name_count; i++)
        if (dns->names[i].ask)
            return false;
    for (unsigned i = 0; i < dns->list_count; i++)
        if (dns->lists[i].ask)
            return false;
    return true;
}

static void wake_if_done(struct screen_dns *dns)
{
    if (!dns->waiting || !is_done(dns))
        return;
    task_wake(dns->waiting);
    dns->waiting = NULL;
}

/* ------------------------------------------------------------------ lists */

static void fail(struct list *list, const char *why)
{
    static uint64_t told_ms;
    uint64_t now = clock_steady_ms();

    list->failed = true;
    screen_dns_counters.failed++;
    if (now - told_ms < TELL_MS) {
        log_debug("no answer of a DNS list", log_str("zone", list->known.zone), log_str("client", list->dns->client),
                  log_str("reason", why));
        return;
    }
    told_ms = now;
    log_info("no answer of a DNS list", log_str("zone", list->known.zone), log_str("client", list->dns->client),
             log_str("reason", why));
}

static void on_text(void *arg, enum dns_status status, const struct dns_record *records, unsigned count)
{
    struct list *list = arg;

    list->ask = NULL;
    if (status == DNS_FOUND && count)
        dns_record_text(&records[0], list->text, sizeof list->text);
    wake_if_done(list->dns);
}

static void ask_list(struct list *list, enum dns_type type, dns_ask_fn *fn)
{
    char name[NAME_SIZE];

    if (dns_reversed_name(list->dns->client, list->known.zone, name, sizeof name))
        list->ask = dns_ask(name, type, fn, list);
    else
        fn(list, DNS_FAILED, NULL, 0);
}

static void on_listed(void *arg, enum dns_status status, const struct dns_record *records, unsigned count)
{
    static const unsigned char refusal[] = {127, 255, 255};
    struct list *list = arg;

    list->ask = NULL;
    if (status == DNS_FAILED)
        fail(list, "no answer");
    for (unsigned i = 0; i < count && !list->hit; i++) {
        if (records[i].length != 4)
            continue;
        list->hit = dns_list_matches(&list->known, records[i].bytes);
        if (!list->hit && !list->failed && memcmp(records[i].bytes, refusal, sizeof refusal) == 0)
            fail(list, "it does not want to be asked");
    }
    if (list->hit)
        ask_list(list, DNS_TYPE_TXT, on_text);
    wake_if_done(list->dns);
}

static void begin_lists(struct screen_dns *dns)
{
    const struct dns_list *known = dns_lists(&dns->list_count);

    dns->lists = arena_array(dns->arena, dns->list_count + 1, sizeof *dns->lists);
    for (unsigned i = 0; i < dns->list_count; i++) {
        struct dns_list *copy = &dns->lists[i].known;

        *copy = known[i];
        copy->zone = arena_strdup(dns->arena, known[i].zone);
        copy->answers =
            arena_memdup(dns->arena, known[i].answers, (known[i].answer_count + 1) * sizeof *known[i].answers);
        dns->lists[i].dns = dns;
    }
    for (unsigned i = 0; i < dns->list_count; i++) {
        screen_dns_counters.asked++;
        ask_list(&dns->lists[i], DNS_TYPE_A, on_listed);
    }
}

/* ------------------------------------------------------------------ the name */

static bool is_client(const struct screen_dns *dns, const struct dns_record *record)
{
    unsigned char bytes[16];

    return (record->length == 4 && inet_pton(AF_INET, dns->client, bytes) == 1 &&
            memcmp(bytes, record->bytes, 4) == 0) ||
           (record->length == 16 && inet_pton(AF_INET6, dns->client, bytes) == 1 &&
            memcmp(bytes, record->bytes, 16) == 0);
}

static void on_addresses(void *arg, enum dns_status status, const struct dns_record *records, unsigned count)
{
    struct name *name = arg;
    struct screen_dns *dns = name->dns;

    name->ask = NULL;
    if (status == DNS_FAILED && dns->name != SCREEN_NAME_CONFIRMED)
        dns->name = SCREEN_NAME_FAILED; /* it may be the one */
    for (unsigned i = 0; i < count && !dns->confirmed; i++)
        if (is_client(dns, &records[i])) {
            dns->name = SCREEN_NAME_CONFIRMED;
            dns->confirmed = name->text;
        }
    wake_if_done(dns);
}

static void on_pointer(void *arg, enum dns_status status, const struct dns_record *records, unsigned count)
{
    struct screen_dns *dns = arg;
    enum dns_type type = strchr(dns->client, ':') ? DNS_TYPE_AAAA : DNS_TYPE_A;

    dns->pointer = NULL;
    dns->name = status == DNS_FAILED ? SCREEN_NAME_FAILED : SCREEN_NAME_NONE;
    for (unsigned i = 0; i < count && dns->name_count < NAMES_MAX; i++)
        if (dns_record_name(&records[i], dns->names[dns->name_count].text, NAME_SIZE))
            dns->names[dns->name_count++].dns = dns;
    if (dns->name_count)
        dns->name = SCREEN_NAME_UNCONFIRMED;
    for (unsigned i = 0; i < dns->name_count; i++)
        dns->names[i].ask = dns_ask(dns->names[i].text, type, on_addresses, &dns->names[i]);
    wake_if_done(dns);
}

static void begin_name(struct screen_dns *dns)
{
    const char *zone = strchr(dns->client, ':') ? "ip6.arpa" : "in-addr.arpa";
    char name[NAME_SIZE];

    dns->name = SCREEN_NAME_FAILED;
    if (dns_reversed_name(dns->client, zone, name, sizeof name))
        dns->pointer = dns_ask(name, DNS_TYPE_PTR, on_pointer, dns);
}

/* ------------------------------------------------------------------ the whole */

struct screen_dns *screen_dns_begin(const char *client, bool lists, bool name)
{
    struct arena *arena = arena_new(MEMORY);
    struct screen_dns *dns = arena_alloc(arena, sizeof *dns);

    dns->arena = arena;
    dns->began_ms = clock_steady_ms();
    dns->with_lists = lists;
    dns->with_name = name;
    if (!cidr_plain_address(client, dns->client))
        return dns;
    if (lists)
        begin_lists(dns);
    if (name)
        begin_name(dns);
    return dns;
}

/* What is open. */
static void give_up(struct screen_dns *dns, bool tell)
{
    if (dns->pointer)
        dns->name = SCREEN_NAME_FAILED;
    dns_ask_cancel(&dns->pointer);
    for (unsigned i = 0; i < dns->name_count; i++) {
        if (dns->names[i].ask && !dns->confirmed)
            dns->name = SCREEN_NAME_FAILED;
        dns_ask_cancel(&dns->names[i].ask);
    }
    for (unsigned i = 0; i < dns->list_count; i++) {
        if (dns->lists[i].ask && !dns->lists[i].hit && tell) /* else only why is missing */
            fail(&dns->lists[i], "too slow");
        dns_ask_cancel(&dns->lists[i].ask);
    }
}

void screen_dns_free(struct screen_dns **dns)
{
    struct arena *arena;

    if (!*dns)
        return;
    give_up(*dns, false);
    arena = (*dns)->arena;
    *dns = NULL;
    arena_free(&arena);
}

bool screen_dns_has(const struct screen_dns *dns, bool lists, bool name)
{
    return dns && (!lists || dns->with_lists) && (!name || dns->with_name);
}

static void on_deadline(void *arg)
{
    struct screen_dns *dns = arg;

    if (dns->waiting)
        task_wake(dns->waiting);
    dns->waiting = NULL;
}

AWAITS void screen_dns_wait(struct screen_dns *dns, unsigned max_ms)
{
    uint64_t passed = clock_steady_ms() - dns->began_ms;
    struct task_wait wait = TASK_WAIT_INIT;
    struct loop_timer timer = {0};

    if (is_done(dns))
        return;
    if (passed < max_ms && waiters < waiters_max) {
        waiters++;
        dns->waiting = &wait;
        loop_timer_set(&timer, max_ms - passed, on_deadline, dns);
        task_wait(&wait);
        loop_timer_clear(&timer);
        waiters--;
    }
    give_up(dns, true);
}

void screen_dns_facts(const struct screen_dns *dns, struct arena *arena, struct screen_facts *out)
{
    *out = (struct screen_facts){.client = arena_strdup(arena, dns->client), .name = dns->name};
    out->hits = arena_array(arena, dns->list_count + 1, sizeof *out->hits);
    for (unsigned i = 0; i < dns->list_count; i++) {
        const struct list *list = &dns->lists[i];

        out->failed += list->failed;
        if (list->hit)
            out->hits[out->hit_count++] = (struct screen_hit){arena_strdup(arena, list->known.zone),
                                                              arena_strdup(arena, list->text), list->known.score};
    }
}

const char *screen_dns_name(const struct screen_dns *dns)
{
    return dns ? dns->confirmed : NULL;
}
