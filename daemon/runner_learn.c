/*
 * runner_learn: what deliveries tell of recipients, for domains that learn which are valid.
 *
 * A primary that takes mail for an address has it; one that says 5.1.1 has not.  That costs no question, and keeps
 * what is known of busy recipients young.  What a stand-in (a hop of lower priority) says counts for nothing: it takes
 * everything.
 *
 * Which domains learn is the database's to know; facts are gathered here and written once in a while, and what was
 * told within the last hour is not told again.  Nothing of it must survive: a stop or a crash loses some, and they are
 * learned again.
 */
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "runner"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_report.h"
#include "protocols/smtp_client.h"
#include "storage/learned.h"

#define FACTS_MAX 1000
#define FLUSH_MS 1000
#define TOLD_MAX 8192 /* a power of two */
#define TOLD_AGE_MS (60 * 60 * 1000)

static struct learned_fact facts[FACTS_MAX];
static unsigned fact_count;
static struct arena *texts;
static struct told {
    uint64_t hash, at;
} told[TOLD_MAX];

static uint64_t hash_of(int64_t domain_id, struct slice address, bool valid)
{
    uint64_t hash = (uint64_t)domain_id * 2 + valid;

    for (size_t i = 0; i < address.n; i++) {
        hash = (hash ^ (unsigned char)address.p[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

static bool is_news(int64_t domain_id, struct slice address, bool valid)
{
    uint64_t hash = hash_of(domain_id, address, valid), opposite = hash_of(domain_id, address, !valid);
    struct told *slot = &told[hash % TOLD_MAX];

    if (slot->hash == hash && clock_steady_ms() < slot->at + TOLD_AGE_MS)
        return false;
    *slot = (struct told){hash, clock_steady_ms()};
    if (told[opposite % TOLD_MAX].hash == opposite)
        told[opposite % TOLD_MAX] = (struct told){0};
    return true;
}

void runner_learn(const struct smtp_client *client, const struct runner_entry *entry, bool valid)
{
    if (entry->destination->route.kind != ROUTE_DOMAIN || !smtp_client_is_primary(client) || fact_count == FACTS_MAX ||
        !is_news(entry->domain_id, entry->recipient, valid))
        return;
    if (!texts)
        texts = arena_new(SIZE_MAX);
    facts[fact_count++] = (struct learned_fact){entry->domain_id, arena_slice(texts, entry->recipient), valid};
}

/* One task's: a copy on its stack would be half of it. */
static struct learned_fact taken[FACTS_MAX];

void runner_learn_for_ever(void *arg)
{
    (void)arg;
    while (!runner_draining()) {
        task_sleep(FLUSH_MS);
        struct arena *arena = texts;
        unsigned count = fact_count;

        if (!count)
            continue;
        memcpy(taken, facts, count * sizeof *facts);
        texts = NULL;
        fact_count = 0;
        if (learned_note(taken, count) != DB_DONE)
            log_info("what deliveries told of recipients was not learned", log_int("count", count));
        arena_free(&arena);
    }
}
