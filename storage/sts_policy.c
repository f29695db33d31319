/*
 * sts_policy: one row for each domain that has, or tried to have, a policy.
 *
 * Read once for a connection to an MX host, by its key; not remembered in memory, since a connection costs a hundred times
 * as much and a policy that another node has just fetched counts at once.
 *
 * A policy is stale after half of its life, at the latest after a day (RFC 8461 section 3.3: refresh before it expires); a
 * new id in DNS makes it stale at once, which the caller sees.  Writing twice does no harm: the later fetch is as good as
 * the one before.
 *
 * Bounded: a new domain gets a row while there are fewer than STS_POLICIES_MAX.  Without a row its policy is fetched for
 * each connection, and not remembered.
 */
#include "storage/sts_policy.h"

#include "storage/db.h"

static const struct db_statement find = {
    "sts_policy_find",
    "select case when p.expires_at > now() then p.record_id end, p.mode, p.mx, p.max_age, p.refresh_at <= now(),"
    "       case when p.tried_at > now() - interval '5 minutes' then p.tried_id end, p.tried_why"
    "  from sts_policy p where p.domain = $1::text"};

#define ROOM(domain)                                                                                                   \
    " where exists (select from sts_policy p where p.domain = " domain ")"                                             \
    "    or (select count(*) from (select from sts_policy limit $2::integer) p) < $2::integer"

static const struct db_statement put = {
    "sts_policy_put",
    "insert into sts_policy (domain, record_id, mode, mx, max_age, expires_at, refresh_at, asked_at)"
    " select $1::text, $3::text, $4::text, $5::text, $6::integer, now() + $6::integer * interval '1 s',"
    "        now() + least($6::integer / 2, 86400) * interval '1 s', case when $7::boolean then now() end" ROOM(
        "$1::text") " on conflict (domain) do update"
                    "    set record_id = excluded.record_id, mode = excluded.mode, mx = excluded.mx, max_age = excluded.max_age,"
                    "        expires_at = excluded.expires_at, refresh_at = excluded.refresh_at,"
                    "        asked_at = coalesce(excluded.asked_at, sts_policy.asked_at), tried_id = null, tried_at = null,"
                    "        tried_why = null"};
static const struct db_statement failed = {
    "sts_policy_failed",
    "insert into sts_policy (domain, refresh_at, tried_id, tried_at, tried_why)"
    " select $1::text, now() + interval '5 minutes', $3::text, now(), $4::text" ROOM(
        "$1::text") " on conflict (domain) do update"
                    "    set refresh_at = excluded.refresh_at, tried_id = excluded.tried_id, tried_at = excluded.tried_at,"
                    "        tried_why = excluded.tried_why"};
static const struct db_statement due = {
    "sts_policy_due", "update sts_policy set refresh_at = now() + interval '5 minutes'"
                      " where domain = any(array(select p.domain from sts_policy p"
                      "                           where p.refresh_at <= now() and p.expires_at > now()"
                      "                             and p.asked_at > now() - interval '30 days'"
                      "                           order by p.refresh_at limit 1 for update skip locked))"
                      " returning domain"};
static const struct db_statement forget = {
    "sts_policy_forget",
    "delete from sts_policy where refresh_at < now() - interval '1 day' and coalesce(expires_at, tried_at) < now() - interval '1 day'"};

AWAITS enum db_status sts_policy_find(struct arena *arena, struct slice domain, struct sts_policy_row *out)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *out = (struct sts_policy_row){0};
    params_init(&params, arena);
    params_text(&params, domain);
    status = db_read(arena, &find, &params, &rows);
    if (status != DB_FOUND)
        return status;
    out->record_id = row_text(rows, 0, 0);
    out->mode = row_text(rows, 0, 1);
    out->mx = row_text(rows, 0, 2);
    out->max_age = row_is_null(rows, 0, 3) ? 0 : row_int64(rows, 0, 3);
    out->stale = row_bool(rows, 0, 4);
    out->tried_id = row_text(rows, 0, 5);
    out->tried_why = row_text(rows, 0, 6);
    return DB_FOUND;
}

static struct params *step(struct db_unit *unit, const struct db_statement *statement, struct slice domain)
{
    struct params *p = db_unit_add(unit, statement);

    params_text(p, domain);
    params_int32(p, STS_POLICIES_MAX);
    return p;
}

AWAITS enum db_write sts_policy_put(struct arena *arena, struct slice domain, const struct sts_policy_row *row,
                                    bool asked)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = step(unit, &put, domain);

    params_text(p, row->record_id);
    params_text(p, row->mode);
    params_text(p, row->mx);
    params_int32(p, (int32_t)row->max_age);
    params_bool(p, asked);
    return db_unit_run(unit);
}

AWAITS enum db_write sts_policy_failed(struct arena *arena, struct slice domain, struct slice record_id,
                                       struct slice why)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = step(unit, &failed, domain);

    params_text(p, record_id);
    params_text(p, why);
    return db_unit_run(unit);
}

AWAITS enum db_write sts_policy_due(struct arena *arena, struct slice *domain)
{
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;

    *domain = (struct slice){NULL, 0};
    db_unit_add(unit, &due);
    written = db_unit_run(unit);
    if (written == DB_DONE && rows_count(unit->steps[0].rows))
        *domain = row_text(unit->steps[0].rows, 0, 0);
    return written;
}

AWAITS enum db_write sts_policy_forget(struct arena *arena)
{
    struct db_unit *unit = db_unit_new(arena);

    db_unit_add(unit, &forget);
    return db_unit_run(unit);
}
