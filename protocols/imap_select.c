/*
 * imap_select: the selected mailbox: what the session has been told about it, and how it learns what others do.
 *
 * `items` is the client's view: sequence numbers are its indexes, and it changes only together with an untagged
 * response. storage gives every change a modseq; a refresh asks for what is newer than the last one seen.  What was
 * expunged is not there any more to be asked for: it is found by comparing UIDs, when the counts differ, and told only
 * where RFC 3501 7.4.1 allows.
 *
 * \Recent is not kept: no message is ever recent here.  To know whether this session is the first to see a message
 * takes a write on every SELECT, for a flag that IMAP4rev2 (RFC 9051) dropped because nobody could rely on it.
 */
#include "protocols/imap_session.h"

#include <inttypes.h>
#include <stdlib.h>

#define LOG_MODULE "imap"
#include "core/log.h"

#define PAGE 10000

static void on_hint(int64_t mailbox_id, void *arg)
{
    struct imap_session *session = arg;

    (void)mailbox_id;
    session->changed = true;
    if (session->idling && !session->common.running)
        session_settle(&session->common);
}

void imap_selected_drop(struct imap_session *session)
{
    struct imap_selected *s = &session->selected;

    hint_unwatch(&s->watch);
    free(s->items);
    for (unsigned i = 0; i < s->keyword_count; i++)
        free(s->keywords[i]);
    *s = (struct imap_selected){0};
    if (session->state == IMAP_SELECTED)
        session->state = IMAP_AUTHENTICATED;
}

/* Index of the UID, or UINT32_MAX. */
static uint32_t find_uid(const struct imap_selected *s, int64_t uid)
{
    uint32_t low = 0, high = s->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (s->items[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->count && s->items[low].uid == uid ? low : UINT32_MAX;
}

uint64_t imap_keyword_bit(struct imap_selected *s, struct slice keyword)
{
    for (unsigned i = 0; i < s->keyword_count; i++)
        if (slice_equal_nocase(slice_str(s->keywords[i]), keyword))
            return UINT64_C(1) << i;
    if (s->keyword_count == IMAP_KEYWORDS_MAX)
        return 0;
    s->keywords[s->keyword_count] = strndup(keyword.p, keyword.n);
    if (!s->keywords[s->keyword_count])
        abort();
    return UINT64_C(1) << s->keyword_count++;
}

/* ------------------------------------------------------------------ telling */

void imap_write_flags(struct imap_session *session, const struct imap_item *item)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{MAILBOX_ANSWERED, "\\Answered"},
                 {MAILBOX_FLAGGED, "\\Flagged"},
                 {MAILBOX_DELETED, "\\Deleted"},
                 {MAILBOX_SEEN, "\\Seen"},
                 {MAILBOX_DRAFT, "\\Draft"}};
    const char *space = "";

    imap_write(session, SLICE("("));
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (item->flags & names[i].bit) {
            imap_printf(session, "%s%s", space, names[i].name);
            space = " ";
        }
    for (unsigned i = 0; i < session->selected.keyword_count; i++)
        if (item->keywords >> i & 1) {
            imap_printf(session, "%s%s", space, session->selected.keywords[i]);
            space = " ";
        }
    imap_write(session, SLICE(")"));
}

static void tell_flags(struct imap_session *session, uint32_t index)
{
    const struct imap_item *item = &session->selected.items[index];

    imap_printf(session, "* %" PRIu32 " FETCH (", index + 1);
    if (session->uid)
        imap_printf(session, "UID %" PRId64 " ", item->uid);
    imap_write(session, SLICE("FLAGS "));
    imap_write_flags(session, item);
    imap_write(session, SLICE(")\r\n"));
}

#define SYSTEM_FLAGS "\\Answered \\Flagged \\Deleted \\Seen \\Draft"

static void write_keywords(struct imap_session *session)
{
    for (unsigned i = 0; i < session->selected.keyword_count; i++)
        imap_printf(session, " %s", session->selected.keywords[i]);
}

/* What is in FLAGS but not in PERMANENTFLAGS cannot be kept (7.1), so keywords stand in both. */
void imap_tell_flag_names(struct imap_session *session)
{
    imap_write(session, SLICE("* FLAGS (" SYSTEM_FLAGS));
    write_keywords(session);
    imap_write(session, SLICE(")\r\n* OK [PERMANENTFLAGS ("));
    if (!session->selected.read_only) {
        imap_write(session, SLICE(SYSTEM_FLAGS));
        write_keywords(session);
        if (session->selected.keyword_count < IMAP_KEYWORDS_MAX)
            imap_write(session, SLICE(" \\*"));
    }
    imap_write(session, SLICE(")] Flags\r\n"));
}

/* ------------------------------------------------------------------ taking over what storage says */

