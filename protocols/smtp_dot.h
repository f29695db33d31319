#ifndef PROTOCOLS_SMTP_DOT_H
#define PROTOCOLS_SMTP_DOT_H
/*
 * smtp_dot: takes a message's bytes apart: finds DATA's one legal end, removes dot-stuffing, notes what is wrong.
 *
 * A pure state machine; bytes may come in pieces of any size.  Zero-initialised is ready for the first byte
 * after "354"; with `chunked` set, for the first byte of BDAT's first chunk: a dot is then content, and nothing an end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slice.h"
#include "protocols/smtp_hops.h"

struct smtp_dot {
    enum smtp_dot_state {
        SMTP_DOT_LINE_START, /* after CRLF, or at the very beginning */
        SMTP_DOT_TEXT,
        SMTP_DOT_CR,       /* CR inside or at the end of a line with text */
        SMTP_DOT_DOT,      /* CRLF "." */
        SMTP_DOT_DOT_CR,   /* CRLF "." CR */
        SMTP_DOT_EMPTY_CR, /* CRLF CR: an empty line if LF follows */
        SMTP_DOT_END,
    } state;
    bool chunked;          /* BDAT: sizes tell where it ends */
    bool body;             /* the empty line after the header has passed */
    bool bare;             /* a CR without LF or an LF without CR was seen */
    bool nul;              /* a NUL was seen */
    size_t header;         /* octets of the header so far, as they came */
    unsigned fields;       /* lines of it that begin a field */
    size_t line, longest;  /* octets of this line so far, and of the longest one, with its CRLF (RFC 5321 4.5.3.1.6) */
    struct smtp_hops hops; /* its Received fields */
};

/*
 * Consumes from *input up to the end of DATA at most, handing runs of content to sink.  True: the end was
 * reached; *input is what the client sent after it.  Else everything was consumed.
 */
typedef void smtp_dot_sink(void *arg, struct slice bytes);
bool smtp_dot_feed(struct smtp_dot *dot, struct slice *input, smtp_dot_sink *sink, void *arg);
/* BDAT's last chunk is over: a CR that waits for its LF is alone. */
void smtp_dot_finish(struct smtp_dot *dot);

#endif
