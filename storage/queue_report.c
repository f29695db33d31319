/*
 * queue_report: what became of deliveries, many in one transaction.
 *
 * Requests are gathered while the transaction before is on its way (as in accept.c), so that the faster mail flows, the
 * fewer flushes a delivery costs.  There is one flight at a time: its length is the gathering time.
 *
 * A report is a fact about the outside world (the next hop said 250) that nobody else knows.  Losing it means
 * delivering twice, so a flight that fails is repeated until it succeeds, for as long as the process lives.
 * Everything in it may be repeated: deleting a row that is gone does nothing, events have their ids from here, and
 * entries that are put back must be leased to this worker and their event not there yet: this worker may have claimed
 * one anew since it was put back, by the first of the two.  Only what the database will never take (its content is
 * refused, not its time) is given up, and alone: after such an answer each report of the flight goes by itself, and at
 * last without its event.
 *
 * Rows are sorted by key, so that two workers' flights take their locks in the same order.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "queue"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/breaker.h"
#include "storage/carry_copy.h"
#include "storage/db.h"
#include "storage/maintenance.h"
#include "storage/queue.h"
#include "storage/queue_internal.h"

#define REPORT_FLIGHT_MAX 512
#define REPORT_RETRY_FIRST_MS 50
#define REPORT_RETRY_MAX_MS 1000
#define FAILURE_MS (24 * 60 * 60 * 1000)
#define REPORT_AWAY_MS 5000 /* a destination row made only because mail waits for it is looked at this much later */

static const struct db_statement report_delete = {
    "report_delete",
    "delete from queue_entry q using " QUEUE_LIST("$1::smallint[], $2::bigint[]", "cell, id") " where " QUEUE_ENTRY_IS};
static const struct db_statement report_release = {
    "report_release",
    "insert into message_release (cell, message_id)"
    " select distinct u.cell, u.message_id from unnest($1::smallint[], $2::bigint[]) u (cell, message_id)"
    "  order by 1, 2" RELEASE_LISTED};
static const struct db_statement report_back = {
    "report_back",
    "update queue_entry q set worker = case when u.kept then q.worker end,"
    "       lease_until = case when u.kept then q.lease_until end, last_attempt_at = now(), last_reply = u.reply,"
    /* put off by a reply before, and now its destination is away: its time is over, and it has its place again */
    "       due_at = case when u.due_at is not null then u.due_at"
    "                     when not u.kept and q.last_reply like '4%' and q.last_reply not like '421%' then " QUEUE_ACCEPTED(
        "q") "             else q.due_at end,"
             "       attempts = q.attempts + case when u.due_at is null and not u.kept then 0 else 1 end,"
             "       delay_at = coalesce(q.delay_at, u.delay_at)," /* infinity, once told, stays */
             "       uncertain_at = coalesce(u.uncertain_at, q.uncertain_at)"
             "  from " QUEUE_LIST(
                 "$1::smallint[], $2::bigint[], $3::timestamptz[], $4::text[], $6::timestamptz[], $7::timestamptz[], $8::bigint[],"
                 " $10::boolean[]",
                 "cell, id, due_at, reply, delay_at, uncertain_at, event_id, kept") " where " QUEUE_ENTRY_IS
                                                                                    " and " QUEUE_ENTRY_OF(
                                                                                        "$5::smallint")
    /* a look for each: a join might read the history */
    "   and coalesce((select false from event e where e.cell = u.cell and e.id = u.event_id and e.at = $9::timestamptz), true)"};
static const struct db_statement report_destination = {
    "report_destination",
    "insert into destination (cell, key, due_at)"
    " select u.cell, u.key, min(u.due_at) from unnest($1::smallint[], $2::text[], $3::timestamptz[]) u (cell, key, due_at)"
    "  group by 1, 2 order by 1, 2"
    " on conflict (cell, key) do update set due_at = least(destination.due_at, excluded.due_at)"
    "  where destination.failures = 0 and destination.due_at > excluded.due_at"};
static const struct db_statement report_event = {
    "report_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail, class, tls_version, tls_cipher, tls_verified,"
    "                   remote_host, remote_address)"
    " select * from unnest($1::smallint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::text[], $6::text[], $7::text[],"
    "                      $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])"
    " on conflict do nothing"};

