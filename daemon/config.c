/*
 * config: reads the configuration file against one table.
 *
 * The table is the truth: name, type, range, default and meaning of each setting stand in one line of it,
 * and reading, checking and the sample all walk it.  Adding a setting is a field in config.h and a line
 * here.
 *
 * All errors are told, not only the first: an administrator fixes a file once.  What goes together (a
 * certificate without its key) is checked after reading, with the line of the setting at fault.
 */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cidr.h"
#include "core/log.h"
#include "daemon/listen.h"
#include "daemon/logging.h"
#include "storage/db.h"

#define CONFIG_LINE 4096
#define TLS_PAIRS 64

enum setting_type { SETTING_TEXT, SETTING_NUMBER, SETTING_DURATION, SETTING_SIZE, SETTING_SWITCH };

struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset;
    const char *fallback; /* text as it would stand in the file; "" is unset */
    int64_t least, most;
    const char *meaning;
};

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define TEXT(section, key, field, fallback, meaning)                                                       \
    {section, key, SETTING_TEXT, offsetof(struct config, field), fallback, 0, 0, meaning}
#define NUMBER(section, key, field, fallback, least, most, meaning)                                        \
    {section, key, SETTING_NUMBER, offsetof(struct config, field), fallback, least, most, meaning}
#define DURATION(section, key, field, fallback, least, most, meaning)                                      \
    {section, key, SETTING_DURATION, offsetof(struct config, field), fallback, least, most, meaning}

