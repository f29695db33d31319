/*
 * settings_secrets: [secrets], the keys under which secrets stand in the database.
 *
 * Read before privileges are dropped: only root need be able to.  A process lives with the keys it was started with; a
 * reload makes new ones, with the file as it is then.
 */
#include <stdio.h>

#include "core/log.h"
#include "core/secret_ring.h"
#include "daemon/settings.h"

const struct secret_ring *settings_secrets(const struct config *c)
{
    char why[400];
    struct secret_ring *ring;

    if (!*c->secrets_key_file)
        return NULL;
    ring = secret_ring_load(c->secrets_key_file, why, sizeof why);
    if (!ring)
        log_fatal(78, "[secrets] key_file: %s", why);
    return ring;
}

bool settings_secrets_check(const struct config *c, char *error, size_t error_size)
{
    char why[400], where[400];
    struct secret_ring *ring;

    if (!*c->secrets_key_file)
        return true;
    ring = secret_ring_load(c->secrets_key_file, why, sizeof why);
    if (!ring)
        snprintf(error, error_size, "%s: %s", config_where(c, "secrets", "key_file", where, sizeof where), why);
    secret_ring_free(&ring);
    return *error == '\0';
}
