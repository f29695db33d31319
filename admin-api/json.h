#ifndef ADMIN_API_JSON_H
#define ADMIN_API_JSON_H
/*
 * json: reading request bodies strictly, writing answers.  json-c does the syntax.
 *
 *     struct json_fields f;
 *     if (!json_begin(r, &f))
 *         return;                                     answered: 400, 415
 *     struct slice name = json_text(&f, "name", true, 200);
 *     if (!json_end(&f))
 *         return;                                     answered: 422 naming the field
 *
 * The readers may be called in a row: after the first error the others do nothing.  json_end() also
 * refuses members that nobody asked for.
 */
#include <stdbool.h>
#include <stdint.h>

#include "admin-api/request.h"

struct json_object;

#define JSON_FIELDS_MAX 32

struct json_fields {
    struct request *r;
    struct json_object *object;
    const char *prefix; /* "next_hops[0]." for a nested object */
    const char *asked[JSON_FIELDS_MAX];
    unsigned asked_count;
    bool failed;
};

/* The body must be one JSON object: strict syntax, valid UTF-8, no member twice, at most 8 levels. */
bool json_begin(struct request *r, struct json_fields *fields) __attribute__((warn_unused_result));
bool json_end(struct json_fields *fields) __attribute__((warn_unused_result));
/* Answers 422 for a member, unless there is an answer already. */
void json_reject(struct json_fields *fields, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Is the member there, and is it null? */
bool json_given(struct json_fields *fields, const char *name);
bool json_is_null(struct json_fields *fields, const char *name);
/* No control characters, not empty, at most max bytes.  {NULL,0}: not given. */
struct slice json_text(struct json_fields *fields, const char *name, bool required, size_t max);
/* "active" or "suspended". False: not given. */
bool json_state(struct json_fields *fields, const char *name, bool *active);
/* Whole numbers.  Not given: otherwise. */
int64_t json_number(struct json_fields *fields, const char *name, int64_t min, int64_t max, int64_t otherwise);
bool json_flag(struct json_fields *fields, const char *name, bool otherwise);
/* One of the words (NULL-terminated). {NULL,0}: not given. */
struct slice json_choice(struct json_fields *fields, const char *name, const char *const *words);
/* RFC 3339.  Null: INT64_MIN.  Not given: otherwise. */
int64_t json_time(struct json_fields *fields, const char *name, int64_t otherwise);
/* Members of an array; {NULL,0} with *count 0: not given. */
struct json_object *json_array(struct json_fields *fields, const char *name, unsigned max, unsigned *count);
struct slice *json_texts(struct json_fields *fields, const char *name, unsigned max, size_t text_max, unsigned *count);
/* Begins on an element that must be an object; end it with json_end() as well. */
bool json_element(struct json_fields *fields, struct json_object *array, unsigned index, const char *name,
                  struct json_fields *element) __attribute__((warn_unused_result));

/* ------------------------------------------------------------------ writing */

void json_put_text(struct json_object *object, const char *name, struct slice text); /* {NULL,0}: null */
void json_put_id(struct json_object *object, const char *name, int64_t id);          /* 0: null */
void json_put_time(struct json_object *object, const char *name, int64_t ms);        /* INT64_MIN: null */
void json_put_number(struct json_object *object, const char *name, int64_t number);
void json_put_bool(struct json_object *object, const char *name, bool value);

bool json_is_utf8(struct slice text);

#endif
