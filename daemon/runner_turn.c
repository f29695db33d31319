/*
 * runner_turn: deliveries over a connection that the other side has made and turned round (ATRN, RFC 2645).
 *
 * The lane is one like others, with a batch, a log context and a place among the living, but it has one connection and
 * no other: what is left when that ends waits for the next.  It goes domain after domain, and claims for itself, as
 * nobody else can deliver there: what waits for a domain whose next hops are away, or that has none, is claimed by
 * whoever has the connection, whose cell it is or not (queue_claim_domain()).  An outage that is open stays so: its
 * primary was not reached, and what comes next waits again.
 *
 * Order is that of priority and then of acceptance, as in a drain.  What comes meanwhile goes by its priority, too,
 * before what is claimed after it: claims are small, and each begins with the highest priority again, behind what was
 * tried of each.
 *
 * It counts as one of its destination's lanes and connections while it works, and has one of the stacks of deliveries,
 * so that an orderly stop waits for it as for them.
 */
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "delivery"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_bounce.h"
#include "daemon/runner_claim.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_protect.h"
#include "daemon/runner_report.h"
#include "storage/directory_route.h"

#define CLAIM_MAX 20 /* what is urgent waits for so many at the most */
#define TURNS_MAX 8  /* connections at once: they have stacks that other deliveries want */

struct turn {
    struct stream *stream;
    char *peer;
    int64_t *domain_ids;
    unsigned count;
    struct runner_lane lane;
};

static unsigned turns;

/* ------------------------------------------------------------------ one domain */

/* A claim tells which entries are ours, in order of their ids. */
static int by_urgency(const void *a, const void *b)
{
    const struct queue_entry *x = a, *y = b;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Entries of one message, in order; what is in memory already is somebody else's. */
static unsigned fill_batch(struct runner_batch *batch, struct runner_entry **entries, unsigned count)
{
    unsigned n = 0, most = RUNNER_BATCH_MAX;

    *batch = (struct runner_batch){.message = entries[0]->message};
    while (n < count && entries[n]->message == batch->message && runner_batch_takes(n, entries[n]->recipient, &most))
        batch->entries[batch->count++] = entries[n++];
    return n;
}

/* The connection is over: what was claimed with it waits again. */
static void give_back(struct runner_entry **entries, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        runner_release(entries[i]);
}

/* False: nothing is left, or nothing can be done any more. */
static AWAITS bool send_some(struct runner_lane *lane, int64_t domain_id, struct queue_tried *tried)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct queue_entry *list = NULL;
    struct runner_entry **entries;
    unsigned claimed = 0, count = 0, sent = 0;

    runner_claims_add(1);
    if (queue_claim_domain(arena, domain_id, tried, CLAIM_MAX, &list, &claimed) != DB_FOUND)
        claimed = 0;
    if (claimed)
        qsort(list, claimed, sizeof *list, by_urgency);
    for (unsigned i = 0; i < claimed; i++) /* each is tried once, whatever becomes of it */
        tried->ids[list[i].priority - QUEUE_PRIORITY_MIN] = list[i].id;
    entries = arena_array(arena, claimed + 1, sizeof(struct runner_entry *));
    for (unsigned i = 0; i < claimed; i++)
        if ((entries[count] = runner_entry_claimed(&list[i])))
            count++;
    runner_claims_add(-1);
    while (sent < count && lane->client && !runner_draining()) {
        sent += fill_batch(&lane->batch, entries + sent, count - sent);
        runner_deliver(lane, &lane->batch);
        arena_reset(lane->arena);
    }
    give_back(entries + sent, count - sent);
    arena_free(&arena);
    return claimed && lane->client && !runner_draining();
}

static AWAITS void send_domain(struct runner_lane *lane, int64_t domain_id)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct runner_destination *d = runner_destination(queue_destination_domain(arena, domain_id));
    struct queue_tried tried = {{0}};

    arena_free(&arena);
    d->lanes++;
    d->connected++;
    lane->destination = d;
    while (send_some(lane, domain_id, &tried))
        ;
    if (lane->client) /* else whoever dropped it has counted */
        d->connected--;
    runner_lane_ended(d);
}

static AWAITS bool is_only_way(struct runner_lane *lane)
{
    struct directory_hop *hops = NULL;
    unsigned count = 0;

    switch (directory_hops(lane->arena, lane->destination->route.domain_id, &hops, &count)) {
    case DB_FOUND: return count == 0;
    case DB_NONE: return true;
    case DB_FAILED: break;
    }
    return false;
}