struct request {
    struct request *next;
    struct task_wait wait;
    const struct queue_result *results;
    unsigned count;
    enum db_write answer;
};

static struct request *first, **last = &first;
static bool flying;
static struct task_pool *pool;

static const char *outcome_name(enum queue_outcome outcome)
{
    switch (outcome) {
    case QUEUE_DELIVERED: return "delivered";
    case QUEUE_DEFERRED:
    case QUEUE_AWAY: return "deferred";
    case QUEUE_UNCERTAIN: return "uncertain";
    case QUEUE_BOUNCED: return "bounced";
    }
    abort();
}

static bool outcome_ends(enum queue_outcome outcome)
{
    return outcome == QUEUE_DELIVERED || outcome == QUEUE_BOUNCED;
}

/* ------------------------------------------------------------------ one flight */

static int by_entry(const void *a, const void *b)
{
    const struct queue_result *x = *(const struct queue_result *const *)a, *y = *(const struct queue_result *const *)b;

    return x->entry_id < y->entry_id ? -1 : x->entry_id > y->entry_id;
}

struct columns {
    unsigned count;
    int16_t *cells;
    int64_t *ids, *messages, *times;
    struct slice *texts, *more, *kinds;
};

static struct columns columns_new(struct arena *arena, unsigned most)
{
    return (struct columns){0,
                            arena_array(arena, most, sizeof(int16_t)),
                            arena_array(arena, most, sizeof(int64_t)),
                            arena_array(arena, most, sizeof(int64_t)),
                            arena_array(arena, most, sizeof(int64_t)),
                            arena_array(arena, most, sizeof(struct slice)),
                            arena_array(arena, most, sizeof(struct slice)),
                            arena_array(arena, most, sizeof(struct slice))};
}

static void add_ended(struct arena *arena, struct db_unit *unit, const struct queue_result **list, unsigned count)
{
    struct columns c = columns_new(arena, count);
    struct params *p;

    for (unsigned i = 0; i < count; i++)
        if (outcome_ends(list[i]->outcome)) {
            c.cells[c.count] = (int16_t)id_cell(list[i]->entry_id);
            c.ids[c.count] = list[i]->entry_id;
            c.messages[c.count++] = list[i]->message_id;
        }
    if (!c.count)
        return;
    p = db_unit_add(unit, &report_delete);
    params_int16s(p, c.cells, c.count);
    params_int64s(p, c.ids, c.count);
    p = db_unit_add(unit, &report_release);
    params_int16s(p, c.cells, c.count);
    params_int64s(p, c.messages, c.count);
}

/* Those that may have been shown.  The step whose rows are their mailboxes; UINT_MAX: none is needed. */
static unsigned add_copies(struct arena *arena, struct db_unit *unit, const struct queue_result **list, unsigned count)
{
    struct columns c = columns_new(arena, count);
    bool *delivered = arena_array(arena, count, sizeof *delivered);

    for (unsigned i = 0; i < count; i++)
        if (list[i]->copied && outcome_ends(list[i]->outcome)) {
            c.cells[c.count] = (int16_t)id_cell(list[i]->entry_id);
            c.ids[c.count] = list[i]->entry_id;
            delivered[c.count++] = list[i]->outcome == QUEUE_DELIVERED;
        }
    return c.count ? carry_copy_add(unit, c.cells, c.ids, delivered, c.count) : UINT_MAX;
}

/* Before they are deleted.  What was accepted long ago tells nothing of what its account does now (relay/breaker.c). */
static void add_failures(struct arena *arena, struct db_unit *unit, const struct queue_result **list, unsigned count)
{
    struct columns c = columns_new(arena, count);

    for (unsigned i = 0; i < count; i++)
        if (list[i]->outcome == QUEUE_BOUNCED && id_ms(list[i]->entry_id) > clock_now_ms() - FAILURE_MS) {
            c.cells[c.count] = (int16_t)id_cell(list[i]->entry_id);
            c.ids[c.count++] = list[i]->entry_id;
        }
    if (c.count)
        breaker_add_failures(unit, c.cells, c.ids, c.count);
}