static const struct setting settings[] = {
    TEXT("daemon", "hostname", hostname, "", "Our name in greetings, Received lines and EHLO. Default: the host's name."),
    TEXT("daemon", "user", user, "posthouse", "Workers run as this user when started as root."),
    NUMBER("daemon", "workers", workers, "0", 0, 256, "Worker processes; 0: one for each processor."),
    NUMBER("daemon", "tasks", tasks, "256", 16, 10000, "Commands at work at once in a worker; more wait their turn."),
    NUMBER("daemon", "sessions_max", sessions_max, "10000", 10, 1000000, "Client connections of one worker."),
    NUMBER("daemon", "sessions_per_client_max", sessions_per_client_max, "50", 0, 1000000,
           "Of these from one IPv4 address or IPv6 /64; 0: no limit. Loopback is exempt."),
    TEXT("daemon", "pid_file", pid_file, "", "Where to write the master's process id."),
    TEXT("daemon", "log", log, "stderr", "stderr or syslog (facility mail)."),
    TEXT("daemon", "log_level", log_level, "info", "debug, info, warn, error or none."),
    TEXT("daemon", "log_levels", log_levels, "", "Exceptions by module, for instance: smtp=debug runner=warn"),
    TEXT("daemon", "spool_directory", spool_directory, "", "For messages too long for memory while they arrive. Default: /var/tmp."),
    DURATION("daemon", "drain_limit", drain_limit_ms, "30s", 0, HOUR, "After SIGTERM, sessions have this long to end."),
    DURATION("daemon", "retire_limit", retire_limit_ms, "1d", 0, 30 * DAY,
             "After SIGHUP, sessions begun before may go on this long."),
    DURATION("daemon", "history_retention", history_retention_ms, "14d", HOUR, 3650 * DAY,
             "How long events of messages that are gone are kept."),

    TEXT("database", "conninfo", conninfo, "dbname=posthouse",
         "libpq connection string. Give an address or a socket directory: looking up a name would block."),
    NUMBER("database", "read_connections", read_connections, "1", 1, 32, "Per worker, for look-ups."),
    NUMBER("database", "write_connections", write_connections, "2", 1, 32, "Per worker, for transactions."),
    DURATION("database", "statement_timeout", statement_timeout_ms, "10s", 100, HOUR, "A statement that takes longer fails."),
    {"database", "cache_size", SETTING_SIZE, offsetof(struct config, cache_size), "16M", 0, INT64_C(1) << 40,
     "Per worker, for answers of the directory, which are at most a second old; 0: always ask."},

    TEXT("tls", "certificate_file", tls_certificate, "",
         "PEM, with the chain. Without it neither TLS nor plain passwords are offered. Several FILES: by the name that the client asks "
         "for; the first is for all others."),
    TEXT("tls", "key_file", tls_key, "", "PEM. Read before privileges are dropped. Several: in the same order."),
    TEXT("tls", "client_ca_file", tls_client_ca, "",
         "PEM. Clients are asked for a certificate of these authorities, and may have none. Empty: they are not asked."),
    TEXT("tls", "min_version", tls_min_version, "1.2", "1.2 or 1.3."),

    TEXT("listen", "smtp", listen_smtp, "", "ADDRESS:PORT ..., IPv6 in brackets. Mail from other servers (port 25). Empty: off. Behind a proxy that speaks the PROXY protocol: "
         "proxy:ADDRESS:PORT, here and below."),
    TEXT("listen", "submission", listen_submission, "", "Submission with STARTTLS (port 587)."),
    TEXT("listen", "submissions", listen_submissions, "", "Submission over TLS (port 465)."),
    TEXT("listen", "imap", listen_imap, "", "IMAP with STARTTLS (port 143)."),
    TEXT("listen", "imaps", listen_imaps, "", "IMAP over TLS (port 993)."),
    TEXT("listen", "pop3", listen_pop3, "", "POP3 with STLS (port 110)."),
    TEXT("listen", "pop3s", listen_pop3s, "", "POP3 over TLS (port 995)."),
    TEXT("listen", "proxy_networks", proxy_networks, "",
         "ADDRESS, NETWORK/BITS ...: the proxies that are believed. Others are hung up on by a port that is proxy:."),
    TEXT("listen", "admin", listen_admin, "", "REST API, health and metrics."),

    {"smtp", "message_size_max", SETTING_SIZE, offsetof(struct config, message_size_max), "50M", 65536,
     INT64_C(1) << 31, "Longest message taken (SIZE)."},
    NUMBER("smtp", "recipients_max", recipients_max, "1000", 100, 50000, "Recipients of one message (RFC 5321 4.5.3.1.8)."),
    NUMBER("smtp", "errors_max", errors_max, "20", 1, 1000, "Bad commands before a client is hung up on."),
    NUMBER("smtp", "received_max", received_max, "100", 10, 1000, "Received lines before a message is taken to loop."),
    DURATION("smtp", "greeting_delay", greeting_delay_ms, "0s", 0, 30000,
             "Port 25: who speaks before the greeting, which comes after so long, is refused. 0s: at once, nobody is."),
    DURATION("smtp", "timeout", smtp_timeout_ms, "5m", 1000, HOUR, "A silent client is hung up on (RFC 5321 4.5.3.2.7)."),
    TEXT("smtp", "xclient_networks", xclient_networks, "",
         "ADDRESS, NETWORK/BITS ...: proxies that may tell by XCLIENT whose mail they bring. Empty: nobody."),
    DURATION("smtp", "queue_lifetime", queue_lifetime_ms, "5d", 1000, 30 * DAY, "Then undelivered mail bounces."),

    NUMBER("mailbox", "mailboxes_max", mailboxes_max, "1000", 10, 10000, "Of one account, and names that it may subscribe to."),
    DURATION("mailbox", "imap_timeout", imap_timeout_ms, "30m", 1000, DAY, "Of silence (RFC 3501 5.4: at least 30 minutes)."),
    DURATION("mailbox", "pop3_timeout", pop3_timeout_ms, "10m", 1000, DAY, "Of silence (RFC 1939 3: at least 10 minutes)."),
    DURATION("mailbox", "login_timeout", login_timeout_ms, "1m", 1000, HOUR, "Of silence before a login."),

    TEXT("delivery", "default_route", default_route, "", "HOST:PORT of a smart host for mail to outside. Empty: MX look-up."),
    NUMBER("delivery", "deliveries_max", deliveries_max, "100", 1, 10000, "Deliveries at once, per worker."),
    NUMBER("delivery", "per_destination_max", per_destination_max, "10", 1, 1000, "Of these to one destination."),
    DURATION("delivery", "probe_interval", probe_interval_ms, "5s", 100, HOUR, "How often a primary that is away is tried."),
    DURATION("delivery", "retry_first", retry_first_ms, "5m", 100, DAY, "First retry elsewhere and of a recipient put off; doubles."),
    DURATION("delivery", "retry_max", retry_max_ms, "1h", 100, 7 * DAY, "Longest time between two tries."),
    DURATION("delivery", "connect_timeout", connect_timeout_ms, "30s", 100, HOUR, "To connect and to be greeted."),
    DURATION("delivery", "reply_timeout", reply_timeout_ms, "5m", 100, HOUR, "For a reply to a command (RFC 5321 4.5.3.2)."),
    DURATION("delivery", "data_timeout", data_timeout_ms, "10m", 100, HOUR, "For the reply to the final dot (4.5.3.2.6)."),
    {"delivery", "verify_tls", SETTING_SWITCH, offsetof(struct config, verify_tls), "no", 0, 0,
     "Next hops must offer TLS with a certificate that fits."},

    TEXT("dns", "resolver", dns_resolver, "", "ADDRESS or ADDRESS@PORT. Default: as /etc/resolv.conf says."),

    TEXT("admin", "certificate_file", admin_certificate, "", "PEM: the API speaks HTTPS. Without it keep it on loopback or behind a proxy."),
    TEXT("admin", "key_file", admin_key, "", "PEM."),
    NUMBER("admin", "connections_max", admin_connections_max, "100", 1, 10000, "API connections at once."),
};
#define SETTINGS (sizeof settings / sizeof settings[0])
_Static_assert(SETTINGS <= CONFIG_SETTINGS_MAX, "struct config has a line for each");

