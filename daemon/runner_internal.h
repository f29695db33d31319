#ifndef DAEMON_RUNNER_INTERNAL_H
#define DAEMON_RUNNER_INTERNAL_H
/*
 * runner_internal: what the runner's files share.  Nobody else includes this.
 *
 *   runner_memory.c    messages, entries, destinations: what is in memory
 *   runner.c           settings, starting lanes, draining
 *   runner_share.c     what is pending at a destination, and whose turn it is
 *   runner_order.c     a queue that is drained: in what order, over how many connections
 *   runner_lane.c      a lane: one connection of one destination, message after message
 *   runner_delivery.c  what a lane does with one of them
 *   runner_outcome.c   what the other side said of its recipients
 *   runner_put_off.c   when it is tried again
 *   runner_file.c      the same for mailboxes here
 *   runner_away.c      a destination that cannot be reached
 *   runner_route.c     from a destination to its hosts
 *   runner_source.c    from which of our addresses
 *   runner_hop.c       from these to an open connection
 *   runner_turn.c      a lane over a connection that ATRN turned round
 *   runner_protect.c   how well that must be protected for a message
 *   runner_unmet.c     where no host is protected so well
 *   runner_sts.c       MTA-STS policies
 *   runner_tlsrpt.c    sessions, counted for others' reports (runner_tlsrpt.h)
 *   runner_tlsrpt_send.c  the reports
 *   runner_transport.c what a host has announced of its TLS
 *   runner_suspend.c   what is suspended
 *   runner_claim.c     what comes from the database: claims, leases
 *   runner_expiry.c    what time brings: expiry, delay, dead workers
 *   runner_late.c      what is to be delivered by a certain time
 *   runner_notice.c    what senders are told
 *   runner_learn.c     what deliveries tell of recipients
 *   runner_report.c    what goes back to it: outcomes, releases
 */
#include "core/arena.h"
#include "core/id.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/slice.h"
#include "core/spool.h"
#include "core/task.h"
#include "daemon/runner.h"
#include "protocols/smtp_client.h"
#include "protocols/smtp_turn.h"
#include "relay/concurrency.h"
#include "relay/drain.h"
#include "relay/notice.h"
#include "relay/route.h"
#include "relay/sts.h"
#include "storage/accept.h"
#include "storage/delivery_policy.h"
#include "storage/queue.h"

#define RUNNER_BATCH_MAX 100         /* recipients of one transaction at most; RFC 5321 4.5.3.1.8 */
#define RUNNER_ENTRIES_MAX 10000     /* in memory */
#define RUNNER_LEASE_MARGIN_MS 15000 /* nothing is begun on a lease that ends sooner */

struct runner_message {
    struct runner_message *next; /* in its bucket */
    int64_t id, customer_id, account_id;
    unsigned references; /* entries */
    struct arena *arena; /* its own strings and those of its entries */
    struct slice sender;
    struct envelope_mail envelope;
    const char *client, *helo; /* who brought it; NULL: not known */
    bool eight_bit;
    int64_t received_ms;
    struct slice prefix; /* to be sent before the spool; without Return-Path */
    struct spool *spool; /* NULL: not loaded yet */
    size_t offset;       /* where in the spool what is sent begins */
    size_t cost;         /* bytes of memory, for the bound */
};

/* How a connection was protected, in words that stay; NULL: there was none, or (version, cipher) it was in clear. */
struct runner_secured {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    const char *verified;         /* "none": in clear; "opportunistic": by nobody; "pkix": by its name; "dane", "sts" */
};

/* At which next hop; NULL: none was asked. */
struct runner_remote {
    const char *host, *address;
};

