/*
 * imap_store: STORE, EXPUNGE, COPY, MOVE and their UID forms (RFC 3501 6.4, RFC 4315, RFC 6851).
 *
 * The change is made in storage first; what the client is told comes from the refresh after it, which sees the client's
 * own changes and others' alike.
 */
#include "protocols/imap_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/carry_keyword.h"

/* Takes SP set and picks its messages.  False: the reply is given. */
static bool take_messages(struct imap_session *session, uint32_t **indexes, uint32_t *count)
{
    struct imap_set set;

    if (!imap_take_char(&session->cursor, ' ') || !imap_take_set(&session->cursor, &set)) {
        imap_bad(session, "A set of messages was expected");
        return false;
    }
    if (!imap_selected_pick(session, &set, indexes, count)) {
        imap_bad(session, "There is no such message number");
        return false;
    }
    return true;
}

static int64_t *uids_of(struct imap_session *session, const uint32_t *indexes, uint32_t count)
{
    int64_t *uids = arena_array(session->command, count, sizeof *uids);

    for (uint32_t i = 0; i < count; i++)
        uids[i] = session->selected.items[indexes[i]].uid;
    return uids;
}

static bool is_read_only(struct imap_session *session)
{
    if (session->selected.read_only)
        imap_reply(session, "NO [READ-ONLY] The mailbox was opened with EXAMINE");
    return session->selected.read_only;
}

/* ------------------------------------------------------------------ STORE */

/* store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag))) */
static bool take_store(struct imap_cursor *c, enum mailbox_store *how, bool *silent, struct imap_flags *flags)
{
    struct slice word;

    *how = MAILBOX_STORE_SET;
    if (!imap_take_char(c, ' '))
        return false;
    if (imap_take_char(c, '+'))
        *how = MAILBOX_STORE_ADD;
    else if (imap_take_char(c, '-'))
        *how = MAILBOX_STORE_REMOVE;
    if (!imap_take_atom(c, &word))
        return false;
    *silent = slice_equal_nocase(word, SLICE("FLAGS.SILENT"));
    if (!*silent && !slice_equal_nocase(word, SLICE("FLAGS")))
        return false;
    return imap_take_char(c, ' ') && imap_take_flags_of_store(c, flags) && imap_at_end(c);
}

/* A mailbox shows at most IMAP_KEYWORDS_MAX keywords: more are refused, not dropped.  New ones are told (7.2.6). */
static bool keywords_fit(struct imap_session *session, const struct imap_flags *flags)
{
    unsigned known = session->selected.keyword_count;
    bool fit = true;

    for (unsigned i = 0; i < flags->keyword_count && fit; i++)
        fit = imap_keyword_bit(&session->selected, flags->keywords[i]) != 0;
    if (session->selected.keyword_count > known)
        imap_tell_flag_names(session);
    return fit;
}

/* The spelling that the mailbox has already: keywords differ by more than case (2.3.2). */
static void use_known_spelling(struct imap_session *session, struct imap_flags *flags)
{
    for (unsigned i = 0; i < flags->keyword_count; i++)
        for (unsigned k = 0; k < session->selected.keyword_count; k++)
            if (slice_equal_nocase(flags->keywords[i], slice_str(session->selected.keywords[k])))
                flags->keywords[i] = slice_str(session->selected.keywords[k]);
}

/* Without .SILENT each message named is answered with its flags, also where nothing changed. */
static void tell_unchanged(struct imap_session *session, const uint32_t *indexes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct imap_item *item = &session->selected.items[indexes[i]];

        imap_printf(session, "* %" PRIu32 " FETCH (FLAGS ", indexes[i] + 1);
        imap_write_flags(session, item);
        if (session->uid)
            imap_printf(session, " UID %" PRId64, item->uid);
        imap_write(session, SLICE(")\r\n"));
    }
}

/* What is no client's to say stays as it is, whatever he asks for. */
static uint64_t delivery_keywords(const struct imap_selected *s)
{
    uint64_t keywords = 0;

    for (unsigned k = 0; k < s->keyword_count; k++)
        if (carry_keyword_is(slice_str(s->keywords[k])))
            keywords |= UINT64_C(1) << k;
    return keywords;
}

/*
 * What the client will take the flags to be now, so that the refresh tells what they are besides: also with .SILENT it
 * must learn what others changed (6.4.6).  True: it asked for more than is done, and must learn that, too.
 */
static bool expect_stored(struct imap_session *session, const uint32_t *indexes, uint32_t count, enum mailbox_store how,
                          const struct imap_flags *flags)
{
    struct imap_selected *s = &session->selected;
    uint64_t keywords = 0, kept = delivery_keywords(s);
    bool more = false;

    for (unsigned i = 0; i < flags->keyword_count; i++)
        for (unsigned k = 0; k < s->keyword_count; k++)
            if (slice_equal_nocase(flags->keywords[i], slice_str(s->keywords[k])))
                keywords |= UINT64_C(1) << k;
    for (uint32_t i = 0; i < count; i++) {
        struct imap_item *item = &s->items[indexes[i]];
        uint64_t wanted = item->keywords;

        switch (how) {
        case MAILBOX_STORE_SET:
            item->flags = flags->bits;
            wanted = keywords;
            break;
        case MAILBOX_STORE_ADD:
            item->flags |= flags->bits;
            wanted |= keywords;
            break;
        case MAILBOX_STORE_REMOVE:
            item->flags &= ~flags->bits;
            wanted &= ~keywords;
            break;
        }
        more |= (wanted ^ item->keywords) & kept;
        item->keywords = (wanted & ~kept) | (item->keywords & kept);
    }
    return more;
}

