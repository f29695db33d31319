/*
 * imap_mailboxes: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, LIST, LSUB, STATUS, NAMESPACE (RFC 3501 6.3, RFC
 * 2342, RFC 3348, RFC 6154).
 *
 * The hierarchy is in the names: levels are separated by '/', and a mailbox has inferiors if another name begins with
 * its name and '/'.  Superiors are made with what is under them, so every level is a mailbox, until one is deleted
 * whose inferiors stay: then LIST shows it as \Noselect (6.3.4).
 *
 * A subscription is to a name (storage/subscription.h): LSUB shows it also when there is no such mailbox any more, and
 * only UNSUBSCRIBE takes it away.  SUBSCRIBE wants an existing mailbox, as it may (6.3.6).  Of both an account has at
 * most [mailbox] mailboxes_max.
 */
#include "protocols/imap_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "storage/subscription.h"

#define PATTERN_BYTES_MAX 1000 /* matching takes longer than its length */
#define LEVELS_MAX 8           /* mailbox_create() makes all superiors in one transaction */
#define TURN_MS 10             /* before others have theirs */

/* Takes one name and nothing more. */
static bool take_name(struct imap_session *session, struct slice *name)
{
    struct imap_cursor *c = &session->cursor;

    if (imap_take_char(c, ' ') && imap_take_mailbox(c, name) && imap_at_end(c))
        return true;
    imap_bad(session, "A mailbox name was expected");
    return false;
}

/* What may be made: no empty level, no control character, not too deep, nothing that LIST could not ask for. */
static bool name_is_good(struct slice name)
{
    unsigned levels = 1;

    if (!name.n || name.n > MAILBOX_NAME_MAX || name.p[0] == '/' || name.p[name.n - 1] == '/')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char ch = (unsigned char)name.p[i];

        if (ch < 0x20 || ch == 0x7f || ch == '*' || ch == '%' || (ch == '/' && name.p[i - 1] == '/'))
            return false;
        levels += ch == '/';
    }
    return levels <= LEVELS_MAX && !slice_equal_nocase(name, SLICE("INBOX"));
}

/* "a/b/" asks for a place for inferiors (6.3.3); here any mailbox is one. */
static struct slice without_end(struct slice name)
{
    return name.n > 1 && name.p[name.n - 1] == '/' ? slice_of(name.p, name.n - 1) : name;
}

/* refused: what it means when a constraint says no. */
static void reply_written(struct imap_session *session, enum db_write written, const char *verb, const char *refused)
{
    switch (written) {
    case DB_DONE: imap_reply(session, "OK %s completed", verb); return;
    case DB_REFUSED: imap_reply(session, "NO %s", refused); return;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: imap_unavailable(session); return;
    }
}

static const char *refusal_text(enum mailbox_refusal refusal)
{
    switch (refusal) {
    case MAILBOX_EXISTS: return "[ALREADYEXISTS] There is a mailbox of that name";
    case MAILBOX_TOO_MANY: return "[LIMIT] There are too many mailboxes";
    case MAILBOX_NAME: return "[CANNOT] The name of a mailbox would be too long";
    }
    return "";
}

AWAITS void imap_command_create(struct imap_session *session)
{
    enum mailbox_refusal refusal;
    enum db_write written;
    struct slice name;
    int64_t id;

    if (!take_name(session, &name))
        return;
    name = without_end(name);
    if (slice_equal_nocase(name, SLICE("INBOX"))) {
        imap_reply(session, "NO [ALREADYEXISTS] INBOX is always there");
    } else if (!name_is_good(name)) {
        imap_reply(session, "NO [CANNOT] A mailbox cannot have that name");
    } else {
        written = mailbox_create(session->account.id, name, session->settings->mailboxes_max, &id, &refusal);
        reply_written(session, written, "CREATE", written == DB_REFUSED ? refusal_text(refusal) : "");
    }
}

/* FOUND, or the reply is given. */
static AWAITS bool find(struct imap_session *session, struct slice name, struct mailbox *out)
{
    switch (mailbox_find(session->command, session->account.id, name, out)) {
    case DB_FOUND: return true;
    case DB_NONE: imap_reply(session, "NO [NONEXISTENT] There is no such mailbox"); return false;
    case DB_FAILED: imap_unavailable(session); return false;
    }
    return false;
}

AWAITS void imap_command_delete(struct imap_session *session)
{
    struct mailbox mailbox;
    struct slice name;

    if (!take_name(session, &name))
        return;
    name = without_end(name);
    if (slice_equal_nocase(name, SLICE("INBOX"))) {
        imap_reply(session, "NO [CANNOT] INBOX cannot be deleted");
        return;
    }
    if (!find(session, name, &mailbox) || imap_held_refuses(session, mailbox.role))
        return;
    if (session->state == IMAP_SELECTED && mailbox.id == session->selected.id)
        imap_selected_drop(session);
    reply_written(session, mailbox_delete(mailbox.id), "DELETE", "[INUSE] Something refers to that mailbox");
}

