/*
 * runner_memory: what is on its way in this process.
 *
 * An entry (one recipient) refers to its message and its destination.  Messages hold content, or the place for it:
 * what was accepted here comes with its spool, what was claimed is loaded when its turn comes.  An entry is
 *
 *   pending    at its destination, in its customer's share (runner_share.c)
 *   in work    a lane has it (runner_delivery.c)
 *   reported   its outcome waits to be recorded (runner_report.c)
 *
 * and is then freed; its message goes with its last entry, its destination when runner_sweep() finds it unused.
 *
 * Every entry in memory is leased from the database.  A lease that could not be renewed in time is as good as lost: the
 * entry is dropped without a report, because somebody else may have it already (runner_lease_good).  Entries are
 * found by id, so that one that comes back by a claim while it is still here is not delivered twice.
 *
 * Bounds: RUNNER_ENTRIES_MAX entries and BYTES_MAX bytes of content in memory, and of one destination half as many entries as
 * are still free: so a slow one cannot have all of it, and however many are slow, some stays free for the others.  What
 * is accepted beyond that is released at once and claimed again when there is room: a slow next hop costs rows, not
 * memory.
 */
#include <stdlib.h>

#include "core/clock.h"
#include "daemon/runner_hop.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "daemon/runner_share.h"
#include "protocols/smtp_parameter.h"
#include "storage/body.h"

#define BUCKETS 4096
#define BYTES_MAX (64u << 20)

static struct runner_message *messages[BUCKETS];
static struct runner_entry *entries[BUCKETS];
static struct runner_destination *destinations[BUCKETS];
static unsigned entry_count, deadlines;
static size_t bytes;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static unsigned bucket_of_id(int64_t id)
{
    return (unsigned)(((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) >> 52);
}
_Static_assert(BUCKETS == 1 << (64 - 52), "the hash gives 12 bits");

/* ------------------------------------------------------------------ destinations */

static unsigned bucket_of_key(struct slice key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (size_t i = 0; i < key.n; i++)
        hash = (hash ^ (unsigned char)key.p[i]) * UINT64_C(0x100000001b3);
    return bucket_of_id((int64_t)hash);
}

struct runner_destination *runner_destination_find(struct slice key)
{
    struct runner_destination *d = destinations[bucket_of_key(key)];

    while (d && !slice_equal(slice_str(d->key), key))
        d = d->next;
    return d;
}

struct runner_destination *runner_destination(struct slice key)
{
    struct runner_destination *d = runner_destination_find(key), **bucket = &destinations[bucket_of_key(key)];

    if (d)
        return d;
    d = must(calloc(1, sizeof *d));
    d->key = must(strndup(key.p, key.n));
    /* A key that is none of ours is refused when it is tried (runner_hop.c). */
    if (!route_parse_key(slice_str(d->key), &d->route))
        d->route = (struct route_key){.kind = ROUTE_MX, .domain = SLICE("")};
    d->concurrency = concurrency_first(runner_settings()->per_destination_max);
    d->next = *bucket;
    *bucket = d;
    return d;
}

static bool is_unused(const struct runner_destination *d)
{
    return !d->entries && !d->lanes && !d->idle && !d->ready && !d->marking && !d->ordered && !d->drills && !d->failing;
}

void runner_destinations_each(void (*fn)(struct runner_destination *destination, void *arg), void *arg)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct runner_destination *d = destinations[i]; d; d = d->next)
            fn(d, arg);
}

void runner_sweep(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct runner_destination **link = &destinations[i]; *link;) {
            struct runner_destination *d = *link;

            if (!is_unused(d)) {
                link = &d->next;
                continue;
            }
            *link = d->next;
            loop_timer_clear(&d->idle_timer);
            runner_unmet_forget(d);
            runner_order_forget(d);
            free(d->key);
            free(d);
        }
}

/* ------------------------------------------------------------------ messages */

struct runner_message *runner_message_find(int64_t id)
{
    struct runner_message *m = messages[bucket_of_id(id)];

    while (m && m->id != id)
        m = m->next;
    return m;
}

struct runner_message *runner_message_new(int64_t id)
{
    struct runner_message *m = must(calloc(1, sizeof *m)), **bucket = &messages[bucket_of_id(id)];

    m->id = id;
    m->arena = arena_new(SIZE_MAX);
    m->next = *bucket;
    *bucket = m;
    return m;
}

static void message_free(struct runner_message *message)
{
    struct runner_message **link = &messages[bucket_of_id(message->id)];

    while (*link != message)
        link = &(*link)->next;
    *link = message->next;
    bytes -= message->cost;
    spool_unref(&message->spool);
    arena_free(&message->arena);
    free(message);
}

/* Length of the Return-Path field that content begins with, its folded lines included; 0: there is none. */
static size_t return_path_size(struct slice content)
{
    static const struct slice name = {"Return-Path:", 12};
    size_t at = 0;

    if (content.n < name.n || !slice_equal_nocase(slice_of(content.p, name.n), name))
        return 0;
    do {
        const char *end = memchr(content.p + at, '\n', content.n - at);

        at = end ? (size_t)(end - content.p) + 1 : content.n;
    } while (at < content.n && (content.p[at] == ' ' || content.p[at] == '\t'));
    return at;
}

