/*
 * settings_webhooks: [webhooks], for daemon/webhooks.c.
 *
 * The list of networks is parsed when the configuration is checked, so a process that comes this far has a good one.
 */
#include <stdio.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/settings.h"

const struct webhooks_settings *settings_webhooks(const struct config *c)
{
    static struct webhooks_settings s;
    char error[200];

    s = (struct webhooks_settings){
        .ca_file = *c->webhooks_ca_file ? c->webhooks_ca_file : NULL,
        .retry_first_ms = (unsigned)c->webhooks_retry_first_ms,
        .retry_max_ms = (unsigned)c->webhooks_retry_max_ms,
        .lifetime_ms = c->webhooks_lifetime_ms,
    };
    if (!cidr_list_parse(c->webhooks_networks, &s.networks, error, sizeof error))
        log_fatal(78, "[webhooks] networks: %s", error);
    return &s;
}

bool settings_webhooks_check(const struct config *c, char *error, size_t error_size)
{
    char where[400];

    if (!*c->webhooks_ca_file || access(c->webhooks_ca_file, R_OK) == 0)
        return true;
    snprintf(error, error_size, "%s: %s cannot be read", config_where(c, "webhooks", "ca_file", where, sizeof where),
             c->webhooks_ca_file);
    return false;
}
