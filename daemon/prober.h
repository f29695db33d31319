#ifndef DAEMON_PROBER_H
#define DAEMON_PROBER_H
/*
 * prober: asks the primaries of relay domains which recipients exist, for relay/permit.
 *
 * One for each process that decides about recipients: workers, and the API's for its dry run.  Everything is bounded:
 * how long anybody waits, how many wait, connections and questions of a domain.  Beyond a bound the answer is
 * VERIFY_UNTOLD.
 */
#include <stdbool.h>
#include <stdint.h>

struct prober_settings {
    const char *hostname; /* EHLO */
    const char *sender;   /* of the question; "": the null sender */
    bool verify_tls;
    unsigned timeout_ms;     /* of a wait; also for each step of the dialogue */
    unsigned per_domain_max; /* connections at once */
    unsigned waiters_max;    /* tasks that wait at once, of those that have something else to do */
};

/* After dns_init().  Registers itself with permit_on_ask(). */
void prober_init(const struct prober_settings *settings);

struct prober_counters {
    uint64_t asked, told, failed; /* RCPTs sent; answers that say something; connections that could not be had */
};
void prober_counters(struct prober_counters *out);

#endif
