/*
 * queue: claiming.  Leases are in queue_lease.c, destinations in queue_destination.c, what deliveries report in
 * queue_report.c.
 *
 * Claiming is a read and a write.  The read walks destinations that are due, and of each the entries of highest
 * priority, and of these those that have been due longest: a dead destination with 100,000 entries is not looked at, because
 * its own due_at lies ahead.  The write takes the candidates by id and checks again that nobody has them; as only the
 * holder of a cell's lease claims in it, there is nearly never anybody. (FOR UPDATE SKIP LOCKED in one statement
 * would do on one PostgreSQL, but not over several cells on Citus.)
 *
 * A destination that has failed gives out one entry at a time, as a probe, whatever waits for it in how many cells, and
 * is put off in all of them while that one is under way; what the delivery reports then moves it.  A destination that is due but has nothing claimable is moved to the
 * time of its earliest entry: its row is locked first and the entries are read in a statement after it, so that an
 * entry deferred meanwhile cannot be overlooked (queue_report takes the same lock after its own changes).
 *
 * A claim whose answer is lost may have leased entries to us that we know nothing of.  It is made again for the same
 * entries, and then takes, beside those that wait, those that are ours already: they are the first one's doing, or are
 * in memory, where the runner finds them by id.  If the server is still at work on the first, the second waits for it
 * at the rows.
 *
 * Times compared in SQL are the database's now(), so nodes' clocks need not agree about leases.
 */
#include "storage/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/outage_age.h"
#include "storage/queue_internal.h"

#define CLAIM_PAUSE_MS 50 /* a server that refuses at once must not make this a busy loop */

#define ENTRY_COLUMNS                                                                                                  \
    "q.id, q.message_id, m.customer_id, m.account_id, m.sender, q.recipient, q.destination,"                           \
    " q.domain_id, q.account_id, m.eight_bit, m.size, m.received_at, q.expires_at, q.attempts,"                        \
    " m.parameters, q.parameters, q.last_reply, q.deliver_by, q.priority, m.client, m.helo, q.due_at"

static const struct db_statement claim_read = {
    "queue_claim_read",
    "select d.cell, q.id, d.key, d.failures > 0"
    "  from destination d left join lateral"
    "       ((select e.id from queue_entry e"
    "          where d.key <> all($5::text[])"
    "            and e.cell = d.cell and e.destination = d.key and e.worker is null and e.held_until is null"
    "            and e.due_at <= now()"
    "          order by e.priority desc, e.due_at, e.id limit case when d.failures > 0 then 1 else $2::integer end)"
    "        union all"
    "        (select e.id from queue_entry e"
    "          where d.key = any($5::text[])"
    "            and e.cell = d.cell and e.destination = d.key and e.worker is null and e.held_until is null"
    "            and e.due_at <= now()"
    "          order by e.id desc limit case when d.failures > 0 then 1 else $2::integer end)) q on true"
    " where d.cell = any($1::smallint[]) and d.due_at <= now() and d.key <> all($4::text[])"
    " order by d.due_at limit $3::integer"};
static const struct db_statement claim_put_off = {
    "queue_claim_put_off", "update destination d set due_at = now()"
                           "  from (select distinct cell, key from unnest($1::smallint[], $2::text[]) u (cell, key)) t"
                           " where d.cell = t.cell and d.key = t.key and d.due_at <= now() and d.failures = 0"};
/* In all cells.  Who moves none of a destination's rows was second: somebody else has its probe. */
static const struct db_statement claim_put_off_failing = {
    "queue_claim_put_off_failing",
    "with failing as (select cell, key from destination where key = any($1::text[]) and failures > 0 and due_at <= now()"
    "                  order by cell, key for update)"
    " update destination d set due_at = now() + interval '2 minutes' from failing f"
    "  where d.cell = f.cell and d.key = f.key returning d.key"};
#define CLAIM(whose)                                                                                                   \
    "update queue_entry q set worker = $3::smallint, lease_until = now() + $4::integer * interval '1 ms'"              \
    "  from " QUEUE_LIST("$1::smallint[], $2::bigint[]", "cell, id") ", message m"                                     \
                                                                     " where " QUEUE_ENTRY_IS " and " whose            \
                                                                     " and m.cell = q.cell and m.id = q.message_id"    \
                                                                     " returning " ENTRY_COLUMNS
#define OURS "coalesce(q.worker, $3::smallint) = $3::smallint"
#define REJECTED " and q.held_until <= now() and q.held_then = 'reject'"
static const struct db_statement claim_write = {"queue_claim_write",
                                                CLAIM(QUEUE_ENTRY_NOBODYS " and q.held_until is null")};
