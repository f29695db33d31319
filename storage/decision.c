/*
 * decision: from memory to the table, in batches.
 *
 * Notes are gathered in an arena for WRITE_MS after the first, then one statement writes all.  While that is on its
 * way the next ones gather in a second arena.  A batch that fails is tried again; the ids are ours, so one whose
 * answer was lost is not written twice.  One that fails TRIES_MAX times while the database answers others is given up.
 *
 * The rate is a bucket of DECISION_BURST that fills by DECISION_RATE a second: one for strangers, one for clients that
 * an account or a grant names, one for connections that are not served.  Somebody who guesses at addresses cannot use
 * up what explains refusals to customers, and a flood of connections not what explains anything else.
 */
#include "storage/decision.h"

#define LOG_MODULE "decision"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/node.h"

#define WRITE_MS 100
#define RETRY_MS 1000
#define TRIES_MAX 10
#define CLOCK_MARGIN_MS (10 * 60 * 1000) /* between a node's clock and another's, see storage/event.c */

struct note {
    struct note *next;
    struct decision decision;
};

struct batch {
    struct arena *arena;
    struct note *first, **last;
    unsigned count;
};

static struct batch gathered, writing;
static unsigned tries; /* that failed, of what is being written */
static struct bucket {
    unsigned left;
    uint64_t filled_ms;
} strangers = {DECISION_BURST, 0}, customers = {DECISION_BURST, 0}, connections = {DECISION_BURST, 0};
static unsigned unnoted; /* since they were last told of */
static struct task_wait wait;
static bool waiting;

/* ------------------------------------------------------------------ noting */

static bool take_from(struct bucket *bucket)
{
    uint64_t now = clock_steady_ms(), more = (now - bucket->filled_ms) * DECISION_RATE / 1000;

    if (more) {
        bucket->left = more < DECISION_BURST - bucket->left ? bucket->left + (unsigned)more : DECISION_BURST;
        bucket->filled_ms = now;
    }
    if (!bucket->left)
        return false;
    bucket->left--;
    return true;
}

static void wake(void)
{
    if (waiting) {
        waiting = false;
        task_wake(&wait);
    }
}

static struct slice keep(struct arena *arena, struct slice text)
{
    return text.p ? arena_slice(arena, text) : text;
}

int64_t decision_note(const struct decision *decision)
{
    struct bucket *bucket = decision->account_id || decision->grant_id         ? &customers
                            : slice_equal(decision->command, SLICE("CONNECT")) ? &connections
                                                                               : &strangers;

    if (!node_alive() || gathered.count + writing.count >= DECISION_PENDING_MAX || !take_from(bucket)) {
        unnoted++;
        return 0;
    }
    if (!gathered.arena) {
        gathered.arena = arena_new(SIZE_MAX);
        gathered.last = &gathered.first;
    }
    struct arena *arena = gathered.arena;
    struct note *note = arena_alloc(arena, sizeof *note);
    struct decision *d = &note->decision;

    *d = *decision;
    d->id = id_make(decision->cell);
    d->at_ms = clock_now_ms();
    d->command = keep(arena, d->command);
    d->client = keep(arena, d->client);
    d->certificate = keep(arena, d->certificate);
    d->sender = keep(arena, d->sender);
    d->recipient = keep(arena, d->recipient);
    d->verdict = keep(arena, d->verdict);
    d->reason = keep(arena, d->reason);
    d->limit = keep(arena, d->limit);
    d->enhanced = keep(arena, d->enhanced);
    d->text = keep(arena, d->text);
    *gathered.last = note;
    gathered.last = &note->next;
    gathered.count++;
    wake();
    return d->id;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement insert = {
    "decision_insert",
    "insert into decision (cell, id, at, command, client, account_id, tls, sender, recipient, size, verdict, reason, grant_id,"
    "   limit_name, code, enhanced, reply, certificate, tarpit_ms)"
    " select cell, id, at, command, client, nullif(account_id, 0), tls, sender, recipient, nullif(size, 0), verdict, reason,"
    "        nullif(grant_id, 0), limit_name, code, enhanced, reply, certificate, nullif(tarpit_ms, 0)"
    "   from unnest($1::smallint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::boolean[],"
    "               $8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::bigint[], $14::text[],"
    "               $15::integer[], $16::text[], $17::text[], $18::text[], $19::integer[])"
    "     n (cell, id, at, command, client, account_id, tls, sender, recipient, size, verdict, reason, grant_id, limit_name,"
    "        code, enhanced, reply, certificate, tarpit_ms)"
    " on conflict do nothing",
};

static void text_column(struct params *params, const struct batch *batch, size_t offset)
{
    struct slice *values = arena_array(params->arena, batch->count, sizeof *values);
    unsigned n = 0;

    for (const struct note *note = batch->first; note; note = note->next)
        values[n++] = *(const struct slice *)((const char *)&note->decision + offset);
    params_texts(params, values, n);
}
#define TEXT_COLUMN(member) text_column(p, batch, offsetof(struct decision, member))

/* The columns of insert, in its order. */
static void fill_in(struct params *p, const struct batch *batch)
{
    unsigned n = 0;
    int16_t *cells = arena_array(p->arena, batch->count, sizeof *cells);
    int32_t *codes = arena_array(p->arena, batch->count, sizeof *codes);
    int32_t *tarpit = arena_array(p->arena, batch->count, sizeof *tarpit);
    bool *tls = arena_array(p->arena, batch->count, sizeof *tls);
    int64_t *ids = arena_array(p->arena, batch->count, sizeof *ids),
            *times = arena_array(p->arena, batch->count, sizeof *times);
    int64_t *accounts = arena_array(p->arena, batch->count, sizeof *accounts);
    int64_t *sizes = arena_array(p->arena, batch->count, sizeof *sizes);
    int64_t *grants = arena_array(p->arena, batch->count, sizeof *grants);

    for (const struct note *note = batch->first; note; note = note->next, n++) {
        cells[n] = (int16_t)note->decision.cell;
        ids[n] = note->decision.id;
        times[n] = note->decision.at_ms;
        accounts[n] = note->decision.account_id;
        tls[n] = note->decision.tls;
        sizes[n] = note->decision.size < INT64_MAX ? (int64_t)note->decision.size : INT64_MAX;
        grants[n] = note->decision.grant_id;
        codes[n] = (int32_t)note->decision.code;
        tarpit[n] = (int32_t)note->decision.tarpit_ms;
    }
    params_int16s(p, cells, n);
    params_int64s(p, ids, n);
    params_times(p, times, n);
    TEXT_COLUMN(command);
    TEXT_COLUMN(client);
    params_int64s(p, accounts, n);
    params_bools(p, tls, n);
    TEXT_COLUMN(sender);
    TEXT_COLUMN(recipient);
    params_int64s(p, sizes, n);
    TEXT_COLUMN(verdict);
    TEXT_COLUMN(reason);
    params_int64s(p, grants, n);
    TEXT_COLUMN(limit);
    params_int32s(p, codes, n);
    TEXT_COLUMN(enhanced);
    TEXT_COLUMN(text);
    TEXT_COLUMN(certificate);
    params_int32s(p, tarpit, n);
}

/* False: try again. */
static AWAITS bool write_batch(const struct batch *batch)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    bool settled = true;

    unit->relaxed = true;
    fill_in(db_unit_add(unit, &insert), batch);
    switch (db_unit_run(unit)) {
    case DB_DONE: break;
    case DB_REFUSED:
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN:
        settled = db_ready() && ++tries >= TRIES_MAX;
        if (settled)
            log_warn("refusals could not be noted", log_int("count", batch->count),
                     log_str("error", unit->error.message));
        break;
    }
    arena_free(&arena);
    return settled;
}

