/*
 * What the schema is, and what it should be.
 *
 * A migration is a file NNNN_name.sql; once it is applied anywhere it never changes, and its SHA-256 in
 * schema_migration proves that it did not.  A program knows the migrations of its directory and no more:
 * a database that has a version beyond them belongs to a newer program, and this one refuses to touch it
 * (an old node left running during an upgrade would otherwise write rows that the new one misreads).
 *
 * Versions are 1, 2, 3 ... without a gap, so "behind" is a matter of counting.  The comparison is pure; it
 * is used by --migrate (storage/migrate.c, blocking) and by the daemon at start (schema_check(), a task), whose
 * master has read the files before it forked (schema_remember()).
 *
 * Limit: a file has at most SCHEMA_FILE_MAX bytes.
 */
#include "storage/schema.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "storage/db.h"

#define SCHEMA_FILE_MAX (4 * 1024 * 1024)

static const char *schema_directory(void)
{
    const char *path = getenv("POSTHOUSE_SCHEMA_DIR");
    return path && *path ? path : POSTHOUSE_SCHEMA_DIR;
}

/* ------------------------------------------------------------------ files */

/* "0001_road.sql": four digits, underscore, a name. */
static int is_migration(const struct dirent *entry)
{
    const char *name = entry->d_name;
    size_t n = strlen(name);
    return n > 9 && strspn(name, "0123456789") == 4 && name[4] == '_' && strcmp(name + n - 4, ".sql") == 0;
}

static char *file_text(struct arena *arena, const char *path, size_t *size, char *error, size_t error_size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = NULL;
    if (fseek(file, 0, SEEK_END) == 0) {
        long end = ftell(file);
        if (end >= 0 && end <= SCHEMA_FILE_MAX) {
            text = arena_alloc(arena, (size_t)end + 1);
            rewind(file);
            *size = fread(text, 1, (size_t)end, file);
            if (*size != (size_t)end)
                text = NULL;
        }
    }
    fclose(file);
    if (!text)
        snprintf(error, error_size, "%s: cannot be read, or is longer than %d bytes", path, SCHEMA_FILE_MAX);
    else if (strlen(text) != *size) {
        snprintf(error, error_size, "%s: contains NUL", path);
        text = NULL;
    }
    return text;
}