static const struct db_statement claim_again = {"queue_claim_again", CLAIM(OURS " and q.held_until is null")};
static const struct db_statement claim_rejected = {"queue_claim_rejected", CLAIM(QUEUE_ENTRY_NOBODYS REJECTED)};
static const struct db_statement claim_rejected_again = {"queue_claim_rejected_again", CLAIM(OURS REJECTED)};
#define LATE " and q.deliver_by <= now()"
static const struct db_statement claim_late = {"queue_claim_late", CLAIM(QUEUE_ENTRY_NOBODYS LATE)};
static const struct db_statement claim_late_again = {"queue_claim_late_again", CLAIM(OURS LATE)};
static const struct db_statement settle_lock = {
    "queue_settle_lock", "select d.key from destination d join unnest($1::smallint[], $2::text[]) u (cell, key)"
                         "    on d.cell = u.cell and d.key = u.key order by d.cell, d.key for update of d"};
static const struct db_statement settle = {
    "queue_settle",
    "update destination d set due_at = coalesce(e.due_at, 'infinity'),"
    "       failures = case when e.due_at is null then 0 else d.failures end"
    "  from unnest($1::smallint[], $2::text[]) u (cell, key)"
    "  cross join lateral (select min(due_at) as due_at from queue_entry where cell = u.cell and destination = u.key"
    "                         and worker is null and held_until is null) e"
    " where d.cell = u.cell and d.key = u.key and d.due_at <= now()"};
/* By time: "worker is null" would fit the indexes that lists go by (queue_internal.h), and all that waits be read. */
static const struct db_statement expired_read = {
    "queue_expired_read",
    "select u.cell, u.id from (select q.cell, q.id, q.domain_id, q.shown, q.expires_at from queue_entry q"
    "   where q.cell = any($1::smallint[]) and q.expires_at <= now()"
    "     and coalesce(q.worker, -1) = -1 and q.held_until is null order by q.expires_at limit " OUTAGE_AGE_LOOKED ") u"
    " where not" OUTAGE_AGE_STOPS("u") " order by u.expires_at limit $2::integer"};
static const struct db_statement delayed_read = {
    "queue_delayed_read",
    "select cell, id from queue_entry where cell = any($1::smallint[]) and delay_at <= now()"
    "   and delay_at < 'infinity' and coalesce(worker, -1) = -1 and held_until is null order by delay_at limit $2::integer"};
static const struct db_statement late_read = {
    "queue_late_read", "select cell, id from queue_entry where cell = any($1::smallint[]) and deliver_by <= now()"
                       "   and coalesce(worker, -1) = -1 order by deliver_by limit $2::integer"};
static const struct db_statement not_late = {"queue_not_late",
                                             "update queue_entry q set deliver_by = null from " QUEUE_LIST(
                                                 "$1::smallint[], $2::bigint[]", "cell, id") " where " QUEUE_ENTRY_IS};
static const struct db_statement not_delayed = {
    "queue_not_delayed", "update queue_entry q set delay_at = 'infinity' from " QUEUE_LIST(
                             "$1::smallint[], $2::bigint[]", "cell, id") " where " QUEUE_ENTRY_IS};

/* ------------------------------------------------------------------ claiming */

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct queue_entry *)a)->id, y = ((const struct queue_entry *)b)->id;

    return x < y ? -1 : x > y;
}

static void entries_take(struct arena *arena, const struct rows *rows, uint64_t lease_ends, struct queue_entry **out,
                         unsigned *count)
{
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct queue_entry){
            .id = row_int64(rows, i, 0),
            .message_id = row_int64(rows, i, 1),
            .customer_id = row_int64(rows, i, 2),
            .account_sender = row_is_null(rows, i, 3) ? 0 : row_int64(rows, i, 3),
            .sender = row_text(rows, i, 4),
            .recipient = row_text(rows, i, 5),
            .destination = row_text(rows, i, 6),
            .domain_id = row_is_null(rows, i, 7) ? 0 : row_int64(rows, i, 7),
            .account_id = row_is_null(rows, i, 8) ? 0 : row_int64(rows, i, 8),
            .eight_bit = row_bool(rows, i, 9),
            .size = (uint64_t)row_int64(rows, i, 10),
            .received_ms = row_time(rows, i, 11),
            .expires_ms = row_time(rows, i, 12),
            .attempts = (int32_t)row_int64(rows, i, 13),
            .lease_ends = lease_ends,
            .mail_parameters = row_text(rows, i, 14),
            .parameters = row_text(rows, i, 15),
            .last_reply = row_text(rows, i, 16),
            .priority = (int)row_int64(rows, i, 18),
            .client = row_text(rows, i, 19),
            .helo = row_text(rows, i, 20),
            .due_ms = row_time(rows, i, 21),
            .deliver_by_ms = row_is_null(rows, i, 17) ? 0 : row_time(rows, i, 17),
        };
    qsort(*out, *count, sizeof **out, by_id);
}

