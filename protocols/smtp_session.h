#ifndef PROTOCOLS_SMTP_SESSION_H
#define PROTOCOLS_SMTP_SESSION_H
/*
 * smtp_session: what the files of the SMTP server share.  Nobody else includes this; the way in is
 * smtp_serve() in protocols/server.h.
 *
 * A session owns itself.  It is entered in three ways, each of which ends in smtp_session.c's settle(), the only
 * place that flushes replies, pauses or resumes the stream, closes it and frees the session:
 *
 *     an event of the stream (a line, data, the end)      on the loop
 *     a command's task came to its end                    in that task
 *     a timer                                             on the loop
 *
 * A command answers with smtp_reply*() at once, or calls smtp_session_run() and answers in the task.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/loop.h"
#include "core/spool.h"
#include "core/stream.h"
#include "protocols/mime_binary.h"
#include "protocols/sasl.h"
#include "protocols/server.h"
#include "protocols/smtp_dot.h"
#include "protocols/smtp_fields.h"
#include "protocols/smtp_header.h"
#include "protocols/smtp_newline.h"
#include "protocols/smtp_parse.h"
#include "relay/authorize.h"
#include "relay/permit.h"
#include "relay/screen_dns.h"
#include "storage/accept.h"
#include "storage/directory.h"

#define SMTP_LINE_MAX 2048       /* RFC 5321 4.5.3.1.4 wants 512, MAIL's parameters want more */
#define SMTP_AUTH_LINE_MAX 12288 /* RFC 4954 section 4 */
#define SMTP_SESSION_MEMORY (64 * 1024)
#define SMTP_COMMAND_MEMORY (128 * 1024)
#define SMTP_TRANSACTION_MEMORY (2 * 1024 * 1024)

/* One target: itself, or one of those that the address stands for. */
struct smtp_recipient {
    struct smtp_recipient *next;
    struct slice address;  /* where it goes */
    struct slice original; /* as RCPT named it; all targets of one RCPT have the same pointer */
    bool first;            /* of its RCPT */
    bool expanded;         /* an alias or a group led here */
    struct envelope_rcpt envelope;
    bool tell_expanded; /* the sender wants to hear that it was, RFC 3461 5.2.7.3; at the first only */
    enum authorize_verdict verdict;
    const char *reason;                  /* what permitted it, for the log */
    const struct directory_grant *grant; /* the relay grant, in the transaction's arena, or NULL */
    const char *held_limit;              /* taken, but held by that grant, as this limit of it is reached; or NULL */
    struct hold policy;                  /* taken, but held for what smtp_policy.c says; until_ms 0: it is not */
    int64_t customer_id;                 /* whose mail this becomes: the recipient's, for outside the sender's */
    unsigned cell;
    int64_t mailbox_id;       /* INBOX to be filled now, or 0 */
    int64_t account_id;       /* in a relay domain: who may read it while it is held, or 0 */
    int64_t domain_id;        /* the relay domain, or 0 */
    struct slice destination; /* empty: not for the queue */
    bool waiting;             /* an outage is open: the queue will bring it later */
};

/* From MAIL to the end of data; lives in session->transaction. */
struct smtp_transaction {
    struct smtp_path sender;
    struct envelope_mail envelope;
    bool eight_bit;             /* what is stored is declared so */
    bool counted;               /* as what its account has sent */
    struct mime_binary *binary; /* BODY=BINARYMIME; else NULL */
    bool utf8;                  /* MAIL had SMTPUTF8; envelope.utf8 tells in the end whether it was needed */
    struct smtp_recipient *recipients, **tail;
    unsigned recipient_count; /* as RCPT named them */
    unsigned target_count;    /* what they came to: the length of the list */
    bool rcpt_seen;           /* one was tried, perhaps refused */

    struct permit permit;
    uint64_t size_max; /* the server's limit, or that of a grant */

    /* DATA, BDAT */
    bool chunked;                /* BDAT has begun: only BDAT may follow */
    bool failed;                 /* a chunk was refused: nothing but RSET and the last chunk makes sense */
    struct spool *spool;         /* NULL after the size limit was passed */
    struct smtp_newline newline; /* bare_newline = normalize */
    struct smtp_dot dot;
    struct smtp_fields fields; /* submission */
    struct smtp_header header;
    uint64_t size;
    uint64_t data_began_ms;
};

/* A chunk of BDAT that is on its way. */
struct smtp_chunk {
    uint64_t left;
    uint64_t size;
    bool last;
    const struct smtp_fault *fault; /* not NULL: it is read and dropped, then this is the answer */
    uint64_t began_ms;
};

struct smtp_session {
    struct server_session server; /* first: shutdown() casts */
    struct server_settings *settings;
    struct stream *stream; /* NULL: the client is gone */
    struct evbuffer *replies;
    enum smtp_role role;
    bool implicit_tls;
    bool registered;
    const char *peer; /* the client's address */

    bool may_xclient;                    /* a proxy in xclient_networks */
    bool told;                           /* it has said XCLIENT; what follows is what it told */
    struct slice client_name, told_helo; /* in the session's arena; empty: not told */
    bool told_plain;                     /* the client said HELO */

