#ifndef TESTS_UNIT_IMAP_FAKES_H
#define TESTS_UNIT_IMAP_FAKES_H
/*
 * What the tests of the IMAP session share: a storage and a SASL that answer what the test says.  The functions that a
 * session calls are defined here; the linker takes these.  The client is in imap_client.h.
 *
 * The storage has one mailbox, id 7, with messages of UIDs 10, 20, 30 ..., which changes when an answer is DONE.  A
 * function of it waits for fake.hang, if that is set, before it answers.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/stream.h"
#include "protocols/sasl.h"
#include "protocols/server.h"
#include "storage/accept.h"
#include "storage/body.h"
#include "storage/guard.h"
#include "storage/held_folder.h"
#include "storage/hint.h"
#include "storage/mailbox.h"
#include "storage/node.h"
#include "storage/subscription.h"

#define WATCHDOG_MS 20000
#define ITEMS_MAX 64

struct hint_watch {
    hint_fn *fn;
    void *arg;
};

static struct {
    enum sasl_result login;
    enum db_status find, by_id, items, count, uids, list, subscriptions, body;
    enum mailbox_refusal refusal;
    enum db_write create, remove, rename, subscribe, unsubscribe, store, copy, expunge, accept;
    enum db_write release;
    enum held_folder_refusal release_refusal;
    enum mailbox_role role;   /* of the one mailbox */
    bool node_dead, vanishes; /* vanishes: the last message is expunged between a look at the items and the count */
    struct mailbox_item item[ITEMS_MAX];
    unsigned item_count, bodies, looks; /* how often a body was read, and the mailbox looked at */
    int64_t modseq, uidnext;
    struct hint_watch *watch;
    struct task_wait *hang;
} fake;

static void fake_add(uint64_t size)
{
    assert_true(fake.item_count < ITEMS_MAX);
    fake.item[fake.item_count++] =
        (struct mailbox_item){.uid = fake.uidnext, .message_id = fake.uidnext, .size = size, .modseq = ++fake.modseq};
    fake.uidnext += 10;
}

static void fake_drop(int64_t uid)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < fake.item_count; i++)
        if (fake.item[i].uid != uid)
            fake.item[kept++] = fake.item[i];
    fake.item_count = kept;
    fake.modseq++;
}

static void wait_if_told(void)
{
    if (fake.hang)
        task_wait(fake.hang);
}

struct sasl_attempt {
    int unused;
};

void sasl_describe_client(struct sasl_client *client, struct arena *arena, const char *service, const char *peer,
                          const struct stream *stream)
{
    (void)arena;
    *client = (struct sasl_client){.service = service, .peer = peer, .tls = stream_is_tls(stream)};
}

const char *sasl_mechanisms(const struct sasl_client *client)
{
    return client->tls ? "FAKE PLAIN" : "FAKE";
}

unsigned guard_delay(unsigned least_ms, const char *client, uint64_t began_ms)
{
    (void)client;
    (void)began_ms;
    return least_ms;
}

struct sasl_attempt *sasl_attempt_new(const struct sasl_client *client)
{
    assert_string_equal(client->service, "imap");
    return calloc(1, sizeof(struct sasl_attempt));
}

void sasl_attempt_free(struct sasl_attempt **attempt)
{
    free(*attempt);
    *attempt = NULL;
}

/* "c": a challenge; else what the test says. */
enum sasl_result sasl_attempt_begin(struct sasl_attempt *attempt, struct arena *arena, struct slice mechanism,
                                    struct slice initial, struct slice *challenge)
{
    (void)attempt, (void)arena, (void)mechanism;
    wait_if_told();
    *challenge = SLICE("more?");
    return slice_equal(initial, SLICE("c")) ? SASL_RESULT_CHALLENGE : fake.login;
}

enum sasl_result sasl_attempt_continue(struct sasl_attempt *attempt, struct arena *arena, struct slice response,
                                       struct slice *challenge)
{
    (void)attempt, (void)arena;
    assert_true(slice_equal(response, SLICE("yes")));
    *challenge = (struct slice){0};
    return fake.login;
}

void sasl_attempt_account(const struct sasl_attempt *attempt, struct arena *arena, struct directory_account *out)
{
    (void)attempt;
    *out = (struct directory_account){.id = 1, .inbox_id = 7, .address = arena_slice(arena, SLICE("ann@example.test"))};
}

enum sasl_result sasl_password(const struct sasl_client *client, struct arena *arena, struct slice login,
                               struct slice password, struct directory_account *out)
{
    (void)client, (void)arena, (void)login, (void)password, (void)out;
    fail(); /* never in clear */
    return SASL_RESULT_DENIED;
}

