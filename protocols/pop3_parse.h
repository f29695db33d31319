#ifndef PROTOCOLS_POP3_PARSE_H
#define PROTOCOLS_POP3_PARSE_H
/*
 * pop3_parse: the grammar of POP3 commands (RFC 1939 section 3, RFC 2449 section 3, RFC 5034 section 4), as a pure
 * function over one line.  Slices point into it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum pop3_verb {
    POP3_AUTH,
    POP3_CAPA,
    POP3_DELE,
    POP3_LIST,
    POP3_NOOP,
    POP3_PASS,
    POP3_QUIT,
    POP3_RETR,
    POP3_RSET,
    POP3_STAT,
    POP3_STLS,
    POP3_TOP,
    POP3_UIDL,
    POP3_USER,
    POP3_VERBS,
};

struct pop3_command {
    enum pop3_verb verb;
    struct slice text;    /* USER, PASS: all of it; AUTH: the mechanism */
    struct slice initial; /* AUTH: initial response, still in base64; {NULL,0}: none */
    uint32_t number;      /* of a message; 0: not given (LIST, UIDL) */
    uint32_t lines;       /* TOP */
};

/* line: without its end.  NULL, or what is wrong with it, in words for the client. */
const char *pop3_parse(struct slice line, struct pop3_command *out);

#endif