static void add_put_back(struct arena *arena, struct db_unit *unit, const struct queue_result **list, unsigned count,
                         const int64_t *events, int64_t now)
{
    struct columns c = columns_new(arena, count);
    int64_t *due = arena_array(arena, count, sizeof *due), *event = arena_array(arena, count, sizeof *event);
    int64_t *delay = arena_array(arena, count, sizeof *delay),
            *uncertain = arena_array(arena, count, sizeof *uncertain);
    bool *kept = arena_array(arena, count, sizeof *kept);
    struct params *p;

    for (unsigned i = 0; i < count; i++)
        if (!outcome_ends(list[i]->outcome)) {
            bool deferred = list[i]->outcome != QUEUE_AWAY && !list[i]->kept;

            c.cells[c.count] = (int16_t)id_cell(list[i]->entry_id);
            c.ids[c.count] = list[i]->entry_id;
            c.times[c.count] = deferred ? list[i]->due_ms : INT64_MIN;
            c.texts[c.count] = list[i]->reply;
            c.more[c.count] = list[i]->destination;
            delay[c.count] = list[i]->delay_ms ? list[i]->delay_ms : INT64_MIN; /* null */
            uncertain[c.count] = list[i]->outcome == QUEUE_UNCERTAIN ? now : INT64_MIN;
            event[c.count] = events[i];
            kept[c.count] = list[i]->kept;
            due[c.count++] = deferred ? list[i]->due_ms : now + REPORT_AWAY_MS;
        }
    if (!c.count)
        return;
    p = db_unit_add(unit, &report_back);
    params_int16s(p, c.cells, c.count);
    params_int64s(p, c.ids, c.count);
    params_times(p, c.times, c.count);
    params_texts(p, c.texts, c.count);
    params_int16(p, (int16_t)id_worker());
    params_times(p, delay, c.count);
    params_times(p, uncertain, c.count);
    params_int64s(p, event, c.count);
    params_time(p, now);
    params_bools(p, kept, c.count);
    p = db_unit_add(unit, &report_destination);
    params_int16s(p, c.cells, c.count);
    params_texts(p, c.more, c.count);
    params_times(p, due, c.count);
}

static void add_events(struct arena *arena, struct db_unit *unit, const struct queue_result **list, unsigned count,
                       const int64_t *events, int64_t now)
{
    struct columns c = columns_new(arena, count);
    struct slice *classes = arena_array(arena, 6 * (size_t)count, sizeof *classes);
    struct slice *versions = classes + count, *ciphers = versions + count, *verified = ciphers + count;
    struct slice *hosts = verified + count, *addresses = hosts + count;
    struct params *p = db_unit_add(unit, &report_event);

    for (unsigned i = 0; i < count; i++) {
        c.cells[i] = (int16_t)id_cell(list[i]->entry_id);
        c.ids[i] = events[i];
        c.times[i] = now;
        c.messages[i] = list[i]->message_id;
        c.texts[i] = list[i]->recipient;
        c.kinds[i] = slice_str(outcome_name(list[i]->outcome));
        c.more[i] = list[i]->reply;
        classes[i] = slice_str(list[i]->class);
        versions[i] = slice_str(list[i]->tls_version);
        ciphers[i] = slice_str(list[i]->tls_cipher);
        verified[i] = slice_str(list[i]->tls_verified);
        hosts[i] = slice_str(list[i]->remote_host);
        addresses[i] = slice_str(list[i]->remote_address);
    }
    params_int16s(p, c.cells, count);
    params_int64s(p, c.ids, count);
    params_times(p, c.times, count);
    params_int64s(p, c.messages, count);
    params_texts(p, c.texts, count);
    params_texts(p, c.kinds, count);
    params_texts(p, c.more, count);
    params_texts(p, classes, count);
    params_texts(p, versions, count);
    params_texts(p, ciphers, count);
    params_texts(p, verified, count);
    params_texts(p, hosts, count);
    params_texts(p, addresses, count);
}

static int by_cell(const void *a, const void *b)
{
    const struct queue_result *x = *(const struct queue_result *const *)a, *y = *(const struct queue_result *const *)b;
    unsigned cx = id_cell(x->entry_id), cy = id_cell(y->entry_id);

    return cx != cy ? (cx < cy ? -1 : 1) : by_entry(a, b);
}

