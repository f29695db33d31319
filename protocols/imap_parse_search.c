/*
 * imap_parse_search: search keys (RFC 3501 6.4.4).
 *
 * A program is a list of keys that must all hold; OR, NOT and parentheses nest, at most IMAP_DEPTH_MAX deep, so that
 * neither this nor the evaluation can be made to use up a stack.
 */
#include "protocols/imap_parse.h"
#include "storage/mailbox.h"

enum argument { NOTHING, KEYWORD, DATE, NUMBER, STRING, FIELD };

static const struct {
    const char *name;
    enum imap_key_kind kind;
    enum argument argument;
    unsigned bits;
    bool negate;
    const char *header; /* for FIELD */
} keys[] = {
    {"ALL", IMAP_KEY_ALL, NOTHING, 0, false, NULL},
    {"ANSWERED", IMAP_KEY_FLAG, NOTHING, MAILBOX_ANSWERED, false, NULL},
    {"DELETED", IMAP_KEY_FLAG, NOTHING, MAILBOX_DELETED, false, NULL},
    {"DRAFT", IMAP_KEY_FLAG, NOTHING, MAILBOX_DRAFT, false, NULL},
    {"FLAGGED", IMAP_KEY_FLAG, NOTHING, MAILBOX_FLAGGED, false, NULL},
    {"SEEN", IMAP_KEY_FLAG, NOTHING, MAILBOX_SEEN, false, NULL},
    {"UNANSWERED", IMAP_KEY_FLAG, NOTHING, MAILBOX_ANSWERED, true, NULL},
    {"UNDELETED", IMAP_KEY_FLAG, NOTHING, MAILBOX_DELETED, true, NULL},
    {"UNDRAFT", IMAP_KEY_FLAG, NOTHING, MAILBOX_DRAFT, true, NULL},
    {"UNFLAGGED", IMAP_KEY_FLAG, NOTHING, MAILBOX_FLAGGED, true, NULL},
    {"UNSEEN", IMAP_KEY_FLAG, NOTHING, MAILBOX_SEEN, true, NULL},
    {"NEW", IMAP_KEY_ALL, NOTHING, 0, true, NULL}, /* no message is \\Recent here (imap_select.c), so: none */
    {"OLD", IMAP_KEY_ALL, NOTHING, 0, false, NULL},
    {"RECENT", IMAP_KEY_ALL, NOTHING, 0, true, NULL},
    {"KEYWORD", IMAP_KEY_KEYWORD, KEYWORD, 0, false, NULL},
    {"UNKEYWORD", IMAP_KEY_KEYWORD, KEYWORD, 0, true, NULL},
    {"BEFORE", IMAP_KEY_BEFORE, DATE, 0, false, NULL},
    {"ON", IMAP_KEY_ON, DATE, 0, false, NULL},
    {"SINCE", IMAP_KEY_SINCE, DATE, 0, false, NULL},
    {"SENTBEFORE", IMAP_KEY_SENTBEFORE, DATE, 0, false, NULL},
    {"SENTON", IMAP_KEY_SENTON, DATE, 0, false, NULL},
    {"SENTSINCE", IMAP_KEY_SENTSINCE, DATE, 0, false, NULL},
    {"LARGER", IMAP_KEY_LARGER, NUMBER, 0, false, NULL},
    {"SMALLER", IMAP_KEY_SMALLER, NUMBER, 0, false, NULL},
    {"BODY", IMAP_KEY_BODY, STRING, 0, false, NULL},
    {"TEXT", IMAP_KEY_TEXT, STRING, 0, false, NULL},
    {"BCC", IMAP_KEY_HEADER, FIELD, 0, false, "Bcc"},
    {"CC", IMAP_KEY_HEADER, FIELD, 0, false, "Cc"},
    {"FROM", IMAP_KEY_HEADER, FIELD, 0, false, "From"},
    {"SUBJECT", IMAP_KEY_HEADER, FIELD, 0, false, "Subject"},
    {"TO", IMAP_KEY_HEADER, FIELD, 0, false, "To"},
};

static bool take_key(struct imap_cursor *c, unsigned depth, struct imap_key **out);

