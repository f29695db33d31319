#ifndef PROTOCOLS_SERVER_H
#define PROTOCOLS_SERVER_H
/*
 * server: what the three front-ends share: settings, the registry of living sessions, limits per client.
 *
 * The daemon accepts a connection and hands it to *_serve(); from then on the session owns itself and
 * registers here, so that the daemon can count sessions and, when draining, ask each to say good-bye
 * (421, BYE, -ERR) at its next command boundary.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/cidr.h"
#include "core/log.h"
#include "core/stream.h"
#include "core/task.h"
#include "core/tls.h"
#include "protocols/limit.h"

struct proxy_header; /* proxy_parse.h */

/* Values from the configuration file; they live as long as the process: a reload makes new ones (DESIGN). */
struct server_settings {
    const char *hostname; /* ours, in greetings and Received */
    struct tls *tls;      /* NULL: no STARTTLS is offered (and then no PLAIN, no LOGIN, no USER) */
    uint64_t message_size_max;
    unsigned recipients_max;    /* per transaction; at least 100 (RFC 5321 4.5.3.1.8) */
    unsigned errors_max;        /* bad commands before we hang up */
    unsigned greeting_delay_ms; /* port 25: who speaks earlier is refused; 0: nobody */
    unsigned dns_wait_ms;       /* port 25: RCPT waits for what DNS says of the client, so long from when it came */
    unsigned smtp_timeout_ms;   /* RFC 5321 4.5.3.2: 5 minutes */
    unsigned mailboxes_max;     /* of one account; also names that it subscribes to */
    unsigned imap_timeout_ms;   /* RFC 3501 5.4: at least 30 minutes */
    unsigned pop3_timeout_ms;   /* RFC 1939 3: at least 10 minutes */
    unsigned login_timeout_ms;  /* before authentication, IMAP and POP3 */
    uint64_t header_size_max;   /* octets of a message's header */
    unsigned header_fields_max;
    size_t line_length_max; /* of a message's line, with its CRLF; 0: as long as it likes */
    unsigned received_max;             /* Received lines before we say loop */
    unsigned own_received_max;         /* those of them that name us */
    bool normalize_newlines;           /* bare CR and LF in a message are repaired, not refused */
    struct cidr_list xclient_networks; /* proxies that may say XCLIENT */
    int64_t queue_lifetime_ms;         /* 5 days */
    int64_t delay_notice_ms;           /* senders are told of a delay after 4 hours; 0: never */
    int64_t future_release_max_ms;     /* FUTURERELEASE: 30 days; 0: not offered */
    bool address_literals;             /* RFC 5321 4.1.3: mail to them is relayed */
    bool refuse_null_mx_senders;       /* RFC 7505 4.2 */
    bool default_route;                /* mail for outside goes to a smart host: destination "default" */
};

/* Over all sessions of this process; 0: no limit.  Those of one client: protocols/limit.h. */
void server_set_sessions_max(unsigned sessions_max);

enum server_protocol { SERVER_SMTP, SERVER_IMAP, SERVER_POP3 };
#define SERVER_PROTOCOLS 3

/* Why a connection is not served. */
enum server_refusal {
    SERVER_DRAINING,
    SERVER_FULL,             /* sessions_max */
    SERVER_ADDRESS_SESSIONS, /* limits of protocols/limit.h */
    SERVER_NETWORK_SESSIONS,
    SERVER_ADDRESS_RATE,
    SERVER_NETWORK_RATE,
};
#define SERVER_REFUSALS 6
extern uint64_t server_refusals[SERVER_REFUSALS]; /* how many there were, of all protocols */

/* Embedded in each session. */
struct server_session {
    struct server_session *next, *previous;
    enum server_protocol protocol;
    struct log_context context;                       /* session id and peer, for log lines */
    struct limit_client client;                       /* what is counted */
    enum server_refusal refusal;                      /* when it was not registered */
    void (*shutdown)(struct server_session *session); /* say good-bye at the next boundary, then end */
};
/*
 * False: over a limit, which is logged and counted; the caller refuses politely (421, BYE, -ERR) and closes; it is
 * then not registered.  peer must stay.
 */
bool server_session_add(struct server_session *session, enum server_protocol protocol, const char *peer);
/* "too many connections", for the reply. */
const char *server_refusal_text(const struct server_session *session);
/*
 * The same, with the id of a decision that GET /v1/decisions/ID shows, if it was a limit of the client's.
 * server_refusal.c
 */
const char *server_refuse(const struct server_session *session, struct arena *arena);
/* text with such an id, for another reason; limit NULL: none. */
const char *server_note_refusal(const struct server_session *session, struct arena *arena, const char *reason,
                                const char *limit, unsigned code, const char *enhanced, const char *text);
void server_session_remove(struct server_session *session);
/* Asks all to end; sessions that begin later are refused. */
void server_drain(void);
bool server_draining(void);
unsigned server_session_count(enum server_protocol protocol);
/* The addresses that a session sees, right after stream_serve(). */
void server_set_addresses(struct stream *stream, const struct proxy_header *via);
/* To be called when TLS is up: logs with what, and which certificate the client has shown. */
void server_log_tls(const struct stream *stream);
/* The pool that sessions' tasks run on. */
struct task_pool *server_tasks(void);
void server_set_tasks(struct task_pool *pool);

/* ------------------------------------------------------------------ the front-ends */

/* via: what a proxy has said of the connection, or NULL. */

enum smtp_role { SMTP_ROLE_MX, SMTP_ROLE_SUBMISSION, SMTP_ROLE_ODMR };

void smtp_serve(int fd, enum smtp_role role, bool implicit_tls, const struct proxy_header *via,
                struct server_settings *settings);
void imap_serve(int fd, bool implicit_tls, const struct proxy_header *via, struct server_settings *settings);
void pop3_serve(int fd, bool implicit_tls, const struct proxy_header *via, struct server_settings *settings);

#endif
