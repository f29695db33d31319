#ifndef PROTOCOLS_IMAP_SESSION_H
#define PROTOCOLS_IMAP_SESSION_H
/*
 * imap_session: what the files of the IMAP server share.  Nobody else includes this; the way in is imap_serve() in
 * protocols/server.h.
 *
 * A session owns itself.  Whatever enters it (bytes of a literal and a hint, too) ends in session_settle().
 *
 * One command runs at a time, in a task.  Its handler writes untagged responses and leaves the tagged one in
 * session->reply; before that is sent the session tells what others changed meanwhile (imap_selected_refresh).  A
 * response that is longer than we want to queue is made by common.produce.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/loop.h"
#include "core/spool.h"
#include "core/stream.h"
#include "protocols/imap_parse.h"
#include "protocols/sasl.h"
#include "protocols/server.h"
#include "protocols/session.h"
#include "storage/hint.h"
#include "storage/mailbox.h"

#define IMAP_LINE_MAX 16384          /* RFC 7162 section 4 wants 8192 */
#define IMAP_COMMAND_MAX (64 * 1024) /* a command with its literals, but for APPEND's message */
#define IMAP_KEYWORDS_MAX 64         /* different ones in a mailbox, as far as a session shows them */
#define IMAP_ITEMS_MAX 1000000

enum imap_state { IMAP_NOT_AUTHENTICATED = 1, IMAP_AUTHENTICATED = 2, IMAP_SELECTED = 4 };

/* A message of the selected mailbox; sequence number n is items[n-1]. */
struct imap_item {
    int64_t uid, message_id, internal_ms;
    uint64_t size;
    uint64_t keywords; /* bits: session's keyword names */
    unsigned flags;
};

struct imap_selected {
    int64_t id, modseq; /* modseq: all changes up to it have been seen */
    int64_t uidvalidity;
    bool read_only;
    enum mailbox_role role;
    struct imap_item *items; /* on the heap, by UID */
    uint32_t count, room;
    char *keywords[IMAP_KEYWORDS_MAX];
    unsigned keyword_count;
    struct hint_watch *watch;
    bool expunged_elsewhere; /* something may be gone that could not be told yet */
};

struct evbuffer;
struct imap_fetching; /* imap_fetch.c */

struct imap_session {
    struct session common; /* first */
    struct server_settings *settings;
    bool greeted;
    enum imap_state state;
    struct arena *arena, *command, *message; /* session; command; one message of a FETCH or SEARCH */

    /* the command that is being gathered */
    char *pending;
    size_t pending_count, pending_room;
    unsigned literals; /* begun so far */
    uint64_t literal_left;
    struct spool *append; /* APPEND's message: where the literal goes */

    /* the command that is running */
    struct slice tag;
    struct imap_cursor cursor;
    bool uid; /* UID FETCH and so on */
    bool may_expunge;
    const char *reply; /* the tagged response, without the tag */
    struct imap_fetching *fetching;

    struct sasl_attempt *attempt; /* between AUTHENTICATE and its end: lines are responses */
    struct slice attempt_input;
    unsigned login_failures;
    struct directory_account account;
    struct imap_selected selected;

    bool idling, changed;
    char kept_tag[128]; /* of AUTHENTICATE and IDLE, which span lines */
    struct loop_timer poll;
    unsigned errors;
};

/* ------------------------------------------------------------------ imap_session.c */

/* Runs the command that was gathered; for session_run(). */
AWAITS void imap_session_command(void *session);
void imap_session_logged_in(struct imap_session *session, const char *mechanism);
/* After the last produce(): what others changed, then the tagged response. */
void imap_session_finish(struct imap_session *session);

/* ------------------------------------------------------------------ imap_gather.c: a command from its lines and literals */

/* A line, without its end.  The command runs when it was the last. */
void imap_gather_line(struct imap_session *session, const char *line, size_t length);
/* Bytes of a literal: the stream's on_data. */
void imap_gather_data(void *session, struct evbuffer *input);
void imap_gather_drop(struct imap_session *session);