/* (cell, key) or (cell, id) pairs picked from a reading. */
struct picked {
    int16_t *cells;
    int64_t *ids;
    struct slice *keys;
    bool *failing, *permitted; /* permitted: of those that fail, to be tried */
    unsigned count;
};

static struct picked picked_new(struct arena *arena, unsigned most)
{
    return (struct picked){arena_array(arena, most, sizeof(int16_t)),      arena_array(arena, most, sizeof(int64_t)),
                           arena_array(arena, most, sizeof(struct slice)), arena_array(arena, most, sizeof(bool)),
                           arena_array(arena, most, sizeof(bool)),         0};
}

static AWAITS void settle_destinations(struct arena *arena, const struct picked *empty)
{
    struct db_unit *unit = db_unit_new(arena);
    const struct db_statement *const steps[] = {&settle_lock, &settle};

    for (unsigned i = 0; i < 2; i++) {
        struct params *p = db_unit_add(unit, steps[i]);

        params_int16s(p, empty->cells, empty->count);
        params_texts(p, empty->keys, empty->count);
    }
    /* Whatever comes of it: a destination that was not moved is looked at again. */
    if (db_unit_run(unit) != DB_DONE)
        return;
}

static void add_put_off(struct arena *arena, struct db_unit *unit, const struct picked *found)
{
    struct slice *failing = arena_array(arena, found->count, sizeof *failing);
    struct params *p = db_unit_add(unit, &claim_put_off);
    unsigned count = 0;

    params_int16s(p, found->cells, found->count);
    params_texts(p, found->keys, found->count);
    for (unsigned i = 0; i < found->count; i++)
        if (found->failing[i])
            failing[count++] = found->keys[i];
    if (!count)
        return;
    queue_destination_lock(unit, failing, count);
    params_texts(db_unit_add(unit, &claim_put_off_failing), failing, count);
}

static bool has_key(const struct rows *rows, struct slice key)
{
    for (unsigned i = 0; i < rows_count(rows); i++)
        if (slice_equal(row_text(rows, i, 0), key))
            return true;
    return false;
}

/* `again`: what is ours has been permitted the first time. */
static void note_permitted(const struct db_unit *unit, const struct picked *found, bool again)
{
    for (unsigned i = 0; i < found->count; i++)
        found->permitted[i] = again || (unit->count == 4 && has_key(unit->steps[3].rows, found->keys[i]));
}

static AWAITS enum db_write claim_once(struct arena *arena, const struct db_statement *how, const struct picked *found,
                                       bool put_off, struct rows **rows)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, how);
    enum db_write written;

    params_int16s(p, found->cells, found->count);
    params_int64s(p, found->ids, found->count);
    params_int16(p, (int16_t)id_worker());
    params_int32(p, QUEUE_LEASE_MS);
    if (put_off)
        add_put_off(arena, unit, found);
    written = db_unit_run(unit);
    *rows = unit->steps[0].rows;
    if (written == DB_DONE)
        note_permitted(unit, found, how == &claim_again);
    return written;
}

/* Once a claim is in doubt it is over only when one is answered; or when a lease that it may have made has run out. */
static AWAITS enum db_status claim_take(struct arena *arena, const struct picked *found, bool put_off,
                                        enum queue_claiming what, struct queue_entry **out, unsigned *count)
{
    static const struct db_statement *const firsts[] = {&claim_write, &claim_rejected, &claim_late};
    static const struct db_statement *const agains[] = {&claim_again, &claim_rejected_again, &claim_late_again};
    const struct db_statement *first = firsts[what], *again = agains[what];
    uint64_t asked = clock_steady_ms(), give_up = asked + QUEUE_LEASE_MS;
    struct rows *rows;
    enum db_write written = claim_once(arena, first, found, put_off, &rows);

    if (written == DB_UNCERTAIN)
        for (uint64_t now = asked; written != DB_DONE && now < give_up; now = clock_steady_ms()) {
            db_certain_wait((unsigned)(give_up - now));
            task_sleep(CLAIM_PAUSE_MS);
            asked = clock_steady_ms();
            written = claim_once(arena, again, found, put_off, &rows);
        }
    if (written != DB_DONE)
        return DB_FAILED;
    entries_take(arena, rows, asked + QUEUE_LEASE_MS, out, count);
    return *count ? DB_FOUND : DB_NONE;
}

static void note_failing(struct queue_entry *list, unsigned count, int64_t id, bool permitted)
{
    struct queue_entry key = {.id = id}, *entry = bsearch(&key, list, count, sizeof *list, by_id);

    if (!entry)
        return;
    entry->probe = permitted;
    entry->away = !permitted;
}

