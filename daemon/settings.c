/*
 * settings: from the configuration file's values to what protocols and runner want to be told.
 *
 * A process lives with the configuration it was forked with (a reload makes new processes), so these point
 * into it and nothing is copied.
 */
#include "daemon/settings.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/dns.h"
#include "core/log.h"
#include "daemon/listen.h"
#include "daemon/prober.h"
#include "protocols/sasl.h"
#include "relay/srs_way.h"
#include "storage/learned.h"

static struct tls_server_settings tls_settings(const struct config *c)
{
    return (struct tls_server_settings){c->tls_certificate, c->tls_key, c->tls_client_ca,
                                        strcmp(c->tls_min_version, "1.3") == 0};
}

/* Which setting a reason speaks of: it names the file. */
static const char *blamed(const char *reason, const struct tls_server_settings *settings)
{
    char name[400];
    int length;

    if (settings->client_ca_file && *settings->client_ca_file && strstr(reason, settings->client_ca_file))
        return "client_ca_file";
    for (const char *keys = settings->key_files; sscanf(keys, " %399s%n", name, &length) == 1; keys += length)
        if (strstr(reason, name))
            return "key_file";
    return "certificate_file";
}

/* Loads and lets go: the child that will use it loads it again. */
static bool tls_check(const struct config *c, const char *section, const struct tls_server_settings *settings,
                      char *error, size_t error_size)
{
    char reason[400], where[400];
    struct tls *tls;

    if (!*settings->certificate_files)
        return true;
    tls = tls_server_new(settings, reason, sizeof reason);
    if (!tls)
        snprintf(error, error_size, "%s: %s", config_where(c, section, blamed(reason, settings), where, sizeof where),
                 reason);
    tls_unref(&tls);
    return *error == '\0';
}

static bool spool_check(const struct config *c, char *error, size_t error_size)
{
    struct stat st;
    char where[400];

    if (!*c->spool_directory || (stat(c->spool_directory, &st) == 0 && S_ISDIR(st.st_mode)))
        return true;
    snprintf(error, error_size, "%s: %s is not a folder",
             config_where(c, "daemon", "spool_directory", where, sizeof where), c->spool_directory);
    return false;
}

static bool dns_check(const struct config *c, char *error, size_t error_size)
{
    char where[400];

    if (!*c->dns_trust_anchor_file || dns_trust_anchor_valid(c->dns_trust_anchor_file))
        return true;
    snprintf(error, error_size, "%s: %s cannot be read, or has no trust anchor",
             config_where(c, "dns", "trust_anchor_file", where, sizeof where), c->dns_trust_anchor_file);
    return false;
}

static bool sts_check(const struct config *c, char *error, size_t error_size)
{
    char where[400];

    if (!*c->sts_ca_file || access(c->sts_ca_file, R_OK) == 0)
        return true;
    snprintf(error, error_size, "%s: %s cannot be read",
             config_where(c, "delivery", "sts_ca_file", where, sizeof where), c->sts_ca_file);
    return false;
}

bool settings_check(const struct config *c, char *error, size_t error_size)
{
    struct tls_server_settings tls = tls_settings(c);
    char where[400];

    *error = '\0';
    if (geteuid() == 0 && !getpwnam(c->user)) {
        snprintf(error, error_size, "%s: there is no user \"%s\" (adduser --system --group %s)",
                 config_where(c, "daemon", "user", where, sizeof where), c->user, c->user);
        return false;
    }
    return spool_check(c, error, error_size) && dns_check(c, error, error_size) && sts_check(c, error, error_size) &&
           settings_oauth_check(c, error, error_size) && settings_secrets_check(c, error, error_size) &&
           settings_webhooks_check(c, error, error_size) && settings_dkim_check(c, error, error_size) &&
           tls_check(c, "tls", &tls, error, error_size) &&
           tls_check(c, "admin", &(struct tls_server_settings){c->admin_certificate, c->admin_key, NULL, false}, error,
                     error_size);
}

void settings_warn(const struct config *c, FILE *out)
{
    char where[400];

    sasl_start(c->hostname);
    if (sasl_missing())
        fprintf(out,
                "%s: warning: nobody can sign in by %s, libsasl has no plugin (Debian package: libsasl2-modules)\n",
                c->path, sasl_missing());
    sasl_stop();
    if (!listen_any(c))
        fprintf(out, "%s: warning: nothing listens, every setting of [listen] is empty\n", c->path);
    if (*c->tls_report_contact && !*c->tls_report_dkim_key)
        fprintf(out,
                "%s: warning: reports by mail are not signed, which RFC 8460 asks for, without tls_report_dkim_key\n",
                config_where(c, "delivery", "tls_report_contact", where, sizeof where));
}

struct server_settings *settings_server(const struct config *c)
{
    struct server_settings *s = calloc(1, sizeof *s);
    struct tls_server_settings tls = tls_settings(c);
    char error[300];

