/*
 * body: a message's bytes at rest.
 *
 * Chunk seq covers the bytes from seq * BODY_CHUNK on, and is one zstd frame with its content size in its header, so
 * what it expands to is known before it is expanded and a damaged or forged row cannot ask for more.
 *
 * Level 1: mail is stored once and read about once, and on the loop's thread every microsecond delays a neighbour.
 * One compression context serves the
 * process: compressing never waits.
 *
 * body_store() is for messages of more than one chunk: each chunk is a transaction of its own, before the message's row
 * exists; what never gets its row is swept by maintenance after a day.
 */
#include "storage/body.h"

#include <stdlib.h>
#include <zstd.h>

#include "core/id.h"
#include "storage/db.h"

#define BODY_LEVEL 1
#define BODY_TRIES 3

static const struct db_statement store_chunk = {
    "body_store", "insert into message_body (cell, message_id, seq, data)"
                  " values ($1::smallint, $2::bigint, $3::integer, $4::bytea) on conflict do nothing"};
static const struct db_statement read_chunk = {
    "body_read",
    "select data from message_body where cell = $1::smallint and message_id = $2::bigint and seq = $3::integer"};
static const struct db_statement read_first = {
    "body_read_first", "select u.n, b.data from unnest($1::smallint[], $2::bigint[]) with ordinality u (cell, id, n)"
                       "  join message_body b on b.cell = u.cell and b.message_id = u.id and b.seq = 0"};
static const struct db_statement read_size = {
    "body_size", "select size from message where cell = $1::smallint and id = $2::bigint and not body_gone"};

/* ------------------------------------------------------------------ packing */

struct slice body_pack(struct arena *arena, struct slice plain)
{
    static ZSTD_CCtx *context;
    size_t room = ZSTD_compressBound(plain.n), n;
    char *out = arena_alloc(arena, room);

    if (!context && !(context = ZSTD_createCCtx()))
        abort();
    n = ZSTD_compressCCtx(context, out, room, plain.p, plain.n, BODY_LEVEL);
    if (ZSTD_isError(n))
        abort(); /* there was room */
    return slice_of(out, n);
}

struct slice body_unpack(struct arena *arena, struct slice packed)
{
    static ZSTD_DCtx *context;
    unsigned long long size = ZSTD_getFrameContentSize(packed.p, packed.n);
    char *out;
    size_t n;

    if (size > BODY_CHUNK) /* also ZSTD_CONTENTSIZE_UNKNOWN and _ERROR */
        return (struct slice){NULL, 0};
    if (!context && !(context = ZSTD_createDCtx()))
        abort();
    out = arena_alloc(arena, (size_t)size + 1);
    n = ZSTD_decompressDCtx(context, out, (size_t)size, packed.p, packed.n);
    return ZSTD_isError(n) || n != size ? (struct slice){NULL, 0} : slice_of(out, n);
}

/* ------------------------------------------------------------------ storing */

static AWAITS enum db_write store_one(int64_t message_id, int32_t seq, struct slice plain)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice packed = body_pack(arena, plain);
    enum db_write written = DB_CONFLICT;

    /* Repeatable as it is, so UNCERTAIN is repeated too. */
    for (unsigned tries = 0; tries < BODY_TRIES && written != DB_DONE; tries++) {
        struct db_unit *unit = db_unit_new(arena);
        struct params *p = db_unit_add(unit, &store_chunk);

        if (tries && !db_certain_wait(1000))
            break;
        params_int16(p, (int16_t)id_cell(message_id));
        params_int64(p, message_id);
        params_int32(p, seq);
        params_bytes(p, packed);
        written = db_unit_run(unit);
    }
    arena_free(&arena);
    return written == DB_DONE ? DB_DONE : DB_UNDONE;
}