/* Takes Return-Path off; prefix is copied. */
static void set_content(struct runner_message *message, struct slice prefix, struct spool *spool)
{
    char head[2048];
    struct slice start;

    message->spool = spool_ref(spool);
    if (prefix.n) {
        message->prefix = arena_slice(message->arena, slice_skip(prefix, return_path_size(prefix)));
    } else if (spool_read(spool, 0, sizeof head, head, &start)) {
        message->offset = return_path_size(slice_of(start.p, start.n < sizeof head ? start.n : sizeof head));
    }
    message->cost = prefix.n + (spool_size(spool) < SPOOL_MEMORY ? spool_size(spool) : 0);
    bytes += message->cost;
}

enum db_status runner_message_load(struct runner_message *message)
{
    struct spool *spool;
    enum db_status status;

    if (message->spool)
        return DB_FOUND;
    status = body_load(message->id, &spool);
    if (status != DB_FOUND)
        return status;
    if (!message->spool) /* another lane may have been quicker */
        set_content(message, (struct slice){NULL, 0}, spool);
    spool_unref(&spool);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ entries */

struct runner_entry *runner_entry_find(int64_t id)
{
    struct runner_entry *e = entries[bucket_of_id(id)];

    while (e && e->id != id)
        e = e->bucket_next;
    return e;
}

struct runner_entry *runner_entry_new(struct runner_message *message, struct runner_destination *destination,
                                      int64_t id, struct slice recipient)
{
    struct runner_entry *e = arena_alloc(message->arena, sizeof *e), **bucket = &entries[bucket_of_id(id)];

    e->id = id;
    e->recipient = arena_slice(message->arena, recipient);
    e->message = message;
    e->destination = destination;
    e->bucket_next = *bucket;
    *bucket = e;
    message->references++;
    destination->entries++;
    entry_count++;
    return e;
}

void runner_entry_deadline(struct runner_entry *entry, int64_t deliver_by_ms)
{
    deadlines += (deliver_by_ms != 0) - (unsigned)(entry->deliver_by_ms != 0);
    entry->deliver_by_ms = deliver_by_ms;
}

unsigned runner_deadlines(void)
{
    return deadlines;
}

void runner_entry_free(struct runner_entry *entry)
{
    struct runner_entry **link = &entries[bucket_of_id(entry->id)];

    while (*link != entry)
        link = &(*link)->bucket_next;
    *link = entry->bucket_next;
    runner_entry_deadline(entry, 0);
    entry->destination->entries--;
    entry_count--;
    if (--entry->message->references == 0)
        message_free(entry->message);
}

void runner_entries_each(void (*fn)(struct runner_entry *entry, void *arg), void *arg)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct runner_entry *e = entries[i], *next; e; e = next) {
            next = e->bucket_next;
            fn(e, arg);
        }
}

bool runner_lease_good(const struct runner_entry *entry)
{
    return !entry->surrendered && clock_steady_ms() + RUNNER_LEASE_MARGIN_MS < entry->lease_ends;
}

bool runner_leases_good(const struct runner_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++)
        if (!runner_lease_good(batch->entries[i]))
            return false;
    return true;
}

unsigned runner_entry_count(void)
{
    return entry_count;
}

bool runner_has_room(const struct runner_destination *d)
{
    return entry_count < RUNNER_ENTRIES_MAX && d->entries < (RUNNER_ENTRIES_MAX - entry_count) / 2;
}

/* ------------------------------------------------------------------ what was accepted here */

void runner_on_committed(const struct accept_message *message)
{
    bool keep = bytes < BYTES_MAX && !runner_draining();
    struct runner_message *m = NULL;

    for (unsigned i = 0; i < message->recipient_count; i++) {
        const struct accept_recipient *r = &message->recipients[i];
        struct runner_entry *entry;

        if (!r->queue || r->waiting || !r->entry_id)
            continue;
        struct runner_destination *d = keep ? runner_destination(r->destination) : NULL;

        if (!d || !runner_has_room(d)) {
            runner_release_id(r->entry_id);
            continue;
        }
        if (!m) {
            m = runner_message_new(message->id);
            m->customer_id = message->customer_id;
            m->account_id = message->account_id;
            m->sender = arena_slice(m->arena, message->sender);
            smtp_parameter_read_mail(m->arena, message->parameters, &m->envelope);
            m->client = message->client ? arena_strdup(m->arena, message->client) : NULL;
            m->helo = message->helo ? arena_strdup(m->arena, message->helo) : NULL;
            m->eight_bit = message->eight_bit;
            m->received_ms = message->received_ms;
            set_content(m, message->prefix, message->spool);
        }
        entry = runner_entry_new(m, d, r->entry_id, r->address);
        entry->domain_id = r->domain_id;
        entry->account_id = r->account_id;
        entry->expires_ms = r->expires_ms;
        entry->due_ms = message->received_ms;
        runner_entry_deadline(entry, r->deliver_by_ms);
        entry->priority = message->priority;
        smtp_parameter_read_rcpt(m->arena, r->parameters, &entry->envelope);
        /* The database counts from the transaction; this much later at most. */
        entry->lease_ends = clock_steady_ms() + QUEUE_LEASE_MS - RUNNER_LEASE_MARGIN_MS;
        runner_entry_put(entry);
        runner_pump(entry->destination);
    }
}
