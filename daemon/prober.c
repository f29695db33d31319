/*
 * prober: asks the primaries of relay domains which recipients exist.
 *
 *     a RCPT needs to know               prober's ask(): a question joins its domain's list, or one that is there already
 *     a lane (a task) takes it           over the connection that it has, one that was left idle, or a new one
 *     the primary answers                who waits is woken; what was learned is written for all nodes
 *     the list is empty                  the connection is kept idle for a moment, then QUIT
 *
 * Only the hops of the first priority are asked: what stands in for them (a second MX) mostly takes everything.
 *
 * A primary that takes everything is found out by asking it, after its first yes, for a name that cannot exist; then
 * the domain is noted as such instead of the name, and nobody asks again until that is old.
 *
 * Bounds.  A session's task waits timeout_ms at the most and waiters_max of them at once, so that a primary that is
 * slow cannot take all stacks of the sessions, nor one domain's more than half of them from the others; a lane's task
 * has a pool of its own.  A primary that could not be reached is not tried again for DEAD_MS: what comes meanwhile is
 * answered from what is known.  Once mail fails there is an outage, and nobody asks any more.
 *
 * Nobody's question is cancelled: when who waits has gone, it is asked all the same, and learned for the next try.
 */
#include "daemon/prober.h"
#include "daemon/runner_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "prober"
#include "core/arena.h"
#include "core/clock.h"
#include "core/dns.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/secret.h"
#include "core/slice.h"
#include "core/task.h"
#include "core/tls.h"
#include "daemon/hop_login.h"
#include "protocols/smtp_client.h"
#include "relay/permit.h"
#include "relay/route.h"
#include "relay/verify.h"
#include "storage/directory.h"
#include "storage/learned.h"
#include "storage/source_pool.h"

#define LANES_MAX 32
#define DOMAINS_MAX 1000
#define QUESTIONS_MAX 100 /* of a domain, waiting */
#define ADDRESSES_MAX 4   /* of the primaries, tried for one connection */
#define IDLE_MS 5000
#define DEAD_MS 5000

struct waiter {
    struct waiter *next;
    struct question *question; /* NULL: answered */
    struct task_wait wait;
    struct loop_timer timer;
    enum verify_told told;
};

struct question {
    struct question *next;
    struct waiter *waiters;
    bool taken; /* by a lane */
    char address[];
};

struct domain {
    struct domain *next;
    int64_t id;
    struct question *first;
    unsigned count, lanes, waiting;
    struct smtp_client *idle;
    struct loop_timer idle_timer;
    uint64_t dead_until;
};

static struct prober_settings settings;
static struct tls *tls;
static struct task_pool *pool;
static struct domain *domains;
static unsigned domain_count, waiting;
static struct prober_counters counters;

/* ------------------------------------------------------------------ domains and questions */

static void sweep(void)
{
    for (struct domain **link = &domains; *link;) {
        struct domain *d = *link;

        if (d->first || d->lanes || d->idle || d->dead_until > clock_steady_ms()) {
            link = &d->next;
            continue;
        }
        *link = d->next;
        domain_count--;
        free(d);
    }
}

/* NULL: there are too many. */
static struct domain *find_domain(int64_t id)
{
    struct domain *d = domains;

    while (d && d->id != id)
        d = d->next;
    if (d)
        return d;
    if (domain_count == DOMAINS_MAX)
        sweep();
    if (domain_count == DOMAINS_MAX)
        return NULL;
    d = calloc(1, sizeof *d);
    if (!d)
        abort();
    d->id = id;
    d->next = domains;
    domains = d;
    domain_count++;
    return d;
}

/* One that is there, or a new one at the end.  NULL: there are too many. */
static struct question *find_question(struct domain *d, struct slice address)
{
    struct question **link = &d->first;

