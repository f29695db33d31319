#ifndef TESTS_UNIT_SMTP_WORLD_H
#define TESTS_UNIT_SMTP_WORLD_H
/*
 * The world that an SMTP session asks, as the test wants it: a directory, a store that keeps copies of what it
 * accepts, and a SASL with one password.  At each await the database answers FOUND, NONE, FAILED or UNCERTAIN, late if
 * it shall.
 *
 * The functions that a session calls are defined here; the linker takes these.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cidr.h"
#include "core/spool.h"
#include "core/stream.h"
#include "protocols/sasl.h"
#include "storage/accept.h"
#include "storage/decision.h"
#include "storage/directory.h"
#include "storage/directory_grant.h"
#include "storage/guard.h"
#include "storage/learned.h"
#include "storage/node.h"
#include "storage/route_rule.h"

static struct {
    bool directory_away, learned_away;
    bool network; /* 127.0.0.1 is in a network of customer 1 */
    bool outage;  /* relayed.test's primary is away */
    bool node_dead;
    enum db_write commit;
    unsigned wait_ms; /* each answer comes that late */
    unsigned lookups, commits, noted;
    int64_t note_id; /* what the next refusals are noted as; 0: not at all */
    char noted_reason[80];
} world;

static struct accepted_copy {
    unsigned cell, recipient_count;
    int64_t customer_id, account_id;
    char sender[100], content[8192];
    struct accept_recipient recipients[8];
    char addresses[8][100], destinations[8][100], parameters[8][100];
} copies[4];
static unsigned copy_count;

static inline void late(void)
{
    if (world.wait_ms)
        task_sleep(world.wait_ms);
}

static const struct directory_account accounts[] = {
    {.id = 100,
     .customer_id = 1,
     .inbox_id = 1000,
     .cell = 10,
     .address = {"alice@hosted.test", 17},
     .state = DIRECTORY_ACTIVE},
    {.id = 200,
     .customer_id = 2,
     .inbox_id = 2000,
     .cell = 20,
     .address = {"bob@other.test", 14},
     .state = DIRECTORY_ACTIVE},
    {.id = 300,
     .customer_id = 3,
     .inbox_id = 3000,
     .cell = 30,
     .address = {"carol@relayed.test", 18},
     .state = DIRECTORY_ACTIVE},
    {.id = 101,
     .customer_id = 1,
     .inbox_id = 1001,
     .cell = 10,
     .address = {"gone@hosted.test", 16},
     .state = DIRECTORY_SUSPENDED},
};

static inline void find_domain(struct slice name, struct directory_recipient *out)
{
    out->has_domain = true;
    out->domain.customer_active = true;
    if (slice_equal_nocase(name, SLICE("hosted.test"))) {
        out->domain.id = 11, out->domain.customer_id = 1, out->domain.cell = 10;
    } else if (slice_equal_nocase(name, SLICE("other.test"))) {
        out->domain.id = 12, out->domain.customer_id = 2, out->domain.cell = 20;
    } else if (slice_equal_nocase(name, SLICE("relayed.test"))) {
        out->domain.id = 13, out->domain.customer_id = 3, out->domain.cell = 30;
        out->domain.kind = DIRECTORY_RELAY;
        out->domain.outage_id = world.outage ? 77 : 0;
    } else if (slice_equal_nocase(name, SLICE("learning.test"))) {
        out->domain.id = 14, out->domain.customer_id = 3, out->domain.cell = 30;
        out->domain.kind = DIRECTORY_RELAY;
        out->domain.valid = DIRECTORY_VALID_LEARNED;
        out->domain.outage_id = world.outage ? 78 : 0;
    } else {
        out->has_domain = false;
    }
}

/* Two who are here, one of them twice, one who is gone, and one outside. */
static inline void make_expansion(enum directory_posters senders, struct directory_recipient *out)
{
    static struct slice targets[] = {{"alice@hosted.test", 17},
                                     {"al@hosted.test", 14},
                                     {"bob@other.test", 14},
                                     {"gone@hosted.test", 16},
                                     {"dan@elsewhere.test", 18}};

    out->has_expansion = true;
    out->expansion = (struct directory_expansion){.id = 500,
                                                  .customer_id = 1,
                                                  .cell = 10,
                                                  .group = senders != DIRECTORY_POSTERS_ANYONE,
                                                  .senders = senders,
                                                  .targets = targets,
                                                  .target_count = 5};
}