AWAITS void imap_command_store(struct imap_session *session)
{
    struct imap_flags flags;
    enum mailbox_store how;
    uint32_t *indexes, count;
    int64_t modseq;
    bool silent;

    if (!take_messages(session, &indexes, &count))
        return;
    if (!take_store(&session->cursor, &how, &silent, &flags)) {
        imap_bad(session, "STORE wants FLAGS, +FLAGS or -FLAGS and a list of flags");
        return;
    }
    if (is_read_only(session))
        return;
    if (how != MAILBOX_STORE_REMOVE && !keywords_fit(session, &flags)) {
        imap_reply(session, "NO [LIMIT] There are too many different keywords in this mailbox");
        return;
    }
    use_known_spelling(session, &flags);
    if (count && mailbox_store(session->selected.id, uids_of(session, indexes, count), count, how, flags.bits,
                               flags.keywords, flags.keyword_count, &modseq) != DB_DONE) {
        imap_unavailable(session);
        return;
    }
    if (expect_stored(session, indexes, count, how, &flags))
        silent = false;
    if (count && !imap_selected_refresh(session, false)) {
        imap_unavailable(session); /* the change was made; the client will see it with its next command */
        return;
    }
    if (!silent)
        tell_unchanged(session, indexes, count);
    imap_reply(session, "OK STORE completed");
}

/* ------------------------------------------------------------------ EXPUNGE */

AWAITS void imap_command_expunge(struct imap_session *session)
{
    struct imap_selected *s = &session->selected;
    int64_t *uids = arena_array(session->command, s->count, sizeof *uids);
    uint32_t *indexes = NULL, count = s->count;
    unsigned deleted = 0;

    if (session->uid && !take_messages(session, &indexes, &count)) /* RFC 4315: UID EXPUNGE set */
        return;
    if (!imap_at_end(&session->cursor)) {
        imap_bad(session, "EXPUNGE takes no argument, UID EXPUNGE a set");
        return;
    }
    if (is_read_only(session))
        return;
    for (uint32_t i = 0; i < count; i++) {
        const struct imap_item *item = &s->items[indexes ? indexes[i] : i];

        if (item->flags & MAILBOX_DELETED)
            uids[deleted++] = item->uid;
    }
    if (deleted && imap_held_keeps(session))
        return;
    if (deleted && mailbox_expunge(s->id, uids, deleted, true) != DB_DONE) {
        imap_unavailable(session);
        return;
    }
    imap_reply(session, "OK EXPUNGE completed");
}

/* ------------------------------------------------------------------ COPY, MOVE */

/* "1:3,7" of ascending UIDs. */
static const char *set_text(struct arena *arena, const int64_t *uids, unsigned count)
{
    size_t room = (size_t)count * 24 + 1;
    char *text = arena_alloc(arena, room);
    size_t n = 0;

    for (unsigned i = 0; i < count;) {
        unsigned last = i;

        while (last + 1 < count && uids[last + 1] == uids[last] + 1)
            last++;
        n += (size_t)snprintf(text + n, room - n, "%s%" PRId64, n ? "," : "", uids[i]);
        if (last > i)
            n += (size_t)snprintf(text + n, room - n, ":%" PRId64, uids[last]);
        i = last + 1;
    }
    return text;
}

/* Those that storage did not find any more were not copied; then it cannot be said which UID became which. */
static const char *copyuid(struct imap_session *session, const struct mailbox *to, const struct mailbox_copying *c)
{
    const char *rest = "";

    if (c->copied != c->count || !c->count)
        return NULL;
    if (c->count > 1)
        rest = arena_printf(session->command, ":%" PRId64, c->first_uid + c->count - 1);
    return arena_printf(session->command, "[COPYUID %" PRId64 " %s %" PRId64 "%s]", to->uidvalidity,
                        set_text(session->command, c->uids, c->count), c->first_uid, rest);
}

static AWAITS void copy(struct imap_session *session, bool move)
{
    struct imap_cursor *c = &session->cursor;
    uint32_t *indexes, count;
    const char *code, *verb = move ? "MOVE" : "COPY";
    struct mailbox to;
    struct slice name;
    enum db_write written = DB_DONE;
    struct mailbox_copying copying = {.from_id = session->selected.id, .move = move};

    if (!take_messages(session, &indexes, &count))
        return;
    if (!imap_take_char(c, ' ') || !imap_take_mailbox(c, &name) || !imap_at_end(c)) {
        imap_bad(session, "A mailbox name was expected");
        return;
    }
    if (move && is_read_only(session))
        return;
    switch (mailbox_find(session->command, session->account.id, name, &to)) {
    case DB_FOUND: break;
    case DB_NONE: imap_reply(session, "NO [TRYCREATE] There is no such mailbox"); return;
    case DB_FAILED: imap_unavailable(session); return;
    }
    if (imap_held_refuses(session, to.role))
        return;
    copying.to_id = to.id;
    copying.uids = uids_of(session, indexes, count);
    copying.count = count;
    if (count && session->selected.role != MAILBOX_ORDINARY) {
        if (!imap_held_copy(session, &copying))
            return;
    } else if (count) {
        written = mailbox_copy(&copying);
    }
    switch (written) {
    case DB_DONE: break;
    case DB_REFUSED: imap_reply(session, "NO [TRYCREATE] The mailbox was deleted meanwhile"); return;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN: imap_unavailable(session); return;
    }
    code = copyuid(session, &to, &copying);
    if (move && code) /* RFC 6851 4.3: before the EXPUNGEs */
        imap_printf(session, "* OK %s Moved\r\n", code);
    imap_reply(session, "OK %s%s%s completed", !move && code ? code : "", !move && code ? " " : "", verb);
}

AWAITS void imap_command_copy(struct imap_session *session)
{
    copy(session, false);
}

AWAITS void imap_command_move(struct imap_session *session)
{
    copy(session, true);
}
