#ifndef PROTOCOLS_POP3_WIRE_H
#define PROTOCOLS_POP3_WIRE_H
/*
 * pop3_wire: a message's bytes as a multi-line response: dot-stuffed, cut after the lines that TOP asks for, ended by a
 * line with a dot (RFC 1939 sections 3, 5, 7).  Fed with the message in pieces of any size; pure.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

struct pop3_wire {
    bool cut;       /* TOP: only `lines` lines of the body */
    uint32_t lines; /* still to come */
    bool in_body;
    bool done;       /* the cut was reached: no more input is needed */
    bool line_empty; /* nothing but perhaps a CR in this line so far */
    bool after_lf;   /* the next byte begins a line */
    bool after_cr;
};

typedef void pop3_wire_emit(void *arg, struct slice bytes);

void pop3_wire_init(struct pop3_wire *wire);                     /* RETR */
void pop3_wire_init_top(struct pop3_wire *wire, uint32_t lines); /* TOP */
void pop3_wire_feed(struct pop3_wire *wire, struct slice bytes, pop3_wire_emit *emit, void *arg);
void pop3_wire_end(struct pop3_wire *wire, pop3_wire_emit *emit, void *arg);

#endif
