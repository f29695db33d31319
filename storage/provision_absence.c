/*
 * Absences, as administrators write them: maintenance windows and drills.
 *
 * They differ in their kind only: the outage that either makes says which it was, and a drill is read with its report.
 * Nobody is woken for their beginning: the holder of the cell looks each half second (daemon/health.c; daemon/drills.c
 * for those of one account).
 */
#include "storage/provision_absence.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define MANY 100

#define SELECT                                                                                                         \
    "select a.id, a.domain_id, d.name, a.starts_at, a.ends_at, a.created_at, a.reason, coalesce(a.outage_id, 0),"      \
    "       coalesce(a.account_id, 0), c.address"                                                                      \
    "  from absence a join domain d on d.id = a.domain_id left join account c on c.id = a.account_id"                  \
    " where a.kind = $1::text"                                                                                         \
    "   and ($2::bigint = 0 or a.domain_id = $2::bigint) "

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_absence *out = into;

    (void)arena;
    *out = (struct provision_absence){
        .id = row_int64(rows, row, 0),
        .domain_id = row_int64(rows, row, 1),
        .domain = row_text(rows, row, 2),
        .starts_ms = row_time(rows, row, 3),
        .ends_ms = row_time(rows, row, 4),
        .created_ms = row_time(rows, row, 5),
        .reason = row_text(rows, row, 6),
        .outage_id = row_int64(rows, row, 7),
        .account_id = row_int64(rows, row, 8),
        .account = row_text(rows, row, 9),
    };
}

static const struct provision_read_shape shape = {sizeof(struct provision_absence), read_row};

static const struct db_statement get = {
    "provision_absence_get",
    SELECT "and a.cell = $4::smallint and a.id = $3::bigint",
};

AWAITS enum db_status provision_absence_get(struct arena *arena, const char *kind, int64_t domain_id, struct slice key,
                                            struct provision_absence *out)
{
    int64_t id = 0;
    struct params params;

    if (!id_parse(key, &id))
        return DB_NONE;
    params_init(&params, arena);
    params_text(&params, slice_str(kind));
    params_int64(&params, domain_id);
    params_int64(&params, id);
    params_int16(&params, (int16_t)id_cell(id));
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list = {
    "provision_absence_list",
    SELECT "and a.id > $3::bigint order by a.id limit $4::integer",
};

AWAITS enum db_status provision_absence_list(struct arena *arena, const char *kind, int64_t domain_id,
                                             const struct provision_page *page, struct provision_absence **out,
                                             unsigned *count)
{
    struct params params;

    params_init(&params, arena);
    params_text(&params, slice_str(kind));
    params_int64(&params, domain_id);
    provision_read_page(&params, page);
    *out = provision_read_all(&params, &list, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_domain = {
    "provision_absence_require_domain",
    "select refuse('gone') where not exists (select from domain where id = $1::bigint for no key update)",
};
static const struct db_statement require_room = {
    "provision_absence_require_room",
    "select refuse('absence_many') where (select count(*) from absence where cell = $1::smallint"
    "  and domain_id = $2::bigint and ends_at > now()) >= $3::integer",
};
/* Which of two a moment belongs to would be nobody's to say; two accounts' do not meet. */
static const struct db_statement require_alone = {
    "provision_absence_require_alone",
    "select refuse('absence_overlap') where exists (select from absence where cell = $1::smallint"
    "  and domain_id = $2::bigint and starts_at < $4::timestamptz and ends_at > $3::timestamptz"
    "  and (account_id is null or $5::bigint = 0 or account_id = $5::bigint))",
};
static const struct db_statement insert = {
    "provision_absence_insert",
    "insert into absence (cell, id, domain_id, kind, starts_at, ends_at, reason, account_id) values ($1::smallint,"
    " $2::bigint, $3::bigint, $4::text, $5::timestamptz, $6::timestamptz, $7::text, nullif($8::bigint, 0))",
};

AWAITS enum db_write provision_absence_create(struct arena *arena, const struct provision_absence *absence,
                                              const struct provision_actor *actor, int64_t *id,
                                              struct provision_refusal *refusal)
{
    unsigned cell = id_cell(absence->domain_id);
    *id = id_make(cell);
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require_domain), absence->domain_id);
    struct params *params = db_unit_add(unit, &require_room);
    params_int16(params, (int16_t)cell);
    params_int64(params, absence->domain_id);
    params_int32(params, MANY);
    params = db_unit_add(unit, &require_alone);
    params_int16(params, (int16_t)cell);
    params_int64(params, absence->domain_id);
    params_time(params, absence->starts_ms);
    params_time(params, absence->ends_ms);
    params_int64(params, absence->account_id);
    params = db_unit_add(unit, &insert);
    params_int16(params, (int16_t)cell);
    params_int64(params, *id);
    params_int64(params, absence->domain_id);
    params_text(params, slice_str(absence->kind));
    params_time(params, absence->starts_ms);
    params_time(params, absence->ends_ms);
    params_text(params, absence->reason);
    params_int64(params, absence->account_id);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_absence_delete",
    "delete from absence where cell = $1::smallint and id = $2::bigint and starts_at > now()",
};
static const struct db_statement end = {
    "provision_absence_end",
    "update absence set ends_at = greatest(now(), starts_at + interval '1 millisecond')"
    " where cell = $1::smallint and id = $2::bigint and ends_at > now()",
};

AWAITS enum db_write provision_absence_end(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                           struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    for (unsigned i = 0; i < 2; i++) {
        struct params *params = db_unit_add(unit, i ? &end : &remove_row);
        params_int16(params, (int16_t)id_cell(id));
        params_int64(params, id);
    }
    return provision_run(unit, actor, refusal);
}
