/*
 * carry: what accounts did during an outage is carried to their mailboxes at the primary.
 *
 *     every TICK_MS    accounts of our cells for which something is due, and whose primary is not away
 *     each of them     a task: one connection, message after message, until nothing is due
 *
 * The list of work is in the database (storage/carry.h), made together with what it is about, so nothing is forgotten
 * by a process that dies; what it had begun is done by the next one, who looks first.  carry_item.c knows what is done
 * with one message.
 *
 * Trouble with one message puts that off, doubling up to retry_max; with the connection, all of the account.  Nothing
 * is given up for it: the copies stay here as long as they wait.
 *
 * At most ACCOUNTS_AT_ONCE accounts have a connection, and none two of this worker's: many servers allow a user few,
 * and who has just come back has other things to do.
 */
#include "daemon/carry.h"

#define LOG_MODULE "carry"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/carry_session.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "relay/retry.h"

#define TICK_MS 1000
#define ACCOUNTS_AT_ONCE 8
#define ITEMS_AT_ONCE 50

static struct task_pool *pool, *workers;
static int64_t running[ACCOUNTS_AT_ONCE]; /* 0: free */

/* ------------------------------------------------------------------ one account */

struct job {
    struct arena *arena;
    struct carry_account account;
    unsigned place;
};

static uint64_t delay_of(unsigned attempts)
{
    return retry_backoff(runner_settings()->retry_min_ms, runner_settings()->retry_max_ms, attempts + 1,
                         runner_random());
}

/* False: the rest of the account waits, too. */
static AWAITS bool carry_one(struct carry_session *session, struct carry_item *item)
{
    enum carry_answer answer;
    uint64_t delay;

    session->until = clock_steady_ms() + CARRY_LEASE_MS - CARRY_LEASE_MARGIN_MS;
    switch (carry_begin(item, CARRY_LEASE_MS)) {
    case DB_DONE: break;
    case DB_REFUSED: return true; /* another's */
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: return false;
    }
    answer = carry_item_run(session, item);
    if (answer == CARRY_DONE)
        return true;
    delay = session->refused ? runner_settings()->retry_max_ms : delay_of(item->attempts);
    log_info("not carried yet", log_id("message", item->message_id), log_slice("account", session->account->address),
             log_int("next_ms", (int64_t)delay), log_slice("reason", session->why));
    if (carry_put_off(item, delay, session->why) != DB_DONE)
        return false; /* then the lease runs out; or somebody else is at it */
    if (answer == CARRY_LATER)
        return true;
    if (carry_put_off_all(item->account_id, delay, session->why) != DB_DONE)
        log_warn("what waits for an account could not be put off", log_slice("account", session->account->address));
    return false;
}

static AWAITS void carry_all(struct carry_session *session)
{
    bool more = true;

    while (more && !runner_draining()) {
        struct arena *arena = arena_new(SIZE_MAX);
        struct carry_item *items = NULL;
        unsigned count = 0;

        more = carry_items(arena, session->account->id, ITEMS_AT_ONCE, &items, &count) == DB_FOUND;
        for (unsigned i = 0; i < count && more; i++)
            more = !runner_draining() && carry_one(session, &items[i]);
        arena_free(&arena);
    }
}

static AWAITS void work(void *arg)
{
    struct job *job = arg;
    unsigned place = job->place;
    struct carry_session *session = arena_alloc(job->arena, sizeof *session);
    struct arena *arena = job->arena;

    session->arena = arena;
    session->account = &job->account;
    switch (imap_access_of(arena, job->account.domain_id, &session->access)) {
    case DB_FOUND:
        session->has_access = true;
        carry_all(session);
        break;
    case DB_NONE: carry_all(session); break;
    case DB_FAILED: break;
    }
    carry_session_end(session);
    arena_free(&arena);
    running[place] = 0;
}

/* ------------------------------------------------------------------ all of them */

/* ACCOUNTS_AT_ONCE: there is none, or it runs already. */
static unsigned find_place(int64_t account_id)
{
    unsigned place = ACCOUNTS_AT_ONCE;

    for (unsigned i = ACCOUNTS_AT_ONCE; i-- > 0;) {
        if (running[i] == account_id)
            return ACCOUNTS_AT_ONCE;
        if (!running[i])
            place = i;
    }
    return place;
}

static void start(const struct carry_account *account)
{
    unsigned place = find_place(account->id);
    struct arena *arena;
    struct job *job;

    if (place == ACCOUNTS_AT_ONCE)
        return;
    arena = arena_new(SIZE_MAX);
    job = arena_alloc(arena, sizeof *job);
    *job = (struct job){.arena = arena, .account = *account, .place = place};
    job->account.address = arena_slice(arena, account->address);
    running[place] = account->id;
    if (!task_start(workers, work, job)) {
        running[place] = 0;
        arena_free(&arena);
    }
}

static AWAITS void look(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    int16_t *cells = arena_array(arena, ID_CELLS, sizeof *cells);
    unsigned cell_count = runner_cells(cells), count = 0;
    struct carry_account *accounts = NULL;

    if (cell_count && carry_accounts(arena, cells, cell_count, &accounts, &count) == DB_FOUND)
        for (unsigned i = 0; i < count; i++)
            start(&accounts[i]);
    arena_free(&arena);
}

static AWAITS void run_for_ever(void *arg)
{
    (void)arg;
    while (!runner_draining()) {
        look();
        task_sleep(TICK_MS);
    }
}

void carry_init(void)
{
    pool = task_pool_new("carry", 1, 0);
    workers = task_pool_new("carry-account", ACCOUNTS_AT_ONCE, 0);
    if (!task_start(pool, run_for_ever, NULL))
        log_fatal(1, "no stack for carrying");
}
