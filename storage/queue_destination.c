/*
 * queue_destination: what goes up and down together.
 *
 * A destination has a row while mail waits for it.  The row's due_at keeps claims away from a server that is down,
 * whatever waits for it; failures counts attempts in a row, from which the caller makes the next due_at.  Who puts an
 * entry back makes the row (queue_report.c, ensure_destinations() in queue_lease.c); here it is moved, and asked.
 *
 * There is a row in each cell that has such mail, and what is found out holds for all of them: it is found out under a
 * lock of the destination, so that of two who move its rows the second sees those that the first has made.
 */
#include "storage/queue.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

#define CONFLICT_TRIES 5
#define HASTEN_PAGE 2000

/* In ascending order, or two claims of several could wait for each other. */
static const struct db_statement destination_lock = {
    "destination_lock",
    "select count(pg_advisory_xact_lock(lock)) from"
    " (select distinct hashtextextended('posthouse destination ' || key, 0) as lock from unnest($1::text[]) u (key)"
    "   order by 1) l"};
static const struct db_statement destination_away = {
    "destination_away",
    "insert into destination (cell, key, due_at, failures, last_error)"
    " select cell, $2::text, $3::timestamptz, $5::integer, $4::text"
    "   from (select unnest($1::smallint[]) union select cell from destination where key = $2::text and due_at < 'infinity')"
    "        u (cell) order by 1"
    " on conflict (cell, key) do update set due_at = excluded.due_at, failures = excluded.failures,"
    "    last_error = excluded.last_error"};
static const struct db_statement destination_join = {
    "destination_join",
    "insert into destination (cell, key, due_at, failures, last_error)"
    " select $1::smallint, key, due_at, failures, last_error from destination where key = $2::text and failures > 0"
    "  order by failures desc, due_at desc limit 1"
    " on conflict (cell, key) do update set due_at = excluded.due_at, failures = excluded.failures,"
    "    last_error = excluded.last_error where destination.failures = 0"};
static const struct db_statement destination_back = {
    "destination_back",
    "insert into destination (cell, key, due_at) select cell, $2::text, now()"
    "   from (select $1::smallint union select cell from destination where key = $2::text and failures > 0) u (cell)"
    "  order by 1"
    " on conflict (cell, key) do update set due_at = now(), failures = 0, last_error = null"};
/*
 * Due since it was accepted: it goes before what came later.  A page of what waits, and where it ends.  Only what was
 * answered 4yz, and not what was cut off or told 421: that may be what the server dies of, and is to let others go first.
 */
static const struct db_statement destination_hasten = {
    "destination_hasten",
    "with page as materialized (select id, last_reply like '4%' and last_reply not like '421%' and due_at > " QUEUE_ACCEPTED(
        "queue_entry") " as late"
                       "   from queue_entry where (destination, id) > ($2::text, $3::bigint) and destination = $2::text"
                       "    and cell + 0 = $1::smallint and worker is null order by destination, id limit $4::integer),"
                       " t as materialized (select q.cell, q.id from (select id, $1::smallint as cell from page where late) u"
                       "   join queue_entry q on " QUEUE_ENTRY_IS " where " QUEUE_ENTRY_NOBODYS
                       "    and coalesce(q.held_until, '-infinity') = '-infinity' order by q.id for update of q),"
                       " due as (update queue_entry h set due_at = " QUEUE_ACCEPTED(
                           "h") " from t where " QUEUE_SAME ")"
                                " select max(id), count(*) from page"};
static const struct db_statement destination_untried = {
    "destination_untried", "update destination set due_at = now() + $2::integer * interval '1 ms'"
                           " where key = $1::text and failures > 0 and due_at > now() + $2::integer * interval '1 ms'"
                           "   and due_at < now() + interval '2 minutes'"};
static const struct db_statement destination_read = {
    "destination_read",
    "select failures, due_at from destination where key = $1::text order by failures desc, due_at limit 1"};
static const struct db_statement probe_wanted = {
    "queue_probe_wanted", "update outage set probe_wanted_at = now()"
                          " where cell = $1::smallint and domain_id = $2::bigint and ended_at is null"};
