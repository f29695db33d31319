/*
 * admin-api/json: what is let in from strangers' JSON, and that every refusal is answered with the right
 * status and field.
 */
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin-api/json.h"

static struct request *request_new(struct slice body)
{
    struct arena *arena = arena_new(1024 * 1024);
    struct request *r = arena_alloc(arena, sizeof *r);
    r->arena = arena;
    r->media_type = "application/json";
    r->body = body;
    return r;
}

static void request_free(struct request *r)
{
    struct arena *arena = r->arena;
    arena_free(&arena);
}

/* The status that is answered when a "name" text and a "port" number are read from the body; 0: none. */
static unsigned read_body(struct request *r)
{
    struct json_fields f;
    if (!json_begin(r, &f))
        return r->reply.status;
    json_text(&f, "name", true, 20);
    json_number(&f, "port", 1, 65535, 25);
    return json_end(&f) ? 0 : r->reply.status;
}

static const struct {
    const char *name;
    struct slice body;
    unsigned status;
    const char *field; /* that the problem names */
} bodies[] = {
    {"good", SLICE("{\"name\":\"a\",\"port\":65535}"), 0, NULL},
    {"white space around", SLICE(" \r\n\t{ \"name\" : \"a\" } \n"), 0, NULL},
    {"escapes in names and values", SLICE("{\"na\\u006de\":\"a:b\\\"\"}"), 0, NULL},
    {"empty", SLICE(""), 400, NULL},
    {"only blanks", SLICE("   "), 400, NULL},
    {"cut short", SLICE("{\"name\":\"a\""), 400, NULL},
    {"cut in a string", SLICE("{\"name\":\"a"), 400, NULL},
    {"a list", SLICE("[]"), 400, NULL},
    {"null", SLICE("null"), 400, NULL},
    {"a number", SLICE("1"), 400, NULL},
    {"two values", SLICE("{\"name\":\"a\"}{}"), 400, NULL},
    {"rubbish behind", SLICE("{\"name\":\"a\"} x"), 400, NULL},
    {"trailing comma", SLICE("{\"name\":\"a\",}"), 400, NULL},
    {"comment", SLICE("{/*x*/\"name\":\"a\"}"), 400, NULL},
    {"single quotes", SLICE("{'name':'a'}"), 400, NULL},
    {"NaN", SLICE("{\"name\":\"a\",\"port\":NaN}"), 422, "port"},
    {"a member twice", SLICE("{\"name\":\"a\",\"name\":\"b\"}"), 400, NULL},
    {"a member twice, spelt differently", SLICE("{\"name\":\"a\",\"n\\u0061me\":\"b\"}"), 400, NULL},
    {"a member twice, deep", SLICE("{\"name\":[{\"x\":1,\"x\":2}]}"), 400, NULL},
    {"raw NUL", SLICE("{\"name\":\"a\0\"}"), 400, NULL},
    {"NUL behind", SLICE("{\"name\":\"a\"}\0"), 400, NULL},
    {"escaped NUL in a member's name", SLICE("{\"name\\u0000x\":\"a\"}"), 400, NULL},
    {"escaped NUL alone as a member's name", SLICE("{\"name\":\"a\",\"\\u0000\" :1}"), 400, NULL},
    {"escaped backslash before u0000", SLICE("{\"name\":\"a\",\"\\\\u0000\":1}"), 422, "\\u0000"},
    {"escaped NUL", SLICE("{\"name\":\"a\\u0000b\"}"), 422, "name"},
    {"control character, escaped", SLICE("{\"name\":\"a\\nb\"}"), 422, "name"},
    {"invalid UTF-8", SLICE("{\"name\":\"\xff\"}"), 400, NULL},
    {"overlong UTF-8", SLICE("{\"name\":\"\xc0\x80\"}"), 400, NULL},
    {"surrogate in UTF-8", SLICE("{\"name\":\"\xed\xa0\x80\"}"), 400, NULL},
    {"cut UTF-8", SLICE("{\"name\":\"\xe2\x82"), 400, NULL},
    {"too deep", SLICE("{\"name\":[[[[[[[[[[]]]]]]]]]]}"), 400, NULL},
    {"missing", SLICE("{}"), 422, "name"},
    {"unknown", SLICE("{\"name\":\"a\",\"nmae\":1}"), 422, "nmae"},
    {"wrong type", SLICE("{\"name\":1}"), 422, "name"},
    {"null for a text", SLICE("{\"name\":null}"), 422, "name"},
    {"empty text", SLICE("{\"name\":\"\"}"), 422, "name"},
    {"too long", SLICE("{\"name\":\"123456789012345678901\"}"), 422, "name"},
    {"number as text", SLICE("{\"name\":\"a\",\"port\":\"25\"}"), 422, "port"},
    {"fraction", SLICE("{\"name\":\"a\",\"port\":25.5}"), 422, "port"},
    {"huge", SLICE("{\"name\":\"a\",\"port\":99999999999999999999999999999}"), 422, "port"},
    {"huge exponent", SLICE("{\"name\":\"a\",\"port\":1e999}"), 422, "port"},
    {"negative", SLICE("{\"name\":\"a\",\"port\":-1}"), 422, "port"},
    {"zero", SLICE("{\"name\":\"a\",\"port\":0}"), 422, "port"},
};

