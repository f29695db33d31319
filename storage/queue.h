#ifndef STORAGE_QUEUE_H
#define STORAGE_QUEUE_H
/*
 * queue: mail on its way.  One row per recipient; schema/STATES.md has the legal states.
 *
 *   waiting  nobody's memory has it (worker is null); claimed when its destination and its own due_at allow
 *   leased   one worker has it in memory and is responsible until lease_until; renewed while it works
 *   (gone)   delivered, bounced or cancelled: the row is deleted in the transaction that records the event
 *
 * Retry is per destination: mail for a dead server is not rescheduled entry by entry; the destination's
 * due_at moves, and claiming looks at destinations first.  An entry has a due_at of its own for what only
 * its recipient was told (greylisting, mailbox full).
 *
 * Only a worker that holds a cell's lease (storage/node.h) claims in it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/node.h"
#include "storage/status.h"

#define QUEUE_LEASE_MS 60000

struct queue_entry {
    int64_t id, message_id;
    int64_t customer_id, account_sender; /* account_sender: who submitted it, 0 if from outside */
    struct slice sender, recipient, destination;
    int64_t domain_id;                        /* relay domain, or 0 */
    int64_t account_id;                       /* shown in whose INBOX, or 0 */
    struct slice mail_parameters, parameters; /* protocols/smtp_parameter.h; p NULL: none */
    struct slice last_reply;                  /* to the last attempt; p NULL: none */
    struct slice client, helo;                /* who brought the message; p NULL: nobody, or not by SMTP */
    bool eight_bit;
    uint64_t size;
    int64_t received_ms, expires_ms;
    int64_t due_ms; /* since when it waits for its turn: that of its acceptance, unless it was put off by itself */
    int64_t deliver_by_ms; /* when it is late (RFC 2852); 0: never, or its sender was told */
    int32_t attempts;
    int priority; /* higher goes first */
    bool probe;   /* the only one of a destination that has failed: whoever delivers it is to say that it is back */
    bool away;    /* it has failed, and somebody else is trying it now: this one goes back */
    uint64_t lease_ends; /* steady clock, before the database's lease_until */
};

/*
 * Destination keys.  "domain:ID" and "route:ID" in decimal; "default"; "mx:NAME" lower-cased; "to:HOSTS"
 * (relay/route_to.h); "mailbox": of account_id, here.
 */
struct slice queue_destination_domain(struct arena *arena, int64_t domain_id);
struct slice queue_destination_route(struct arena *arena, int64_t route_id);
struct slice queue_destination_mx(struct arena *arena, struct slice domain);
#define QUEUE_DESTINATION_DEFAULT SLICE("default")
#define QUEUE_DESTINATION_MAILBOX SLICE("mailbox")

/*
 * Claims waiting entries that are due, those of higher priority, then those due longest first within each cell
 * and destination, and leases them to this worker; of a destination that has failed, one.  Cells: those leased to us.  A
 * claim whose answer is lost is repeated until there is one: it returns late, but forgets nothing that was leased to us.
 */
struct queue_claim_limits {
    unsigned per_destination, most; /* entries: of one cell's destination, and of all */
    const struct slice *full;       /* keys of destinations that are left out */
    const struct slice *newest;     /* of those whose newest entries come first, whatever their priority */
    unsigned full_count, newest_count;
    bool more; /* set: not everything was looked at */
};
AWAITS enum db_status queue_claim(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                  struct queue_claim_limits *limits, struct queue_entry **out, unsigned *count)
    __attribute__((warn_unused_result));