static const struct db_statement destination_start = {
    "destination_start",
    "update destination set due_at = now() where cell = $1::smallint and key = $2::text and due_at > now()"
    "   and not exists (select from outage where cell = $1::smallint and domain_id = $3::bigint"
    "                      and ended_at is null)"};
static const struct db_statement pending_count = {
    "queue_pending_count",
    "select count(distinct message_id) from (select message_id from queue_entry"
    "  where cell = $1::smallint and destination = $2::text and (worker is not null or due_at <= now())"
    "  limit $3::integer) pending"};
#define WAITING "q.worker is null and q.held_until is null"
static const struct db_statement waiting_read = {
    "queue_waiting_read",
    "select q.cell, q.id from queue_entry q where q.cell = any($1::smallint[]) and q.destination = $3::text"
    "   and q.id > ($4::bigint[])[q.priority + 10]" /* QUEUE_PRIORITY_MIN is its first */
    "   and " WAITING " order by q.priority desc, q.id limit $2::integer"};
static const struct db_statement waiting_count = {
    "queue_waiting_count",
    "select count(*) from (select from queue_entry q where q.cell = $1::smallint and q.destination = $2::text"
    "   and " WAITING " limit $3::integer) waiting"};
/* What is leased is looked for when nothing else is late: then little of the domain is that old. */
static const struct db_statement due_count = {
    "queue_due_count", "select d.due, d.late > 0 or exists (select from queue_entry q where q.cell = $1::smallint"
                       "          and q.domain_id = $4::bigint and q.id < $3::bigint and q.destination = $2::text"
                       "          and q.worker is not null)"
                       "  from (select count(*) as due, count(*) filter (where id < $3::bigint) as late"
                       "          from queue_entry where cell = $1::smallint and destination = $2::text"
                       "           and worker is null and held_until is null and due_at <= now()) d"};

struct slice queue_destination_domain(struct arena *arena, int64_t domain_id)
{
    return slice_str(arena_printf(arena, "domain:%lld", (long long)domain_id));
}

struct slice queue_destination_route(struct arena *arena, int64_t route_id)
{
    return slice_str(arena_printf(arena, "route:%lld", (long long)route_id));
}

struct slice queue_destination_mx(struct arena *arena, struct slice domain)
{
    struct slice lower = arena_lower(arena, domain);

    return slice_str(arena_printf(arena, "mx:%.*s", SLICE_ARG(lower)));
}

enum db_write queue_run_patiently(struct db_unit *unit)
{
    enum db_write written = DB_CONFLICT;

    for (unsigned tries = 0; tries < CONFLICT_TRIES && written == DB_CONFLICT; tries++)
        written = db_unit_run(unit);
    return written;
}

void queue_destination_lock(struct db_unit *unit, const struct slice *keys, unsigned count)
{
    params_texts(db_unit_add(unit, &destination_lock), keys, count);
}

enum db_write queue_destination_away(struct slice destination, const int16_t *cells, unsigned cell_count,
                                     unsigned failures, int64_t due_ms, struct slice reason)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p;
    enum db_write written;

    queue_destination_lock(unit, &destination, 1);
    p = db_unit_add(unit, &destination_away);
    params_int16s(p, cells, cell_count);
    params_text(p, destination);
    params_time(p, due_ms);
    params_text(p, reason);
    params_int32(p, (int32_t)failures);
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}

static AWAITS enum db_write run_of_cell(const struct db_statement *statement, unsigned cell, struct slice destination)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p;
    enum db_write written;

    queue_destination_lock(unit, &destination, 1);
    p = db_unit_add(unit, statement);
    params_int16(p, (int16_t)cell);
    params_text(p, destination);
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}

enum db_write queue_destination_join(unsigned cell, struct slice destination)
{
    return run_of_cell(&destination_join, cell, destination);
}

