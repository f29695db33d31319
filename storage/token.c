/*
 * API tokens: made by a command, checked on every request.
 *
 * A request costs a digest and, at most once in TOKEN_REMEMBER_MS, a look-up: a small direct-mapped cache
 * keyed by digest remembers *valid* tokens only, so guessing fills nothing.  The comparison is of digests
 * of 256-bit secrets; its timing tells a guesser nothing that he could use.
 *
 * last_used_at says "about when": it is written with the look-up, relaxed, at most every
 * TOKEN_USED_INTERVAL, and a loss is nobody's concern.
 */
#define LOG_MODULE "token"
#include "storage/token.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/secret.h"
#include "storage/db.h"
#include "storage/db_direct.h"

#define TOKEN_PREFIX "phs_"
#define TOKEN_BYTES 32
#define TOKEN_REMEMBER_MS 5000
#define TOKEN_USED_INTERVAL "10 minutes"
#define TOKEN_SLOTS 64

/* ------------------------------------------------------------------ making one */

/* RFC 4648 section 5, without padding: 32 bytes are 43 letters. */
static void base64url(const unsigned char in[TOKEN_BYTES], char *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned bits = 0, have = 0;
    for (unsigned i = 0; i < TOKEN_BYTES; i++) {
        bits = bits << 8 | in[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = letters[bits >> (have - 6) & 63];
    }
    *out++ = letters[bits << (6 - have) & 63];
    *out = '\0';
}

bool token_create(const char *conninfo, const char *label, char text[TOKEN_TEXT_SIZE], char *why, size_t why_size)
{
    unsigned char random[TOKEN_BYTES], digest[SECRET_SHA256_SIZE];
    secret_random(random, sizeof random);
    memcpy(text, TOKEN_PREFIX, sizeof TOKEN_PREFIX - 1);
    base64url(random, text + sizeof TOKEN_PREFIX - 1);
    secret_wipe(random, sizeof random);
    secret_sha256(slice_str(text), digest);

    char id[24], hex[2 + 2 * SECRET_SHA256_SIZE + 1] = "\\x";
    snprintf(id, sizeof id, "%lld", (long long)id_make(0));
    for (unsigned i = 0; i < SECRET_SHA256_SIZE; i++)
        snprintf(hex + 2 + 2 * i, 3, "%02x", digest[i]);

    struct db_direct *direct = db_direct_open(conninfo, why, why_size);
    if (!direct)
        return false;
    const char *params[] = {id, label, hex};
    bool good = db_direct_query(
        direct, "insert into api_token (id, label, token_sha256) values ($1::bigint, $2, $3::bytea)", params, 3);
    if (!good)
        snprintf(why, why_size, "%s", db_direct_error(direct));
    db_direct_close(&direct);
    return good;
}

/* ------------------------------------------------------------------ checking one */

static struct slot {
    unsigned char digest[SECRET_SHA256_SIZE];
    int64_t id; /* 0: empty */
    uint64_t until_ms;
} slots[TOKEN_SLOTS];

static const struct db_statement find = {
    "token_find",
    "select id, last_used_at is null or last_used_at < now() - interval '" TOKEN_USED_INTERVAL "'"
    "  from api_token where token_sha256 = $1::bytea",
};
static const struct db_statement mark_used = {
    "token_mark_used",
    "update api_token set last_used_at = now() where id = $1::bigint",
};

static void mark(struct arena *arena, int64_t id)
{
    struct db_unit *unit = db_unit_new(arena);
    unit->relaxed = true;
    params_int64(db_unit_add(unit, &mark_used), id);
    if (db_unit_run(unit) != DB_DONE)
        log_debug("last use not recorded", log_id("token", id));
}

static enum db_status look_up(const unsigned char digest[SECRET_SHA256_SIZE], int64_t *id)
{
    struct arena *arena = arena_new(4096);
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_bytes(&params, slice_of((const char *)digest, SECRET_SHA256_SIZE));
    enum db_status status = db_read(arena, &find, &params, &rows);
    if (status == DB_FOUND) {
        *id = row_int64(rows, 0, 0);
        if (row_bool(rows, 0, 1))
            mark(arena, *id);
    }
    arena_free(&arena);
    return status;
}

AWAITS enum db_status token_check(struct slice text, int64_t *id)
{
    unsigned char digest[SECRET_SHA256_SIZE];
    if (text.n != TOKEN_TEXT_SIZE - 1)
        return DB_NONE;
    secret_sha256(text, digest);
    struct slot *slot = &slots[digest[0] % TOKEN_SLOTS];
    if (slot->id && slot->until_ms > clock_steady_ms() && memcmp(slot->digest, digest, sizeof digest) == 0) {
        *id = slot->id;
        return DB_FOUND;
    }
    enum db_status status = look_up(digest, id);
    if (status == DB_FOUND) {
        memcpy(slot->digest, digest, sizeof digest);
        slot->id = *id;
        slot->until_ms = clock_steady_ms() + TOKEN_REMEMBER_MS;
    }
    return status;
}