AWAITS void imap_command_rename(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    enum mailbox_refusal refusal;
    struct mailbox mailbox;
    struct slice from, to;
    enum db_write written;

    if (!imap_take_char(c, ' ') || !imap_take_mailbox(c, &from) || !imap_take_char(c, ' ') ||
        !imap_take_mailbox(c, &to) || !imap_at_end(c)) {
        imap_bad(session, "RENAME wants two mailbox names");
        return;
    }
    from = without_end(from);
    to = without_end(to);
    if (!name_is_good(to) ||
        (to.n > from.n && to.p[from.n] == '/' && slice_equal(slice_of(to.p, from.n), from))) { /* under itself */
        imap_reply(session, "NO [CANNOT] A mailbox cannot get that name");
        return;
    }
    if (!find(session, from, &mailbox) || imap_held_refuses(session, mailbox.role))
        return;
    written = mailbox_rename(session->account.id, mailbox.name, to, session->settings->mailboxes_max, &refusal);
    reply_written(session, written, "RENAME", written == DB_REFUSED ? refusal_text(refusal) : "");
}

AWAITS void imap_command_subscribe(struct imap_session *session)
{
    struct mailbox mailbox;
    struct slice name;

    if (!take_name(session, &name))
        return;
    name = without_end(name);
    if (find(session, name, &mailbox))
        reply_written(session, subscription_add(session->account.id, mailbox.name, session->settings->mailboxes_max),
                      "SUBSCRIBE", "[LIMIT] There are too many subscriptions");
}

/* Also of a name without a mailbox, or one that was not subscribed to: afterwards it is not. */
AWAITS void imap_command_unsubscribe(struct imap_session *session)
{
    struct slice name;

    if (take_name(session, &name))
        reply_written(session, subscription_remove(session->account.id, without_end(name)), "UNSUBSCRIBE",
                      "[CANNOT] That subscription cannot be taken back");
}

/* ------------------------------------------------------------------ LIST, LSUB */

static void write_name(struct imap_session *session, struct slice name)
{
    imap_write_string(session, imap_utf7_encode(session->command, name));
    imap_write(session, SLICE("\r\n"));
}

static bool is_under(struct slice name, struct slice superior)
{
    return name.n > superior.n && name.p[superior.n] == '/' && slice_equal(slice_of(name.p, superior.n), superior);
}

/*
 * An account's mailboxes or subscriptions as storage lists them: INBOX, then the others by the bytes of their names,
 * so that what is under a name stands together.
 */
struct listing {
    struct mailbox *all;
    unsigned count;
};

