/*
 * guard: who failed to sign in, how often, and who may not try for a while.
 *
 * Counted are three things, an address (IPv4, or IPv6 /64: what one customer has), a name from everywhere, and a name
 * from one address.  An address is banned after address_failures, whatever names it tried.  A name from one address is
 * banned, there, after account_failures.  A name alone is never banned, for then anybody could lock its owner out:
 * when it failed attack_failures times from everywhere, each address has only ATTACK_TRIES of its own for it.  Whoever
 * knows the password and comes from an address without failures gets in, in the middle of an attack.
 *
 * Names are counted whether an account has them or not, so a ban tells nothing about that.
 *
 * Memory is asked; the database joins the nodes.  A failure is added to its entries' `pending` and judged at once by
 * what is known here.  guard_exchange(), every second, adds what is pending to auth_failure in one relaxed statement
 * and reads what changed anywhere since it last looked, with an overlap for transactions that commit late; what it
 * reads replaces what it knew.  So two nodes that are attacked at the same moment overshoot by what arrives within
 * about two seconds.
 *
 * Bounded: ENTRIES_MAX entries; when they are used up the ones that have nothing to say go, and then those that say
 * least: of who is not banned, the fewest failures first, until an eighth is free.  So a flood of addresses and names
 * makes room at its own expense, and who guesses on meanwhile is counted.  If so many are banned that there is none,
 * what is new is not counted.  While the database is away each process goes on by itself.
 */
#include "storage/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "guard"
#include "core/arena.h"
#include "core/cidr.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/idn.h"
#include "core/log.h"
#include "core/secret.h"
#include "storage/db.h"
#include "storage/directory.h"
#include "storage/name.h"

#define BUCKETS 8192
#define ENTRIES_MAX 65536
#define ROOM (ENTRIES_MAX / 8) /* that a sweep makes, so that the next one is not soon */
#define SWEEP_MS 1000          /* between two that make no room */
#define LEAST_MAX 1024         /* failures */
#define BATCH_MAX 1000
#define ROWS_MAX 5000
#define OVERLAP_MS 5000
#define PAGES_MAX 20
#define FORGET_EVERY 600 /* exchanges */
#define CLIENT_SIZE 64
#define NAME_SIZE 321
#define ATTACK_TRIES 3
#define DELAY_FIRST_MS 250

enum kind { ADDRESS, ACCOUNT, PAIR };
static const char *const kinds[] = {"address", "account", "pair"};

struct entry {
    struct entry *next;
    enum kind kind;
    unsigned failures, pending; /* written; not yet */
    int64_t last_ms, banned_until_ms;
    char client[CLIENT_SIZE];
    char name[]; /* lower case */
};

struct guard_counters guard_counters;
static struct guard_settings settings;
static struct entry *buckets[BUCKETS];
static unsigned entry_count;
static uint64_t seed;
static int64_t seen_ms; /* what changed before is known */

/* ------------------------------------------------------------------ addresses */

/* What is counted for the client.  False: nothing is (exempt, not an address, not told to). */
static bool client_key(const char *client, char key[CLIENT_SIZE])
{
    char address[INET6_ADDRSTRLEN];
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (!settings.window_ms || !client || !cidr_plain_address(client, address))
        return false;
    if (inet_pton(AF_INET, address, &four.sin_addr) == 1) {
        snprintf(key, CLIENT_SIZE, "%s", address);
        return !cidr_list_contains(settings.exempt, (const struct sockaddr *)&four);
    }
    inet_pton(AF_INET6, address, &six.sin6_addr);
    if (cidr_list_contains(settings.exempt, (const struct sockaddr *)&six))
        return false;
    memset(six.sin6_addr.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &six.sin6_addr, address, sizeof address);
    snprintf(key, CLIENT_SIZE, "%s/64", address);
    return true;
}

/* ------------------------------------------------------------------ entries */

/* FNV-1a over the seed, which nobody knows. */
static struct entry **bucket(enum kind kind, const char *client, const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ seed ^ kind;

    for (const char *p = client; *p; p++)
        hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p ^ 0x100) * UINT64_C(1099511628211);
    return &buckets[(hash ^ hash >> 32) % BUCKETS];
}