    for (; *link; link = &(*link)->next)
        if (slice_equal_nocase(slice_str((*link)->address), address))
            return *link;
    if (d->count == QUESTIONS_MAX)
        return NULL;
    struct question *q = *link = calloc(1, sizeof *q + address.n + 1);
    if (!q)
        abort();
    memcpy(q->address, address.p, address.n);
    d->count++;
    return q;
}

static void answer(struct domain *d, struct question *q, enum verify_told told)
{
    struct question **link = &d->first;

    for (struct waiter *w = q->waiters; w; w = w->next) {
        w->question = NULL;
        w->told = told;
        task_wake(&w->wait);
    }
    while (*link != q)
        link = &(*link)->next;
    *link = q->next;
    d->count--;
    free(q);
}

/* ------------------------------------------------------------------ a connection */

/* As a route has it: an address is as private as a message. */
static bool is_protected(const struct smtp_client *client, enum delivery_tls wanted)
{
    switch (wanted) {
    case DELIVERY_TLS_NOT_SET:
    case DELIVERY_TLS_NONE:
    case DELIVERY_TLS_MAY: break;
    case DELIVERY_TLS_ENCRYPT: return smtp_client_encrypted(client);
    case DELIVERY_TLS_VERIFY:
    case DELIVERY_TLS_DANE: /* what it has announced is not asked for a question: its name is what counts */
    case DELIVERY_TLS_STS: return smtp_client_verified(client);
    }
    return true;
}

struct wanted {
    enum delivery_tls hop, domain;
};

/* Nor is a host that may not have the domain's mail told our password. */
static bool may_sign_in(const struct smtp_client *client, void *arg)
{
    const struct wanted *wanted = arg;

    return is_protected(client, wanted->hop) && is_protected(client, wanted->domain);
}

static AWAITS bool open_hop(struct arena *arena, const struct route_hop *hop, enum delivery_tls domain_tls,
                            struct slice sources, unsigned *tried, struct smtp_client **out)
{
    struct wanted wanted = {hop->tls, domain_tls};
    struct smtp_client_settings client = {
        .hostname = settings.hostname,
        .tls = hop->tls == DELIVERY_TLS_NONE ? NULL : tls,
        .verify_tls = settings.verify_tls,
        .connect_timeout_ms = settings.timeout_ms,
        .greeting_timeout_ms = settings.timeout_ms,
        .reply_timeout_ms = settings.timeout_ms,
        .end_timeout_ms = settings.timeout_ms,
        .primary = true,
        .may_sign_in = may_sign_in,
        .may_sign_in_arg = &wanted,
    };
    struct dns_address *addresses;
    struct runner_source source;
    unsigned count = 0;
    struct slice why;

    if (dns_addresses(arena, hop->host, &addresses, &count) != DNS_FOUND)
        return false;
    if (!runner_source_choose(arena, hop->sources.n ? hop->sources : sources, &source) ||
        !(count = runner_source_suits(&source, addresses, count))) {
        log_error("primary cannot be asked: none of the source addresses is this machine's, or of its family",
                  log_str("host", hop->host));
        return false;
    }
    client.source4 = source.four;
    client.source6 = source.six;
    for (unsigned at = 0, begun = 1; at < count && *tried < ADDRESSES_MAX; at += begun, *tried += begun) {
        if (hop_login_open(arena, hop->credential_id, &client, addresses + at, count - at, hop->port, hop->host, &begun,
                           out, &why)) {
            if (may_sign_in(*out, &wanted))
                return true;
            why = SLICE("its route, or the policy for the domain, requires TLS");
            smtp_client_quit(out);
        }
        log_info("primary cannot be asked", log_str("host", hop->host), log_int("port", hop->port),
                 log_slice("reason", why));
    }
    return false;
}