/* Of one key whose parts know it already. */
static bool needs_content(const struct imap_key *key)
{
    switch (key->kind) {
    case IMAP_KEY_SENTBEFORE:
    case IMAP_KEY_SENTON:
    case IMAP_KEY_SENTSINCE:
    case IMAP_KEY_HEADER:
    case IMAP_KEY_BODY:
    case IMAP_KEY_TEXT: return true;
    case IMAP_KEY_NOT: return key->a->needs_content;
    case IMAP_KEY_OR: return key->a->needs_content || key->b->needs_content;
    case IMAP_KEY_AND:
        for (const struct imap_key *k = key->a; k; k = k->next)
            if (k->needs_content)
                return true;
        return false;
    case IMAP_KEY_ALL:
    case IMAP_KEY_FLAG:
    case IMAP_KEY_KEYWORD:
    case IMAP_KEY_SET:
    case IMAP_KEY_UID:
    case IMAP_KEY_BEFORE:
    case IMAP_KEY_ON:
    case IMAP_KEY_SINCE:
    case IMAP_KEY_LARGER:
    case IMAP_KEY_SMALLER: return false;
    }
    return false;
}

static bool take_argument(struct imap_cursor *c, unsigned i, struct imap_key *key)
{
    uint32_t number;

    if (keys[i].argument == NOTHING)
        return true;
    if (!imap_take_char(c, ' '))
        return false;
    switch (keys[i].argument) {
    case NOTHING: return true;
    case KEYWORD: return imap_take_atom(c, &key->text);
    case DATE: return imap_take_date(c, &key->number);
    case NUMBER:
        if (!imap_take_number(c, &number))
            return false;
        key->number = number;
        return true;
    case FIELD: key->header = slice_str(keys[i].header); return imap_take_astring(c, &key->text);
    case STRING: return imap_take_astring(c, &key->text);
    }
    return false;
}

static bool take_list(struct imap_cursor *c, unsigned depth, char end, struct imap_key **out)
{
    struct imap_key *list = arena_alloc(c->arena, sizeof *list), **last = &list->a;

    list->kind = IMAP_KEY_AND;
    do {
        if (!take_key(c, depth + 1, last))
            return false;
        last = &(*last)->next;
    } while (imap_take_char(c, ' '));
    list->needs_content = needs_content(list);
    *out = list;
    return end ? imap_take_char(c, end) : imap_at_end(c);
}

static bool take_named(struct imap_cursor *c, struct slice name, unsigned depth, struct imap_key *key)
{
    if (slice_equal_nocase(name, SLICE("NOT"))) {
        key->kind = IMAP_KEY_NOT;
        return imap_take_char(c, ' ') && take_key(c, depth + 1, &key->a);
    }
    if (slice_equal_nocase(name, SLICE("OR"))) {
        key->kind = IMAP_KEY_OR;
        return imap_take_char(c, ' ') && take_key(c, depth + 1, &key->a) && imap_take_char(c, ' ') &&
               take_key(c, depth + 1, &key->b);
    }
    if (slice_equal_nocase(name, SLICE("UID"))) {
        key->kind = IMAP_KEY_UID;
        return imap_take_char(c, ' ') && imap_take_set(c, &key->set);
    }
    if (slice_equal_nocase(name, SLICE("HEADER"))) {
        key->kind = IMAP_KEY_HEADER;
        return imap_take_char(c, ' ') && imap_take_astring(c, &key->header) && imap_take_char(c, ' ') &&
               imap_take_astring(c, &key->text);
    }
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (slice_equal_nocase(name, slice_str(keys[i].name))) {
            key->kind = keys[i].kind;
            key->bits = keys[i].bits;
            key->negate = keys[i].negate;
            return take_argument(c, i, key);
        }
    return false;
}

static bool take_key(struct imap_cursor *c, unsigned depth, struct imap_key **out)
{
    struct imap_key *key;
    struct slice name;

    if (depth > IMAP_DEPTH_MAX || c->p == c->end)
        return false;
    if (imap_take_char(c, '('))
        return take_list(c, depth, ')', out);
    key = *out = arena_alloc(c->arena, sizeof *key);
    if ((*c->p >= '0' && *c->p <= '9') || *c->p == '*') {
        key->kind = IMAP_KEY_SET;
        return imap_take_set(c, &key->set);
    }
    if (!imap_take_atom(c, &name) || !take_named(c, name, depth, key))
        return false;
    key->needs_content = needs_content(key);
    return true;
}

bool imap_take_search(struct imap_cursor *c, struct imap_key **out, struct slice *charset)
{
    struct imap_cursor ahead = *c;
    struct slice word;

    *charset = (struct slice){NULL, 0};
    if (imap_take_atom(&ahead, &word) && slice_equal_nocase(word, SLICE("CHARSET"))) {
        if (!imap_take_char(&ahead, ' ') || !imap_take_astring(&ahead, charset) || !imap_take_char(&ahead, ' '))
            return false;
        c->p = ahead.p;
    }
    return take_list(c, 0, '\0', out);
}
