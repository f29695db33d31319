/*
 * row: parameters and rows in PostgreSQL's binary format.
 *
 * Integers are big-endian; timestamptz is microseconds since 2000-01-01 with the extremes for the infinities; arrays
 * have a header (dimensions, null flag, element type, length, lower bound) and a length before each element.  No text
 * conversion happens on either side, and no quoting exists that could be got wrong.
 *
 * A row function asserts what the statement's author knows: that the column exists and has a type of the kind asked
 * for. The bytes come from our own database, but their lengths are checked all the same.
 */
#include <assert.h>
#include <endian.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "storage/db_private.h"

#define OID_BOOL 16
#define OID_BYTEA 17
#define OID_INT8 20
#define OID_INT2 21
#define OID_INT4 23
#define OID_TEXT 25
#define OID_TIMESTAMPTZ 1184

#define EPOCH_2000_MS INT64_C(946684800000)

/* ------------------------------------------------------------------ parameters */

void params_init(struct params *params, struct arena *arena)
{
    params->arena = arena;
    params->count = 0;
}

static void add(struct params *params, const void *bytes, size_t length)
{
    assert(params->count < sizeof params->list / sizeof params->list[0]);
    assert(length <= INT32_MAX);
    params->list[params->count].bytes = bytes;
    params->list[params->count].length = (int)length;
    params->count++;
}

void params_null(struct params *params)
{
    add(params, NULL, 0);
}

void params_int64(struct params *params, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    add(params, arena_memdup(params->arena, &wire, sizeof wire), sizeof wire);
}

void params_int32(struct params *params, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);

    add(params, arena_memdup(params->arena, &wire, sizeof wire), sizeof wire);
}

void params_int16(struct params *params, int16_t value)
{
    uint16_t wire = htobe16((uint16_t)value);

    add(params, arena_memdup(params->arena, &wire, sizeof wire), sizeof wire);
}

void params_bool(struct params *params, bool value)
{
    add(params, value ? "\1" : "\0", 1);
}

/* Empty is not null, whatever the pointer of an empty slice's copy. */
void params_text(struct params *params, struct slice value)
{
    add(params, value.p, value.p ? value.n : 0);
}

void params_bytes(struct params *params, struct slice value)
{
    params_text(params, value);
}

static uint64_t time_wire(int64_t ms)
{
    if (ms == INT64_MAX)
        return htobe64((uint64_t)INT64_MAX);
    return htobe64((uint64_t)((ms - EPOCH_2000_MS) * 1000));
}

void params_time(struct params *params, int64_t ms)
{
    if (ms == INT64_MIN) {
        params_null(params);
        return;
    }
    uint64_t wire = time_wire(ms);
    add(params, arena_memdup(params->arena, &wire, sizeof wire), sizeof wire);
}

/* -------- arrays: one dimension, counted from 1 */

struct array {
    char *at, *start;
};

static void put32(struct array *array, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);

    memcpy(array->at, &wire, sizeof wire);
    array->at += sizeof wire;
}

static struct array array_begin(struct arena *arena, uint32_t type, unsigned count, size_t element_bytes)
{
    struct array array;

    array.start = array.at = arena_alloc(arena, 20 + (size_t)count * 4 + element_bytes);
    put32(&array, count ? 1 : 0);
    put32(&array, 1); /* nulls may occur */
    put32(&array, (int32_t)type);
    if (count) {
        put32(&array, (int32_t)count);
        put32(&array, 1);
    }
    return array;
}

static void array_element(struct array *array, const void *bytes, size_t length)
{
    put32(array, (int32_t)length);
    if (length)
        memcpy(array->at, bytes, length);
    array->at += length;
}

static void array_end(struct params *params, struct array *array)
{
    add(params, array->start, (size_t)(array->at - array->start));
}

void params_int64s(struct params *params, const int64_t *values, unsigned count)
{
    struct array array = array_begin(params->arena, OID_INT8, count, (size_t)count * 8);

    for (unsigned i = 0; i < count; i++) {
        uint64_t wire = htobe64((uint64_t)values[i]);

        array_element(&array, &wire, sizeof wire);
    }
    array_end(params, &array);
}

void params_int32s(struct params *params, const int32_t *values, unsigned count)
{
    struct array array = array_begin(params->arena, OID_INT4, count, (size_t)count * 4);

    for (unsigned i = 0; i < count; i++) {
        uint32_t wire = htobe32((uint32_t)values[i]);

        array_element(&array, &wire, sizeof wire);
    }
    array_end(params, &array);
}

void params_int16s(struct params *params, const int16_t *values, unsigned count)
{
    struct array array = array_begin(params->arena, OID_INT2, count, (size_t)count * 2);

    for (unsigned i = 0; i < count; i++) {
        uint16_t wire = htobe16((uint16_t)values[i]);

        array_element(&array, &wire, sizeof wire);
    }
    array_end(params, &array);
}

void params_bools(struct params *params, const bool *values, unsigned count)
{
    struct array array = array_begin(params->arena, OID_BOOL, count, count);

    for (unsigned i = 0; i < count; i++)
        array_element(&array, values[i] ? "\1" : "\0", 1);
    array_end(params, &array);
}

