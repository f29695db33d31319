/*
 * webhooks: tells others what happens, by HTTP POST (Standard Webhooks 1.0.0).
 *
 *     webhook-id         of the event; the same when it is sent again
 *     webhook-timestamp  of this try, in seconds
 *     webhook-signature  v1,base64(HMAC-SHA256(secret, id.timestamp.body))
 *
 * Each POLL_MS a worker takes webhooks of which something is due; a task for each sends it, one message after the
 * other, and gives the webhook back.  The lease is longer than a task may take, so two never send for one at the same
 * time unless a clock stands still; receivers know a repetition by its id.
 *
 *     2xx                     told
 *     410                     it wants no more: switched off
 *     another answer          this message is put off by itself: retry_first, doubled; the next is tried
 *     no answer, no address   all of its messages wait so long: nobody is called for each of ten thousand
 *     older than lifetime     given up, and counted
 *
 * A url is whatever a customer's administrator wrote, so each address that is connected to is judged, at that moment
 * and not before: a name can lead elsewhere a second later.  Networks that are not anybody's are refused unless the
 * configuration has them, and nothing goes in clear to others than those.  Redirections are not followed.
 *
 * Rejected: signing in at the receiver (the signature does what that would), and an order that is kept, for which one
 * message that is refused would hold up all that follow.
 */
#include "daemon/webhooks.h"

#include <string.h>

#define LOG_MODULE "webhook"
#include "core/clock.h"
#include "core/http.h"
#include "core/id.h"
#include "core/log.h"
#include "core/public_address.h"
#include "core/secret.h"
#include "relay/retry.h"
#include "storage/db.h"
#include "storage/webhook.h"
#include "storage/webhook_secret.h"

#define POLL_MS 500
#define EXPIRE_EVERY 60 /* polls */
#define SENDERS_MAX 8
#define MESSAGES 20
#define SEND_MS 15000
#define TURN_MS 60000
#define LEASE_MS (TURN_MS + SEND_MS + 45000)
#define ANSWER_MAX 65536
#define GONE 410

static struct webhooks_settings settings;
static struct webhooks_counters counters;
static struct task_pool *poller, *senders;
static bool stopping;

/* One webhook that this worker has. */
struct turn {
    struct arena *arena;
    struct webhook_due due;
};

static bool may_connect(const struct sockaddr *address, void *clear)
{
    return cidr_list_contains(&settings.networks, address) || (!*(bool *)clear && public_address(address));
}

static unsigned back_off(unsigned failures)
{
    uint32_t random;

    secret_random(&random, sizeof random);
    return (unsigned)retry_backoff(settings.retry_first_ms, settings.retry_max_ms, failures, random);
}

/* NULL: told. */
static AWAITS const char *send_one(const struct turn *turn, struct arena *arena, const struct webhook_message *message,
                                   struct webhook_failure *failure)
{
    char text[ID_TEXT_SIZE];
    int64_t now = clock_now_ms() / 1000;
    const char *id = id_print(message->event_id, text), *why = NULL;
    const char *fields[] = {
        arena_printf(arena, "webhook-id: %s", id), arena_printf(arena, "webhook-timestamp: %lld", (long long)now),
        arena_printf(arena, "webhook-signature: %s", webhook_secret_sign(arena, turn->due.key, id, now, message->body)),
        NULL};
    bool clear = strncmp(turn->due.url, "https://", 8) != 0;
    struct http_request request = {
        .url = turn->due.url,
        .body = message->body,
        .body_type = "application/json",
        .fields = fields,
        .ca_file = settings.ca_file,
        .may_connect = may_connect,
        .may_connect_arg = &clear,
        .failure = &why,
        .timeout_ms = SEND_MS,
        .answer_max = ANSWER_MAX,
    };
    struct slice answer;
    unsigned status = 0;

