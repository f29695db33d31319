#ifndef DAEMON_RUNNER_INTERNAL_H
#define DAEMON_RUNNER_INTERNAL_H
/*
 * runner_internal: what all of the runner's files go by: its settings, its stacks, its limits.  What each of them is
 * for; those with a name in common with a header have it for themselves and their neighbours:
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
 *   runner_size.c      what a host takes, for the door
 *   runner_srs.c       as whom forwarded mail is sent
 *   runner_bounce.c    the end of what is not delivered
 *   runner_notice.c    what senders are told
 *   runner_learn.c     what deliveries tell of recipients
 *   runner_report.c    what goes back to it: outcomes, releases
 */
#include "core/slice.h"
#include "core/task.h"
#include "core/tls.h"
#include "daemon/runner.h"
#include "daemon/runner_memory.h"
#include "storage/delivery_policy.h"

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
uint32_t runner_random(void);
/* How mail to a recipient, or a domain, is tried: the settings, or its delivery policy. Does not wait. */
struct delivery_times runner_times(struct slice recipient);
/* How much may go at once to it, the same. */
struct delivery_limits runner_limits(struct slice recipient);
/* May the recipient go in the transaction of those before?  *most: of these, and then with him. */
bool runner_batch_takes(unsigned count, struct slice recipient, unsigned *most);

#endif
