/*
 * tls_report: counters that are added to, read once, and deleted.
 *
 * Workers add what they have gathered, so a row is touched once in some seconds and not by each session.  The report of a
 * day is due at a time of chance in the four hours after its end (RFC 8460 section 4.1), at the earliest ten minutes after
 * it, when the last worker has added.
 *
 * Who takes a report that is due has it for half an hour; if he dies meanwhile, another sends it, under the same id.
 *
 * A stranger can make rows by having many MX hosts or policies; TLS_REPORT_ROWS_MAX bounds them.
 */
#include "storage/tls_report.h"

#include "storage/db.h"

#define TODAY "(now() at time zone 'utc')::date"
#define KEY                                                                                                            \
    "md5(concat_ws(chr(1), u.policy_type, u.policy, u.mx_patterns, u.result, u.mx, u.sending, u.receiving, u.reason))"

static const struct db_statement add_domains = {
    "tls_report_add_domains",
    "insert into tls_report_domain (day, domain, due_at)"
    " select distinct on (u.domain) " TODAY ", u.domain,"
    "        (" TODAY " + 1)::timestamp at time zone 'utc' + interval '10 minutes' + random() * interval '230 minutes'"
    "   from unnest($1::text[]) u (domain) order by u.domain"
    " on conflict do nothing"};
static const struct db_statement add_rows = {
    "tls_report_add_rows",
    "insert into tls_report (day, domain, key, policy_type, policy, mx_patterns, result, mx, sending, receiving, reason, sessions)"
    " select " TODAY ", u.domain, " KEY
    ", u.policy_type, u.policy, u.mx_patterns, u.result, u.mx, u.sending, u.receiving,"
    "        u.reason, u.sessions"
    "   from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],"
    "               $10::bigint[]) u (domain, policy_type, policy, mx_patterns, result, mx, sending, receiving, reason, sessions)"
    "  where exists (select from tls_report r where r.day = " TODAY " and r.domain = u.domain and r.key = " KEY ")"
    "     or (select count(*) from (select from tls_report r where r.day = " TODAY " and r.domain = u.domain"
    "                                limit $11::integer) r) < $11::integer"
    "  order by u.domain, " KEY
    " on conflict (day, domain, key) do update set sessions = tls_report.sessions + excluded.sessions"};
static const struct db_statement take = {
    "tls_report_take", "update tls_report_domain d set due_at = now() + interval '30 minutes', tries = d.tries + 1"
                       "  from (select day, domain from tls_report_domain where due_at <= now() order by due_at limit 1"
                       "           for update skip locked) u"
                       " where d.day = u.day and d.domain = u.domain"
                       " returning d.day::text, d.day::timestamp at time zone 'utc', d.domain, d.tries"};
static const struct db_statement read_rows = {
    "tls_report_read",
    "select domain, policy_type, policy, mx_patterns, result, mx, sending, receiving, reason, sessions from tls_report"
    " where day = $1::text::date and domain = $2::text"
    " order by policy_type desc, policy, mx_patterns, result, mx, receiving, sending, reason"};
static const struct db_statement end = {
    "tls_report_end", "delete from tls_report_domain where day = $1::text::date and domain = $2::text"};

enum { COLUMNS = 9 };

static struct slice column(const struct tls_report_row *row, unsigned nr)
{
    const struct slice all[COLUMNS] = {row->domain, row->policy_type, row->policy,    row->mx_patterns, row->result,
                                       row->mx,     row->sending,     row->receiving, row->reason};

    return all[nr].p ? all[nr] : SLICE("");
}

AWAITS enum db_write tls_report_add(struct arena *arena, const struct tls_report_row *rows, unsigned count)
{
    struct db_unit *unit = db_unit_new(arena);
    struct slice *texts = arena_array(arena, count, sizeof *texts);
    int64_t *sessions = arena_array(arena, count, sizeof *sessions);
    struct params *p = db_unit_add(unit, &add_domains);

    unit->relaxed = true;
    for (unsigned i = 0; i < count; i++) {
        texts[i] = rows[i].domain;
        sessions[i] = rows[i].sessions;
    }
    params_texts(p, texts, count);
    p = db_unit_add(unit, &add_rows);
    for (unsigned nr = 0; nr < COLUMNS; nr++) {
        texts = arena_array(arena, count, sizeof *texts);
        for (unsigned i = 0; i < count; i++)
            texts[i] = column(&rows[i], nr);
        params_texts(p, texts, count);
    }
    params_int64s(p, sessions, count);
    params_int32(p, TLS_REPORT_ROWS_MAX);
    return db_unit_run(unit);
}

AWAITS enum db_write tls_report_take(struct arena *arena, struct tls_report_due *out)
{
    struct db_unit *unit = db_unit_new(arena);
    enum db_write written;
    const struct rows *rows;

    *out = (struct tls_report_due){0};
    db_unit_add(unit, &take);
    written = db_unit_run(unit);
    rows = unit->steps[0].rows;
    if (written == DB_DONE && rows_count(rows))
        *out = (struct tls_report_due){row_text(rows, 0, 0), row_time(rows, 0, 1), row_text(rows, 0, 2),
                                       (unsigned)row_int64(rows, 0, 3)};
    return written;
}

AWAITS enum db_status tls_report_read(struct arena *arena, const struct tls_report_due *due,
                                      struct tls_report_row **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_text(&params, due->day);
    params_text(&params, due->domain);
    status = db_read(arena, &read_rows, &params, &rows);
    if (status != DB_FOUND)
        return status;
    *count = rows_count(rows);
    *out = arena_array(arena, *count, sizeof **out);
    for (unsigned i = 0; i < *count; i++)
        (*out)[i] = (struct tls_report_row){row_text(rows, i, 0), row_text(rows, i, 1), row_text(rows, i, 2),
                                            row_text(rows, i, 3), row_text(rows, i, 4), row_text(rows, i, 5),
                                            row_text(rows, i, 6), row_text(rows, i, 7), row_text(rows, i, 8),
                                            row_int64(rows, i, 9)};
    return DB_FOUND;
}

AWAITS enum db_write tls_report_end(struct arena *arena, const struct tls_report_due *due)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &end);

    params_text(p, due->day);
    params_text(p, due->domain);
    return db_unit_run(unit);
}
