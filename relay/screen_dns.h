#ifndef RELAY_SCREEN_DNS_H
#define RELAY_SCREEN_DNS_H
/*
 * screen_dns: what DNS says of a client: the lists that it is in (RFC 5782), and its reverse name with the way back.
 * Asked in the background, all at once, from when it connects; waited for when a recipient needs it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "relay/screen.h"

struct screen_dns;

/* client: its address.  Owned by the caller; one task may wait for it. */
struct screen_dns *screen_dns_begin(const char *client, bool lists, bool name);
/* What is not answered yet is given up. */
void screen_dns_free(struct screen_dns **dns);
bool screen_dns_has(const struct screen_dns *dns, bool lists, bool name);
/* How many tasks of the process may wait at once; more do not wait, and take what is known.  At first: none may. */
void screen_dns_set_waiters_max(unsigned max);
/* Until all is answered, or max_ms have passed since it began; what is open then counts as failed. */
AWAITS void screen_dns_wait(struct screen_dns *dns, unsigned max_ms);
/* What is known by now; in the arena. */
void screen_dns_facts(const struct screen_dns *dns, struct arena *arena, struct screen_facts *out);
/* The name that leads back to the client; NULL: none, or not known by now.  Stays as long as dns. */
const char *screen_dns_name(const struct screen_dns *dns);

struct screen_dns_counters {
    uint64_t asked, failed; /* look-ups of clients in lists; without an answer */
};
extern struct screen_dns_counters screen_dns_counters;

#endif
