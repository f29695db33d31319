/*
 * admin-api/router: paths, what is open to whom, and that the OpenAPI document describes exactly what the
 * router offers; and the query's decoding.
 */
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin-api/handlers.h"
#include "admin-api/router.h"

static void test_match(void **state)
{
    static const struct {
        const char *pattern, *path, *key, *key2; /* key NULL: does not fit; "": fits, has none */
    } cases[] = {
        {"/v1/queue", "/v1/queue", "", NULL},
        {"/v1/queue", "/v1/queue/", NULL, NULL},
        {"/v1/queue", "/v1/queu", NULL, NULL},
        {"/v1/customers/{customer}", "/v1/customers/demo", "demo", NULL},
        {"/v1/customers/{customer}", "/v1/customers/", NULL, NULL},
        {"/v1/customers/{customer}", "/v1/customers", NULL, NULL},
        {"/v1/customers/{customer}", "/v1/customers/a/b", NULL, NULL},
        {"/v1/customers/{customer}", "/v1/customers/a%2Fb", "a%2Fb", NULL},
        {"/v1/messages/{message}/events", "/v1/messages/x/events", "x", NULL},
        {"/v1/messages/{message}/events", "/v1/messages/x", NULL, NULL},
        {"/v1/messages/{message}/events", "/v1/messages//events", NULL, NULL},
        {"/v1/messages/{message}/events", "/v1/messages/x/events/", NULL, NULL},
        {"/v1/accounts/{account}/app-passwords/{app_password}", "/v1/accounts/a%40b/app-passwords/7", "a%40b", "7"},
        {"/v1/accounts/{account}/app-passwords/{app_password}", "/v1/accounts/a/app-passwords/", NULL, NULL},
        {"/v1/accounts/{account}/app-passwords/{app_password}", "/v1/accounts//app-passwords/7", NULL, NULL},
        {"/v1/accounts/{account}/app-passwords/{app_password}", "/v1/accounts/a/app-passwords/7/8", NULL, NULL},
        {"/v1/accounts/{account}/app-passwords/{app_password}", "/v1/accounts/a/passwords/7", NULL, NULL},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice keys[2];
        bool fits = router_match(cases[i].pattern, cases[i].path, keys);
        if (fits != (cases[i].key != NULL) || (fits && !slice_equal(keys[0], slice_str(cases[i].key))) ||
            (fits && !slice_equal(keys[1], slice_str(cases[i].key2))))
            fail_msg("%s against %s", cases[i].path, cases[i].pattern);
    }
}

static void test_decode(void **state)
{
    static const struct {
        struct slice in;
        bool plus;
        const char *out; /* NULL: refused */
    } cases[] = {
        {SLICE("demo"), false, "demo"},
        {SLICE("a%20b"), false, "a b"},
        {SLICE("192.0.2.0%2F24"), false, "192.0.2.0/24"},
        {SLICE("a+b"), false, "a+b"},
        {SLICE("a+b"), true, "a b"},
        {SLICE("%c3%A9"), false, "\xc3\xa9"},
        {SLICE("%"), false, NULL},
        {SLICE("%2"), false, NULL},
        {SLICE("%2g"), false, NULL},
        {SLICE("%00"), false, NULL},
        {SLICE("%ff"), false, NULL},
        {SLICE(""), false, ""},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *arena = arena_new(1024);
        struct slice out;
        bool good = request_decode(arena, cases[i].in, cases[i].plus, &out);
        if (good != (cases[i].out != NULL) || (good && !slice_equal(out, slice_str(cases[i].out))))
            fail_msg("%.*s", SLICE_ARG(cases[i].in));
        arena_free(&arena);
    }
}

/* ------------------------------------------------------------------ the document */

static struct json_object *get(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    json_object_object_get_ex(object, name, &value);
    return value;
}

static struct json_object *document(void)
{
    struct json_object *parsed = json_tokener_parse(openapi_text().p);
    assert_non_null(parsed);
    assert_string_equal(json_object_get_string(get(parsed, "openapi")), "3.1.0");
    return parsed;
}

static void test_each_route_is_described(void **state)
{
    struct json_object *all = document(), *paths = get(all, "paths");
    unsigned count = 0;
    const struct router_route *routes = router_routes(&count);
    (void)state;
    for (unsigned i = 0; i < count; i++) {
        char method[8] = {0};
        for (size_t j = 0; routes[i].method[j] && j < sizeof method - 1; j++)
            method[j] = (char)(routes[i].method[j] | 0x20);
        struct json_object *operation = get(get(paths, routes[i].path), method);
        if (!operation)
            fail_msg("%s %s is not in the document", routes[i].method, routes[i].path);
        assert_string_equal(json_object_get_string(get(operation, "operationId")), routes[i].operation);
        /* No "security" of its own: the document's, which is the token. */
        struct json_object *security = get(operation, "security");
        assert_int_equal(routes[i].access == ROUTER_TOKEN, security == NULL);
        assert_int_equal(routes[i].access == ROUTER_TOKEN,
                         get(get(operation, "responses"), "401") != NULL && routes[i].access != ROUTER_LOOPBACK);
        bool takes_body = routes[i].method[0] == 'P'; /* POST, PUT, PATCH */
        assert_int_equal(takes_body, get(operation, "requestBody") != NULL);
    }
    json_object_put(all);
}

static void test_nothing_else_is_described(void **state)
{
    struct json_object *all = document();
    unsigned count = 0, described = 0;
    (void)state;
    router_routes(&count);
    json_object_object_foreach(get(all, "paths"), path, operations)
    {
        (void)path;
        described += (unsigned)json_object_object_length(operations);
    }
    assert_int_equal(described, count); /* each route is there, so equal numbers mean nothing else is */
    json_object_put(all);
}

/* Every "$ref" of the document leads somewhere. */
static void check_references(struct json_object *all, struct json_object *value)
{
    if (json_object_is_type(value, json_type_array))
        for (size_t i = 0; i < json_object_array_length(value); i++)
            check_references(all, json_object_array_get_idx(value, i));
    if (!json_object_is_type(value, json_type_object))
        return;
    json_object_object_foreach(value, name, member)
    {
        if (strcmp(name, "$ref") == 0) {
            char path[128];
            snprintf(path, sizeof path, "%s", json_object_get_string(member));
            assert_true(strncmp(path, "#/", 2) == 0);
            struct json_object *at = all;
            char *rest = path + 2;
            for (char *step; at && (step = strsep(&rest, "/"));)
                at = get(at, step);
            if (!at)
                fail_msg("%s leads nowhere", json_object_get_string(member));
        }
        check_references(all, member);
    }
}

static void test_references(void **state)
{
    struct json_object *all = document();
    (void)state;
    check_references(all, all);
    json_object_put(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_each_route_is_described),
        cmocka_unit_test(test_nothing_else_is_described),
        cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
