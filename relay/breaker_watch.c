/*
 * breaker_watch: counting in memory.
 *
 * An account that sends, and for which there is a policy, has a place here: its pattern as it was read last, and what
 * was counted since and is not written.  Both together are judged at each message, so what one worker takes of a burst
 * ends at the limit; what other workers take of it is known when they have written it and this one has read it,
 * BREAKER_WATCH_MS later.
 *
 *     a message      more += 1, and is judged if the pattern was read lately
 *     each tick      patterns of those that have more, and of those whose mail has failed, are read; what is new is
 *                    added; they are written if nobody was faster (else it is tried at the next tick) and judged
 *
 * A pattern that was read long ago is not judged by, and before one is opened the newest is read: it may have been
 * opened and closed meanwhile.  So the first messages after a pause pass unjudged, but no more than a part of the
 * policy's least number: with what is beyond that the newest is read before 250, and judged by.  Who writes three
 * letters pays for no round trip, and who begins with one letter to a thousand does not begin at all.
 *
 * What is counted here and not written is lost with the worker: a pattern is no contract, and a count in the
 * transaction of each message, as limits of grants have it, would make each account's row a place where its messages
 * wait for each other. A write whose answer is lost is taken as written: rather a few too few than twice.
 *
 * There are WATCHED_MAX places; an account beyond that is not watched until some are idle again.  A tick takes
 * FLIGHT_MAX of them, and the next begins where it ended, so that none waits for ever for its turn.
 */
#include "relay/breaker_watch.h"

#include <stdlib.h>

#define LOG_MODULE "breaker"
#include "core/cidr.h"
#include "core/clock.h"
#include "core/log.h"
#include "relay/breaker.h"
#include "storage/held_account.h"
#include "storage/known.h"

#define BUCKETS 4096
#define WATCHED_MAX 20000
#define FRESH_MS 5000
#define IDLE_MS (10 * 60 * 1000)
#define FLIGHT_MAX 200
#define UNREAD_SHARE 10 /* a tenth of the least number passes by a pattern that is not read yet */
#define PEERS 8
#define DAY_MS (24 * BREAKER_HOUR_MS)

struct watched {
    struct watched *next; /* in its bucket */
    int64_t account_id;
    struct breaker_pattern pattern;
    uint32_t more[BREAKER_HOURLY];      /* not written yet */
    uint32_t countries;                 /* new to it today */
    char seen[PEERS][INET6_ADDRSTRLEN]; /* addresses that it has sent from today, the last ones */
    unsigned seen_count, seen_noted;    /* how many there were; of how many the country is noted */
    int64_t day;                        /* of these */
    bool known;                         /* the pattern was read, */
    uint64_t read_ms, used_ms;          /* then; and when it was counted last: steady clock */
};

static struct watched *buckets[BUCKETS];
static unsigned watched_count;
static uint64_t opened_count;

/* ------------------------------------------------------------------ places */

static struct watched **bucket_of(int64_t account_id)
{
    uint64_t mixed = (uint64_t)account_id * UINT64_C(0x9e3779b97f4a7c15);

    return &buckets[mixed >> 52];
}

static struct watched *find(int64_t account_id)
{
    struct watched *w = *bucket_of(account_id);

    while (w && w->account_id != account_id)
        w = w->next;
    return w;
}

/* NULL: there is no place. */
static struct watched *find_or_make(int64_t account_id)
{
    struct watched *w = find(account_id), **bucket = bucket_of(account_id);

    if (w || watched_count >= WATCHED_MAX)
        return w;
    w = calloc(1, sizeof *w);
    if (!w)
        abort();
    *w = (struct watched){.next = *bucket, .account_id = account_id};
    *bucket = w;
    watched_count++;
    return w;
}

/* Counts that are not written, or an address whose country is not noted: it came while the others' were, or that failed. */
static bool has_more(const struct watched *w)
{
    return w->more[BREAKER_MESSAGES] || w->more[BREAKER_RECIPIENTS] || w->seen_noted < w->seen_count;
}

static void drop(int64_t account_id)
{
    struct watched **at = bucket_of(account_id), *w;

    while (*at && (*at)->account_id != account_id)
        at = &(*at)->next;
    if (!(w = *at))
        return;
    *at = w->next;
    free(w);
    watched_count--;
}

/* ------------------------------------------------------------------ counting */

static bool judge(const struct watched *w, const struct breaker_policy *policy, struct breaker_trip *trip)
{
    struct breaker_pattern pattern = w->pattern;
    int64_t now_ms = clock_now_ms();

    breaker_advance(&pattern, now_ms);
    breaker_add(&pattern, w->more);
    return breaker_judge(&pattern, policy, w->countries, now_ms, trip);
}

static void count_peer(struct watched *w, const char *peer)
{
    int64_t day = clock_now_ms() / DAY_MS;
    char plain[INET6_ADDRSTRLEN];

    if (w->day != day)
        w->seen_count = w->seen_noted = w->countries = 0;
    w->day = day;
    if (!peer || !cidr_plain_address(peer, plain))
        return;
    for (unsigned i = 0; i < PEERS && i < w->seen_count; i++)
        if (strcmp(w->seen[i], plain) == 0)
            return;
    if (w->seen_count - w->seen_noted < PEERS) /* more at once come again, or are as many as it takes */
        memcpy(w->seen[w->seen_count++ % PEERS], plain, sizeof plain);
}

