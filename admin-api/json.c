/*
 * Strict JSON.
 *
 * RFC 8259 leaves some things to the parser; here they are refused, because an administrator who sends
 * them did not mean what we would guess: a member given twice, NaN and the like, bytes after the value,
 * invalid UTF-8, NUL in a string.  json-c takes the last of two members silently; so the members in the
 * text are counted (colons outside of strings: one per member) and compared with the members in the tree.
 * It also ends a member's name at an escaped NUL, so that "name\u0000x" would be taken for "name"; the same walk
 * finds those.
 *
 * Depth is limited to JSON_DEPTH, which bounds the parser's memory; length is bounded by the body limit.
 */
#include "admin-api/json.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"

#define JSON_DEPTH 8

/* ------------------------------------------------------------------ text */

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool json_is_utf8(struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.p, *end = p + text.n;
    while (p < end) {
        unsigned char c = *p++;
        if (c < 0x80)
            continue;
        unsigned more = c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
        if (more == 0 || (size_t)(end - p) < more)
            return false;
        if ((c == 0xe0 && p[0] < 0xa0) || (c == 0xed && p[0] > 0x9f) || (c == 0xf0 && p[0] < 0x90) ||
            (c == 0xf4 && p[0] > 0x8f))
            return false;
        for (; more > 0; more--)
            if ((*p++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* Members as written, and whether a name has an escaped NUL.  The text has been parsed, so quotes are balanced. */
static size_t members_in_text(struct slice text, bool *nul_in_name)
{
    size_t colons = 0;
    bool in_string = false, nul = false; /* in the last string */
    *nul_in_name = false;
    for (size_t i = 0; i < text.n; i++) {
        if (in_string && text.p[i] == '\\') {
            nul |= slice_equal(slice_of(text.p + i, text.n - i < 6 ? text.n - i : 6), SLICE("\\u0000"));
            i++;
        } else if (text.p[i] == '"') {
            in_string = !in_string;
            nul &= !in_string;
        } else if (text.p[i] == ':' && !in_string) {
            *nul_in_name |= nul;
            colons++;
        }
    }
    return colons;
}

/* Recursion as deep as the parser allowed. */
static size_t members_in_tree(struct json_object *value)
{
    size_t n = 0;
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, member)
        {
            (void)name;
            n += 1 + members_in_tree(member);
        }
    } else if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++)
            n += members_in_tree(json_object_array_get_idx(value, i));
    }
    return n;
}

/* ------------------------------------------------------------------ the body */

static bool is_json(const char *media_type)
{
    static const char *const types[] = {"application/json", "application/merge-patch+json"};
    for (unsigned i = 0; media_type && i < 2; i++) {
        size_t n = strlen(types[i]);
        if (strncasecmp(media_type, types[i], n) == 0 && strchr("; \t", media_type[n])) /* or the end */
            return true;
    }
    return false;
}

static void put_object(void *object)
{
    json_object_put(object);
}

/* NULL: *why says what is wrong. */
static struct json_object *parse(struct slice text, const char **why)
{
    *why = "the body contains NUL";
    if (memchr(text.p, '\0', text.n))
        return NULL;
    *why = "the body is not UTF-8";
    if (!json_is_utf8(text))
        return NULL;
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
    *why = "out of memory";
    if (!tokener)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *value = json_tokener_parse_ex(tokener, text.p, (int)text.n);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    /* A number or a literal at the end could go on; an object cannot. */
    *why = error == json_tokener_continue ? "the body ends too early" : json_tokener_error_desc(error);
    size_t used = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    if (error == json_tokener_success && used == text.n && json_object_is_type(value, json_type_object)) {
        bool nul_in_name = false;
        bool once = members_in_text(text, &nul_in_name) == members_in_tree(value);
        if (once && !nul_in_name)
            return value;
        *why = once ? "the name of a member contains NUL" : "a member is given twice";
    } else if (error == json_tokener_success) {
        *why = used == text.n ? "the body is not an object" : "the body goes on behind its value";
    }
    json_object_put(value);
    return NULL;
}