/* least 0: only what has nothing to say. */
static bool may_go(const struct entry *entry, unsigned least, int64_t now)
{
    if (entry->banned_until_ms > now)
        return false;
    return (!entry->pending && entry->last_ms + settings.window_ms <= now) || entry->failures + entry->pending <= least;
}

static void drop(unsigned least, int64_t now)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct entry **link = &buckets[i]; *link;) {
            struct entry *entry = *link;

            if (!may_go(entry, least, now)) {
                link = &entry->next;
                continue;
            }
            *link = entry->next;
            free(entry);
            entry_count--;
        }
}

static void sweep(int64_t now)
{
    static int64_t in_vain_ms;

    if (now >= in_vain_ms && now < in_vain_ms + SWEEP_MS)
        return;
    drop(0, now);
    for (unsigned least = 1; entry_count > ENTRIES_MAX - ROOM && least <= LEAST_MAX; least *= 2)
        drop(least, now);
    if (entry_count > ENTRIES_MAX - ROOM)
        in_vain_ms = now;
}

static struct entry *find(enum kind kind, const char *client, const char *name)
{
    struct entry *entry = *bucket(kind, client, name);

    while (entry && (entry->kind != kind || strcmp(entry->client, client) != 0 || strcmp(entry->name, name) != 0))
        entry = entry->next;
    return entry;
}

/* NULL: there is no room. */
static struct entry *find_or_make(enum kind kind, const char *client, const char *name)
{
    struct entry *entry = find(kind, client, name), **head;

    if (entry)
        return entry;
    if (entry_count == ENTRIES_MAX)
        sweep(clock_now_ms());
    if (entry_count == ENTRIES_MAX)
        return NULL;
    entry = calloc(1, sizeof *entry + strlen(name) + 1);
    if (!entry)
        abort();
    entry->kind = kind;
    snprintf(entry->client, sizeof entry->client, "%s", client);
    memcpy(entry->name, name, strlen(name) + 1);
    head = bucket(kind, client, name);
    entry->next = *head;
    *head = entry;
    entry_count++;
    return entry;
}

static unsigned count_of(const struct entry *entry)
{
    return entry && entry->last_ms + settings.window_ms > clock_now_ms() ? entry->failures + entry->pending : 0;
}

/* ------------------------------------------------------------------ rules */

/* How many failures ban; 0: none do. */
static unsigned limit_of(const struct entry *entry)
{
    switch (entry->kind) {
    case ADDRESS: return settings.address_failures;
    case ACCOUNT: return 0;
    case PAIR: break;
    }
    if (settings.attack_failures && count_of(find(ACCOUNT, "", entry->name)) >= settings.attack_failures)
        return ATTACK_TRIES;
    return settings.account_failures;
}

static void add_failure(enum kind kind, const char *client, const char *name)
{
    struct entry *entry = find_or_make(kind, client, name);
    int64_t now = clock_now_ms();
    unsigned limit;

    if (!entry)
        return;
    if (entry->last_ms + settings.window_ms <= now || (entry->banned_until_ms && entry->banned_until_ms <= now)) {
        entry->failures = 0;
        entry->banned_until_ms = 0;
    }
    entry->pending++;
    entry->last_ms = now;
    limit = limit_of(entry);
    if (!limit || entry->failures + entry->pending < limit || entry->banned_until_ms > now)
        return;
    entry->banned_until_ms = now + settings.ban_ms;
    guard_counters.bans++;
    log_warn("banned", log_str("kind", kinds[kind]), log_str("client", client), log_str("login", name),
             log_int("failures", entry->failures + entry->pending));
}