    if (!s)
        abort();
    *s = (struct server_settings){
        .hostname = c->hostname,
        .message_size_max = (uint64_t)c->message_size_max,
        .recipients_max = (unsigned)c->recipients_max,
        .errors_max = (unsigned)c->errors_max,
        .greeting_delay_ms = (unsigned)c->greeting_delay_ms,
        .dns_wait_ms = (unsigned)c->dns_wait_ms,
        .smtp_timeout_ms = (unsigned)c->smtp_timeout_ms,
        .mailboxes_max = (unsigned)c->mailboxes_max,
        .imap_timeout_ms = (unsigned)c->imap_timeout_ms,
        .pop3_timeout_ms = (unsigned)c->pop3_timeout_ms,
        .login_timeout_ms = (unsigned)c->login_timeout_ms,
        .header_size_max = (uint64_t)c->header_size_max,
        .header_fields_max = (unsigned)c->header_fields_max,
        .line_length_max = (size_t)c->line_length_max,
        .received_max = (unsigned)c->received_max,
        .own_received_max = (unsigned)c->own_received_max,
        .normalize_newlines = strcmp(c->bare_newline, "normalize") == 0,
        .queue_lifetime_ms = c->queue_lifetime_ms,
        .delay_notice_ms = c->delay_notice_ms,
        .future_release_max_ms = c->future_release_max_ms,
        .address_literals = c->address_literals,
        .refuse_null_mx_senders = c->refuse_null_mx_senders,
        .default_route = *c->default_route != '\0',
    };
    if (!cidr_list_parse(c->xclient_networks, &s->xclient_networks, error, sizeof error))
        log_fatal(78, "[smtp] xclient_networks: %s", error);
    if (*c->tls_certificate) {
        s->tls = tls_server_new(&tls, error, sizeof error);
        if (!s->tls)
            log_fatal(78, "[tls] %s", error);
    }
    return s;
}

const struct runner_settings *settings_runner(const struct config *c)
{
    static struct runner_settings s;

    s = (struct runner_settings){
        .hostname = c->hostname,
        .default_route_host = c->default_route_host,
        .default_route_port = c->default_route_port,
        .default_route_name = c->default_route_name,
        .mx_port = (unsigned)c->mx_port,
        .sts_port = (unsigned)c->sts_port,
        .sts_ca_file = *c->sts_ca_file ? c->sts_ca_file : NULL,
        .tls_report_contact = *c->tls_report_contact ? c->tls_report_contact : NULL,
        .tls_report_organization = c->tls_report_organization,
        .tls_report_dkim = settings_dkim(c),
        .deliveries_max = (unsigned)c->deliveries_max,
        .per_destination_max = (unsigned)c->per_destination_max,
        .limits = {(unsigned)c->transaction_recipients, (unsigned)c->connection_messages},
        .connect_timeout_ms = (unsigned)c->connect_timeout_ms,
        .reply_timeout_ms = (unsigned)c->reply_timeout_ms,
        .data_timeout_ms = (unsigned)c->data_timeout_ms,
        .retry_min_ms = (unsigned)c->probe_interval_ms,
        .retry_first_ms = (unsigned)c->retry_first_ms,
        .retry_max_ms = (unsigned)c->retry_max_ms,
        .message_size_max = (uint64_t)c->message_size_max,
        .verify_tls = c->verify_tls,
        .chunking = c->chunking,
        .queue_lifetime_ms = c->queue_lifetime_ms,
        .delay_notice_ms = c->delay_notice_ms,
    };
    return &s;
}

const struct dns_settings *settings_dns(const struct config *c)
{
    static struct dns_settings s;

    s = (struct dns_settings){.resolver = *c->dns_resolver ? c->dns_resolver : NULL,
                              .trust_anchor_file = *c->dns_trust_anchor_file ? c->dns_trust_anchor_file : NULL};
    return &s;
}

const struct prober_settings *settings_prober(const struct config *c)
{
    static struct prober_settings s;

    s = (struct prober_settings){
        .hostname = c->hostname,
        .sender = c->probe_sender,
        .verify_tls = c->verify_tls,
        .timeout_ms = (unsigned)c->probe_timeout_ms,
        .per_domain_max = (unsigned)c->probes_per_domain,
        .waiters_max = (unsigned)c->tasks / 4, /* the rest is for commands that ask nobody */
    };
    return &s;
}

const struct learned_settings *settings_learned(const struct config *c)
{
    static struct learned_settings s;

    s = (struct learned_settings){c->valid_lifetime_ms, c->invalid_lifetime_ms, (unsigned)c->learned_max};
    return &s;
}

const struct srs_way_settings *settings_srs(const struct config *c)
{
    static struct srs_way_settings s;

    s = (struct srs_way_settings){c->srs, *c->srs_domain ? c->srs_domain : NULL,
                                  (unsigned)(c->srs_lifetime_ms / (24 * 60 * 60 * INT64_C(1000)))};
    return &s;
}

const struct guard_settings *settings_guard(const struct config *c, const struct cidr_list *exempt)
{
    static struct guard_settings s;

    s = (struct guard_settings){
        .window_ms = c->auth_window_ms,
        .ban_ms = c->auth_ban_ms,
        .address_failures = (unsigned)c->auth_address_failures,
        .account_failures = (unsigned)c->auth_account_failures,
        .attack_failures = (unsigned)c->auth_attack_failures,
        .exempt = exempt,
    };
    return &s;
}

struct limit_settings settings_limits(const struct config *c)
{
    return (struct limit_settings){
        .network_ipv4 = (unsigned)c->network_ipv4,
        .network_ipv6 = (unsigned)c->network_ipv6,
        .address_sessions = (unsigned)c->sessions_per_client_max,
        .network_sessions = (unsigned)c->sessions_per_network_max,
        .address_connections = (unsigned)c->connections_per_minute,
        .network_connections = (unsigned)c->network_connections_per_minute,
        .address_messages = (unsigned)c->messages_per_minute,
        .address_recipients = (unsigned)c->recipients_per_minute,
        .network_messages = (unsigned)c->network_messages_per_minute,
        .network_recipients = (unsigned)c->network_recipients_per_minute,
        .tarpit_after = (unsigned)c->tarpit_after,
        .tarpit_max_ms = (unsigned)c->tarpit_max_ms,
    };
}
