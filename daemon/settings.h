#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H
/* settings: from the configuration file's values to what protocols and runner want to be told. */
#include <stdio.h>

#include "daemon/config.h"
#include "daemon/runner.h"
#include "daemon/webhooks.h"
#include "protocols/limit.h"
#include "protocols/oauth.h"
#include "protocols/server.h"
#include "storage/guard.h"

/*
 * Can it be used here: user, spool directory, certificates and keys?  "FILE:LINE: [SECTION] KEY: reason" in error if
 * not.
 */
bool settings_check(const struct config *config, char *error, size_t error_size) __attribute__((warn_unused_result));
/* What is no error, and should be known. Starts libsasl, to ask it: not for a process that goes on. */
void settings_warn(const struct config *config, FILE *out);
/* Loads certificate and key; fatal (78) when they do not fit. */
struct server_settings *settings_server(const struct config *config);
/* Static; valid until the next call. */
const struct runner_settings *settings_runner(const struct config *config);
struct limit_settings settings_limits(const struct config *config);
/* Static; exempt must stay. */
struct dns_settings;
const struct dns_settings *settings_dns(const struct config *config);
struct prober_settings;
const struct prober_settings *settings_prober(const struct config *c);
struct learned_settings;
const struct learned_settings *settings_learned(const struct config *c);
struct srs_way_settings;
const struct srs_way_settings *settings_srs(const struct config *c);
const struct guard_settings *settings_guard(const struct config *config, const struct cidr_list *exempt);

/* settings_secrets.c.  NULL: none are set.  Read before privileges go; fatal (78) if they cannot be used. */
struct secret_ring;
const struct webhooks_settings *settings_webhooks(const struct config *config);
bool settings_webhooks_check(const struct config *config, char *error, size_t error_size);
const struct secret_ring *settings_secrets(const struct config *config);
bool settings_secrets_check(const struct config *config, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* settings_dkim.c.  NULL: no key.  Read before privileges go; fatal (78) if it cannot be used. */
struct dkim_settings;
const struct dkim_settings *settings_dkim(const struct config *config);
bool settings_dkim_check(const struct config *config, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* settings_oauth.c.  Static; reads the secret: before privileges go.  Fatal (78) if it cannot be read. */
const struct oauth_settings *settings_oauth(const struct config *config);
/* Can its files be used?  settings_check() asks. */
bool settings_oauth_check(const struct config *config, char *error, size_t error_size)
    __attribute__((warn_unused_result));

#endif
