/*
 * stand_in: nobody's names cost what somebody's cost.
 *
 * What a wrong password costs depends on the account's hash: one that another system left may be a hundred times as
 * dear as ours.  For a single login the answer's delay hides that (guard_delay()), but who sends many at once, for one
 * name and from many addresses, sees how quickly they are worked off.  So nobody's name must be as cheap or as dear as
 * somebody's, always in the same way, and as often as accounts are: of a domain whose accounts have one dear hash in
 * ten, one in ten of the names that it does not have must seem to have one.
 *
 * That is what comes out if an account of the domain stands in for the name: its hash is worked through, and the result
 * thrown away.  Which one is drawn by a keyed hash of the name, so that nobody can work out what a name should cost.
 * When the one that stands in changes its hash (it signed in for the first time), the name becomes cheaper with it, as
 * it would be with an account of its own.
 *
 * The draw is by hashint8() of accounts' ids and not by the ids: they tell the time when an account was made, and after
 * an import of thousands in a minute the next one would stand in for nearly all names.
 *
 * Rejected: a cost for each name drawn from what kinds of hashes there are, as somebody must count them, for each domain,
 * and a hash of each kind and cost must be made; the dearest for every wrong name, which is a gift to whoever wants to
 * keep the processors busy.
 */
#include "storage/stand_in.h"

#include "core/secret.h"
#include "storage/db.h"
#include "storage/installation.h"
#include "storage/name.h"

/* The next account from the number on; behind the last one the first. */
static const struct db_statement pick = {
    "stand_in",
    "with d (id) as (select coalesce(target_id, id) from domain where name = $1::text)"
    " select password_hash from"
    "  ((select 1, a.password_hash from account a, d where a.domain_id = d.id and hashint8(a.id) >= $2::int"
    "     order by hashint8(a.id) limit 1)"
    "   union all"
    "   (select 2, a.password_hash from account a, d where a.domain_id = d.id order by hashint8(a.id) limit 1)"
    "  ) x (nr, password_hash) order by nr limit 1",
};

static int32_t number_of(struct arena *arena, struct slice key, struct slice name)
{
    unsigned char drawn[SECRET_SHA256_SIZE];
    int32_t number;

    secret_hmac_sha256(key, slice_str(arena_printf(arena, "stand-in %.*s", SLICE_ARG(name))), drawn);
    memcpy(&number, drawn, sizeof number);
    return number;
}

AWAITS enum db_status stand_in_hash(struct arena *arena, struct slice name, struct slice *hash)
{
    struct slice key, canonical;
    struct rows *rows = NULL;
    struct params params;

    *hash = slice_of(NULL, 0);
    if (!name_address(arena, name, &canonical))
        return DB_NONE;
    if (installation_salt_key(&key) != DB_FOUND)
        return DB_FAILED;
    params_init(&params, arena);
    params_text(&params, name_address_domain(canonical));
    params_int32(&params, number_of(arena, key, canonical));
    enum db_status status = db_read(arena, &pick, &params, &rows);
    if (status == DB_FOUND)
        *hash = row_text(rows, 0, 0);
    return status;
}