static void tell_unnoted(void)
{
    if (unnoted)
        log_info("more refusals than are noted", log_int("count", unnoted));
    unnoted = 0;
}

static AWAITS void wait_for_notes(void)
{
    if (gathered.count)
        return;
    wait = (struct task_wait)TASK_WAIT_INIT;
    waiting = true;
    task_wait(&wait);
    task_sleep(WRITE_MS);
}

void decision_write_for_ever(void *unused)
{
    (void)unused;
    for (;;) {
        wait_for_notes();
        writing = gathered;
        gathered = (struct batch){0};
        for (tries = 0; !write_batch(&writing);)
            task_sleep(RETRY_MS);
        arena_free(&writing.arena);
        writing = (struct batch){0};
        tell_unnoted();
    }
}

void decision_flush(void)
{
    if (gathered.count && !write_batch(&gathered))
        log_info("refusals were not noted", log_int("count", gathered.count));
}

/* ------------------------------------------------------------------ reading */

static const struct db_statement find = {
    "decision_find",
    "select at, command, client, account_id, tls, sender, recipient, size, verdict, reason, grant_id, limit_name, code,"
    "       enhanced, reply, certificate, tarpit_ms"
    "  from decision where cell = $1::smallint and id = $2::bigint and at between $3::timestamptz and $4::timestamptz",
};

static int64_t number(const struct rows *rows, unsigned column)
{
    return row_is_null(rows, 0, column) ? 0 : row_int64(rows, 0, column);
}

AWAITS enum db_status decision_find(struct arena *arena, int64_t id, struct decision *out)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(id));
    params_int64(&params, id);
    params_time(&params, id_ms(id) - CLOCK_MARGIN_MS);
    params_time(&params, id_ms(id) + CLOCK_MARGIN_MS);
    enum db_status status = db_read(arena, &find, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *out = (struct decision){
        .id = id,
        .at_ms = row_time(rows, 0, 0),
        .cell = id_cell(id),
        .command = row_text(rows, 0, 1),
        .client = row_text(rows, 0, 2),
        .account_id = number(rows, 3),
        .tls = row_bool(rows, 0, 4),
        .sender = row_text(rows, 0, 5),
        .recipient = row_text(rows, 0, 6),
        .size = (uint64_t)number(rows, 7),
        .verdict = row_text(rows, 0, 8),
        .reason = row_text(rows, 0, 9),
        .grant_id = number(rows, 10),
        .limit = row_text(rows, 0, 11),
        .code = (unsigned)number(rows, 12),
        .enhanced = row_text(rows, 0, 13),
        .text = row_text(rows, 0, 14),
        .certificate = row_text(rows, 0, 15),
        .tarpit_ms = (unsigned)number(rows, 16),
    };
    return DB_FOUND;
}
