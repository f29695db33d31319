/*
 * Answers and query parameters.
 *
 * Every error is application/problem+json (RFC 9457) of type about:blank: the status says what kind of
 * trouble it is, `detail` says it in words, `field` names the member of the request that is wrong, and
 * `existing_id` the thing that is in the way.  Unknown query parameters are refused like unknown fields: a
 * misspelt filter that is ignored would answer a question that nobody asked, and a DELETE that ignores
 * "dry_run" would do what nobody wanted.
 */
#include "admin-api/request.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "admin-api/json.h"
#include "core/id.h"

#define RETRY_AFTER_S 5

static const char *phrase_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (unsigned i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Error";
}

/* ------------------------------------------------------------------ answering */

void reply_text(struct request *r, unsigned status, const char *media_type, struct slice body)
{
    r->reply.status = status;
    r->reply.media_type = media_type;
    r->reply.body = body;
}

void reply_empty(struct request *r, unsigned status)
{
    reply_text(r, status, NULL, slice_of("", 0));
}

static void put_object(struct request *r, unsigned status, const char *media_type, struct json_object *object)
{
    size_t n = 0;
    const char *text =
        json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    reply_text(r, status, media_type, arena_slice(r->arena, slice_of(text, n)));
    json_object_put(object);
}

void reply_json(struct request *r, unsigned status, struct json_object *object)
{
    put_object(r, status, "application/json", object);
}

void reply_list(struct request *r, struct json_object *items, int64_t next)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "items", items);
    json_put_id(object, "next_cursor", next);
    reply_json(r, 200, object);
}

void reply_page(struct request *r, enum db_status status, const struct provision_page *page, const void *list,
                unsigned count, const struct reply_shape *shape)
{
    struct json_object *items;
    unsigned shown = count < page->limit ? count : page->limit - 1;
    const char *at = list;
    int64_t last = 0;

    if (status != DB_FOUND) {
        reply_away(r);
        return;
    }
    items = json_object_new_array();
    for (unsigned i = 0; i < shown; i++, at += shape->size) {
        json_object_array_add(items, shape->as_json(at));
        memcpy(&last, at + shape->id, sizeof last);
    }
    reply_list(r, items, count > shown ? last : 0);
}

void reply_list_by_text(struct request *r, struct json_object *items, struct slice next)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "items", items);
    json_put_text(object, "next_cursor", next);
    reply_json(r, 200, object);
}

static struct json_object *problem(unsigned status, const char *field, const char *detail)
{
    struct json_object *object = json_object_new_object();
    json_put_text(object, "type", SLICE("about:blank"));
    json_put_text(object, "title", slice_str(phrase_of(status)));
    json_put_number(object, "status", status);
    json_put_text(object, "detail", slice_str(detail));
    if (field)
        json_put_text(object, "field", slice_str(field));
    return object;
}

void reply_problem(struct request *r, unsigned status, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *detail = arena_vprintf(r->arena, format, args);
    va_end(args);
    put_object(r, status, "application/problem+json", problem(status, field, detail));
}

void reply_away(struct request *r)
{
    reply_problem(r, 503, NULL, "the database is away; try again");
    r->reply.retry_after_s = RETRY_AFTER_S;
}

void reply_not_found(struct request *r)
{
    reply_problem(r, 404, NULL, "there is nothing of this id or name");
}