struct runner_entry {
    struct runner_entry *next, *previous; /* in its share, while pending */
    struct runner_entry *bucket_next;
    struct runner_message *message;
    struct runner_destination *destination;
    int64_t id, domain_id, account_id, expires_ms;
    int64_t due_ms;        /* it has waited for its turn since */
    int64_t deliver_by_ms; /* when it is late; 0: never, or its sender was told; set by runner_entry_deadline() */
    struct slice recipient;
    struct envelope_rcpt envelope;
    unsigned attempts;
    int priority;                  /* RFC 6710: higher goes first */
    uint64_t lease_ends;           /* steady clock, earlier than the database's */
    unsigned renewing;             /* the round of renewal that it is in */
    unsigned noted;                /* its place in the testament, once its end was sent; 0: none */
    struct runner_secured secured; /* the connection that it was last offered over */
    struct runner_remote
        remote;   /* where that led, or was to lead: the lane's arena, from runner_finish() on the message's */
    bool unmet;   /* no host that was reached may have it: runner_protect.c */
    bool claimed; /* from the database: its destination was due */
    bool probe;   /* the one of a failing destination that is to be tried */
    bool pending;
    unsigned kept;       /* how often it was put off and stayed here, in its place */
    uint64_t kept_until; /* steady clock: not before, nor what comes later for its recipient; ordered destinations */
    bool surrendered;    /* its lease was given back while a lane has it; that lane may only forget it */
    bool given_back;     /* its row waits again, or will in a moment: it may come back by a claim */
};

struct runner_destination {
    struct runner_destination *next;       /* in its bucket */
    struct runner_destination *ready_next; /* waits for a stack */
    bool ready;
    char *key;
    struct route_key route;
    struct runner_share *turn; /* the customer that is next; NULL: nothing is pending */
    unsigned pending, entries; /* entries: all that refer to it */
    unsigned claimed;          /* of what is pending, from the database */
    unsigned lanes, connected, connecting;
    struct concurrency concurrency;
    bool ordered;                 /* its primary has an outage: what goes to it goes in order for each recipient */
    unsigned drills;              /* of its accounts, that drain: in order, too */
    bool blocked;                 /* in order: all that is pending waits for what lanes have in their hands */
    struct loop_timer kept_timer; /* and for what is kept in its place: then more may go */
    struct runner_set *passed;    /* ordered: recipients whose mail goes past what is put off; NULL: none */
    bool newest_first;            /* by request: the newest goes first, whatever its priority */
    struct drain drain;           /* ordered: how many lanes */
    uint64_t held_until;          /* no lane begins before: its former worker gives back what it has */
    bool more;                    /* the last claim filled its share: there is more in the database */
    uint64_t looked_at;           /* when it was claimed for last: steady clock */
    uint64_t size_max;            /* what a host of it said last that it takes, below our own limit; 0: nothing */
    uint64_t size_noted_at;       /* and when that was noted: steady clock */
    bool marking;                 /* a lane is telling the database that it is away */
    bool known, failing;          /* its rows were read; they say failures */
    unsigned told;                /* how often the database was told that it is away, or back */
    uint8_t joined[ID_CELLS / 8]; /* failing: the cells whose rows are known to say so */
    uint64_t checked;             /* when the rows were read last */
    uint64_t good_at;             /* the last delivery */
    struct smtp_client *idle;
    struct loop_timer idle_timer;
    struct runner_unmet *unmet; /* what its hosts lacked lately; NULL: nothing */
};

/* One transaction's entries, in a lane's hands. */
struct runner_batch {
    struct runner_message *message;
    struct runner_entry *entries[RUNNER_BATCH_MAX];
    unsigned count;
    bool finishing;                              /* the final dot is on its way */
    bool finished;                               /* it ever was */
    const struct smtp_client_recipient *offered; /* of the transaction that goes on: those of the first entries */
    unsigned offered_count;
};

/* Put off, and to stay in its place: until that is recorded a lane has it in its hands. */
struct runner_kept {
    struct runner_entry *entry;
    enum queue_outcome outcome;
    struct slice reply; /* in the lane's arena */
    uint64_t wait_ms;
};

struct runner_lane {
    struct runner_lane *next; /* among the living */
    struct runner_destination *destination;
    struct smtp_client *client;
    struct arena *arena; /* of one batch */
    struct log_context log;
    struct runner_batch batch;
    struct runner_kept kept[RUNNER_BATCH_MAX];
    unsigned kept_count;
    bool turned; /* the connection was made by the other side (ATRN): there is no other */
};

/* ------------------------------------------------------------------ memory */

struct runner_destination *runner_destination(struct slice key); /* made when it is not there */
struct runner_destination *runner_destination_find(struct slice key);
void runner_destinations_each(void (*fn)(struct runner_destination *destination, void *arg), void *arg);
/* For one more entry: of the destination, and at all. */
bool runner_has_room(const struct runner_destination *destination);
/* Frees those that nobody needs. */
void runner_sweep(void);

