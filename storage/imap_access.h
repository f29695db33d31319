#ifndef STORAGE_IMAP_ACCESS_H
#define STORAGE_IMAP_ACCESS_H
/*
 * imap_access: how the mailboxes of a domain's users at its primary are reached.  The credential
 * (storage/hop_credential.h) is one that may act for each of them; its secret is read when it is needed.  The write
 * side is storage/provision_imap_access.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

struct imap_access {
    struct slice host;
    unsigned port;
    bool implicit_tls;  /* else STARTTLS */
    bool authorization; /* PLAIN with an authorization identity; else "user*master" */
    int64_t credential_id;
};
/* NONE: it has none. */
AWAITS enum db_status imap_access_of(struct arena *arena, int64_t domain_id, struct imap_access *out)
    __attribute__((warn_unused_result));

#endif