static struct imap_item item_of(struct imap_selected *s, const struct mailbox_item *from)
{
    struct imap_item item = {from->uid, from->message_id, from->internal_ms, from->size, 0, from->flags};

    for (unsigned i = 0; i < from->keyword_count; i++)
        item.keywords |= imap_keyword_bit(s, from->keywords[i]);
    return item;
}

static void append_item(struct imap_selected *s, const struct imap_item *item)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 64;
        s->items = reallocarray(s->items, s->room, sizeof *s->items);
        if (!s->items)
            abort();
    }
    s->items[s->count++] = *item;
}

static void take_changes(struct imap_session *session, const struct mailbox_item *changes, unsigned count)
{
    struct imap_selected *s = &session->selected;

    for (unsigned i = 0; i < count; i++) {
        unsigned keywords = s->keyword_count;
        struct imap_item item = item_of(s, &changes[i]);
        uint32_t index = find_uid(s, item.uid);

        if (s->keyword_count > keywords && session->state == IMAP_SELECTED)
            imap_tell_flag_names(session);
        if (index == UINT32_MAX) {
            if (s->count && item.uid < s->items[s->count - 1].uid)
                continue; /* it was told to be gone */
            if (s->count < IMAP_ITEMS_MAX)
                append_item(s, &item);
            continue;
        }
        if (s->items[index].flags == item.flags && s->items[index].keywords == item.keywords)
            continue;
        s->items[index] = item;
        tell_flags(session, index);
    }
}

static AWAITS bool load_changes(struct imap_session *session, int64_t since)
{
    struct arena *arena = arena_new(SIZE_MAX);
    int64_t after = 0;
    unsigned count = PAGE;
    bool ok = true;

    while (ok && count == PAGE) {
        struct mailbox_item *items;

        arena_reset(arena);
        switch (mailbox_items(arena, session->selected.id, after, since, PAGE, &items, &count)) {
        case DB_FOUND:
            take_changes(session, items, count);
            after = items[count - 1].uid;
            break;
        case DB_NONE: count = 0; break;
        case DB_FAILED: ok = false; break;
        }
    }
    arena_free(&arena);
    return ok;
}

/* Compares UIDs and tells what is gone, from the front, with the numbers as they are after each. */
static AWAITS bool tell_expunged(struct imap_session *session)
{
    struct imap_selected *s = &session->selected;
    struct arena *arena = arena_new(SIZE_MAX);
    int64_t *uids = NULL;
    unsigned count = 0, next = 0;
    enum db_status status = mailbox_uids(arena, s->id, &uids, &count);
    uint32_t kept = 0;

    if (status == DB_FAILED) {
        arena_free(&arena);
        return false;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        while (next < count && uids[next] < s->items[i].uid)
            next++;
        if (next < count && uids[next] == s->items[i].uid)
            s->items[kept++] = s->items[i];
        else
            imap_printf(session, "* %" PRIu32 " EXPUNGE\r\n", kept + 1);
    }
    s->count = kept;
    arena_free(&arena);
    return true;
}

static void tell_exists(struct imap_session *session)
{
    imap_printf(session, "* %" PRIu32 " EXISTS\r\n", session->selected.count);
}

/*
 * What is new is told before anything that may fail, and before EXPUNGE: it may be gone already, and its number must
 * then be one that the client has heard of.
 */
static AWAITS bool tell_changes(struct imap_session *session, int64_t modseq)
{
    struct imap_selected *s = &session->selected;
    uint32_t before = s->count;
    bool loaded = load_changes(session, s->modseq);

    if (s->count != before)
        tell_exists(session);
    if (!loaded)
        return false;
    s->modseq = modseq;
    s->expunged_elsewhere = true;
    return true;
}

AWAITS bool imap_selected_refresh(struct imap_session *session, bool may_expunge)
{
    struct imap_selected *s = &session->selected;
    struct mailbox_counts counts;
    struct mailbox mailbox;

    switch (mailbox_by_id(session->command, s->id, &mailbox)) {
    case DB_FOUND: break;
    case DB_NONE: imap_bye(session, "The mailbox was deleted"); return false;
    case DB_FAILED: return false; /* s->modseq stays: the next refresh, or while idling the next poll, looks again */
    }
    if (mailbox.modseq != s->modseq && !tell_changes(session, mailbox.modseq))
        return false;
    if (!s->expunged_elsewhere || !may_expunge)
        return true;
    if (mailbox_count(s->id, &counts) != DB_FOUND)
        return false;
    if (counts.messages != s->count) { /* so, too, when another has come since: then nothing is gone */
        uint32_t before = s->count;

        if (!tell_expunged(session))
            return false;
        if (s->count != before)
            tell_exists(session); /* it costs nothing and clients count on it */
    }
    s->expunged_elsewhere = false;
    return true;
}