struct runner_message *runner_message_new(int64_t id);
struct runner_message *runner_message_find(int64_t id);
/* Loads it when it is not loaded.  NONE: it is not in the database (any more). */
AWAITS enum db_status runner_message_load(struct runner_message *message);

/* recipient is copied.  Not yet pending. */
struct runner_entry *runner_entry_new(struct runner_message *message, struct runner_destination *destination,
                                      int64_t id, struct slice recipient);
void runner_entry_deadline(struct runner_entry *entry, int64_t deliver_by_ms);
unsigned runner_deadlines(void); /* entries that have one */
struct runner_entry *runner_entry_find(int64_t id);
void runner_entry_free(struct runner_entry *entry); /* and its message with the last */
void runner_entries_each(void (*fn)(struct runner_entry *entry, void *arg), void *arg);
bool runner_lease_good(const struct runner_entry *entry);
bool runner_leases_good(const struct runner_batch *batch);
unsigned runner_entry_count(void);

void runner_on_committed(const struct accept_message *message);

/* ------------------------------------------------------------------ pending */

void runner_entry_put(struct runner_entry *entry); /* in order of priority and ids, among its customer's */
void runner_entry_take(struct runner_entry *entry);
/* The first of the customer whose turn it is, NULL: nothing is pending.  Its `next` is the same customer's. */
struct runner_entry *runner_share_first(const struct runner_destination *destination);
/* That customer has had its turn. */
void runner_share_pass(struct runner_destination *destination, int64_t customer_id);
void runner_share_each(const struct runner_destination *destination, void (*fn)(struct runner_entry *entry, void *arg),
                       void *arg);
/*
 * The first that may go now: of an ordered destination, none whose recipients have an earlier one before them or on its
 * way.  NULL: nothing may.
 */
struct runner_entry *runner_order_first(struct runner_destination *destination);
/* A lane has finished what it had in its hands: what waited for that may go. */
void runner_order_freed(struct runner_destination *destination);
/* Its primary answers again: slowly at first.  Set: what is wanted now.  End: the outage is over, as in quiet times. */
void runner_order_begin(struct runner_destination *destination, enum drain_pace pace);
/* How many connections it was found to take at most. */
unsigned runner_order_most(const struct runner_destination *destination);
void runner_order_forget(struct runner_destination *destination); /* it is freed */
void runner_order_set(struct runner_destination *destination, enum drain_pace pace, bool newest_first);
void runner_order_end(struct runner_destination *destination);
/* A drill of one of its accounts begins, or has ended: in order, too. */
void runner_order_drill(struct runner_destination *destination, bool begins);

/* ------------------------------------------------------------------ running */

const struct runner_settings *runner_settings(void);
struct tls *runner_tls(bool verify); /* verify: only with the setting verify_tls */
struct task_pool *runner_lanes(void);
extern struct runner_counters runner_count; /* its sums; the rest is computed */
bool runner_draining(void);
bool runner_default_route(void); /* there is one, or a name of one */
/* Starts lanes for it as its limit and the stacks allow. */
void runner_pump(struct runner_destination *destination);
/* A lane of it has ended. */
void runner_lane_ended(struct runner_destination *destination);
void runner_release_pending(struct runner_destination *destination);
bool runner_others_wait(void);                                       /* for a stack */
unsigned runner_limit(const struct runner_destination *destination); /* of lanes, now */
AWAITS void runner_lane(void *arg);
/* Lanes that live, for runner_surrender() and runner_lanes_each(). */
void runner_lane_join(struct runner_lane *lane);
void runner_lane_leave(struct runner_lane *lane);
void runner_lanes_each(const struct runner_destination *destination,
                       void (*fn)(const struct runner_lane *lane, void *arg), void *arg);
/* A smtp_turn_fn. */
bool runner_turn(struct stream *stream, const struct smtp_turn *turn);
/* Gives back what lanes hold and have not come to the final dot with.  How many are behind it. */
unsigned runner_surrender(void);
/* Ends or puts back every entry of the batch. */
AWAITS void runner_deliver(struct runner_lane *lane, struct runner_batch *batch);
AWAITS void runner_file(struct runner_lane *lane, struct runner_batch *batch);
/* Entries of one message, in nobody's list: tells the sender, then ends them. */
AWAITS void runner_bounce_all(struct arena *arena, struct runner_entry **entries, unsigned count, struct slice status,
                              struct slice diagnostic);