static AWAITS bool open_primary(struct arena *arena, int64_t domain_id, struct slice address, struct smtp_client **out)
{
    struct directory_hop *hops = NULL;
    struct route route;
    struct slice sources;
    unsigned count = 0, tried = 0;
    uint64_t seed;

    secret_random(&seed, sizeof seed);
    if (directory_hops(arena, domain_id, &hops, &count) != DB_FOUND ||
        route_from_hops(arena, hops, count, seed, &route) != ROUTE_FOUND ||
        source_pool_of_domain(arena, domain_id, &sources) != DB_FOUND)
        return false;
    for (unsigned i = 0; i < route.count && route.hops[i].primary; i++)
        if (open_hop(arena, &route.hops[i], delivery_policy_tls(address), sources, &tried, out))
            return true;
    return false;
}

static AWAITS void say_goodbye(void *arg)
{
    struct smtp_client *client = arg;

    smtp_client_quit(&client);
}

static void on_idle(void *arg)
{
    struct domain *d = arg;

    if (!task_start(pool, say_goodbye, d->idle))
        smtp_client_abort(&d->idle);
    d->idle = NULL;
}

static AWAITS void park(struct domain *d, struct smtp_client *client)
{
    if (!client)
        return;
    if (d->idle || !smtp_client_usable(client)) {
        smtp_client_quit(&client);
        return;
    }
    d->idle = client;
    loop_timer_set(&d->idle_timer, IDLE_MS, on_idle, d);
}

static struct smtp_client *unpark(struct domain *d)
{
    struct smtp_client *client = d->idle;

    if (client)
        loop_timer_clear(&d->idle_timer);
    d->idle = NULL;
    return client;
}

/* ------------------------------------------------------------------ asking */

/* The connection may be gone afterwards: *client is NULL then. */
static AWAITS enum verify_told ask_over(struct arena *arena, struct smtp_client **client, const char *address)
{
    struct smtp_client_answer said;

    counters.asked++;
    if (!smtp_client_ask(*client, arena, slice_str(settings.sender), slice_str(address), &said)) {
        smtp_client_abort(client);
        return VERIFY_UNTOLD;
    }
    enum verify_told told = said.to_recipient ? verify_reply(said.code, said.enhanced) : VERIFY_UNTOLD;
    log_info("primary asked", log_str("host", smtp_client_host(*client)), log_str("recipient", address),
             log_slice("reply", said.text));
    if (told == VERIFY_UNTOLD)
        return told;
    counters.told++;
    return told;
}

/*
 * As ask_over(), over a new connection when there is none, or when the one that was idle is dead.  False: it cannot be
 * reached.
 */
static AWAITS bool ask_primary(struct arena *arena, struct domain *d, struct smtp_client **client, const char *address,
                               enum verify_told *told)
{
    if (*client && ((*told = ask_over(arena, client, address)) != VERIFY_UNTOLD || *client))
        return true;
    if (!open_primary(arena, d->id, slice_str(address), client))
        return false;
    *told = ask_over(arena, client, address);
    return true;
}

static const char *impossible_address(struct arena *arena, const char *address)
{
    uint64_t number;

    secret_random(&number, sizeof number);
    return arena_printf(arena, "no-such-user-%016llx%s", (unsigned long long)number, strrchr(address, '@'));
}

/* It said yes; does it to everybody?  True: so its yes is no news. */
static AWAITS bool takes_everything(struct arena *arena, struct domain *d, struct smtp_client **client,
                                    const char *address)
{
    struct slice asked = slice_str(address);
    struct learned known;

    if (learned_find(arena, d->id, &asked, 1, true, &known) == DB_FAILED)
        return true; /* nothing could be written either */
    if (known.all_until_ms > clock_now_ms())
        return known.accepts_all;
    enum verify_told told = *client ? ask_over(arena, client, impossible_address(arena, address)) : VERIFY_UNTOLD;
    if (told == VERIFY_UNTOLD)
        return false;
    log_info(told == VERIFY_EXISTS ? "primary takes every recipient" : "primary knows its recipients",
             log_id("domain", d->id));
    if (learned_note_accepts_all(d->id, told == VERIFY_EXISTS) != DB_DONE)
        log_info("not learned", log_id("domain", d->id));
    return told == VERIFY_EXISTS;
}

