/*
 * accept: the one door by which mail becomes ours.
 *
 * A normal run.  A session's task calls accept_commit(); its request goes to the end of a list and the task sleeps.
 * If a flight is free it takes off in the same loop turn's end with everything that has gathered; while it is at the
 * database more requests gather, and the next flight takes them.  So a lone message waits for nobody, and a
 * hundred sessions share a flush.
 *
 * A hard run.  The batch is refused: somebody's mailbox was deleted between RCPT and the final dot.  Each request then
 * flies alone, so that only the guilty one hears 451.  The connection breaks: accept_batch.c finds out how it ended.
 *
 * FLIGHTS is 2: while one batch waits for the disk the other is prepared and sent.  More would only make the batches
 * smaller.
 */
#include "storage/accept.h"

#include <stdlib.h>

#include "core/loop.h"
#include "storage/accept_batch.h"
#include "storage/body.h"
#include "storage/hint.h"

#define FLIGHTS 2
#define BATCH_MESSAGES 256
#define BATCH_BYTES (4 * 1024 * 1024)

struct request {
    struct request *next;
    struct task_wait wait;
    struct accept_message *messages;
    unsigned count;
    size_t bytes;
    enum db_write answer;
};

static struct request *first, **last = &first;
static unsigned flights;
static bool scheduled;
static struct task_pool *pool;
static accept_committed_fn *committed;
static struct accept_counters counters;

void accept_on_committed(accept_committed_fn *fn)
{
    committed = fn;
}

void accept_counters(struct accept_counters *out)
{
    *out = counters;
}

/* ------------------------------------------------------------------ after a commit */

static void tell(const struct accept_message *message)
{
    for (unsigned i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].mailbox_id)
            hint_mailbox_changed(message->recipients[i].mailbox_id);
    counters.messages++;
    counters.recipients += message->recipient_count;
    counters.bytes += message->prefix.n + spool_size(message->spool);
    if (committed)
        committed(message);
}

static void answer(struct request *request, enum db_write written)
{
    if (written == DB_DONE)
        for (unsigned i = 0; i < request->count; i++)
            tell(&request->messages[i]);
    request->answer = written;
    task_wake(&request->wait);
}

/* ------------------------------------------------------------------ flights */

static AWAITS enum db_write fly(struct request *list, unsigned messages)
{
    struct accept_message **all = calloc(messages, sizeof *all);
    enum db_write written;
    unsigned n = 0;

    if (!all)
        abort();
    for (struct request *r = list; r; r = r->next)
        for (unsigned i = 0; i < r->count; i++)
            all[n++] = &r->messages[i];
    counters.batches++;
    if (n > counters.largest_batch)
        counters.largest_batch = n;
    written = accept_batch_run(all, n);
    free(all);
    return written;
}

static struct request *take_batch(unsigned *messages)
{
    struct request *list = first, **end = &list;
    size_t bytes = 0;

    *messages = 0;
    while (*end &&
           (end == &list || (*messages + (*end)->count <= BATCH_MESSAGES && bytes + (*end)->bytes <= BATCH_BYTES))) {
        *messages += (*end)->count;
        bytes += (*end)->bytes;
        end = &(*end)->next;
    }
    first = *end;
    if (!first)
        last = &first;
    *end = NULL;
    return list;
}

static AWAITS void fly_while_requested(void *arg)
{
    (void)arg;
    while (first) {
        unsigned messages;
        struct request *list = take_batch(&messages);
        bool alone = list->next == NULL;
        enum db_write written = fly(list, messages);
        bool again = !alone && (written == DB_REFUSED || written == DB_UNDONE);

        while (list) {
            struct request *r = list;

            list = r->next;
            r->next = NULL;
            answer(r, again ? fly(r, r->count) : written);
        }
    }
    flights--;
}

static void take_off(void *arg)
{
    (void)arg;
    scheduled = false;
    if (!pool)
        pool = task_pool_new("accept", FLIGHTS, FLIGHTS);
    if (first && flights < FLIGHTS && task_start(pool, fly_while_requested, NULL))
        flights++;
}

/* ------------------------------------------------------------------ the door */

/* What is longer than a chunk is stored before; what is left for the batch is counted. */
static AWAITS enum db_write store_long_bodies(struct request *request)
{
    for (unsigned i = 0; i < request->count; i++) {
        struct accept_message *m = &request->messages[i];
        size_t size = m->prefix.n + spool_size(m->spool);

        if (spool_failed(m->spool))
            return DB_UNDONE;
        if (size <= BODY_CHUNK)
            request->bytes += size;
        else if (body_store(m->id, m->prefix, m->spool) != DB_DONE)
            return DB_UNDONE;
    }
    return DB_DONE;
}

enum db_write accept_commit(struct accept_message *messages, unsigned count)
{
    struct request request = {.messages = messages, .count = count};
    enum db_write written = store_long_bodies(&request);

    if (written != DB_DONE)
        return written;
    *last = &request;
    last = &request.next;
    if (!scheduled) {
        scheduled = true;
        loop_defer(take_off, NULL);
    }
    task_wait(&request.wait);
    return request.answer;
}