/* The one spelling that the account is looked up by, so that another one gives no further tries. */
static bool login_key(struct slice name, char key[NAME_SIZE])
{
    struct arena *arena;
    bool good;

    if (!name.p || name.n == 0 || name.n >= NAME_SIZE)
        return false;
    arena = arena_new(16 * NAME_SIZE);
    name = name_key(arena, name);
    good = name.n < NAME_SIZE && idn_is_utf8(name);
    for (size_t i = 0; i < name.n && good; i++) /* nobody's, and no text for PostgreSQL perhaps */
        good = (unsigned char)name.p[i] >= 0x20 && name.p[i] != 0x7f;
    if (good)
        snprintf(key, NAME_SIZE, "%.*s", SLICE_ARG(name));
    arena_free(&arena);
    return good;
}

static bool is_banned(const struct entry *entry)
{
    return entry && entry->banned_until_ms > clock_now_ms();
}

bool guard_banned(const char *client, struct slice name)
{
    char key[CLIENT_SIZE], login[NAME_SIZE];
    bool banned;

    if (!client_key(client, key))
        return false;
    banned = is_banned(find(ADDRESS, key, "")) || (login_key(name, login) && is_banned(find(PAIR, key, login)));
    guard_counters.refused += banned;
    return banned;
}

void guard_failed(const char *client, struct slice name)
{
    char key[CLIENT_SIZE], login[NAME_SIZE];

    guard_counters.failures++;
    if (!client_key(client, key))
        return;
    if (login_key(name, login)) {
        add_failure(ACCOUNT, "", login);
        add_failure(PAIR, key, login);
    }
    add_failure(ADDRESS, key, "");
}

unsigned guard_delay(unsigned least_ms, const char *client, uint64_t began_ms)
{
    uint64_t spent = clock_steady_ms() - began_ms;
    char key[CLIENT_SIZE];
    unsigned failures = client_key(client, key) ? count_of(find(ADDRESS, key, "")) : 0;
    unsigned ms = failures ? DELAY_FIRST_MS << (failures < 6 ? failures - 1 : 5) : 0;

    if (ms < least_ms)
        ms = least_ms;
    return spent < ms ? ms - (unsigned)spent : 0;
}

void guard_init(const struct guard_settings *s)
{
    settings = *s;
    secret_random(&seed, sizeof seed);
    seen_ms = clock_now_ms() - settings.window_ms - settings.ban_ms;
}

/* ------------------------------------------------------------------ to and from the other nodes */

/* $7: window.  In the order of the key, so that nodes do not wait for each other in a ring. */
static const struct db_statement write_failures = {
    "guard_write",
    "insert into auth_failure as f (kind, client, account, id, failures, first_at, changed_at, banned_until)"
    " select w.kind, w.client, w.account, w.id, w.failures, now(), now(), w.banned_until"
    "   from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::integer[], $6::timestamptz[])"
    "     as w (kind, client, account, id, failures, banned_until)"
    "  order by w.kind, w.client, w.account"
    " on conflict (kind, client, account) do update set"
    "   failures = case when f.changed_at < now() - $7::bigint * interval '1 ms' or f.banned_until <= now()"
    "     then excluded.failures else f.failures + excluded.failures end,"
    "   first_at = case when f.changed_at < now() - $7::bigint * interval '1 ms' or f.banned_until <= now()"
    "     then excluded.first_at else f.first_at end,"
    "   changed_at = now(),"
    "   banned_until = case when greatest(f.banned_until, excluded.banned_until) > now()"
    "     then greatest(f.banned_until, excluded.banned_until) end",
};
static const struct db_statement read_changes = {
    "guard_read",
    "select kind, client, account, failures, changed_at, banned_until from auth_failure"
    " where changed_at > $1::timestamptz order by changed_at limit $2::integer",
};
static const struct db_statement forget = {
    "guard_forget",
    "delete from auth_failure where changed_at < now() - $1::bigint * interval '1 ms'"
    "   and (banned_until is null or banned_until < now())",
};

struct batch {
    unsigned count;
    struct slice kinds[BATCH_MAX], clients[BATCH_MAX], names[BATCH_MAX];
    int64_t ids[BATCH_MAX], banned_until[BATCH_MAX];
    int32_t failures[BATCH_MAX];
};

/* What is taken counts as written: what a database that is away loses, this process knows all the same. */
static struct batch *take_pending(struct arena *arena)
{
    struct batch *batch = arena_alloc(arena, sizeof *batch);

