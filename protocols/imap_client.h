#ifndef PROTOCOLS_IMAP_CLIENT_H
#define PROTOCOLS_IMAP_CLIENT_H
/*
 * imap_client: the client's side of IMAP (RFC 3501), toward the mail store of a domain's primary.
 *
 * Straight-line code in a task.  One command at a time; each is answered, in words that client->text keeps, or the
 * connection is LOST, after which nothing makes sense but imap_client_abort().  Whether a command that ended LOST was
 * carried out is not known: look.
 *
 * No password is sent before TLS.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/dns.h"
#include "core/slice.h"
#include "core/task.h"
#include "core/tls.h"
#include "protocols/imap_client_reply.h"

struct imap_client;

struct imap_client_uid { /* 0: the server has not told */
    uint32_t validity, uid;
};

struct imap_client_settings {
    struct tls *tls;   /* verifies, or does not (core/tls.h) */
    bool verify;       /* not without a certificate for the host's name */
    bool implicit_tls; /* else STARTTLS, which must be offered */
    unsigned connect_timeout_ms;
    unsigned reply_timeout_ms; /* to a command */
    uint64_t deadline;         /* as imap_client_until(), also of opening */
};

/*
 * Connects to one of the addresses (which get the port), turns to TLS, learns the capabilities.  False: it does not
 * serve; *why, in the arena, says why.
 */
AWAITS bool imap_client_open(const struct imap_client_settings *settings, struct arena *arena,
                             struct dns_address *addresses, unsigned count, unsigned port, const char *host,
                             struct imap_client **out, struct slice *why) __attribute__((warn_unused_result));
AWAITS void imap_client_quit(struct imap_client **client); /* LOGOUT, if that makes sense; NULL inside is allowed */
void imap_client_abort(struct imap_client **client);

/* No command ends after this moment (steady clock; 0: none), whatever its own time. */
void imap_client_until(struct imap_client *client, uint64_t deadline);
/* What the server, or we, said last; one line of ASCII, until the next command. */
const char *imap_client_text(const struct imap_client *client);
const char *imap_client_code(const struct imap_client *client); /* of the last tagged answer (RFC 5530), or "" */
bool imap_client_can(const struct imap_client *client, enum imap_client_capability capability);

enum imap_client_answer {
    IMAP_CLIENT_OK,
    IMAP_CLIENT_NO,   /* NO or BAD; the connection goes on */
    IMAP_CLIENT_LOST, /* it does not */
};

/*
 * as: whose mailboxes ({NULL,0}: the user's own), by PLAIN with an authorization identity, without which the server
 * is not asked.  NO: *refused says whether the credentials are what is wrong (else the server cannot tell now, RFC
 * 5530, or knows no way that we may use).
 */
AWAITS enum imap_client_answer imap_client_login(struct imap_client *client, struct slice user, struct slice password,
                                                 struct slice as, bool *refused) __attribute__((warn_unused_result));

/* -------- mailboxes */

#define IMAP_CLIENT_MAILBOXES_MAX 2000 /* more are not looked at */
struct imap_client_mailboxes {
    struct imap_client_mailbox *list;
    unsigned count;
    char separator;      /* of personal mailboxes; 0: they have no levels */
    struct slice prefix; /* of their names, UTF-8; "" or such as "INBOX." */
};
AWAITS enum imap_client_answer imap_client_list(struct imap_client *client, struct arena *arena,
                                                struct imap_client_mailboxes *out) __attribute__((warn_unused_result));
uint32_t
imap_client_validity(const struct imap_client *client); /* of the mailbox that was selected last; 0: not told */
/* raw: as imap_client_mailbox.raw. */
AWAITS enum imap_client_answer imap_client_select(struct imap_client *client, struct slice raw, bool read_only)
    __attribute__((warn_unused_result));
/* And subscribes to it. */
AWAITS enum imap_client_answer imap_client_create(struct imap_client *client, struct slice raw)
    __attribute__((warn_unused_result));

/* -------- messages of the selected mailbox */

/*
 * RFC 3501 6.4.4; message_id: with its angle brackets.  Of UIDs from first to last only; first 0: of all.  NO, too, if
 * it cannot be said in a quoted string.
 */
AWAITS enum imap_client_answer imap_client_search_id(struct imap_client *client, struct slice message_id,
                                                     uint32_t first, uint32_t last, uint32_t *uids, unsigned max,
                                                     unsigned *count) __attribute__((warn_unused_result));
/* Those of them that have this in a Received field. */
AWAITS enum imap_client_answer imap_client_search_trace(struct imap_client *client, struct slice text,
                                                        const uint32_t *among, unsigned among_count, uint32_t *uids,
                                                        unsigned max, unsigned *count)
    __attribute__((warn_unused_result));
/* Of exactly that size. */
AWAITS enum imap_client_answer imap_client_search_size(struct imap_client *client, uint64_t size, uint32_t *uids,
                                                       unsigned max, unsigned *count)
    __attribute__((warn_unused_result));
/* UID, size and flags.  Those that are gone are not in it. */
AWAITS enum imap_client_answer imap_client_fetch(struct imap_client *client, const uint32_t *uids, unsigned count,
                                                 struct imap_client_item *out, unsigned *found)
    __attribute__((warn_unused_result));
/* Adds them. */
AWAITS enum imap_client_answer imap_client_store(struct imap_client *client, uint32_t uid, unsigned flags,
                                                 const struct slice *keywords, unsigned keyword_count)
    __attribute__((warn_unused_result));
/* *to: its UID there.  Without MOVE: by COPY, \Deleted and UID EXPUNGE. */
AWAITS enum imap_client_answer imap_client_move(struct imap_client *client, uint32_t uid, struct slice raw,
                                                struct imap_client_uid *to) __attribute__((warn_unused_result));
AWAITS enum imap_client_answer imap_client_copy(struct imap_client *client, uint32_t uid, struct slice raw,
                                                struct imap_client_uid *to) __attribute__((warn_unused_result));

/* -------- APPEND */

struct imap_client_append {
    struct slice raw; /* mailbox */
    unsigned flags;   /* storage/mailbox.h */
    const struct slice *keywords;
    unsigned keyword_count;
    int64_t internal_ms;
    uint64_t size;
    /* Bytes from offset on, at least one; false: they cannot be had. */
    AWAITS bool (*read)(void *arg, uint64_t offset, struct slice *out);
    void *arg;
};
/* LOST, too, when the content cannot be read: the server must not take half of it. */
AWAITS enum imap_client_answer imap_client_append(struct imap_client *client, const struct imap_client_append *append,
                                                  struct imap_client_uid *to) __attribute__((warn_unused_result));

#endif