static AWAITS void learn(struct arena *arena, struct domain *d, struct smtp_client **client, const char *address,
                         enum verify_told told)
{
    const struct learned_fact fact = {d->id, slice_str(address), told == VERIFY_EXISTS};

    if (told == VERIFY_UNTOLD || (told == VERIFY_EXISTS && takes_everything(arena, d, client, address)))
        return;
    if (learned_note(&fact, 1) != DB_DONE)
        log_info("not learned", log_str("recipient", address));
}

static struct question *take(struct domain *d)
{
    struct question *q = d->first;

    while (q && q->taken)
        q = q->next;
    if (q)
        q->taken = true;
    return q;
}

static void give_up(struct domain *d)
{
    struct question *q;

    counters.failed++;
    d->dead_until = clock_steady_ms() + DEAD_MS;
    while ((q = take(d)))
        answer(d, q, VERIFY_UNTOLD);
}

static AWAITS void run_lane(void *arg)
{
    struct domain *d = arg;
    struct arena *arena = arena_new(SIZE_MAX);
    struct smtp_client *client = unpark(d);
    struct question *q;

    log_set_context(NULL); /* a lane outlives the session that began it */
    while ((q = take(d))) {
        enum verify_told told = VERIFY_UNTOLD;
        const char *address = arena_strdup(arena, q->address);
        bool reached = ask_primary(arena, d, &client, address, &told);

        answer(d, q, told);
        if (reached)
            learn(arena, d, &client, address, told);
        else
            give_up(d);
        arena_reset(arena);
    }
    d->lanes--; /* before the last wait, in which a question may come */
    park(d, client);
    arena_free(&arena);
}

/* ------------------------------------------------------------------ who asks */

static void start_lanes(struct domain *d)
{
    unsigned untaken = 0;

    for (const struct question *q = d->first; q; q = q->next)
        untaken += !q->taken;
    if (untaken && d->lanes < settings.per_domain_max && task_start(pool, run_lane, d))
        d->lanes++;
}

static void on_timeout(void *arg)
{
    struct waiter *w = arg;

    task_wake(&w->wait);
}

static AWAITS enum verify_told wait_for(struct domain *d, struct question *q)
{
    struct waiter self = {.next = q->waiters, .question = q, .wait = TASK_WAIT_INIT, .told = VERIFY_UNTOLD};

    q->waiters = &self;
    waiting++;
    d->waiting++;
    loop_timer_set(&self.timer, settings.timeout_ms, on_timeout, &self);
    task_wait(&self.wait);
    loop_timer_clear(&self.timer);
    waiting--;
    d->waiting--;
    if (self.question) { /* the time is over; the question goes on */
        struct waiter **link = &self.question->waiters;

        while (*link != &self)
            link = &(*link)->next;
        *link = self.next;
    }
    return self.told;
}

static AWAITS enum verify_told ask(int64_t domain_id, struct slice address, bool wait)
{
    struct domain *d = find_domain(domain_id);
    struct question *q;

    if (!d || d->dead_until > clock_steady_ms() || !(q = find_question(d, address)))
        return VERIFY_UNTOLD;
    start_lanes(d);
    if (!d->lanes) { /* no stack */
        answer(d, q, VERIFY_UNTOLD);
        return VERIFY_UNTOLD;
    }
    if (!wait || waiting >= settings.waiters_max || d->waiting > settings.waiters_max / 2)
        return VERIFY_UNTOLD;
    return wait_for(d, q);
}

void prober_init(const struct prober_settings *s)
{
    char error[200] = "";

    settings = *s;
    tls = tls_client_new(settings.verify_tls, error, sizeof error);
    if (!tls)
        log_fatal(1, "TLS for next hops: %s", error);
    pool = task_pool_new("prober", LANES_MAX, 0);
    permit_on_ask(ask);
}

void prober_counters(struct prober_counters *out)
{
    *out = counters;
}
