/*
 * config_check: what a value must be beyond its type, and what goes together.
 *
 * Everything that can be judged without using it: users, files and the database are tried by settings.c.  Each error
 * has the line of the setting at fault.
 */
#include "daemon/config_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/cidr.h"
#include "core/log.h"
#include "daemon/listen.h"
#include "daemon/logging.h"
#include "protocols/oauth.h"
#include "storage/db.h"
#include "storage/name.h"

#define TLS_PAIRS 64

static unsigned line_of(const struct reader *reader, const char *section, const char *key)
{
    return config_line(reader->config, section, key);
}

static void check_listen(struct reader *reader, const char *key, const char *value)
{
    bool proxy = false;
    char error[200];

    if (!listen_check(value, &proxy, error, sizeof error))
        config_complain(reader, line_of(reader, "listen", key), "%s: %s", key, error);
    else if (proxy && strcmp(key, "admin") == 0)
        config_complain(reader, line_of(reader, "listen", key), "%s: the API does not take the PROXY protocol", key);
    else if (proxy && !*reader->config->proxy_networks)
        config_complain(reader, line_of(reader, "listen", key),
                        "%s: proxy: needs proxy_networks, which says whom to believe", key);
}

static void check_networks(struct reader *reader, const char *section, const char *key, const char *value)
{
    struct cidr_list list;
    char error[200];

    if (!cidr_list_parse(value, &list, error, sizeof error))
        config_complain(reader, line_of(reader, section, key), "%s: %s", key, error);
    cidr_list_free(&list);
}

static unsigned word_count(const char *text)
{
    unsigned n = 0;

    while (*(text += strspn(text, " \t"))) {
        n++;
        text += strcspn(text, " \t");
    }
    return n;
}

static void check_pairs(struct reader *reader, const char *section, const char *certificates, const char *keys,
                        unsigned most)
{
    unsigned n = word_count(certificates);

    if (n != word_count(keys))
        config_complain(reader, line_of(reader, section, *keys ? "key_file" : "certificate_file"),
                        "certificate_file and key_file go together: as many of one as of the other");
    else if (n > most)
        config_complain(reader, line_of(reader, section, "certificate_file"), "certificate_file: at most %u", most);
}

static void check_tls(struct reader *reader)
{
    const struct config *c = reader->config;

    check_pairs(reader, "tls", c->tls_certificate, c->tls_key, TLS_PAIRS);
    check_pairs(reader, "admin", c->admin_certificate, c->admin_key, 1);
    if (strcmp(c->tls_min_version, "1.2") != 0 && strcmp(c->tls_min_version, "1.3") != 0)
        config_complain(reader, line_of(reader, "tls", "min_version"), "min_version must be 1.2 or 1.3");
    if (*c->tls_client_ca && !*c->tls_certificate)
        config_complain(reader, line_of(reader, "tls", "client_ca_file"),
                        "client_ca_file needs certificate_file and key_file");
    if (!*c->tls_certificate && (*c->listen_submissions || *c->listen_imaps || *c->listen_pop3s))
        config_complain(reader,
                        line_of(reader, "listen",
                                *c->listen_imaps   ? "imaps"
                                : *c->listen_pop3s ? "pop3s"
                                                   : "submissions"),
                        "a TLS port needs [tls] certificate_file and key_file");
}

static void check_smtp(struct reader *reader)
{
    const char *bare_newline = reader->config->bare_newline;

    if (strcmp(bare_newline, "refuse") != 0 && strcmp(bare_newline, "normalize") != 0)
        config_complain(reader, line_of(reader, "smtp", "bare_newline"), "bare_newline must be refuse or normalize");
}

static void check_route(struct reader *reader)
{
    struct config *c = reader->config;
    static const char named[] = "route:";
    char error[200];

    if (strncmp(c->default_route, named, strlen(named)) == 0) {
        c->default_route_name = c->default_route + strlen(named);
        if (!*c->default_route_name)
            config_complain(reader, line_of(reader, "delivery", "default_route"), "default_route: a name is missing");
        return;
    }
    if (*c->default_route &&
        !listen_split(c->default_route, &c->default_route_host, &c->default_route_port, error, sizeof error))
        config_complain(reader, line_of(reader, "delivery", "default_route"), "default_route: %s", error);
}

/*
 * It is spoken in every greeting and stands in every Received line: RFC 5321 4.1.1.1, a name or an address in brackets.
 */
static void check_hostname(struct reader *reader)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
    const char *name = reader->config->hostname;

    if (name[strspn(name, letters)] || strlen(name) > 255)
        config_complain(reader, line_of(reader, "daemon", "hostname"), "hostname: \"%s\" is not the name of a host",
                        name);
}

static void check_resolver(struct reader *reader)
{
    const char *text = reader->config->dns_resolver, *port = strchr(text, '@');
    char address[INET6_ADDRSTRLEN + 1];
    struct in6_addr in;
    int64_t number = 53;

    snprintf(address, sizeof address, "%.*s", (int)strcspn(text, "%@"), text); /* %: the zone of a link-local address */
    if (*text && ((inet_pton(AF_INET, address, &in) != 1 && inet_pton(AF_INET6, address, &in) != 1) ||
                  (port && (!config_number(port + 1, &number) || number < 1 || number > 65535))))
        config_complain(reader, line_of(reader, "dns", "resolver"), "resolver: \"%s\" is not ADDRESS or ADDRESS@PORT",
                        text);
}

static void check_probe_sender(struct reader *reader)
{
    const char *sender = reader->config->probe_sender;
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice address;

    if (*sender && !name_address(arena, slice_str(sender), &address))
        config_complain(reader, line_of(reader, "recipients", "probe_sender"), "probe_sender: \"%s\" is not an address",
                        sender);
    arena_free(&arena);
}

