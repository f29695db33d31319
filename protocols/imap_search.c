/*
 * imap_search: SEARCH (RFC 3501 6.4.4).
 *
 * One task walks the session's list and asks each message the whole question.  In a list of keys those that need no
 * content are asked first, so a message is read only if it still may match: "UNSEEN FROM x" reads the unseen ones.  The
 * task ends early when the client has gone.
 *
 * Each key that is about content reads the whole of it, and a command has room for thousands.  So others have their
 * turn also between two keys of one message, once TURN_MS were used, and no more than CONTENT_KEYS_MAX such keys are
 * taken.
 */
#include <event2/buffer.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "protocols/imap_ahead.h"
#include "protocols/imap_session.h"

#define DAY_MS INT64_C(86400000)
#define NEEDLE_MAX 1000
#define TURN_MS 10 /* before others have theirs */
#define CONTENT_KEYS_MAX 256

struct question {
    struct imap_session *session;
    const struct imap_item *item;
    uint32_t number;
    struct imap_ahead ahead;
    struct imap_content content;
    bool opened, failed;
    uint64_t turn_ends_ms;
};

static bool is_over(const struct question *q)
{
    return q->failed || !q->session->common.stream;
}

static AWAITS void give_turn(struct question *q)
{
    task_sleep(0);
    q->turn_ends_ms = clock_steady_ms() + TURN_MS;
}

/* NULL: the message is gone, or the database is away (then `failed`). */
static AWAITS const struct mime_part *root_of(struct question *q)
{
    const struct imap_selected *selected = &q->session->selected;

    if (!q->opened)
        switch (imap_ahead_open(q->session->message, &q->ahead, selected, NULL, q->number - 1, selected->count,
                                &q->content)) {
        case DB_FOUND: q->opened = true; break;
        case DB_NONE: return NULL;
        case DB_FAILED: q->failed = true; return NULL;
        }
    return imap_content_root(q->session->message, &q->content);
}

static int64_t day_of(int64_t ms)
{
    return (ms - (ms % DAY_MS + DAY_MS) % DAY_MS) / DAY_MS;
}

static bool compare_days(enum imap_key_kind kind, int64_t day, int64_t wanted)
{
    if (kind == IMAP_KEY_BEFORE || kind == IMAP_KEY_SENTBEFORE)
        return day < wanted;
    if (kind == IMAP_KEY_ON || kind == IMAP_KEY_SENTON)
        return day == wanted;
    return day >= wanted;
}

static bool has_keyword(const struct imap_selected *selected, const struct imap_item *item, struct slice keyword)
{
    for (unsigned i = 0; i < selected->keyword_count; i++)
        if (slice_equal_nocase(slice_str(selected->keywords[i]), keyword))
            return item->keywords >> i & 1;
    return false;
}

static AWAITS bool content_matches(struct question *q, const struct imap_key *key)
{
    const struct mime_part *root;
    int64_t day;

    if (clock_steady_ms() >= q->turn_ends_ms)
        give_turn(q);
    root = is_over(q) ? NULL : root_of(q);
    if (!root)
        return false;
    if (key->kind == IMAP_KEY_HEADER)
        return mime_header_contains(root->header, key->header, key->text);
    if (key->kind == IMAP_KEY_BODY)
        return mime_body_contains(root, key->text);
    if (key->kind == IMAP_KEY_TEXT)
        return mime_text_contains(root->header, key->text) || mime_body_contains(root, key->text) ||
               mime_header_contains(root->header, (struct slice){NULL, 0}, key->text) ||
               mime_part_headers_contain(root, key->text);
    if (!mime_date(q->session->message, root->header, &day))
        return false; /* no Date, or none that can be read */
    return compare_days(key->kind, day, key->number);
}