/* DEFERRED or UNCERTAIN: after the recipient's own back-off. */
void runner_put_off(enum queue_outcome outcome, struct runner_entry *entry, struct slice reply);
/* It was being sent when the connection went.  The first time it keeps its place. */
void runner_put_off_cut(struct runner_entry *entry, struct slice reply);
/* The same, with what is to be told of each. */
AWAITS void runner_bounce_told(struct arena *arena, struct runner_entry **entries, const struct dsn_recipient *reasons,
                               unsigned count);
/* The same of one message's entries whose lifetime is over, with what the last attempt was told. */
AWAITS void runner_bounce_expired(struct arena *arena, struct runner_entry **entries, unsigned count);
/* Into reasons: the last attempt of each.  failed: it ends now, and its status stays. */
AWAITS void runner_last_attempts(struct arena *arena, struct runner_entry *const *entries,
                                 struct dsn_recipient *reasons, unsigned count, bool failed);

uint32_t runner_random(void);
/* How mail to a recipient, or a domain, is tried: the settings, or its delivery policy. Does not wait. */
struct delivery_times runner_times(struct slice recipient);
/* How much may go at once to it, the same. */
struct delivery_limits runner_limits(struct slice recipient);
/* May the recipient go in the transaction of those before?  *most: of these, and then with him. */
bool runner_batch_takes(unsigned count, struct slice recipient, unsigned *most);

/* ------------------------------------------------------------------ suspended */

/*
 * Holds what is suspended of what was just claimed, and takes it out of the list.  True: some is held, and others may
 * be next.
 */
AWAITS bool runner_suspend_claimed(struct arena *arena, struct queue_entry *list, unsigned *count);
/* The same of a batch that is about to be sent. */
AWAITS void runner_suspend(struct arena *arena, struct runner_batch *batch);
/* Those that wait in memory, and no lane has. */
AWAITS void runner_suspend_pending(void);

/* ------------------------------------------------------------------ late (RFC 2852) */

/*
 * What is to be done for those of the batch whose time is over: they are bounced and leave it, or their sender is told
 * and they stay.
 */
AWAITS void runner_late(struct arena *arena, struct runner_batch *batch);
/* One of them must not go on, whatever the next hop says. */
bool runner_too_late(const struct runner_batch *batch);
/* Those that are in memory and pending. */
AWAITS void runner_late_pending(void);

/* runner_size.c: what it takes is noted for the door. */
AWAITS void runner_size_learn(struct arena *arena, struct runner_destination *d, const struct smtp_client *client);

/* runner_srs.c */

/* Do two entries of a message go under the same sender? */
bool runner_same_sender(const struct runner_entry *a, const struct runner_entry *b);
/* As whom a batch is sent; it may be in the arena.  False: it cannot be told yet. */
bool runner_sender(struct arena *arena, const struct runner_batch *batch, struct slice *out)
    __attribute__((warn_unused_result));

/* ------------------------------------------------------------------ hops */

enum runner_hop {
    RUNNER_HOP_OPEN,
    RUNNER_HOP_AWAY,    /* none can be reached */
    RUNNER_HOP_REFUSED, /* there is no such destination: bounce */
    RUNNER_HOP_LATER,   /* it could not be found out */
    RUNNER_HOP_MOVED,   /* its route is gone: what waits for it has another destination now */
};
enum runner_protection {
    RUNNER_PROTECTION_ANY,        /* by the sender's wish: whatever the host has announced */
    RUNNER_PROTECTION_ANNOUNCED,  /* what the host has announced: runner_transport.c */
    RUNNER_PROTECTION_CLEAR,      /* by the domain's policy: no TLS */
    RUNNER_PROTECTION_ENCRYPTED,  /* by the domain's policy */
    RUNNER_PROTECTION_CERTIFIED,  /* by the domain's policy: and with a certificate for the host's name */
    RUNNER_PROTECTION_VERIFIED,   /* the same by our own setting: a host without it does not serve */
    RUNNER_PROTECTION_DANE,       /* by the domain's policy: and with a certificate that TLSA records mean */
    RUNNER_PROTECTION_STS,        /* by the domain's policy: and as its MTA-STS policy has it */
    RUNNER_PROTECTION_REQUIRETLS, /* by the sender's wish */
};
/* Does it depend on what the host has announced? */
bool runner_protection_asks(enum runner_protection wanted);
/* Of any message for the domain, whatever its sender wishes. */
enum runner_protection runner_protection_of(struct slice domain);
/* recipient: one of the message's. */
enum runner_protection runner_protection_wanted(const struct runner_message *message, struct slice recipient);
/*
 * The same over a hop of a route, which says what it wants at least: it raises what the policy wants, and takes the place
 * of our own setting.
 */
