/*
 * posthouse: the command line over the REST API.
 *
 *     posthouse [--url URL] [--json] RESOURCE VERB [NAME] [--OPTION VALUE ...]
 *
 * Thin on purpose: every command is one operation of the API (lists follow the pages), named and refused by
 * it; this program knows resources, options and columns, not rules.  The token is in POSTHOUSE_TOKEN or in
 * ~/.config/posthouse/token, never on the command line, where others could read it; a password, or its hash, is read
 * from the standard input.
 *
 * Exit status: 0 done, 1 refused by the API, 2 wrong usage, 3 the API cannot be reached.
 */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "admin-api/cli/client.h"
#include "admin-api/cli/grant.h"
#include "admin-api/cli/table.h"
#include "admin-api/cli/usage.h"

#define HOPS_MAX 32
#define ALIASES_MAX 500

enum verb {
    VERB_LIST, VERB_SHOW, VERB_CREATE, VERB_CHANGE, VERB_DELETE, VERB_REPLACE, VERB_FORGET,
    VERB_EVENTS, VERB_HOLD, VERB_RELEASE, VERB_REJECT, /* these are the last part of the path */
};
#define MAY(verb) (1u << (verb))
#define NAMELESS (MAY(VERB_LIST) | MAY(VERB_REPLACE) | MAY(VERB_FORGET))
#define ALL_FOUR (MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_CREATE) | MAY(VERB_DELETE))

static const char *const verb_names[] = {"list",    "show",   "create", "change", "delete", "replace",
                                         "forget",  "events", "hold",   "release", "reject"};
#define VERBS (sizeof verb_names / sizeof *verb_names)

static const struct resource {
    const char *name, *path; /* "%s": the account, or the domain */
    unsigned verbs;
    const char *key;         /* member that the NAME of `create` becomes */
    const char *filters[4];  /* options of `list` that become query parameters */
    const char *columns[10]; /* of the table */
} resources[] = {
    {"customers", "/v1/customers", ALL_FOUR, "name", {NULL}, {"id", "name", "state", "created_at", NULL}},
    {"domains",
     "/v1/domains",
     ALL_FOUR | MAY(VERB_CHANGE),
     "name",
     {"customer", NULL},
     {"id", "name", "kind", "next_hops", "outage", NULL}},
    {"recipients",
     "/v1/domains/%s/recipients",
     ALL_FOUR | MAY(VERB_REPLACE),
     "address",
     {NULL},
     {"address", "created_at", NULL}},
    {"learned-recipients",
     "/v1/domains/%s/learned-recipients",
     MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_DELETE) | MAY(VERB_FORGET),
     NULL,
     {NULL},
     {"address", "valid", "learned_at", "until", NULL}},
    {"accounts",
     "/v1/accounts",
     ALL_FOUR,
     "address",
     {"customer", "domain", NULL},
     {"id", "address", "state", "password_scheme", "aliases", NULL}},
    {"app-passwords",
     "/v1/accounts/%s/app-passwords",
     ALL_FOUR,
     "label",
     {NULL},
     {"id", "label", "scopes", "networks", "expires_at", "last_used_at", NULL}},
    {"certificates",
     "/v1/accounts/%s/certificates",
     ALL_FOUR,
     "label",
     {NULL},
     {"id", "label", "fingerprint", "address", "scopes", "last_used_at", NULL}},
    {"aliases", "/v1/aliases", ALL_FOUR, "address", {"customer", "domain", NULL}, {"id", "address", "targets", NULL}},
    {"groups", "/v1/groups", ALL_FOUR, "address", {"customer", "domain", NULL}, {"id", "address", "senders", "members", NULL}},
    {"networks", "/v1/networks", ALL_FOUR, "cidr", {"customer", NULL}, {"id", "cidr", "customer", NULL}},
    {"allowed-networks",
     "/v1/allowed-networks",
     ALL_FOUR,
     "network",
     {"customer", NULL},
     {"id", "network", "customer", "label", "valid_until", NULL}},
    {"dns-lists", "/v1/dns-lists", ALL_FOUR, "zone", {NULL}, {"id", "zone", "answers", "score", "label", NULL}},
    {"client-policies",
     "/v1/client-policies",
     ALL_FOUR,
     "label",
     {"customer", NULL},
     {"id", "label", "customer", "domain", "refuse_at", "reverse_name", "greylist", NULL}},
    {"relay-grants",
     "/v1/relay-grants",
     ALL_FOUR,
     "label",
     {"customer", NULL},
     {"id", "label", "customer", "account", "domain", "network", "certificate", "senders", "recipients", NULL}},
    {"relay-checks", "/v1/relay-checks", MAY(VERB_CREATE), "recipient", {NULL}, {NULL}},
    {"decision", "/v1/decisions", MAY(VERB_SHOW), NULL, {NULL}, {NULL}},
    {"queue",
     "/v1/queue",
     MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_HOLD) | MAY(VERB_RELEASE) | MAY(VERB_REJECT),
     NULL,
     {"domain", NULL},
     {"id", "message", "sender", "recipient", "state", "held", "attempts", "due_at", "last_reply", NULL}},
    {"message",
     "/v1/messages",
     MAY(VERB_SHOW) | MAY(VERB_EVENTS),
     NULL,
     {NULL},
     {"at", "kind", "recipient", "detail", NULL}},
    {"bans",
     "/v1/bans",
     MAY(VERB_LIST) | MAY(VERB_SHOW) | MAY(VERB_DELETE),
     NULL,
     {NULL},
     {"id", "kind", "client", "login", "failures", "until", NULL}},
    {"outages",
     "/v1/outages",
     MAY(VERB_LIST),
     NULL,
     {"domain", "open", NULL},
     {"domain", "started_at", "ended_at", "reason", NULL}},
};
#define RESOURCES (sizeof resources / sizeof *resources)

