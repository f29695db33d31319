/*
 * webhook: events on their way to others.
 *
 * An event is a row for each webhook that wants it, made by the SQL function webhook_emit(): in the database, because
 * there the event's data is at hand in whatever statement changes it, and JSON is made of it without another pass.
 *
 * A webhook is taken by one worker at a time, for a lease.  One who dies with it leaves it to another when the lease is
 * over, who may send again what was sent: at least once, with the same id.  What is due goes oldest first, but one that
 * is refused is put off by itself, so the order is not kept; each event has its time and its id, which ascend.
 */
#include "storage/webhook.h"

#include "storage/db.h"
#include "storage/hop_credential.h"
#include "storage/webhook_secret.h"

static const char *const types[] = {
    "health.changed", "health.forced",  "maintenance.started", "maintenance.ended", "outage.opened",
    "outage.closed",  "breaker.opened", "breaker.closed",      "webhook.test",      NULL};

bool webhook_type_known(struct slice type)
{
    for (unsigned i = 0; types[i]; i++)
        if (slice_equal(type, slice_str(types[i])))
            return true;
    return false;
}

struct slice webhook_bound(struct arena *arena, int64_t id)
{
    return slice_str(arena_printf(arena, "webhook %lld secret", (long long)id));
}

/* ------------------------------------------------------------------ taking */

static const struct db_statement claim = {
    "webhook_claim",
    "update webhook w set lease_until = now() + $2::integer * interval '1 millisecond'"
    "  from (select id from webhook c where c.enabled and c.retry_at <= now() and c.lease_until <= now()"
    "           and exists (select from webhook_delivery d where d.webhook_id = c.id and d.due_at <= now())"
    "         order by c.lease_until limit $1::integer for no key update skip locked) free"
    " where w.id = free.id returning w.id, w.url, w.secret, w.failures",
};

static const char *open_secret(struct arena *arena, int64_t id, struct slice sealed, struct slice *key)
{
    const struct secret_ring *ring = hop_credential_ring();
    struct slice text = {NULL, 0};

    *key = (struct slice){NULL, 0};
    if (!ring)
        return "[secrets] key_file is not set, and its secret cannot be read";
    switch (secret_ring_open(ring, arena, webhook_bound(arena, id), sealed, &text)) {
    case SECRET_RING_OPENED:
        return webhook_secret_read(arena, text, key) ? NULL : "its secret was altered in the database";
    case SECRET_RING_NO_KEY: return "the key of its secret is not in [secrets] key_file";
    case SECRET_RING_SPOILED: break;
    }
    return "its secret was altered in the database";
}

AWAITS enum db_write webhook_claim(struct arena *arena, unsigned limit, unsigned lease_ms, struct webhook_due **out,
                                   unsigned *count)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &claim);
    enum db_write written;
    const struct rows *rows;

    *count = 0;
    params_int32(params, (int32_t)limit);
    params_int32(params, (int32_t)lease_ms);
    written = db_unit_run(unit);
    if (written != DB_DONE)
        return written;
    rows = unit->steps[0].rows;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); (*count)++) {
        struct webhook_due *due = &(*out)[*count];

        *due = (struct webhook_due){.id = row_int64(rows, *count, 0),
                                    .url = arena_slicedup(arena, row_text(rows, *count, 1)),
                                    .failures = (unsigned)row_int64(rows, *count, 3)};
        due->trouble = open_secret(arena, due->id, row_text(rows, *count, 2), &due->key);
    }
    return DB_DONE;
}

static const struct db_statement read_messages = {
    "webhook_messages",
    "select event_id, body, attempts from webhook_delivery where webhook_id = $1::bigint and due_at <= now()"
    " order by event_id limit $2::integer",
};

AWAITS enum db_status webhook_messages(struct arena *arena, int64_t id, unsigned limit, struct webhook_message **out,
                                       unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *count = 0;
    params_init(&params, arena);
    params_int64(&params, id);
    params_int32(&params, (int32_t)limit);
    status = db_read(arena, &read_messages, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] =
            (struct webhook_message){row_int64(rows, i, 0), row_text(rows, i, 1), (unsigned)row_int64(rows, i, 2)};
    return DB_FOUND;
}

/* ------------------------------------------------------------------ telling what became of it */

static const struct db_statement remove_one = {
    "webhook_remove",
    "delete from webhook_delivery where webhook_id = $1::bigint and event_id = $2::bigint",
};
static const struct db_statement succeeded = {
    "webhook_succeeded",
    "update webhook set failures = 0, last_success_at = now(), last_error = null where id = $1::bigint",
};
static const struct db_statement put_off = {
    "webhook_put_off",
    "update webhook_delivery set attempts = attempts + 1, due_at = now() + $3::bigint * interval '1 millisecond'"
    " where webhook_id = $1::bigint and event_id = $2::bigint",
};
static const struct db_statement note_failure = {
    "webhook_failed",
    "update webhook set failures = failures + 1, last_failure_at = now(), last_error = $2::text,"
    "       retry_at = case when $3::boolean then now() + $4::bigint * interval '1 millisecond' else retry_at end,"
    "       enabled = enabled and not $5::boolean where id = $1::bigint",
};
static const struct db_statement release = {
    "webhook_release",
    "update webhook set lease_until = now() where id = $1::bigint",
};
static const struct db_statement expire = {
    "webhook_expire",
    "with old as (delete from webhook_delivery where created_at < now() - $1::bigint * interval '1 millisecond'"
    "             returning webhook_id),"
    " sums as (select webhook_id, count(*) as n from old group by webhook_id),"
    " counted as (update webhook w set given_up = w.given_up + sums.n from sums where w.id = sums.webhook_id)"
    " select count(*) from old",
};

AWAITS enum db_write webhook_sent(int64_t id, int64_t event_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &remove_one);
    enum db_write written;

    params_int64(params, id);
    params_int64(params, event_id);
    params_int64(db_unit_add(unit, &succeeded), id);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

AWAITS enum db_write webhook_failed(int64_t id, int64_t event_id, const struct webhook_failure *failure)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &put_off);
    enum db_write written;

    params_int64(params, id);
    params_int64(params, event_id);
    params_int64(params, failure->again_ms);
    params = db_unit_add(unit, &note_failure);
    params_int64(params, id);
    params_text(params, failure->why);
    params_bool(params, failure->all);
    params_int64(params, failure->again_ms);
    params_bool(params, failure->gone);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

AWAITS enum db_write webhook_release(int64_t id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    params_int64(db_unit_add(unit, &release), id);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

AWAITS enum db_write webhook_expire(int64_t lifetime_ms, unsigned *count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    *count = 0;
    params_int64(db_unit_add(unit, &expire), lifetime_ms);
    written = db_unit_run(unit);
    if (written == DB_DONE)
        *count = (unsigned)row_int64(unit->steps[0].rows, 0, 0);
    arena_free(&arena);
    return written;
}