enum runner_protection runner_protection_at(enum runner_protection wanted, enum delivery_tls hop);
struct runner_lack {
    const char *why;     /* what follows the host's name */
    struct slice status; /* for the report */
};
/* Is the connection good enough?  Else *lack. */
bool runner_protection_met(const struct smtp_client *client, enum runner_protection wanted, struct runner_lack *lack)
    __attribute__((warn_unused_result));

struct runner_secured runner_secured_of(const struct smtp_client *client);
struct runner_remote runner_remote_of(struct arena *arena, const struct smtp_client *client);

struct runner_walk;
/* For so long at most mail that wants the same is put off with what was found, and nobody is asked again. */
void runner_unmet_note(struct runner_destination *destination, const struct runner_walk *walk, uint64_t retry_first_ms);
/* True: that is so, and the walk says what was found. */
bool runner_unmet_recall(struct arena *arena, struct runner_destination *destination, struct runner_walk *walk);
void runner_unmet_forget(struct runner_destination *destination);

/* Is the turned connection protected as wanted? */
bool runner_turn_suits(const struct runner_lane *lane, enum runner_protection wanted);
/* It is not: the batch waits for another, or is returned if there is no other way (RFC 8689 4.2.1). */
AWAITS void runner_turn_unfit(struct runner_lane *lane, struct runner_batch *batch, enum runner_protection wanted);

/* Where the search for a connection stands: hops, and of the current one its addresses. */
struct runner_walk {
    enum runner_protection protection; /* given */
    struct slice sources;              /* given: the customer's source addresses; empty: none */
    bool begun;
    struct route route;
    unsigned hop, address, address_count;
    struct dns_address *addresses;
    struct slice why, status;      /* of the last failure */
    bool unmet;                    /* a host was reached that may not have the message; why and status tell of it */
    struct runner_secured secured; /* how that was protected */
    struct runner_remote remote;   /* where the last attempt was to lead */
    bool unreached;                /* another was not, or broke off */
    /* Of the current hop. */
    struct smtp_client_announced announced;
    const struct tls_dane *dane; /* NULL: no records for it */
    /* Of all of them. */
    bool sts_asked;
    const struct sts_policy *sts; /* MTA-STS; NULL: the domain has none */
    const char *sts_why;          /* then: why, after the domain's name */
};
/*
 * Asks what the current hop, whose addresses are known, has announced, as far as walk->protection wants to know.  False: it
 * is not to be used, and the walk says why.
 */
AWAITS bool runner_transport_ask(struct arena *arena, const struct route_key *key, struct runner_walk *walk);
void runner_walk_say(struct runner_walk *walk, const char *why, const char *status); /* not copied */
/* The destination's hosts, into walk->route; not OPEN: why not. */
AWAITS enum runner_hop runner_route_find(struct arena *arena, const struct route_key *key, struct runner_walk *walk);
/* MOVED: the route is gone, and so is what these cells had for it. */
AWAITS void runner_route_move(struct runner_lane *lane, struct runner_batch *batch);
/* The next address that answers.  walk: zeroed at first; its memory and the words are in the arena. */
AWAITS enum runner_hop runner_hop_next(struct arena *arena, const struct route_key *key, struct runner_walk *walk,
                                       struct smtp_client **out);

/* Has the connection had as many messages as one is to have of this recipient's domain? */
bool runner_client_spent(const struct smtp_client *client, const struct runner_entry *first);
/* May it be used for the batch that this entry is the first of, good and signed in enough, and from where it is to come? */
AWAITS bool runner_client_fits(struct runner_lane *lane, const struct runner_entry *first,
                               const struct runner_walk *walk);