/* ------------------------------------------------------------------ storage: reading */

static struct mailbox the_mailbox(void)
{
    return (struct mailbox){.id = 7,
                            .account_id = 1,
                            .name = SLICE("INBOX"),
                            .uidvalidity = 1700000000,
                            .uidnext = fake.uidnext,
                            .modseq = fake.modseq};
}

enum db_status mailbox_list(struct arena *arena, int64_t account_id, struct mailbox **out, unsigned *count)
{
    assert_int_equal(account_id, 1);
    wait_if_told();
    *out = arena_alloc(arena, sizeof **out);
    **out = the_mailbox();
    *count = 1;
    return fake.list;
}

enum db_status subscription_list(struct arena *arena, int64_t account_id, struct mailbox **out, unsigned *count)
{
    enum db_status listed = mailbox_list(arena, account_id, out, count);

    return listed == DB_FOUND ? fake.subscriptions : listed;
}

enum db_status mailbox_find(struct arena *arena, int64_t account_id, struct slice name, struct mailbox *out)
{
    (void)arena;
    assert_int_equal(account_id, 1);
    wait_if_told();
    *out = the_mailbox();
    out->role = slice_equal(name, SLICE("INBOX")) ? MAILBOX_ORDINARY : fake.role;
    return fake.find;
}

enum db_status mailbox_by_id(struct arena *arena, int64_t mailbox_id, struct mailbox *out)
{
    (void)arena;
    assert_int_equal(mailbox_id, 7);
    wait_if_told();
    if (++fake.looks > 10000) { /* a session that asks again at once never gives the loop back */
        fprintf(stderr, "the mailbox is asked for without end\n");
        abort();
    }
    *out = the_mailbox();
    return fake.by_id;
}

enum db_status mailbox_count(int64_t mailbox_id, struct mailbox_counts *out)
{
    assert_int_equal(mailbox_id, 7);
    if (fake.vanishes)
        fake.item_count--;
    fake.vanishes = false;
    *out = (struct mailbox_counts){.messages = fake.item_count};
    return fake.count;
}

enum db_status mailbox_items(struct arena *arena, int64_t mailbox_id, int64_t after_uid, int64_t since_modseq,
                             unsigned limit, struct mailbox_item **out, unsigned *count)
{
    assert_int_equal(mailbox_id, 7);
    *out = arena_array(arena, ITEMS_MAX, sizeof **out);
    *count = 0;
    for (unsigned i = 0; i < fake.item_count && *count < limit; i++)
        if (fake.item[i].uid > after_uid && fake.item[i].modseq > since_modseq)
            (*out)[(*count)++] = fake.item[i];
    return fake.items == DB_FOUND && !*count ? DB_NONE : fake.items;
}

enum db_status mailbox_uids(struct arena *arena, int64_t mailbox_id, int64_t **out, unsigned *count)
{
    assert_int_equal(mailbox_id, 7);
    *out = arena_array(arena, ITEMS_MAX, sizeof **out);
    *count = fake.item_count;
    for (unsigned i = 0; i < fake.item_count; i++)
        (*out)[i] = fake.item[i].uid;
    return fake.uids == DB_FOUND && !*count ? DB_NONE : fake.uids;
}

/* A message is "Subject: UID", an empty line and lines of 62 letters. */
enum db_status body_read(struct arena *arena, int64_t message_id, uint64_t offset, struct slice *out)
{
    size_t size = 0, n;
    char *bytes;

    assert_int_equal(offset, 0);
    wait_if_told();
    fake.bodies++;
    for (unsigned i = 0; i < fake.item_count; i++)
        if (fake.item[i].message_id == message_id)
            size = fake.item[i].size;
    if (fake.body != DB_FOUND || !size)
        return fake.body == DB_FOUND ? DB_NONE : fake.body;
    bytes = arena_alloc(arena, size + 64);
    n = (size_t)sprintf(bytes, "Subject: %d\r\n\r\n", (int)message_id);
    for (size_t i = n; i < size; i++)
        bytes[i] = (i - n) % 64 == 62 ? '\r' : (i - n) % 64 == 63 ? '\n' : 'x';
    *out = slice_of(bytes, size);
    return DB_FOUND;
}

/* Nothing is packed. */
enum db_status body_read_first(struct arena *arena, const int64_t *ids, unsigned count, struct slice *packed)
{
    for (unsigned i = 0; i < count; i++)
        if (body_read(arena, ids[i], 0, &packed[i]) == DB_NONE)
            packed[i] = (struct slice){NULL, 0};
    return fake.body == DB_NONE ? DB_FOUND : fake.body;
}

