/*
 * outage_accounts: in an outage, who has no account to read with gets one.
 *
 * Two things, for each domain with an open outage:
 *
 *     each tick          its entries behind the place that was reached last: those of nobody are given to who has their
 *                        address by now, known recipients get an account for it.  So mail is in an INBOX at second 0,
 *                        whoever it is for, and a first message to somebody new half a second after its 250.
 *     in a task of       known recipients without mail get an account, too, some hundreds at a time, so that they can
 *     its own            sign in and write.
 *
 * Ids of entries grow with time, but a transaction may end a little after one with a later id: the place that is kept
 * is OVERLAP_MS behind.  A tick takes some TURN_MS; where it does not come to the end it looks at what came just now, too,
 * a page of it: all that waits for who gets an account then is his at once, so that it keeps its order.
 *
 * And from time to time all is looked through again, a page in each tick: an address may have become known, or an
 * account have been made by an administrator.  Nobody waits for that as one waits for new mail, and where very much
 * waits for nobody (100,000 for a dead destination) it must not be felt by others.
 */
#include "daemon/outage_accounts.h"

#include <stdlib.h>

#define LOG_MODULE "outage"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/outage_account.h"

#define OVERLAP_MS 5000
#define AGAIN_MS 30000
#define TURN_MS 100 /* of one tick */
#define FRESH_MS 1500
#define TASKS 4 /* domains whose recipients get accounts at the same time */

struct domain {
    struct domain *next;
    int64_t id;
    int64_t after;     /* entries up to here have been looked at */
    int64_t again;     /* and up to here once more */
    uint64_t again_at; /* when that begins, or goes on */
    bool making, made; /* its known recipients get accounts now; have them */
    bool over;         /* to be freed when the task is done */
};

static struct domain *domains;
static struct task_pool *pool;

static struct domain *find(int64_t id)
{
    struct domain *d = domains;

    while (d && (d->id != id || d->over))
        d = d->next;
    return d;
}

static struct domain *begin(int64_t id)
{
    struct domain *d = calloc(1, sizeof *d);

    if (!d)
        abort();
    d->id = id;
    d->again_at = clock_steady_ms() + AGAIN_MS;
    d->next = domains;
    domains = d;
    return d;
}

static void drop(struct domain *d)
{
    struct domain **link = &domains;

    while (*link != d)
        link = &(*link)->next;
    *link = d->next;
    free(d);
}

/* ------------------------------------------------------------------ who has mail */

/* A page, and more for so long.  True: there are entries behind *after, which is moved on. */
static AWAITS bool look(const struct domain *d, int64_t *after, unsigned turn_ms)
{
    uint64_t until = clock_steady_ms() + turn_ms;
    struct outage_account_page page = {.after = *after};
    unsigned given = 0, made = 0;

    do {
        if (outage_account_give(d->id, &page) != DB_DONE) {
            log_warn("held mail could not be given to accounts yet", log_id("domain", d->id));
            break;
        }
        given += page.given;
        made += page.made;
    } while (page.more && clock_steady_ms() < until);
    if (given || made)
        log_info("held mail given to accounts", log_id("domain", d->id), log_int("entries", given),
                 log_int("made", made));
    *after = page.after;
    return page.more;
}

static AWAITS void look_at_new(struct domain *d)
{
    int64_t now = clock_now_ms(), recent = id_at(now - OVERLAP_MS), fresh = id_at(now - FRESH_MS);

    if (look(d, &d->after, TURN_MS))
        (void)look(d, &fresh, 0);
    else if (d->after > recent)
        d->after = recent;
}

static AWAITS void look_again(struct domain *d)
{
    if (clock_steady_ms() < d->again_at || (look(d, &d->again, 0) && d->again < d->after))
        return;
    d->again = 0;
    d->again_at = clock_steady_ms() + AGAIN_MS;
    if (!d->making)
        d->made = false; /* somebody may be known since */
}

/* ------------------------------------------------------------------ who has none */

static AWAITS void make_known(void *arg)
{
    struct domain *d = arg;
    uint64_t began = clock_steady_ms();
    char *after = NULL;
    unsigned all = 0, made = 0;
    bool failed = false;

    do {
        failed = outage_account_make_known(d->id, &after, &made) != DB_DONE;
        all += made;
    } while (after && !failed && !d->over);
    free(after);
    if (failed)
        log_warn("accounts could not be made yet", log_id("domain", d->id));
    if (all)
        log_info("accounts made for known recipients", log_id("domain", d->id), log_int("count", all),
                 log_int("ms", (int64_t)(clock_steady_ms() - began)));
    d->made = !failed;
    d->making = false;
    if (d->over)
        drop(d);
}

/* ------------------------------------------------------------------ the outage's tick */

AWAITS void outage_accounts_step(int64_t domain_id)
{
    struct domain *d = find(domain_id);

    if (!d)
        d = begin(domain_id);
    look_at_new(d); /* only this task ends it */
    look_again(d);
    if (!d->made && !d->making)
        d->making = task_start(pool, make_known, d);
}

void outage_accounts_end(int64_t domain_id)
{
    struct domain *d = find(domain_id);

    if (!d)
        return;
    d->over = true;
    if (!d->making)
        drop(d);
}

void outage_accounts_init(void)
{
    pool = task_pool_new("accounts", TASKS, 0);
}
