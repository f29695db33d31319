#ifndef STORAGE_CERTIFICATE_H
#define STORAGE_CERTIFICATE_H
/*
 * certificate: whose is a client's certificate?  For signing in (SASL EXTERNAL).  Administered by
 * storage/provision_certificate.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define CERTIFICATE_FINGERPRINT 64 /* letters: SHA-256, lower-case hexadecimal */

/* What the client has shown, and what it wants. */
struct certificate_question {
    struct slice fingerprint;
    const struct slice *addresses; /* in its subjectAltName, in any case */
    unsigned address_count;
    const char *scope;    /* "smtp", "imap", "pop3" */
    struct slice account; /* as whom; empty: as the one whose it is */
};

struct certificate {
    int64_t id;           /* of the entry, not of the account */
    struct slice account; /* its address */
    struct slice label;
    bool mark; /* its last use should be written */
};

/* NONE: nobody's, not for this service, not that account's, or several accounts' and none was named. */
AWAITS enum db_status certificate_find(struct arena *arena, const struct certificate_question *question,
                                       struct certificate *out) __attribute__((warn_unused_result));
/* Writes its last use; a loss is nobody's concern. */
AWAITS void certificate_mark_used(struct arena *arena, int64_t id);

/* "AB:CD:..." or "abcd..." in the form that is stored.  False: it is no SHA-256. */
bool certificate_fingerprint(struct arena *arena, struct slice in, struct slice *out);

#endif
