#ifndef STORAGE_GUARD_H
#define STORAGE_GUARD_H
/*
 * guard: failed logins are counted, for all nodes together: growing delay, then a ban that expires.
 *
 * Asking costs a look into memory; what failed is written a moment later, gathered.  A success costs nothing.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/cidr.h"
#include "core/slice.h"
#include "core/task.h"

struct guard_settings {
    int64_t window_ms; /* failures further apart do not add up */
    int64_t ban_ms;
    unsigned address_failures; /* from one client address, whatever the name; 0: no limit */
    unsigned account_failures; /* for one name from one address; 0: no limit */
    unsigned attack_failures;  /* for one name from everywhere: from then on few from each address will do; 0: never */
    const struct cidr_list *exempt; /* not counted, never banned; must stay */
};

/* Before the first question.  Without it nobody is banned and nothing is counted. */
void guard_init(const struct guard_settings *settings);
/* Writes and reads, about every second; for a task that goes on for ever. */
AWAITS void guard_exchange(void);

/* May nobody sign in from there now?  name {NULL,0}: asked for the address alone. */
bool guard_banned(const char *client, struct slice name);
/* A login failed, whoever's the name is; {NULL,0}: none was told. */
void guard_failed(const char *client, struct slice name);
/*
 * How long the answer to the failure that was just counted should wait still: at least so long since its check began,
 * so that what the check cost does not tell whose name it was.  began_ms: by the steady clock.
 */
unsigned guard_delay(unsigned least_ms, const char *client, uint64_t began_ms);

struct guard_counters {
    uint64_t failures, refused, bans; /* logins that failed, that a ban refused; bans that began here */
};
extern struct guard_counters guard_counters;

#endif
