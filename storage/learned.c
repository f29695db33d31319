/*
 * What the primaries of relay domains have said about addresses.
 *
 * Reading.  A RCPT for an address that was asked for lately costs no round trip: the answer is remembered as those of
 * the directory are (storage/cache.h), but may be LEARNED_AGE_MS old, since writing here does not count as a change of
 * the directory. That is harmless for what is valid, as its time is in the answer; "nothing is known" is asked once
 * more, past the memory, before a primary is (relay/permit.c).  What an administrator forgets does count as a change
 * (provision_learned.c).
 *
 * Writing.  A fact that is younger than a quarter of its life is left as it is, so that a busy recipient is not
 * written with each message.  The rows of a domain are bounded, those that do not exist by a tenth of the others: they
 * are what a stranger can make us learn.  A domain that is full learns nothing new and asks each time; what it knows
 * is renewed.  A primary that takes everything teaches nothing by taking.
 *
 * One refusal shows that a primary does not take everything (any more).
 */
#include "storage/learned.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/cache.h"
#include "storage/db.h"
#include "storage/name.h"

#define LEARNED_AGE_MS 10000
#define INVALID_SHARE 10

static struct learned_settings settings;

void learned_configure(const struct learned_settings *s)
{
    settings = *s;
}

/* ------------------------------------------------------------------ reading */

static const struct db_statement find = {
    "learned_find",
    "select l.valid, l.learned_at, l.until, p.accepts_all, p.until"
    "  from unnest($3::text[]) with ordinality q (address, nr)"
    "  left join recipient_learned l on l.cell = $1::smallint and l.domain_id = $2::bigint and l.address = q.address"
    "  left join recipient_probe p on p.cell = $1::smallint and p.domain_id = $2::bigint"
    " order by q.nr",
};

static void read_row(const struct rows *rows, unsigned row, struct learned *out)
{
    *out = (struct learned){.known = !row_is_null(rows, row, 0), .all_until_ms = INT64_MIN};
    if (out->known) {
        out->valid = row_bool(rows, row, 0);
        out->learned_ms = row_time(rows, row, 1);
        out->until_ms = row_time(rows, row, 2);
    }
    if (!row_is_null(rows, row, 3)) {
        out->accepts_all = row_bool(rows, row, 3);
        out->all_until_ms = row_time(rows, row, 4);
    }
}

AWAITS enum db_status learned_find(struct arena *arena, int64_t domain_id, const struct slice *addresses,
                                   unsigned count, bool fresh, struct learned *out)
{
    struct slice *lower = arena_array(arena, count, sizeof *lower);
    struct params params;
    struct rows *rows = NULL;

    for (unsigned i = 0; i < count; i++)
        lower[i] = name_key(arena, addresses[i]);
    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    params_texts(&params, lower, count);
    enum db_status status =
        fresh ? db_read(arena, &find, &params, &rows) : cache_read(arena, &find, &params, LEARNED_AGE_MS, &rows);
    if (status != DB_FOUND || rows_count(rows) != count)
        return DB_FAILED; /* it always gives a row for each */
    for (unsigned i = 0; i < count; i++)
        read_row(rows, i, &out[i]);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ writing */

#define TOLD                                                                                                                 \
    "with told as (select distinct on (q.domain_id, q.address) d.cell, q.domain_id, q.address, q.valid"                      \
    "                from unnest($1::bigint[], $2::text[], $3::boolean[]) with ordinality q (domain_id, address, valid, nr)" \
    "                join domain d on d.id = q.domain_id and d.recipients = 'learned'"                                       \
    "               order by q.domain_id, q.address, q.nr desc)"

/* $4, $5: milliseconds that a valid one and another one are believed; $6, $7: how many of each. */
static const struct db_statement note = {
    "learned_note",
    TOLD
    " insert into recipient_learned (cell, domain_id, address, valid, learned_at, until)"
    " select t.cell, t.domain_id, t.address, t.valid, now(),"
    "        now() + case when t.valid then $4::bigint else $5::bigint end * interval '1 ms'"
    "   from told t"
    "  where not (t.valid and exists (select from recipient_probe p where p.cell = t.cell and p.domain_id = t.domain_id"
    "                                    and p.accepts_all))"
    "    and (exists (select from recipient_learned l where l.cell = t.cell and l.domain_id = t.domain_id"
    "                    and l.address = t.address)"
    "         or (select count(*) from (select from recipient_learned l where l.cell = t.cell"
    "               and l.domain_id = t.domain_id and l.valid = t.valid"
    "             limit case when t.valid then $6::integer else $7::integer end) room)"
    "            < case when t.valid then $6::integer else $7::integer end)"
    "  order by t.cell, t.domain_id, t.address"
    " on conflict (cell, domain_id, address) do update"
    "    set valid = excluded.valid, learned_at = excluded.learned_at, until = excluded.until"
    "  where recipient_learned.valid <> excluded.valid"
    "     or recipient_learned.until < excluded.until - (excluded.until - excluded.learned_at) / 4",
};
static const struct db_statement note_not_all = {
    "learned_note_not_all",
    TOLD
    " insert into recipient_probe (cell, domain_id, accepts_all, until)"
    " select distinct t.cell, t.domain_id, false, now() + $4::bigint * interval '1 ms' from told t where not t.valid order by 1, 2"
    " on conflict (cell, domain_id) do update set accepts_all = false, until = excluded.until"
    "  where recipient_probe.accepts_all or recipient_probe.until < now()",
};
static const struct db_statement note_all = {
    "learned_note_all",
    "insert into recipient_probe (cell, domain_id, accepts_all, until)"
    " select cell, id, $2::boolean, now() + $3::bigint * interval '1 ms' from domain where id = $1::bigint"
    " on conflict (cell, domain_id) do update set accepts_all = excluded.accepts_all, until = excluded.until",
};

static struct params *add_facts(struct db_unit *unit, const struct db_statement *statement,
                                const struct learned_fact *facts, unsigned count)
{
    int64_t *domains = arena_array(unit->arena, count, sizeof *domains);
    struct slice *addresses = arena_array(unit->arena, count, sizeof *addresses);
    bool *valid = arena_array(unit->arena, count, sizeof *valid);
    struct params *params = db_unit_add(unit, statement);

    for (unsigned i = 0; i < count; i++) {
        domains[i] = facts[i].domain_id;
        addresses[i] = name_key(unit->arena, facts[i].address);
        valid[i] = facts[i].valid;
    }
    params_int64s(params, domains, count);
    params_texts(params, addresses, count);
    params_bools(params, valid, count);
    return params;
}

AWAITS enum db_write learned_note(const struct learned_fact *facts, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = add_facts(unit, &note, facts, count);
    bool refused = false;

    params_int64(params, settings.valid_ms);
    params_int64(params, settings.invalid_ms);
    params_int32(params, (int32_t)settings.valid_max);
    params_int32(params, (int32_t)(settings.valid_max / INVALID_SHARE));
    for (unsigned i = 0; i < count; i++)
        refused |= !facts[i].valid;
    if (refused)
        params_int64(add_facts(unit, &note_not_all, facts, count), settings.valid_ms);
    unit->relaxed = true;
    enum db_write written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

AWAITS enum db_write learned_note_accepts_all(int64_t domain_id, bool accepts_all)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &note_all);

    params_int64(params, domain_id);
    params_bool(params, accepts_all);
    params_int64(params, settings.valid_ms);
    unit->relaxed = true;
    enum db_write written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}