static void check_tls_report_contact(struct reader *reader)
{
    const char *contact = reader->config->tls_report_contact;
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice address;

    if (*contact && !name_address(arena, slice_str(contact), &address))
        config_complain(reader, line_of(reader, "delivery", "tls_report_contact"),
                        "tls_report_contact: \"%s\" is not an address", contact);
    arena_free(&arena);
}

static void check_srs_domain(struct reader *reader)
{
    const char *given = reader->config->srs_domain;
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice domain;

    if (*given && !name_domain(arena, slice_str(given), &domain))
        config_complain(reader, line_of(reader, "delivery", "srs_domain"), "srs_domain: \"%s\" is not a domain", given);
    arena_free(&arena);
}

/* They stand in a header field as they are. */
static void check_tls_report_dkim(struct reader *reader)
{
    const struct config *c = reader->config;
    const char *selector = c->tls_report_dkim_selector, *given = c->tls_report_dkim_domain;
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice name;

    if (*selector && !name_host(arena, slice_str(selector), &name))
        config_complain(reader, line_of(reader, "delivery", "tls_report_dkim_selector"),
                        "tls_report_dkim_selector: \"%s\" is no name", selector);
    if (*given && !name_domain(arena, slice_str(given), &name))
        config_complain(reader, line_of(reader, "delivery", "tls_report_dkim_domain"),
                        "tls_report_dkim_domain: \"%s\" is not a domain", given);
    arena_free(&arena);
}

static void check_texts(struct reader *reader)
{
    struct config *c = reader->config;
    char error[300];

    check_hostname(reader);
    check_resolver(reader);
    check_probe_sender(reader);
    check_tls_report_contact(reader);
    check_srs_domain(reader);
    check_tls_report_dkim(reader);
    if (!logging_check(c->log_levels, error, sizeof error))
        config_complain(reader, line_of(reader, "daemon", "log_levels"), "log_levels: %s", error);
    if (!db_conninfo_valid(c->conninfo))
        config_complain(reader, line_of(reader, "database", "conninfo"), "conninfo is not a libpq connection string");
}

/* RFC 6749 section 3.3: one scope-token.  It is sent to clients within JSON. */
static bool is_scope(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\')
            return false;
    return true;
}

static void check_oauth(struct reader *reader)
{
    const struct config *c = reader->config;

    if (*c->oauth_introspection_url && !oauth_url_valid(c->oauth_introspection_url))
        config_complain(reader, line_of(reader, "oauth", "introspection_url"),
                        "introspection_url must be https://..., or http:// to this machine");
    if (strstr(c->oauth_jwks, "://") && !oauth_url_valid(c->oauth_jwks))
        config_complain(reader, line_of(reader, "oauth", "jwks"),
                        "jwks must be a file, https://..., or http:// to this machine");
    if (*c->oauth_jwks && (!*c->oauth_issuer || !*c->oauth_audience))
        config_complain(reader, line_of(reader, "oauth", "jwks"),
                        "jwks needs issuer and audience: the issuer's keys sign tokens for others as well");
    if (*c->oauth_introspection_url && !*c->oauth_audience && !*c->oauth_scope)
        config_complain(reader, line_of(reader, "oauth", "introspection_url"),
                        "introspection_url needs audience or scope: tokens for other services are good there as well");
    if ((*c->oauth_client != '\0') != (*c->oauth_secret_file != '\0'))
        config_complain(reader, line_of(reader, "oauth", *c->oauth_client ? "client" : "secret_file"),
                        "client and secret_file go together");
    if (*c->oauth_client && !*c->oauth_introspection_url)
        config_complain(reader, line_of(reader, "oauth", "client"), "client needs introspection_url");
    if (!is_scope(c->oauth_scope))
        config_complain(reader, line_of(reader, "oauth", "scope"), "scope must be one word, without quotes");
    if (!*c->oauth_account_claim)
        config_complain(reader, line_of(reader, "oauth", "account_claim"), "account_claim must name a member");
}

void config_check(struct reader *reader)
{
    struct config *c = reader->config;
    enum log_level level;

    check_texts(reader);
    check_tls(reader);
    check_oauth(reader);
    check_networks(reader, "listen", "proxy_networks", c->proxy_networks);
    check_networks(reader, "smtp", "xclient_networks", c->xclient_networks);
    check_networks(reader, "auth", "exempt", c->auth_exempt);
    check_networks(reader, "webhooks", "networks", c->webhooks_networks);
    check_listen(reader, "smtp", c->listen_smtp);
    check_listen(reader, "submission", c->listen_submission);
    check_listen(reader, "submissions", c->listen_submissions);
    check_listen(reader, "imap", c->listen_imap);
    check_listen(reader, "imaps", c->listen_imaps);
    check_listen(reader, "pop3", c->listen_pop3);
    check_listen(reader, "pop3s", c->listen_pop3s);
    check_listen(reader, "odmr", c->listen_odmr);
    check_listen(reader, "admin", c->listen_admin);
    check_smtp(reader);
    check_route(reader);
    if (strcmp(c->log, "stderr") != 0 && strcmp(c->log, "syslog") != 0)
        config_complain(reader, line_of(reader, "daemon", "log"), "log must be stderr or syslog");
    if (!log_level_parse(c->log_level, &level))
        config_complain(reader, line_of(reader, "daemon", "log_level"),
                        "log_level must be debug, info, warn, error or none");
    if (c->retry_first_ms > c->retry_max_ms)
        config_complain(reader, line_of(reader, "delivery", "retry_first"), "retry_first is longer than retry_max");
    if (!*c->hostname) {
        char name[256] = "";

        gethostname(name, sizeof name - 1);
        free(c->hostname);
        c->hostname = strdup(*name ? name : "localhost");
    }
}
