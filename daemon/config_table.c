/*
 * config_table: every setting.
 *
 * The table is the truth: name, type, range, default and meaning of each setting stand in one place of it,
 * and reading, checking and the sample all walk it.  Adding a setting is a field in config.h and a line
 * here; `posthoused --sample-config` then prints what doc/posthouse.conf.sample must be.
 */
#include "daemon/config_internal.h"

#include <string.h>

#define HOUR CONFIG_HOUR
#define DAY (24 * HOUR)
#define TEXT(section, key, field, fallback, meaning)                                                                   \
    {                                                                                                                  \
        section, key, SETTING_TEXT, offsetof(struct config, field), fallback, 0, 0, meaning                            \
    }
#define NUMBER(section, key, field, fallback, least, most, meaning)                                                    \
    {                                                                                                                  \
        section, key, SETTING_NUMBER, offsetof(struct config, field), fallback, least, most, meaning                   \
    }
#define DURATION(section, key, field, fallback, least, most, meaning)                                                  \
    {                                                                                                                  \
        section, key, SETTING_DURATION, offsetof(struct config, field), fallback, least, most, meaning                 \
    }

const struct setting config_settings[] = {
    TEXT("daemon", "hostname", hostname, "",
         "Our name in greetings, Received lines and EHLO. Default: the host's name."),
    TEXT("daemon", "user", user, "posthouse", "Workers run as this user when started as root."),
    NUMBER("daemon", "workers", workers, "0", 0, 256, "Worker processes; 0: one for each processor."),
    NUMBER("daemon", "tasks", tasks, "256", 16, 10000, "Commands at work at once in a worker; more wait their turn."),
    NUMBER("daemon", "sessions_max", sessions_max, "10000", 10, 1000000, "Client connections of one worker."),
    NUMBER("daemon", "sessions_per_client_max", sessions_per_client_max, "200", 0, 1000000,
           "Connections of this node from one IPv4 address or IPv6 /64; 0: no limit. Loopback is exempt."),
    TEXT("daemon", "pid_file", pid_file, "", "Where to write the master's process id."),
    TEXT("daemon", "log", log, "stderr", "stderr or syslog (facility mail)."),
    TEXT("daemon", "log_level", log_level, "info", "debug, info, warn, error or none."),
    TEXT("daemon", "log_levels", log_levels, "", "Exceptions by module, for instance: smtp=debug runner=warn"),
    TEXT("daemon", "spool_directory", spool_directory, "",
         "For messages too long for memory while they arrive. Default: /var/tmp."),
    DURATION("daemon", "drain_limit", drain_limit_ms, "30s", 0, HOUR, "After SIGTERM, sessions have this long to end."),
    DURATION("daemon", "retire_limit", retire_limit_ms, "1d", 0, 30 * DAY,
             "After SIGHUP, sessions begun before may go on this long."),
    DURATION("daemon", "history_retention", history_retention_ms, "14d", HOUR, 3650 * DAY,
             "How long events of messages that are gone are kept."),
    DURATION("daemon", "audit_retention", audit_retention_ms, "366d", HOUR, 3650 * DAY,
             "How long rows of the audit log are kept."),

    TEXT("database", "conninfo", conninfo, "dbname=posthouse",
         "libpq connection string. Give an address or a socket directory: looking up a name would block."),
    NUMBER("database", "read_connections", read_connections, "1", 1, 32, "Per worker, for look-ups."),
    NUMBER("database", "write_connections", write_connections, "2", 1, 32, "Per worker, for transactions."),
    DURATION("database", "statement_timeout", statement_timeout_ms, "10s", 100, HOUR,
             "A statement that takes longer fails."),
    {"database", "cache_size", SETTING_SIZE, offsetof(struct config, cache_size), "16M", 0, INT64_C(1) << 40,
     "Per worker, for answers of the directory, which are at most a second old; 0: always ask."},

    TEXT(
        "tls", "certificate_file", tls_certificate, "",
        "PEM, with the chain. Without it neither TLS nor plain passwords are offered. Several FILES: by the name that the client asks "
        "for; the first is for all others."),
    TEXT("tls", "key_file", tls_key, "", "PEM. Read before privileges are dropped. Several: in the same order."),
    TEXT(
        "tls", "client_ca_file", tls_client_ca, "",
        "PEM. Clients are asked for a certificate of these authorities, and may have none. Empty: they are not asked."),
    TEXT("tls", "min_version", tls_min_version, "1.2", "1.2 or 1.3."),

    TEXT(
        "listen", "smtp", listen_smtp, "",
        "ADDRESS:PORT ..., IPv6 in brackets. Mail from other servers (port 25). Empty: off. Behind a proxy that speaks the PROXY protocol: "
        "proxy:ADDRESS:PORT, here and below."),
    TEXT("listen", "submission", listen_submission, "", "Submission with STARTTLS (port 587)."),
    TEXT("listen", "submissions", listen_submissions, "", "Submission over TLS (port 465)."),
    TEXT("listen", "odmr", listen_odmr, "",
         "On-demand mail relay (port 366): ATRN, for customers that collect their domain's mail."),
    TEXT("listen", "imap", listen_imap, "", "IMAP with STARTTLS (port 143)."),
    TEXT("listen", "imaps", listen_imaps, "", "IMAP over TLS (port 993)."),
    TEXT("listen", "pop3", listen_pop3, "", "POP3 with STLS (port 110)."),
    TEXT("listen", "pop3s", listen_pop3s, "", "POP3 over TLS (port 995)."),
    TEXT("listen", "proxy_networks", proxy_networks, "",
         "ADDRESS, NETWORK/BITS ...: the proxies that are believed. Others are hung up on by a port that is proxy:."),
    TEXT("listen", "admin", listen_admin, "", "REST API, health and metrics."),

    {"smtp", "message_size_max", SETTING_SIZE, offsetof(struct config, message_size_max), "50M", 65536,
     INT64_C(1) << 31, "Longest message taken (SIZE)."},
    {"smtp", "header_size_max", SETTING_SIZE, offsetof(struct config, header_size_max), "256K", 16384, INT64_C(1) << 31,
     "Longest header of a message."},
    NUMBER("smtp", "header_fields_max", header_fields_max, "1000", 100, 1000000, "Fields in a message's header."),
    NUMBER("smtp", "line_length_max", line_length_max, "0", 0, INT64_C(1) << 31,
           "Octets in a line of a message, with its CRLF; the standard has 1000. 0: no limit."),
    NUMBER("smtp", "recipients_max", recipients_max, "1000", 100, 50000,
           "Recipients of one message (RFC 5321 4.5.3.1.8)."),
    NUMBER("smtp", "errors_max", errors_max, "20", 1, 1000, "Bad commands before a client is hung up on."),
    NUMBER("smtp", "received_max", received_max, "100", 10, 1000, "Received lines before a message is taken to loop."),
    NUMBER("smtp", "own_received_max", own_received_max, "5", 1, 1000, "Received lines by this server before it is."),
    TEXT("smtp", "bare_newline", bare_newline, "refuse",
         "CR or LF alone in a message: refuse, or normalize (LF to CRLF, CR to a blank)."),
    DURATION("smtp", "greeting_delay", greeting_delay_ms, "0s", 0, 30000,
             "Port 25: who speaks before the greeting, which comes after so long, is refused. 0s: at once, nobody is."),
    DURATION("smtp", "timeout", smtp_timeout_ms, "5m", 1000, HOUR,
             "A silent client is hung up on (RFC 5321 4.5.3.2.7)."),
    TEXT("smtp", "xclient_networks", xclient_networks, "",
         "ADDRESS, NETWORK/BITS ...: proxies that may tell by XCLIENT whose mail they bring. Empty: nobody."),
    DURATION("smtp", "queue_lifetime", queue_lifetime_ms, "5d", 1000, 30 * DAY, "Then undelivered mail bounces."),
    DURATION(
        "smtp", "delay_notice", delay_notice_ms, "4h", 0, 30 * DAY,
        "Then the sender of undelivered mail is told of the delay, unless he asked not to be (RFC 3461). 0s: nobody is."),
    DURATION("smtp", "future_release_max", future_release_max_ms, "30d", 0, 365 * DAY,
             "How long a submission may ask to be held (FUTURERELEASE, RFC 4865). 0s: it is not offered."),
    {"smtp", "address_literals", SETTING_SWITCH, offsetof(struct config, address_literals), "no", 0, 0,
     "Relays mail to user@[ADDRESS] to that very address, for those who may relay. no: it is refused."},
    {"smtp", "refuse_null_mx_senders", SETTING_SWITCH, offsetof(struct config, refuse_null_mx_senders), "yes", 0, 0,
     "Port 25: refuses strangers' senders whose domain says by a null MX that it takes no mail (RFC 7505)."},

    NUMBER("mailbox", "mailboxes_max", mailboxes_max, "1000", 10, 10000,
           "Of one account, and names that it may subscribe to."),
    DURATION("mailbox", "imap_timeout", imap_timeout_ms, "30m", 1000, DAY,
             "Of silence (RFC 3501 5.4: at least 30 minutes)."),
    DURATION("mailbox", "pop3_timeout", pop3_timeout_ms, "10m", 1000, DAY,
             "Of silence (RFC 1939 3: at least 10 minutes)."),
    DURATION("mailbox", "login_timeout", login_timeout_ms, "1m", 1000, HOUR, "Of silence before a login."),

    NUMBER("auth", "address_failures", auth_address_failures, "30", 0, 1000000,
           "Failed logins from one IPv4 address or IPv6 /64, whatever the name, before it is banned. 0: no limit."),
    NUMBER("auth", "account_failures", auth_account_failures, "10", 0, 1000000,
           "Failed logins with one name from one address before that name is banned there. 0: no limit."),
    NUMBER("auth", "attack_failures", auth_attack_failures, "100", 0, 1000000,
           "Failed logins with one name from everywhere; from then on three from one address ban it there. 0: never."),
    DURATION("auth", "window", auth_window_ms, "10m", 1000, DAY, "Failures further apart do not add up."),
    DURATION("auth", "ban_time", auth_ban_ms, "15m", 1000, 30 * DAY, "How long a ban lasts."),
    TEXT("auth", "exempt", auth_exempt, "127.0.0.0/8 ::1",
         "Blocks of addresses that are not counted and never banned."),
    {"auth", "scram_sha1", SETTING_SWITCH, offsetof(struct config, scram_sha1), "no", 0, 0,
     "Offers SCRAM-SHA-1, for clients that know no other, and stores keys for it, which are quicker to guess with."},
    {"auth", "channel_binding", SETTING_SWITCH, offsetof(struct config, channel_binding), "no", 0, 0,
     "Offers the -PLUS forms of SCRAM over TLS. Some clients take the strongest that they see, cannot bind, and give up: mutt with libgsasl."},

    NUMBER("clients", "network_ipv4", network_ipv4, "24", 8, 32,
           "Length of the prefix that makes a network of IPv4 addresses, for the limits below."),
    NUMBER("clients", "network_ipv6", network_ipv6, "48", 16, 64, "The same for IPv6."),
    NUMBER(
        "clients", "sessions_per_network_max", sessions_per_network_max, "2000", 0, 1000000,
        "Connections of this node from one network; 0: no limit, here and below. From one address: [daemon] sessions_per_client_max."),
    NUMBER(
        "clients", "connections_per_minute", connections_per_minute, "600", 0, 60000000,
        "From one IPv4 address or IPv6 /64, to all workers of this node, as many at once; loopback and the allow-list are exempt, here and below."),
    NUMBER("clients", "network_connections_per_minute", network_connections_per_minute, "3000", 0, 60000000,
           "From one network."),
    NUMBER("clients", "messages_per_minute", messages_per_minute, "1200", 0, 60000000,
           "MAILs on port 25 from one IPv4 address or IPv6 /64."),
    NUMBER("clients", "recipients_per_minute", recipients_per_minute, "12000", 0, 60000000,
           "RCPTs on port 25 from one IPv4 address or IPv6 /64."),
    NUMBER("clients", "network_messages_per_minute", network_messages_per_minute, "6000", 0, 60000000,
           "MAILs on port 25 from one network."),
    NUMBER("clients", "network_recipients_per_minute", network_recipients_per_minute, "60000", 0, 60000000,
           "RCPTs on port 25 from one network."),
    NUMBER(
        "clients", "tarpit_after", tarpit_after, "20", 0, 1000000,
        "Refusals on port 25 that one IPv4 address or IPv6 /64 is told at once, about in a minute; each further one takes twice as long."),
    DURATION("clients", "tarpit_max", tarpit_max_ms, "10s", 0, 120000,
             "The longest that a refusal takes. 0s: all are told at once."),
    DURATION(
        "clients", "dns_wait", dns_wait_ms, "5s", 0, 60000,
        "RCPT waits for DNS lists and reverse names, which only a client policy asks for, until so long after the client came."),
    TEXT(
        "oauth", "introspection_url", oauth_introspection_url, "",
        "Where tokens are asked for (RFC 7662): https, or http on this machine. OAUTHBEARER and XOAUTH2 are offered, over TLS, if this or "
        "jwks is set."),
    TEXT("oauth", "client", oauth_client, "", "Our client id there."),
    TEXT("oauth", "secret_file", oauth_secret_file, "", "Our secret there. Read before privileges are dropped."),
    TEXT("oauth", "jwks", oauth_jwks, "", "Keys of tokens that are JWTs (RS256, ES256): URL or FILE of a JWK Set."),
    TEXT("oauth", "ca_file", oauth_ca_file, "", "PEM: authorities for these https servers. Default: the system's."),
    TEXT("oauth", "issuer", oauth_issuer, "", "What iss of a token must be. Empty: anything, but jwks wants it."),
    TEXT("oauth", "audience", oauth_audience, "",
         "What aud of a token must contain. Empty: anything, but jwks wants it, and introspection this or scope."),
    TEXT("oauth", "scope", oauth_scope, "", "What scope of a token must contain. Empty: anything."),
    TEXT("oauth", "account_claim", oauth_account_claim, "email",
         "The member of a token that is the account's address."),
    DURATION("oauth", "timeout", oauth_timeout_ms, "5s", 100, 60000, "To ask one of these servers."),
    DURATION("oauth", "keys_lifetime", oauth_keys_ms, "1h", 1000, 30 * DAY,
             "Then keys are read again; for a key that is missing at once, at most once a minute."),
    DURATION("oauth", "answer_lifetime", oauth_answer_ms, "1m", 0, HOUR,
             "How long a token that introspection says is good is not asked for again. 0s: it always is."),

    TEXT("delivery", "default_route", default_route, "",
         "HOST:PORT of a smart host for mail to outside, or route:NAME of a route. Empty: MX look-up."),
    NUMBER("delivery", "mx_port", mx_port, "25", 1, 65535, "Where MX hosts listen. For laboratories."),
    NUMBER("delivery", "sts_port", sts_port, "443", 1, 65535,
           "Where hosts of MTA-STS policies listen. For laboratories: with another, they may have private addresses, too."),
    TEXT("delivery", "sts_ca_file", sts_ca_file, "", "PEM: authorities for hosts of MTA-STS policies, and for those that TLS reports are posted to. Default: the system's."),
    TEXT("delivery", "tls_report_contact", tls_report_contact, "",
         "Address in a domain here: TLS reports (RFC 8460) are sent to domains that want them, from it. Empty: none are."),
    TEXT("delivery", "tls_report_organization", tls_report_organization, "", "Whose reports they are. Empty: hostname."),
    TEXT("delivery", "tls_report_dkim_key", tls_report_dkim_key, "",
         "PEM: private key, RSA or Ed25519, that reports by mail are signed with (DKIM). Empty: they are not signed."),
    TEXT("delivery", "tls_report_dkim_selector", tls_report_dkim_selector, "",
         "Its public key is in DNS at SELECTOR._domainkey.DOMAIN."),
    TEXT("delivery", "tls_report_dkim_domain", tls_report_dkim_domain, "", "That domain. Empty: the contact's."),
    {"delivery", "srs", SETTING_SWITCH, offsetof(struct config, srs), "yes", 0, 0,
     "What aliases forward to outside goes under a sender of theirs (SRS0=...), so that the receiver's SPF check passes."},
    TEXT("delivery", "srs_domain", srs_domain, "",
         "Domain here that all such senders are in. Empty: that of the alias."),
    DURATION("delivery", "srs_lifetime", srs_lifetime_ms, "21d", DAY, 365 * DAY,
             "How long such an address takes notices, in whole days."),
    NUMBER("delivery", "deliveries_max", deliveries_max, "100", 1, 10000, "Deliveries at once, per worker."),
    NUMBER("delivery", "per_destination_max", per_destination_max, "10", 1, 1000, "Of these to one destination."),
    NUMBER("delivery", "transaction_recipients", transaction_recipients, "100", 1, 100,
           "Recipients of one transaction with a next hop, at most; a next hop's own limit (RFC 9422) is kept all the same."),
    NUMBER("delivery", "connection_messages", connection_messages, "0", 0, 1000000,
           "Messages over one connection to a next hop, at most; 0: as many as it takes."),
    DURATION("delivery", "probe_interval", probe_interval_ms, "5s", 100, HOUR,
             "How often a primary that is away is tried."),
    DURATION("delivery", "retry_first", retry_first_ms, "5m", 100, DAY,
             "First retry elsewhere and of a recipient put off; doubles."),
    DURATION("delivery", "retry_max", retry_max_ms, "1h", 100, 7 * DAY, "Longest time between two tries."),
    DURATION("delivery", "connect_timeout", connect_timeout_ms, "30s", 100, HOUR, "To connect and to be greeted."),
    DURATION("delivery", "reply_timeout", reply_timeout_ms, "5m", 100, HOUR,
             "For a reply to a command (RFC 5321 4.5.3.2)."),
    DURATION("delivery", "data_timeout", data_timeout_ms, "10m", 100, HOUR,
             "For the reply to the final dot (4.5.3.2.6)."),
    {"delivery", "verify_tls", SETTING_SWITCH, offsetof(struct config, verify_tls), "no", 0, 0,
     "Next hops must offer TLS with a certificate that fits. Mail with REQUIRETLS always asks for that."},
    {"delivery", "chunking", SETTING_SWITCH, offsetof(struct config, chunking), "no", 0, 0,
     "BDAT (RFC 3030) to next hops that offer CHUNKING: a third less work with large messages, not less time."},

    TEXT("secrets", "key_file", secrets_key_file, "",
         "Keys under which credentials of next hops are kept; posthoused --add-secret-key makes it. Only its owner may read it."),

    TEXT("webhooks", "networks", webhooks_networks, "",
         "ADDRESS, NETWORK/BITS ...: private networks that webhooks may tell, also by http://. Empty: public addresses, by https."),
    TEXT("webhooks", "ca_file", webhooks_ca_file, "", "PEM: authorities for who is told. Default: the system's."),
    DURATION("webhooks", "retry_first", webhooks_retry_first_ms, "10s", 100, DAY, "First retry of what was not taken; doubles."),
    DURATION("webhooks", "retry_max", webhooks_retry_max_ms, "1h", 100, DAY, "Longest time between two tries."),
    DURATION("webhooks", "lifetime", webhooks_lifetime_ms, "1d", 1000, 30 * DAY, "Then what nobody took is given up."),

    TEXT("recipients", "probe_sender", probe_sender, "",
         "Sender with which a primary is asked whether a recipient exists. Empty: the null sender."),
    DURATION("recipients", "probe_timeout", probe_timeout_ms, "10s", 100, 5 * 60000,
             "How long RCPT waits for the primary's answer; then what is known counts."),
    NUMBER("recipients", "probes_per_domain", probes_per_domain, "2", 1, 100,
           "Connections at once to a domain's primary, per worker, to ask."),
    DURATION("recipients", "valid_lifetime", valid_lifetime_ms, "7d", 1000, 3650 * DAY,
             "How long a recipient that exists is known without asking again."),
    DURATION("recipients", "invalid_lifetime", invalid_lifetime_ms, "1h", 1000, 3650 * DAY,
             "The same of one that does not."),
    NUMBER("recipients", "learned_max", learned_max, "100000", 10, 10000000,
           "Recipients of a domain that are remembered, and a tenth as many that do not exist."),
    NUMBER("recipients", "continuity_accounts_max", continuity_accounts_max, "50000", 0, 10000000,
           "Accounts of one customer that are made for outages of its relay domains."),

    TEXT("dns", "resolver", dns_resolver, "", "ADDRESS or ADDRESS@PORT. Default: as /etc/resolv.conf says."),
    TEXT("dns", "trust_anchor_file", dns_trust_anchor_file, "",
         "DNSSEC: DS or DNSKEY records. Default: the root's, /usr/share/dns/root.key, if it is there (Debian: dns-root-data)."),

    TEXT("admin", "certificate_file", admin_certificate, "",
         "PEM: the API speaks HTTPS. Without it keep it on loopback or behind a proxy."),
    TEXT("admin", "key_file", admin_key, "", "PEM."),
    TEXT("admin", "invitation_url", admin_invitation_url, "",
         "Of invitation links, with the final slash; leads to /invitations/ of the API. Empty: there are no links, only tokens."),
    NUMBER("admin", "connections_max", admin_connections_max, "100", 1, 10000, "API connections at once."),
    NUMBER("admin", "connections_per_client_max", admin_connections_per_client_max, "50", 0, 10000,
           "API connections of one address at once; 0: as many as there are."),
};
#define SETTINGS (sizeof config_settings / sizeof config_settings[0])
const unsigned config_setting_count = SETTINGS;
_Static_assert(SETTINGS <= CONFIG_SETTINGS_MAX, "struct config has a line for each");

void config_sample(FILE *out)
{
    const char *section = "";

    fputs("# Posthouse: every setting with its default. What administrators change at run time (customers,\n"
          "# domains, accounts, routes, networks) is in the database; see the REST API.\n",
          out);
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &config_settings[i];

        if (strcmp(section, s->section) != 0)
            fprintf(out, "\n[%s]\n", section = s->section);
        fprintf(out, "# %s\n#%s = %s\n", s->meaning, s->key, s->fallback);
    }
}
