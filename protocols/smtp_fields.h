#ifndef PROTOCOLS_SMTP_FIELDS_H
#define PROTOCOLS_SMTP_FIELDS_H
/*
 * smtp_fields: what a submission server does to the header of a message, as a filter over its bytes.  Pure.
 *
 * Zero-initialised is ready for the message's first byte; bytes may come in pieces of any size, in wire form without
 * dot-stuffing.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"
#include "protocols/smtp_dot.h"

#define SMTP_FIELDS_BCC_MAX 1000 /* so much of what was dropped is kept, for the account itself */
#define SMTP_FIELDS_NAME_MAX 16 /* longer names, blanks before the colon included, are none of ours */

struct smtp_fields {
    enum smtp_fields_state {
        SMTP_FIELDS_LINE_START,
        SMTP_FIELDS_NAME, /* held: what came of the line */
        SMTP_FIELDS_LINE,
        SMTP_FIELDS_EMPTY_CR, /* a CR at a line's start */
        SMTP_FIELDS_BODY,
    } state;
    bool dropping; /* the field is Bcc: its lines go */
    char held[SMTP_FIELDS_NAME_MAX];
    unsigned held_size;
    bool date, message_id; /* the header has them */
    char bcc[SMTP_FIELDS_BCC_MAX];
    unsigned bcc_size, bcc_whole; /* of what was dropped; up to the end of a line */
};

/* Hands what stays to sink. */
void smtp_fields_feed(struct smtp_fields *fields, struct slice input, smtp_dot_sink *sink, void *arg);
/* The fields that were dropped, whole lines of them. */
struct slice smtp_fields_bcc(const struct smtp_fields *fields);
/* The message is over: hands out what was held back. */
void smtp_fields_finish(struct smtp_fields *fields, smtp_dot_sink *sink, void *arg);

#endif
