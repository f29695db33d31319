/*
 * body: the JSON of a request.
 *
 * Most options become the member of the same name (grant.c); here are those that do not: next hops, aliases, passwords,
 * and the kind of a domain, which follows from what it is given.
 */
#include "admin-api/cli/body.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin-api/cli/grant.h"
#include "admin-api/cli/input.h"
#include "admin-api/cli/options.h"
#include "admin-api/cli/resource.h"

#define FILE_MAX 65536 /* the API says what is too long */

static void put(struct json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

/*
 * A comma separates, as a colon is part of an IPv6 address.  Weight and TLS are for routes; what is empty is not given. */
static struct json_object *hop_json(const char *text)
{
    static const char *const names[] = {"port", "priority", "weight"};
    struct json_object *hop = json_object_new_object();
    char host[256], *end = NULL;
    size_t n = strcspn(text, ",");
    snprintf(host, sizeof host, "%.*s", (int)(n < sizeof host ? n : sizeof host - 1), text);
    put(hop, "host", host);
    for (unsigned i = 0; i < sizeof names / sizeof *names && text[n] == ','; i++) {
        const char *number = text + n + 1;
        if (*number == ',' || !*number) {
            n++;
            continue;
        }
        json_object_object_add(hop, names[i], json_object_new_int64(strtoll(number, &end, 10)));
        if (end == number || (*end && *end != ','))
            input_misuse("not HOST[,PORT[,PRIORITY[,WEIGHT[,TLS[,CREDENTIAL]]]]]", text);
        n = (size_t)(end - text);
    }
    if (!text[n])
        return hop;
    const char *tls = text + n + 1, *credential = strchr(tls, ',');
    int length = (int)(credential ? (size_t)(credential - tls) : strlen(tls));
    if (length) /* what is no word for it, the API says */
        json_object_object_add(hop, "tls", json_object_new_string_len(tls, length));
    if (credential)
        put(hop, "credential", credential + 1);
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

static void put_hops_or_back(struct json_object *body)
{
    if (options.back)
        json_object_object_add(body, "next_hops", NULL);
    else
        put_hops(body);
}

static void put_password(struct json_object *body, const char *member)
{
    char *password = input_password();
    put(body, member, password);
    free(password);
}

static void put_file(struct json_object *body, const char *member, const char *path)
{
    char text[FILE_MAX + 1];
    FILE *file = path ? fopen(path, "re") : NULL;
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
    if (path && (!n || n > FILE_MAX))
        input_misuse("cannot be read, is empty, or too long", path);
    if (path)
        json_object_object_add(body, member, json_object_new_string_len(text, (int)n));
    memset(text, 0, sizeof text);
}

/* Each a line of the standard input, in this order; or files. */
static void put_secrets(struct json_object *body, bool password)
{
    put_file(body, "certificate", options.certificate_file);
    put_file(body, "private_key", options.key_file);
    if (password)
        put_password(body, "password");
    if (options.client_secret)
        put_password(body, "client_secret");
    if (options.refresh_token)
        put_password(body, "refresh_token");
}

/* What `change` sends: the options that were given. */
struct json_object *body_alteration(void)
{
    struct json_object *body = json_object_new_object();
    put_secrets(body, options.password);
    grant_put(body);
    put_hops(body);
    return body;
}

/* A drill is of a domain, or of one account. */
static const char *key_of(const struct resource *resource, const char *name)
{
    return strchr(name, '@') && strcmp(resource->name, "drills") == 0 ? "account" : resource->key;
}

struct json_object *body_creation(const struct resource *resource, const char *name)
{
    struct json_object *body = json_object_new_object();
    put(body, key_of(resource, name), name);
    if (options.customer)
        put(body, "customer", options.customer);
    bool many = strcmp(resource->name, "queue-actions") == 0;
    if (options.domain &&
        (many || strncmp(resource->name, "relay-", 6) == 0 || strcmp(resource->name, "client-policies") == 0 ||
         strcmp(resource->name, "content-rules") == 0 || strcmp(resource->name, "breaker-policies") == 0))
        put(body, "domain", options.domain);
    grant_put(body);
    if (many)
        put_hops_or_back(body);
    if (strcmp(resource->name, "routes") == 0)
        put_hops(body);
    if (strcmp(resource->name, "domains") == 0) {
        if (!json_object_object_get_ex(body, "kind", NULL)) {
            bool alias = json_object_object_get_ex(body, "target", NULL);
            bool relay = options.hop_count > 0 || json_object_object_get_ex(body, "route", NULL);
            put(body, "kind", alias ? "alias" : relay ? "relay" : "hosted");
        }
        put_hops(body);
    }
    if (strcmp(resource->name, "accounts") == 0) {
        struct json_object *aliases = json_object_new_array();
        for (unsigned i = 0; i < options.alias_count; i++)
            json_object_array_add(aliases, json_object_new_string(options.aliases[i]));
        json_object_object_add(body, "aliases", aliases);
        if (!options.no_password)
            put_password(body, options.password_hash ? "password_hash" : "password");
    }
    if (strcmp(resource->name, "credentials") == 0) {
        bool oauth = json_object_object_get_ex(body, "token_url", NULL);
        if (oauth || options.certificate_file)
            put(body, "kind", oauth ? "oauth" : "certificate");
        put_secrets(body, !oauth && !options.certificate_file);
    }
    return body;
}

struct json_object *body_lines(const struct resource *resource)
{
    struct json_object *body = json_object_new_object(), *list = json_object_new_array();
    for (char *line; (line = input_line(stdin)); free(line))
        if (*line)
            json_object_array_add(list, json_object_new_string(line));
    json_object_object_add(body, strcmp(resource->key, "networks") == 0 ? "networks" : "addresses", list);
    return body;
}

struct json_object *body_action(void)
{
    struct json_object *body = json_object_new_object();
    put_hops_or_back(body);
    grant_put(body);
    return body;
}