/* ------------------------------------------------------------------ not good enough */

static void wait_for_another(struct runner_batch *batch, struct slice why)
{
    for (unsigned i = 0; i < batch->count; i++)
        runner_finish(batch->entries[i], QUEUE_AWAY, why, 0);
    batch->count = 0;
}

bool runner_turn_suits(const struct runner_lane *lane, enum runner_protection wanted)
{
    struct runner_lack lack;

    switch (wanted) {
    case RUNNER_PROTECTION_ANY:
    case RUNNER_PROTECTION_ANNOUNCED:
    case RUNNER_PROTECTION_CLEAR:
    case RUNNER_PROTECTION_CERTIFIED: /* who collects has signed in, which is more than a name in a certificate */
    case RUNNER_PROTECTION_VERIFIED:
    case RUNNER_PROTECTION_DANE:
    case RUNNER_PROTECTION_STS: return true;
    case RUNNER_PROTECTION_ENCRYPTED:
    case RUNNER_PROTECTION_REQUIRETLS: break;
    }
    return runner_protection_met(lane->client, wanted, &lack);
}

/* RFC 8689 4.2.1: returned when there is no other way; else a next hop may be good enough. */
void runner_turn_unfit(struct runner_lane *lane, struct runner_batch *batch, enum runner_protection wanted)
{
    if (wanted != RUNNER_PROTECTION_REQUIRETLS) {
        wait_for_another(batch, SLICE("the policy for the domain requires TLS, and its collector uses none"));
        return;
    }
    if (!is_only_way(lane)) {
        wait_for_another(batch, SLICE("REQUIRETLS: it cannot be collected"));
        return;
    }
    runner_bounce_all(
        lane->arena, batch->entries, batch->count, SLICE("5.7.10"),
        SLICE("the sender requires TLS on the whole way, and no certificate tells who collects the domain's mail"));
    batch->count = 0;
}

/* ------------------------------------------------------------------ the connection */

static AWAITS void adopt(struct turn *turn)
{
    const struct runner_settings *settings = runner_settings();
    struct smtp_client_settings client = {
        .hostname = settings->hostname,
        .doubtful = true, /* it was SASL that told who this is, not a certificate */
        .greeting_timeout_ms = settings->reply_timeout_ms,
        .reply_timeout_ms = settings->reply_timeout_ms,
        .end_timeout_ms = settings->data_timeout_ms,
    };
    struct slice why;

    if (!smtp_client_adopt(&client, turn->lane.arena, &turn->stream, turn->peer, &turn->lane.client, &why))
        log_info("collector does not serve", log_slice("reason", why));
}

static AWAITS void turn_main(void *arg)
{
    struct turn *turn = arg;
    struct runner_lane *lane = &turn->lane;

    log_set_context(&lane->log);
    lane->log.peer = turn->peer;
    adopt(turn);
    runner_lane_join(lane);
    for (unsigned i = 0; i < turn->count && lane->client && !runner_draining(); i++)
        send_domain(lane, turn->domain_ids[i]);
    runner_lane_leave(lane);
    smtp_client_quit(&lane->client);
    log_info("collected");
    log_set_context(NULL);
    arena_free(&lane->arena);
    free(turn->domain_ids);
    free(turn->peer);
    free(turn);
    turns--;
}

bool runner_turn(struct stream *stream, const struct smtp_turn *given)
{
    struct turn *turn;

    if (runner_draining() || turns >= TURNS_MAX)
        return false;
    turn = calloc(1, sizeof *turn);
    if (!turn || !(turn->peer = strdup(given->peer)) ||
        !(turn->domain_ids = calloc(given->count, sizeof *turn->domain_ids)))
        abort();
    memcpy(turn->domain_ids, given->domain_ids, given->count * sizeof *turn->domain_ids);
    turn->count = given->count;
    turn->stream = stream;
    turn->lane.turned = true;
    turn->lane.arena = arena_new(SIZE_MAX);
    if (task_start(runner_lanes(), turn_main, turn)) {
        turns++;
        log_info("connection turned round", log_slice("collector", given->account), log_int("domains", given->count));
        return true;
    }
    arena_free(&turn->lane.arena);
    free(turn->domain_ids);
    free(turn->peer);
    free(turn);
    return false;
}
