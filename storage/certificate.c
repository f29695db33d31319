/*
 * certificate: from what a client's certificate says to the account that it signs in.
 *
 * An entry names one certificate by its fingerprint, or all certificates with an address in them, or both (then both
 * must fit). By an address every authority in client_ca_file is trusted to give certificates with it to their owner
 * only; by a fingerprint nobody is.
 *
 * One certificate may be several accounts' (a server that signs in for a department): then the client must say as
 * whom.  It is not guessed: to sign in as somebody else than was meant is worse than not to sign in.
 *
 * What stands in a certificate may be any bytes that core/tls_peer.c lets through, which is printable ASCII, so
 * PostgreSQL refuses none of it; what the client says goes by the same rule here.
 */
#include "storage/certificate.h"

#include <string.h>

#define LOG_MODULE "certificate"
#include "core/idn.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/name.h"

#define USED_INTERVAL "10 minutes"

bool certificate_fingerprint(struct arena *arena, struct slice in, struct slice *out)
{
    char letters[CERTIFICATE_FINGERPRINT];
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i] >= 'A' && in.p[i] <= 'F' ? (char)(in.p[i] + ('a' - 'A')) : in.p[i];

        if (c == ':' && n && n % 2 == 0 && in.p[i - 1] != ':' && i + 1 < in.n)
            continue;
        if (n == sizeof letters || !c || !strchr("0123456789abcdef", c))
            return false;
        letters[n++] = c;
    }
    *out = arena_slice(arena, slice_of(letters, n));
    return n == sizeof letters;
}

static bool printable(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    return idn_is_utf8(text);
}

/* Each part of the condition has its index. */
static const struct db_statement find = {
    "certificate_find",
    "select distinct on (a.id) c.id, a.address, c.label,"
    "       c.last_used_at is null or c.last_used_at < now() - interval '" USED_INTERVAL "'"
    "  from account_certificate c join account a on a.id = c.account_id"
    " where (c.fingerprint = $1::text and (c.address is null or c.address = any($2::text[]))"
    "        or c.fingerprint is null and c.address = any($2::text[]))"
    "   and $3::text = any(c.scopes) and ($4::text is null or a.address = $4::text)"
    " order by a.id, c.id limit 2",
};

AWAITS enum db_status certificate_find(struct arena *arena, const struct certificate_question *question,
                                       struct certificate *out)
{
    struct slice *addresses = arena_array(arena, question->address_count + 1, sizeof *addresses);
    struct params params;
    struct rows *rows = NULL;

    *out = (struct certificate){0};
    if (!printable(question->account))
        return DB_NONE;
    for (unsigned i = 0; i < question->address_count; i++)
        addresses[i] = arena_lower(arena, question->addresses[i]);
    params_init(&params, arena);
    params_text(&params, question->fingerprint);
    params_texts(&params, addresses, question->address_count);
    params_text(&params, slice_str(question->scope));
    params_text(&params, question->account.n ? name_key(arena, question->account) : slice_of(NULL, 0));
    enum db_status status = db_read(arena, &find, &params, &rows);
    if (status != DB_FOUND)
        return status;
    if (rows_count(rows) > 1) {
        log_info("a certificate of several accounts: its client must say as whom it signs in",
                 log_slice("sha256", question->fingerprint));
        return DB_NONE;
    }
    *out =
        (struct certificate){row_int64(rows, 0, 0), row_text(rows, 0, 1), row_text(rows, 0, 2), row_bool(rows, 0, 3)};
    return DB_FOUND;
}

static const struct db_statement mark_used = {
    "certificate_mark_used",
    "update account_certificate set last_used_at = now() where id = $1::bigint",
};

AWAITS void certificate_mark_used(struct arena *arena, int64_t id)
{
    struct db_unit *unit = db_unit_new(arena);

    unit->relaxed = true;
    params_int64(db_unit_add(unit, &mark_used), id);
    if (db_unit_run(unit) != DB_DONE)
        log_debug("last use not recorded", log_id("certificate", id));
}