    struct screen_dns *screen; /* what DNS says of the client; NULL: nobody wants to know */
    bool greeted;              /* EHLO or HELO was answered */
    bool esmtp;
    struct slice helo; /* in the session's arena */
    bool authenticated;
    struct directory_account account;

    struct arena *arena, *transaction_arena, *command;
    struct smtp_transaction *transaction; /* NULL: no MAIL yet */
    bool receiving;                       /* between 354 and the end of data, or within a chunk */
    bool chunking;                        /* it is a chunk */
    struct smtp_chunk chunk;

    struct sasl_attempt *attempt; /* between AUTH and its end: lines are responses */
    bool attempt_ok;              /* it succeeded with data, which the client has yet to acknowledge */
    struct slice response;        /* for the task */
    char mechanism[SMTP_MECHANISM_MAX + 1];
    unsigned attempts_failed;
    uint64_t began_ms; /* the task that runs; steady clock */

    struct smtp_command line;                      /* for the task */
    void (*running)(struct smtp_session *session); /* a task is at work */
    bool held;                                     /* the answer is delayed on purpose */
    struct loop_timer hold;
    bool silent; /* not greeted yet, and the client may not speak; hold ends it */
    bool paused; /* we have paused the stream */
    bool closing;
    unsigned errors, refused;
};

/* ------------------------------------------------------------------ smtp_session.c */

/* Runs a command's straight-line part in a task; when none can be had: 421 and good-bye. */
void smtp_session_run(struct smtp_session *session, void (*command)(struct smtp_session *session));
/* Sends nothing and reads nothing for a while. */
void smtp_session_hold(struct smtp_session *session, unsigned ms);
/* Forgets MAIL and what followed. */
void smtp_session_reset(struct smtp_session *session);
/* Forgets all that the client said (after STARTTLS). */
void smtp_session_forget(struct smtp_session *session);

/* ------------------------------------------------------------------ smtp_reply.c */