struct reader {
    const char *path;
    FILE *where;
    unsigned line, errors;
    struct config *config;
};

static void complain(struct reader *reader, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void complain(struct reader *reader, unsigned line, const char *format, ...)
{
    va_list args;

    if (line)
        fprintf(reader->where, "%s:%u: ", reader->path, line);
    else
        fprintf(reader->where, "%s: ", reader->path);
    va_start(args, format);
    vfprintf(reader->where, format, args);
    va_end(args);
    fputc('\n', reader->where);
    reader->errors++;
}

/* -------- values */

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", HOUR}, {"d", DAY}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1}, {"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}, {NULL, 0}};
static const struct unit none[] = {{"", 1}, {NULL, 0}};

static bool number_parse(const char *text, const struct unit *units, int64_t *out)
{
    char *end;
    long long n;

    errno = 0;
    n = strtoll(text, &end, 10);
    if (end == text || errno || n < 0)
        return false;
    for (; units->name; units++)
        if (strcmp(end, units->name) == 0)
            return !__builtin_mul_overflow((int64_t)n, units->factor, out);
    return false;
}

static const char *value_set(struct config *config, const struct setting *s, const char *text)
{
    char *field = (char *)config + s->offset;
    int64_t number;

    switch (s->type) {
    case SETTING_TEXT: {
        char **out = (char **)(void *)field;

        free(*out);
        *out = strdup(text);
        return *out ? NULL : "out of memory";
    }
    case SETTING_SWITCH:
        if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
            return "must be yes or no";
        *(bool *)field = text[0] == 'y';
        return NULL;
    case SETTING_NUMBER:
        if (!number_parse(text, none, &number))
            return "must be a whole number";
        break;
    case SETTING_DURATION:
        if (!number_parse(text, durations, &number))
            return "must be a duration such as 500ms, 30s, 5m, 2h or 5d";
        break;
    case SETTING_SIZE:
        if (!number_parse(text, sizes, &number))
            return "must be a size such as 65536, 512K or 50M";
        break;
    }
    if (number < s->least || number > s->most)
        return "is out of range";
    *(int64_t *)(void *)field = number;
    return NULL;
}

/* -------- lines */

static char *trim(char *text)
{
    char *end;

    text += strspn(text, " \t");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1]))
        *--end = '\0';
    return text;
}

static bool section_known(const char *name)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcmp(settings[i].section, name) == 0)
            return true;
    return false;
}

static void take_setting(struct reader *reader, const char *section, const char *key, const char *value)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];
        const char *problem;

        if (strcmp(s->section, section) != 0 || strcmp(s->key, key) != 0)
            continue;
        if (reader->config->lines[i]) {
            complain(reader, reader->line, "%s is set already in line %u", key, reader->config->lines[i]);
            return;
        }
        reader->config->lines[i] = reader->line;
        problem = value_set(reader->config, s, value);
        if (problem)
            complain(reader, reader->line, "%s %s", key, problem);
        return;
    }
    complain(reader, reader->line, "section [%s] has no setting %s", section, key);
}

