#ifndef PROTOCOLS_MIME_H
#define PROTOCOLS_MIME_H
/*
 * mime: the structure of a message: what ENVELOPE, BODYSTRUCTURE, BODY[...] and SEARCH ask about it.
 *
 * Works on the stored bytes in memory (or mapped): every part is a range of them, so that what is sent is octet for
 * octet what was stored, and sizes and offsets always fit each other.  The boundary scanner is ours for that reason;
 * GMime decodes what stands in header fields: types, parameters, addresses, dates, encoded words.
 *
 * Bounded against hostile mail: MIME_DEPTH_MAX levels and MIME_PARTS_MAX parts, what is beyond is a leaf; values of
 * fields are cut at MIME_FIELD_MAX, and lists of addresses behind MIME_COLONS_MAX colons.  Does not wait.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

#define MIME_DEPTH_MAX 20
#define MIME_PARTS_MAX 1000
#define MIME_COLONS_MAX 64
#define MIME_FIELD_MAX (64 * 1024) /* bytes of a field's value that are looked at */

struct mime_param {
    struct mime_param *next;
    struct slice name, value;
    bool extended; /* written as RFC 2231 says */
};

struct mime_part {
    struct mime_part *next;  /* the next of its multipart */
    struct mime_part *child; /* of a multipart: its first; of a message/rfc822: the message in it */
    struct slice header;     /* with the empty line that ends it */
    struct slice body;
    struct slice type, subtype;
    struct mime_param *params;
    bool multipart, message;
};

struct evbuffer;

/* bytes must stay; the rest is in the arena.  Never NULL: anything is at least text/plain. */
struct mime_part *mime_parse(struct arena *arena, struct slice bytes);

/* A part's header alone: its type and parameters.  in_digest: it has no type of its own but message/rfc822. */
const struct mime_part *mime_head(struct arena *arena, struct slice header, bool in_digest);
/* {NULL,0}: it has none. */
struct slice mime_param(const struct mime_part *part, const char *name);

/* RFC 3501 7.4.2, appended to out. */
void mime_write_envelope(struct evbuffer *out, struct arena *arena, const struct mime_part *message);
void mime_write_structure(struct evbuffer *out, struct arena *arena, const struct mime_part *part, bool extended);

/* The part that numbers name ("1.2"), or NULL. */
const struct mime_part *mime_find(const struct mime_part *root, const uint32_t *numbers, unsigned depth);
/* Lines of a header whose names are (not) in the list, and an empty line; a copy in the arena. */
struct slice mime_fields(struct arena *arena, struct slice header, const struct slice *names, unsigned count,
                         bool without);

/* Is the header of any part in it, or its own, not ASCII?  RFC 6532. */
bool mime_headers_eight_bit(const struct mime_part *root);

/* A field's value, unfolded, as it is written; {NULL,0}: absent.  The first of several. */
struct slice mime_field(struct arena *arena, struct slice header, const char *name);

/*
 * Takes the first field off the front of *rest, as it is; what has no colon has an empty name.  False: there is none.
 */
bool mime_take_field(struct slice *rest, struct slice *name, struct slice *raw);
/* The token of Content-Transfer-Encoding, without comments and other ornaments; {NULL,0}: none. */
struct slice mime_encoding(struct arena *arena, struct slice header);

/* -------- who it is from */

#define MIME_AUTHORS_MAX 20

struct mime_author {
    const char *field; /* "From" or "Sender" */
    struct slice address;
};

/* All addresses in all From and Sender fields; out has MIME_AUTHORS_MAX places.  False: one of the fields cannot be
 * understood or is too long, or there are more addresses. */
bool mime_authors(struct arena *arena, struct slice header, struct mime_author *out, unsigned *count)
    __attribute__((warn_unused_result));

/* -------- searching: case does not matter, the needle is UTF-8, encoded words and bodies are decoded */

/* Any field of the name ({NULL,0}: of any name), with the needle in it; an empty needle asks for the field itself. */
bool mime_header_contains(struct slice header, struct slice name, struct slice needle);
bool mime_body_contains(const struct mime_part *root, struct slice needle);
bool mime_text_contains(struct slice text, struct slice needle); /* as it is */
/* The headers of the parts in it, not its own. */
bool mime_part_headers_contain(const struct mime_part *root, struct slice needle);
/* The Date field's day, whatever its zone (RFC 3501 6.4.4). */
bool mime_date(struct arena *arena, struct slice header, int64_t *days);

#endif
