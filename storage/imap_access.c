/* imap_access: read for each account that something is carried for; as seldom as that is, it is always as it is now. */
#include "storage/imap_access.h"

#include "storage/db.h"

static const struct db_statement of_domain = {
    "imap_access_of", "select host, port, tls = 'implicit', sign_in = 'authorization', credential_id"
                      "  from imap_access where domain_id = $1::bigint"};

enum db_status imap_access_of(struct arena *arena, int64_t domain_id, struct imap_access *out)
{
    struct params params;
    struct rows *rows = NULL;
    enum db_status status;

    params_init(&params, arena);
    params_int64(&params, domain_id);
    status = db_read(arena, &of_domain, &params, &rows);
    if (status == DB_FOUND)
        *out = (struct imap_access){
            .host = row_text(rows, 0, 0),
            .port = (unsigned)row_int64(rows, 0, 1),
            .implicit_tls = row_bool(rows, 0, 2),
            .authorization = row_bool(rows, 0, 3),
            .credential_id = row_int64(rows, 0, 4),
        };
    return status;
}