    if (!http_fetch(arena, &request, &status, &answer) &&
        !status) { /* what it says beyond the status is nothing to us */
        failure->all = true;
        return why;
    }
    failure->gone = status == GONE;
    return status / 100 == 2 ? NULL : arena_printf(arena, "HTTP status %u", status);
}

/* False: no more of this one now. */
static AWAITS bool send_and_tell(const struct turn *turn, const struct webhook_message *message)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct webhook_failure failure = {.all = turn->due.trouble != NULL};
    const char *why = turn->due.trouble ? turn->due.trouble : send_one(turn, arena, message, &failure);
    enum db_write written;

    if (!why) {
        counters.sent++;
        written = webhook_sent(turn->due.id, message->event_id);
    } else {
        counters.failed++;
        failure.why = slice_str(why);
        failure.again_ms = back_off(1 + (failure.all ? turn->due.failures : message->attempts));
        log_info("not told", log_id("webhook", turn->due.id), log_id("event", message->event_id),
                 log_str("reason", why), log_int("again_ms", failure.again_ms));
        written = webhook_failed(turn->due.id, message->event_id, &failure);
    }
    arena_free(&arena);
    return written == DB_DONE && !failure.all && !failure.gone;
}

static AWAITS void take_turn(void *arg)
{
    struct turn *turn = arg;
    struct arena *arena = turn->arena;
    uint64_t end = clock_steady_ms() + TURN_MS;
    struct webhook_message *messages = NULL;
    unsigned count = 0;

    if (webhook_messages(arena, turn->due.id, MESSAGES, &messages, &count) == DB_FOUND)
        for (unsigned i = 0; i < count && !stopping && clock_steady_ms() < end; i++)
            if (!send_and_tell(turn, &messages[i]))
                break;
    if (webhook_release(turn->due.id) != DB_DONE)
        log_debug("a webhook comes back when its lease is over", log_id("webhook", turn->due.id));
    arena_free(&arena);
}

/* How many were taken. */
static AWAITS unsigned take_some(void)
{
    unsigned room = SENDERS_MAX - task_pool_busy(senders), count = 0;
    struct arena *arena = arena_new(SIZE_MAX);
    struct webhook_due *due = NULL;

    if (room && webhook_claim(arena, room, LEASE_MS, &due, &count) == DB_DONE)
        for (unsigned i = 0; i < count; i++) {
            struct arena *own = arena_new(SIZE_MAX);
            struct turn *turn = arena_alloc(own, sizeof *turn);

            *turn = (struct turn){own, due[i]};
            turn->due.url = arena_strdup(own, due[i].url);
            turn->due.trouble = due[i].trouble;
            turn->due.key = due[i].key.p ? secret_slice(own, due[i].key) : due[i].key;
            if (!task_start(senders, take_turn, turn)) /* its lease ends by itself */
                arena_free(&own);
        }
    arena_free(&arena);
    return count;
}

static AWAITS void poll_for_ever(void *arg)
{
    unsigned given_up, polls = 0;

    (void)arg;
    while (!stopping) {
        if (db_ready() && !take_some() && polls++ % EXPIRE_EVERY == 0 &&
            webhook_expire(settings.lifetime_ms, &given_up) == DB_DONE && given_up) {
            counters.given_up += given_up;
            log_warn("events that nobody took are given up", log_int("count", given_up));
        }
        task_sleep(POLL_MS);
    }
}

void webhooks_init(const struct webhooks_settings *s)
{
    settings = *s;
    http_init();
    poller = task_pool_new("webhooks", 1, 0);
    senders = task_pool_new("webhook", SENDERS_MAX, 0);
    if (!task_start(poller, poll_for_ever, NULL))
        log_fatal(1, "no stack for webhooks");
}

void webhooks_stop(void)
{
    stopping = true;
}

bool webhooks_busy(void)
{
    return senders && task_pool_busy(senders);
}

void webhooks_counters(struct webhooks_counters *out)
{
    *out = counters;
}