static void slices(struct params *params, uint32_t type, const struct slice *values, unsigned count)
{
    struct array array;
    size_t bytes = 0;

    for (unsigned i = 0; i < count; i++)
        bytes += values[i].n;
    array = array_begin(params->arena, type, count, bytes);
    for (unsigned i = 0; i < count; i++)
        if (values[i].p)
            array_element(&array, values[i].p, values[i].n);
        else
            put32(&array, -1);
    array_end(params, &array);
}

void params_texts(struct params *params, const struct slice *values, unsigned count)
{
    slices(params, OID_TEXT, values, count);
}

void params_bytess(struct params *params, const struct slice *values, unsigned count)
{
    slices(params, OID_BYTEA, values, count);
}

void params_times(struct params *params, const int64_t *values, unsigned count)
{
    struct array array = array_begin(params->arena, OID_TIMESTAMPTZ, count, (size_t)count * 8);

    for (unsigned i = 0; i < count; i++) {
        if (values[i] == INT64_MIN) {
            put32(&array, -1);
            continue;
        }
        uint64_t wire = time_wire(values[i]);
        array_element(&array, &wire, sizeof wire);
    }
    array_end(params, &array);
}

/* ------------------------------------------------------------------ rows */

/* A PGresult in disguise: storage's other files need not know libpq. */
static const PGresult *result_of(const struct rows *rows)
{
    return (const PGresult *)(const void *)rows;
}

static void clear_result(void *result)
{
    PQclear(result);
}

struct rows *rows_keep(struct arena *arena, struct pg_result *result)
{
    arena_on_done(arena, clear_result, result);
    return (struct rows *)(void *)result;
}

struct rows_copy {
    PGresult *result;
    unsigned uses;
};

struct rows_copy *rows_copy(const struct rows *rows)
{
    struct rows_copy *copy = malloc(sizeof *copy);

    if (!copy)
        abort();
    *copy = (struct rows_copy){PQcopyResult(result_of(rows), PG_COPYRES_ATTRS | PG_COPYRES_TUPLES), 1};
    if (!copy->result)
        abort();
    return copy;
}

size_t rows_copy_bytes(const struct rows_copy *copy)
{
    return sizeof *copy + PQresultMemorySize(copy->result);
}

static void leave_copy(void *arg)
{
    struct rows_copy *copy = arg;

    if (--copy->uses)
        return;
    PQclear(copy->result);
    free(copy);
}

struct rows *rows_copy_use(struct rows_copy *copy, struct arena *arena)
{
    copy->uses++;
    arena_on_done(arena, leave_copy, copy);
    return (struct rows *)(void *)copy->result;
}

void rows_copy_drop(struct rows_copy **copy)
{
    leave_copy(*copy);
    *copy = NULL;
}

unsigned rows_count(const struct rows *rows)
{
    return (unsigned)PQntuples(result_of(rows));
}

unsigned rows_affected(const struct rows *rows)
{
    return (unsigned)strtoul(PQcmdTuples((PGresult *)(uintptr_t)rows), NULL, 10);
}

bool row_is_null(const struct rows *rows, unsigned row, unsigned column)
{
    return PQgetisnull(result_of(rows), (int)row, (int)column) == 1;
}

int64_t row_int64(const struct rows *rows, unsigned row, unsigned column)
{
    const char *bytes = PQgetvalue(result_of(rows), (int)row, (int)column);
    uint64_t eight;
    uint32_t four;
    uint16_t two;

    switch (PQgetlength(result_of(rows), (int)row, (int)column)) {
    case 8: memcpy(&eight, bytes, sizeof eight); return (int64_t)be64toh(eight);
    case 4: memcpy(&four, bytes, sizeof four); return (int32_t)be32toh(four);
    case 2: memcpy(&two, bytes, sizeof two); return (int16_t)be16toh(two);
    default:
        assert(row_is_null(rows, row, column)); /* null counts as 0 */
        return 0;
    }
}

bool row_bool(const struct rows *rows, unsigned row, unsigned column)
{
    return PQgetlength(result_of(rows), (int)row, (int)column) == 1 &&
           *PQgetvalue(result_of(rows), (int)row, (int)column);
}

struct slice row_text(const struct rows *rows, unsigned row, unsigned column)
{
    if (row_is_null(rows, row, column))
        return (struct slice){NULL, 0};
    return slice_of(PQgetvalue(result_of(rows), (int)row, (int)column),
                    (size_t)PQgetlength(result_of(rows), (int)row, (int)column));
}

int64_t row_time(const struct rows *rows, unsigned row, unsigned column)
{
    int64_t microseconds;

    if (row_is_null(rows, row, column))
        return INT64_MIN;
    microseconds = row_int64(rows, row, column);
    if (microseconds == INT64_MAX || microseconds == INT64_MIN)
        return microseconds;
    /* Rounds down, also before 2000. */
    return (microseconds - ((microseconds % 1000) + 1000) % 1000) / 1000 + EPOCH_2000_MS;
}