bool reply_found(struct request *r, enum db_status status)
{
    switch (status) {
    case DB_FOUND: return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

static void reply_refusal(struct request *r, const struct provision_refusal *refusal)
{
    switch (refusal->kind) {
    case PROVISION_GONE: reply_not_found(r); return;
    case PROVISION_INVALID: reply_problem(r, 422, refusal->field, "%s", refusal->why); return;
    case PROVISION_IN_USE:
    case PROVISION_TAKEN: break;
    }
    struct json_object *object = problem(409, refusal->field, refusal->why);
    if (refusal->existing_id)
        json_put_id(object, "existing_id", refusal->existing_id);
    put_object(r, 409, "application/problem+json", object);
}

bool reply_failed_write(struct request *r, enum db_write result, const struct provision_refusal *refusal)
{
    switch (result) {
    case DB_DONE: return false;
    case DB_REFUSED: reply_refusal(r, refusal); return true;
    case DB_CONFLICT:
        reply_problem(r, 503, NULL, "others are changing the same thing; nothing was changed, try again");
        r->reply.retry_after_s = 1;
        return true;
    case DB_UNDONE:
        reply_problem(r, 503, NULL, "the database is away; nothing was changed, try again");
        r->reply.retry_after_s = RETRY_AFTER_S;
        return true;
    case DB_UNCERTAIN: break;
    }
    reply_problem(r, 503, NULL, "the database went away; the change may or may not have been made");
    r->reply.retry_after_s = RETRY_AFTER_S;
    return true;
}

/* ------------------------------------------------------------------ the query */

struct slice request_query(const struct request *r, const char *name)
{
    for (unsigned i = 0; i < r->query_count; i++)
        if (slice_equal(r->query[i].name, slice_str(name)))
            return r->query[i].value;
    return slice_of(NULL, 0);
}

bool request_query_check(struct request *r, const char *const *names)
{
    for (unsigned i = 0; i < r->query_count; i++) {
        const struct slice name = r->query[i].name;
        const char *const *known = names;
        while (*known && !slice_equal(slice_str(*known), name))
            known++;
        if (!*known) {
            reply_problem(r, 422, arena_slicedup(r->arena, name), "unknown query parameter");
            return false;
        }
        for (unsigned j = 0; j < i; j++)
            if (slice_equal(r->query[j].name, name)) {
                reply_problem(r, 422, *known, "the query parameter is given twice");
                return false;
            }
    }
    return true;
}

static bool read_limit(struct request *r, unsigned *out)
{
    struct slice limit = request_query(r, "limit");
    *out = REQUEST_LIMIT_DEFAULT;
    if (!limit.p)
        return true;
    const char *text = arena_slicedup(r->arena, limit);
    *out = limit.n > 4 || strspn(text, "0123456789") != limit.n ? 0 : (unsigned)atoi(text);
    if (*out >= 1 && *out <= REQUEST_LIMIT_MAX)
        return true;
    reply_problem(r, 422, "limit", "a number from 1 to %d", REQUEST_LIMIT_MAX);
    return false;
}

static bool refuse_cursor(struct request *r)
{
    reply_problem(r, 422, "cursor", "this is no next_cursor of a list");
    return false;
}

bool request_page(struct request *r, struct provision_page *page)
{
    *page = (struct provision_page){0, REQUEST_LIMIT_DEFAULT};
    struct slice cursor = request_query(r, "cursor");
    if (cursor.p && !id_parse(cursor, &page->after))
        return refuse_cursor(r);
    return read_limit(r, &page->limit);
}

bool request_page_by_text(struct request *r, size_t max, struct slice *after, unsigned *limit)
{
    struct slice cursor = request_query(r, "cursor");
    *after = cursor.p ? cursor : SLICE("");
    if (cursor.p && (!cursor.n || cursor.n > max))
        return refuse_cursor(r);
    return read_limit(r, limit);
}

const char *request_encode(struct arena *arena, struct slice text)
{
    static const char hex_digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, 3 * text.n + 1), *to = out;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("-._~", c))) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex_digits[c >> 4];
        *to++ = hex_digits[c & 15];
    }
    return out;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool request_decode(struct arena *arena, struct slice in, bool plus, struct slice *out)
{
    char *to = arena_alloc(arena, in.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            int high = i + 2 < in.n ? hex(in.p[i + 1]) : -1, low = i + 2 < in.n ? hex(in.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == '\0')
            return false;
        to[n++] = c;
    }
    *out = slice_of(to, n);
    return json_is_utf8(*out);
}