static void take_line(struct reader *reader, char *line, char *section, size_t section_size)
{
    char *text = trim(line), *equals;

    if (*text == '\0' || *text == '#')
        return;
    if (*text == '[') {
        size_t n = strlen(text);

        section[0] = '\0';
        if (text[n - 1] != ']') {
            complain(reader, reader->line, "a section is written [name]");
            return;
        }
        text[n - 1] = '\0';
        text = trim(text + 1);
        if (section_known(text))
            snprintf(section, section_size, "%s", text);
        else
            complain(reader, reader->line, "there is no section [%s]", text);
        return;
    }
    equals = strchr(text, '=');
    if (!equals) {
        complain(reader, reader->line, "expected key = value");
        return;
    }
    if (!section[0]) {
        if (!reader->errors)
            complain(reader, reader->line, "a setting stands before the first [section]");
        return; /* of an unknown section: told already */
    }
    *equals = '\0';
    take_setting(reader, section, trim(text), trim(equals + 1));
}

/* -------- what goes together */

static unsigned line_in(const struct config *config, const char *section, const char *key)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].key, key) == 0)
            return config->lines[i];
    return 0;
}

static unsigned line_of(const struct reader *reader, const char *section, const char *key)
{
    return line_in(reader->config, section, key);
}

const char *config_where(const struct config *config, const char *section, const char *key, char *out, size_t size)
{
    unsigned line = line_in(config, section, key);

    if (line)
        snprintf(out, size, "%s:%u: [%s] %s", config->path, line, section, key);
    else
        snprintf(out, size, "%s: [%s] %s", config->path, section, key);
    return out;
}

static void check_listen(struct reader *reader, const char *key, const char *value)
{
    bool proxy = false;
    char error[200];

    if (!listen_check(value, &proxy, error, sizeof error))
        complain(reader, line_of(reader, "listen", key), "%s: %s", key, error);
    else if (proxy && strcmp(key, "admin") == 0)
        complain(reader, line_of(reader, "listen", key), "%s: the API does not take the PROXY protocol", key);
    else if (proxy && !*reader->config->proxy_networks)
        complain(reader, line_of(reader, "listen", key), "%s: proxy: needs proxy_networks, which says whom to believe", key);
}

static void check_networks(struct reader *reader, const char *section, const char *key, const char *value)
{
    struct cidr_list list;
    char error[200];

    if (!cidr_list_parse(value, &list, error, sizeof error))
        complain(reader, line_of(reader, section, key), "%s: %s", key, error);
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

static void check_pairs(struct reader *reader, const char *section, const char *certificates, const char *keys, unsigned most)
{
    unsigned n = word_count(certificates);

    if (n != word_count(keys))
        complain(reader, line_of(reader, section, *keys ? "key_file" : "certificate_file"),
                 "certificate_file and key_file go together: as many of one as of the other");
    else if (n > most)
        complain(reader, line_of(reader, section, "certificate_file"), "certificate_file: at most %u", most);
}

static void check_tls(struct reader *reader)
{
    const struct config *c = reader->config;

    check_pairs(reader, "tls", c->tls_certificate, c->tls_key, TLS_PAIRS);
    check_pairs(reader, "admin", c->admin_certificate, c->admin_key, 1);
    if (strcmp(c->tls_min_version, "1.2") != 0 && strcmp(c->tls_min_version, "1.3") != 0)
        complain(reader, line_of(reader, "tls", "min_version"), "min_version must be 1.2 or 1.3");
    if (*c->tls_client_ca && !*c->tls_certificate)
        complain(reader, line_of(reader, "tls", "client_ca_file"), "client_ca_file needs certificate_file and key_file");
    if (!*c->tls_certificate && (*c->listen_submissions || *c->listen_imaps || *c->listen_pop3s))
        complain(reader, line_of(reader, "listen", *c->listen_imaps ? "imaps" : *c->listen_pop3s ? "pop3s" : "submissions"),
                 "a TLS port needs [tls] certificate_file and key_file");
}

static void check_route(struct reader *reader)
{
    struct config *c = reader->config;
    char error[200];

    if (*c->default_route && !listen_split(c->default_route, &c->default_route_host, &c->default_route_port, error, sizeof error))
        complain(reader, line_of(reader, "delivery", "default_route"), "default_route: %s", error);
}

/* It is spoken in every greeting and stands in every Received line: RFC 5321 4.1.1.1, a name or an address in brackets. */
static void check_hostname(struct reader *reader)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
    const char *name = reader->config->hostname;

    if (name[strspn(name, letters)] || strlen(name) > 255)
        complain(reader, line_of(reader, "daemon", "hostname"), "hostname: \"%s\" is not the name of a host", name);
}