bool json_begin(struct request *r, struct json_fields *fields)
{
    const char *why = NULL;
    *fields = (struct json_fields){.r = r, .prefix = ""};
    if (!is_json(r->media_type)) {
        reply_problem(r, 415, NULL, "the body must be application/json");
        return false;
    }
    if (r->body.n == 0) {
        reply_problem(r, 400, NULL, "the body is empty");
        return false;
    }
    /* json-c wants trailing white space to be gone, to say where the value ended. */
    struct slice text = r->body;
    while (text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) && text.p[text.n - 1])
        text.n--;
    fields->object = parse(text, &why);
    if (!fields->object) {
        reply_problem(r, 400, NULL, "malformed JSON: %s", why);
        return false;
    }
    arena_on_done(r->arena, put_object, fields->object);
    return true;
}

void json_reject(struct json_fields *fields, const char *name, const char *format, ...)
{
    va_list args;
    if (fields->failed)
        return;
    fields->failed = true;
    va_start(args, format);
    const char *why = arena_vprintf(fields->r->arena, format, args);
    va_end(args);
    reply_problem(fields->r, 422, arena_printf(fields->r->arena, "%s%s", fields->prefix, name), "%s", why);
}

bool json_end(struct json_fields *fields)
{
    if (fields->failed)
        return false;
    json_object_object_foreach(fields->object, name, value)
    {
        (void)value;
        bool known = false;
        for (unsigned i = 0; i < fields->asked_count; i++)
            known |= strcmp(fields->asked[i], name) == 0;
        if (!known) {
            json_reject(fields, name, "unknown field");
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ members */

/* NULL: not there, or null. */
static struct json_object *member(struct json_fields *fields, const char *name, bool *given)
{
    struct json_object *value = NULL;
    bool known = false;
    for (unsigned i = 0; i < fields->asked_count; i++)
        known |= fields->asked[i] == name || strcmp(fields->asked[i], name) == 0;
    if (!known && fields->asked_count < JSON_FIELDS_MAX)
        fields->asked[fields->asked_count++] = name;
    *given = json_object_object_get_ex(fields->object, name, &value);
    return value;
}

bool json_given(struct json_fields *fields, const char *name)
{
    bool given = false;
    member(fields, name, &given);
    return given;
}

bool json_is_null(struct json_fields *fields, const char *name)
{
    bool given = false;
    return !member(fields, name, &given) && given;
}

static bool plain_text(struct json_object *value, size_t max, struct slice *out, const char **why)
{
    *why = "must be a text";
    if (!json_object_is_type(value, json_type_string))
        return false;
    *out = slice_of(json_object_get_string(value), (size_t)json_object_get_string_len(value));
    *why = "must not be empty";
    if (out->n == 0)
        return false;
    *why = "is too long";
    if (out->n > max)
        return false;
    *why = "must not contain control characters";
    for (size_t i = 0; i < out->n; i++)
        if ((unsigned char)out->p[i] < 0x20 || out->p[i] == 0x7f)
            return false;
    *why = "is not Unicode"; /* a lone surrogate, escaped */
    return json_is_utf8(*out);
}

struct slice json_text(struct json_fields *fields, const char *name, bool required, size_t max)
{
    bool given = false;
    const char *why = NULL;
    struct slice text = {0};
    struct json_object *value = member(fields, name, &given);
    if (!given && required)
        json_reject(fields, name, "is required");
    if (given && !plain_text(value, max, &text, &why)) {
        json_reject(fields, name, "%s", why);
        return slice_of(NULL, 0);
    }
    return text;
}

bool json_state(struct json_fields *fields, const char *name, bool *active)
{
    struct slice text = json_text(fields, name, false, 16);
    *active = slice_equal(text, SLICE("active"));
    if (text.p && !*active && !slice_equal(text, SLICE("suspended")))
        json_reject(fields, name, "must be \"active\" or \"suspended\"");
    return text.p != NULL;
}

int64_t json_number(struct json_fields *fields, const char *name, int64_t min, int64_t max, int64_t otherwise)
{
    bool given = false;
    struct json_object *value = member(fields, name, &given);
    if (!given)
        return otherwise;
    /* Numbers beyond 64 bits are saturated by json-c, and so beyond any max of ours. */
    int64_t number = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : min - 1;
    if (number < min || number > max) {
        json_reject(fields, name, "must be a whole number from %lld to %lld", (long long)min, (long long)max);
        return otherwise;
    }
    return number;
}

bool json_flag(struct json_fields *fields, const char *name, bool otherwise)
{
    bool given = false;
    struct json_object *value = member(fields, name, &given);
    if (!given)
        return otherwise;
    if (!json_object_is_type(value, json_type_boolean)) {
        json_reject(fields, name, "must be true or false");
        return otherwise;
    }
    return json_object_get_boolean(value);
}

struct slice json_choice(struct json_fields *fields, const char *name, const char *const *words)
{
    const char *all = "";
    struct slice text = json_text(fields, name, false, 64);
    if (!text.p)
        return text;
    for (const char *const *word = words; *word; word++) {
        if (slice_equal(text, slice_str(*word)))
            return text;
        all = arena_printf(fields->r->arena, "%s%s\"%s\"", all, word == words ? "" : word[1] ? ", " : " or ", *word);
    }
    json_reject(fields, name, "must be %s", all);
    return slice_of(NULL, 0);
}

int64_t json_time(struct json_fields *fields, const char *name, int64_t otherwise)
{
    int64_t ms = otherwise;
    if (json_is_null(fields, name))
        return INT64_MIN;
    struct slice text = json_text(fields, name, false, 64);
    if (text.p && !clock_parse_rfc3339(text, &ms))
        json_reject(fields, name, "must be a time such as 2026-11-23T20:25:14Z (RFC 3339)");
    return ms;
}

struct json_object *json_array(struct json_fields *fields, const char *name, unsigned max, unsigned *count)
{
    bool given = false;
    struct json_object *value = member(fields, name, &given);
    *count = 0;
    if (!given)
        return NULL;
    if (!json_object_is_type(value, json_type_array)) {
        json_reject(fields, name, "must be a list");
        return NULL;
    }
    if (json_object_array_length(value) > max) {
        json_reject(fields, name, "must have at most %u elements", max);
        return NULL;
    }
    *count = (unsigned)json_object_array_length(value);
    return value;
}

struct slice *json_texts(struct json_fields *fields, const char *name, unsigned max, size_t text_max, unsigned *count)
{
    struct json_object *array = json_array(fields, name, max, count);
    struct slice *texts = arena_array(fields->r->arena, *count + 1, sizeof *texts);
    for (unsigned i = 0; array && i < *count; i++) {
        const char *why = NULL;
        if (!plain_text(json_object_array_get_idx(array, i), text_max, &texts[i], &why)) {
            json_reject(fields, arena_printf(fields->r->arena, "%s[%u]", name, i), "%s", why);
            *count = 0;
        }
    }
    return texts;
}

bool json_element(struct json_fields *fields, struct json_object *array, unsigned index, const char *name,
                  struct json_fields *element)
{
    struct json_object *value = json_object_array_get_idx(array, index);
    const char *path = arena_printf(fields->r->arena, "%s[%u]", name, index);
    if (!json_object_is_type(value, json_type_object)) {
        json_reject(fields, path, "must be an object");
        return false;
    }
    *element = (struct json_fields){
        .r = fields->r, .object = value, .prefix = arena_printf(fields->r->arena, "%s%s.", fields->prefix, path)};
    return true;
}

/* ------------------------------------------------------------------ writing */

void json_put_text(struct json_object *object, const char *name, struct slice text)
{
    json_object_object_add(object, name, text.p ? json_object_new_string_len(text.p, (int)text.n) : NULL);
}

void json_put_id(struct json_object *object, const char *name, int64_t id)
{
    char text[ID_TEXT_SIZE];
    json_put_text(object, name, id ? slice_str(id_print(id, text)) : slice_of(NULL, 0));
}

void json_put_time(struct json_object *object, const char *name, int64_t ms)
{
    char text[CLOCK_RFC3339_SIZE];
    json_put_text(object, name, ms != INT64_MIN ? slice_str(clock_rfc3339(ms, text)) : slice_of(NULL, 0));
}

void json_put_number(struct json_object *object, const char *name, int64_t number)
{
    json_object_object_add(object, name, json_object_new_int64(number));
}

void json_put_bool(struct json_object *object, const char *name, bool value)
{
    json_object_object_add(object, name, json_object_new_boolean(value));
}