/* ------------------------------------------------------------------ imap_reply.c: what goes back to the client */

/* Untagged output; nothing happens when the client is gone. */
void imap_write(struct imap_session *session, struct slice bytes);
void imap_printf(struct imap_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
void imap_write_string(struct imap_session *session, struct slice text); /* quoted, or as a literal */

/* The tagged response: "OK ...", "NO ...", "BAD ...". */
void imap_reply(struct imap_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
void imap_bad(struct imap_session *session, const char *text); /* counts as an error */
/* The folders Held and Quarantine (imap_held.c).  True: refused, and answered. */
bool imap_held_refuses(struct imap_session *session, enum mailbox_role role);
/* The same for what would delete messages of the selected folder. */
bool imap_held_keeps(struct imap_session *session);
/* Of messages in such a folder.  False: the reply is given. */
AWAITS bool imap_held_copy(struct imap_session *session, struct mailbox_copying *copying);
void imap_unavailable(struct imap_session *session);           /* NO [UNAVAILABLE] */
void imap_bye(struct imap_session *session, const char *text); /* and the end */
/* The tag outlives the command's arena.  False (and BAD): it is absurdly long. */
bool imap_keep_tag(struct imap_session *session);
const char *imap_capabilities(const struct imap_session *session);

/* ------------------------------------------------------------------ imap_commands.c: what to do with which verb */

AWAITS void imap_command_run(struct imap_session *session);

/* ------------------------------------------------------------------ imap_select.c: the selected mailbox */

void imap_selected_drop(struct imap_session *session);
/*
 * Tells what changed: FETCH, EXISTS and, if may_expunge, EXPUNGE. False: the database is away, or the mailbox is gone.
 */
AWAITS bool imap_selected_refresh(struct imap_session *session, bool may_expunge);
/*
 * Indexes of the messages in the set (sequence numbers or UIDs), ascending. False: a sequence number that does not
 * exist.
 */
bool imap_selected_pick(struct imap_session *session, struct imap_set *set, uint32_t **out, uint32_t *count);
void imap_write_flags(struct imap_session *session, const struct imap_item *item); /* "(\Seen work)" */
uint64_t imap_keyword_bit(struct imap_selected *selected, struct slice keyword);   /* 0: no room */
void imap_tell_flag_names(struct imap_session *session); /* FLAGS and PERMANENTFLAGS: a keyword is new */
void imap_command_select(struct imap_session *session);
void imap_command_examine(struct imap_session *session);
void imap_command_close(struct imap_session *session);
void imap_command_unselect(struct imap_session *session);

/* ------------------------------------------------------------------ imap_auth.c */

void imap_command_login(struct imap_session *session);
void imap_command_authenticate(struct imap_session *session);
void imap_command_starttls(struct imap_session *session);
void imap_auth_on_line(struct imap_session *session, struct slice line);

/* ------------------------------------------------------------------ imap_mailboxes.c */

void imap_command_create(struct imap_session *session);
void imap_command_delete(struct imap_session *session);
void imap_command_rename(struct imap_session *session);
void imap_command_subscribe(struct imap_session *session);
void imap_command_unsubscribe(struct imap_session *session);
void imap_command_list(struct imap_session *session);
void imap_command_lsub(struct imap_session *session);
void imap_command_status(struct imap_session *session);
void imap_command_namespace(struct imap_session *session);

/* ------------------------------------------------------------------ imap_store.c */

void imap_command_store(struct imap_session *session);
void imap_command_expunge(struct imap_session *session);
void imap_command_copy(struct imap_session *session);
void imap_command_move(struct imap_session *session);

/* ------------------------------------------------------------------ imap_append.c */

/* Is the literal that ends `pending` APPEND's message?  Called while gathering. */
bool imap_append_expects(const struct imap_session *session);
void imap_command_append(struct imap_session *session);

/* ------------------------------------------------------------------ imap_fetch.c, imap_search.c */

void imap_command_fetch(struct imap_session *session);
void imap_fetch_drop(struct imap_session *session);
void imap_command_search(struct imap_session *session);

#endif
