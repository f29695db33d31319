#ifndef PROTOCOLS_IMAP_PARSE_H
#define PROTOCOLS_IMAP_PARSE_H
/*
 * imap_parse: the grammar of RFC 3501 section 9, pure.
 *
 * A command is one run of bytes: its lines with their CRLFs, and the bytes of its literals where they stood, as the
 * session gathered them.  Each imap_take_*() takes what it names from the cursor's front and says whether it was
 * there; on false the cursor is anywhere and the command is BAD.  Results live in the cursor's arena or in the
 * command.
 *
 * Nesting (search keys) is bounded by IMAP_DEPTH_MAX, numbers are unsigned 32 bits as the RFC says.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

#define IMAP_DEPTH_MAX 32
#define IMAP_KEYWORD_MAX 64   /* bytes of one */
#define IMAP_FLAG_LIST_MAX 64 /* keywords in one list */
#define IMAP_SECTIONS_MAX 64  /* BODY[...] in one FETCH */

struct imap_cursor {
    const char *p, *end;
    struct arena *arena;
};

bool imap_take_char(struct imap_cursor *c, char wanted);
bool imap_at_end(const struct imap_cursor *c);
bool imap_take_tag(struct imap_cursor *c, struct slice *out);
bool imap_take_atom(struct imap_cursor *c, struct slice *out);
/* A quoted string or a literal. */
bool imap_take_string(struct imap_cursor *c, struct slice *out);
bool imap_take_astring(struct imap_cursor *c, struct slice *out);
bool imap_take_number(struct imap_cursor *c, uint32_t *out);
/*
 * A mailbox name, decoded from modified UTF-7 (5.1.3) to UTF-8; 7-bit text that is not valid stays as it is.  INBOX,
 * also as the first of several levels, is in capitals.
 */
bool imap_take_mailbox(struct imap_cursor *c, struct slice *out);
/* The same with wildcards (LIST). */
bool imap_take_pattern(struct imap_cursor *c, struct slice *out);
struct slice imap_utf7_encode(struct arena *arena, struct slice utf8);
bool imap_utf7_decode(struct arena *arena, struct slice name, struct slice *out);
/* Does the pattern ('*', '%') match?  ref and pattern joined by the caller. */
bool imap_pattern_matches(struct slice pattern, struct slice name);

/* -------- sequence sets */

#define IMAP_STAR UINT32_MAX
struct imap_range {
    uint32_t low, high; /* IMAP_STAR: the last there is */
};
struct imap_set {
    struct imap_range *ranges;
    unsigned count;
};
bool imap_take_set(struct imap_cursor *c, struct imap_set *out);
/* Ranges as the client wrote them become ascending ones that do not touch; largest: what '*' stands for. */
void imap_set_resolve(struct imap_set *set, uint32_t largest);
/* Of a resolved set; the time is logarithmic in its ranges, of which one command can have thousands. */
bool imap_set_contains(const struct imap_set *set, uint32_t number);

/* -------- flags: system flags as bits of storage/mailbox.h, the rest as keywords */

struct imap_flags {
    unsigned bits;
    struct slice *keywords;
    unsigned keyword_count;
};
bool imap_take_flag_list(struct imap_cursor *c, struct imap_flags *out);      /* in parentheses */
bool imap_take_flags_of_store(struct imap_cursor *c, struct imap_flags *out); /* with or without */

/* -------- dates */

bool imap_take_date(struct imap_cursor *c, int64_t *days);    /* since 1970 */
bool imap_take_date_time(struct imap_cursor *c, int64_t *ms); /* quoted */

/* -------- FETCH */

enum imap_fetch_item {
    IMAP_FETCH_FLAGS = 1,
    IMAP_FETCH_UID = 2,
    IMAP_FETCH_INTERNALDATE = 4,
    IMAP_FETCH_SIZE = 8,
    IMAP_FETCH_ENVELOPE = 16,
    IMAP_FETCH_BODY = 32,
    IMAP_FETCH_BODYSTRUCTURE = 64,
};
enum imap_section_kind {
    IMAP_SECTION_ALL, /* BODY[], BODY[1.2] */
    IMAP_SECTION_HEADER,
    IMAP_SECTION_FIELDS,
    IMAP_SECTION_FIELDS_NOT,
    IMAP_SECTION_TEXT,
    IMAP_SECTION_MIME,
};
struct imap_section {
    struct imap_section *next;
    const char *label; /* as it is named in the response, without the origin octet */
    uint32_t part[IMAP_DEPTH_MAX];
    unsigned part_depth;
    enum imap_section_kind kind;
    struct slice *fields;
    unsigned field_count;
    bool peek, partial;
    uint32_t offset, length;
};
struct imap_fetch {
    unsigned items;
    struct imap_section *sections;
    bool sets_seen;
};
bool imap_take_fetch(struct imap_cursor *c, struct imap_fetch *out);

/* -------- SEARCH */

enum imap_key_kind {
    IMAP_KEY_ALL,  /* with negate: none */
    IMAP_KEY_FLAG, /* bits all set (or, with negate, none) */
    IMAP_KEY_KEYWORD,
    IMAP_KEY_SET, /* sequence numbers */
    IMAP_KEY_UID,
    IMAP_KEY_BEFORE, /* number: days; internal date */
    IMAP_KEY_ON,
    IMAP_KEY_SINCE,
    IMAP_KEY_SENTBEFORE,
    IMAP_KEY_SENTON,
    IMAP_KEY_SENTSINCE,
    IMAP_KEY_LARGER,
    IMAP_KEY_SMALLER,
    IMAP_KEY_HEADER,
    IMAP_KEY_BODY,
    IMAP_KEY_TEXT,
    IMAP_KEY_NOT,
    IMAP_KEY_OR,
    IMAP_KEY_AND,
};
struct imap_key {
    enum imap_key_kind kind;
    struct imap_key *next;  /* in an AND list */
    struct imap_key *a, *b; /* AND: a is the first of the list */
    unsigned bits;
    bool negate;
    bool needs_content; /* the message itself must be read to answer */
    int64_t number;
    struct slice header, text;
    struct imap_set set;
};
/* The charset, if given, is left in *charset ({NULL,0}: none). */
bool imap_take_search(struct imap_cursor *c, struct imap_key **out, struct slice *charset);
#endif