/* The first from name and suffix on. */
static unsigned place_of(const struct listing *l, struct slice name, char suffix)
{
    unsigned low = l->count && slice_equal(l->all[0].name, SLICE("INBOX")) ? 1 : 0, high = l->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        struct slice other = l->all[middle].name;
        int order = memcmp(other.p, name.p, other.n < name.n ? other.n : name.n);

        if (order == 0 && other.n <= name.n)
            order = other.n < name.n || suffix ? -1 : 0;
        else if (order == 0)
            order = (unsigned char)other.p[name.n] < (unsigned char)suffix ? -1 : 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_children(const struct listing *l, struct slice name)
{
    unsigned place = place_of(l, name, '/');

    return place < l->count && is_under(l->all[place].name, name);
}

/* NULL: none of that name. */
static const struct mailbox *find_listed(const struct listing *l, struct slice name)
{
    unsigned place = slice_equal(name, SLICE("INBOX")) ? 0 : place_of(l, name, '\0');

    return place < l->count && slice_equal(l->all[place].name, name) ? &l->all[place] : NULL;
}

static void write_listed(struct imap_session *session, const char *verb, const struct listing *l, struct slice name,
                         bool selectable, struct slice special_use)
{
    imap_printf(session, "* %s (%s%s%s%.*s) \"/\" ", verb, selectable ? "" : "\\Noselect ",
                has_children(l, name) ? "\\HasChildren" : "\\HasNoChildren", special_use.n ? " " : "",
                SLICE_ARG(special_use));
    write_name(session, name);
}

/*
 * Superiors that match and are not among those listed: \Noselect for LIST, as they were deleted, and for LSUB with
 * "%", as they are not subscribed to but something under them is (6.3.9).  Each once: before is the name that was
 * looked at before this one.
 */
static void list_superiors(struct imap_session *session, const char *verb, const struct listing *listed,
                           const struct listing *all, struct slice before, struct slice name, struct slice pattern)
{
    for (size_t i = 1; i < name.n; i++) {
        struct slice superior = slice_of(name.p, i);

        if (name.p[i] == '/' && !is_under(before, superior) && imap_pattern_matches(pattern, superior) &&
            !find_listed(listed, superior))
            write_listed(session, verb, all, superior, false, SLICE(""));
    }
}

/*
 * listed: those of all, or of the subscriptions.  What is \HasChildren is always said of the mailboxes.  Some patterns
 * take a millisecond for each long name, so others have their turn meanwhile.
 */
static AWAITS void write_list(struct imap_session *session, const char *verb, const struct listing *listed,
                              const struct listing *all, struct slice pattern, bool superiors)
{
    struct slice before = SLICE("");
    uint64_t turn_ends_ms = clock_steady_ms() + TURN_MS;

    for (unsigned i = 0; i < listed->count && session->common.stream; i++) {
        const struct mailbox *mailbox = &listed->all[i];

        if (clock_steady_ms() >= turn_ends_ms) {
            task_sleep(0);
            turn_ends_ms = clock_steady_ms() + TURN_MS;
        }
        if (superiors)
            list_superiors(session, verb, listed, all, before, mailbox->name, pattern);
        if (imap_pattern_matches(pattern, mailbox->name))
            write_listed(session, verb, all, mailbox->name, true,
                         mailbox->special_use.n ? mailbox->special_use : SLICE(""));
        before = mailbox->name;
    }
    imap_reply(session, "OK %s completed", verb);
}

static AWAITS void list(struct imap_session *session, const char *verb, bool subscribed)
{
    struct imap_cursor *c = &session->cursor;
    struct slice reference, pattern;
    struct listing all = {NULL, 0}, names = {NULL, 0};

    if (!imap_take_char(c, ' ') || !imap_take_mailbox(c, &reference) || !imap_take_char(c, ' ') ||
        !imap_take_pattern(c, &pattern) || !imap_at_end(c)) {
        imap_bad(session, "A reference and a pattern were expected");
        return;
    }
    if (!pattern.n && !subscribed) { /* asks for the delimiter */
        imap_printf(session, "* LIST (\\Noselect) \"/\" \"\"\r\n");
        imap_reply(session, "OK LIST completed");
        return;
    }
    if (reference.n + pattern.n > PATTERN_BYTES_MAX) {
        imap_reply(session, "NO [LIMIT] That pattern is too long");
        return;
    }
    if (mailbox_list(session->command, session->account.id, &all.all, &all.count) == DB_FAILED ||
        (subscribed &&
         subscription_list(session->command, session->account.id, &names.all, &names.count) == DB_FAILED)) {
        imap_unavailable(session);
        return;
    }
    pattern = slice_str(arena_printf(session->command, "%.*s%.*s", SLICE_ARG(reference), SLICE_ARG(pattern)));
    write_list(session, verb, subscribed ? &names : &all, &all, pattern,
               !subscribed || !memchr(pattern.p, '*', pattern.n));
}

AWAITS void imap_command_list(struct imap_session *session)
{
    list(session, "LIST", false);
}

AWAITS void imap_command_lsub(struct imap_session *session)
{
    list(session, "LSUB", true);
}

/* ------------------------------------------------------------------ STATUS, NAMESPACE */

enum { STATUS_MESSAGES = 1, STATUS_RECENT = 2, STATUS_UIDNEXT = 4, STATUS_UIDVALIDITY = 8, STATUS_UNSEEN = 16 };

static bool take_status_items(struct imap_cursor *c, unsigned *items)
{
    static const char *const names[] = {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"};
    struct slice name;

    *items = 0;
    if (!imap_take_char(c, '('))
        return false;
    do {
        unsigned i = 0;

        if (!imap_take_atom(c, &name))
            return false;
        while (i < 5 && !slice_equal_nocase(name, slice_str(names[i])))
            i++;
        if (i == 5)
            return false;
        *items |= 1u << i;
    } while (imap_take_char(c, ' '));
    return imap_take_char(c, ')') && imap_at_end(c);
}

AWAITS void imap_command_status(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    struct mailbox_counts counts = {0};
    struct mailbox mailbox;
    struct slice name, encoded;
    const char *space = "";
    unsigned items;

    if (!imap_take_char(c, ' ') || !imap_take_mailbox(c, &name) || !imap_take_char(c, ' ') ||
        !take_status_items(c, &items)) {
        imap_bad(session, "STATUS wants a mailbox and a list of items");
        return;
    }
    if (!find(session, name, &mailbox))
        return;
    if (mailbox_count(mailbox.id, &counts) != DB_FOUND) {
        imap_unavailable(session);
        return;
    }
    encoded = imap_utf7_encode(session->command, mailbox.name);
    imap_write(session, SLICE("* STATUS "));
    imap_write_string(session, encoded);
    imap_write(session, SLICE(" ("));
    for (unsigned bit = STATUS_MESSAGES; bit <= STATUS_UNSEEN; bit <<= 1) {
        if (!(items & bit))
            continue;
        imap_write(session, slice_str(space));
        space = " ";
        if (bit == STATUS_MESSAGES)
            imap_printf(session, "MESSAGES %" PRIu64, counts.messages);
        else if (bit == STATUS_RECENT)
            imap_printf(session, "RECENT 0");
        else if (bit == STATUS_UIDNEXT)
            imap_printf(session, "UIDNEXT %" PRId64, mailbox.uidnext);
        else if (bit == STATUS_UIDVALIDITY)
            imap_printf(session, "UIDVALIDITY %" PRId64, mailbox.uidvalidity);
        else
            imap_printf(session, "UNSEEN %" PRIu64, counts.unseen);
    }
    imap_write(session, SLICE(")\r\n"));
    imap_reply(session, "OK STATUS completed");
}

void imap_command_namespace(struct imap_session *session)
{
    imap_printf(session, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    imap_reply(session, "OK NAMESPACE completed");
}