/* More than may pass by a pattern that was not read lately. */
static bool is_much(const struct watched *w, const struct breaker_policy *policy)
{
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        if ((uint64_t)w->more[m] * UNREAD_SHARE > policy->least[m])
            return true;
    return false;
}

bool breaker_watch_message(const struct directory_account *account, unsigned recipients, const char *peer)
{
    const struct breaker_policy *policy = breaker_policy_of(account->customer_id, account->domain_id, account->id);
    struct breaker_trip trip;
    struct watched *w;

    if (!policy || !(w = find_or_make(account->id)))
        return false;
    w->more[BREAKER_MESSAGES]++;
    w->more[BREAKER_RECIPIENTS] += recipients;
    w->used_ms = clock_steady_ms();
    count_peer(w, peer);
    if (!w->known || w->used_ms - w->read_ms >= FRESH_MS)
        return is_much(w, policy);
    return judge(w, policy, &trip);
}

void breaker_watch_take_back(const struct directory_account *account, unsigned recipients)
{
    struct watched *w = find(account->id);

    if (!w)
        return;
    w->more[BREAKER_MESSAGES] -= w->more[BREAKER_MESSAGES] ? 1 : 0;
    w->more[BREAKER_RECIPIENTS] -= w->more[BREAKER_RECIPIENTS] < recipients ? w->more[BREAKER_RECIPIENTS] : recipients;
}

uint64_t breaker_watch_opened(void)
{
    return opened_count;
}

/* ------------------------------------------------------------------ opening */

static AWAITS enum db_write open_now(int64_t account_id, struct slice address, const struct breaker_trip *trip,
                                     const struct breaker_policy *policy)
{
    bool opened;
    enum db_write written = breaker_open(account_id, trip, policy, &opened);
    struct watched *w = find(account_id);

    if (written != DB_DONE)
        return written;
    if (w) /* closing forgets what led to it: it must not be written after that */
        memset(w->more, 0, sizeof w->more);
    if (opened) {
        opened_count++;
        log_warn("what an account sends is held: it has left its pattern", log_id("account", account_id),
                 log_slice("address", address), log_str("measure", breaker_measure_word(trip->measure)),
                 log_int("value", trip->value), log_int("limit", trip->limit));
    }
    return known_refresh() == DB_FOUND ? DB_DONE : DB_UNDONE;
}

/* ------------------------------------------------------------------ the tick */

static unsigned collect(int64_t *ids)
{
    static unsigned first;
    unsigned count = 0, from = first;
    uint64_t now = clock_steady_ms();

    for (unsigned n = 0; n < BUCKETS; n++)
        for (struct watched *w = buckets[(from + n) % BUCKETS], *next; w; w = next) {
            next = w->next;
            if (has_more(w)) {
                if (count < FLIGHT_MAX)
                    ids[count++] = w->account_id;
                if (count == FLIGHT_MAX && first == from)
                    first = (from + n + 1) % BUCKETS; /* its own others have their turn when all have had it */
            } else if (now - w->used_ms > IDLE_MS) {
                drop(w->account_id);
            }
        }
    return count;
}

static AWAITS unsigned collect_failing(struct arena *arena, const int16_t *cells, unsigned cell_count, int64_t *ids,
                                       unsigned count)
{
    unsigned had = count, found = 0, i;
    int64_t *failing = NULL;

    if (cell_count && breaker_failing(arena, cells, cell_count, FLIGHT_MAX, &failing, &found) == DB_FOUND)
        while (found--) {
            for (i = 0; i < had && ids[i] != failing[found]; i++)
                ;
            if (i == had)
                ids[count++] = failing[found];
        }
    return count;
}

struct flight {
    struct breaker_account *accounts;
    uint32_t (*taken)[BREAKER_HOURLY];
    bool *written;
    unsigned count;
};

static void advance(struct flight *flight)
{
    int64_t now_ms = clock_now_ms();

    for (unsigned i = 0; i < flight->count; i++) {
        struct breaker_account *account = &flight->accounts[i];
        const struct watched *w = find(account->account_id);
        const uint32_t failures[BREAKER_HOURLY] = {[BREAKER_FAILURES] = account->new_failures};

        if (w)
            memcpy(flight->taken[i], w->more, sizeof w->more);
        breaker_advance(&account->pattern, now_ms);
        breaker_add(&account->pattern, flight->taken[i]);
        breaker_add(&account->pattern, failures);
    }
}

static void settle(const struct flight *flight, bool certain)
{
    for (unsigned i = 0; i < flight->count; i++) {
        struct watched *w = find(flight->accounts[i].account_id);

        if (!w || (certain && !flight->written[i]))
            continue;
        for (unsigned m = 0; m < BREAKER_HOURLY; m++)
            w->more[m] -= w->more[m] < flight->taken[i][m] ? w->more[m] : flight->taken[i][m];
        w->pattern = flight->accounts[i].pattern;
        w->countries = flight->accounts[i].countries;
        w->known = certain;
        w->read_ms = clock_steady_ms();
    }
}