/* ------------------------------------------------------------------ MTA-STS (RFC 8461) */

/* The domain's policy, in the arena.  NONE: *why says why, after "the domain".  FAILED: our database does not tell. */
AWAITS enum db_status runner_sts_find(struct arena *arena, struct slice domain, struct sts_policy *out,
                                      const char **why);
AWAITS void runner_sts_for_ever(void *arg);
/*
 * "+HOST:PORT:ADDRESS,ADDRESS" for core/http.h, of a host that a stranger names: public addresses only, but in a
 * laboratory.  NULL, with the reason.
 */
AWAITS const char *runner_sts_resolve(struct arena *arena, const char *host, unsigned port, const char **why);

/* runner_tlsrpt.c */
AWAITS void runner_tlsrpt_for_ever(void *arg);

/* ------------------------------------------------------------------ away */

/* Does another worker hold it back by plan?  Nothing has failed that would have told this one. */
AWAITS void runner_look_for_plan(struct runner_destination *d);
/* Is it known, here or in the database, that it cannot be reached now, so that only a probe may try? */
AWAITS bool runner_is_away(struct runner_destination *destination);
/* It cannot be reached: tells the database (and opens an outage), gives back what is pending. */
AWAITS void runner_mark_away(struct runner_destination *destination, unsigned cell, struct slice why);
/*
 * It is away, and mail of this cell is about to wait for it: the cell's row is to say so, too.  claimed: it did not, or
 * that mail would not be here.
 */
AWAITS void runner_join_away(struct runner_destination *destination, unsigned cell, bool claimed);
/* An entry was claimed as a probe: the database says that the destination is away. */
void runner_note_failing(struct runner_destination *destination);
/* It has answered to a message of this cell; taken: it has taken it. */
AWAITS void runner_mark_good(struct runner_destination *destination, unsigned cell, bool taken);
/* Somebody else has found it back. */
void runner_note_back(struct runner_destination *destination);
/* A probe of it is over.  told: as the destination's was when it began; if nothing was told since, it came to nothing. */
AWAITS void runner_probe_over(struct runner_destination *destination, unsigned told);

/* ------------------------------------------------------------------ notices */

/*
 * Tells the sender of one message of these recipients, as far as he wants to hear of it; reasons without the original
 * recipient.  True: it is committed, or there is nobody to tell.  False: try again later.
 */
AWAITS bool runner_tell(enum dsn_action action, struct runner_entry *const *entries,
                        const struct dsn_recipient *reasons, unsigned count) __attribute__((warn_unused_result));

/* ------------------------------------------------------------------ learning */

/* The other side of this connection took mail for the entry's recipient, or said that there is none such. */
void runner_learn(const struct smtp_client *client, const struct runner_entry *entry, bool valid);
AWAITS void runner_learn_for_ever(void *arg);

/* ------------------------------------------------------------------ reports */

/* The entry's last station in memory.  reply is copied. */
void runner_finish(struct runner_entry *entry, enum queue_outcome outcome, struct slice reply, int64_t due_ms);
/* Gives an untried entry back to the database. */
void runner_release(struct runner_entry *entry);
void runner_release_id(int64_t entry_id);
bool runner_reports_empty(void);
AWAITS void runner_report_for_ever(void *arg);

/* ------------------------------------------------------------------ claims */

AWAITS void runner_claim_for_ever(void *arg);
AWAITS void runner_renew_for_ever(void *arg);
AWAITS void runner_expire_for_ever(void *arg);
/* Claims soon. */
void runner_claim_kick(void *unused);
bool runner_claims_empty(void); /* none is under way, and what was claimed to be bounced is */
void runner_claims_add(int n);
/* The database failed us; and: it has answered for long enough. */
void runner_trouble(void);
bool runner_calm(void);
/* Of this worker, now: a copy, as node_cells() is valid until the next wait only. */
unsigned runner_cells(int16_t cells[ID_CELLS]);
/*
 * Not pending.  NULL: it is in memory already, at work or delivered and about to be recorded.  One that is being given
 * back may be claimed before the task that gave it back hears so; it then stands here twice for a moment, which is
 * right.
 */
struct runner_entry *runner_entry_claimed(const struct queue_entry *q);

#endif