enum db_write queue_destination_untried(struct slice destination, unsigned wait_ms)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p;
    enum db_write written;

    queue_destination_lock(unit, &destination, 1);
    p = db_unit_add(unit, &destination_untried);
    params_text(p, destination);
    params_int32(p, (int32_t)wait_ms);
    written = db_unit_run(unit);
    arena_free(&arena);
    return written;
}

enum db_write queue_destination_back(unsigned cell, struct slice destination)
{
    return run_of_cell(&destination_back, cell, destination);
}

enum db_write queue_destination_hasten(unsigned cell, struct slice destination, int64_t *after, bool *more)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p = db_unit_add(unit, &destination_hasten);
    enum db_write written;

    params_int16(p, (int16_t)cell);
    params_text(p, destination);
    params_int64(p, *after);
    params_int32(p, HASTEN_PAGE);
    *more = false;
    written = queue_run_patiently(unit);
    if (written == DB_DONE && row_int64(unit->steps[0].rows, 0, 1)) {
        *after = row_int64(unit->steps[0].rows, 0, 0);
        *more = row_int64(unit->steps[0].rows, 0, 1) == HASTEN_PAGE;
    }
    arena_free(&arena);
    return written;
}

enum db_write queue_start(int64_t domain_id, uint64_t *pending)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice destination = queue_destination_domain(arena, domain_id);
    struct db_unit *unit = db_unit_new(arena);
    int16_t cell = (int16_t)id_cell(domain_id);
    struct params *p = db_unit_add(unit, &probe_wanted);
    enum db_write written;

    params_int16(p, cell);
    params_int64(p, domain_id);
    p = db_unit_add(unit, &destination_start);
    params_int16(p, cell);
    params_text(p, destination);
    params_int64(p, domain_id);
    p = db_unit_add(unit, &pending_count);
    params_int16(p, cell);
    params_text(p, destination);
    params_int32(p, QUEUE_PENDING_MAX + 1);
    written = queue_run_patiently(unit);
    if (written == DB_DONE)
        *pending = (uint64_t)row_int64(unit->steps[2].rows, 0, 0);
    arena_free(&arena);
    return written;
}

enum db_status queue_claim_domain(struct arena *arena, int64_t domain_id, const struct queue_tried *tried,
                                  unsigned limit, struct queue_entry **out, unsigned *count)
{
    int16_t cell = (int16_t)id_cell(domain_id);
    struct params params;

    params_init(&params, arena);
    params_int16s(&params, &cell, 1);
    params_int32(&params, (int32_t)limit);
    params_text(&params, queue_destination_domain(arena, domain_id));
    params_int64s(&params, tried->ids, QUEUE_PRIORITIES);
    return queue_claim_found(arena, &waiting_read, &params, QUEUE_CLAIMING_WAITING, limit, out, count);
}

enum db_status queue_waiting(int64_t domain_id, uint64_t *waiting)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_text(&params, queue_destination_domain(arena, domain_id));
    params_int32(&params, QUEUE_PENDING_MAX + 1);
    enum db_status status = db_read(arena, &waiting_count, &params, &rows);
    if (status == DB_FOUND)
        *waiting = (uint64_t)row_int64(rows, 0, 0);
    arena_free(&arena);
    return status;
}

enum db_status queue_destination(struct slice destination, struct queue_destination_state *out)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows;

    params_init(&params, arena);
    params_text(&params, destination);
    enum db_status status = db_read(arena, &destination_read, &params, &rows);
    if (status == DB_FOUND)
        *out = (struct queue_destination_state){(int32_t)row_int64(rows, 0, 0), row_time(rows, 0, 1)};
    arena_free(&arena);
    return status;
}

enum db_status queue_due(int64_t domain_id, struct slice destination, int64_t since_ms, uint64_t *due, bool *late)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct params params;
    struct rows *rows;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_text(&params, destination);
    params_int64(&params, id_at(since_ms));
    params_int64(&params, domain_id);
    enum db_status status = db_read(arena, &due_count, &params, &rows);
    if (status == DB_FOUND) {
        *due = (uint64_t)row_int64(rows, 0, 0);
        *late = row_bool(rows, 0, 1);
    }
    arena_free(&arena);
    return status;
}
