/*
 * queue_audit: ETRN and ATRN in the audit log.
 *
 * The row stands before what it tells of, in a transaction of its own: what cannot be audited is not done, and what
 * was audited may have been done.  It has the token 0, which is nobody's, the verb as its method, the domain's path,
 * and in words who it was.
 */
#include "storage/queue_audit.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_internal.h"

#define STATUS_DONE 250

static const struct db_statement insert = {
    "queue_audit",
    "insert into audit_log (id, token_id, method, path, status, detail)"
    " select u.audit_id, 0, $3::text, '/v1/domains/' || d.name, $4::integer, $5::text"
    "   from unnest($1::bigint[], $2::bigint[], $6::smallint[]) u (audit_id, domain_id, cell)"
    "   join domain d on d.id = u.domain_id"
    "  where exists (select from queue_entry q where q.cell = u.cell and q.destination = 'domain:' || u.domain_id"
    "                   and q.worker is null and q.held_until is null)"};

enum db_write queue_audit(const char *verb, const int64_t *domain_ids, unsigned count, const char *peer,
                          struct slice account)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct db_unit *unit = db_unit_new(arena);
    int64_t *ids = arena_array(arena, count + 1, sizeof *ids);
    int16_t *cells = arena_array(arena, count + 1, sizeof *cells);
    struct params *p = db_unit_add(unit, &insert);
    enum db_write written;

    for (unsigned i = 0; i < count; i++) {
        ids[i] = id_make(0);
        cells[i] = (int16_t)id_cell(domain_ids[i]);
    }
    params_int64s(p, ids, count);
    params_int64s(p, domain_ids, count);
    params_text(p, slice_str(verb));
    params_int32(p, STATUS_DONE);
    params_text(p, slice_str(account.n ? arena_printf(arena, "%.*s from %s", SLICE_ARG(account), peer)
                                       : arena_printf(arena, "a client at %s", peer)));
    params_int16s(p, cells, count);
    written = queue_run_patiently(unit);
    arena_free(&arena);
    return written;
}