static bool has_probe(const struct picked *found, struct slice key)
{
    for (unsigned i = 0; i < found->count; i++)
        if (found->failing[i] && slice_equal(found->keys[i], key))
            return true;
    return false;
}

/* What was read of destinations that are due: of those that have failed, one probe; `empty`: nothing of it is due. */
static void pick(const struct rows *rows, unsigned limit, struct picked *found, struct picked *empty)
{
    for (unsigned i = 0; i < rows_count(rows) && i < limit; i++) {
        struct picked *to = row_is_null(rows, i, 1) ? empty : found;
        struct slice key = row_text(rows, i, 2);
        bool failing = row_bool(rows, i, 3);

        if (to == found && failing && has_probe(found, key))
            continue;
        to->cells[to->count] = (int16_t)row_int64(rows, i, 0);
        to->keys[to->count] = key;
        to->failing[to->count] = failing;
        if (to == found)
            to->ids[to->count] = row_int64(rows, i, 1);
        to->count++;
    }
}

enum db_status queue_claim(struct arena *arena, const int16_t *cells, unsigned cell_count,
                           struct queue_claim_limits *limits, struct queue_entry **out, unsigned *count)
{
    struct picked found = picked_new(arena, limits->most), empty = picked_new(arena, limits->most);
    struct params params;
    struct rows *rows;
    enum db_status status;

    *count = 0;
    limits->more = false;
    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, (int32_t)limits->per_destination);
    params_int32(&params, (int32_t)limits->most);
    params_texts(&params, limits->full, limits->full_count);
    params_texts(&params, limits->newest, limits->newest_count);
    status = db_read(arena, &claim_read, &params, &rows);
    if (status != DB_FOUND)
        return status;
    limits->more = rows_count(rows) >= limits->most;
    pick(rows, limits->most, &found, &empty);
    if (empty.count)
        settle_destinations(arena, &empty);
    status = found.count ? claim_take(arena, &found, true, QUEUE_CLAIMING_WAITING, out, count) : DB_NONE;
    for (unsigned i = 0; i < found.count && status == DB_FOUND; i++)
        if (found.failing[i])
            note_failing(*out, *count, found.ids[i], found.permitted[i]);
    return status;
}

enum db_status queue_claim_found(struct arena *arena, const struct db_statement *statement, const struct params *params,
                                 enum queue_claiming what, unsigned limit, struct queue_entry **out, unsigned *count)
{
    struct picked found = picked_new(arena, limit);
    struct rows *rows;
    enum db_status status = db_read(arena, statement, params, &rows);

    *count = 0;
    if (status != DB_FOUND)
        return status;
    for (unsigned i = 0; i < rows_count(rows) && i < limit; i++) {
        found.cells[i] = (int16_t)row_int64(rows, i, 0);
        found.ids[i] = row_int64(rows, i, 1);
        found.count++;
    }
    return claim_take(arena, &found, false, what, out, count);
}

enum db_status queue_claim_listed(struct arena *arena, const struct db_statement *statement, enum queue_claiming what,
                                  const int16_t *cells, unsigned cell_count, unsigned limit, struct queue_entry **out,
                                  unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    params_int16s(&params, cells, cell_count);
    params_int32(&params, (int32_t)limit);
    return queue_claim_found(arena, statement, &params, what, limit, out, count);
}

enum db_status queue_claim_expired(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                   struct queue_entry **out, unsigned *count)
{
    return queue_claim_listed(arena, &expired_read, QUEUE_CLAIMING_WAITING, cells, cell_count, limit, out, count);
}

enum db_status queue_claim_delayed(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                   struct queue_entry **out, unsigned *count)
{
    return queue_claim_listed(arena, &delayed_read, QUEUE_CLAIMING_WAITING, cells, cell_count, limit, out, count);
}

enum db_status queue_claim_late(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                struct queue_entry **out, unsigned *count)
{
    return queue_claim_listed(arena, &late_read, QUEUE_CLAIMING_LATE, cells, cell_count, limit, out, count);
}

/* ------------------------------------------------------------------ told */

static AWAITS enum db_write forget(const struct db_statement *statement, const int64_t *entry_ids, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, statement);
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    enum db_write written;

    for (unsigned i = 0; i < count; i++)
        cells[i] = (int16_t)id_cell(entry_ids[i]);
    params_int16s(p, cells, count);
    params_int64s(p, entry_ids, count);
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}

enum db_write queue_not_delayed(const int64_t *entry_ids, unsigned count)
{
    return forget(&not_delayed, entry_ids, count);
}

enum db_write queue_not_late(const int64_t *entry_ids, unsigned count)
{
    return forget(&not_late, entry_ids, count);
}