static struct options {
    const char *url;
    bool json;
    const char *customer, *domain, *open;
    const char *hops[HOPS_MAX], *aliases[ALIASES_MAX];
    unsigned hop_count, alias_count;
    bool no_password, password_hash;
} options;

static void __attribute__((noreturn)) misuse(const char *what, const char *which)
{
    fprintf(stderr, "posthouse: %s%s%s\n", what, which ? ": " : "", which ? which : "");
    fprintf(stderr, "Try 'posthouse --help'.\n");
    exit(2);
}

/* ------------------------------------------------------------------ what the user gave */

static const char *option_value(char **argv, int *at)
{
    if (!argv[*at + 1])
        misuse("a value is missing", argv[*at]);
    return argv[++*at];
}

/* Takes the options out; returns the plain words, NULL-terminated, at most max. */
static void read_arguments(char **argv, const char **words, unsigned max)
{
    unsigned count = 0;
    for (int i = 1; argv[i]; i++) {
        const char *option = argv[i];
        if (strncmp(option, "--", 2) != 0) {
            if (count == max)
                misuse("too many words", option);
            words[count++] = option;
        } else if (strcmp(option, "--help") == 0) {
            usage_print(stdout);
            exit(0);
        } else if (strcmp(option, "--version") == 0) {
            puts("posthouse " POSTHOUSE_VERSION);
            exit(0);
        } else if (strcmp(option, "--json") == 0) {
            options.json = true;
        } else if (strcmp(option, "--open") == 0) {
            options.open = "true";
        } else if (strcmp(option, "--no-password") == 0) {
            options.no_password = true;
        } else if (strcmp(option, "--password-hash") == 0) {
            options.password_hash = true;
        } else if (strcmp(option, "--url") == 0) {
            options.url = option_value(argv, &i);
        } else if (strcmp(option, "--customer") == 0) {
            options.customer = option_value(argv, &i);
        } else if (strcmp(option, "--domain") == 0) {
            options.domain = option_value(argv, &i);
        } else if (strcmp(option, "--next-hop") == 0 && options.hop_count < HOPS_MAX) {
            options.hops[options.hop_count++] = option_value(argv, &i);
        } else if (strcmp(option, "--alias") == 0 && options.alias_count < ALIASES_MAX) {
            options.aliases[options.alias_count++] = option_value(argv, &i);
        } else {
            int taken = grant_option(option, argv[i + 1]);
            if (!taken)
                misuse("unknown option, without its value, or given too often", option);
            i += taken - 1;
        }
    }
}

/* One line without its end, malloc'ed; NULL: none. */
static char *read_line(FILE *from)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, from);
    if (n <= 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static char *read_token(void)
{
    const char *given = getenv("POSTHOUSE_TOKEN"), *home = getenv("HOME");
    char path[4096];
    if (given && *given)
        return strdup(given);
    snprintf(path, sizeof path, "%s/.config/posthouse/token", home ? home : "");
    FILE *file = fopen(path, "re");
    if (!file)
        misuse("no token: set POSTHOUSE_TOKEN, or put it into", path);
    char *token = read_line(file);
    fclose(file);
    if (!token || !*token)
        misuse("no token in", path);
    return token;
}

/* At a terminal it asks, without echo. */
static char *read_password(void)
{
    struct termios before, silent;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fputs("Password: ", stderr);
    }
    char *password = read_line(stdin);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!password)
        misuse("no password on the standard input (--no-password makes an account without one)", NULL);
    return password;
}