struct slice body_unpack(struct arena *arena, struct slice packed)
{
    return arena_slice(arena, packed);
}

enum db_status body_load(int64_t message_id, struct spool **out)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice bytes;
    enum db_status status = body_read(arena, message_id, 0, &bytes);

    if (status == DB_FOUND) {
        *out = spool_new();
        assert_true(spool_append(*out, bytes));
    }
    arena_free(&arena);
    return status;
}

enum db_write mailbox_create(int64_t account_id, struct slice name, unsigned max, int64_t *id,
                             enum mailbox_refusal *refusal)
{
    (void)account_id, (void)name, (void)max;
    *id = 8;
    *refusal = fake.refusal;
    return fake.create;
}

enum db_write mailbox_delete(int64_t mailbox_id)
{
    assert_int_equal(mailbox_id, 7);
    return fake.remove;
}

enum db_write mailbox_rename(int64_t account_id, struct slice from, struct slice to, unsigned max,
                             enum mailbox_refusal *refusal)
{
    (void)account_id, (void)from, (void)to, (void)max;
    *refusal = fake.refusal;
    return fake.rename;
}

enum db_write subscription_add(int64_t account_id, struct slice name, unsigned max)
{
    (void)account_id, (void)name, (void)max;
    return fake.subscribe;
}

enum db_write subscription_remove(int64_t account_id, struct slice name)
{
    (void)account_id, (void)name;
    return fake.unsubscribe;
}

enum db_write mailbox_store(int64_t mailbox_id, const int64_t *uids, unsigned count, enum mailbox_store how,
                            unsigned flags, const struct slice *keywords, unsigned keyword_count, int64_t *modseq)
{
    (void)keywords, (void)keyword_count;
    assert_int_equal(mailbox_id, 7);
    assert_int_equal(how, MAILBOX_STORE_ADD);
    wait_if_told();
    if (fake.store != DB_DONE)
        return fake.store;
    *modseq = ++fake.modseq;
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < fake.item_count; k++)
            if (fake.item[k].uid == uids[i]) {
                fake.item[k].flags |= flags;
                fake.item[k].modseq = *modseq;
            }
    return DB_DONE;
}

enum db_write mailbox_copy(struct mailbox_copying *copying)
{
    copying->first_uid = 100;
    copying->copied = copying->count;
    for (unsigned i = 0; copying->move && fake.copy == DB_DONE && i < copying->count; i++)
        fake_drop(copying->uids[i]);
    return fake.copy;
}

enum db_write held_folder_release(const struct directory_account *account, const char *peer,
                                  struct mailbox_copying *copying, enum held_folder_refusal *refusal)
{
    (void)account, (void)peer;
    wait_if_told();
    *refusal = fake.release_refusal;
    copying->first_uid = 200;
    copying->copied = copying->count;
    for (unsigned i = 0; copying->move && fake.release == DB_DONE && i < copying->count; i++)
        fake_drop(copying->uids[i]);
    return fake.release;
}

enum db_write mailbox_expunge(int64_t mailbox_id, const int64_t *uids, unsigned count, bool only_deleted)
{
    (void)only_deleted;
    assert_int_equal(mailbox_id, 7);
    wait_if_told();
    if (fake.expunge == DB_DONE)
        for (unsigned i = 0; i < count; i++)
            fake_drop(uids[i]);
    return fake.expunge;
}

enum db_write accept_commit(struct accept_message *messages, unsigned count)
{
    assert_int_equal(count, 1);
    assert_int_equal(messages->recipients->mailbox_id, 7);
    wait_if_told();
    if (fake.accept == DB_DONE) {
        messages->recipients->uid = fake.uidnext;
        messages->recipients->uidvalidity = 1700000000;
        fake_add(spool_size(messages->spool));
    }
    return fake.accept;
}

bool node_alive(void)
{
    return !fake.node_dead;
}

struct hint_watch *hint_watch_mailbox(int64_t mailbox_id, hint_fn *fn, void *arg)
{
    struct hint_watch *watch = calloc(1, sizeof *watch);

    assert_int_equal(mailbox_id, 7);
    *watch = (struct hint_watch){fn, arg};
    fake.watch = watch;
    return watch;
}

void hint_unwatch(struct hint_watch **watch)
{
    if (*watch == fake.watch)
        fake.watch = NULL;
    free(*watch);
    *watch = NULL;
}

#endif