static void digest_hex(struct slice text, char out[SCHEMA_DIGEST_SIZE])
{
    unsigned char digest[SECRET_SHA256_SIZE];
    secret_sha256(text, digest);
    for (unsigned i = 0; i < SECRET_SHA256_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static bool load_file(struct arena *arena, const char *directory, const char *file, struct schema_migration *out,
                      char *error, size_t error_size)
{
    size_t size = 0;
    const char *path = arena_printf(arena, "%s/%s", directory, file);
    char *text = file_text(arena, path, &size, error, error_size);
    if (!text)
        return false;
    out->version = (unsigned)strtoul(file, NULL, 10);
    out->name = arena_slicedup(arena, slice_of(file + 5, strlen(file) - 9));
    out->sql = text;
    digest_hex(slice_of(text, size), out->digest);
    return true;
}

bool schema_load(struct arena *arena, struct schema_list *out, char *error, size_t error_size)
{
    const char *directory = schema_directory();
    struct dirent **entries = NULL;
    int found = scandir(directory, &entries, is_migration, alphasort);
    if (found < 0) {
        snprintf(error, error_size, "schema directory %s: %s", directory, strerror(errno));
        return false;
    }
    out->count = 0;
    out->items = arena_array(arena, (size_t)found + 1, sizeof *out->items);
    bool good = found > 0;
    if (!good)
        snprintf(error, error_size, "schema directory %s: no migrations (NNNN_name.sql) in it", directory);
    for (int i = 0; i < found; i++) {
        struct schema_migration *item = &out->items[out->count];
        if (good && !load_file(arena, directory, entries[i]->d_name, item, error, error_size)) {
            good = false;
        } else if (good && item->version != (unsigned)i + 1) {
            snprintf(error, error_size, "%s/%s: expected version %d here", directory, entries[i]->d_name, i + 1);
            good = false;
        } else if (good) {
            out->count++;
        }
        free(entries[i]);
    }
    free(entries);
    return good;
}

/* ------------------------------------------------------------------ comparison */

enum schema_state schema_compare(const struct schema_list *known, const struct schema_list *applied, char *why,
                                 size_t why_size)
{
    for (unsigned i = 0; i < applied->count; i++) {
        const struct schema_migration *have = &applied->items[i];
        if (have->version > known->count) {
            snprintf(why, why_size,
                     "the database has migration %u (%s), newer than this program, which knows %u; upgrade it",
                     have->version, have->name, known->count);
            return SCHEMA_AHEAD;
        }
        const struct schema_migration *ours = &known->items[i];
        if (have->version != ours->version) {
            snprintf(why, why_size, "the database lacks migration %u (%s) but has later ones", ours->version,
                     ours->name);
            return SCHEMA_CHANGED;
        }
        if (strcmp(have->digest, ours->digest) != 0) {
            snprintf(why, why_size,
                     "migration %u (%s) is not the file that was applied: its SHA-256 is %s, applied was %s",
                     ours->version, ours->name, ours->digest, have->digest);
            return SCHEMA_CHANGED;
        }
    }
    if (applied->count < known->count) {
        snprintf(why, why_size, "the database is at migration %u of %u; run posthoused --migrate", applied->count,
                 known->count);
        return SCHEMA_BEHIND;
    }
    return SCHEMA_CURRENT;
}

/* ------------------------------------------------------------------ asked by the daemon */

/* A statement that names a missing table cannot even be prepared; so first ask whether there is one. */
static const struct db_statement has_table = {
    "schema_has_table",
    "select 1 where to_regclass('schema_migration') is not null",
};
static const struct db_statement list_applied = {
    "schema_list",
    "select version, name, sha256 from schema_migration order by version",
};

static bool read_applied(struct arena *arena, struct schema_list *out)
{
    struct rows *rows = NULL;
    struct params none;
    params_init(&none, arena);
    *out = (struct schema_list){0};
    switch (db_read(arena, &has_table, &none, &rows)) {
    case DB_FAILED: return false;
    case DB_NONE: return true;
    case DB_FOUND: break;
    }
    switch (db_read(arena, &list_applied, &none, &rows)) {
    case DB_FAILED: return false;
    case DB_NONE: return true;
    case DB_FOUND: break;
    }
    out->items = arena_array(arena, rows_count(rows), sizeof *out->items);
    for (; out->count < rows_count(rows); out->count++) {
        struct schema_migration *item = &out->items[out->count];
        item->version = (unsigned)row_int64(rows, out->count, 0);
        item->name = arena_slicedup(arena, row_text(rows, out->count, 1));
        snprintf(item->digest, sizeof item->digest, "%.*s", SLICE_ARG(row_text(rows, out->count, 2)));
    }
    return true;
}

/* What this program knows, read once: before the fork, as its user may not be able to read the files, and a later
 * release may put others there while we run. */
static struct schema_list remembered;
static struct arena *remembered_arena;

bool schema_remember(char *error, size_t error_size)
{
    remembered_arena = arena_new(SCHEMA_FILE_MAX);
    bool good = schema_load(remembered_arena, &remembered, error, error_size);
    if (!good) {
        remembered.count = 0;
        arena_free(&remembered_arena);
    }
    return good;
}

AWAITS enum schema_state schema_check(char *why, size_t why_size)
{
    struct schema_list applied;
    enum schema_state state = SCHEMA_UNKNOWN;
    if (!remembered.count && !schema_remember(why, why_size))
        return state;
    struct arena *arena = arena_new(SCHEMA_FILE_MAX);
    if (read_applied(arena, &applied))
        state = schema_compare(&remembered, &applied, why, why_size);
    else
        snprintf(why, why_size, "the database cannot be asked");
    arena_free(&arena);
    return state;
}