static void check_resolver(struct reader *reader)
{
    const char *text = reader->config->dns_resolver, *port = strchr(text, '@');
    char address[INET6_ADDRSTRLEN + 1];
    struct in6_addr in;
    int64_t number = 53;

    snprintf(address, sizeof address, "%.*s", (int)strcspn(text, "%@"), text); /* %: the zone of a link-local address */
    if (*text && ((inet_pton(AF_INET, address, &in) != 1 && inet_pton(AF_INET6, address, &in) != 1) ||
                  (port && (!number_parse(port + 1, none, &number) || number < 1 || number > 65535))))
        complain(reader, line_of(reader, "dns", "resolver"), "resolver: \"%s\" is not ADDRESS or ADDRESS@PORT", text);
}

static void check_texts(struct reader *reader)
{
    struct config *c = reader->config;
    char error[300];

    check_hostname(reader);
    check_resolver(reader);
    if (!logging_check(c->log_levels, error, sizeof error))
        complain(reader, line_of(reader, "daemon", "log_levels"), "log_levels: %s", error);
    if (!db_conninfo_valid(c->conninfo))
        complain(reader, line_of(reader, "database", "conninfo"), "conninfo is not a libpq connection string");
}

static void check_together(struct reader *reader)
{
    struct config *c = reader->config;
    enum log_level level;

    check_texts(reader);
    check_tls(reader);
    check_networks(reader, "listen", "proxy_networks", c->proxy_networks);
    check_networks(reader, "smtp", "xclient_networks", c->xclient_networks);
    check_listen(reader, "smtp", c->listen_smtp);
    check_listen(reader, "submission", c->listen_submission);
    check_listen(reader, "submissions", c->listen_submissions);
    check_listen(reader, "imap", c->listen_imap);
    check_listen(reader, "imaps", c->listen_imaps);
    check_listen(reader, "pop3", c->listen_pop3);
    check_listen(reader, "pop3s", c->listen_pop3s);
    check_listen(reader, "admin", c->listen_admin);
    check_route(reader);
    if (strcmp(c->log, "stderr") != 0 && strcmp(c->log, "syslog") != 0)
        complain(reader, line_of(reader, "daemon", "log"), "log must be stderr or syslog");
    if (!log_level_parse(c->log_level, &level))
        complain(reader, line_of(reader, "daemon", "log_level"), "log_level must be debug, info, warn, error or none");
    if (c->retry_first_ms > c->retry_max_ms)
        complain(reader, line_of(reader, "delivery", "retry_first"), "retry_first is longer than retry_max");
    if (!*c->hostname) {
        char name[256] = "";

        gethostname(name, sizeof name - 1);
        free(c->hostname);
        c->hostname = strdup(*name ? name : "localhost");
    }
}

struct config *config_load(const char *path, FILE *where)
{
    struct reader reader = {.path = path, .where = where, .config = calloc(1, sizeof *reader.config)};
    char line[CONFIG_LINE], section[64] = "";
    FILE *file = fopen(path, "re");

    if (!reader.config || !(reader.config->path = strdup(path)))
        abort();
    if (!file) {
        complain(&reader, 0, "%s", strerror(errno));
        config_free(&reader.config);
        return NULL;
    }
    for (size_t i = 0; i < SETTINGS; i++)
        value_set(reader.config, &settings[i], settings[i].fallback);
    while (fgets(line, sizeof line, file)) {
        reader.line++;
        if (!strchr(line, '\n') && !feof(file)) {
            complain(&reader, reader.line, "the line is longer than %d bytes", CONFIG_LINE - 2);
            break;
        }
        take_line(&reader, line, section, sizeof section);
    }
    fclose(file);
    check_together(&reader);
    if (reader.errors)
        config_free(&reader.config);
    return reader.config;
}

void config_free(struct config **config)
{
    if (!*config)
        return;
    for (size_t i = 0; i < SETTINGS; i++)
        if (settings[i].type == SETTING_TEXT)
            free(*(char **)(void *)((char *)*config + settings[i].offset));
    free((*config)->default_route_host);
    free((*config)->path);
    free(*config);
    *config = NULL;
}

void config_sample(FILE *out)
{
    const char *section = "";

    fputs("# Posthouse: every setting with its default. What administrators change at run time (customers,\n"
          "# domains, accounts, routes, networks) is in the database; see the REST API.\n",
          out);
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];

        if (strcmp(section, s->section) != 0)
            fprintf(out, "\n[%s]\n", section = s->section);
        fprintf(out, "# %s\n#%s = %s\n", s->meaning, s->key, s->fallback);
    }
}
