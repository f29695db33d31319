#ifndef PROTOCOLS_SMTP_HOPS_H
#define PROTOCOLS_SMTP_HOPS_H
/*
 * smtp_hops: counts in a header which servers a message has passed: Received fields (RFC 5321 4.4), and those that say
 * "by" us.
 *
 * A pure state machine, fed with the header's bytes without their line ends.  Zero-initialised but for `name` is ready.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"

struct smtp_hops {
    struct slice name; /* ours; must stay */
    unsigned received; /* fields so far */
    unsigned own;      /* of these, by us */

    bool inside;      /* this line belongs to a field that has begun */
    bool in_received; /* which is Received, its name being over */
    bool over;        /* its clauses are: a ";" passed, or ours was found */
    bool quoted, escaped;
    unsigned comment; /* depth */
    unsigned matched; /* letters of "received:" that the line begins with */
    size_t word;      /* length of the word so far */
    bool may_be_by, may_be_name;
    bool after_by; /* the word before was "by" */
};

void smtp_hops_byte(struct smtp_hops *hops, char c);
void smtp_hops_line_end(struct smtp_hops *hops);

#endif