/* Fills chunk from prefix+spool at offset; false when the spool cannot be read. */
static bool gather(struct slice prefix, struct spool *spool, size_t offset, char *chunk, size_t *n)
{
    *n = 0;
    if (offset < prefix.n) {
        *n = prefix.n - offset < BODY_CHUNK ? prefix.n - offset : BODY_CHUNK;
        memcpy(chunk, prefix.p + offset, *n);
    }
    while (*n < BODY_CHUNK) {
        struct slice part;

        if (!spool_read(spool, offset + *n - prefix.n, BODY_CHUNK - *n, chunk + *n, &part))
            return false;
        if (!part.n)
            return true;
        if (part.p != chunk + *n)
            memcpy(chunk + *n, part.p, part.n);
        *n += part.n;
    }
    return true;
}

enum db_write body_store(int64_t message_id, struct slice prefix, struct spool *spool)
{
    size_t total = prefix.n + spool_size(spool), n;
    char *chunk = malloc(BODY_CHUNK);
    enum db_write written = DB_DONE;
    int32_t seq = 0;

    if (!chunk)
        abort();
    for (size_t offset = 0; offset < total && written == DB_DONE; offset += n) {
        if (!gather(prefix, spool, offset, chunk, &n) || !n)
            written = DB_UNDONE;
        else
            written = store_one(message_id, seq++, slice_of(chunk, n));
    }
    free(chunk);
    return written;
}

/* ------------------------------------------------------------------ reading */

enum db_status body_read(struct arena *arena, int64_t message_id, uint64_t offset, struct slice *out)
{
    struct params params;
    struct rows *rows;
    enum db_status status;
    struct slice plain;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(message_id));
    params_int64(&params, message_id);
    params_int32(&params, (int32_t)(offset / BODY_CHUNK));
    status = db_read(arena, &read_chunk, &params, &rows);
    if (status != DB_FOUND)
        return status;
    plain = body_unpack(arena, row_text(rows, 0, 0));
    if (!plain.p)
        return DB_FAILED;
    if (offset % BODY_CHUNK >= plain.n)
        return DB_NONE;
    *out = slice_skip(plain, (size_t)(offset % BODY_CHUNK));
    return DB_FOUND;
}

enum db_status body_read_first(struct arena *arena, const int64_t *ids, unsigned count, struct slice *packed)
{
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    struct params params;
    struct rows *rows = NULL;

    for (unsigned i = 0; i < count; i++) {
        cells[i] = (int16_t)id_cell(ids[i]);
        packed[i] = (struct slice){NULL, 0};
    }
    params_init(&params, arena);
    params_int16s(&params, cells, count);
    params_int64s(&params, ids, count);
    if (db_read(arena, &read_first, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    for (unsigned row = 0; row < rows_count(rows); row++)
        packed[row_int64(rows, row, 0) - 1] = row_text(rows, row, 1);
    return DB_FOUND;
}

static AWAITS enum db_status message_size(struct arena *arena, int64_t message_id, uint64_t *size)
{
    struct params params;
    struct rows *rows;
    enum db_status status;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(message_id));
    params_int64(&params, message_id);
    status = db_read(arena, &read_size, &params, &rows);
    if (status == DB_FOUND)
        *size = (uint64_t)row_int64(rows, 0, 0);
    return status;
}

/* A message that ends before its size is damaged: FAILED, never a truncated message sent on. */
enum db_status body_load(int64_t message_id, struct spool **out)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct spool *spool = spool_new();
    uint64_t size = 0;
    enum db_status status = message_size(arena, message_id, &size);
    struct slice part;

    while (status == DB_FOUND && spool_size(spool) < size) {
        arena_reset(arena);
        status = body_read(arena, message_id, spool_size(spool), &part);
        if (status == DB_NONE || (status == DB_FOUND && !spool_append(spool, part)))
            status = DB_FAILED;
    }
    arena_free(&arena);
    if (status == DB_FOUND)
        *out = spool;
    else
        spool_unref(&spool);
    return status;
}
