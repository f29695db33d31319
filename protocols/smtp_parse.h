#ifndef PROTOCOLS_SMTP_PARSE_H
#define PROTOCOLS_SMTP_PARSE_H
/*
 * smtp_parse: the grammar of RFC 5321 commands, as pure functions over bytes.
 *
 * A parser returns NULL when it is satisfied, else a constant fault: the reply that the client deserves.
 * Slices in results point into the input or the arena.  Nothing here looks anything up.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "relay/envelope.h"
#include "relay/smtp_address.h"

struct smtp_fault {
    unsigned code;
    const char *enhanced; /* RFC 3463, "5.5.4" */
    const char *text;
};

enum smtp_verb {
    SMTP_VERB_UNKNOWN,
    SMTP_VERB_ATRN,
    SMTP_VERB_AUTH,
    SMTP_VERB_BDAT,
    SMTP_VERB_DATA,
    SMTP_VERB_EHLO,
    SMTP_VERB_ETRN,
    SMTP_VERB_EXPN,
    SMTP_VERB_HELO,
    SMTP_VERB_HELP,
    SMTP_VERB_MAIL,
    SMTP_VERB_NOOP,
    SMTP_VERB_QUIT,
    SMTP_VERB_RCPT,
    SMTP_VERB_RSET,
    SMTP_VERB_STARTTLS,
    SMTP_VERB_VRFY,
    SMTP_VERB_XCLIENT,
};

struct smtp_command {
    enum smtp_verb verb;
    struct slice arguments; /* without blanks around; empty: none */
};

/* Always gives a command; what is no verb of ours is UNKNOWN.  The fault is for control characters. */
const struct smtp_fault *smtp_parse_command(struct slice line, struct smtp_command *out);

struct smtp_mail {
    struct smtp_path sender;
    uint64_t size;  /* SIZE=; 0: not given */
    bool eight_bit; /* BODY=8BITMIME */
    bool binary;    /* BODY=BINARYMIME */
    struct envelope_mail envelope;
};
/* Where a MAIL is said; some parameters are understood only there. */
enum {
    SMTP_PARAMETER_SUBMISSION = 1 << 0, /* AUTH=, RFC 4954 section 5: where the AUTH extension is offered */
    SMTP_PARAMETER_TLS = 1 << 1,        /* REQUIRETLS, RFC 8689 section 2 */
    SMTP_PARAMETER_STORED = 1 << 2,     /* in the database: notes of our own */
};
const struct smtp_fault *smtp_parse_mail(struct arena *arena, struct slice arguments, unsigned where,
                                         struct smtp_mail *out);
/* utf8: MAIL had SMTPUTF8. */
const struct smtp_fault *smtp_parse_rcpt(struct arena *arena, struct slice arguments, bool utf8, struct smtp_path *out,
                                         struct envelope_rcpt *envelope);
const struct smtp_fault *smtp_parse_vrfy(struct slice arguments);
/* size-value of RFC 1870, and numbers like it. */
bool smtp_parse_size(struct slice value, uint64_t *size);

/* The name in EHLO and HELO: one word of printable ASCII.  Whether it is true is nobody's business here. */
const struct smtp_fault *smtp_parse_helo(struct slice arguments, struct slice *out);

struct smtp_bdat {
    uint64_t size;
    bool last;
};
const struct smtp_fault *smtp_parse_bdat(struct slice arguments, struct smtp_bdat *out);

#define SMTP_MECHANISM_MAX 20 /* RFC 4422 section 3.1 */

struct smtp_auth {
    struct slice mechanism;
    struct slice initial; /* still base64; {NULL,0}: none; "=" stands as it came */
};
const struct smtp_fault *smtp_parse_auth(struct slice arguments, struct smtp_auth *out);

#endif
