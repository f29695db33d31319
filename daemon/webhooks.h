#ifndef DAEMON_WEBHOOKS_H
#define DAEMON_WEBHOOKS_H
/* webhooks: sends what storage/webhook.h has for others, in each worker. */
#include <stdbool.h>
#include <stdint.h>

#include "core/cidr.h"

struct webhooks_settings {
    const char *ca_file;       /* NULL: the system's authorities */
    struct cidr_list networks; /* of one's own: may be told, and in clear */
    unsigned retry_first_ms, retry_max_ms;
    int64_t lifetime_ms; /* what nobody took so long is given up */
};
void webhooks_init(const struct webhooks_settings *settings);
/* Begins nothing new. */
void webhooks_stop(void);
/* Something is on its way, or not given back yet. */
bool webhooks_busy(void);

struct webhooks_counters {
    uint64_t sent, failed, given_up;
};
void webhooks_counters(struct webhooks_counters *out);

#endif
