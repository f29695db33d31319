/*
 * Applying migrations.
 *
 *   connect; pg_advisory_lock   (held by the session: the lock goes with the connection, however it ends)
 *   create schema_migration if it is missing; read it; compare with the files
 *   for each that is missing:  begin; the file; insert into schema_migration; commit
 *
 * The second of two nodes waits at the lock, then finds nothing to do.  A crash leaves whole migrations
 * only.  The files must not contain transaction control, nor what PostgreSQL refuses inside a transaction
 * (create index concurrently): a migration that needs such a thing wants a design of its own.
 *
 * Nothing here judges whether a migration is safe while old nodes run; schema/STATES.md and the migration's
 * own comment say so.
 */
#define LOG_MODULE "migrate"
#include "storage/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/log.h"
#include "storage/db_direct.h"

/* Any number will do, as long as nobody else in this database uses it: "posthous" in ASCII. */
#define MIGRATE_LOCK_SQL "select pg_advisory_lock(8101821198468347251)"

static const char create_table[] = "create table if not exists schema_migration ("
                                   "  version    integer primary key,"
                                   "  name       text not null,"
                                   "  sha256     text not null,"
                                   "  applied_at timestamptz not null default now())";

static bool read_applied(struct db_direct *direct, struct arena *arena, struct schema_list *out)
{
    if (!db_direct_run(direct, "select version, name, sha256 from schema_migration order by version"))
        return false;
    out->count = db_direct_rows(direct);
    out->items = arena_array(arena, out->count + 1, sizeof *out->items);
    for (unsigned i = 0; i < out->count; i++) {
        struct schema_migration *item = &out->items[i];
        item->version = (unsigned)strtoul(db_direct_value(direct, i, 0), NULL, 10);
        item->name = arena_strdup(arena, db_direct_value(direct, i, 1));
        snprintf(item->digest, sizeof item->digest, "%s", db_direct_value(direct, i, 2));
    }
    return true;
}

/*
 * Names and addresses are UTF-8, and a database of another encoding refuses them at every try, as if it were away.
 * One that is in use already goes on as it is: it cannot be changed where it stands.
 */
static bool encoding_fits(struct db_direct *direct, bool empty, char *why, size_t why_size)
{
    if (!db_direct_run(direct, "show server_encoding")) {
        snprintf(why, why_size, "%s", db_direct_error(direct));
        return false;
    }
    const char *encoding = db_direct_value(direct, 0, 0);
    if (strcmp(encoding, "UTF8") == 0)
        return true;
    if (!empty) {
        log_warn("the database should have the encoding UTF8", log_str("encoding", encoding));
        return true;
    }
    snprintf(why, why_size,
             "the database has the encoding %s; make it with UTF8 (createdb -E UTF8 --locale=C -T template0)",
             encoding);
    return false;
}

static bool apply(struct db_direct *direct, const struct schema_migration *migration, char *why, size_t why_size)
{
    char version[16];
    snprintf(version, sizeof version, "%u", migration->version);
    const char *params[] = {version, migration->name, migration->digest};
    bool good =
        db_direct_run(direct, "begin") && db_direct_run(direct, migration->sql) &&
        db_direct_query(direct, "insert into schema_migration (version, name, sha256) values ($1::integer, $2, $3)",
                        params, 3) &&
        db_direct_run(direct, "commit");
    if (good) {
        log_info("migration applied", log_int("version", migration->version), log_str("name", migration->name));
        return true;
    }
    snprintf(why, why_size, "migration %u (%s) failed: %s", migration->version, migration->name,
             db_direct_error(direct));
    /* Closing the connection would roll back too; this keeps a caller's reading of the state honest. */
    if (!db_direct_run(direct, "rollback"))
        log_warn("rollback failed", log_str("error", db_direct_error(direct)));
    return false;
}

static enum schema_state migrate_locked(struct db_direct *direct, struct arena *arena, const struct schema_list *known,
                                        unsigned *applied, char *why, size_t why_size)
{
    struct schema_list have;
    if (!db_direct_run(direct, MIGRATE_LOCK_SQL) || !db_direct_run(direct, create_table) ||
        !read_applied(direct, arena, &have)) {
        snprintf(why, why_size, "%s", db_direct_error(direct));
        return SCHEMA_UNKNOWN;
    }
    if (!encoding_fits(direct, have.count == 0, why, why_size))
        return SCHEMA_UNKNOWN;
    enum schema_state state = schema_compare(known, &have, why, why_size);
    if (state != SCHEMA_BEHIND)
        return state;
    for (unsigned i = have.count; i < known->count; i++, (*applied)++)
        if (!apply(direct, &known->items[i], why, why_size))
            return SCHEMA_BEHIND;
    return SCHEMA_CURRENT;
}

enum schema_state migrate_run(const char *conninfo, unsigned *applied, char *why, size_t why_size)
{
    struct arena *arena = arena_new(16 * 1024 * 1024);
    enum schema_state state = SCHEMA_UNKNOWN;
    struct schema_list known;
    *applied = 0;
    if (schema_load(arena, &known, why, why_size)) {
        struct db_direct *direct = db_direct_open(conninfo, why, why_size);
        if (direct)
            state = migrate_locked(direct, arena, &known, applied, why, why_size);
        db_direct_close(&direct);
    }
    arena_free(&arena);
    return state;
}
