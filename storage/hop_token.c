/*
 * hop_token: tokens of credentials of kind oauth.
 *
 * Times are the database's: of a claim, of back-off, and of a token, whose lifetime counts from when it is stored.  It
 * is renewed when four fifths of its lifetime are over, or five minutes are left, whichever is later.
 *
 * Whatever a claim's holder writes counts only for the version of the credential that it asked with.  A claim that is
 * not ended runs out.
 */
#include "storage/hop_token.h"

#include "storage/db.h"
#include "storage/hop_credential.h"

static void add_key(struct params *params, int64_t credential_id, int version)
{
    params_int64(params, credential_id);
    params_int32(params, version);
}

#define OF_VERSION                                                                                                     \
    " where credential_id = $1::bigint"                                                                                \
    "   and exists (select from hop_credential where id = $1::bigint and version = $2::integer)"

static const struct db_statement claim = {
    "hop_token_claim",
    "update hop_token set claimed_until = now() + $3::integer * interval '1 second'" OF_VERSION
    "   and coalesce(claimed_until < now(), true) and coalesce(failed_until < now(), true) returning refresh_token",
};

AWAITS enum db_status hop_token_claim(struct arena *arena, int64_t credential_id, int version, struct slice *refresh)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &claim);
    add_key(params, credential_id, version);
    params_int32(params, HOP_TOKEN_CLAIM_S);
    if (db_unit_run(unit) != DB_DONE)
        return DB_FAILED;
    if (!rows_count(unit->steps[0].rows))
        return DB_NONE;
    *refresh = row_text(unit->steps[0].rows, 0, 0);
    return DB_FOUND;
}

static struct slice seal(struct arena *arena, int64_t credential_id, const char *column, struct slice secret)
{
    return secret.p ? secret_ring_seal(hop_credential_ring(), arena, hop_credential_bound(arena, credential_id, column),
                                       secret)
                    : secret;
}

static const struct db_statement store = {
    "hop_token_store",
    "update hop_token set access_token = $3::bytea, expires_at = now() + $4::bigint * interval '1 second',"
    "       renew_at = now() + greatest($4::bigint * 0.8, $4::bigint - 300) * interval '1 second',"
    "       refresh_token = coalesce($5::bytea, refresh_token),"
    "       claimed_until = null, failures = 0, failed_until = null, failure = null" OF_VERSION,
};

AWAITS enum db_write hop_token_store(struct arena *arena, int64_t credential_id, int version, struct slice token,
                                     int64_t lifetime_s, struct slice refresh)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &store);
    add_key(params, credential_id, version);
    params_bytes(params, seal(arena, credential_id, "access_token", token));
    params_int64(params, lifetime_s);
    params_bytes(params, seal(arena, credential_id, "refresh_token", refresh));
    return db_unit_run(unit);
}

static const struct db_statement failed = {
    "hop_token_fail",
    "update hop_token set claimed_until = null, failures = failures + 1, failure = $3::text,"
    "       failed_until = now() + least(10 * power(2, least(failures, 10)), 900) * interval '1 second'" OF_VERSION,
};

AWAITS enum db_write hop_token_fail(struct arena *arena, int64_t credential_id, int version, struct slice why)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &failed);
    add_key(params, credential_id, version);
    params_text(params, why);
    return db_unit_run(unit);
}

static const struct db_statement drop = {
    "hop_token_drop",
    "update hop_token set access_token = null, expires_at = null, renew_at = null"
    " where credential_id = $1::bigint and access_token = $2::bytea",
};

AWAITS enum db_write hop_token_drop(struct arena *arena, int64_t credential_id, struct slice sealed)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params = db_unit_add(unit, &drop);
    params_int64(params, credential_id);
    params_bytes(params, sealed);
    return db_unit_run(unit);
}