/* ------------------------------------------------------------------ what is sent */

static const char *member(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

static void put(struct json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

/* A comma separates, as a colon is part of an IPv6 address. */
static struct json_object *hop_json(const char *text)
{
    struct json_object *hop = json_object_new_object();
    char host[256], *end = NULL;
    size_t n = strcspn(text, ",");
    snprintf(host, sizeof host, "%.*s", (int)(n < sizeof host ? n : sizeof host - 1), text);
    put(hop, "host", host);
    const char *names[] = {"port", "priority"};
    for (unsigned i = 0; i < 2 && text[n] == ','; i++) {
        const char *number = text + n + 1;
        json_object_object_add(hop, names[i], json_object_new_int64(strtoll(number, &end, 10)));
        if (end == number || (*end && *end != ','))
            misuse("not HOST[,PORT[,PRIORITY]]", text);
        n = (size_t)(end - text);
    }
    if (text[n])
        misuse("not HOST[,PORT[,PRIORITY]]", text);
    return hop;
}

static void put_hops(struct json_object *body)
{
    if (!options.hop_count)
        return;
    struct json_object *hops = json_object_new_array();
    for (unsigned i = 0; i < options.hop_count; i++)
        json_object_array_add(hops, hop_json(options.hops[i]));
    json_object_object_add(body, "next_hops", hops);
}

/* What `change` sends: the options that were given. */
static struct json_object *alteration(void)
{
    struct json_object *body = json_object_new_object();
    grant_put(body);
    put_hops(body);
    return body;
}

static struct json_object *creation(const struct resource *resource, const char *name)
{
    struct json_object *body = json_object_new_object();
    put(body, resource->key, name);
    if (options.customer)
        put(body, "customer", options.customer);
    if (options.domain && (strncmp(resource->name, "relay-", 6) == 0 || strcmp(resource->name, "client-policies") == 0))
        put(body, "domain", options.domain);
    grant_put(body);
    if (strcmp(resource->name, "domains") == 0) {
        if (!member(body, "kind"))
            put(body, "kind", member(body, "target") ? "alias" : options.hop_count > 0 ? "relay" : "hosted");
        put_hops(body);
    }
    if (strcmp(resource->name, "accounts") == 0) {
        struct json_object *aliases = json_object_new_array();
        for (unsigned i = 0; i < options.alias_count; i++)
            json_object_array_add(aliases, json_object_new_string(options.aliases[i]));
        json_object_object_add(body, "aliases", aliases);
        char *password = options.no_password ? NULL : read_password();
        if (password)
            put(body, options.password_hash ? "password_hash" : "password", password);
        free(password);
    }
    return body;
}

/* ------------------------------------------------------------------ talking */

/* The answer to a request that succeeded (NULL: none); ends the program otherwise. */
static struct json_object *must(const char *method, const char *path, struct json_object *body)
{
    struct json_object *answer = NULL;
    char error[512] = "";
    long status = client_request(method, path, body, &answer, error, sizeof error);
    if (status >= 200 && status < 300)
        return answer;
    if (status == 0) {
        fprintf(stderr, "posthouse: %s\n", error);
        exit(3);
    }
    const char *field = member(answer, "field"), *detail = member(answer, "detail");
    if (options.json && answer)
        puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    fprintf(stderr, "posthouse: %s%s%s (%ld)\n", field ? field : "", field ? ": " : "", detail ? detail : "refused",
            status);
    exit(1);
}

static void print(struct json_object *object)
{
    if (options.json)
        puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        table_print_one(object);
}

static void add_query(char *path, size_t size, const char *name, const char *value)
{
    size_t n = strlen(path);
    char *escaped = client_escape(value);
    if (snprintf(path + n, size - n, "%c%s=%s", strchr(path, '?') ? '&' : '?', name, escaped) >= (int)(size - n))
        misuse("too long", value);
    free(escaped);
}

/* All pages.  With --json one item per line, as it comes; else the table when all is there. */
static void print_list(const struct resource *resource, const char *first)
{
    struct json_object *all = json_object_new_array();
    char path[2048], cursor[256] = "";
    do {
        snprintf(path, sizeof path, "%s", first);
        add_query(path, sizeof path, "limit", "1000");
        if (*cursor)
            add_query(path, sizeof path, "cursor", cursor);
        struct json_object *page = must("GET", path, NULL), *items = NULL;
        json_object_object_get_ex(page, "items", &items);
        for (size_t i = 0; items && i < json_object_array_length(items); i++) {
            struct json_object *item = json_object_array_get_idx(items, i);
            if (options.json)
                print(item);
            else
                json_object_array_add(all, json_object_get(item));
        }
        const char *next = member(page, "next_cursor");
        snprintf(cursor, sizeof cursor, "%s", next ? next : "");
        json_object_put(page);
    } while (*cursor);
    table_print(all, resource->columns);
    json_object_put(all);
}

/* What `replace` sends: the lines of the standard input. */
static struct json_object *list_of_lines(void)
{
    struct json_object *body = json_object_new_object(), *list = json_object_new_array();
    for (char *line; (line = read_line(stdin)); free(line))
        if (*line)
            json_object_array_add(list, json_object_new_string(line));
    json_object_object_add(body, "addresses", list);
    return body;
}

/* The resource's path, with the account or the domain that it belongs to. */
static void begin_path(const struct resource *resource, char *path, size_t size)
{
    const char *hole = strstr(resource->path, "%s");
    bool of_domain = strncmp(resource->path, "/v1/domains/", 12) == 0;
    char *owner = !hole ? NULL : !of_domain ? grant_take("account") : options.domain ? strdup(options.domain) : NULL;
    if (!hole) {
        snprintf(path, size, "%s", resource->path);
        return;
    }
    if (!owner)
        misuse(of_domain ? "whose? --domain is missing" : "whose? --account is missing", resource->name);
    char *escaped = client_escape(owner);
    if (snprintf(path, size, "%.*s%s%s", (int)(hole - resource->path), resource->path, escaped, hole + 2) >= (int)size)
        misuse("too long", owner);
    free(escaped);
    free(owner);
}

static void run(const struct resource *resource, enum verb verb, const char *name)
{
    char path[2048];
    struct json_object *answer = NULL, *body = NULL;
    begin_path(resource, path, sizeof path);
    if (name && verb != VERB_CREATE) {
        char *escaped = client_escape(name);
        size_t n = strlen(path);
        bool below = verb >= VERB_EVENTS;
        if (snprintf(path + n, sizeof path - n, "/%s%s%s", escaped, below ? "/" : "", below ? verb_names[verb] : "") >=
            (int)(sizeof path - n))
            misuse("too long", name);
        free(escaped);
    }
    switch (verb) {
    case VERB_LIST:
        for (const char *const *filter = resource->filters; *filter; filter++) {
            const char *value = strcmp(*filter, "customer") == 0 ? options.customer
                                : strcmp(*filter, "domain") == 0 ? options.domain
                                                                 : options.open;
            if (value)
                add_query(path, sizeof path, *filter, value);
        }
        print_list(resource, path);
        return;
    case VERB_EVENTS: print_list(resource, path); return;
    case VERB_CREATE:
        body = creation(resource, name);
        answer = must("POST", path, body);
        break;
    case VERB_CHANGE:
        body = alteration();
        answer = must("PATCH", path, body);
        break;
    case VERB_REPLACE:
        body = list_of_lines();
        answer = must("PUT", path, body);
        break;
    case VERB_HOLD:
        body = json_object_new_object();
        grant_put(body);
        answer = must("POST", path, body);
        break;
    case VERB_RELEASE:
    case VERB_REJECT: answer = must("POST", path, NULL); break;
    case VERB_SHOW: answer = must("GET", path, NULL); break;
    case VERB_FORGET:
    case VERB_DELETE: answer = must("DELETE", path, NULL); break;
    }
    if (answer)
        print(answer);
    json_object_put(answer);
    json_object_put(body);
}

int main(int argc, char **argv)
{
    const char *words[4] = {NULL};
    const struct resource *resource = NULL;
    unsigned verb = 0;
    (void)argc;
    read_arguments(argv, words, 3);
    for (unsigned i = 0; words[0] && i < RESOURCES; i++)
        if (strcmp(resources[i].name, words[0]) == 0)
            resource = &resources[i];
    if (!resource)
        misuse(words[0] ? "unknown resource" : "what?", words[0]);
    while (words[1] && verb < VERBS && strcmp(verb_names[verb], words[1]) != 0)
        verb++;
    if (!words[1] || verb == VERBS || !(resource->verbs & MAY(verb)))
        misuse("not a verb of this resource", words[1] ? words[1] : resource->name);
    if (((MAY(verb) & NAMELESS) != 0) != (words[2] == NULL))
        misuse(words[2] ? "too many words" : "a name is missing", words[2]);

    const char *url = options.url ? options.url : getenv("POSTHOUSE_URL");
    char *token = read_token();
    client_init(url && *url ? url : USAGE_DEFAULT_URL, token);
    run(resource, verb, words[2]);
    client_done();
    free(token);
    return 0;
}
