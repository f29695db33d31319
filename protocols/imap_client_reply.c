/*
 * imap_client_reply: what an IMAP server answers.
 *
 *     response        = *(continue-req / response-data) response-done
 *     continue-req    = "+" SP (resp-text / base64) CRLF
 *     response-data   = "*" SP (resp-cond-state / resp-cond-bye / mailbox-data / message-data / capability-data) CRLF
 *     response-tagged = tag SP resp-cond-state CRLF
 *     resp-text       = ["[" resp-text-code "]" SP] text                                     (RFC 3501 9)
 *
 * Lenient where servers in the field are: "+" without a text, a status without one, flags and attributes of any kind,
 * data that is not known (it is passed over).  Strict where leniency would mean guessing: numbers are in range, a
 * parenthesis or a string that is opened is closed, nesting has a limit.
 *
 * A name that is not modified UTF-7 is kept as it is, so that it can be sent back; one that is not ASCII is no name of
 * IMAP4rev1, and such a line is passed over.
 */
#include "protocols/imap_client_reply.h"

#include "core/cursor.h"
#include "protocols/imap_parse.h"
#include "storage/mailbox.h"

#define DEPTH_MAX 32

static struct slice take_until(struct slice *rest, const char *ends)
{
    struct slice start = *rest;

    while (rest->n && (!*rest->p || !strchr(ends, *rest->p)))
        *rest = slice_skip(*rest, 1);
    return cursor_taken(start, *rest);
}

static bool take_u64(struct slice *rest, uint64_t most, uint64_t *out)
{
    struct slice start = *rest;

    *out = 0;
    while (rest->n && cursor_is_digit(*rest->p)) {
        unsigned digit = (unsigned)(*rest->p - '0');

        if (*out > (most - digit) / 10)
            return false;
        *out = *out * 10 + digit;
        *rest = slice_skip(*rest, 1);
    }
    return start.n != rest->n;
}