/* The answer must itself be a well-formed problem that names the field. */
static void check_problem(const char *name, const struct request *r, unsigned status, const char *field)
{
    struct json_object *problem = json_tokener_parse(r->reply.body.p), *member = NULL;
    if (!problem)
        fail_msg("%s: the answer is no JSON", name);
    assert_string_equal(r->reply.media_type, "application/problem+json");
    assert_true(json_object_object_get_ex(problem, "status", &member));
    assert_int_equal(json_object_get_int(member), status);
    assert_true(json_object_object_get_ex(problem, "detail", &member));
    bool has_field = json_object_object_get_ex(problem, "field", &member);
    assert_int_equal(has_field, field != NULL);
    if (field)
        assert_string_equal(json_object_get_string(member), field);
    json_object_put(problem);
}

static void test_bodies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        /* On the heap and of exact length, so that a sanitizer sees every byte too many. */
        char *copy = malloc(bodies[i].body.n + !bodies[i].body.n);
        memcpy(copy, bodies[i].body.p, bodies[i].body.n);
        struct request *r = request_new(slice_of(copy, bodies[i].body.n));
        unsigned status = read_body(r);
        if (status != bodies[i].status)
            fail_msg("%s: %u instead of %u: %.*s", bodies[i].name, status, bodies[i].status, SLICE_ARG(r->reply.body));
        if (status)
            check_problem(bodies[i].name, r, status, bodies[i].field);
        request_free(r);
        free(copy);
    }
}

/* Every prefix of a good body is refused, none crashes. */
static void test_prefixes(void **state)
{
    static const char body[] = "{\"name\":\"\\u00e9\xc3\xa9\",\"port\":25}";
    (void)state;
    for (size_t n = 0; n < sizeof body - 2; n++) {
        char *copy = malloc(n + !n);
        memcpy(copy, body, n);
        struct request *r = request_new(slice_of(copy, n));
        assert_int_equal(read_body(r), 400);
        request_free(r);
        free(copy);
    }
}

static void test_media_types(void **state)
{
    static const struct {
        const char *type;
        bool good;
    } types[] = {
        {"application/json", true},
        {"application/JSON; charset=utf-8", true},
        {"application/merge-patch+json", true},
        {"application/jsonx", false},
        {"text/plain", false},
        {"", false},
        {NULL, false},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        struct request *r = request_new(SLICE("{\"name\":\"a\"}"));
        r->media_type = types[i].type;
        assert_int_equal(read_body(r), types[i].good ? 0 : 415);
        request_free(r);
    }
}

static void test_lists(void **state)
{
    struct json_fields f, e;
    unsigned count = 0;
    (void)state;
    struct request *r = request_new(SLICE("{\"hops\":[{\"host\":\"a\"},{\"host\":\"b\",\"prot\":1}]}"));
    assert_true(json_begin(r, &f));
    struct json_object *array = json_array(&f, "hops", 2, &count);
    assert_int_equal(count, 2);
    assert_true(json_element(&f, array, 0, "hops", &e));
    assert_true(slice_equal(json_text(&e, "host", true, 10), SLICE("a")));
    assert_true(json_end(&e));
    assert_true(json_element(&f, array, 1, "hops", &e));
    json_text(&e, "host", true, 10);
    assert_false(json_end(&e));
    check_problem("unknown in an element", r, 422, "hops[1].prot");
    request_free(r);

    r = request_new(SLICE("{\"hops\":[1,2,3]}"));
    assert_true(json_begin(r, &f));
    json_array(&f, "hops", 2, &count);
    assert_int_equal(count, 0);
    assert_false(json_end(&f));
    check_problem("too many", r, 422, "hops");
    request_free(r);

    r = request_new(SLICE("{\"names\":[\"a\",null]}"));
    assert_true(json_begin(r, &f));
    json_texts(&f, "names", 5, 10, &count);
    assert_int_equal(count, 0);
    assert_false(json_end(&f));
    check_problem("null in a list", r, 422, "names[1]");
    request_free(r);
}

static void test_utf8(void **state)
{
    (void)state;
    assert_true(json_is_utf8(SLICE("plain, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x93\xaf, \xf4\x8f\xbf\xbf")));
    assert_false(json_is_utf8(SLICE("\x80")));
    assert_false(json_is_utf8(SLICE("\xc1\xbf")));
    assert_false(json_is_utf8(SLICE("\xe0\x9f\xbf")));
    assert_false(json_is_utf8(SLICE("\xf0\x8f\xbf\xbf")));
    assert_false(json_is_utf8(SLICE("\xf4\x90\x80\x80")));
    assert_false(json_is_utf8(SLICE("\xf5\x80\x80\x80")));
    assert_false(json_is_utf8(SLICE("\xe2\x82")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_lists),  cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