/* Class 22 is bad data, 23 a broken constraint, 21 rows that are too many: it will not be taken later either. */
static bool is_hopeless(enum db_write written, const struct db_error *error)
{
    return written == DB_REFUSED ||
           (written == DB_UNDONE && (strncmp(error->sqlstate, "22", 2) == 0 || strncmp(error->sqlstate, "21", 2) == 0));
}

/* Until it is known how it ended: DONE, or it is hopeless. */
static AWAITS enum db_write record(struct arena *arena, const struct queue_result **list, unsigned count, bool events)
{
    struct db_unit *unit = db_unit_new(arena);
    uint64_t pause = REPORT_RETRY_FIRST_MS;
    unsigned copies = add_copies(arena, unit, list, count);
    int64_t *ids = arena_array(arena, count, sizeof *ids), now = clock_now_ms();
    enum db_write written;

    for (unsigned i = 0; i < count; i++)
        ids[i] = id_make(id_cell(list[i]->entry_id));
    add_failures(arena, unit, list, count);
    add_ended(arena, unit, list, count);
    add_put_back(arena, unit, list, count, ids, now);
    if (events)
        add_events(arena, unit, list, count, ids, now);
    while ((written = db_unit_run(unit)) != DB_DONE && !is_hopeless(written, &unit->error)) {
        log_warn("deliveries are not recorded yet", log_int("count", count), log_str("error", unit->error.message));
        task_sleep(pause);
        pause = pause * 2 < REPORT_RETRY_MAX_MS ? pause * 2 : REPORT_RETRY_MAX_MS;
    }
    if (written == DB_DONE && copies != UINT_MAX)
        carry_copy_tell(unit->steps[copies].rows);
    return written;
}

/* DONE, or REFUSED if some of it could not be recorded at all. */
static AWAITS enum db_write fly(const struct queue_result **list, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written;

    qsort(list, count, sizeof *list, by_cell);
    written = record(arena, list, count, true);
    if (written != DB_DONE && count > 1) {
        written = DB_DONE;
        for (unsigned i = 0; i < count; i++)
            if (fly(&list[i], 1) != DB_DONE)
                written = DB_REFUSED;
    } else {
        if (written != DB_DONE) /* what became of the mail counts more than its event */
            written = record(arena, list, count, false);
        if (written != DB_DONE)
            log_error("a delivery cannot be recorded", log_id("message", list[0]->message_id),
                      log_slice("recipient", list[0]->recipient), log_str("outcome", outcome_name(list[0]->outcome)));
    }
    arena_free(&arena);
    return written == DB_DONE ? DB_DONE : DB_REFUSED;
}

/* ------------------------------------------------------------------ gathering */

static AWAITS void fly_while_requested(void *arg)
{
    (void)arg;
    while (first) {
        const struct queue_result *list[REPORT_FLIGHT_MAX];
        struct request *flight = first, **end = &flight;
        unsigned count = 0;
        enum db_write answer;

        /* A request larger than a flight cannot be: queue_report() splits. */
        while (*end && count + (*end)->count <= REPORT_FLIGHT_MAX) {
            for (unsigned i = 0; i < (*end)->count; i++)
                list[count++] = &(*end)->results[i];
            end = &(*end)->next;
        }
        first = *end;
        if (!first)
            last = &first;
        *end = NULL;
        answer = fly(list, count);
        while (flight) {
            struct request *done = flight;

            flight = done->next;
            done->answer = answer;
            task_wake(&done->wait);
        }
    }
    flying = false;
}

static AWAITS enum db_write report_part(const struct queue_result *results, unsigned count)
{
    struct request request = {.results = results, .count = count};

    *last = &request;
    last = &request.next;
    if (!pool)
        pool = task_pool_new("report", 1, 1);
    if (!flying)
        flying = task_start(pool, fly_while_requested, NULL);
    task_wait(&request.wait);
    return request.answer;
}

enum db_write queue_report(const struct queue_result *results, unsigned count)
{
    enum db_write written = DB_DONE;

    for (unsigned at = 0; at < count && written == DB_DONE; at += REPORT_FLIGHT_MAX)
        written = report_part(results + at, count - at < REPORT_FLIGHT_MAX ? count - at : REPORT_FLIGHT_MAX);
    return written;
}
