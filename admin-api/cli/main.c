/*
 * posthouse: the command line over the REST API.
 *
 *     posthouse [--url URL] [--json] RESOURCE VERB [NAME] [--OPTION VALUE ...]
 *
 * Thin on purpose: every command is one operation of the API (lists follow the pages), named and refused by
 * it; this program knows resources (resource.c), options (options.c, grant.c) and columns, not rules.
 *
 * Exit status: 0 done, 1 refused by the API, 2 wrong usage, 3 the API cannot be reached.
 */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin-api/cli/body.h"
#include "admin-api/cli/client.h"
#include "admin-api/cli/grant.h"
#include "admin-api/cli/input.h"
#include "admin-api/cli/options.h"
#include "admin-api/cli/resource.h"
#include "admin-api/cli/table.h"
#include "admin-api/cli/usage.h"

static const char *member(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

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
        input_misuse("too long", value);
    free(escaped);
}

/* All pages.  With --json one item per line, as it comes; else the table when all is there. */
static void print_list(const char *const *columns, const char *first)
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
    table_print(all, columns);
    json_object_put(all);
}

/* The resource's path, with the account or the domain that it belongs to. */
static void begin_path(const struct resource *resource, const char *name, char *path, size_t size)
{
    const char *hole = strstr(resource->path, "%s");
    bool of_domain = strncmp(resource->path, "/v1/domains/", 12) == 0;
    bool single = resource->verbs & RESOURCE_SINGLE;
    char *owner = !hole ? NULL : single ? strdup(name) : !of_domain ? grant_take("account") : options.domain ? strdup(options.domain) : NULL;
    if (!hole) {
        snprintf(path, size, "%s", resource->path);
        return;
    }
    if (!owner)
        input_misuse(of_domain ? "whose? --domain is missing" : "whose? --account is missing", resource->name);
    char *escaped = client_escape(owner);
    if (snprintf(path, size, "%.*s%s%s", (int)(hole - resource->path), resource->path, escaped, hole + 2) >= (int)size)
        input_misuse("too long", owner);
    free(escaped);
    free(owner);
}

static const char *const attempt_columns[] = {"at", "kind", "remote_host", "remote_address", "detail", NULL};

static void run(const struct resource *resource, enum verb verb, const char *name)
{
    char path[2048];
    struct json_object *answer = NULL, *body = NULL;
    begin_path(resource, name, path, sizeof path);
    if (resource->verbs & RESOURCE_SINGLE && verb == VERB_EVENTS)
        snprintf(path + strlen(path), sizeof path - strlen(path), "/events");
    if (name && verb != VERB_CREATE && !(resource->verbs & RESOURCE_SINGLE)) {
        char *escaped = client_escape(name);
        size_t n = strlen(path);
        bool below = verb >= VERB_EVENTS;
        if (snprintf(path + n, sizeof path - n, "/%s%s%s", escaped, below ? "/" : "",
                     below ? resource_verb_name(verb) : "") >= (int)(sizeof path - n))
            input_misuse("too long", name);
        free(escaped);
    }
    switch (verb) {
    case VERB_LIST:
        for (const char *const *filter = resource->filters; *filter; filter++) {
            char *taken = grant_take(*filter);
            const char *value = strcmp(*filter, "customer") == 0 ? options.customer
                                : strcmp(*filter, "domain") == 0 ? options.domain
                                : strcmp(*filter, "open") == 0   ? options.open
                                                                 : taken;
            if (value)
                add_query(path, sizeof path, *filter, value);
            free(taken);
        }
        print_list(resource->columns, path);
        return;
    case VERB_EVENTS: print_list(resource->columns, path); return;
    case VERB_ATTEMPTS: print_list(attempt_columns, path); return;
    case VERB_CREATE:
        body = body_creation(resource, name);
        answer = must("POST", path, body);
        break;
    case VERB_CHANGE:
        body = body_alteration();
        answer = must("PATCH", path, body);
        break;
    case VERB_REPLACE:
        body = body_lines(resource);
        answer = must("PUT", path, body);
        break;
    case VERB_FORCE:
        body = body_action();
        answer = must("PUT", path, body);
        break;
    case VERB_START:
    case VERB_HOLD:
    case VERB_CANCEL:
    case VERB_REDIRECT:
    case VERB_PRIORITY:
        body = body_action();
        answer = must("POST", path, body);
        break;
    case VERB_RESEAL: answer = must("POST", "/v1/credential-reseals", NULL); break;
    case VERB_STOP:
    case VERB_TEST:
    case VERB_RETRY:
    case VERB_RELEASE:
    case VERB_EXPIRE:
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
    const struct resource *resource;
    enum verb verb;
    (void)argc;
    options_read(argv, words, 3);
    if (!words[0] || !(resource = resource_find(words[0])))
        input_misuse(words[0] ? "unknown resource" : "what?", words[0]);
    if (!words[1] || !resource_verb(resource, words[1], &verb))
        input_misuse("not a verb of this resource", words[1] ? words[1] : resource->name);
    if (resource_takes_name(resource, verb) != (words[2] != NULL))
        input_misuse(words[2] ? "too many words" : "a name is missing", words[2]);

    const char *url = options.url ? options.url : getenv("POSTHOUSE_URL");
    char *token = input_token();
    client_init(url && *url ? url : USAGE_DEFAULT_URL, token);
    run(resource, verb, words[2]);
    client_done();
    free(token);
    return 0;
}
