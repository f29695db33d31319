/*
 * Hints: who waits for news of a mailbox (IMAP IDLE) or of the queue (runners) is told to look again.
 *
 *   hint_mailbox_changed()  ->  pending list  ->  end of this loop turn:
 *                                                   subscribers of this process, directly
 *                                                   other processes: one NOTIFY per turn, by the hint task
 *
 * One task sends for the whole process.  While it waits for the database, further hints gather and go out
 * together: under load the number of NOTIFYs sinks instead of rising.  It runs as a relaxed unit, outside
 * of any transaction that carries mail, because NOTIFY takes a lock of the whole database at its commit.
 *
 * A payload is "WORKER:ID,ID,..."; a process knows its own by the worker number and ignores them, having
 * told its subscribers already.  PostgreSQL takes 8,000 bytes; longer lists are split.
 *
 * Nothing is repeated: the database away, too many hints (HINT_PENDING_MAX), a torn connection all lose
 * hints, which the contract allows.
 *
 * A subscriber may unsubscribe itself or others from within its callback: such watches are only marked, and
 * freed when the round is over.
 */
#define LOG_MODULE "hint"
#include "storage/hint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/id.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/task.h"
#include "storage/db.h"

#define HINT_BUCKETS 4096
#define HINT_PENDING_MAX 65536
#define HINT_PER_PAYLOAD 500 /* of 14 bytes each */
#define HINT_QUEUE_LISTENERS 4

#define CHANNEL_MAILBOX "posthouse_mailbox"
#define CHANNEL_QUEUE "posthouse_queue"

struct hint_watch {
    struct hint_watch *next, **link; /* link: what points to us */
    int64_t mailbox_id;
    hint_fn *fn; /* NULL: unwatched during a round */
    void *arg;
};

struct id_list {
    int64_t *ids;
    unsigned count, room;
};

static struct {
    struct hint_watch *buckets[HINT_BUCKETS];
    unsigned rounds; /* callbacks are being called */
    unsigned marked; /* watches that wait for the end of the round to be freed */

    struct {
        void (*fn)(void *arg);
        void *arg;
    } queue_listeners[HINT_QUEUE_LISTENERS];
    unsigned queue_listener_count;

    struct id_list fresh;    /* since the last turn, for subscribers here */
    struct id_list outgoing; /* for other processes */
    bool queue_fresh, queue_outgoing;
    bool deferred; /* end_of_turn() is coming */
    bool sending;  /* the task is alive */
    struct task_pool *pool;
} hint;

/* ------------------------------------------------------------------ subscribers */

static struct hint_watch **bucket(int64_t mailbox_id)
{
    uint64_t hash = (uint64_t)mailbox_id * UINT64_C(0x9e3779b97f4a7c15);
    return &hint.buckets[hash >> 52];
}
_Static_assert(HINT_BUCKETS == 1 << (64 - 52), "the hash gives 12 bits");

struct hint_watch *hint_watch_mailbox(int64_t mailbox_id, hint_fn *fn, void *arg)
{
    struct hint_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        abort();
    struct hint_watch **head = bucket(mailbox_id);
    *watch = (struct hint_watch){.next = *head, .link = head, .mailbox_id = mailbox_id, .fn = fn, .arg = arg};
    if (watch->next)
        watch->next->link = &watch->next;
    *head = watch;
    return watch;
}

static void unlink_watch(struct hint_watch *watch)
{
    *watch->link = watch->next;
    if (watch->next)
        watch->next->link = watch->link;
}

void hint_unwatch(struct hint_watch **watch)
{
    struct hint_watch *it = *watch;
    *watch = NULL;
    if (!it)
        return;
    if (hint.rounds > 0) {
        it->fn = NULL; /* stays linked: the round may stand on it */
        hint.marked++;
        return;
    }
    unlink_watch(it);
    free(it);
}

static void begin_round(void)
{
    hint.rounds++;
}

static void end_round(void)
{
    if (--hint.rounds > 0)
        return;
    for (unsigned i = 0; i < HINT_BUCKETS && hint.marked > 0; i++) {
        for (struct hint_watch *it = hint.buckets[i], *next; it; it = next) {
            next = it->next;
            if (it->fn)
                continue;
            unlink_watch(it);
            free(it);
            hint.marked--;
        }
    }
}

static void tell(int64_t mailbox_id)
{
    for (struct hint_watch *it = *bucket(mailbox_id); it; it = it->next)
        if (it->fn && it->mailbox_id == mailbox_id)
            it->fn(mailbox_id, it->arg);
}

static void tell_queue(void)
{
    for (unsigned i = 0; i < hint.queue_listener_count; i++)
        hint.queue_listeners[i].fn(hint.queue_listeners[i].arg);
}

void hint_on_queue(void (*fn)(void *arg), void *arg)
{
    if (hint.queue_listener_count == HINT_QUEUE_LISTENERS)
        abort();
    hint.queue_listeners[hint.queue_listener_count].fn = fn;
    hint.queue_listeners[hint.queue_listener_count++].arg = arg;
}

/* ------------------------------------------------------------------ lists of ids */

