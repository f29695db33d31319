#ifndef PROTOCOLS_IMAP_CLIENT_REPLY_H
#define PROTOCOLS_IMAP_CLIENT_REPLY_H
/*
 * imap_client_reply: what an IMAP server answers (RFC 3501 7), one response at a time.  Pure.
 *
 * A response is one run of bytes: its line without its end, and, where that ends in "{n}", CRLF, the n bytes and what
 * follows them, as the client gathered it.  Results point into it or into the arena.  What a server says in words goes
 * into logs and events, so it is made harmless here: one line of printable ASCII.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

#define IMAP_CLIENT_TEXT_MAX 500

enum imap_client_form { IMAP_CLIENT_TAGGED, IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_CONTINUE };
enum imap_client_status {
    IMAP_CLIENT_DATA, /* not a status: name, number, rest */
    IMAP_CLIENT_SAYS_OK,
    IMAP_CLIENT_SAYS_NO,
    IMAP_CLIENT_SAYS_BAD,
    IMAP_CLIENT_SAYS_PREAUTH,
    IMAP_CLIENT_SAYS_BYE,
};

struct imap_client_response {
    enum imap_client_form form;
    struct slice tag; /* TAGGED */
    enum imap_client_status status;
    struct slice code, arguments; /* "[CODE arguments]"; empty: none */
    struct slice name;            /* DATA: "LIST", "EXISTS" */
    uint32_t number;              /* DATA: what stood before the name, or 0 */
    struct slice rest;            /* DATA: what follows the name and a space */
    char text[IMAP_CLIENT_TEXT_MAX + 1];
};
/* False: it is none. */
bool imap_client_response_read(struct slice bytes, struct imap_client_response *out);
/* Does the line end in the announcement of a literal? */
bool imap_client_literal(struct slice line, uint64_t *size);

enum imap_client_capability {
    IMAP_CLIENT_IMAP4 = 1, /* IMAP4rev1 or IMAP4rev2 */
    IMAP_CLIENT_STARTTLS_OFFERED = 2,
    IMAP_CLIENT_LOGIN_DISABLED = 4,
    IMAP_CLIENT_AUTH_PLAIN = 8,
    IMAP_CLIENT_SASL_IR = 16,
    IMAP_CLIENT_LITERAL_PLUS = 32,
    IMAP_CLIENT_LITERAL_MINUS = 64,
    IMAP_CLIENT_UIDPLUS = 128,
    IMAP_CLIENT_MOVE = 256,
    IMAP_CLIENT_SPECIAL_USE = 512,
    IMAP_CLIENT_LIST_EXTENDED = 1024,
    IMAP_CLIENT_NAMESPACE = 2048,
};
unsigned imap_client_capabilities(struct slice words); /* IMAP_CLIENT_... */

/* -------- LIST (7.2.2), NAMESPACE (RFC 2342) */

struct imap_client_mailbox {
    struct slice raw;  /* as it is sent back, before quoting */
    struct slice name; /* UTF-8; INBOX in capitals */
    char separator;    /* 0: none */
    bool no_select;    /* \Noselect, \NonExistent */
    struct slice use;  /* "\\Sent" (RFC 6154); {NULL,0}: none */
};
bool imap_client_list_read(struct arena *arena, struct slice rest, struct imap_client_mailbox *out);
/* The first personal namespace. */
bool imap_client_namespace_read(struct arena *arena, struct slice rest, struct slice *prefix, char *separator);

/* -------- SEARCH, FETCH, and the codes of UIDPLUS (RFC 4315) */

/* Adds to out[*count], up to max; what is not a number ends it. */
void imap_client_search_read(struct slice rest, uint32_t *out, unsigned *count, unsigned max);

struct imap_client_item {
    uint32_t uid; /* 0: not told */
    uint64_t size;
    bool flags_told;
    unsigned flags; /* storage/mailbox.h */
};
bool imap_client_fetch_read(struct slice rest, struct imap_client_item *out);
/* "UIDVALIDITY UID" of APPENDUID, or "UIDVALIDITY UID UID" of COPYUID: the last one.  0: it cannot be read. */
uint32_t imap_client_uid_of(struct slice arguments);
uint32_t imap_client_validity_of(struct slice arguments); /* the first one */

#endif