/*
 * What is about to open a breaker is part of the pattern: it is shown, and learnt if whoever closes it wants that.  If
 * another is faster, or the database is away, it is opened all the same.
 */
static AWAITS void write_now(struct breaker_account *account)
{
    uint32_t taken[1][BREAKER_HOURLY] = {{0}};
    bool written[1] = {false};
    struct flight flight = {account, taken, written, 1};

    account->new_failures = 0; /* the tick's, which takes them out of the row */
    advance(&flight);
    if (breaker_write(account, 1, written) == DB_DONE)
        settle(&flight, true);
}

AWAITS enum db_write breaker_watch_open(const struct directory_account *account)
{
    struct arena *arena = arena_new(SIZE_MAX);
    enum db_write written = DB_DONE;
    struct breaker_account *now = NULL;
    const struct breaker_policy *policy;
    struct breaker_trip trip;
    struct watched *w;
    unsigned found;

    if (breaker_read(arena, &account->id, 1, &now, &found) == DB_FAILED)
        written = DB_UNDONE;
    else if (found && (w = find(account->id))) {
        w->pattern = now->pattern;
        w->countries = now->countries;
        w->known = true;
        w->read_ms = clock_steady_ms();
        policy = breaker_policy_of(account->customer_id, account->domain_id, account->id);
        if (policy && judge(w, policy, &trip)) {
            write_now(now);
            written = open_now(account->id, account->address, &trip, policy);
        }
    }
    arena_free(&arena);
    return written;
}

/* What all nodes have counted, by what it was when it was written. */
static AWAITS void judge_all(struct arena *arena, const struct flight *flight)
{
    for (unsigned i = 0; i < flight->count; i++) {
        const struct breaker_account *account = &flight->accounts[i];
        const struct breaker_policy *policy =
            breaker_policy_of(account->customer_id, account->domain_id, account->account_id);
        struct held_account held;
        struct breaker_trip trip;

        if (policy && flight->written[i] && !held_account_find(arena, account->account_id, &held) &&
            breaker_judge(&account->pattern, policy, account->countries, clock_now_ms(), &trip) &&
            open_now(account->account_id, account->address, &trip, policy) != DB_DONE)
            log_warn("an account's breaker could not be opened yet", log_id("account", account->account_id));
    }
}

/* Before patterns are read, which tell how many countries are new. */
static AWAITS void note_countries(struct arena *arena, const int64_t *ids, unsigned count)
{
    int64_t *accounts = arena_array(arena, (size_t)count * PEERS, sizeof *accounts);
    struct slice *addresses = arena_array(arena, (size_t)count * PEERS, sizeof *addresses);
    unsigned *upto = arena_array(arena, count, sizeof *upto), n = 0;
    enum db_write written;

    for (unsigned i = 0; i < count; i++) {
        const struct watched *w = find(ids[i]);

        upto[i] = w ? w->seen_count : 0;
        for (unsigned k = w ? w->seen_noted : 0; k < upto[i]; k++, n++) {
            accounts[n] = ids[i];
            addresses[n] = slice_str(arena_strdup(arena, w->seen[k % PEERS]));
        }
    }
    if (!n)
        return;
    written = breaker_country_note(accounts, addresses, n);
    for (unsigned i = 0; i < count; i++) {
        struct watched *w = find(ids[i]);

        if (w && written == DB_DONE && upto[i] <= w->seen_count)
            w->seen_noted = upto[i];
    }
}

/* Nothing is written for accounts that are not there any more. */
static void drop_gone(const int64_t *ids, unsigned count, const struct flight *flight)
{
    for (unsigned i = 0, k; i < count; i++) {
        for (k = 0; k < flight->count && flight->accounts[k].account_id != ids[i]; k++)
            ;
        if (k == flight->count)
            drop(ids[i]);
    }
}

AWAITS void breaker_watch_flush(const int16_t *cells, unsigned cell_count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    int64_t *ids = arena_array(arena, 2 * FLIGHT_MAX, sizeof *ids);
    struct flight flight = {0};
    unsigned count = collect_failing(arena, cells, cell_count, ids, collect(ids));
    enum db_status status = DB_FAILED;

    if (count)
        note_countries(arena, ids, count);
    if (count)
        status = breaker_read(arena, ids, count, &flight.accounts, &flight.count);
    if (status != DB_FAILED)
        drop_gone(ids, count, &flight);
    if (status == DB_FOUND) {
        flight.taken = arena_array(arena, flight.count, sizeof *flight.taken);
        flight.written = arena_array(arena, flight.count, sizeof *flight.written);
        advance(&flight);
        switch (breaker_write(flight.accounts, flight.count, flight.written)) {
        case DB_DONE:
            settle(&flight, true);
            judge_all(arena, &flight);
            break;
        case DB_UNCERTAIN: settle(&flight, false); break;
        case DB_REFUSED: /* an account is gone */
        case DB_CONFLICT:
        case DB_UNDONE: break;
        }
    }
    arena_free(&arena);
}