/*
 * A number that does not exist is an error, a UID that does not is passed over (6.4.8).  Clients ask an empty mailbox
 * for "1:*"; what has a star is nobody there.
 */
static bool numbers_exist(const struct imap_set *set, uint32_t count)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct imap_range *r = &set->ranges[i];

        if (!count && (r->low == IMAP_STAR || r->high == IMAP_STAR))
            continue;
        if ((r->low != IMAP_STAR && r->low > count) || (r->high != IMAP_STAR && r->high > count))
            return false;
    }
    return true;
}

bool imap_selected_pick(struct imap_session *session, struct imap_set *set, uint32_t **out, uint32_t *count)
{
    struct imap_selected *s = &session->selected;
    uint32_t largest = !s->count ? 0 : session->uid ? (uint32_t)s->items[s->count - 1].uid : s->count;

    *count = 0;
    *out = arena_array(session->command, s->count, sizeof **out);
    if (!session->uid && !numbers_exist(set, s->count))
        return false;
    imap_set_resolve(set, largest);
    for (uint32_t i = 0; i < s->count; i++)
        if (imap_set_contains(set, session->uid ? (uint32_t)s->items[i].uid : i + 1))
            (*out)[(*count)++] = i;
    return true;
}

/* ------------------------------------------------------------------ SELECT, EXAMINE, CLOSE, UNSELECT */

static AWAITS void select_mailbox(struct imap_session *session, bool read_only)
{
    struct imap_cursor *c = &session->cursor;
    struct imap_selected *s = &session->selected;
    struct mailbox mailbox;
    struct slice name;
    uint32_t unseen = 0;

    if (!imap_take_char(c, ' ') || !imap_take_mailbox(c, &name) || !imap_at_end(c)) {
        imap_bad(session, "A mailbox name was expected");
        return;
    }
    imap_selected_drop(session); /* also when this one cannot be selected (6.3.1) */
    switch (mailbox_find(session->command, session->account.id, name, &mailbox)) {
    case DB_FOUND: break;
    case DB_NONE: imap_reply(session, "NO [NONEXISTENT] There is no such mailbox"); return;
    case DB_FAILED: imap_unavailable(session); return;
    }
    s->id = mailbox.id;
    s->uidvalidity = mailbox.uidvalidity;
    s->modseq = mailbox.modseq;
    s->read_only = read_only;
    s->role = mailbox.role;
    s->watch = hint_watch_mailbox(mailbox.id, on_hint, session);
    if (!load_changes(session, 0)) {
        imap_selected_drop(session);
        imap_unavailable(session);
        return;
    }
    while (unseen < s->count && s->items[unseen].flags & MAILBOX_SEEN)
        unseen++;
    /* messages may have come between the look at the mailbox and the look at its items */
    if (s->count && s->items[s->count - 1].uid >= mailbox.uidnext)
        mailbox.uidnext = s->items[s->count - 1].uid + 1;
    imap_tell_flag_names(session);
    imap_printf(session, "* %" PRIu32 " EXISTS\r\n* 0 RECENT\r\n", s->count);
    if (unseen < s->count)
        imap_printf(session, "* OK [UNSEEN %" PRIu32 "] First unseen\r\n", unseen + 1);
    imap_printf(session, "* OK [UIDNEXT %" PRId64 "] Next\r\n* OK [UIDVALIDITY %" PRId64 "] Valid\r\n", mailbox.uidnext,
                mailbox.uidvalidity);
    session->state = IMAP_SELECTED;
    imap_reply(session, read_only ? "OK [READ-ONLY] EXAMINE completed" : "OK [READ-WRITE] SELECT completed");
}

AWAITS void imap_command_select(struct imap_session *session)
{
    select_mailbox(session, false);
}

AWAITS void imap_command_examine(struct imap_session *session)
{
    select_mailbox(session, true);
}

/* Expunges without telling (6.4.2). */
AWAITS void imap_command_close(struct imap_session *session)
{
    struct imap_selected *s = &session->selected;
    int64_t *uids = arena_array(session->command, s->count, sizeof *uids);
    unsigned count = 0;

    for (uint32_t i = 0; i < s->count; i++)
        if (s->items[i].flags & MAILBOX_DELETED)
            uids[count++] = s->items[i].uid;
    if (count && !s->read_only && s->role == MAILBOX_ORDINARY && mailbox_expunge(s->id, uids, count, true) != DB_DONE) {
        imap_unavailable(session);
        return;
    }
    imap_selected_drop(session);
    imap_reply(session, "OK CLOSE completed");
}

void imap_command_unselect(struct imap_session *session)
{
    imap_selected_drop(session);
    imap_reply(session, "OK UNSELECT completed");
}