static bool take_u32(struct slice *rest, uint32_t *out)
{
    uint64_t value;

    if (!take_u64(rest, UINT32_MAX, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

/* ------------------------------------------------------------------ a response */

static void keep(char *out, struct slice text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n && n < IMAP_CLIENT_TEXT_MAX; i++) {
        unsigned char c = (unsigned char)text.p[i];

        out[n++] = c == '\t' ? ' ' : c < 0x20 || c > 0x7e ? '?' : (char)c;
    }
    out[n] = '\0';
}

static enum imap_client_status status_of(struct slice word)
{
    return slice_equal_nocase(word, SLICE("OK"))        ? IMAP_CLIENT_SAYS_OK
           : slice_equal_nocase(word, SLICE("NO"))      ? IMAP_CLIENT_SAYS_NO
           : slice_equal_nocase(word, SLICE("BAD"))     ? IMAP_CLIENT_SAYS_BAD
           : slice_equal_nocase(word, SLICE("PREAUTH")) ? IMAP_CLIENT_SAYS_PREAUTH
           : slice_equal_nocase(word, SLICE("BYE"))     ? IMAP_CLIENT_SAYS_BYE
                                                        : IMAP_CLIENT_DATA;
}

static void read_text(struct slice text, struct imap_client_response *out)
{
    struct slice rest = text;

    keep(out->text, text);
    if (!cursor_take(&rest, '['))
        return;
    out->code = take_until(&rest, " ]");
    cursor_take(&rest, ' ');
    out->arguments = take_until(&rest, "]");
}

bool imap_client_response_read(struct slice bytes, struct imap_client_response *out)
{
    struct slice rest = bytes, word;

    *out = (struct imap_client_response){
        .tag = SLICE(""), .code = SLICE(""), .arguments = SLICE(""), .name = SLICE(""), .rest = SLICE("")};
    if (cursor_take(&rest, '+')) {
        out->form = IMAP_CLIENT_CONTINUE;
        cursor_take(&rest, ' ');
        keep(out->text, rest);
        return true;
    }
    word = take_until(&rest, " ");
    if (!word.n || !cursor_take(&rest, ' '))
        return false;
    out->form = slice_equal(word, SLICE("*")) ? IMAP_CLIENT_UNTAGGED : IMAP_CLIENT_TAGGED;
    out->tag = word;
    word = take_until(&rest, " ");
    if (!word.n)
        return false;
    out->status = status_of(word);
    if (out->status == IMAP_CLIENT_DATA && out->form == IMAP_CLIENT_TAGGED)
        return false;
    if (cursor_is_digit(*word.p)) {
        if (!take_u32(&word, &out->number) || word.n || !cursor_take(&rest, ' '))
            return false;
        word = take_until(&rest, " ");
        if (!word.n)
            return false;
    }
    cursor_take(&rest, ' ');
    out->name = word;
    out->rest = rest;
    if (out->status != IMAP_CLIENT_DATA)
        read_text(rest, out);
    return true;
}

/* "{" number ["+"] "}" at the end. */
bool imap_client_literal(struct slice line, uint64_t *size)
{
    const char *open = line.n > 2 && line.p[line.n - 1] == '}' ? memrchr(line.p, '{', line.n) : NULL;
    struct slice rest;

    if (!open)
        return false;
    rest = slice_skip(line, (size_t)(open + 1 - line.p));
    if (!take_u64(&rest, UINT32_MAX, size))
        return false;
    cursor_take(&rest, '+');
    return rest.n == 1;
}

/* ------------------------------------------------------------------ CAPABILITY */

unsigned imap_client_capabilities(struct slice words)
{
    static const struct {
        const char *word;
        unsigned bit;
    } known[] = {
        {"IMAP4rev1", IMAP_CLIENT_IMAP4},           {"IMAP4rev2", IMAP_CLIENT_IMAP4},
        {"STARTTLS", IMAP_CLIENT_STARTTLS_OFFERED}, {"LOGINDISABLED", IMAP_CLIENT_LOGIN_DISABLED},
        {"AUTH=PLAIN", IMAP_CLIENT_AUTH_PLAIN},     {"SASL-IR", IMAP_CLIENT_SASL_IR},
        {"LITERAL+", IMAP_CLIENT_LITERAL_PLUS},     {"LITERAL-", IMAP_CLIENT_LITERAL_MINUS},
        {"UIDPLUS", IMAP_CLIENT_UIDPLUS},           {"MOVE", IMAP_CLIENT_MOVE},
        {"SPECIAL-USE", IMAP_CLIENT_SPECIAL_USE},   {"LIST-EXTENDED", IMAP_CLIENT_LIST_EXTENDED},
        {"NAMESPACE", IMAP_CLIENT_NAMESPACE},
    };
    unsigned found = 0;

    while (words.n) {
        struct slice word = take_until(&words, " ");

        cursor_take(&words, ' ');
        for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
            if (slice_equal_nocase(word, slice_str(known[i].word)))
                found |= known[i].bit;
    }
    return found;
}

/* ------------------------------------------------------------------ LIST and NAMESPACE */

static struct imap_cursor cursor_of(struct arena *arena, struct slice rest)
{
    return (struct imap_cursor){rest.p, rest.p + rest.n, arena};
}

static void note_attribute(struct slice word, struct imap_client_mailbox *out)
{
    static const char *const uses[] = {"\\Sent", "\\Drafts", "\\Trash", "\\Junk", "\\Archive", "\\All", "\\Flagged"};

    out->no_select |= slice_equal_nocase(word, SLICE("\\Noselect")) || slice_equal_nocase(word, SLICE("\\NonExistent"));
    for (unsigned i = 0; i < sizeof uses / sizeof *uses; i++)
        if (!out->use.p && slice_equal_nocase(word, slice_str(uses[i])))
            out->use = slice_str(uses[i]);
}

/* DQUOTE QUOTED-CHAR DQUOTE / nil */
static bool take_separator(struct imap_cursor *c, char *out)
{
    struct slice word;

    *out = '\0';
    if (c->p < c->end && *c->p == '"') {
        if (!imap_take_string(c, &word) || word.n != 1)
            return false;
        *out = *word.p;
        return true;
    }
    return imap_take_atom(c, &word) && slice_equal_nocase(word, SLICE("NIL"));
}

bool imap_client_list_read(struct arena *arena, struct slice rest, struct imap_client_mailbox *out)
{
    struct imap_cursor c, name;

    *out = (struct imap_client_mailbox){0};
    if (!cursor_take(&rest, '('))
        return false;
    while (rest.n && *rest.p != ')') {
        note_attribute(take_until(&rest, " )"), out);
        cursor_take(&rest, ' ');
    }
    if (!cursor_take(&rest, ')') || !cursor_take(&rest, ' '))
        return false;
    c = cursor_of(arena, rest);
    if (!take_separator(&c, &out->separator) || !imap_take_char(&c, ' '))
        return false;
    name = c;
    return imap_take_astring(&c, &out->raw) && out->raw.n && imap_take_mailbox(&name, &out->name);
}

/* "((" prefix SP separator ... */
bool imap_client_namespace_read(struct arena *arena, struct slice rest, struct slice *prefix, char *separator)
{
    struct imap_cursor c = cursor_of(arena, rest);
    struct slice raw;

    if (!imap_take_char(&c, '(') || !imap_take_char(&c, '(') || !imap_take_string(&c, &raw) ||
        !imap_take_char(&c, ' ') || !take_separator(&c, separator))
        return false;
    if (!imap_utf7_decode(arena, raw, prefix))
        *prefix = raw;
    return true;
}

/* ------------------------------------------------------------------ SEARCH and FETCH */

void imap_client_search_read(struct slice rest, uint32_t *out, unsigned *count, unsigned max)
{
    while (*count < max) {
        cursor_skip_blanks(&rest);
        if (!take_u32(&rest, &out[*count]) || !out[*count])
            return;
        ++*count;
    }
}

/* A string, quoted or literal, or an atom.  False: it does not end. */
static bool skip_token(struct slice *rest)
{
    uint64_t size;

    if (cursor_take(rest, '"')) {
        while (rest->n && *rest->p != '"')
            *rest = slice_skip(*rest, *rest->p == '\\' ? 2 : 1);
        return cursor_take(rest, '"');
    }
    if (*rest->p == '{') {
        *rest = slice_skip(*rest, 1);
        if (!take_u64(rest, UINT32_MAX, &size))
            return false;
        cursor_take(rest, '+');
        if (!cursor_take_word(rest, SLICE("}\r\n")) || size > rest->n)
            return false;
        *rest = slice_skip(*rest, size);
        return true;
    }
    return take_until(rest, " ()\"{").n > 0;
}

/* One value: a token, or a list of values. */
static bool skip_value(struct slice *rest)
{
    unsigned depth = 0;

    do {
        if (!rest->n)
            return false;
        if (*rest->p == '(') {
            if (++depth > DEPTH_MAX)
                return false;
            *rest = slice_skip(*rest, 1);
        } else if (*rest->p == ')') {
            if (!depth--)
                return false;
            *rest = slice_skip(*rest, 1);
        } else if (!skip_token(rest)) {
            return false;
        }
        if (depth)
            cursor_skip_blanks(rest);
    } while (depth);
    return true;
}

static bool take_flags(struct slice *rest, unsigned *out)
{
    static const struct {
        const char *word;
        unsigned bit;
    } known[] = {
        {"\\Seen", MAILBOX_SEEN},       {"\\Answered", MAILBOX_ANSWERED}, {"\\Flagged", MAILBOX_FLAGGED},
        {"\\Deleted", MAILBOX_DELETED}, {"\\Draft", MAILBOX_DRAFT},
    };

    if (!cursor_take(rest, '('))
        return false;
    while (rest->n && *rest->p != ')') {
        struct slice word = take_until(rest, " )");

        for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
            if (slice_equal_nocase(word, slice_str(known[i].word)))
                *out |= known[i].bit;
        cursor_take(rest, ' ');
    }
    return cursor_take(rest, ')');
}

/* The name of an item; a section's brackets may hold spaces. */
static struct slice take_item(struct slice *rest)
{
    struct slice start = *rest;

    take_until(rest, " [");
    if (rest->n && *rest->p == '[') {
        take_until(rest, "]");
        take_until(rest, " ");
    }
    return cursor_taken(start, *rest);
}

bool imap_client_fetch_read(struct slice rest, struct imap_client_item *out)
{
    *out = (struct imap_client_item){0};
    if (!cursor_take(&rest, '('))
        return false;
    while (rest.n && *rest.p != ')') {
        struct slice item = take_item(&rest);

        if (!item.n || !cursor_take(&rest, ' '))
            return false;
        if (slice_equal_nocase(item, SLICE("UID"))) {
            if (!take_u32(&rest, &out->uid))
                return false;
        } else if (slice_equal_nocase(item, SLICE("RFC822.SIZE"))) {
            if (!take_u64(&rest, INT64_MAX, &out->size))
                return false;
        } else if (slice_equal_nocase(item, SLICE("FLAGS"))) {
            if (!take_flags(&rest, &out->flags))
                return false;
            out->flags_told = true;
        } else if (!skip_value(&rest)) {
            return false;
        }
        cursor_skip_blanks(&rest);
    }
    return cursor_take(&rest, ')');
}

uint32_t imap_client_validity_of(struct slice arguments)
{
    uint32_t validity;

    return take_u32(&arguments, &validity) && (!arguments.n || *arguments.p == ' ') ? validity : 0;
}

uint32_t imap_client_uid_of(struct slice arguments)
{
    uint32_t uid = 0;

    while (arguments.n) {
        cursor_skip_blanks(&arguments);
        if (!take_u32(&arguments, &uid) || (arguments.n && *arguments.p != ' '))
            return 0;
    }
    return uid;
}