enum db_status directory_recipient(struct arena *arena, struct slice address, struct directory_recipient *out)
{
    const char *at = memrchr(address.p, '@', address.n);
    (void)arena;
    world.lookups++;
    late();
    if (world.directory_away)
        return DB_FAILED;
    *out = (struct directory_recipient){0};
    find_domain(slice_skip(address, (size_t)(at - address.p) + 1), out);
    if (slice_equal_nocase(address, SLICE("al@hosted.test"))) /* an alias */
        address = accounts[0].address;
    if (slice_equal_nocase(address, SLICE("team@hosted.test")))
        make_expansion(DIRECTORY_POSTERS_ANYONE, out);
    if (slice_equal_nocase(address, SLICE("inner@hosted.test")))
        make_expansion(DIRECTORY_POSTERS_MEMBERS, out);
    for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
        if (slice_equal_nocase(address, accounts[i].address)) {
            out->has_account = true;
            out->account = accounts[i];
        }
    }
    return DB_FOUND;
}

enum db_status directory_recipients(struct arena *arena, const struct slice *addresses, unsigned count,
                                    struct directory_recipient *out)
{
    enum db_status status = DB_FOUND;

    for (unsigned i = 0; i < count && status == DB_FOUND; i++)
        status = directory_recipient(arena, addresses[i], &out[i]);
    return status;
}

/* known@ and gone@learning.test were learned long ago, fresh@ just now. */
enum db_status learned_find(struct arena *arena, int64_t domain_id, const struct slice *addresses, unsigned count,
                            bool fresh, struct learned *out)
{
    (void)arena, (void)fresh;
    late();
    assert_int_equal(domain_id, 14);
    for (unsigned i = 0; i < count; i++) {
        bool young = slice_equal_nocase(addresses[i], SLICE("fresh@learning.test"));
        bool valid = young || slice_equal_nocase(addresses[i], SLICE("known@learning.test"));

        out[i] = (struct learned){.known = valid || slice_equal_nocase(addresses[i], SLICE("gone@learning.test")),
                                  .valid = valid,
                                  .until_ms = young ? INT64_MAX / 2 : 1,
                                  .all_until_ms = INT64_MIN};
    }
    return world.learned_away ? DB_FAILED : DB_FOUND;
}

enum db_status directory_account(struct arena *arena, struct slice login, struct directory_account *out)
{
    struct directory_recipient found;
    if (directory_recipient(arena, login, &found) == DB_FAILED)
        return DB_FAILED;
    *out = found.account;
    return found.has_account ? DB_FOUND : DB_NONE;
}

enum db_status directory_domain(struct arena *arena, struct slice name, struct directory_domain *out)
{
    struct directory_recipient found = {0};
    (void)arena;
    late();
    if (world.directory_away)
        return DB_FAILED;
    find_domain(name, &found);
    *out = found.domain;
    return found.has_domain ? DB_FOUND : DB_NONE;
}

enum db_status route_rule_find(struct arena *arena, const struct route_rule_mail *mail, struct route_rule_found *out)
{
    (void)arena, (void)mail;
    *out = (struct route_rule_found){0};
    late();
    return world.directory_away ? DB_FAILED : DB_NONE;
}

enum db_status directory_network(struct arena *arena, const char *client, struct directory_network *out)
{
    (void)arena;
    assert_string_equal(client, "127.0.0.1");
    late();
    if (world.directory_away)
        return DB_FAILED;
    *out = (struct directory_network){5, 1, 10, true};
    return world.network ? DB_FOUND : DB_NONE;
}

enum db_status directory_grants_of_account(struct arena *arena, const struct directory_account *account, int64_t at_ms,
                                           struct directory_grants *out)
{
    (void)arena, (void)account, (void)at_ms;
    late();
    *out = (struct directory_grants){0};
    return world.directory_away ? DB_FAILED : DB_FOUND;
}