    for (unsigned i = 0; i < BUCKETS && batch->count < BATCH_MAX; i++)
        for (struct entry *entry = buckets[i]; entry && batch->count < BATCH_MAX; entry = entry->next) {
            unsigned n = batch->count;

            if (!entry->pending)
                continue;
            batch->kinds[n] = slice_str(kinds[entry->kind]);
            batch->clients[n] = arena_slice(arena, slice_str(entry->client));
            batch->names[n] = arena_slice(arena, slice_str(entry->name));
            batch->ids[n] = id_make(0);
            batch->failures[n] = (int32_t)entry->pending;
            batch->banned_until[n] = entry->banned_until_ms ? entry->banned_until_ms : INT64_MIN;
            batch->count++;
            entry->failures += entry->pending;
            entry->pending = 0;
        }
    return batch;
}

static AWAITS void write_pending(struct arena *arena)
{
    struct batch *batch = take_pending(arena);
    struct db_unit *unit;
    struct params *p;

    if (!batch->count)
        return;
    unit = db_unit_new(arena);
    unit->relaxed = true;
    p = db_unit_add(unit, &write_failures);
    params_texts(p, batch->kinds, batch->count);
    params_texts(p, batch->clients, batch->count);
    params_texts(p, batch->names, batch->count);
    params_int64s(p, batch->ids, batch->count);
    params_int32s(p, batch->failures, batch->count);
    params_times(p, batch->banned_until, batch->count);
    params_int64(p, settings.window_ms);
    if (db_unit_run(unit) != DB_DONE)
        log_info("failed logins are not told to the other nodes", log_int("entries", batch->count));
}

static void apply(enum kind kind, const char *client, const char *name, const struct rows *rows, unsigned row)
{
    int64_t changed = row_time(rows, row, 4), banned = row_is_null(rows, row, 5) ? 0 : row_time(rows, row, 5);
    struct entry *entry = find_or_make(kind, client, name);

    if (!entry)
        return;
    entry->failures = (unsigned)row_int64(rows, row, 3);
    if (changed > entry->last_ms)
        entry->last_ms = changed;
    if (!entry->pending || banned > entry->banned_until_ms) /* else a ban of ours is about to be written */
        entry->banned_until_ms = banned;
}

/* True: there may be more. */
static AWAITS bool read_page(struct arena *arena, int64_t *after_ms)
{
    struct params params;
    struct rows *rows = NULL;
    unsigned count;

    params_init(&params, arena);
    params_time(&params, *after_ms);
    params_int32(&params, ROWS_MAX);
    if (db_read(arena, &read_changes, &params, &rows) != DB_FOUND)
        return false;
    count = rows_count(rows);
    for (unsigned i = 0; i < count; i++)
        for (enum kind kind = ADDRESS; kind <= PAIR; kind++)
            if (slice_equal(row_text(rows, i, 0), slice_str(kinds[kind])))
                apply(kind, arena_slicedup(arena, row_text(rows, i, 1)), arena_slicedup(arena, row_text(rows, i, 2)),
                      rows, i);
    *after_ms = row_time(rows, count - 1, 4);
    return count == ROWS_MAX;
}

AWAITS void guard_exchange(void)
{
    static unsigned rounds;
    struct arena *arena;
    int64_t after_ms = seen_ms;

    if (!settings.window_ms)
        return;
    arena = arena_new(SIZE_MAX);
    write_pending(arena);
    for (unsigned i = 0; i < PAGES_MAX && read_page(arena, &after_ms); i++)
        ;
    if (after_ms - OVERLAP_MS > seen_ms)
        seen_ms = after_ms - OVERLAP_MS;
    if (rounds++ % FORGET_EVERY == 0) {
        struct db_unit *unit = db_unit_new(arena);

        unit->relaxed = true;
        params_int64(db_unit_add(unit, &forget), settings.window_ms);
        if (db_unit_run(unit) != DB_DONE)
            log_debug("old failures stay for now");
    }
    arena_free(&arena);
}