enum queue_outcome {
    QUEUE_DELIVERED,
    QUEUE_DEFERRED,  /* this recipient: again at due_ms */
    QUEUE_UNCERTAIN, /* the same, and the next hop may have it all the same: the entry says so from now on */
    QUEUE_AWAY,      /* its destination could not be reached: waits for the destination, no attempt counted */
    QUEUE_BOUNCED,   /* for good; the bounce, if one is due, is committed already */
};
struct queue_result {
    int64_t entry_id, message_id;
    enum queue_outcome outcome;
    int64_t due_ms;   /* DEFERRED, UNCERTAIN */
    int64_t delay_ms; /* the same and AWAY: when the sender is told of the delay, unless he has been; 0: never */
    struct slice recipient, destination;
    struct slice reply; /* the remote's words or ours; becomes last_reply and the event's detail */
    const char *class;  /* static, of the event (relay/reply_class.h); NULL: none */
    /* Static, of the event: how the connection was protected; NULL: there was none, or it was in clear. */
    const char *tls_version, *tls_cipher, *tls_verified;
    const char *remote_host, *remote_address; /* of the event: where it was tried; NULL: nowhere */
    bool kept;   /* DEFERRED, UNCERTAIN: it stays leased to this worker, which will try it again; no due_ms */
    bool copied; /* DELIVERED, BOUNCED: account_id may have copies, which are to say so (storage/carry_copy.h) */
};
/*
 * Records outcomes and their events.  Gathered like accept_commit(): many deliveries, one transaction.  Repeated
 * until it is known to be done, for as long as the database is away.  REFUSED: the database will not take some of it,
 * ever (the rest is recorded); the lease runs out and the entry is tried again.
 */
AWAITS enum db_write queue_report(const struct queue_result *results, unsigned count)
    __attribute__((warn_unused_result));

/*
 * Extends the leases of what this worker has in memory.  DONE: the ids are reduced to those that are leased to it now;
 * the other leases are lost: they had run out, and the entry waits or is somebody else's.
 */
AWAITS enum db_write queue_renew(int64_t *entry_ids, unsigned *count) __attribute__((warn_unused_result));
/* Gives leases back untried: too much in memory, or this worker stops.  Due at once, for whoever claims. */
AWAITS enum db_write queue_release(const int64_t *entry_ids, unsigned count) __attribute__((warn_unused_result));
/* Entries whose lease ran out go back to waiting (their worker died).  *count: how many. */
AWAITS enum db_write queue_reclaim(const int16_t *cells, unsigned cell_count, unsigned *count)
    __attribute__((warn_unused_result));

/*
 * Records what a dead worker had delivered (daemon/testament.h) of what is still in the queue: *recorded.  UNDONE: it
 * could not be asked.
 */
AWAITS enum db_write queue_inherit(const int64_t *entry_ids, const struct slice *replies, unsigned count,
                                   unsigned *recorded) __attribute__((warn_unused_result));
/*
 * A dead worker had sent the end of these to a next hop, and read no reply: what is still in the queue says so, as after
 * QUEUE_UNCERTAIN.
 */
AWAITS enum db_write queue_doubt(const int64_t *entry_ids, unsigned count) __attribute__((warn_unused_result));
/* All that a dead worker had in memory goes back to waiting, see node_bury().  *count: how many. */
AWAITS enum db_write queue_bury(const char *node, struct node_identity dead, unsigned *count)
    __attribute__((warn_unused_result));

/*
 * The destination could not be reached, for the failures-th time in a row: nothing is claimed for it before due_ms, and
 * then one entry, as a probe.  Holds for all cells in which mail waits for it, and for these.
 */
AWAITS enum db_write queue_destination_away(struct slice destination, const int16_t *cells, unsigned cell_count,
                                            unsigned failures, int64_t due_ms, struct slice reason)
    __attribute__((warn_unused_result));
/* Mail of one more cell waits for it: it is away there as in the others, if it is in any. */
AWAITS enum db_write queue_destination_join(unsigned cell, struct slice destination)
    __attribute__((warn_unused_result));
/* It answers: what waits for it, and was not put off by itself, is due now, in all cells; this one is to have a row. */
AWAITS enum db_write queue_destination_back(unsigned cell, struct slice destination)
    __attribute__((warn_unused_result));