enum db_status directory_grants_of_client(struct arena *arena, const char *client, struct slice certificate,
                                          int64_t at_ms, struct directory_grants *out)
{
    (void)arena, (void)client, (void)certificate, (void)at_ms;
    late();
    *out = (struct directory_grants){0};
    return world.directory_away ? DB_FAILED : DB_FOUND;
}

enum db_status directory_grants_usage(struct arena *arena, struct directory_grants *grants)
{
    (void)arena, (void)grants;
    late();
    return world.directory_away ? DB_FAILED : DB_FOUND;
}

int64_t decision_note(const struct decision *decision)
{
    world.noted++;
    snprintf(world.noted_reason, sizeof world.noted_reason, "%s %.*s", decision->command.p,
             SLICE_ARG(decision->reason));
    return world.note_id;
}

bool node_alive(void)
{
    return !world.node_dead;
}

static inline void keep_copy(const struct accept_message *message)
{
    struct accepted_copy *copy = &copies[copy_count++];
    char buffer[sizeof(copy->content)];
    struct slice body;

    *copy = (struct accepted_copy){.cell = message->cell, .recipient_count = message->recipient_count};
    copy->customer_id = message->customer_id;
    copy->account_id = message->account_id;
    snprintf(copy->sender, sizeof(copy->sender), "%.*s", SLICE_ARG(message->sender));
    assert_true(spool_read(message->spool, 0, sizeof(buffer), buffer, &body));
    snprintf(copy->content, sizeof(copy->content), "%.*s%.*s", SLICE_ARG(message->prefix), SLICE_ARG(body));
    for (unsigned i = 0; i < message->recipient_count; i++) {
        copy->recipients[i] = message->recipients[i];
        snprintf(copy->addresses[i], 100, "%.*s", SLICE_ARG(message->recipients[i].address));
        snprintf(copy->destinations[i], 100, "%.*s", SLICE_ARG(message->recipients[i].destination));
        snprintf(copy->parameters[i], 100, "%.*s", SLICE_ARG(message->recipients[i].parameters));
    }
}

enum db_write accept_commit(struct accept_message *messages, unsigned count)
{
    world.commits++;
    late();
    if (world.commit == DB_DONE)
        for (unsigned i = 0; i < count; i++)
            keep_copy(&messages[i]);
    return world.commit;
}

/* ------------------------------------------------------------------ SASL: one password, PLAIN without the Cyrus */

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
    return client->tls ? "SCRAM-SHA-256 PLAIN LOGIN" : "SCRAM-SHA-256";
}

unsigned guard_delay(unsigned least_ms, const char *client, uint64_t began_ms)
{
    (void)client;
    (void)began_ms;
    return least_ms;
}

struct sasl_attempt *sasl_attempt_new(const struct sasl_client *client)
{
    (void)client;
    return calloc(1, sizeof(struct sasl_attempt));
}

void sasl_attempt_free(struct sasl_attempt **attempt)
{
    free(*attempt);
    *attempt = NULL;
}

/* The response is "away", "no", "data" (success with data), or anything else: success. */
enum sasl_result sasl_attempt_begin(struct sasl_attempt *attempt, struct arena *arena, struct slice mechanism,
                                    struct slice initial, struct slice *challenge)
{
    (void)mechanism;
    if (initial.p)
        return sasl_attempt_continue(attempt, arena, initial, challenge);
    *challenge = SLICE("who?");
    return SASL_RESULT_CHALLENGE;
}

enum sasl_result sasl_attempt_continue(struct sasl_attempt *attempt, struct arena *arena, struct slice response,
                                       struct slice *challenge)
{
    (void)attempt, (void)arena;
    late();
    if (slice_equal(response, SLICE("away")))
        return SASL_RESULT_UNAVAILABLE;
    if (slice_equal(response, SLICE("no")))
        return SASL_RESULT_DENIED;
    if (slice_equal(response, SLICE("data")))
        *challenge = SLICE("v=proof");
    return SASL_RESULT_OK;
}

void sasl_attempt_account(const struct sasl_attempt *attempt, struct arena *arena, struct directory_account *out)
{
    (void)attempt, (void)arena;
    *out = accounts[0];
}

#endif
