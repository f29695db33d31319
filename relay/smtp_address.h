#ifndef RELAY_SMTP_ADDRESS_H
#define RELAY_SMTP_ADDRESS_H
/*
 * smtp_address: addresses in SMTP's envelope (RFC 5321 4.1.2, 4.1.3), as pure functions; what MAIL and RCPT take, and a
 * dry run of them.
 *
 * Results are in the arena.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

/*
 * An address as it stands in a path, normalised: no source route, no needless quotes, domain in lower case and
 * A-labels.
 */
struct smtp_path {
    struct slice address; /* "local@domain", "" for <>, "postmaster" for <Postmaster> */
    struct slice local;   /* with its quotes, if it needs them */
    struct slice domain;  /* empty for <> and <Postmaster> */
    bool literal;         /* domain is an address literal, "[192.0.2.1]" */
    bool international;   /* it was not written in ASCII: RFC 6531 3.3 */
};

/*
 * Path, at the cursor `rest`, which then stands behind its ">".  False: it is none, and the cursor is
 * anywhere.  The null path "<>" and "<Postmaster>" are for the caller.
 */
bool smtp_take_path(struct arena *arena, struct slice *rest, struct smtp_path *out);
/* All of the text is a Mailbox: as in a path, without brackets and source route. */
bool smtp_is_mailbox(struct arena *arena, struct slice text, struct smtp_path *out);

bool smtp_is_domain(struct slice text);          /* Domain of RFC 5321: ASCII, as in EHLO (RFC 6531 3.7.1) */
bool smtp_is_address_literal(struct slice text); /* "[" ... "]" */

#endif