/*
 * What a reply (4yz) has put off by itself is due, a page of what waits behind *after (an entry's id, moved on; 0 at first).
 * For the time in which nothing goes there: so what waits longest goes first when it is back.
 */
AWAITS enum db_write queue_destination_hasten(unsigned cell, struct slice destination, int64_t *after, bool *more)
    __attribute__((warn_unused_result));
/*
 * Its probe came to nothing, for reasons that are not the destination's: there may be another so soon, and not only after
 * the two minutes that a probe has.
 */
AWAITS enum db_write queue_destination_untried(struct slice destination, unsigned wait_ms)
    __attribute__((warn_unused_result));
/*
 * Somebody asks for the domain's mail now (ETRN): its destination is due at once, whatever the back-off; while there
 * is an outage its primary is probed instead.  *pending: how many messages that starts, at most QUEUE_PENDING_MAX and
 * one.
 */
#define QUEUE_PENDING_MAX 10000
AWAITS enum db_write queue_start(int64_t domain_id, uint64_t *pending) __attribute__((warn_unused_result));
/*
 * Who may takes the domain's mail over (ATRN): what waits for it, whatever the back-off, that of higher priority
 * first, then by id; of each priority only what stands behind `tried`, so that one connection tries each once, and
 * takes what comes meanwhile.  NONE: nothing is left.  A claim by whoever has the connection, whose cell it is or not:
 * the write takes what nobody has.
 */
#define QUEUE_PRIORITY_MIN (-9) /* RFC 6710 */
#define QUEUE_PRIORITIES 19
struct queue_tried {
    int64_t ids[QUEUE_PRIORITIES]; /* by priority; 0: none */
};
AWAITS enum db_status queue_claim_domain(struct arena *arena, int64_t domain_id, const struct queue_tried *tried,
                                         unsigned limit, struct queue_entry **out, unsigned *count)
    __attribute__((warn_unused_result));
/* How many entries wait for it, at most QUEUE_PENDING_MAX and one. */
AWAITS enum db_status queue_waiting(int64_t domain_id, uint64_t *waiting) __attribute__((warn_unused_result));
struct queue_destination_state {
    int32_t failures;
    int64_t due_ms;
};
/* As the cell tells in which it has failed most. */
AWAITS enum db_status queue_destination(struct slice destination, struct queue_destination_state *out)
    __attribute__((warn_unused_result));
/*
 * Entries waiting (not leased) for a relay domain's destination that could be claimed now.  late: one of them was
 * accepted before since_ms, or one that is leased was.
 */
AWAITS enum db_status queue_due(int64_t domain_id, struct slice destination, int64_t since_ms, uint64_t *due,
                                bool *late) __attribute__((warn_unused_result));
/* Entries past expires_at, claimed for bouncing like queue_claim(), whatever their destination's state. */
AWAITS enum db_status queue_claim_expired(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                          unsigned limit, struct queue_entry **out, unsigned *count)
    __attribute__((warn_unused_result));
/* Entries of whose delay the sender is to be told, claimed likewise; accept_message.delayed marks them as told. */
AWAITS enum db_status queue_claim_delayed(struct arena *arena, const int16_t *cells, unsigned cell_count,
                                          unsigned limit, struct queue_entry **out, unsigned *count)
    __attribute__((warn_unused_result));
/* Entries past deliver_by, held ones, too, claimed likewise; accept_message.late marks them as told. */
AWAITS enum db_status queue_claim_late(struct arena *arena, const int16_t *cells, unsigned cell_count, unsigned limit,
                                       struct queue_entry **out, unsigned *count) __attribute__((warn_unused_result));
/* There is nobody to be told that they are late. */
AWAITS enum db_write queue_not_late(const int64_t *entry_ids, unsigned count) __attribute__((warn_unused_result));
/* There is nobody to be told. */
AWAITS enum db_write queue_not_delayed(const int64_t *entry_ids, unsigned count) __attribute__((warn_unused_result));

#endif
