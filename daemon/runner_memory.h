#ifndef DAEMON_RUNNER_MEMORY_H
#define DAEMON_RUNNER_MEMORY_H
/*
 * runner_memory: what the runner has in memory: messages, entries, destinations.
 *
 * An entry refers to its message and its destination, which go with the last of theirs.  It is pending
 * (runner_share.h), in a lane's hands (runner_lane.h), or on its way back to the database (runner_report.h).
 */
#include "core/arena.h"
#include "core/id.h"
#include "core/loop.h"
#include "core/slice.h"
#include "core/spool.h"
#include "core/task.h"
#include "relay/concurrency.h"
#include "relay/drain.h"
#include "relay/envelope.h"
#include "relay/route.h"
#include "storage/accept.h"
#include "storage/status.h"

#define RUNNER_ENTRIES_MAX 10000     /* in memory */
#define RUNNER_LEASE_MARGIN_MS 15000 /* nothing is begun on a lease that ends sooner */

struct smtp_client;

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
unsigned runner_entry_count(void);

void runner_on_committed(const struct accept_message *message);

#endif