static void list_add(struct id_list *list, int64_t id)
{
    if (list->count == HINT_PENDING_MAX || (list->count > 0 && list->ids[list->count - 1] == id))
        return;
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 64;
        list->ids = reallocarray(list->ids, list->room, sizeof *list->ids);
        if (!list->ids)
            abort();
    }
    list->ids[list->count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Takes the list's content, sorted and without repetitions; the list is empty then. */
static struct id_list list_take(struct id_list *list)
{
    struct id_list taken = *list;
    *list = (struct id_list){0};
    unsigned kept = 0;
    if (taken.count > 1)
        qsort(taken.ids, taken.count, sizeof *taken.ids, compare_ids);
    for (unsigned i = 0; i < taken.count; i++)
        if (kept == 0 || taken.ids[kept - 1] != taken.ids[i])
            taken.ids[kept++] = taken.ids[i];
    taken.count = kept;
    return taken;
}

/* ------------------------------------------------------------------ to other processes */

static const struct db_statement notify = {"hint_notify", "select pg_notify($1::text, $2::text)"};

static struct slice payload(struct arena *arena, const int64_t *ids, unsigned count)
{
    char *text = arena_alloc(arena, 16 + (size_t)count * ID_TEXT_SIZE);
    int n = snprintf(text, 16, "%u:", id_worker());
    for (unsigned i = 0; i < count; i++, n += ID_TEXT_SIZE) {
        id_print(ids[i], text + n);
        text[n + ID_TEXT_SIZE - 1] = ','; /* in place of NUL */
    }
    return slice_of(text, count > 0 ? (size_t)n - 1 : (size_t)n);
}

static void add_notify(struct db_unit *unit, struct slice channel, struct slice text)
{
    struct params *params = db_unit_add(unit, &notify);
    params_text(params, channel);
    params_text(params, text);
}

static AWAITS void send_some(struct arena *arena, const int64_t *ids, unsigned count, bool queue)
{
    struct db_unit *unit = db_unit_new(arena);
    unit->relaxed = true;
    if (queue)
        add_notify(unit, SLICE(CHANNEL_QUEUE), payload(arena, NULL, 0));
    if (count > 0)
        add_notify(unit, SLICE(CHANNEL_MAILBOX), payload(arena, ids, count));
    if (db_unit_run(unit) != DB_DONE)
        log_debug("hints lost", log_int("mailboxes", count));
}

static void send_task(void *arg)
{
    (void)arg;
    struct arena *arena = arena_new(1024 * 1024);
    while (hint.outgoing.count > 0 || hint.queue_outgoing) {
        struct id_list ids = list_take(&hint.outgoing);
        bool queue = hint.queue_outgoing;
        hint.queue_outgoing = false;
        unsigned done = 0;
        do {
            unsigned n = ids.count - done < HINT_PER_PAYLOAD ? ids.count - done : HINT_PER_PAYLOAD;
            send_some(arena, ids.ids + done, n, queue && done == 0);
            arena_reset(arena);
            done += n;
        } while (done < ids.count);
        free(ids.ids);
    }
    arena_free(&arena);
    hint.sending = false;
}

/* ------------------------------------------------------------------ the end of a turn */

static void pass_on(const struct id_list *ids, bool queue)
{
    for (unsigned i = 0; i < ids->count; i++)
        list_add(&hint.outgoing, ids->ids[i]);
    hint.queue_outgoing |= queue;
    if (!hint.sending)
        hint.sending = task_start(hint.pool, send_task, NULL);
}

static void end_of_turn(void *arg)
{
    (void)arg;
    hint.deferred = false;
    struct id_list ids = list_take(&hint.fresh);
    bool queue = hint.queue_fresh;
    hint.queue_fresh = false;

    begin_round();
    for (unsigned i = 0; i < ids.count; i++)
        tell(ids.ids[i]);
    if (queue)
        tell_queue();
    end_round();

    if (db_ready())
        pass_on(&ids, queue);
    free(ids.ids);
}

static void defer(void)
{
    if (hint.deferred)
        return;
    hint.deferred = true;
    loop_defer(end_of_turn, NULL);
}

void hint_mailbox_changed(int64_t mailbox_id)
{
    list_add(&hint.fresh, mailbox_id);
    defer();
}

void hint_queue_changed(void)
{
    hint.queue_fresh = true;
    defer();
}

/* ------------------------------------------------------------------ from other processes */

/* False: it is our own, or not ours to understand. */
static bool foreign(const char **text)
{
    char *end = NULL;
    unsigned long worker = strtoul(*text, &end, 10);
    if (end == *text || *end != ':' || worker == id_worker())
        return false;
    *text = end + 1;
    return true;
}

static void on_mailbox_notify(const char *text, void *arg)
{
    (void)arg;
    if (!foreign(&text))
        return;
    begin_round();
    const char *p = text;
    int64_t id = 0;
    for (; strlen(p) >= ID_TEXT_SIZE - 1 && id_parse(slice_of(p, ID_TEXT_SIZE - 1), &id); p += ID_TEXT_SIZE) {
        tell(id);
        if (p[ID_TEXT_SIZE - 1] != ',')
            break;
    }
    end_round();
}

static void on_queue_notify(const char *text, void *arg)
{
    (void)arg;
    if (foreign(&text))
        tell_queue();
}

void hint_init(void)
{
    if (!hint.pool)
        hint.pool = task_pool_new("hint", 1, 1);
    db_listen(CHANNEL_MAILBOX, on_mailbox_notify, NULL);
    db_listen(CHANNEL_QUEUE, on_queue_notify, NULL);
}