/* enhanced NULL: none is due (RFC 2034: greeting, EHLO, 3xx).  Long texts become several lines. */
void smtp_reply(struct smtp_session *session, unsigned code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A command that makes no sense here: counted, and too many of them end the session. */
void smtp_reply_error(struct smtp_session *session, unsigned code, const char *enhanced, const char *text);
void smtp_reply_fault(struct smtp_session *session, const struct smtp_fault *fault);
/* Lines as they are, without enhanced codes. */
void smtp_reply_lines(struct smtp_session *session, unsigned code, const char *const *lines, unsigned count);
/* The last words: 421 or 221, then close. */
void smtp_reply_goodbye(struct smtp_session *session, unsigned code, const char *enhanced, const char *text);

/* ------------------------------------------------------------------ commands, each in its file */

void smtp_commands_run(struct smtp_session *session); /* the one in session->line; smtp_commands.c */
void smtp_command_hello(struct smtp_session *session, struct slice arguments, bool esmtp); /* smtp_command_hello.c */
void smtp_command_starttls(struct smtp_session *session, struct slice arguments);
void smtp_command_xclient(struct smtp_session *session, struct slice arguments); /* smtp_command_xclient.c */
void smtp_command_atrn(struct smtp_session *session, struct slice arguments);    /* smtp_command_atrn.c */
void smtp_command_auth(struct smtp_session *session, struct slice arguments);    /* smtp_command_auth.c */
void smtp_auth_on_line(struct smtp_session *session, struct slice line);
void smtp_auth_drop(struct smtp_session *session);
/* What the connection tells SASL; in the command's arena. */
void smtp_auth_client(struct smtp_session *session, struct sasl_client *client);
void smtp_command_etrn(struct smtp_session *session, struct slice arguments); /* smtp_command_etrn.c */
void smtp_command_mail(struct smtp_session *session, struct slice arguments); /* smtp_command_mail.c */
void smtp_command_rcpt(struct smtp_session *session, struct slice arguments); /* smtp_command_rcpt.c */
void smtp_command_data(struct smtp_session *session, struct slice arguments); /* smtp_command_data.c */
void smtp_data_on_input(struct smtp_session *session, struct evbuffer *input);
void smtp_command_bdat(struct smtp_session *session, struct slice arguments); /* smtp_command_bdat.c */
void smtp_bdat_on_input(struct smtp_session *session, struct evbuffer *input);

/* ------------------------------------------------------------------ smtp_command_data.c, for both ways of sending */

/* NULL: content may come now.  Else why not. */
const struct smtp_fault *smtp_data_not_now(const struct smtp_session *session);
void smtp_data_begin(struct smtp_session *session);
/* Content into the spool, as the settings and the server's role want it.  As smtp_dot_feed(). */
bool smtp_data_feed(struct smtp_session *session, struct slice *bytes);
/* No more content comes. */
void smtp_data_finish(struct smtp_session *session);
/* Is what came so far a message that we do not take?  Then it was answered; the transaction is as it was. */
bool smtp_data_refused(struct smtp_session *session) __attribute__((warn_unused_result));
/* Slower than any honest client. */
bool smtp_data_trickles(uint64_t began_ms, uint64_t received);

/* smtp_refusal.c: answers with the refusal, and with the id under which the API tells of it.  command: "MAIL", "RCPT",
 * "DATA".  recipient: {NULL,0}: it is not about one.  cell: whose mail it is about; 0: nobody's. */
void smtp_refuse(struct smtp_session *session, const char *command, struct slice recipient, unsigned cell,
                 const struct authorize_decision *decision);
/* Likewise for a message whose size was not told before.  Nobody is held back: for the loop, too. */
void smtp_refuse_too_big(struct smtp_session *session);

/*
 * smtp_hold.c.  Offer: the line of EHLO; NULL: none.  Check: NULL is well.  Is: the recipient's copy is not delivered
 * at once. Apply: what that means for it as it would be without.
 */
/* At the end of data: fills in the recipients' policy.  False: refused, and answered. */
AWAITS bool smtp_policy_apply(struct smtp_session *session);
/* It was not accepted: the account has not sent it. */
void smtp_policy_take_back(struct smtp_session *session);
const char *smtp_hold_offer(const struct smtp_session *session);
const struct smtp_fault *smtp_hold_check(const struct smtp_session *session, const struct envelope_mail *envelope);
bool smtp_hold_is(const struct smtp_session *session, const struct smtp_recipient *recipient, int64_t now_ms);
void smtp_hold_apply(const struct smtp_session *session, const struct smtp_recipient *from, int64_t now_ms,
                     struct accept_recipient *recipient);
/* ", held until ..." for the reply; empty: none of them is. */
const char *smtp_hold_words(const struct smtp_session *session, const struct accept_message *messages, unsigned count);
/* smtp_screen.c: one more MAIL, one more RCPT.  False, and answered: the client has sent too much. */
bool smtp_screen_message(struct smtp_session *session) __attribute__((warn_unused_result));
bool smtp_screen_recipient(struct smtp_session *session, struct slice address) __attribute__((warn_unused_result));
/* There are too many connections, or we go: 421 and good-bye. */
void smtp_screen_not_served(struct smtp_session *session);
/* Answers who spoke before the greeting, and ends. */
void smtp_screen_early_talker(struct smtp_session *session);
/* A client has come: what DNS knows of it is asked. */
void smtp_screen_begin(struct smtp_session *session);
/* May it bring mail for a recipient that permit_recipient() took?  False, and answered: no, or not yet. */
AWAITS bool smtp_screen_client(struct smtp_session *session, const struct permit_recipient *recipient)
    __attribute__((warn_unused_result));
/* It was refused for good: the answer waits, the longer the more refusals it collects.  For how long; 0: it does not. */
unsigned smtp_screen_tarpit(struct smtp_session *session);
/* 421: the session has reached a limit of its own, and ends. */
void smtp_screen_end(struct smtp_session *session, const char *reason, const char *limit, const char *text);

/* smtp_accept.c: the task at the end of data. */
AWAITS void smtp_accept(struct smtp_session *session);

/*
 * smtp_notice.c: adds to the messages the notices to be committed with them: of what is put into mailboxes or went to
 * several by an alias, as far as the sender wants to hear of it (RFC 3461 5.2.3, 5.2.7.3).  The array may become
 * another one; the notices stand behind the messages.  False: it could not be found out.
 */
AWAITS bool smtp_notice_add(struct smtp_session *session, struct accept_message **messages, unsigned *count)
    __attribute__((warn_unused_result));

/* smtp_author.c: may the account send in the name of From and Sender?  False, and answered: no. */
AWAITS bool smtp_author_permitted(struct smtp_session *session) __attribute__((warn_unused_result));

/* smtp_limit.c: do the limits of grants permit it still?  False, and answered: no.  After the commit, or without: done. */
AWAITS bool smtp_limit_permitted(struct smtp_session *session) __attribute__((warn_unused_result));
void smtp_limit_done(const struct smtp_session *session);

/* smtp_next_size.c.  NOT: nobody would take it, and it is answered; UNKNOWN: that could not be asked. */
enum smtp_fits { SMTP_FITS, SMTP_FITS_NOT, SMTP_FITS_UNKNOWN };
AWAITS enum smtp_fits smtp_next_size(struct smtp_session *session, const struct accept_message *messages,
                                     unsigned count) __attribute__((warn_unused_result));

/* smtp_trace.c: Return-Path and Received for one stored copy; recipient empty: not told. */
struct slice smtp_trace(struct arena *arena, const struct smtp_session *session, int64_t id, int64_t now_ms,
                        struct slice recipient);
/* What a submission lacks of Date and Message-ID, RFC 6409 sections 8.2 and 8.3; id: of any one copy.  And the empty
 * line, if the message does not begin with a header. */
struct slice smtp_trace_missing(struct arena *arena, const struct smtp_session *session, int64_t id, int64_t now_ms);
/* "ESMTPSA" and so on, RFC 3848, RFC 6531 4.3. */
const char *smtp_trace_protocol(const struct smtp_session *session);

#endif
