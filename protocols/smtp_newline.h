#ifndef PROTOCOLS_SMTP_NEWLINE_H
#define PROTOCOLS_SMTP_NEWLINE_H
/*
 * smtp_newline: repairs line ends before the dot machine (smtp_dot.h) sees them: a bare LF becomes CRLF, a bare CR a
 * space.
 *
 * Pure.  Zero-initialised is ready, as smtp_dot is.
 */
#include "protocols/smtp_dot.h"

struct smtp_newline {
    enum smtp_newline_state {
        SMTP_NEWLINE_START,      /* after CRLF, or at the very beginning */
        SMTP_NEWLINE_BARE_START, /* after a bare LF */
        SMTP_NEWLINE_DOT,        /* after CRLF "." */
        SMTP_NEWLINE_TEXT,
    } state;
    bool cr;       /* held back until the next byte tells whether it is alone */
    bool repaired; /* something was */
};

/* As smtp_dot_feed(). */
bool smtp_newline_feed(struct smtp_newline *newline, struct smtp_dot *dot, struct slice *input, smtp_dot_sink *sink,
                       void *arg);
/* BDAT's last chunk is over; before smtp_dot_finish(). */
void smtp_newline_finish(struct smtp_newline *newline, struct smtp_dot *dot, smtp_dot_sink *sink, void *arg);

#endif
