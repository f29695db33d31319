/*
 * prober: asks the primaries of relay domains which recipients exist.
 *
 *     a RCPT needs to know               prober's ask(): a question joins its domain's list, or one that is there already
 *     a lane (a task) takes it           over the connection that it has, one that was left idle, or a new one
 *     the primary answers                who waits is woken; what was learned is written for all nodes
 *     the list is empty                  the connection is kept idle for a moment, then QUIT
 *
 * What a lane says to the primary, and what is learned of it, is prober_primary.c.
 *
 * Bounds.  A session's task waits timeout_ms at the most and waiters_max of them at once, so that a primary that is
 * slow cannot take all stacks of the sessions, nor one domain's more than half of them from the others; a lane's task
 * has a pool of its own.  A primary that could not be reached is not tried again for DEAD_MS: what comes meanwhile is
 * answered from what is known.  Once mail fails there is an outage, and nobody asks any more.
 *
 * Nobody's question is cancelled: when who waits has gone, it is asked all the same, and learned for the next try.
 */
#include "daemon/prober.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "prober"
#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/slice.h"
#include "core/task.h"
#include "core/tls.h"
#include "daemon/prober_primary.h"
#include "protocols/smtp_client.h"
#include "relay/permit.h"
#include "relay/verify.h"

#define LANES_MAX 32
#define DOMAINS_MAX 1000
#define QUESTIONS_MAX 100 /* of a domain, waiting */
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

/* ------------------------------------------------------------------ a connection that is idle */

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

/* ------------------------------------------------------------------ lanes */

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
    struct prober_primary primary = {&settings, tls, &counters, arena, d->id, unpark(d)};
    struct question *q;

    log_set_context(NULL); /* a lane outlives the session that began it */
    while ((q = take(d))) {
        enum verify_told told = VERIFY_UNTOLD;
        const char *address = arena_strdup(arena, q->address);
        bool reached = prober_primary_ask(&primary, address, &told);

        answer(d, q, told);
        if (reached)
            prober_primary_learn(&primary, address, told);
        else
            give_up(d);
        arena_reset(arena);
    }
    d->lanes--; /* before the last wait, in which a question may come */
    park(d, primary.client);
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
