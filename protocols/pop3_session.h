#ifndef PROTOCOLS_POP3_SESSION_H
#define PROTOCOLS_POP3_SESSION_H
/*
 * pop3_session: what the files of the POP3 server share.  Nobody else includes this; the way in is
 * pop3_serve() in protocols/server.h.
 *
 * A session owns itself, and whose turn it is in it: protocols/session.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/loop.h"
#include "core/stream.h"
#include "protocols/pop3_parse.h"
#include "protocols/pop3_wire.h"
#include "protocols/sasl.h"
#include "protocols/server.h"
#include "protocols/session.h"

#define POP3_LINE_MAX 1024       /* RFC 2449 section 4 wants 255 */
#define POP3_AUTH_LINE_MAX 12288 /* RFC 4954 section 4, which RFC 5034 follows */
#define POP3_ITEMS_MAX 100000    /* messages in one session; the oldest first, the rest next time */
#define POP3_SESSION_MEMORY (64 * 1024)
#define POP3_COMMAND_MEMORY (2 * 1024 * 1024)

enum pop3_state { POP3_AUTHORIZATION, POP3_TRANSACTION };

/* One message as it was when the session began; number n is item n-1. */
struct pop3_item {
    int64_t uid, message_id;
    uint64_t size;
    bool deleted, retrieved;
};

struct pop3_session {
    struct session common; /* first */
    struct server_settings *settings;
    enum pop3_state state;

    struct arena *arena, *command;
    struct slice user;            /* after USER; empty: none yet */
    struct sasl_attempt *attempt; /* between AUTH and its end: lines are responses */
    bool attempt_ok;              /* it succeeded with data, which the client has yet to acknowledge */
    unsigned login_failures;

    struct directory_account account;
    int64_t uidvalidity;
    struct pop3_item *items; /* on the heap: a maildrop may be larger than an arena should be */
    uint32_t item_count;

    struct pop3_command line; /* for the task; in `command` */

    /* the response that common.produce makes */
    uint32_t produce_next;    /* LIST, UIDL: item */
    struct pop3_item *source; /* RETR, TOP */
    uint64_t source_offset;
    struct pop3_wire wire;

    unsigned errors;
};

/* ------------------------------------------------------------------ pop3_session.c */

/* The time limits and line length that the state asks for. */
void pop3_session_limits(struct pop3_session *session);
/* After a login: the maildrop's time limit replaces that of AUTHORIZATION. */
void pop3_session_logged_in(struct pop3_session *session);
/* The connection ends at once: a response that was begun cannot be completed. */
void pop3_session_break(struct pop3_session *session);

/* One line. code: "SYS/TEMP" and so on (RFC 2449 section 8, RFC 3206), or NULL. */
void pop3_ok(struct pop3_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pop3_err(struct pop3_session *session, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a command that makes no sense here: too many of them end the session. */
void pop3_fault(struct pop3_session *session, const char *text);
/* The last words. */
void pop3_goodbye(struct pop3_session *session, const char *code, const char *text);

/* ------------------------------------------------------------------ commands */

void pop3_command_run(struct pop3_session *session); /* the one in session->line; pop3_commands.c */

/* pop3_login.c */
void pop3_command_user(struct pop3_session *session);
void pop3_command_pass(struct pop3_session *session);
void pop3_command_auth(struct pop3_session *session);
void pop3_auth_on_line(struct pop3_session *session, struct slice line);
void pop3_auth_drop(struct pop3_session *session);

/* pop3_maildrop.c */
AWAITS void pop3_maildrop_open(struct pop3_session *session);       /* answers the login */
AWAITS void pop3_maildrop_update(void *session);                    /* QUIT; for session_run() */
struct pop3_item *pop3_maildrop_item(struct pop3_session *session); /* of session->line.number; NULL: -ERR was said */

/* pop3_retrieve.c */
void pop3_command_retrieve(struct pop3_session *session); /* RETR, TOP */

#endif
