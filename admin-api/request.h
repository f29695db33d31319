#ifndef ADMIN_API_REQUEST_H
#define ADMIN_API_REQUEST_H
/*
 * request: one API request as the handlers see it, and how they answer.  libmicrohttpd stays in http.c.
 *
 * A handler runs in a task and answers exactly once, by one of the reply functions; everything it
 * allocates is in the request's arena.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/provision.h"
#include "storage/status.h"

#define REQUEST_BODY_MAX (1024 * 1024)
#define REQUEST_LIST_BODY_MAX (8 * 1024 * 1024) /* of a PUT, which replaces a long list */
#define REQUEST_QUERY_MAX 16
#define REQUEST_LIMIT_DEFAULT 100
#define REQUEST_LIMIT_MAX 1000

struct json_object;

struct request_pair {
    struct slice name, value; /* decoded */
};

struct request {
    struct arena *arena;

    const char *method;        /* GET also for HEAD */
    const char *path;          /* as it came, percent-encoded, without the query */
    const char *authorization; /* header, or NULL */
    const char *media_type;    /* Content-Type, or NULL */
    bool loopback;             /* the client is on this machine */
    const char *client;        /* its address, or NULL */
    struct slice body;
    struct request_pair query[REQUEST_QUERY_MAX];
    unsigned query_count;

    struct slice key, key2;       /* what stands for {...} in the route's path, and for a second one, decoded */
    struct provision_actor actor; /* who asks; token_id 0: nobody */

    struct {
        unsigned status; /* 0: not answered yet */
        const char *media_type;
        struct slice body;
        const char *location, *allow; /* header values, or NULL */
        bool challenge;               /* WWW-Authenticate: Bearer */
        unsigned retry_after_s;       /* 0: no header */
    } reply;
};

/* ------------------------------------------------------------------ answering */

/* Takes over the object. */
void reply_json(struct request *r, unsigned status, struct json_object *object);
void reply_text(struct request *r, unsigned status, const char *media_type, struct slice body);
void reply_empty(struct request *r, unsigned status);
/* {"items": items, "next_cursor": next or null}.  Takes over items. */
void reply_list(struct request *r, struct json_object *items, int64_t next);
/* What was read for it, of things with ids: 503, or a list.  page->limit is one more than is shown, and count up to it. */
struct reply_shape {
    size_t size, id; /* of a struct, and where in it its int64_t id is */
    struct json_object *(*as_json)(const void *item);
};
void reply_page(struct request *r, enum db_status status, const struct provision_page *page, const void *list,
                unsigned count, const struct reply_shape *shape);
/* The same for lists whose items have no ids; {NULL,0}: there is no next page. */
void reply_list_by_text(struct request *r, struct json_object *items, struct slice next);
/* RFC 9457.  field: of the request, or NULL. */
void reply_problem(struct request *r, unsigned status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* 503: the database is away. */
void reply_away(struct request *r);
/* 404 for the thing that the path names. */
void reply_not_found(struct request *r);
/* What a look-up found: true, or 404 or 503 is answered. */
bool reply_found(struct request *r, enum db_status status) __attribute__((warn_unused_result));
/* What became of a change, unless it is DONE: true, and answered. */
bool reply_failed_write(struct request *r, enum db_write result, const struct provision_refusal *refusal);

/* ------------------------------------------------------------------ the query */

/* False, and answered: a parameter is not among the names (NULL-terminated list), or comes twice. */
bool request_query_check(struct request *r, const char *const *names) __attribute__((warn_unused_result));
/* {NULL,0}: not given. */
struct slice request_query(const struct request *r, const char *name);
/* cursor= and limit=.  False, and answered: one of them is none. */
bool request_page(struct request *r, struct provision_page *page) __attribute__((warn_unused_result));
/* The same where a cursor is a text of at most so many bytes; empty: from the beginning. */
bool request_page_by_text(struct request *r, size_t max, struct slice *after, unsigned *limit)
    __attribute__((warn_unused_result));
/* For a path: all but unreserved characters (RFC 3986 2.3) percent-encoded. */
const char *request_encode(struct arena *arena, struct slice text);
/* Percent-decoding (RFC 3986 2.1); plus: '+' is a blank.  False: malformed, or NUL. */
bool request_decode(struct arena *arena, struct slice in, bool plus, struct slice *out)
    __attribute__((warn_unused_result));

#endif
