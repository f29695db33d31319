#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H
/*
 * config: the one configuration file: what must be known before the database can be asked.  Customers,
 * domains, accounts, routes are in the database and changed by the API.
 *
 * `[section]`, `key = value`, `#` to the end of a line that begins with it.  Unknown sections and keys, keys given
 * twice and values out of range are errors, each told with file and line.  Durations take ms, s, m, h, d; sizes K, M,
 * G (of 1024).  config_sample() prints every setting with its default and meaning; the sample in doc/ is made from it,
 * so it cannot be out of date.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_SETTINGS_MAX 160

struct config {
    /* [daemon] */
    char *hostname, *user, *pid_file, *log, *log_level, *log_levels, *spool_directory;
    int64_t workers, tasks, sessions_max, sessions_per_client_max;
    int64_t drain_limit_ms, retire_limit_ms, history_retention_ms, audit_retention_ms;
    /* [database] */
    char *conninfo;
    int64_t read_connections, write_connections, statement_timeout_ms, cache_size;
    /* [tls] */
    char *tls_certificate, *tls_key, *tls_client_ca, *tls_min_version; /* the first two: lists, blanks between */
    /* [listen] */
    char *listen_smtp, *listen_submission, *listen_submissions, *listen_odmr, *listen_imap, *listen_imaps, *listen_pop3,
        *listen_pop3s, *listen_admin, *proxy_networks;
    /* [smtp] */
    int64_t message_size_max, header_size_max, header_fields_max, line_length_max, recipients_max, errors_max;
    int64_t received_max, own_received_max;
    char *bare_newline; /* refuse, normalize */
    int64_t greeting_delay_ms, smtp_timeout_ms, queue_lifetime_ms, delay_notice_ms, future_release_max_ms;
    char *xclient_networks;
    /* [mailbox] */
    int64_t mailboxes_max, imap_timeout_ms, pop3_timeout_ms, login_timeout_ms;
    /* [auth] */
    char *auth_exempt;
    bool scram_sha1, channel_binding;
    int64_t auth_window_ms, auth_ban_ms, auth_address_failures, auth_account_failures, auth_attack_failures;
    /* [clients] */
    int64_t network_ipv4, network_ipv6, sessions_per_network_max, connections_per_minute,
        network_connections_per_minute;
    int64_t messages_per_minute, recipients_per_minute, network_messages_per_minute, network_recipients_per_minute;
    int64_t tarpit_after, tarpit_max_ms, dns_wait_ms;
    /* [secrets] */
    char *secrets_key_file;
    /* [oauth] */
    char *oauth_introspection_url, *oauth_client, *oauth_secret_file, *oauth_jwks, *oauth_ca_file;
    char *oauth_issuer, *oauth_audience, *oauth_scope, *oauth_account_claim;
    int64_t oauth_timeout_ms, oauth_keys_ms, oauth_answer_ms;
    bool address_literals, refuse_null_mx_senders;
    /* [delivery] */
    char *default_route;
    char *sts_ca_file, *tls_report_contact, *tls_report_organization;
    char *tls_report_dkim_key, *tls_report_dkim_selector, *tls_report_dkim_domain;
    char *srs_domain;
    int64_t srs_lifetime_ms;
    bool srs;
    int64_t mx_port, sts_port, deliveries_max, per_destination_max, transaction_recipients, connection_messages;
    int64_t probe_interval_ms, retry_first_ms, retry_max_ms;
    int64_t connect_timeout_ms, reply_timeout_ms, data_timeout_ms;
    bool verify_tls;
    bool chunking;
    /* [webhooks] */
    char *webhooks_networks, *webhooks_ca_file;
    int64_t webhooks_retry_first_ms, webhooks_retry_max_ms, webhooks_lifetime_ms;
    /* [recipients] */
    char *probe_sender;
    int64_t probe_timeout_ms, probes_per_domain, valid_lifetime_ms, invalid_lifetime_ms, learned_max;
    int64_t continuity_accounts_max;
    /* [dns] */
    char *dns_resolver, *dns_trust_anchor_file;
    /* [admin] */
    char *admin_certificate, *admin_key;
    const char *admin_invitation_url;
    int64_t admin_connections_max, admin_connections_per_client_max;

    /* made from default_route */
    char *default_route_host;
    unsigned default_route_port;
    const char *default_route_name; /* points into it */

    char *path;                          /* of the file */
    unsigned lines[CONFIG_SETTINGS_MAX]; /* where each setting stands, for config_where(); 0: it is the default */
};

/* NULL after telling errors (all of them, "FILE:LINE: reason") to where. */
struct config *config_load(const char *path, FILE *where);
void config_free(struct config **config);
/* "FILE:LINE: [SECTION] KEY", for what can be found wrong with a value only by using it; no line for a default. */
const char *config_where(const struct config *config, const char *section, const char *key, char *out, size_t size);
void config_sample(FILE *out);

#endif