static AWAITS bool matches(struct question *q, const struct imap_key *key)
{
    const struct imap_selected *selected = &q->session->selected;

    switch (key->kind) {
    case IMAP_KEY_ALL: return !key->negate;
    case IMAP_KEY_FLAG: return ((q->item->flags & key->bits) == key->bits) != key->negate;
    case IMAP_KEY_KEYWORD: return has_keyword(selected, q->item, key->text) != key->negate;
    case IMAP_KEY_SET: return imap_set_contains(&key->set, q->number);
    case IMAP_KEY_UID: return imap_set_contains(&key->set, (uint32_t)q->item->uid);
    case IMAP_KEY_BEFORE:
    case IMAP_KEY_ON:
    case IMAP_KEY_SINCE: return compare_days(key->kind, day_of(q->item->internal_ms), key->number);
    case IMAP_KEY_LARGER: return q->item->size > (uint64_t)key->number;
    case IMAP_KEY_SMALLER: return q->item->size < (uint64_t)key->number;
    case IMAP_KEY_HEADER:
    case IMAP_KEY_BODY:
    case IMAP_KEY_TEXT:
    case IMAP_KEY_SENTBEFORE:
    case IMAP_KEY_SENTON:
    case IMAP_KEY_SENTSINCE: return content_matches(q, key);
    case IMAP_KEY_NOT: return !matches(q, key->a);
    case IMAP_KEY_OR: return matches(q, key->a) || matches(q, key->b);
    case IMAP_KEY_AND:
        for (unsigned dear = 0; dear < 2; dear++)
            for (const struct imap_key *k = key->a; k; k = k->next)
                if (k->needs_content == (dear == 1) && !matches(q, k))
                    return false;
        return true;
    }
    return false;
}

static bool needles_are_short(const struct imap_key *key)
{
    if (key->text.n > NEEDLE_MAX || key->header.n > NEEDLE_MAX)
        return false;
    if (key->a && key->kind != IMAP_KEY_AND)
        return needles_are_short(key->a) && (!key->b || needles_are_short(key->b));
    for (const struct imap_key *k = key->a; k; k = k->next)
        if (!needles_are_short(k))
            return false;
    return true;
}

static unsigned count_content_keys(const struct imap_key *key)
{
    unsigned count = 0;

    for (; key; key = key->next)
        count += key->a ? count_content_keys(key->a) + count_content_keys(key->b) : key->needs_content;
    return count;
}

/* What "*" stands for in the sets of the keys. */
static void resolve_sets(struct imap_key *key, uint32_t last_number, uint32_t last_uid)
{
    for (; key; key = key->next) {
        if (key->kind == IMAP_KEY_SET || key->kind == IMAP_KEY_UID)
            imap_set_resolve(&key->set, key->kind == IMAP_KEY_UID ? last_uid : last_number);
        resolve_sets(key->a, last_number, last_uid);
        resolve_sets(key->b, last_number, last_uid);
    }
}

static AWAITS void search(struct imap_session *session, struct imap_key *key)
{
    const struct imap_selected *s = &session->selected;
    struct evbuffer *found = evbuffer_new();
    struct question q = {.session = session, .turn_ends_ms = clock_steady_ms() + TURN_MS};

    if (!found)
        abort();
    resolve_sets(key, s->count, s->count ? (uint32_t)s->items[s->count - 1].uid : 0);
    evbuffer_add_printf(found, "* SEARCH");
    for (uint32_t i = 0; i < s->count && !is_over(&q); i++) {
        if (clock_steady_ms() >= q.turn_ends_ms)
            give_turn(&q);
        q.item = &s->items[i];
        q.number = i + 1;
        if (matches(&q, key) && !is_over(&q))
            evbuffer_add_printf(found, " %" PRId64, session->uid ? q.item->uid : (int64_t)q.number);
        if (q.opened) {
            imap_content_close(&q.content);
            arena_reset(session->message);
            q.opened = false;
        }
    }
    imap_ahead_drop(&q.ahead);
    evbuffer_add_printf(found, "\r\n");
    if (q.failed) {
        imap_unavailable(session);
    } else {
        if (session->common.stream)
            stream_write_buffer(session->common.stream, found);
        imap_reply(session, "OK SEARCH completed");
    }
    evbuffer_free(found);
}

/* search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key) */
AWAITS void imap_command_search(struct imap_session *session)
{
    struct imap_cursor *c = &session->cursor;
    struct imap_key *key;
    struct slice charset;

    if (!imap_take_char(c, ' ') || !imap_take_search(c, &key, &charset)) {
        imap_bad(session, "SEARCH does not know that key, or it is not complete");
        return;
    }
    if (charset.p && !slice_equal_nocase(charset, SLICE("UTF-8")) && !slice_equal_nocase(charset, SLICE("US-ASCII"))) {
        imap_reply(session, "NO [BADCHARSET (US-ASCII UTF-8)] That charset is not known here");
        return;
    }
    if (!needles_are_short(key)) {
        imap_reply(session, "NO [LIMIT] A search text may have %d bytes", NEEDLE_MAX);
        return;
    }
    if (count_content_keys(key) > CONTENT_KEYS_MAX) {
        imap_reply(session, "NO [LIMIT] At most %d keys may look into the messages", CONTENT_KEYS_MAX);
        return;
    }
    search(session, key);
}
