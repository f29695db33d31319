/*
 * The way into the mailboxes of a domain's primary, as administrators write it.
 *
 * A row for a domain, replaced as a whole.  With it what waits for that domain is due at once, and tried from the
 * beginning: somebody has just mended what was wrong.  Without it what waits is looked at again, too, and finds that it
 * stays here (daemon/carry.c).
 */
#include "storage/provision_imap_access.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement get = {
    "provision_imap_access_get",
    "select i.host, i.port, i.tls = 'implicit', i.sign_in = 'authorization', i.credential_id, c.name, i.created_at"
    "  from imap_access i join hop_credential c on c.id = i.credential_id where i.domain_id = $1::bigint",
};
static const struct db_statement require_domain = {
    "provision_imap_access_require",
    "select refuse('gone') where not exists (select from domain where id = $1::bigint for no key update)",
};
static const struct db_statement put = {
    "provision_imap_access_put",
    "insert into imap_access (domain_id, host, port, tls, sign_in, credential_id)"
    " values ($1::bigint, $2::text, $3::integer, case when $4::boolean then 'implicit' else 'starttls' end,"
    "         case when $5::boolean then 'authorization' else 'master' end, $6::bigint)"
    " on conflict (domain_id) do update set host = excluded.host, port = excluded.port, tls = excluded.tls,"
    "       sign_in = excluded.sign_in, credential_id = excluded.credential_id",
};
static const struct db_statement remove_row = {
    "provision_imap_access_delete",
    "delete from imap_access where domain_id = $1::bigint",
};
static const struct db_statement due_now = {
    "provision_imap_access_due_now",
    "update carry set due_at = now(), attempts = 0"
    " where cell = $1::smallint and domain_id = $2::bigint and state = 'waiting' and note is not null",
};

AWAITS enum db_status provision_imap_access_get(struct arena *arena, int64_t domain_id,
                                                struct provision_imap_access *out)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, domain_id);
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status == DB_FOUND)
        *out = (struct provision_imap_access){
            .access = {row_text(rows, 0, 0), (unsigned)row_int64(rows, 0, 1), row_bool(rows, 0, 2),
                       row_bool(rows, 0, 3), row_int64(rows, 0, 4)},
            .credential = row_text(rows, 0, 5),
            .created_ms = row_time(rows, 0, 6),
        };
    return status;
}

static AWAITS enum db_write run(struct db_unit *unit, int64_t domain_id, const struct provision_actor *actor,
                                struct provision_refusal *refusal)
{
    struct params *params = db_unit_add(unit, &due_now);
    params_int16(params, (int16_t)id_cell(domain_id));
    params_int64(params, domain_id);
    return provision_run(unit, actor, refusal);
}

AWAITS enum db_write provision_imap_access_put(struct arena *arena, int64_t domain_id, const struct imap_access *access,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require_domain), domain_id);
    struct params *params = db_unit_add(unit, &put);
    params_int64(params, domain_id);
    params_text(params, access->host);
    params_int32(params, (int32_t)access->port);
    params_bool(params, access->implicit_tls);
    params_bool(params, access->authorization);
    params_int64(params, access->credential_id);
    return run(unit, domain_id, actor, refusal);
}

AWAITS enum db_write provision_imap_access_delete(struct arena *arena, int64_t domain_id,
                                                  const struct provision_actor *actor,
                                                  struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require_domain), domain_id);
    params_int64(db_unit_add(unit, &remove_row), domain_id);
    return run(unit, domain_id, actor, refusal);
}
